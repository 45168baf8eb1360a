/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The folio: its flags, its lock, its reference count, and the memory that folios come from.
 */
#ifndef WRITEBACK_ITER_FOLIO_H
#define WRITEBACK_ITER_FOLIO_H

#include "xarray.h"

typedef uint64_t pgoff_t;

struct address_space;

/* The flags. */
#define PG_locked 0x0001
#define PG_dirty 0x0002
#define PG_writeback 0x0004
#define PG_uptodate 0x0008
/* The mapping is shared between threads: flags change by atomic read-modify-write. */
#define PG_shared 0x0010
/* In a page cache: the kernel's folio->mapping != NULL. */
#define PG_cached 0x0020

/* The order is above them; it never changes. */
#define FOLIO_ORDER_SHIFT 11
#define FOLIO_ORDER_MASK 0xf800U

/**
 * struct folio - 2^order pages that are locked, dirtied and written as one
 * @flags: PG_* and the order; PG_locked is what folio_lock() and folio_trylock() take, and protects
 *	PG_cached and the clearing of PG_dirty for I/O; PG_cached changes under the tree's lock, too
 * @refcount: one for the page cache and one for each batch; sticks at %FOLIO_REFCOUNT_MAX, as the
 *	kernel's refcount_t does, rather than wrap: such a folio is never reused
 *
 * It has only the fields that a pass changes, so that a cache line holds sixteen. The chunk has the
 * folio's index and slot. JavaScript reads both as words, and changes flags and marks in mappings
 * that are not shared.
 */
struct folio {
	_Atomic uint16_t flags;
	_Atomic uint16_t refcount;
};

#define FOLIO_REFCOUNT_MAX UINT16_MAX

/*
 * Folios are allocated in chunks that never move, so a slot number of 32 bits serves as a pointer;
 * the tree stores it times four. The first slots of a chunk are not folios.
 */
#define FOLIO_CHUNK_SHIFT 10
#define FOLIO_CHUNK_SIZE (1U << FOLIO_CHUNK_SHIFT)
#define FOLIO_CHUNK_FIRST 12
#define FOLIO_CHUNK_FOLIOS (FOLIO_CHUNK_SIZE - FOLIO_CHUNK_FIRST)
#define FOLIO_NO_SLOT UINT32_MAX
#define FOLIO_MAX_CHUNKS (1U << (30 - FOLIO_CHUNK_SHIFT))

/* The alignment gives the address of a folio's chunk. */
#define FOLIO_CHUNK_ALIGN (FOLIO_CHUNK_SIZE * sizeof(struct folio))

struct folio_pool;

/**
 * struct folio_chunk - memory for FOLIO_CHUNK_FOLIOS folios, at a multiple of FOLIO_CHUNK_ALIGN
 * @folios: the folios, from FOLIO_CHUNK_FIRST on; in the slots before it:
 * @pool: the pool that has the chunk
 * @number: the chunk's number in its pool
 * @index: the folios' first pages, kept after removal; in a free slot, the slot freed before it
 * @tree_slot: the folio's slot of the tree (xa_slot_number()) while it is in a page cache; the
 *	tree's lock protects it
 *
 * The arrays begin at different offsets in a page, because a processor delays a load whose address
 * has the same lower twelve bits as that of an earlier store.
 */
struct folio_chunk {
	union {
		struct {
			struct folio_pool *pool;
			uint32_t number;
		};
		struct folio folios[FOLIO_CHUNK_SIZE];
	};
	pgoff_t index[FOLIO_CHUNK_FOLIOS];
	uint32_t tree_slot[FOLIO_CHUNK_FOLIOS];
	uint32_t unused[36];
};

static_assert(sizeof(struct folio) == 4, "a folio: four bytes, and twelve of where it is");
static_assert(sizeof(struct folio_chunk) == 4 * FOLIO_CHUNK_ALIGN, "nothing beside the folios");
static_assert(XA_MAX_ORDER <= FOLIO_ORDER_MASK >> FOLIO_ORDER_SHIFT, "an order fits its bits");

static inline struct folio_chunk *folio_chunk(const struct folio *folio)
{
	return (struct folio_chunk *)((uintptr_t)folio & ~(uintptr_t)(FOLIO_CHUNK_ALIGN - 1));
}

/* The folio's slot in its chunk. */
static inline uint32_t folio_chunk_index(const struct folio *folio)
{
	return (uint32_t)(folio - folio_chunk(folio)->folios);
}

