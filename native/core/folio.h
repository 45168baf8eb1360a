/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The folio: its flags, its lock, its reference count, and the memory that folios come from.
 */
#ifndef WRITEBACK_ITER_FOLIO_H
#define WRITEBACK_ITER_FOLIO_H

#include "xarray.h"

typedef uint64_t pgoff_t;

struct address_space;

/*
 * The flags. The upper ones belong to deferred_marks.h: changes of marks that the folio's tree has
 * yet to be told.
 */
#define PG_locked 0x0001
#define PG_dirty 0x0002
#define PG_writeback 0x0004
#define PG_uptodate 0x0008
/* The mapping is shared between threads: flags change by atomic read-modify-write. */
#define PG_shared 0x0010

#define FOLIO_ORDER_BITS 5
#define FOLIO_ORDER_MASK ((1U << FOLIO_ORDER_BITS) - 1)

/**
 * struct folio - 2^order pages that are locked, dirtied and written as one
 * @flags: PG_*; PG_locked is what folio_lock() and folio_trylock() take, and protects @node and
 *	the clearing of PG_dirty for I/O
 * @refcount: one for the page cache and one for each batch; sticks at %FOLIO_REFCOUNT_MAX, as the
 *	kernel's refcount_t does, rather than wrap: such a folio is never reused
 * @slot: which folio of its pool it is
 * @key: index of its first page and order, see folio_index() and folio_order(); kept after removal
 * @node: the tree node that holds it, NULL once it is no longer in a page cache (the kernel's
 *	folio->mapping == NULL); changes under the folio's lock and the tree's
 *
 * 24 bytes a folio, since this is most of what a cached page costs. JavaScript reads it as words.
 */
struct folio {
	_Atomic uint16_t flags;
	_Atomic uint16_t refcount;
	uint32_t slot;
	uint64_t key;
	struct xa_node *node;
};

#define FOLIO_REFCOUNT_MAX UINT16_MAX

static_assert(sizeof(struct folio) == 24, "struct folio: 24 bytes");
static_assert(XA_MAX_ORDER <= FOLIO_ORDER_MASK, "an order fits its bits");

static inline uint64_t folio_key(pgoff_t index, unsigned int order)
{
	return index << FOLIO_ORDER_BITS | order;
}

static inline pgoff_t folio_index(const struct folio *folio)
{
	return folio->key >> FOLIO_ORDER_BITS;
}

static inline unsigned int folio_order(const struct folio *folio)
{
	return (unsigned int)folio->key & FOLIO_ORDER_MASK;
}

static inline int64_t folio_nr_pages(const struct folio *folio)
{
	return INT64_C(1) << folio_order(folio);
}

/* The index behind the folio's last page. */
static inline pgoff_t folio_next_index(const struct folio *folio)
{
	return folio_index(folio) + (pgoff_t)folio_nr_pages(folio);
}

static inline unsigned int folio_flags(const struct folio *folio)
{
	return atomic_load_explicit(&folio->flags, memory_order_acquire);
}

/* Sets and clears flags; returns them as they were. */
static inline unsigned int folio_change_flags(struct folio *folio, unsigned int set,
					      unsigned int clear)
{
	uint16_t old = atomic_load_explicit(&folio->flags, memory_order_relaxed);

	if (likely((old & PG_shared) == 0)) {
		atomic_store_explicit(&folio->flags, (uint16_t)((old & ~clear) | set),
				      memory_order_relaxed);
		return old;
	}
	while (!atomic_compare_exchange_weak_explicit(&folio->flags, &old,
						      (uint16_t)((old & ~clear) | set),
						      memory_order_acq_rel, memory_order_relaxed))
		;
	return old;
}

static inline bool folio_test_locked(const struct folio *folio)
{
	return (folio_flags(folio) & PG_locked) != 0;
}

static inline bool folio_test_dirty(const struct folio *folio)
{
	return (folio_flags(folio) & PG_dirty) != 0;
}

static inline bool folio_test_writeback(const struct folio *folio)
{
	return (folio_flags(folio) & PG_writeback) != 0;
}

static inline bool folio_test_uptodate(const struct folio *folio)
{
	return (folio_flags(folio) & PG_uptodate) != 0;
}

static inline bool folio_trylock(struct folio *folio)
{
	return (folio_change_flags(folio, PG_locked, 0) & PG_locked) == 0;
}

/*
 * Folios are allocated in chunks that never move and are addressed by slot number, so that a slot
 * number is as good as a pointer, and 32 bits.
 */
#define FOLIO_CHUNK_SHIFT 10
#define FOLIO_CHUNK_SIZE (1U << FOLIO_CHUNK_SHIFT)
#define FOLIO_NO_SLOT UINT32_MAX

/**
 * struct folio_pool - the folios of one page cache
 * @chunks: arrays of FOLIO_CHUNK_SIZE folios each
 * @nr_chunks: how many there are
 * @max_chunks: how many @chunks has room for
 * @nr_used: how many slots were ever handed out; those beyond are untouched memory
 * @free: the slot that was freed last, the next one in its key; FOLIO_NO_SLOT where none
 * @nr_free: how many slots can be handed out
 *
 * The tree's lock protects all of it.
 */
struct folio_pool {
	struct folio **chunks;
	uint32_t nr_chunks;
	uint32_t max_chunks;
	uint32_t nr_used;
	uint32_t free;
	uint32_t nr_free;
};

static inline struct folio *folio_of_slot(const struct folio_pool *pool, uint32_t slot)
{
	assert(slot < pool->nr_used);
	return &pool->chunks[slot >> FOLIO_CHUNK_SHIFT][slot & (FOLIO_CHUNK_SIZE - 1)];
}

void folio_pool_init(struct folio_pool *pool);
void folio_pool_destroy(struct folio_pool *pool, void (*free)(void *memory));
int folio_pool_reserve(struct folio_pool *pool, void *(*alloc)(size_t size),
		       void (*free)(void *memory));
void folio_pool_add(struct folio_pool *pool, struct folio *chunk);
struct folio *folio_pool_get(struct folio_pool *pool);
void folio_pool_put(struct folio_pool *pool, struct folio *folio);

#endif
