/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stretch of a pass that is written and ended at once, for a host that pays for every call.
 */
#ifndef WRITEBACK_ITER_WRITEBACK_AHEAD_H
#define WRITEBACK_ITER_WRITEBACK_AHEAD_H

#include "page_writeback.h"

/* A stretch has room for so many folios; one for writes of single folios takes fewer. */
#define WRITEBACK_AHEAD_SIZE 1024
#define WRITEBACK_AHEAD_BATCHES 32

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
 * struct writeback_ahead - a stretch of a pass
 * @nr: how many folios; 0 where there is no stretch
 * @nr_runs: in how many runs
 * @nr_batch: how many of them are in the batch of the pass, from @first on; the others have not
 *	been looked up
 * @first: the place in the batch of the first, which writeback_iter() returned
 * @batches: how many batches the next stretch of single folios may take. It doubles with each that
 *	was written unseen: where somebody always looks, there is no use in looking far ahead.
 * @looked_behind: whether the folio behind the last one, or that there is none, was found out
 * @nr_pages: the pages of its folios
 * @runs: the folios. All but the first are as they were found, and nothing holds a reference.
 */
struct writeback_ahead {
	uint32_t nr;
	uint32_t nr_runs;
	uint32_t nr_batch;
	uint32_t first;
	uint32_t batches;
	bool looked_behind;
	uint64_t nr_pages;
	struct folio_run runs[WRITEBACK_AHEAD_SIZE];
};

/* The folio of the stretch that has so many behind it. */
static inline struct folio *ahead_from_end(const struct writeback_ahead *ahead, uint32_t behind)
{
	const struct folio_run *run = &ahead->runs[ahead->nr_runs - 1];

	while (behind >= run->nr) {
		behind -= run->nr;
		run--;
	}
	return run->first + (run->nr - 1 - behind);
}

void writeback_begin_ahead(struct writeback_ahead *ahead);
void writeback_look_ahead(struct address_space *mapping, const struct writeback_control *wbc,
			  struct writeback_ahead *ahead);
void writeback_look_ahead_contiguous(struct address_space *mapping,
				     const struct writeback_control *wbc,
				     struct writeback_ahead *ahead, uint64_t max_pages);
void writeback_settle_ahead(struct address_space *mapping, struct writeback_control *wbc,
			    struct writeback_ahead *ahead, uint32_t done, uint32_t in_hand);
struct folio *writeback_end_ahead(struct address_space *mapping, struct writeback_control *wbc,
				  struct writeback_ahead *ahead);

#endif
