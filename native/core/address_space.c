// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page cache of one file. After mm/filemap.c and mm/page-writeback.c of Linux 6.12.
 *
 * Locks, where the mapping is shared: a folio's lock, then the tree's (i_pages.xa_lock). Flags are
 * changed atomically; the tree's lock covers every change of a mark.
 */
#include "address_space.h"

#include <errno.h>

/**
 * address_space_init - make an empty page cache
 * @mapping: the page cache
 * @page_shift: log2 of the page size
 * @shared: whether threads share it; if not, no call uses locks or atomics
 * @a_ops: the host's functions; must outlive @mapping
 */
void address_space_init(struct address_space *mapping, unsigned int page_shift, bool shared,
			const struct address_space_operations *a_ops)
{
	xa_init(&mapping->i_pages, shared, a_ops->alloc, a_ops->free);
	folio_pool_init(&mapping->pool);
	mapping->nrpages = 0;
	mapping->writeback_index = 0;
	mapping->page_shift = page_shift;
	mapping->a_ops = a_ops;
}

/**
 * address_space_destroy - drop a page cache, dirty folios included
 * @mapping: the page cache; neither it nor a folio of it is in use any more
 *
 * Chunks of folios stay with the host, which added them, and are not touched: they may be gone
 * already.
 */
void address_space_destroy(struct address_space *mapping)
{
	xa_destroy(&mapping->i_pages);
	folio_pool_destroy(&mapping->pool, mapping->a_ops->free);
	mapping->nrpages = 0;
}

/**
 * address_space_add_chunk - give a page cache memory for FOLIO_CHUNK_FOLIOS more folios
 * @mapping: the page cache
 * @chunk: zeroed, at a multiple of FOLIO_CHUNK_ALIGN; stays the caller's, to be freed after
 *	address_space_destroy()
 *
 * Return: 0, or -ENOMEM with nothing taken.
 */
int address_space_add_chunk(struct address_space *mapping, struct folio_chunk *chunk)
{
	int err;

	xa_lock(&mapping->i_pages);
	err = folio_pool_reserve(&mapping->pool, mapping->a_ops->alloc, mapping->a_ops->free);
	if (err == 0)
		folio_pool_add(&mapping->pool, chunk);
	xa_unlock(&mapping->i_pages);
	return err;
}

/**
 * address_space_give_nodes - give a page cache memory for more nodes of its tree
 * @mapping: the page cache; either all memory for its nodes is given by this call, or none
 * @nodes: zeroed; stays the caller's. In use until the next such call or address_space_destroy()
 * @max: the number of nodes that it has room for: more than before
 *
 * For a host that changes marks in place. The memory given before is the host's alone again.
 *
 * Return: 0, or -ENOMEM with nothing taken.
 */
int address_space_give_nodes(struct address_space *mapping, struct xa_node *nodes, uint32_t max)
{
	int err;

	xa_lock(&mapping->i_pages);
	err = xa_give_nodes(&mapping->i_pages, nodes, max);
	xa_unlock(&mapping->i_pages);
	return err;
}

/* Neighbours in memory come into the page cache side by side, the first in this slot of the tree.
 */
static void folios_attach(struct address_space *mapping, struct folio *first, uint32_t nr,
			  const struct xa_state *xas, unsigned int order)
{
	const uint16_t flags =
		(uint16_t)(PG_uptodate | PG_cached | (mapping->i_pages.xa_shared ? PG_shared : 0) |
			   order << FOLIO_ORDER_SHIFT);
	uint32_t slot = xa_slot_number(&mapping->i_pages, xas->xa_node, xas->xa_offset);
	uint32_t *tree_slots = folio_tree_slot(first);
	pgoff_t *indices = folio_index_place(first);

	for (uint32_t i = 0; i < nr; i++) {
		indices[i] = xas->xa_index + ((pgoff_t)i << order);
		tree_slots[i] = slot + (i << order % XA_CHUNK_SHIFT);
		atomic_store_explicit(&first[i].refcount, 1, memory_order_relaxed);
		atomic_store_explicit(&first[i].flags, flags, memory_order_release);
	}
	mapping->nrpages += (uint64_t)nr << order;
}

