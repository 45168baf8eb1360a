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
/* More than one page. */
#define PG_head 0x0020

#define FOLIO_ORDER_BITS 5
#define FOLIO_ORDER_MASK ((1U << FOLIO_ORDER_BITS) - 1)

/**
 * struct folio - 2^order pages that are locked, dirtied and written as one
 * @flags: PG_*; PG_locked is what folio_lock() and folio_trylock() take, and protects the folio's
 *	node and the clearing of PG_dirty for I/O
 * @refcount: one for the page cache and one for each batch; sticks at %FOLIO_REFCOUNT_MAX, as the
 *	kernel's refcount_t does, rather than wrap: such a folio is never reused
 *
 * What a pass looks at and changes of each folio, and no more: sixteen neighbours in a cache line.
 * Where the folio is stands in its struct folio_place. 20 bytes together, since this is most of
 * what a cached page costs. JavaScript reads both as words.
 */
struct folio {
	_Atomic uint16_t flags;
	_Atomic uint16_t refcount;
};

#define FOLIO_REFCOUNT_MAX UINT16_MAX

/**
 * struct folio_place - where a folio is
 * @key: index of its first page and order, see folio_index() and folio_order(); kept after removal
 * @node: the tree node that holds it, NULL once it is no longer in a page cache (the kernel's
 *	folio->mapping == NULL); changes under the folio's lock and the tree's
 */
struct folio_place {
	uint64_t key;
	struct xa_node *node;
};

/*
 * Folios are allocated in chunks that never move and are addressed by slot number, so that a slot
 * number is as good as a pointer, and 32 bits. The first slots of a chunk are no folios.
 */
#define FOLIO_CHUNK_SHIFT 10
#define FOLIO_CHUNK_SIZE (1U << FOLIO_CHUNK_SHIFT)
#define FOLIO_CHUNK_FIRST 17
#define FOLIO_CHUNK_FOLIOS (FOLIO_CHUNK_SIZE - FOLIO_CHUNK_FIRST)
#define FOLIO_NO_SLOT UINT32_MAX

/* So that the address of a folio tells where its chunk begins. */
#define FOLIO_CHUNK_ALIGN (FOLIO_CHUNK_SIZE * sizeof(struct folio))

/**
 * struct folio_chunk - memory for FOLIO_CHUNK_FOLIOS folios, at a multiple of FOLIO_CHUNK_ALIGN
 * @folios: the folios, from FOLIO_CHUNK_FIRST on
 * @number: which chunk of its pool it is
 * @noted_next: the next chunk in the list of deferred_marks.h; 0 if it is not on it
 * @noted: a bit for each folio with deferred marks
 * @follows: a bit for each single page in a page cache of which the page before, in the same tree
 *	node, has the slot before; the tree's lock protects it. One more, for no slot, is never set.
 * @places: where the folios are; what is above takes the places of those that there are not
 */
struct folio_chunk {
	struct folio folios[FOLIO_CHUNK_SIZE];
	union {
		struct {
			uint32_t number;
			uint32_t noted_next;
			uint64_t noted[FOLIO_CHUNK_SIZE / 64];
			uint64_t follows[FOLIO_CHUNK_SIZE / 64 + 1];
		};
		struct folio_place places[FOLIO_CHUNK_SIZE];
	};
};

static_assert(sizeof(struct folio) + sizeof(struct folio_place) == 20, "a folio: 20 bytes");
static_assert(sizeof(struct folio_chunk) == 5 * FOLIO_CHUNK_ALIGN, "nothing beside the folios");
static_assert(offsetof(struct folio_chunk, follows[FOLIO_CHUNK_SIZE / 64 + 1]) <=
		      offsetof(struct folio_chunk, places[FOLIO_CHUNK_FIRST]),
	      "it fits");
static_assert(XA_MAX_ORDER <= FOLIO_ORDER_MASK, "an order fits its bits");

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

static inline struct folio_place *folio_place(const struct folio *folio)
{
	return &folio_chunk(folio)->places[folio_chunk_index(folio)];
}

/* The tree node that holds the folio; NULL if it is in no page cache. */
static inline struct xa_node *folio_node(const struct folio *folio)
{
	return folio_place(folio)->node;
}

static inline uint64_t folio_key(pgoff_t index, unsigned int order)
{
	return index << FOLIO_ORDER_BITS | order;
}

static inline pgoff_t folio_index(const struct folio *folio)
{
	return folio_place(folio)->key >> FOLIO_ORDER_BITS;
}

static inline unsigned int folio_order(const struct folio *folio)
{
	return (unsigned int)folio_place(folio)->key & FOLIO_ORDER_MASK;
}

static inline unsigned int folio_flags(const struct folio *folio)
{
	return atomic_load_explicit(&folio->flags, memory_order_acquire);
}

static inline bool folio_test_large(const struct folio *folio)
{
	return (folio_flags(folio) & PG_head) != 0;
}

/* Of a single page its flags tell, which are at hand where its place may not be. */
static inline int64_t folio_nr_pages(const struct folio *folio)
{
	return folio_test_large(folio) ? INT64_C(1) << folio_order(folio) : 1;
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
 * @free: the slot that was freed last, the next one in its key; FOLIO_NO_SLOT where none
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

void folio_pool_init(struct folio_pool *pool);
void folio_pool_destroy(struct folio_pool *pool, void (*free)(void *memory));
int folio_pool_reserve(struct folio_pool *pool, void *(*alloc)(size_t size),
		       void (*free)(void *memory));
void folio_pool_add(struct folio_pool *pool, struct folio_chunk *chunk);
struct folio *folio_pool_get(struct folio_pool *pool);
void folio_join(const struct folio *folio);
void folio_part(const struct folio *folio);
void folio_pool_put(struct folio_pool *pool, struct folio *folio);

#endif