static inline uint32_t folio_slot(const struct folio *folio)
{
	return folio_chunk(folio)->number << FOLIO_CHUNK_SHIFT | folio_chunk_index(folio);
}

static inline unsigned int folio_flags(const struct folio *folio)
{
	return atomic_load_explicit(&folio->flags, memory_order_acquire);
}

static inline pgoff_t *folio_index_place(const struct folio *folio)
{
	return &folio_chunk(folio)->index[folio_chunk_index(folio) - FOLIO_CHUNK_FIRST];
}

static inline pgoff_t folio_index(const struct folio *folio)
{
	return *folio_index_place(folio);
}

static inline uint32_t *folio_tree_slot(const struct folio *folio)
{
	return &folio_chunk(folio)->tree_slot[folio_chunk_index(folio) - FOLIO_CHUNK_FIRST];
}

static inline bool folio_test_large(const struct folio *folio)
{
	return (folio_flags(folio) & FOLIO_ORDER_MASK) != 0;
}

static inline unsigned int folio_order(const struct folio *folio)
{
	return folio_flags(folio) >> FOLIO_ORDER_SHIFT;
}

static inline int64_t folio_nr_pages(const struct folio *folio)
{
	return INT64_C(1) << folio_order(folio);
}

/* Whether the folio is in the page cache that it came from. */
static inline bool folio_test_cached(const struct folio *folio)
{
	return (folio_flags(folio) & PG_cached) != 0;
}

/* Whether threads share the mapping that the folio came from. */
static inline bool folio_is_shared(const struct folio *folio)
{
	return (folio_flags(folio) & PG_shared) != 0;
}

/* The index after the folio's last page. */
static inline pgoff_t folio_next_index(const struct folio *folio)
{
	return folio_index(folio) + (pgoff_t)folio_nr_pages(folio);
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

/*
 * A folio as a word, with its flags in the lower half, so that the compiler can handle several in
 * one instruction; only in mappings of one thread (!folio_is_shared()).
 */
typedef uint32_t __attribute__((may_alias)) folio_word_t;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "folio_word_t");
static_assert(sizeof(folio_word_t) == sizeof(struct folio), "folio_word_t");

static inline folio_word_t *folio_words(const struct folio *folio)
{
	return (folio_word_t *)(uintptr_t)folio;
}

/* Whether all of these words have these values under the mask. */
static inline bool words_all(const folio_word_t *words, uint32_t nr, folio_word_t mask,
			     folio_word_t value)
{
	folio_word_t differ = 0;

	for (uint32_t i = 0; i < nr; i++)
		differ |= (words[i] & mask) ^ value;
	return differ == 0;
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

/**
 * struct folio_pool - the folios of one page cache
 * @chunks: the chunks, by number
 * @nr_chunks: how many there are
 * @max_chunks: how many @chunks has room for
 * @unused: the first slot that was never handed out; its memory and all after it is untouched
 * @free: the slot that was freed last, whose index is the next one; FOLIO_NO_SLOT if none
 * @nr_free: how many slots can be handed out
 *
 * The tree's lock protects all of it.
 */
struct folio_pool {
	struct folio_chunk **chunks;
	uint32_t nr_chunks;
	uint32_t max_chunks;
	uint32_t unused;
	uint32_t free;
	uint32_t nr_free;
};

static inline struct folio *folio_of_slot(const struct folio_pool *pool, uint32_t slot)
{
	assert(slot >> FOLIO_CHUNK_SHIFT < pool->nr_chunks);
	assert((slot & (FOLIO_CHUNK_SIZE - 1)) >= FOLIO_CHUNK_FIRST);
	return &pool->chunks[slot >> FOLIO_CHUNK_SHIFT]->folios[slot & (FOLIO_CHUNK_SIZE - 1)];
}

/* Whether the folio came from this pool. No lock is needed: a chunk's pool never changes. */
static inline bool folio_pool_has(const struct folio_pool *pool, const struct folio *folio)
{
	return folio_chunk(folio)->pool == pool;
}

void folio_pool_init(struct folio_pool *pool);
void folio_pool_destroy(struct folio_pool *pool, void (*free)(void *memory));
int folio_pool_reserve(struct folio_pool *pool, void *(*alloc)(size_t size),
		       void (*free)(void *memory));
void folio_pool_add(struct folio_pool *pool, struct folio_chunk *chunk);
struct folio *folio_pool_get(struct folio_pool *pool, uint32_t max, uint32_t *nr);
void folio_pool_put(struct folio_pool *pool, struct folio *folio);

#endif
