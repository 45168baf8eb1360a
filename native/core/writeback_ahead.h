/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stretch of a pass that is taken, written and ended at once, for a host that pays for every
 * call.
 */
#ifndef WRITEBACK_ITER_WRITEBACK_AHEAD_H
#define WRITEBACK_ITER_WRITEBACK_AHEAD_H

#include "page_writeback.h"

/**
 * struct writeback_ahead - a stretch of the batch of a pass
 * @first: the place in the batch of the folio that writeback_iter() returned
 * @nr: how many folios from there on are taken; 0 where there is no stretch
 */
struct writeback_ahead {
	uint32_t first;
	uint32_t nr;
};

void writeback_take_ahead(struct address_space *mapping, struct writeback_control *wbc,
			  struct writeback_ahead *ahead);
void writeback_settle_ahead(struct address_space *mapping, struct writeback_control *wbc,
			    struct writeback_ahead *ahead, uint32_t done);
struct folio *writeback_end_ahead(struct address_space *mapping, struct writeback_control *wbc,
				  struct writeback_ahead *ahead);

#endif
