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

static struct folio_pool pool;
static struct folio_chunk *chunks[MAX_CHUNKS];

static int reserve(void)
{
	return folio_pool_reserve(&pool, host_ops.alloc, host_ops.free);
}

static void add_chunk(void)
{
	struct folio_chunk *chunk = host_alloc_chunk();

	CHECK(reserve() == 0);
	chunks[pool.nr_chunks] = chunk;
	folio_pool_add(&pool, chunk);
	CHECK(chunk->number == pool.nr_chunks - 1);
}

static void destroy(void)
{
	uint32_t nr_chunks = pool.nr_chunks;

	folio_pool_destroy(&pool, host_ops.free);
	CHECK(pool.chunks == NULL && pool.nr_chunks == 0 && pool.max_chunks == 0);
	CHECK(pool.unused == FOLIO_CHUNK_FIRST && pool.nr_free == 0 && pool.free == FOLIO_NO_SLOT);
	CHECK(pool.highs == NULL);
	CHECK(host_allocated == 0);
	for (uint32_t i = 0; i < nr_chunks; i++) {
		CHECK(!is_any_poisoned(chunks[i], sizeof(*chunks[i])));
		free(chunks[i]);
	}
}

/* Each slot is handed out once, in ascending order; freed ones come first, the last freed first. */
static void test_slots(void)
{
	struct folio *seventh, *first, *last;

	folio_pool_init(&pool);
	CHECK(folio_pool_get(&pool) == NULL);
	for (uint32_t chunk = 0; chunk < 2; chunk++) {
		add_chunk();
		CHECK(pool.nr_free == FOLIO_CHUNK_FOLIOS);
		for (uint32_t i = FOLIO_CHUNK_FIRST; i < FOLIO_CHUNK_SIZE; i++) {
			struct folio *folio = folio_pool_get(&pool);

			CHECK(folio == &chunks[chunk]->folios[i]);
			CHECK(folio_chunk(folio) == chunks[chunk] && folio_chunk_index(folio) == i);
			CHECK(folio_index_low(folio) ==
			      &chunks[chunk]->index[i - FOLIO_CHUNK_FIRST]);
			CHECK(folio_pool_has(&pool, folio));
			CHECK(folio_slot(folio) == chunk * FOLIO_CHUNK_SIZE + i);
			CHECK(folio_of_slot(&pool, folio_slot(folio)) == folio);
			CHECK(pool.nr_free == FOLIO_CHUNK_SIZE - 1 - i);
		}
		CHECK(folio_pool_get(&pool) == NULL && pool.nr_free == 0);
	}
	first = &chunks[0]->folios[FOLIO_CHUNK_FIRST];
	/* The second of two in eight bytes, which AddressSanitizer sees alone. */
	seventh = &chunks[0]->folios[FOLIO_CHUNK_FIRST + 7];
	last = &chunks[1]->folios[FOLIO_CHUNK_SIZE - 1];
	folio_pool_put(&pool, last);
	folio_pool_put(&pool, first);
	folio_pool_put(&pool, seventh);
	CHECK(pool.nr_free == 3 && pool.unused == 2 * FOLIO_CHUNK_SIZE + FOLIO_CHUNK_FIRST);
	CHECK(is_poisoned(seventh) == POISONS && is_poisoned(folio_index_low(seventh)) == POISONS);
	CHECK(!is_poisoned(folio_index_low(seventh) + 1) &&
	      !is_poisoned(folio_index_low(seventh) - 1));
	CHECK(!is_poisoned(seventh + 1) && !is_poisoned(seventh - 1));
	CHECK(folio_pool_get(&pool) == seventh);
	CHECK(!is_any_poisoned(seventh, sizeof(*seventh)));
	CHECK(!is_any_poisoned(folio_index_low(seventh), sizeof(uint32_t)));
	CHECK(folio_pool_get(&pool) == first && folio_pool_get(&pool) == last);
	CHECK(folio_pool_get(&pool) == NULL && pool.nr_free == 0);
	folio_pool_put(&pool, last);
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
		CHECK(host_allocated == 1 && pool.nr_free == (i + 1) * FOLIO_CHUNK_FOLIOS);
		for (uint32_t j = 0; j <= i; j++)
			CHECK(pool.chunks[j] == chunks[j]);
		/* There is room for the next one already: once a length is exhausted, not before.
		 */
		if (i + 1 < max_chunks) {
			struct folio_chunk **before = pool.chunks;

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

	/* Twice as many chunks would have slots whose entries take more than 32 bits. */
	pool.nr_chunks = pool.max_chunks = (1U << 19) + 1;
	CHECK(reserve() == -ENOMEM && pool.chunks == NULL);
	pool.nr_chunks = pool.max_chunks = 1U << 19;
	CHECK(reserve() == 0 && pool.max_chunks == 1U << 20);
	pool.nr_chunks = 0;
	destroy();
}

/* Beside a walk from bit to bit. */
static void test_run_length(void)
{
	static const uint32_t maxima[] = {1, 2, 31, 63, 64};
	struct folio_chunk *chunk = host_alloc_chunk();

	static_assert(FOLIO_CHUNK_FIRST == 36 && FOLIO_CHUNK_FOLIOS == 988, "a chunk");
	for (uint32_t gap = 1; gap < 200; gap += 3) {
		for (uint32_t i = FOLIO_CHUNK_FIRST + 1; i < FOLIO_CHUNK_SIZE; i++) {
			uint64_t bit = UINT64_C(1) << i % 64;

			chunk->follows[i / 64] &= ~bit;
			chunk->follows[i / 64] |= host_random_below(gap) != 0 ? bit : 0;
		}
		for (uint32_t i = FOLIO_CHUNK_FIRST; i < FOLIO_CHUNK_SIZE; i++) {
			for (size_t m = 0; m < sizeof(maxima) / sizeof(maxima[0]); m++) {
				uint32_t nr = 1;

				while (nr < maxima[m] &&
				       (chunk->follows[(i + nr) / 64] >> (i + nr) % 64 & 1) != 0)
					nr++;
				CHECK(folio_run_length(&chunk->folios[i], maxima[m]) == nr);
			}
		}
	}
	free(chunk);
}

int main(void)
{
	test_run_length();
	test_slots();
	test_growth();
	test_failure();
	printf("runs, slots, growth and failure are right\n");
	return 0;
}
