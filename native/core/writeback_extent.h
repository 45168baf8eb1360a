/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contiguous runs of folios for one write, gathered from writeback_iter().
 */
#ifndef WRITEBACK_ITER_WRITEBACK_EXTENT_H
#define WRITEBACK_ITER_WRITEBACK_EXTENT_H

#include "page_writeback.h"

#define WRITEBACK_EXTENT_MAX_PAGES 1024

/**
 * struct folio_run - folios that follow one another in a file and in memory
 * @first: the first
 * @nr: how many; if more than one, single pages in one tree node
 */
struct folio_run {
	struct folio *first;
	uint32_t nr;
};

/**
 * struct writeback_extent - folios that are locked, cleared for I/O and contiguous
 * @index: first page
 * @nr_pages: how many pages
 * @nr_folios: how many folios
 * @nr_runs: in how many runs
 * @runs: the folios, each with a reference held by the extent
 */
struct writeback_extent {
	pgoff_t index;
	uint64_t nr_pages;
	uint32_t nr_folios;
	uint32_t nr_runs;
	struct folio_run runs[WRITEBACK_EXTENT_MAX_PAGES];
};

/* The extent's last folio. */
static inline struct folio *extent_last(const struct writeback_extent *extent)
{
	const struct folio_run *run = &extent->runs[extent->nr_runs - 1];

	return run->first + run->nr - 1;
}

bool writeback_get_extent(struct address_space *mapping, struct writeback_control *wbc,
			  struct writeback_extent *extent, uint64_t max_pages, int *error);
void writeback_end_extent(struct address_space *mapping, struct writeback_extent *extent,
			  int error);
void writeback_hold_last(struct address_space *mapping, struct writeback_extent *extent,
			 struct folio *last);
void writeback_put_extent(struct address_space *mapping, struct writeback_extent *extent);

#endif
