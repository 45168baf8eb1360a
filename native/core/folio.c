// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that folios come from.
 */
#include "folio.h"

#include <errno.h>
#include <string.h>

/*
 * A freed folio is poisoned until it is handed out again, so that AddressSanitizer sees a use after
 * free although the chunk itself is never freed. It sees eight bytes at once: of two folios, while
 * the second is in use, the first goes unseen.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define poison(memory, size) ASAN_POISON_MEMORY_REGION(memory, size)
#define unpoison(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
#else
#define poison(memory, size) ((void)(memory), (void)(size))
#define unpoison(memory, size) ((void)(memory), (void)(size))
#endif

void folio_pool_init(struct folio_pool *pool)
{
	*pool = (struct folio_pool){.unused = FOLIO_CHUNK_FIRST, .free = FOLIO_NO_SLOT};
}

/**
 * folio_pool_destroy - forget every folio
 * @pool: the pool
 * @free: takes back the pool's own memory; the chunks themselves belong to who added them
 */
void folio_pool_destroy(struct folio_pool *pool, void (*free)(void *memory))
{
	for (uint32_t i = 0; i < pool->nr_chunks; i++)
		unpoison(pool->chunks[i], sizeof(struct folio_chunk));
	while (pool->highs != NULL) {
		struct folio_highs *highs = pool->highs;

		pool->highs = highs->next;
		free(highs);
	}
	if (pool->chunks != NULL)
		free(pool->chunks);
	folio_pool_init(pool);
}

/**
 * folio_pool_reserve - make sure that the pool can take one more chunk
 * @pool: the pool
 * @alloc: gives zeroed memory or NULL
 * @free: takes it back
 *
 * Return: 0, or -ENOMEM with the pool as it was.
 */
int folio_pool_reserve(struct folio_pool *pool, void *(*alloc)(size_t size),
		       void (*free)(void *memory))
{
	struct folio_chunk **chunks;
	uint32_t max;

	if (pool->nr_chunks < pool->max_chunks)
		return 0;
	if (pool->nr_chunks > FOLIO_MAX_CHUNKS / 2)
		return -ENOMEM;
	max = pool->max_chunks == 0 ? 4 : pool->max_chunks * 2;
	chunks = alloc(max * sizeof(*chunks));
	if (chunks == NULL)
		return -ENOMEM;
	if (pool->chunks != NULL) {
		memcpy(chunks, pool->chunks, pool->nr_chunks * sizeof(*chunks));
		free(pool->chunks);
	}
	pool->chunks = chunks;
	pool->max_chunks = max;
	return 0;
}

/**
 * folio_pool_add - add a chunk of folios
 * @pool: the pool, with room for it (folio_pool_reserve())
 * @chunk: the chunk, zeroed, the caller's to free once the pool is destroyed
 */
void folio_pool_add(struct folio_pool *pool, struct folio_chunk *chunk)
{
	assert(pool->nr_chunks < pool->max_chunks);
	assert((uintptr_t)chunk % FOLIO_CHUNK_ALIGN == 0);
	chunk->number = pool->nr_chunks;
	pool->chunks[pool->nr_chunks++] = chunk;
	pool->nr_free += FOLIO_CHUNK_FOLIOS;
}

/* A folio that nobody else has, or NULL if the pool has none left. */
struct folio *folio_pool_get(struct folio_pool *pool)
{
	struct folio *folio;

	if (pool->nr_free == 0)
		return NULL;
	pool->nr_free--;
	if (pool->free != FOLIO_NO_SLOT) {
		folio = folio_of_slot(pool, pool->free);
		unpoison(folio, sizeof(*folio));
		unpoison(folio_index_low(folio), sizeof(uint32_t));
		pool->free = *folio_index_low(folio);
	} else {
		folio = folio_of_slot(pool, pool->unused++);
		if (pool->unused % FOLIO_CHUNK_SIZE == 0)
			pool->unused += FOLIO_CHUNK_FIRST;
	}
	return folio;
}

/**
 * folio_set_index - say where a folio is to be
 * @pool: the pool that the folio came from
 * @folio: the folio, which nobody else sees yet
 * @index: the index of its first page
 * @alloc: gives zeroed memory or NULL
 *
 * Return: 0, or -ENOMEM.
 */
int folio_set_index(struct folio_pool *pool, struct folio *folio, pgoff_t index,
		    void *(*alloc)(size_t size))
{
	struct folio_chunk *chunk = folio_chunk(folio);

	if (unlikely(index > UINT32_MAX) && chunk->highs == NULL) {
		struct folio_highs *highs = alloc(sizeof(*highs));

		if (highs == NULL)
			return -ENOMEM;
		highs->next = pool->highs;
		pool->highs = highs;
		atomic_store_explicit(&chunk->highs, highs, memory_order_release);
	}
	*folio_index_low(folio) = (uint32_t)index;
	if (unlikely(chunk->highs != NULL))
		chunk->highs->index[folio_chunk_index(folio)] = (uint32_t)(index >> 32);
	return 0;
}

/* A single page in a page cache. */
__attribute__((no_sanitize("address"))) static bool is_cached_page(const struct folio *folio)
{
	uint16_t flags = atomic_load_explicit(&folio->flags, memory_order_relaxed);

	return (flags & (PG_cached | FOLIO_ORDER_MASK)) == PG_cached;
}

/* Whether a folio follows the one in the slot before it; neither has to be in use. */
__attribute__((no_sanitize("address"))) static bool follows(const struct folio *folio)
{
	const struct folio_highs *highs = folio_chunk(folio)->highs;
	const uint32_t *index = folio_index_low(folio);
	uint32_t i = folio_chunk_index(folio);

	return index[0] == index[-1] + 1 && (index[0] & XA_CHUNK_MASK) != 0 &&
	       is_cached_page(folio) && is_cached_page(folio - 1) &&
	       (highs == NULL || highs->index[i] == highs->index[i - 1]);
}

static void set_follows(struct folio_chunk *chunk, uint32_t i, bool set)
{
	uint64_t bit = UINT64_C(1) << i % 64;

	chunk->follows[i / 64] = (chunk->follows[i / 64] & ~bit) | (set ? bit : 0);
}

/* The folio came into the page cache: it may follow its neighbour, or be followed by the other. */
void folio_join(const struct folio *folio)
{
	struct folio_chunk *chunk = folio_chunk(folio);
	uint32_t i = folio_chunk_index(folio);

	if (i > FOLIO_CHUNK_FIRST)
		set_follows(chunk, i, follows(folio));
	if (i < FOLIO_CHUNK_SIZE - 1)
		set_follows(chunk, i + 1, follows(folio + 1));
}

/* The folio leaves the page cache. */
void folio_part(const struct folio *folio)
{
	struct folio_chunk *chunk = folio_chunk(folio);
	uint32_t i = folio_chunk_index(folio);

	set_follows(chunk, i, false);
	set_follows(chunk, i + 1, false);
}

/* Takes a folio back that nobody refers to. */
void folio_pool_put(struct folio_pool *pool, struct folio *folio)
{
	*folio_index_low(folio) = pool->free;
	pool->free = folio_slot(folio);
	pool->nr_free++;
	poison(folio, sizeof(*folio));
	poison(folio_index_low(folio), sizeof(uint32_t));
}