/**
 * filemap_add_folio - add a new folio: clean, up to date and unlocked
 * @mapping: the page cache
 * @index: its first page, a multiple of 2^@order
 * @order: log2 of its number of pages, at most XA_MAX_ORDER
 * @foliop: on success the folio; the page cache holds the reference
 *
 * Return: 0; -EEXIST if any of its pages is covered; -ENOSPC if the page cache has no memory for a
 * folio (address_space_add_chunk()) or, where the host gives it, for nodes
 * (address_space_give_nodes()); -ENOMEM. On error nothing changed.
 */
int filemap_add_folio(struct address_space *mapping, pgoff_t index, unsigned int order,
		      struct folio **foliop)
{
	XA_STATE(xas, &mapping->i_pages, index);
	struct folio *folio;
	uint32_t nr;
	int err;

	xa_lock(&mapping->i_pages);
	folio = folio_pool_get(&mapping->pool, 1, &nr);
	if (folio == NULL) {
		err = -ENOSPC;
		goto unlock;
	}
	err = xas_insert(&xas, order, folio_entry(folio));
	if (err != 0) {
		folio_pool_put(&mapping->pool, folio);
		goto unlock;
	}
	folios_attach(mapping, folio, 1, &xas, order);
	*foliop = folio;
unlock:
	xa_unlock(&mapping->i_pages);
	return err;
}

/* Removes a folio that is not in use yet. */
static void filemap_unadd_folio(struct address_space *mapping, xa_entry_t entry)
{
	struct folio *folio = folio_of_entry(mapping, entry);
	struct xa_state xas = folio_xas(mapping, folio);

	xas_erase(&xas, folio_order(folio));
	mapping->nrpages -= (uint64_t)folio_nr_pages(folio);
	folio_change_flags(folio, 0, PG_cached);
	folio_pool_put(&mapping->pool, folio);
}

/**
 * filemap_add_folios - add new contiguous folios, as filemap_add_folio() does
 * @mapping: the page cache
 * @index: the first page of the first, a multiple of 2^@order
 * @count: the number of folios
 * @order: the order of each
 *
 * Adds the folios of a leaf at once. Holds the tree's lock throughout.
 *
 * Return: as filemap_add_folio(). On error nothing changed.
 */
int filemap_add_folios(struct address_space *mapping, pgoff_t index, uint64_t count,
		       unsigned int order)
{
	XA_STATE(xas, &mapping->i_pages, index);
	uint64_t left = count;
	int err = 0;

	if (count == 0)
		return 0;
	xa_lock(&mapping->i_pages);
	if (xa_conflict(&mapping->i_pages, index, index + (count << order) - 1))
		err = -EEXIST;
	else if (mapping->pool.nr_free < count)
		err = -ENOSPC;
	while (err == 0 && left != 0) {
		unsigned int width = order % XA_CHUNK_SHIFT;
		uint64_t room = (XA_CHUNK_SIZE -
				 ((xas.xa_index >> xa_order_shift(order)) & XA_CHUNK_MASK)) >>
				width;
		uint32_t nr;
		struct folio *first =
			folio_pool_get(&mapping->pool, (uint32_t)(left < room ? left : room), &nr);

		assert(first != NULL);
		err = xas_insert(&xas, order, folio_entry(first));
		if (err != 0) {
			for (uint32_t i = nr; i-- > 0;)
				folio_pool_put(&mapping->pool, first + i);
			break;
		}
		xas_insert_next(&xas, order, folio_entry(first), nr);
		folios_attach(mapping, first, nr, &xas, order);
		xas.xa_index += (uint64_t)nr << order;
		left -= nr;
	}
	if (left != 0 && left != count) {
		for (pgoff_t end = xas.xa_index; index < end; index += UINT64_C(1) << order)
			filemap_unadd_folio(mapping, xa_load(&mapping->i_pages, index));
	}
	xa_unlock(&mapping->i_pages);
	return err;
}

/**
 * filemap_get_folio - the folio that covers a page
 * @mapping: the page cache
 * @index: the page
 *
 * Return: the folio with a reference for the caller, or NULL.
 */
struct folio *filemap_get_folio(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = NULL;
	xa_entry_t entry;

	xa_lock(&mapping->i_pages);
	entry = xa_load(&mapping->i_pages, index);
	if (entry != 0) {
		folio = folio_of_entry(mapping, entry);
		folio_get(folio);
	}
	xa_unlock(&mapping->i_pages);
	return folio;
}

