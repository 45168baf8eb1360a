/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file's page cache: folios by page index, their state and their marks.
 */
#ifndef WRITEBACK_ITER_ADDRESS_SPACE_H
#define WRITEBACK_ITER_ADDRESS_SPACE_H

#include "folio_batch.h"

#define PAGECACHE_TAG_DIRTY XA_MARK_0
#define PAGECACHE_TAG_WRITEBACK XA_MARK_1
#define PAGECACHE_TAG_TOWRITE XA_MARK_2

#define PAGE_SHIFT 12

/**
 * struct address_space_operations - functions of the host
 * @alloc: gives zeroed memory, or NULL
 * @free: takes it back
 * @wait: sleeps until @folio may have lost @flag (PG_locked or PG_writeback) and returns 0, after
 *	which the caller looks again; or returns a negative errno if it must not or cannot sleep,
 *	which the caller returns. The caller holds a reference but not the tree's lock. NULL if no
 *	thread may sleep: as if it returned -EDEADLK.
 * @wake: called after @folio lost @flag, if the mapping is shared; NULL if no thread sleeps
 */
struct address_space_operations {
	void *(*alloc)(size_t size);
	void (*free)(void *memory);
	int (*wait)(struct address_space *mapping, struct folio *folio, unsigned int flag);
	void (*wake)(struct address_space *mapping, struct folio *folio, unsigned int flag);
};

/**
 * struct address_space - a page cache
 * @i_pages: folio by page index; its lock protects the tree, the marks, @nrpages and @pool
 * @pool: where the folios come from
 * @nrpages: pages in the cache
 * @writeback_index: where a cyclic pass starts; atomic, because passes may end at the same time
 * @page_shift: log2 of the page size; only byte ranges depend on it
 * @a_ops: the host's functions
 */
struct address_space {
	struct xarray i_pages;
	struct folio_pool pool;
	uint64_t nrpages;
	_Atomic pgoff_t writeback_index;
	unsigned int page_shift;
	const struct address_space_operations *a_ops;
};

void address_space_init(struct address_space *mapping, unsigned int page_shift, bool shared,
			const struct address_space_operations *a_ops);
void address_space_destroy(struct address_space *mapping);
int address_space_add_chunk(struct address_space *mapping, struct folio_chunk *chunk);
int address_space_give_nodes(struct address_space *mapping, struct xa_node *nodes, uint32_t max);

int filemap_add_folio(struct address_space *mapping, pgoff_t index, unsigned int order,
		      struct folio **foliop);
struct folio *filemap_get_folio(struct address_space *mapping, pgoff_t index);
int filemap_add_folios(struct address_space *mapping, pgoff_t index, uint64_t count,
		       unsigned int order);
int filemap_remove_folio(struct address_space *mapping, struct folio *folio);
int remove_mapping(struct address_space *mapping, struct folio *folio);
unsigned int filemap_get_folios_tag(struct address_space *mapping, pgoff_t *start, pgoff_t end,
				    xa_mark_t tag, struct folio_batch *fbatch);

void folio_free(struct address_space *mapping, struct folio *folio);
void folio_batch_release(struct address_space *mapping, struct folio_batch *fbatch);

int folio_lock_slow(struct address_space *mapping, struct folio *folio);
void folio_unlock(struct address_space *mapping, struct folio *folio);
bool folio_trylock_for_io(struct folio *folio);
uint32_t folio_trylock_run_for_io(struct folio *first, uint32_t nr);
int folio_wait_writeback(struct address_space *mapping, struct folio *folio);

bool folio_mark_dirty(struct address_space *mapping, struct folio *folio);
uint64_t filemap_dirty_range(struct address_space *mapping, pgoff_t start, pgoff_t end);
bool filemap_block_dirty(struct address_space *mapping, pgoff_t index);
void folio_start_writeback(struct address_space *mapping, struct folio *folio, bool keep_write);
void folio_end_writeback(struct address_space *mapping, struct folio *folio);

