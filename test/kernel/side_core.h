/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core's page cache.
 */
#ifndef SIDE_CORE_H
#define SIDE_CORE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "page_writeback.h"

#define SIDE_NAME "core"

struct side {
	struct address_space mapping;
};

/* Ends the wait: releases the lock or ends the writeback. */
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

	address_space_init(&side->mapping, PAGE_SHIFT, shared, &a_ops);
	return true;
}

static inline int side_add(struct side *side, uint64_t index, unsigned int order,
			   struct folio **foliop)
{
	int err = filemap_add_folio(&side->mapping, index, order, foliop);

	if (err == -ENOSPC) {
		struct folio_chunk *chunk = aligned_alloc(FOLIO_CHUNK_ALIGN, sizeof(*chunk));

		if (chunk == NULL)
			return -ENOMEM;
		err = address_space_add_chunk(&side->mapping, memset(chunk, 0, sizeof(*chunk)));
		if (err == 0)
			err = filemap_add_folio(&side->mapping, index, order, foliop);
		else
			free(chunk);
	}
	return err;
}

static inline int side_remove(struct side *side, struct folio *folio)
{
	return filemap_remove_folio(&side->mapping, folio);
}

static inline void side_destroy(struct side *side)
{
	for (uint32_t i = 0; i < side->mapping.pool.nr_chunks; i++)
		free(side->mapping.pool.chunks[i]);
	address_space_destroy(&side->mapping);
}

#endif
