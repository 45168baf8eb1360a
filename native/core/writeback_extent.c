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
 * The folio that writeback_iter() would return if the last one were handed back without error,
 * taken as it would take it: if it continues the extent, and without a wait. NULL otherwise, with
 * nothing done.
 */
static struct folio *extent_continue(struct address_space *mapping, struct writeback_control *wbc,
				     const struct writeback_extent *extent, uint64_t max_pages)
{
	int64_t nr_to_write =
		wbc->nr_to_write - folio_nr_pages(extent->folios[extent->nr_folios - 1]);
	struct folio *next;

	if (extent->nr_pages >= max_pages)
		return NULL;
	if (wbc->sync_mode == WB_SYNC_NONE && nr_to_write <= 0)
		return NULL;
	if (!writeback_fill_batch(mapping, wbc))
		return NULL;
	next = wbc->fbatch.folios[wbc->fbatch.i];
	if (folio_index(next) != extent->index + extent->nr_pages ||
	    extent->nr_pages + (uint64_t)folio_nr_pages(next) > max_pages)
		return NULL;
	if (!folio_trylock_for_io(next))
		return NULL;
	wbc->fbatch.i++;
	wbc->nr_to_write = nr_to_write;
	return next;
}

/*
 * The first folio of the next extent; NULL where the pass is over or blocked. Of the extent before,
 * only @last was still held, if that, and is no longer, unless the pass is blocked.
 */
static struct folio *extent_begin(struct address_space *mapping, struct writeback_control *wbc,
				  struct writeback_extent *extent, struct folio *last, int *error)
{
	struct folio *folio = writeback_iter(mapping, wbc, last, error);

	if (wbc->blocked != NULL)
		return NULL;
	if (extent->nr_folios != 0)
		folio_put(mapping, last);
	extent->nr_folios = 0;
	extent->nr_pages = 0;
	return folio;
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
	folio = extent_begin(mapping, wbc, extent, last, error);
	if (folio == NULL)
		return false;
	extent->index = folio_index(folio);
	extent_add(extent, folio);
	while ((folio = extent_continue(mapping, wbc, extent, max_pages)) != NULL)
		extent_add(extent, folio);
	*error = 0;
	return true;
}

/*
 * The folio was written, or the write failed. Who unlocked or removed it meanwhile has taken it
 * over. A folio that is still locked is the pass's: it does not stay under writeback, which nobody
 * would end.
 */
static void end_write(struct address_space *mapping, struct folio *folio, int error)
{
	bool started;

	if (!folio_test_cached(folio))
		return;
	if (error != 0)
		folio_mark_dirty(mapping, folio);
	if (!folio_test_locked(folio))
		return;
	if (error == 0 && !folio_test_writeback(folio))
		folio_start_writeback(mapping, folio, false);
	/* Once it is unlocked, another thread may start writeback of its own. */
	started = folio_test_writeback(folio);
	folio_unlock(mapping, folio);
	if (started)
		folio_end_writeback(mapping, folio);
}

/**
 * writeback_end_folios - folios were written: start and end writeback of each, and unlock it
 * @mapping: the page cache
 * @folios: the folios, which the caller locked and cleared for I/O; who unlocked or removed one
 *	meanwhile has taken it over
 * @nr: how many
 *
 * Neighbours lose their marks at once, a word at a time.
 */
void writeback_end_folios(struct address_space *mapping, struct folio *const *folios, uint32_t nr)
{
	const unsigned int state = PG_cached | PG_locked | PG_dirty | PG_writeback | PG_shared;
	struct xa_node *node = NULL;
	uint64_t bits = 0;

	for (uint32_t i = 0; i < nr; i++) {
		struct folio *folio = folios[i];

		if (bits != 0 && !folio_is_in(folio, node)) {
			clear_marks_written(node, bits);
			bits = 0;
		}
		/* Start and end of writeback at once: WRITEBACK would be set and cleared again. */
		if ((folio_flags(folio) & state) == (PG_cached | PG_locked)) {
			folio_change_flags(folio, 0, PG_locked);
			if (bits == 0)
				node = folio_xas(mapping, folio).xa_node;
			bits |= folio_bit(folio, node);
		} else {
			end_write(mapping, folio, 0);
		}
	}
	if (bits != 0)
		clear_marks_written(node, bits);
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

	if (error == 0)
		writeback_end_folios(mapping, extent->folios, extent->nr_folios);
	for (uint32_t i = 0; i < extent->nr_folios; i++) {
		struct folio *folio = extent->folios[i];

		if (error != 0)
			end_write(mapping, folio, error);
		if (folio != last)
			folio_put(mapping, folio);
	}
	extent->folios[0] = last;
	extent->nr_folios = 1;
}

/**
 * writeback_get_extent_ahead - writeback_get_extent(), for a host that pays for every call
 * @mapping: the page cache, not shared
 * @wbc: the pass
 * @ahead: in: the stretch that was returned last; it was written, unless it was held; out: the next
 *	one, contiguous
 * @held: in: what was held and ended of the extent that was returned last; out: nothing
 * @max_pages: as for writeback_get_extent()
 * @error: as for writeback_get_extent()
 *
 * If anything might look at a folio, a mark or the pass before the extent is written, or the write
 * fails, it is to be held first.
 *
 * Return: as writeback_get_extent().
 */
bool writeback_get_extent_ahead(struct address_space *mapping, struct writeback_control *wbc,
				struct writeback_ahead *ahead, struct writeback_extent *held,
				uint64_t max_pages, int *error)
{
	struct folio *last = NULL;
	struct folio *folio;

	if (ahead->nr != 0)
		last = writeback_end_ahead(mapping, wbc, ahead);
	else if (held->nr_folios != 0)
		last = held->folios[0];
	folio = extent_begin(mapping, wbc, held, last, error);
	if (folio == NULL)
		return false;
	writeback_look_ahead_contiguous(mapping, wbc, ahead, max_pages);
	*error = 0;
	return true;
}

/**
 * writeback_hold_extent - make everything as if writeback_get_extent() had returned the stretch
 * @mapping: the page cache
 * @wbc: the pass
 * @ahead: a stretch that writeback_get_extent_ahead() returned; none afterwards
 * @held: the extent; to be ended with writeback_end_extent()
 */
void writeback_hold_extent(struct address_space *mapping, struct writeback_control *wbc,
			   struct writeback_ahead *ahead, struct writeback_extent *held)
{
	assert(held->nr_folios == 0 && held->nr_pages == 0);
	held->index = folio_index(ahead->runs[0].first);
	for (const struct folio_run *run = ahead->runs; run < &ahead->runs[ahead->nr_runs]; run++) {
		for (uint32_t i = 0; i < run->nr; i++)
			extent_add(held, run->first + i);
	}
	writeback_settle_ahead(mapping, wbc, ahead, 0, ahead->nr);
}
