// SPDX-License-Identifier: GPL-2.0-only
// Does one operation of the core on GAUGE_FOLIOS folios within gauged(), for callgrind to count the
// instructions of that alone. Run by gauge.mjs.

#include <string.h>

#include "cache.h"

#define GAUGE_FOLIOS 100000

typedef void operation_t(struct cache *cache);

static void add(struct cache *cache)
{
	cache_fill(cache, 1, 0);
}

static void dirty(struct cache *cache)
{
	dirty_all(&cache->mapping, cache->folios, cache->nr);
}

static void tag(struct cache *cache)
{
	tag_pages_for_writeback(&cache->mapping, 0, UINT64_MAX);
}

static void sync_all(struct cache *cache)
{
	check(write_all(&cache->mapping, WB_SYNC_ALL) == cache->nr, "a pass missed folios");
}

static void extents(struct cache *cache)
{
	check(write_extents(&cache->mapping) == cache->nr, "a pass by extents missed folios");
}

/* Pages side by side, at once. */
static void add_run(struct cache *cache)
{
	check(filemap_add_folios(&cache->mapping, 0, cache->nr, 0) == 0, "folios cannot be added");
}

static void dirty_range(struct cache *cache)
{
	check(filemap_dirty_range(&cache->mapping, 0, UINT64_MAX) == cache->nr,
	      "a range missed folios");
}

/*
 * struct gauge - an operation
 * @stride: pages from one folio to the next; 0 where the operation adds the folios
 * @dirty: whether the folios are to be dirty
 */
static const struct gauge {
	const char *name;
	operation_t *operation;
	uint64_t stride;
	bool dirty;
} gauges[] = {
	{"add", add, 0, false},	       {"add-run", add_run, 0, false},
	{"dirty", dirty, 1, false},    {"dirty-range", dirty_range, 1, false},
	{"tag", tag, 1, true},	       {"sync-all", sync_all, 1, true},
	{"extents", extents, 1, true}, {"sync-all-sparse", sync_all, 64, true},
};

#define NR_GAUGES (sizeof(gauges) / sizeof(gauges[0]))

/* callgrind collects while this runs; so it has to be a function of its own, under this name. */
__attribute__((noinline)) void gauged(operation_t *operation, struct cache *cache)
{
	operation(cache);
}

int main(int argc, char **argv)
{
	struct cache cache;

	if (argc == 1) {
		printf("%s\n%d\n", COMPILER, GAUGE_FOLIOS);
		for (size_t i = 0; i < NR_GAUGES; i++)
			printf("%s\n", gauges[i].name);
		return 0;
	}
	for (size_t i = 0; i < NR_GAUGES; i++) {
		const struct gauge *gauge = &gauges[i];

		if (strcmp(gauge->name, argv[1]) != 0)
			continue;
		cache_open(&cache, GAUGE_FOLIOS);
		if (gauge->stride != 0)
			cache_fill(&cache, gauge->stride, 0);
		if (gauge->dirty)
			dirty(&cache);
		gauged(gauge->operation, &cache);
		cache_close(&cache);
		return 0;
	}
	fprintf(stderr, "%s: no such operation\n", argv[1]);
	return 2;
}
