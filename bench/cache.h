/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A page cache to measure the core on, and a pass by extents; what core.c and gauge.c share.
 */
#ifndef WRITEBACK_ITER_BENCH_CACHE_H
#define WRITEBACK_ITER_BENCH_CACHE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "writeback_extent.h"

/* Behind the headers that it measures. */
#include "phases.h"

/* The most pages of an extent: 1 MiB, what AddressSpace.writeExtents() takes by default. */
#define EXTENT_PAGES 256

/**
 * struct cache - a page cache with folios
 * @mapping: the page cache
 * @memory: its folios' memory
 * @folios: its folios, ascending; all clean to begin with
 * @nr: how many
 */
struct cache {
	struct address_space mapping;
	struct folio_chunk *memory;
	struct folio **folios;
	size_t nr;
};

static inline void check(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

static inline void *host_alloc(size_t size)
{
	return calloc(1, size);
}

/* An empty page cache, with memory for @nr folios. */
static inline void cache_open(struct cache *cache, size_t nr)
{
	static const struct address_space_operations a_ops = {.alloc = host_alloc, .free = free};
	size_t chunks = (nr + FOLIO_CHUNK_FOLIOS - 1) / FOLIO_CHUNK_FOLIOS;
	size_t bytes = chunks * sizeof(struct folio_chunk);

	cache->nr = nr;
	cache->memory = aligned_alloc(FOLIO_CHUNK_ALIGN, bytes);
	cache->folios = calloc(nr, sizeof(struct folio *));
	check(cache->memory != NULL && cache->folios != NULL, "out of memory");
	memset(cache->memory, 0, bytes);
	address_space_init(&cache->mapping, PAGE_SHIFT, false, &a_ops);
	for (size_t i = 0; i < chunks; i++)
		check(address_space_add_chunk(&cache->mapping, &cache->memory[i]) == 0,
		      "out of memory");
}

/* Adds the folios, each 2^order * stride pages behind the one before. */
static inline void cache_fill(struct cache *cache, uint64_t stride, unsigned int order)
{
	for (size_t i = 0; i < cache->nr; i++)
		check(filemap_add_folio(&cache->mapping, i * stride << order, order,
					&cache->folios[i]) == 0,
		      "a folio cannot be added");
}

static inline void cache_close(struct cache *cache)
{
	address_space_destroy(&cache->mapping);
	free(cache->folios);
	free(cache->memory);
}

/* A WB_SYNC_ALL pass by extents. Returns how many folios it came upon. */
static inline size_t write_extents(struct address_space *mapping)
{
	static struct writeback_extent extent;
	struct writeback_control wbc = whole_file(WB_SYNC_ALL);
	size_t written = 0;
	int error = 0;

	writeback_put_extent(mapping, &extent);
	while (writeback_get_extent(mapping, &wbc, &extent, EXTENT_PAGES, &error)) {
		written += extent.nr_folios;
		writeback_end_extent(mapping, &extent, 0);
	}
	return written;
}

#endif
