// SPDX-License-Identifier: GPL-2.0-only
/*
 * The writeback iteration. Transcribed from mm/page-writeback.c of Linux 6.12 (which came with
 * "writeback: add a writeback iterator" by Christoph Hellwig in 6.9): same functions, same order of
 * decisions. native/README.md has the table of what differs.
 */
#include "page_writeback.h"

#include <errno.h>

/**
 * tag_pages_for_writeback - set TOWRITE on every folio that is marked DIRTY
 * @mapping: the page cache
 * @start: first page of the range; a folio that covers it counts
 * @end: last page of the range, included
 *
 * The answer to livelock: a sync writes what has TOWRITE, that is what was dirty when it began,
 * however fast others dirty more. So it has to be quicker than they are. The rule that makes it
 * safe: only the start of a folio's writeback clears TOWRITE.
 */
void tag_pages_for_writeback(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	XA_STATE(xas, &mapping->i_pages, start);

	xa_lock(&mapping->i_pages);
	while (xas_copy_mark(&xas, end, PAGECACHE_TAG_DIRTY, PAGECACHE_TAG_TOWRITE)) {
		/* Let others at the tree from time to time. */
		xa_unlock(&mapping->i_pages);
		xa_lock(&mapping->i_pages);
	}
	xa_unlock(&mapping->i_pages);
}

/* The pass would have to wait for this folio, and the host says that it cannot. */
static void wbc_block(struct writeback_control *wbc, struct folio *folio, unsigned int flag)
{
	wbc->blocked = folio;
	wbc->blocked_on = flag;
}

/*
 * Whether to write the folio, which is locked: anything may have happened to it between the lookup
 * and the lock. If it is to be written, its dirty flag is clear on return.
 */
static bool folio_prepare_writeback(struct address_space *mapping, struct writeback_control *wbc,
				    struct folio *folio)
{
	/*
	 * Truncated or invalidated. The folio may be in another place by now, but then it was
	 * written or is dirty there.
	 */
	if (unlikely(!folio_in_mapping(folio, mapping)))
		return false;

	/* Somebody wrote it for us. */
	if (!folio_test_dirty(folio))
		return false;

	if (folio_test_writeback(folio)) {
		if (wbc->sync_mode == WB_SYNC_NONE)
			return false;
		if (folio_wait_writeback(mapping, folio) != 0) {
			wbc_block(wbc, folio, PG_writeback);
			return false;
		}
	}
	assert(!folio_test_writeback(folio));

	return folio_clear_dirty_for_io(folio);
}

xa_mark_t wbc_to_tag(const struct writeback_control *wbc)
{
	if (wbc->sync_mode == WB_SYNC_ALL || wbc->tagged_writepages)
		return PAGECACHE_TAG_TOWRITE;
	return PAGECACHE_TAG_DIRTY;
}

/* The last page of the pass. */
pgoff_t wbc_end(const struct address_space *mapping, const struct writeback_control *wbc)
{
	if (wbc->range_cyclic)
		return UINT64_MAX;
	return (pgoff_t)wbc->range_end >> mapping->page_shift;
}

/**
 * writeback_fill_batch - look up the folios that come next, if the batch is used up
 * @mapping: the page cache
 * @wbc: the pass
 *
 * The references to the folios returned before go with this.
 *
 * Return: whether the batch has a folio.
 */
bool writeback_fill_batch(struct address_space *mapping, struct writeback_control *wbc)
{
	if (wbc->fbatch.i < wbc->fbatch.nr)
		return true;
	folio_batch_release(mapping, &wbc->fbatch);
	return filemap_get_folios_tag(mapping, &wbc->index, wbc_end(mapping, wbc), wbc_to_tag(wbc),
				      &wbc->fbatch) != 0;
}

/* The next folio to write, locked and cleared for I/O; NULL if there is none or the pass is
 * blocked. */
static struct folio *writeback_get_folio(struct address_space *mapping,
					 struct writeback_control *wbc)
{
	struct folio *folio;

	for (;;) {
		if (!writeback_fill_batch(mapping, wbc))
			return NULL;
		folio = folio_batch_next(&wbc->fbatch);

		/* The fast path: all of what follows in one step. */
		if (likely(folio_trylock_for_io(folio)))
			return folio;
		if (folio_lock(mapping, folio) != 0) {
			wbc_block(wbc, folio, PG_locked);
		} else {
			if (folio_prepare_writeback(mapping, wbc, folio))
				return folio;
			folio_unlock(mapping, folio);
		}
		if (unlikely(wbc->blocked != NULL)) {
			/* A blocked pass holds no lock; it examines the folio again next time.
			 */
			wbc->fbatch.i--;
			return NULL;
		}
	}
}

