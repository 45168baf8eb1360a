/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The writeback iteration (the kernel's include/linux/writeback.h).
 */
#ifndef WRITEBACK_ITER_PAGE_WRITEBACK_H
#define WRITEBACK_ITER_PAGE_WRITEBACK_H

#include "address_space.h"

enum writeback_sync_modes {
	WB_SYNC_NONE, /* write some, skip what is busy */
	WB_SYNC_ALL,  /* data integrity: wait for busy folios, write all */
};

/* Returned by a writepage callback: the caller unlocks the folio, and this is no error. */
#define AOP_WRITEPAGE_ACTIVATE 0x80000

/**
 * struct writeback_control - the parameters of a pass, and its progress
 * @nr_to_write: pages still to write; counted down, may go negative
 * @pages_skipped: pages that folio_redirty_for_writepage() declined
 * @range_start: first byte of the range
 * @range_end: last byte of the range, included
 * @sync_mode: WB_SYNC_*
 * @tagged_writepages: tag first and write only what was tagged, in WB_SYNC_NONE too
 * @range_cyclic: start at the mapping's writeback_index, ignoring the range
 * @fbatch: folios found but not returned yet, and their references
 * @index: where the next lookup starts
 * @saved_err: first error of a WB_SYNC_ALL pass
 * @blocked: the folio that the pass would have had to wait for, still in @fbatch; else NULL
 * @blocked_on: the flag that the pass would wait for: PG_locked or PG_writeback
 *
 * Belongs to one thread. To abandon a pass, release @fbatch and clear @blocked.
 */
struct writeback_control {
	int64_t nr_to_write;
	int64_t pages_skipped;
	int64_t range_start;
	int64_t range_end;
	enum writeback_sync_modes sync_mode;
	bool tagged_writepages;
	bool range_cyclic;

	int saved_err;
	pgoff_t index;
	struct folio *blocked;
	unsigned int blocked_on;
	struct folio_batch fbatch;
};

typedef int (*writepage_t)(struct folio *folio, struct writeback_control *wbc, void *data);

void tag_pages_for_writeback(struct address_space *mapping, pgoff_t start, pgoff_t end);
struct folio *writeback_iter(struct address_space *mapping, struct writeback_control *wbc,
			     struct folio *folio, int *error);
int write_cache_pages(struct address_space *mapping, struct writeback_control *wbc,
		      writepage_t writepage, void *data);
bool folio_redirty_for_writepage(struct address_space *mapping, struct writeback_control *wbc,
				 struct folio *folio);
xa_mark_t wbc_to_tag(const struct writeback_control *wbc);
pgoff_t wbc_end(const struct address_space *mapping, const struct writeback_control *wbc);
bool writeback_fill_batch(struct address_space *mapping, struct writeback_control *wbc);

#endif