/* Takes the folio, which the caller has locked and which is not under writeback, out of the cache.
 */
static void filemap_erase_folio(struct address_space *mapping, struct folio *folio)
{
	struct xa_state xas;

	xa_lock(&mapping->i_pages);
	xas = folio_xas(mapping, folio);
	xas_erase(&xas, folio_order(folio));
	folio_change_flags(folio, 0, PG_dirty | PG_cached);
	mapping->nrpages -= (uint64_t)folio_nr_pages(folio);
	xa_unlock(&mapping->i_pages);
}

/**
 * filemap_remove_folio - remove a folio from the page cache, as truncation does
 * @mapping: the page cache
 * @folio: the folio; the caller holds a reference
 *
 * Clears its dirty flag and all its marks. Does not wait.
 *
 * Return: 0; -EBUSY while it is locked or under writeback; -ENOENT if it is not in @mapping.
 */
int filemap_remove_folio(struct address_space *mapping, struct folio *folio)
{
	int err = 0;

	if (!folio_trylock(folio))
		return -EBUSY;
	if (!folio_in_mapping(folio, mapping))
		err = -ENOENT;
	else if (folio_test_writeback(folio))
		err = -EBUSY;
	else
		filemap_erase_folio(mapping, folio);
	folio_unlock(mapping, folio);
	if (err == 0)
		folio_put(mapping, folio);
	return err;
}

/**
 * remove_mapping - remove a clean folio from the page cache, as reclaim does
 * @mapping: the page cache
 * @folio: the folio, locked by the caller, who holds a reference: it stays locked
 *
 * If every caller dirties a folio under its lock only, none can do so between the check and the
 * removal.
 *
 * Return: 0; -EBUSY if it is dirty or under writeback; -ENOENT if it is not in @mapping.
 */
int remove_mapping(struct address_space *mapping, struct folio *folio)
{
	assert(folio_test_locked(folio));
	if (!folio_in_mapping(folio, mapping))
		return -ENOENT;
	if (folio_test_dirty(folio) || folio_test_writeback(folio))
		return -EBUSY;
	filemap_erase_folio(mapping, folio);
	folio_put(mapping, folio);
	return 0;
}

/**
 * filemap_get_folios_tag - the next folios that have a mark, ascending
 * @mapping: the page cache
 * @start: the page to start at; finds a folio that covers it, even if it begins before. Set to the
 *	page after the last folio if the batch filled up, else after @end.
 * @end: the last page a folio may begin at
 * @tag: the mark
 * @fbatch: an empty batch, which gets up to FOLIO_BATCH_SIZE folios and a reference to each
 *
 * Return: the number of folios found.
 */
unsigned int filemap_get_folios_tag(struct address_space *mapping, pgoff_t *start, pgoff_t end,
				    xa_mark_t tag, struct folio_batch *fbatch)
{
	XA_STATE(xas, &mapping->i_pages, *start);
	struct folio *folio;
	uint64_t bits = 0;
	uint32_t nr;

	xa_lock(&mapping->i_pages);
	while ((folio = xas_next_run(mapping, &xas, &bits, end, tag, FOLIO_BATCH_SIZE - fbatch->nr,
				     &nr)) != NULL) {
		folio_get_run(folio, nr);
		if (folio_batch_add_run(fbatch, folio, nr) == 0) {
			*start = folio_next_index(folio + nr - 1);
			goto unlock;
		}
	}
	/* end + 1 would wrap to the start of the file. */
	*start = end == UINT64_MAX ? UINT64_MAX : end + 1;
unlock:
	xa_unlock(&mapping->i_pages);
	return fbatch->nr;
}

/* The last reference to the folio is gone. */
void folio_free(struct address_space *mapping, struct folio *folio)
{
	assert(!folio_test_cached(folio));
	xa_lock(&mapping->i_pages);
	folio_pool_put(&mapping->pool, folio);
	xa_unlock(&mapping->i_pages);
}

/* Drops the batch's references and empties it. */
void folio_batch_release(struct address_space *mapping, struct folio_batch *fbatch)
{
	for (uint32_t i = 0; i < fbatch->nr; i += fbatch->runs[i])
		folio_put_run(mapping, fbatch->folios[i], fbatch->runs[i]);
	folio_batch_init(fbatch);
}

