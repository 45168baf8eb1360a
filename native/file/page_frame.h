/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page frames: the memory of cached pages, of all files of the process.
 */
#ifndef WRITEBACK_ITER_PAGE_FRAME_H
#define WRITEBACK_ITER_PAGE_FRAME_H

#include "cached_page.h"

#define PAGE_SIZE (1U << PAGE_SHIFT)

struct inode;

/**
 * struct page_frame - what is known of a frame besides its bytes
 * @owner: whose page it holds; NULL while it is free. The arena's lock protects it and @index
 * @index: which page
 * @next: the next free frame
 * @refs: one for the folio, one for each write to the device; the last one frees the frame
 * @epoch: the inode's epoch when the page was last written to the file; 0 if it never was
 * @uses: how often the page was used since it came in, up to FRAME_ACTIVE; the clock hand takes one
 */
struct page_frame {
	struct inode *owner;
	pgoff_t index;
	frame_t next;
	_Atomic uint32_t refs;
	_Atomic uint32_t epoch;
	_Atomic uint8_t uses;
};

#define SEGMENT_SHIFT 13
#define SEGMENT_FRAMES (1U << SEGMENT_SHIFT)
#define MAX_SEGMENTS 65536U

/* Frames come in segments that never move and stay until the process ends. */
struct frame_segment {
	char *bytes;
	struct page_frame frames[SEGMENT_FRAMES];
};

extern struct frame_segment *_Atomic frame_segments[MAX_SEGMENTS];

static inline struct frame_segment *frame_segment(frame_t frame)
{
	return atomic_load_explicit(&frame_segments[frame >> SEGMENT_SHIFT], memory_order_acquire);
}

static inline struct page_frame *page_frame(frame_t frame)
{
	return &frame_segment(frame)->frames[frame & (SEGMENT_FRAMES - 1)];
}

static inline char *frame_bytes(frame_t frame)
{
	return frame_segment(frame)->bytes + ((size_t)(frame & (SEGMENT_FRAMES - 1)) << PAGE_SHIFT);
}

/* A page that was used so often stays when the clock hand passes; one that was used once goes. */
#define FRAME_ACTIVE 2

/* The page is used. A use that two threads count at a time may be counted once. */
static inline void frame_mark_accessed(frame_t frame)
{
	struct page_frame *meta = page_frame(frame);
	uint8_t uses = atomic_load_explicit(&meta->uses, memory_order_relaxed);

	if (uses < FRAME_ACTIVE)
		atomic_store_explicit(&meta->uses, (uint8_t)(uses + 1), memory_order_relaxed);
}

static inline void frame_get(frame_t frame)
{
	atomic_fetch_add_explicit(&page_frame(frame)->refs, 1, memory_order_relaxed);
}

struct frame_use {
	struct inode *owner;
	pgoff_t index;
	frame_t frame;
};

void frames_set_limit(uint64_t bytes);
frame_t frame_take(struct inode *owner, pgoff_t index);
void frame_put(frame_t frame);
bool frames_are_short(void);
uint64_t frames_limit(void);
uint64_t frames_used(void);
uint32_t frames_scan(struct frame_use *uses, uint32_t max, uint64_t *to_scan);
uint32_t frames_of(const struct inode *owner, frame_t *from, struct frame_use *uses, uint32_t max);
void frames_populate(void);
void frames_trim(void);

void *page_cache_alloc(size_t size);
void page_cache_free(void *memory);
struct page_chunk *page_chunk_alloc(void);
void page_chunk_free(struct page_chunk *chunk);

#endif
