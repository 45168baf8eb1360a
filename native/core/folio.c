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
 * @free: takes back the pool's own memory; the chunks themselves belong to the host
 */
void folio_pool_destroy(struct folio_pool *pool, void (*free)(void *memory))
{
	for (uint32_t i = 0; i < pool->nr_chunks; i++)
		unpoison(pool->chunks[i], sizeof(struct folio_chunk));
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
	chunk->pool = pool;
	chunk->number = pool->nr_chunks;
	pool->chunks[pool->nr_chunks++] = chunk;
	pool->nr_free += FOLIO_CHUNK_FOLIOS;
}

/**
 * folio_pool_get - hand out folios that are not in use
 * @pool: the pool
 * @max: how many are wanted, at least one
 * @nr: how many there are, neighbours in memory
 *
 * Return: the first; NULL if the pool has none left.
 */
struct folio *folio_pool_get(struct folio_pool *pool, uint32_t max, uint32_t *nr)
{
	struct folio *folio;

	if (pool->nr_free == 0)
		return NULL;
	*nr = 1;
	if (pool->free != FOLIO_NO_SLOT) {
		folio = folio_of_slot(pool, pool->free);
		unpoison(folio, sizeof(*folio));
		unpoison(folio_index_place(folio), sizeof(pgoff_t));
		pool->free = (uint32_t)folio_index(folio);
	} else {
		uint32_t rest = FOLIO_CHUNK_SIZE - (pool->unused & (FOLIO_CHUNK_SIZE - 1));

		*nr = max < rest ? max : rest;
		folio = folio_of_slot(pool, pool->unused);
		pool->unused += *nr;
		if (pool->unused % FOLIO_CHUNK_SIZE == 0)
			pool->unused += FOLIO_CHUNK_FIRST;
	}
	pool->nr_free -= *nr;
	return folio;
}

/* Takes back a folio that has no reference. */
void folio_pool_put(struct folio_pool *pool, struct folio *folio)
{
	*folio_index_place(folio) = pool->free;
	pool->free = folio_slot(folio);
	pool->nr_free++;
	poison(folio, sizeof(*folio));
	poison(folio_index_place(folio), sizeof(pgoff_t));
}