static int folio_wait(struct address_space *mapping, struct folio *folio, unsigned int flag)
{
	if (mapping->a_ops->wait == NULL)
		return -EDEADLK;
	return mapping->a_ops->wait(mapping, folio, flag);
}

static void folio_wake(struct address_space *mapping, struct folio *folio, unsigned int flag)
{
	if (mapping->a_ops->wake != NULL)
		mapping->a_ops->wake(mapping, folio, flag);
}

/* folio_lock() while another task holds the lock. */
int folio_lock_slow(struct address_space *mapping, struct folio *folio)
{
	do {
		int err = folio_wait(mapping, folio, PG_locked);

		if (err != 0)
			return err;
	} while (!folio_trylock(folio));
	return 0;
}

/* Releases the folio's lock, which the caller, or the task that it acts for, holds. */
void folio_unlock(struct address_space *mapping, struct folio *folio)
{
	unsigned int old = folio_change_flags(folio, 0, PG_locked);

	assert((old & PG_locked) != 0);
	if (unlikely((old & PG_shared) != 0))
		folio_wake(mapping, folio, PG_locked);
}

/**
 * folio_wait_writeback - wait until the folio is not under writeback
 * @mapping: the page cache that the folio came from
 * @folio: the folio, locked, so that no new writeback starts
 *
 * Return: 0, or the error of the host's wait.
 */
int folio_wait_writeback(struct address_space *mapping, struct folio *folio)
{
	while (folio_test_writeback(folio)) {
		int err = folio_wait(mapping, folio, PG_writeback);

		if (err != 0)
			return err;
	}
	return 0;
}

/**
 * folio_mark_dirty - set the folio's dirty flag and mark
 * @mapping: the page cache that the folio came from
 * @folio: the folio
 *
 * A folio that was removed gets the flag only.
 *
 * Return: false, with nothing done, if the flag was set already: the mark is then not looked at.
 */
bool folio_mark_dirty(struct address_space *mapping, struct folio *folio)
{
	if ((folio_change_flags(folio, PG_dirty, 0) & PG_dirty) != 0)
		return false;
	xa_lock(&mapping->i_pages);
	if (likely(folio_test_cached(folio))) {
		struct xa_state xas = folio_xas(mapping, folio);

		xas_set_mark(&xas, PAGECACHE_TAG_DIRTY);
	}
	xa_unlock(&mapping->i_pages);
	return true;
}

/**
 * folio_trylock_for_io - lock a folio and clear its dirty flag, if it can be written at once
 * @folio: the folio; the caller holds a reference
 *
 * folio_trylock() and folio_clear_dirty_for_io() in one step.
 *
 * Return: false, with nothing done, if it is locked, clean, under writeback or in no page cache.
 */
bool folio_trylock_for_io(struct folio *folio)
{
	uint16_t old = atomic_load_explicit(&folio->flags, memory_order_acquire);

	do {
		if (!can_lock_for_io(old))
			return false;
		if (likely((old & PG_shared) == 0)) {
			atomic_store_explicit(&folio->flags, old ^ (PG_locked | PG_dirty),
					      memory_order_relaxed);
			return true;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&folio->flags, &old, old ^ (PG_locked | PG_dirty), memory_order_acq_rel,
		memory_order_acquire));
	return true;
}

/**
 * folio_trylock_run_for_io - folio_trylock_for_io() for folios that are contiguous in memory
 * @first: the first; the caller holds a reference to each
 * @nr: the number of folios
 *
 * Return: the number that were locked: all before the first that cannot be.
 */
uint32_t folio_trylock_run_for_io(struct folio *first, uint32_t nr)
{
	const folio_word_t mask = PG_cached | PG_locked | PG_dirty | PG_writeback;
	folio_word_t *words = folio_words(first);
	uint32_t ready = 0;

	if (unlikely(folio_is_shared(first))) {
		while (ready < nr && folio_trylock_for_io(first + ready))
			ready++;
		return ready;
	}
	if (likely(words_all(words, nr, mask, PG_cached | PG_dirty)))
		ready = nr;
	else
		while (can_lock_for_io(words[ready]))
			ready++;
	for (uint32_t i = 0; i < ready; i++)
		words[i] ^= PG_locked | PG_dirty;
	return ready;
}

