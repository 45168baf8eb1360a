// SPDX-License-Identifier: GPL-2.0-only
/*
 * Gathers runs of folios for one write, as file systems do in their loops over writeback_iter().
 */
#include "writeback_extent.h"

/* Adds folios that follow the extent and are one run; the run before grows by them if the two are
 * one. */
static void extent_add(struct writeback_extent *extent, struct folio *first, uint32_t nr)
{
	pgoff_t index = extent->index + extent->nr_pages;

	folio_get_run(first, nr);
	extent->nr_folios += nr;
	extent->nr_pages += nr == 1 ? (uint64_t)folio_nr_pages(first) : nr;
	if (extent->nr_runs != 0) {
		struct folio_run *last = &extent->runs[extent->nr_runs - 1];

		/* A node begins where all these bits of the index are 0. */
		if (first == last->first + last->nr && (index & XA_CHUNK_MASK) != 0 &&
		    !folio_test_large(last->first) && !folio_test_large(first)) {
			last->nr += nr;
			return;
		}
	}
	extent->runs[extent->nr_runs++] = (struct folio_run){.first = first, .nr = nr};
}

/*
 * Takes the folios that writeback_iter() would return next if those before were handed back without
 * error, while they continue the extent and need no wait.
 */
static void extent_extend(struct address_space *mapping, struct writeback_control *wbc,
			  struct writeback_extent *extent, uint64_t max_pages)
{
	struct folio_batch *fbatch = &wbc->fbatch;
	int64_t last = (int64_t)extent->nr_pages;

	while (extent->nr_pages < max_pages) {
		/* nr_to_write after the last folio is handed back. */
		int64_t left = wbc->sync_mode == WB_SYNC_ALL ? INT64_MAX : wbc->nr_to_write - last;
		uint64_t room = max_pages - extent->nr_pages;
		uint64_t nr, nr_pages;
		struct folio *first;
		uint32_t taken;

		if (left <= 0 || !writeback_fill_batch(mapping, wbc))
			return;
		first = fbatch->folios[fbatch->i];
		nr = fbatch->runs[fbatch->i];
		nr_pages = (uint64_t)folio_nr_pages(first);
		if (folio_index(first) != extent->index + extent->nr_pages || nr_pages > room)
			return;
		if (nr > room)
			nr = room;
		if (nr > (uint64_t)left)
			nr = (uint64_t)left;
		taken = folio_trylock_run_for_io(first, (uint32_t)nr);
		if (taken == 0)
			return;
		wbc->nr_to_write -= last + (taken - 1);
		last = (int64_t)nr_pages;
		fbatch->i += taken;
		extent_add(extent, first, taken);
		if (taken < nr)
			return;
	}
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
	struct folio *last = extent->nr_folios != 0 ? extent_last(extent) : NULL;
	struct folio *folio = writeback_iter(mapping, wbc, last, error);

	if (wbc->blocked != NULL)
		return false;
	writeback_put_extent(mapping, extent);
	if (folio == NULL)
		return false;
	extent->index = folio_index(folio);
	extent_add(extent, folio, 1);
	extent_extend(mapping, wbc, extent, max_pages);
	*error = 0;
	return true;
}

/*
 * The folio was written, or the write failed. A caller that unlocked or removed it meanwhile has
 * taken it over. A folio that is still locked is the pass's: it does not stay under writeback,
 * which no code would end.
 */
static void folio_end_write(struct address_space *mapping, struct folio *folio, int error)
{
	unsigned int flags = folio_flags(folio);

	if ((flags & PG_cached) == 0)
		return;
	if (error != 0)
		folio_mark_dirty(mapping, folio);
	if ((flags & PG_locked) == 0)
		return;
	if (error == 0 && (flags & PG_writeback) == 0)
		folio_start_writeback(mapping, folio, false);
	folio_unlock(mapping, folio);
	if (error == 0 || (flags & PG_writeback) != 0)
		folio_end_writeback(mapping, folio);
}

/*
 * folio_end_write() without error for a run. If no other thread sees the mapping, start and end of
 * writeback are one step, which need not set WRITEBACK, and clears the marks of several folios
 * together.
 */
static void end_written(struct address_space *mapping, struct folio_run run)
{
	const folio_word_t state = PG_cached | PG_locked | PG_dirty | PG_writeback;
	folio_word_t *words = folio_words(run.first);

	if (likely(!folio_is_shared(run.first) &&
		   words_all(words, run.nr, state, PG_cached | PG_locked))) {
		struct xa_state xas = folio_xas(mapping, run.first);
		uint64_t bits = word_of_ones(run.nr) << xas.xa_offset;

		for (uint32_t i = 0; i < run.nr; i++)
			words[i] &= ~(folio_word_t)PG_locked;
		xas_clear_marks(xas.xa_node, bits, PAGECACHE_TAG_DIRTY);
		xas_clear_marks(xas.xa_node, bits, PAGECACHE_TAG_TOWRITE);
		return;
	}
	for (uint32_t i = 0; i < run.nr; i++)
		folio_end_write(mapping, run.first + i, 0);
}

/**
 * writeback_end_extent - the write of an extent has ended
 * @mapping: the page cache
 * @extent: the extent; afterwards it holds the last folio alone, for writeback_get_extent()
 * @error: 0, or the negative errno of the write, which makes the folios dirty again
 */
void writeback_end_extent(struct address_space *mapping, struct writeback_extent *extent, int error)
{
	struct folio *last = extent_last(extent);

	for (uint32_t i = 0; i < extent->nr_runs; i++) {
		struct folio_run run = extent->runs[i];

		if (error == 0)
			end_written(mapping, run);
		for (uint32_t j = 0; error != 0 && j < run.nr; j++)
			folio_end_write(mapping, run.first + j, error);
	}
	writeback_hold_last(mapping, extent, last);
}

/**
 * writeback_hold_last - drop an extent except for the folio to be handed back
 * @mapping: the page cache
 * @extent: the extent, which has been ended, if it is one; afterwards it holds @last alone
 * @last: the folio that the pass returned last; the caller holds a reference
 */
void writeback_hold_last(struct address_space *mapping, struct writeback_extent *extent,
			 struct folio *last)
{
	folio_get(last);
	writeback_put_extent(mapping, extent);
	extent->runs[0] = (struct folio_run){.first = last, .nr = 1};
	extent->nr_runs = extent->nr_folios = 1;
}

/**
 * writeback_put_extent - drop an extent
 * @mapping: the page cache
 * @extent: the extent, which has been ended, if it is one; none afterwards
 */
void writeback_put_extent(struct address_space *mapping, struct writeback_extent *extent)
{
	for (uint32_t i = 0; i < extent->nr_runs; i++)
		folio_put_run(mapping, extent->runs[i].first, extent->runs[i].nr);
	extent->nr_runs = extent->nr_folios = 0;
	extent->nr_pages = 0;
}
