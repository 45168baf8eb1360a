// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reclaim: takes frames from pages that were not used recently, for other pages. After mm/vmscan.c.
 *
 * It takes only clean pages, and of those that were written only pages that an fsync reached: if
 * the next fsync fails, the others have to be written again.
 */
#include "page_frame.h"
#include "writeback.h"

/* How many pages are reclaimed at a time: SWAP_CLUSTER_MAX. */
#define RECLAIM_BATCH 32U

/* Whether the frame is free now. */
static bool reclaim_page(const struct frame_use *use)
{
	struct inode *inode = use->owner;
	struct address_space *mapping = &inode->mapping;
	struct folio *folio = filemap_get_folio(mapping, use->index);
	bool reclaimed = false;

	if (folio == NULL)
		return false;
	if (folio_trylock(folio)) {
		/* The frame was looked at without a lock: the page may have another by now. */
		if (folio_test_cached(folio) && *folio_frame(folio) == use->frame &&
		    atomic_load_explicit(&page_frame(use->frame)->epoch, memory_order_relaxed) <
			    atomic_load(&inode->stable_epoch) &&
		    remove_mapping(mapping, folio) == 0) {
			*folio_frame(folio) = 0;
			reclaimed = true;
		}
		folio_unlock(mapping, folio);
	}
	folio_put(mapping, folio);
	if (reclaimed)
		frame_put(use->frame);
	return reclaimed;
}

/**
 * reclaim_frame - a frame for a page when the budget is used up
 * @owner: the page's inode
 * @index: the page's index
 *
 * Does not sleep. The clock goes around at most twice: the first time it clears the references.
 *
 * Return: the frame, 0 if every page is dirty, under writeback, not synced yet, or in use.
 */
frame_t reclaim_frame(struct inode *owner, pgoff_t index)
{
	struct frame_use uses[RECLAIM_BATCH];
	uint64_t to_scan = 2 * frames_used();
	frame_t frame = 0;

	while (frame == 0 && to_scan > 0) {
		uint32_t nr = frames_scan(uses, RECLAIM_BATCH, &to_scan);
		bool reclaimed = false;

		for (uint32_t i = 0; i < nr; i++) {
			reclaimed |= reclaim_page(&uses[i]);
			inode_put(uses[i].owner);
		}
		if (reclaimed)
			frame = frame_take(owner, index);
	}
	return frame;
}