/**
 * filemap_dirty_range - folio_mark_dirty() for all folios in a range
 * @mapping: the page cache
 * @start: first page of the range; a folio that covers it counts
 * @end: last page of the range, included
 *
 * Return: the number of folios that became dirty: those whose flag was clear.
 */
uint64_t filemap_dirty_range(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	XA_STATE(xas, &mapping->i_pages, start);
	uint64_t dirtied = 0, bits = 0;
	struct folio *first;
	uint32_t nr;

	xa_lock(&mapping->i_pages);
	while ((first = xas_next_run(mapping, &xas, &bits, end, XA_PRESENT, XA_CHUNK_SIZE, &nr)) !=
	       NULL) {
		uint32_t slot = *folio_tree_slot(first);
		struct xa_node *node = xa_slot_node(&mapping->i_pages, slot);
		folio_word_t *words = folio_words(first);
		uint64_t newly = 0;

		if (likely(!folio_is_shared(first) && words_all(words, nr, PG_dirty, 0))) {
			for (uint32_t i = 0; i < nr; i++)
				words[i] |= PG_dirty;
			newly = word_of_ones(nr);
		} else {
			for (uint32_t i = 0; i < nr; i++) {
				unsigned int old = folio_change_flags(first + i, PG_dirty, 0);

				newly |= (uint64_t)((old & PG_dirty) == 0) << i;
			}
		}
		if (newly != 0)
			xas_set_marks(&mapping->i_pages, node, newly << (slot & XA_CHUNK_MASK),
				      PAGECACHE_TAG_DIRTY);
		dirtied += (uint64_t)__builtin_popcountll(newly);
	}
	xa_unlock(&mapping->i_pages);
	return dirtied;
}

/**
 * filemap_block_dirty - whether all pages of a block are dirty
 * @mapping: the page cache, of single pages
 * @index: a page of the block, which has XA_CHUNK_SIZE of them, and begins at a multiple of that
 */
bool filemap_block_dirty(struct address_space *mapping, pgoff_t index)
{
	XA_STATE(xas, &mapping->i_pages, index);
	bool dirty;

	xa_lock(&mapping->i_pages);
	dirty = xas_load(&xas) != 0 && xas.xa_node->marks[PAGECACHE_TAG_DIRTY] == UINT64_MAX;
	xa_unlock(&mapping->i_pages);
	return dirty;
}

/**
 * folio_start_writeback - the write of the folio's data begins
 * @mapping: the page cache
 * @folio: the folio, locked, not under writeback
 * @keep_write: keep the TOWRITE mark, because only part of the folio is being written and the
 *	iteration has to return for the rest (__folio_start_writeback())
 */
void folio_start_writeback(struct address_space *mapping, struct folio *folio, bool keep_write)
{
	unsigned int old;

	assert(folio_test_locked(folio));
	xa_lock(&mapping->i_pages);
	old = folio_change_flags(folio, PG_writeback, 0);
	assert((old & PG_writeback) == 0);
	if (likely(folio_test_cached(folio))) {
		struct xa_state xas = folio_xas(mapping, folio);

		xas_set_mark(&xas, PAGECACHE_TAG_WRITEBACK);
		/* Dirtied again since its flag was cleared: there is more to write. */
		if ((old & PG_dirty) == 0)
			xas_clear_mark(&xas, PAGECACHE_TAG_DIRTY);
		if (!keep_write)
			xas_clear_mark(&xas, PAGECACHE_TAG_TOWRITE);
	}
	xa_unlock(&mapping->i_pages);
}

/**
 * folio_end_writeback - the write of the folio's data has ended
 * @mapping: the page cache
 * @folio: the folio, under writeback; the caller holds a reference
 */
void folio_end_writeback(struct address_space *mapping, struct folio *folio)
{
	unsigned int old;

	xa_lock(&mapping->i_pages);
	old = folio_change_flags(folio, 0, PG_writeback);
	assert((old & PG_writeback) != 0);
	if (likely(folio_test_cached(folio))) {
		struct xa_state xas = folio_xas(mapping, folio);

		xas_clear_mark(&xas, PAGECACHE_TAG_WRITEBACK);
	}
	xa_unlock(&mapping->i_pages);
	if (unlikely((old & PG_shared) != 0))
		folio_wake(mapping, folio, PG_writeback);
}
