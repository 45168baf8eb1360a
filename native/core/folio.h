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
 * The flags. 0x0040 to 0x0400 belong to deferred_marks.h: changes of marks that the folio's tree
 * has yet to be told.
 */
#define PG_locked 0x0001
#define PG_dirty 0x0002
#define PG_writeback 0x0004
#define PG_uptodate 0x0008
/* The mapping is shared between threads: flags change by atomic read-modify-write. */
#define PG_shared 0x0010
/* In a page cache: the kernel's folio->mapping != NULL. */
#define PG_cached 0x0020

/* The order stands above them; it never changes. */
#define FOLIO_ORDER_SHIFT 11
#define FOLIO_ORDER_MASK 0xf800U

/**
 * struct folio - 2^order pages that are locked, dirtied and written as one
 * @flags: PG_* and the order; PG_locked is what folio_lock() and folio_trylock() take, and protects
 *	PG_cached and the clearing of PG_dirty for I/O; PG_cached changes under the tree's lock, too
 * @refcount: one for the page cache and one for each batch; sticks at %FOLIO_REFCOUNT_MAX, as the
 *	kernel's refcount_t does, rather than wrap: such a folio is never reused
 *
 * What a pass looks at and changes of each folio, and no more: sixteen neighbours in a cache line.
 * Its index stands apart, in the chunk. Eight bytes together, since this and the tree's five are
 * all that the core needs of a cached page. JavaScript reads both as words.
 */
struct folio {
	_Atomic uint16_t flags;
	_Atomic uint16_t refcount;
};

#define FOLIO_REFCOUNT_MAX UINT16_MAX

/*
 * Folios are allocated in chunks that never move and are addressed by slot number, so that a slot
 * number is as good as a pointer, and 32 bits; the tree has them times four. The first slots of a
 * chunk are no folios.
 */
#define FOLIO_CHUNK_SHIFT 10
#define FOLIO_CHUNK_SIZE (1U << FOLIO_CHUNK_SHIFT)
#define FOLIO_CHUNK_FIRST 36
#define FOLIO_CHUNK_FOLIOS (FOLIO_CHUNK_SIZE - FOLIO_CHUNK_FIRST)
#define FOLIO_NO_SLOT UINT32_MAX
#define FOLIO_MAX_CHUNKS (1U << (30 - FOLIO_CHUNK_SHIFT))

/* So that the address of a folio tells where its chunk begins. */
#define FOLIO_CHUNK_ALIGN (FOLIO_CHUNK_SIZE * sizeof(struct folio))

/**
 * struct folio_highs - the upper halves of the indices of a chunk's folios
 * @next: those of another chunk of the pool
 * @index: by slot
 */
struct folio_highs {
	struct folio_highs *next;
	uint32_t index[FOLIO_CHUNK_SIZE];
};

/**
 * struct folio_chunk - memory for FOLIO_CHUNK_FOLIOS folios, at a multiple of FOLIO_CHUNK_ALIGN
 * @folios: the folios, from FOLIO_CHUNK_FIRST on; what stands in the place of those before:
 * @number: which chunk of its pool it is
 * @noted_next: the next chunk in the list of deferred_marks.h; 0 if it is not on it
 * @noted: a bit for each folio with deferred marks
 * @index: the lower halves of the indices of the folios' first pages, kept after removal. Not a
 *	multiple of a page behind the folios: the processor would take a folio that was just written
 *	for the index that is read (4 KiB aliasing).
 * @follows: a bit for each single page in a page cache of which the page before, in the same tree
 *	node, has the slot before; the tree's lock protects it. One more, for no slot, is never set.
 * @highs: NULL while no folio of the chunk had an index beyond 32 bits; changes under the tree's
 *	lock, before such a folio is seen, while others are looked at
 */
struct folio_chunk {
	union {
		struct {
			uint32_t number;
			uint32_t noted_next;
			uint64_t noted[FOLIO_CHUNK_SIZE / 64];
		};
		struct folio folios[FOLIO_CHUNK_SIZE];
	};
	uint32_t index[FOLIO_CHUNK_FOLIOS];
	uint64_t follows[FOLIO_CHUNK_SIZE / 64 + 1];
	struct folio_highs *_Atomic highs;
};