/**
 * writeback_iter - the next folio of a pass
 * @mapping: the page cache
 * @wbc: the pass
 * @folio: the folio returned last, NULL to start
 * @error: in: how the write of @folio went, 0 or a negative errno; out, with NULL: the result
 *
 * To be called in a loop until it returns NULL. The folio comes locked and cleared for I/O; who
 * writes it starts writeback, unlocks it and ends writeback. In between, anything may happen to any
 * folio, @folio included: the batch holds a reference to it until the next call.
 *
 * WB_SYNC_ALL continues to the end whatever the errors and @wbc->nr_to_write, and returns the first
 * error. WB_SYNC_NONE stops at an error or when @wbc->nr_to_write runs out, which is looked at
 * after a folio, not before the first.
 *
 * Where the host cannot wait, the result is NULL, *@error is -EDEADLK and @wbc->blocked names the
 * folio; the next call, with the same @folio, continues there.
 *
 * Return: the folio, or NULL.
 */
struct folio *writeback_iter(struct address_space *mapping, struct writeback_control *wbc,
			     struct folio *folio, int *error)
{
	if (unlikely(wbc->blocked != NULL)) {
		/* The call that blocked did the following already. */
		wbc->blocked = NULL;
		*error = 0;
	} else if (folio == NULL) {
		folio_batch_init(&wbc->fbatch);
		wbc->saved_err = *error = 0;

		/* A cyclic pass starts where the last one stopped. */
		if (wbc->range_cyclic)
			wbc->index = mapping->writeback_index;
		else
			wbc->index = (pgoff_t)wbc->range_start >> mapping->page_shift;

		/* First tag the dirty folios, then write those; see tag_pages_for_writeback(). */
		if (wbc->sync_mode == WB_SYNC_ALL || wbc->tagged_writepages)
			tag_pages_for_writeback(mapping, wbc->index, wbc_end(mapping, wbc));
	} else {
		wbc->nr_to_write -= folio_nr_pages(folio);

		assert(*error <= 0);

		/*
		 * An integrity pass continues until all folios that it tagged are written, whatever
		 * fails or was written in between. A background pass stops at a failure, or when
		 * nr_to_write is used up.
		 */
		if (wbc->sync_mode == WB_SYNC_ALL) {
			if (*error != 0 && wbc->saved_err == 0)
				wbc->saved_err = *error;
		} else {
			if (*error != 0 || wbc->nr_to_write <= 0)
				goto done;
		}
	}

	folio = writeback_get_folio(mapping, wbc);
	if (folio == NULL) {
		if (unlikely(wbc->blocked != NULL)) {
			*error = -EDEADLK;
			return NULL;
		}
		/*
		 * The next cyclic pass starts at the first page, but this one does not wrap: a
		 * caller may keep folios under writeback until its pass ends, and would wait for a
		 * lower folio while another waits for one of its own. So locks are only taken in
		 * ascending order.
		 */
		if (wbc->range_cyclic)
			mapping->writeback_index = 0;

		*error = wbc->saved_err;
	}
	return folio;

done:
	/* Read before the release: the batch may hold the last reference. */
	if (wbc->range_cyclic)
		mapping->writeback_index = folio_next_index(folio);
	folio_batch_release(mapping, &wbc->fbatch);
	return NULL;
}

/**
 * write_cache_pages - a pass with a callback per folio, the way file systems did it before
 * @mapping: the page cache
 * @wbc: the pass
 * @writepage: starts writeback of the folio and unlocks it
 * @data: passed to @writepage
 *
 * Return: 0 or a negative errno as writeback_iter() defines it.
 */
int write_cache_pages(struct address_space *mapping, struct writeback_control *wbc,
		      writepage_t writepage, void *data)
{
	struct folio *folio = NULL;
	int error;

	while ((folio = writeback_iter(mapping, wbc, folio, &error)) != NULL) {
		error = writepage(folio, wbc, data);
		if (error == AOP_WRITEPAGE_ACTIVATE) {
			folio_unlock(mapping, folio);
			error = 0;
		}
	}
	return error;
}

/**
 * folio_redirty_for_writepage - decline to write a folio
 * @mapping: the page cache
 * @wbc: the pass, whose pages_skipped counts the folio's pages
 * @folio: the folio
 *
 * Return: as folio_mark_dirty().
 */
bool folio_redirty_for_writepage(struct address_space *mapping, struct writeback_control *wbc,
				 struct folio *folio)
{
	wbc->pages_skipped += folio_nr_pages(folio);
	return folio_mark_dirty(mapping, folio);
}
