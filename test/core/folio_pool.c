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

static_assert(FOLIO_CHUNK_FIRST == 12 && FOLIO_CHUNK_FOLIOS == 1012, "a chunk");

#define MAX_CHUNKS 9

static struct folio_pool pool;
static struct folio_chunk *chunks[MAX_CHUNKS];

static int reserve(void)
{
	return folio_pool_reserve(&pool, host_ops.alloc, host_ops.free);
}

static struct folio *get(void)
{
	uint32_t nr = 0;
	struct folio *folio = folio_pool_get(&pool, 1, &nr);

	CHECK(folio == NULL || nr == 1);
	return folio;
}

static void add_chunk(void)
{
	struct folio_chunk *chunk = host_alloc_chunk();

	CHECK(reserve() == 0);
	chunks[pool.nr_chunks] = chunk;
	folio_pool_add(&pool, chunk);
	CHECK(chunk->number == pool.nr_chunks - 1 && chunk->pool == &pool);
}

static void destroy(void)
{
	uint32_t nr_chunks = pool.nr_chunks;

	folio_pool_destroy(&pool, host_ops.free);
	CHECK(pool.chunks == NULL && pool.nr_chunks == 0 && pool.max_chunks == 0);
	CHECK(pool.unused == FOLIO_CHUNK_FIRST && pool.nr_free == 0 && pool.free == FOLIO_NO_SLOT);
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
	CHECK(get() == NULL);
	for (uint32_t chunk = 0; chunk < 2; chunk++) {
		add_chunk();
		CHECK(pool.nr_free == FOLIO_CHUNK_FOLIOS);
		for (uint32_t i = FOLIO_CHUNK_FIRST; i < FOLIO_CHUNK_SIZE; i++) {
			struct folio *folio = get();

			CHECK(folio == &chunks[chunk]->folios[i]);
			CHECK(folio_chunk(folio) == chunks[chunk] && folio_chunk_index(folio) == i);
			CHECK(folio_index_place(folio) ==
			      &chunks[chunk]->index[i - FOLIO_CHUNK_FIRST]);
			CHECK(folio_tree_slot(folio) ==
			      &chunks[chunk]->tree_slot[i - FOLIO_CHUNK_FIRST]);
			CHECK(folio_pool_has(&pool, folio));
			CHECK(folio_slot(folio) == chunk * FOLIO_CHUNK_SIZE + i);
			CHECK(folio_of_slot(&pool, folio_slot(folio)) == folio);
			CHECK(pool.nr_free == FOLIO_CHUNK_SIZE - 1 - i);
		}
		CHECK(get() == NULL && pool.nr_free == 0);
	}
	first = &chunks[0]->folios[FOLIO_CHUNK_FIRST];
	/*
	 * The seventh is the second of two slots in eight bytes. AddressSanitizer detects its use
	 * only.
	 */
	seventh = &chunks[0]->folios[FOLIO_CHUNK_FIRST + 7];
	last = &chunks[1]->folios[FOLIO_CHUNK_SIZE - 1];
	folio_pool_put(&pool, last);
	folio_pool_put(&pool, first);
	folio_pool_put(&pool, seventh);
	CHECK(pool.nr_free == 3 && pool.unused == 2 * FOLIO_CHUNK_SIZE + FOLIO_CHUNK_FIRST);
	CHECK(is_poisoned(seventh) == POISONS &&
	      is_poisoned(folio_index_place(seventh)) == POISONS);
	CHECK(!is_poisoned(folio_index_place(seventh) + 1) &&
	      !is_poisoned(folio_index_place(seventh) - 1));
	CHECK(!is_poisoned(seventh + 1) && !is_poisoned(seventh - 1));
	CHECK(get() == seventh);
	CHECK(!is_any_poisoned(seventh, sizeof(*seventh)));
	CHECK(!is_any_poisoned(folio_index_place(seventh), sizeof(pgoff_t)));
	CHECK(get() == first && get() == last);
	CHECK(get() == NULL && pool.nr_free == 0);
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
		/*
		 * The list has room for the next chunk already: it grows when its length is used
		 * up, not before.
		 */
		if (i + 1 < max_chunks) {
			struct folio_chunk **before = pool.chunks;

			CHECK(reserve() == 0 && pool.chunks == before);
		}
	}
	destroy();
}

/* The list has no memory to grow, or is as long as slot numbers allow. */
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

	/* Twice as many chunks would have slots whose entries need more than 32 bits. */
	pool.nr_chunks = pool.max_chunks = (1U << 19) + 1;
	CHECK(reserve() == -ENOMEM && pool.chunks == NULL);
	pool.nr_chunks = pool.max_chunks = 1U << 19;
	CHECK(reserve() == 0 && pool.max_chunks == 1U << 20);
	pool.nr_chunks = 0;
	destroy();
}

/* The pool hands out neighbours up to the end of a chunk, and freed slots one by one. */
static void test_runs(void)
{
	struct folio *first;
	uint32_t nr;

	folio_pool_init(&pool);
	add_chunk();
	add_chunk();
	first = folio_pool_get(&pool, 1000, &nr);
	CHECK(first == &chunks[0]->folios[FOLIO_CHUNK_FIRST] && nr == 1000);
	CHECK(pool.nr_free == 2 * FOLIO_CHUNK_FOLIOS - 1000);
	CHECK(folio_pool_get(&pool, 64, &nr) == first + 1000 && nr == FOLIO_CHUNK_FOLIOS - 1000);
	CHECK(folio_pool_get(&pool, 64, &nr) == &chunks[1]->folios[FOLIO_CHUNK_FIRST] && nr == 64);
	folio_pool_put(&pool, first + 5);
	folio_pool_put(&pool, first + 6);
	CHECK(folio_pool_get(&pool, 2, &nr) == first + 6 && nr == 1);
	CHECK(folio_pool_get(&pool, 2, &nr) == first + 5 && nr == 1);
	CHECK(pool.nr_free == FOLIO_CHUNK_FOLIOS - 64);
	destroy();
}

int main(void)
{
	test_slots();
	test_runs();
	test_growth();
	test_failure();
	printf("slots, runs, growth and failure are right\n");
	return 0;
}