static_assert(sizeof(struct folio) == 4, "a folio: four bytes, and four of the index");
static_assert(sizeof(struct folio_chunk) == 2 * FOLIO_CHUNK_ALIGN, "nothing beside the folios");
static_assert(offsetof(struct folio_chunk, noted[FOLIO_CHUNK_SIZE / 64]) <=
		      offsetof(struct folio_chunk, folios[FOLIO_CHUNK_FIRST]),
	      "it fits");
static_assert(XA_MAX_ORDER <= FOLIO_ORDER_MASK >> FOLIO_ORDER_SHIFT, "an order fits its bits");

static inline struct folio_chunk *folio_chunk(const struct folio *folio)
{
	return (struct folio_chunk *)((uintptr_t)folio & ~(uintptr_t)(FOLIO_CHUNK_ALIGN - 1));
}

/* Which of its chunk's slots the folio has. */
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

/* The lower half of the folio's index: as far behind the folio in every slot. */
static inline uint32_t *folio_index_low(const struct folio *folio)
{
	return (uint32_t *)((uintptr_t)folio + offsetof(struct folio_chunk, index) -
			    offsetof(struct folio_chunk, folios[FOLIO_CHUNK_FIRST]));
}

static inline pgoff_t folio_index(const struct folio *folio)
{
	const struct folio_highs *highs =
		atomic_load_explicit(&folio_chunk(folio)->highs, memory_order_acquire);

	if (likely(highs == NULL))
		return *folio_index_low(folio);
	return (pgoff_t)highs->index[folio_chunk_index(folio)] << 32 | *folio_index_low(folio);
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

/* The index behind the folio's last page. */
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
 * Many folios at once, where no thread can see: a folio as a word, with its flags in the lower
 * half, so that the compiler may take several in one instruction.
 */
typedef uint32_t __attribute__((may_alias)) folio_word_t;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "folio_word_t");
static_assert(sizeof(folio_word_t) == sizeof(struct folio), "folio_word_t");

static inline folio_word_t *folio_words(const struct folio *folio)
{
	return (folio_word_t *)(uintptr_t)folio;
}

/*
 * How many single pages, from this folio on, follow one another both in a tree node and in memory,
 * @max at most; 1 for any other folio. It is in a page cache.
 */
static inline uint32_t folio_run_length(const struct folio *folio, uint32_t max)
{
	const struct folio_chunk *chunk = folio_chunk(folio);
	uint32_t next = folio_chunk_index(folio) + 1;
	uint64_t follows;
	uint32_t nr;

	if (max == 1)
		return 1;
	follows = chunk->follows[next / 64] >> next % 64;
	if (next % 64 != 0)
		follows |= chunk->follows[next / 64 + 1] << (64 - next % 64);
	nr = 1 + word_ones(follows);
	return nr < max ? nr : max;
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
 * @unused: the first slot that was never handed out; it and those behind it are untouched memory
 * @free: the slot that was freed last, the next one in its index; FOLIO_NO_SLOT where none
 * @nr_free: how many slots can be handed out
 * @highs: the upper halves of indices, of all chunks that have any
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
	struct folio_highs *highs;
};

static inline struct folio *folio_of_slot(const struct folio_pool *pool, uint32_t slot)
{
	assert(slot >> FOLIO_CHUNK_SHIFT < pool->nr_chunks);
	assert((slot & (FOLIO_CHUNK_SIZE - 1)) >= FOLIO_CHUNK_FIRST);
	return &pool->chunks[slot >> FOLIO_CHUNK_SHIFT]->folios[slot & (FOLIO_CHUNK_SIZE - 1)];
}

/* Whether the folio came from this pool. */
static inline bool folio_pool_has(const struct folio_pool *pool, const struct folio *folio)
{
	const struct folio_chunk *chunk = folio_chunk(folio);

	return chunk->number < pool->nr_chunks && pool->chunks[chunk->number] == chunk;
}

void folio_pool_init(struct folio_pool *pool);
void folio_pool_destroy(struct folio_pool *pool, void (*free)(void *memory));
int folio_pool_reserve(struct folio_pool *pool, void *(*alloc)(size_t size),
		       void (*free)(void *memory));
void folio_pool_add(struct folio_pool *pool, struct folio_chunk *chunk);
struct folio *folio_pool_get(struct folio_pool *pool);
int folio_set_index(struct folio_pool *pool, struct folio *folio, pgoff_t index,
		    void *(*alloc)(size_t size));
void folio_join(const struct folio *folio);
void folio_part(const struct folio *folio);
void folio_pool_put(struct folio_pool *pool, struct folio *folio);

#endif
