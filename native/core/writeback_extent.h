/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contiguous runs of folios for one write, gathered from writeback_iter().
 */
#ifndef WRITEBACK_ITER_WRITEBACK_EXTENT_H
#define WRITEBACK_ITER_WRITEBACK_EXTENT_H

#include "writeback_ahead.h"

#define WRITEBACK_EXTENT_MAX_PAGES WRITEBACK_AHEAD_SIZE

/**
 * struct writeback_extent - folios that are locked, cleared for I/O and contiguous
 * @index: first page
 * @nr_pages: how many pages
 * @nr_folios: how many folios, at most WRITEBACK_EXTENT_MAX_PAGES
 * @folios: the folios, each with a reference held by the extent
 */
struct writeback_extent {
	pgoff_t index;
	uint64_t nr_pages;
	uint32_t nr_folios;
	struct folio *folios[WRITEBACK_EXTENT_MAX_PAGES];
};

bool writeback_get_extent(struct address_space *mapping, struct writeback_control *wbc,
			  struct writeback_extent *extent, uint64_t max_pages, int *error);
void writeback_end_folios(struct address_space *mapping, struct folio *const *folios, uint32_t nr);
void writeback_end_extent(struct address_space *mapping, struct writeback_extent *extent,
			  int error);
bool writeback_get_extent_ahead(struct address_space *mapping, struct writeback_control *wbc,
				struct writeback_ahead *ahead, struct writeback_extent *held,
				uint64_t max_pages, int *error);
void writeback_hold_extent(struct address_space *mapping, struct writeback_control *wbc,
			   struct writeback_ahead *ahead, struct writeback_extent *held);

#endif
