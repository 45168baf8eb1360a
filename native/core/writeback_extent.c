// SPDX-License-Identifier: GPL-2.0-only
/*
 * What file systems do around writeback_iter() to write runs of folios at once, in one place.
 */
#include "writeback_extent.h"

static void extent_add(struct writeback_extent *extent, struct folio *folio)
{
	folio_get(folio);
	extent->folios[extent->nr_folios++] = folio;
	extent->nr_pages += (uint64_t)folio_nr_pages(folio);
}

/*
 * Whether handing back the last folio without error would make writeback_iter() return one that
 * continues the extent, at once and without a wait.
 */
static bool extent_continues(struct address_space *mapping, struct writeback_control *wbc,
			     const struct writeback_extent *extent, uint64_t max_pages)
{
	const struct folio *last = extent->folios[extent->nr_folios - 1];
	const struct folio *next;
	unsigned int flags;

	if (extent->nr_pages >= max_pages)
		return false;
	if (wbc->sync_mode == WB_SYNC_NONE && wbc->nr_to_write - folio_nr_pages(last) <= 0)
		return false;
	if (!writeback_fill_batch(mapping, wbc))
		return false;
	next = wbc->fbatch.folios[wbc->fbatch.i];
	if (folio_index(next) != extent->index + extent->nr_pages ||
	    extent->nr_pages + (uint64_t)folio_nr_pages(next) > max_pages)
		return false;
	flags = folio_flags(next) & (PG_locked | PG_dirty | PG_writeback);
	return flags == PG_dirty && folio_in_mapping(next, mapping);
}

/**
 * writeback_get_extent - the next contiguous run of folios to write
 * @mapping: the page cache
 * @wbc: the pass; not blocked by another caller than this
 * @extent: in: the extent that was returned last, with no folio to start; out: the next one
 * @max_pages: the most pages it may have, 1 to WRITEBACK_EXTENT_MAX_PAGES; a single larger folio is
 *	an extent of its own
 * @error: as for writeback_iter(); the error of an extent is that of its last folio
 *
 * An extent ends at a hole, where @wbc->nr_to_write runs out, and before a folio that is locked or
 * under writeback: a pass never waits while it holds folios. Each extent is to be ended with
 * writeback_end_extent(), which leaves its last folio in place for the next call.
 *
 * Return: false when the pass is over or blocked, with *@error as from writeback_iter().
 */
bool writeback_get_extent(struct address_space *mapping, struct writeback_control *wbc,
			  struct writeback_extent *extent, uint64_t max_pages, int *error)
{
	struct folio *last = NULL;
	struct folio *folio;

	if (extent->nr_folios != 0)
		last = extent->folios[0];
	folio = writeback_iter(mapping, wbc, last, error);
	if (wbc->blocked != NULL)
		return false;
	if (last != NULL)
		folio_put(mapping, last);
	extent->nr_folios = 0;
	extent->nr_pages = 0;
	if (folio == NULL)
		return false;
	extent->index = folio_index(folio);
	extent_add(extent, folio);
	while (extent_continues(mapping, wbc, extent, max_pages)) {
		*error = 0;
		folio = writeback_iter(mapping, wbc, folio, error);
		assert(folio != NULL &&
		       folio_next_index(folio) ==
			       extent->index + extent->nr_pages + (uint64_t)folio_nr_pages(folio));
		extent_add(extent, folio);
	}
	return true;
}

/* The folio was written, or not. Whoever unlocked or removed it meanwhile has taken it over. */
static void folio_end_write(struct address_space *mapping, struct folio *folio, int error)
{
	if (!folio_in_mapping(folio, mapping))
		return;
	if (error != 0) {
		folio_mark_dirty(mapping, folio);
		if (folio_test_locked(folio))
			folio_unlock(mapping, folio);
	} else if (folio_test_locked(folio)) {
		if (!folio_test_writeback(folio))
			folio_start_writeback(mapping, folio, false);
		folio_unlock(mapping, folio);
		folio_end_writeback(mapping, folio);
	}
}

/**
 * writeback_end_extent - an extent was written, or not
 * @mapping: the page cache
 * @extent: the extent; afterwards it holds the last folio alone, for writeback_get_extent()
 * @error: 0, or the negative errno of the write: the folios are dirty again then
 */
void writeback_end_extent(struct address_space *mapping, struct writeback_extent *extent, int error)
{
	struct folio *last = extent->folios[extent->nr_folios - 1];

	for (uint32_t i = 0; i < extent->nr_folios; i++) {
		struct folio *folio = extent->folios[i];

		folio_end_write(mapping, folio, error);
		if (folio != last)
			folio_put(mapping, folio);
	}
	extent->folios[0] = last;
	extent->nr_folios = 1;
}
