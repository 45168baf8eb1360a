// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool that folios come from: slots, reuse, growth, failure.
 */
#include <errno.h>
#include <string.h>

#include "host.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define is_poisoned(folio) (__asan_address_is_poisoned(folio) != 0)
#define is_any_poisoned(memory, size) (__asan_region_is_poisoned(memory, size) != NULL)
#define POISONS true
#else
#define is_poisoned(folio) ((void)(folio), false)
#define is_any_poisoned(memory, size) ((void)(memory), (void)(size), false)
#define POISONS false
#endif

#define MAX_CHUNKS 9
#define CHUNK_BYTES (FOLIO_CHUNK_SIZE * sizeof(struct folio))

static struct folio_pool pool;
static struct folio *chunks[MAX_CHUNKS];

static int reserve(void)
{
	return folio_pool_reserve(&pool, host_ops.alloc, host_ops.free);
}

static void add_chunk(void)
{
	struct folio *chunk = calloc(1, CHUNK_BYTES);

	CHECK(chunk != NULL && reserve() == 0);
	chunks[pool.nr_chunks] = chunk;
	folio_pool_add(&pool, chunk);
}

static void destroy(void)
{
	uint32_t nr_chunks = pool.nr_chunks;

	folio_pool_destroy(&pool, host_ops.free);
	CHECK(pool.chunks == NULL && pool.nr_chunks == 0 && pool.max_chunks == 0);
	CHECK(pool.nr_used == 0 && pool.nr_free == 0 && pool.free == FOLIO_NO_SLOT);
	CHECK(host_allocated == 0);
	for (uint32_t i = 0; i < nr_chunks; i++) {
		CHECK(!is_any_poisoned(chunks[i], CHUNK_BYTES));
		free(chunks[i]);
	}
}

/* Each slot is handed out once, in ascending order; freed ones come first, the last freed first. */
static void test_slots(void)
{
	folio_pool_init(&pool);
	CHECK(folio_pool_get(&pool) == NULL);
	for (uint32_t chunk = 0; chunk < 2; chunk++) {
		add_chunk();
		CHECK(pool.nr_free == FOLIO_CHUNK_SIZE);
		for (uint32_t i = 0; i < FOLIO_CHUNK_SIZE; i++) {
			struct folio *folio = folio_pool_get(&pool);

			CHECK(folio == &chunks[chunk][i]);
			CHECK(folio->slot == chunk * FOLIO_CHUNK_SIZE + i);
			CHECK(folio_of_slot(&pool, folio->slot) == folio);
			CHECK(pool.nr_free == FOLIO_CHUNK_SIZE - 1 - i);
		}
		CHECK(folio_pool_get(&pool) == NULL && pool.nr_free == 0);
	}
	folio_pool_put(&pool, &chunks[1][FOLIO_CHUNK_SIZE - 1]);
	folio_pool_put(&pool, &chunks[0][0]);
	folio_pool_put(&pool, &chunks[0][7]);
	CHECK(pool.nr_free == 3 && pool.nr_used == 2 * FOLIO_CHUNK_SIZE);
	CHECK(is_poisoned(&chunks[0][7]) == POISONS);
	CHECK(is_poisoned((char *)&chunks[0][8] - 1) == POISONS && !is_poisoned(&chunks[0][8]));
	CHECK(folio_pool_get(&pool) == &chunks[0][7] && chunks[0][7].slot == 7);
	CHECK(!is_any_poisoned(&chunks[0][7], sizeof(struct folio)));
	CHECK(folio_pool_get(&pool) == &chunks[0][0] && chunks[0][0].slot == 0);
	CHECK(folio_pool_get(&pool) == &chunks[1][FOLIO_CHUNK_SIZE - 1]);
	CHECK(folio_pool_get(&pool) == NULL && pool.nr_free == 0);
	folio_pool_put(&pool, &chunks[1][FOLIO_CHUNK_SIZE - 1]);
	destroy();
}

/* The list of chunks is replaced by one of twice the length. */
static void test_growth(void)
{
	folio_pool_init(&pool);
	for (uint32_t i = 0; i < MAX_CHUNKS; i++) {
		uint32_t max_chunks = i < 4 ? 4 : i < 8 ? 8 : 16;

		add_chunk();
		CHECK(pool.nr_chunks == i + 1 && pool.max_chunks == max_chunks);
		CHECK(host_allocated == 1 && pool.nr_free == (i + 1) * FOLIO_CHUNK_SIZE);
		for (uint32_t j = 0; j <= i; j++)
			CHECK(pool.chunks[j] == chunks[j]);
		/* There is room for the next one already: once a length is exhausted, not before.
		 */
		if (i + 1 < max_chunks) {
			struct folio **before = pool.chunks;

			CHECK(reserve() == 0 && pool.chunks == before);
		}
	}
	destroy();
}

/* A list without memory for it, and one that is as long as slot numbers allow. */
static void test_failure(void)
{
	struct folio_pool before;

	folio_pool_init(&pool);
	host_alloc_fails = 0;
	CHECK(reserve() == -ENOMEM && pool.chunks == NULL && pool.max_chunks == 0);
	host_alloc_fails = -1;
	for (int i = 0; i < 4; i++)
		add_chunk();
	before = pool;
	host_alloc_fails = 0;
	CHECK(reserve() == -ENOMEM && memcmp(&before, &pool, sizeof(pool)) == 0);
	host_alloc_fails = -1;
	CHECK(reserve() == 0 && pool.max_chunks == 8);
	destroy();

	/* Twice as many chunks would have slots beyond FOLIO_NO_SLOT. */
	pool.nr_chunks = pool.max_chunks = 1U << 21;
	CHECK(reserve() == -ENOMEM && pool.chunks == NULL);
	pool.nr_chunks = pool.max_chunks = (1U << 21) - 1;
	CHECK(reserve() == 0 && pool.max_chunks == (1U << 22) - 2);
	pool.nr_chunks = 0;
	destroy();
}

int main(void)
{
	test_slots();
	test_growth();
	test_failure();
	printf("slots, growth and failure are right\n");
	return 0;
}
