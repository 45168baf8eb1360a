/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core's page cache.
 */
#ifndef SIDE_CORE_H
#define SIDE_CORE_H

#include <errno.h>
#include <stdlib.h>

#include "page_writeback.h"

#define SIDE_NAME "core"

/* Memory for more folios, in a list. */
struct side_chunk {
	struct side_chunk *next;
	struct folio folios[FOLIO_CHUNK_SIZE];
};

struct side {
	struct address_space mapping;
	struct side_chunk *chunks;
};

/* Ends the wait: releases what is waited for. */
static void side_waited(struct side *side, struct folio *folio, bool for_writeback);

static int side_wait(struct address_space *mapping, struct folio *folio, unsigned int flag)
{
	/* The mapping is the first member. */
	side_waited((struct side *)mapping, folio, flag == PG_writeback);
	return 0;
}

static void *side_alloc(size_t size)
{
	return calloc(1, size);
}

static inline bool side_init(struct side *side, bool shared)
{
	static const struct address_space_operations a_ops = {
		.alloc = side_alloc, .free = free, .wait = side_wait};

	side->chunks = NULL;
	address_space_init(&side->mapping, PAGE_SHIFT, shared, &a_ops);
	return true;
}

static inline int side_add(struct side *side, uint64_t index, unsigned int order,
			   struct folio **foliop)
{
	int err = filemap_add_folio(&side->mapping, index, order, foliop);

	if (err == -ENOSPC) {
		struct side_chunk *chunk = calloc(1, sizeof(*chunk));

		if (chunk == NULL)
			return -ENOMEM;
		chunk->next = side->chunks;
		side->chunks = chunk;
		err = address_space_add_chunk(&side->mapping, chunk->folios);
		if (err == 0)
			err = filemap_add_folio(&side->mapping, index, order, foliop);
	}
	return err;
}

static inline int side_remove(struct side *side, struct folio *folio)
{
	return filemap_remove_folio(&side->mapping, folio);
}

static inline void side_destroy(struct side *side)
{
	address_space_destroy(&side->mapping);
	while (side->chunks != NULL) {
		struct side_chunk *chunk = side->chunks;

		side->chunks = chunk->next;
		free(chunk);
	}
}

#endif
