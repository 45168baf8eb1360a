/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the bytes of a folio are: the page frame that belongs to a folio's slot.
 *
 * The only file of the engine that knows how the core lays out folios: a chunk of them is followed
 * by the numbers of their page frames.
 */
#ifndef WRITEBACK_ITER_CACHED_PAGE_H
#define WRITEBACK_ITER_CACHED_PAGE_H

#include "address_space.h"

/* The number of a page frame; 0 is none. */
typedef uint32_t frame_t;

/**
 * struct page_chunk - memory for folios, and which page frame each has
 * @folios: for the core
 * @frame: by slot; the folio's lock protects it. 0 where the folio has no data yet: the caller that
 *	locks such a folio reads it or gives it up
 * @next: the next chunk of the inode
 */
struct page_chunk {
	struct folio_chunk folios;
	frame_t frame[FOLIO_CHUNK_SIZE];
	struct page_chunk *next;
};

#define PAGE_CHUNK_ALIGN FOLIO_CHUNK_ALIGN

static_assert(offsetof(struct page_chunk, folios) == 0, "folio_chunk() gives the page_chunk");

static inline frame_t *folio_frame(const struct folio *folio)
{
	return &((struct page_chunk *)folio_chunk(folio))->frame[folio_chunk_index(folio)];
}

#endif