/* Takes a reference; the caller holds one already, or the tree's lock. */
static inline void folio_get(struct folio *folio)
{
	uint16_t old = atomic_load_explicit(&folio->refcount, memory_order_relaxed);

	if (likely((folio_flags(folio) & PG_shared) == 0)) {
		atomic_store_explicit(&folio->refcount,
				      (uint16_t)(old + (old != FOLIO_REFCOUNT_MAX)),
				      memory_order_relaxed);
		return;
	}
	while (!atomic_compare_exchange_weak_explicit(&folio->refcount, &old,
						      (uint16_t)(old + (old != FOLIO_REFCOUNT_MAX)),
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/* folio_get() for folios that are contiguous in memory. */
static inline void folio_get_run(struct folio *first, uint32_t nr)
{
	const folio_word_t one = (folio_word_t)1 << 16;
	folio_word_t *words = folio_words(first);

	if (unlikely(folio_is_shared(first))) {
		for (uint32_t i = 0; i < nr; i++)
			folio_get(first + i);
		return;
	}
	for (uint32_t i = 0; i < nr; i++)
		words[i] += words[i] >> 16 != FOLIO_REFCOUNT_MAX ? one : 0;
}

/* The entry of a folio in the tree: its slot number, with the low bits that an entry has. */
static inline xa_entry_t folio_entry(const struct folio *folio)
{
	return folio_slot(folio) << 2;
}

static inline struct folio *folio_of_entry(const struct address_space *mapping, xa_entry_t entry)
{
	return folio_of_slot(&mapping->pool, entry >> 2);
}

/*
 * The number of entries, at most @max, that are contiguous here and in memory. If it is more than
 * one, all are single pages: the last one is, unless the next slot is a sibling. The node has @rest
 * slots from here.
 */
static inline uint32_t xa_run_length(const xa_entry_t *slots, uint32_t max, uint32_t rest)
{
	uint32_t nr = 1;
	uint32_t differ = 0;

	for (uint32_t i = 1; i < max; i++)
		differ |= slots[i] ^ (slots[0] + 4 * i);
	if (differ == 0)
		nr = max;
	else
		while (slots[nr] == slots[0] + 4 * nr)
			nr++;
	if (nr > 1 && nr < rest && xa_is_sibling(slots[nr]))
		nr--;
	return nr;
}

/**
 * xas_next_run - walk the folios that have a mark, ascending, in runs
 * @mapping: the page cache
 * @xas: where to start: the first folio may begin before its index if it contains it
 * @bits: 0 to start; the rest of the node, which the caller does not change
 * @max: the last index a folio may begin at
 * @mark: the mark
 * @most: the most folios of a run
 * @nr: the number of folios in the run, all of them marked; more than one only if they are single
 *	pages that are contiguous both in the cache and in memory
 *
 * The array's lock is held throughout.
 *
 * Return: the first folio of the run; NULL at the end.
 */
static inline struct folio *xas_next_run(const struct address_space *mapping, struct xa_state *xas,
					 uint64_t *bits, uint64_t max, xa_mark_t mark,
					 uint32_t most, uint32_t *nr)
{
	const xa_entry_t *slots;
	struct folio *folio;
	uint32_t ones;

	if (*bits == 0) {
		if (xas_find_marked(xas, max, mark) == 0)
			return NULL;
		*bits = xas_marked_bits(xas, max, mark);
	}
	xas->xa_offset = (unsigned int)__builtin_ctzll(*bits);
	slots = &xa_slots(xas->xa, xas->xa_node)[xas->xa_offset];
	folio = folio_of_entry(mapping, slots[0]);
	ones = word_ones(*bits >> xas->xa_offset);
	*nr = xa_run_length(slots, ones < most ? ones : most, XA_CHUNK_SIZE - xas->xa_offset);
	xas->xa_offset += *nr - 1;
	*bits &= ~UINT64_C(1) << xas->xa_offset;
	if (*bits == 0)
		xas_pause(xas);
	return folio;
}

/**
 * folio_put - drop a reference
 * @mapping: the page cache that the folio came from
 * @folio: the folio; dropping the last reference frees its memory
 */
static inline void folio_put(struct address_space *mapping, struct folio *folio)
{
	uint16_t old = atomic_load_explicit(&folio->refcount, memory_order_relaxed);

	assert(old > 0);
	if (likely((folio_flags(folio) & PG_shared) == 0)) {
		atomic_store_explicit(&folio->refcount,
				      (uint16_t)(old - (old != FOLIO_REFCOUNT_MAX)),
				      memory_order_relaxed);
	} else {
		while (!atomic_compare_exchange_weak_explicit(
			&folio->refcount, &old, (uint16_t)(old - (old != FOLIO_REFCOUNT_MAX)),
			memory_order_acq_rel, memory_order_relaxed))
			;
	}
	if (unlikely(old == 1))
		folio_free(mapping, folio);
}

/* folio_put() for folios that are contiguous in memory. */
static inline void folio_put_run(struct address_space *mapping, struct folio *first, uint32_t nr)
{
	const folio_word_t one = (folio_word_t)1 << 16;
	folio_word_t *words = folio_words(first);
	uint32_t odd = 0;

	if (likely(!folio_is_shared(first))) {
		/* The last reference, or a saturated count. */
		for (uint32_t i = 0; i < nr; i++)
			odd |= words[i] >> 16 == FOLIO_REFCOUNT_MAX || words[i] >> 16 == 1;
		if (likely(odd == 0)) {
			for (uint32_t i = 0; i < nr; i++)
				words[i] -= one;
			return;
		}
	}
	for (uint32_t i = 0; i < nr; i++)
		folio_put(mapping, first + i);
}

/* Whether the folio is in this page cache: the kernel's folio->mapping == mapping. */
static inline bool folio_in_mapping(const struct folio *folio, const struct address_space *mapping)
{
	return folio_test_cached(folio) && folio_pool_has(&mapping->pool, folio);
}

/**
 * folio_lock - take the folio's lock, waiting while another task holds it
 * @mapping: the page cache that the folio came from
 * @folio: the folio; the caller holds a reference
 *
 * Return: 0, or the error of the host's wait; the lock is then not taken.
 */
static inline int folio_lock(struct address_space *mapping, struct folio *folio)
{
	return likely(folio_trylock(folio)) ? 0 : folio_lock_slow(mapping, folio);
}

/* Whether folio_trylock_for_io() takes a folio with these flags. */
static inline bool can_lock_for_io(unsigned int flags)
{
	return (flags & (PG_cached | PG_locked | PG_dirty | PG_writeback)) ==
	       (PG_cached | PG_dirty);
}

/**
 * folio_clear_dirty_for_io - clear the dirty flag of a folio about to be written
 * @folio: the folio, locked
 *
 * The mark stays until folio_start_writeback(), so that a concurrent sync still finds the folio and
 * waits for it.
 *
 * Return: whether it was dirty.
 */
static inline bool folio_clear_dirty_for_io(struct folio *folio)
{
	assert(folio_test_locked(folio));
	return (folio_change_flags(folio, 0, PG_dirty) & PG_dirty) != 0;
}

/* Whether any folio has the mark. */
static inline bool mapping_tagged(struct address_space *mapping, xa_mark_t tag)
{
	bool tagged;

	xa_lock(&mapping->i_pages);
	tagged = xa_marked(&mapping->i_pages, tag);
	xa_unlock(&mapping->i_pages);
	return tagged;
}

/* The slot of a folio that is in the cache; the tree's lock is held. */
static inline struct xa_state folio_xas(struct address_space *mapping, const struct folio *folio)
{
	uint32_t slot = *folio_tree_slot(folio);

	return (struct xa_state){
		.xa = &mapping->i_pages,
		.xa_index = folio_index(folio),
		.xa_node = xa_slot_node(&mapping->i_pages, slot),
		.xa_offset = slot & XA_CHUNK_MASK,
	};
}

#endif
