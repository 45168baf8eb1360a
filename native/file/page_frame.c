// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arena of page frames.
 *
 * Memory that is touched for the first time costs several times what a copy of a page does, so
 * frames are used again, the one freed last first, and frames that were never used are populated by
 * a thread ahead of the callers.
 */
#include "page_frame.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "inode.h"
#include "writeback.h"

/* How many untouched frames are populated at a time, and how far ahead of use at most. */
#define POPULATE_STEP 256U
#define POPULATE_AHEAD 4096U
/* How many frames are given back to the system at a time. */
#define TRIM_STEP 256U

struct frame_segment *_Atomic frame_segments[MAX_SEGMENTS];

/**
 * struct arena - which frames there are, and which are free
 * @lock: protects all of it, and the owner of each frame
 * @free: the frame that was freed last; the next one in its @next
 * @nr_free: how many there are
 * @idle: the least that @nr_free was since frames_trim() looked last
 * @cold: free frames whose memory was given back to the system
 * @nr_cold: how many there are
 * @nr_created: frames that were handed out at least once: those from 1 on. Frame 0 is none.
 * @nr_populated: frames that were touched, from 1 on
 * @populating: a thread is behind @nr_populated
 * @hand: the position of the clock
 */
static struct {
	pthread_mutex_t lock;
	frame_t free;
	uint32_t nr_free;
	uint32_t idle;
	frame_t cold;
	uint32_t nr_cold;
	uint32_t nr_created;
	uint32_t nr_populated;
	bool populating;
	frame_t hand;
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Of configure(), and what is used of it for other things than frames. */
static _Atomic uint64_t memory_limit;
static _Atomic uint64_t bookkeeping;

static void account(void *memory, bool taken)
{
	uint64_t size = malloc_usable_size(memory) + sizeof(size_t);

	if (taken)
		atomic_fetch_add_explicit(&bookkeeping, size, memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(&bookkeeping, size, memory_order_relaxed);
}

/* Zeroed memory that counts against the budget, or NULL. */
void *page_cache_alloc(size_t size)
{
	void *memory = calloc(1, size);

	if (memory != NULL)
		account(memory, true);
	return memory;
}

void page_cache_free(void *memory)
{
	if (memory != NULL)
		account(memory, false);
	free(memory);
}

struct page_chunk *page_chunk_alloc(void)
{
	void *memory = NULL;

	if (posix_memalign(&memory, PAGE_CHUNK_ALIGN, sizeof(struct page_chunk)) != 0)
		return NULL;
	account(memory, true);
	return memset(memory, 0, sizeof(struct page_chunk));
}

void page_chunk_free(struct page_chunk *chunk)
{
	page_cache_free(chunk);
}

void frames_set_limit(uint64_t bytes)
{
	atomic_store(&memory_limit, bytes);
}

/* How many frames there may be. */
uint64_t frames_limit(void)
{
	uint64_t limit = atomic_load_explicit(&memory_limit, memory_order_relaxed);
	uint64_t other = atomic_load_explicit(&bookkeeping, memory_order_relaxed);
	uint64_t most = (uint64_t)MAX_SEGMENTS * SEGMENT_FRAMES - SEGMENT_FRAMES;
	uint64_t frames;

	/* However much of the budget folios and nodes take, pages get a quarter of it. */
	if (other > limit / 4 * 3)
		other = limit / 4 * 3;
	frames = (limit - other) / (PAGE_SIZE + sizeof(struct page_frame));
	return frames < most ? frames : most;
}

/* The arena's lock is held. */
static uint32_t nr_used(void)
{
	return arena.nr_created - arena.nr_free - arena.nr_cold;
}

uint64_t frames_used(void)
{
	uint64_t used;

	pthread_mutex_lock(&arena.lock);
	used = nr_used();
	pthread_mutex_unlock(&arena.lock);
	return used;
}

/* Whether writers are about to use up the frames: less than an eighth is free. */
bool frames_are_short(void)
{
	uint64_t limit = frames_limit();

	return frames_used() > limit - limit / 8;
}

/* A segment's memory is address space until it is touched. The arena's lock is held. */
static bool add_segment(uint32_t number)
{
	struct frame_segment *segment;
	size_t bytes = (size_t)SEGMENT_FRAMES << PAGE_SHIFT;

	segment = mmap(NULL, sizeof(*segment), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (segment == MAP_FAILED)
		return false;
	segment->bytes = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (segment->bytes == MAP_FAILED) {
		munmap(segment, sizeof(*segment));
		return false;
	}
	/* A child has no use for it, and a copy of each page that is written afterwards costs. */
	madvise(segment->bytes, bytes, MADV_DONTFORK);
	atomic_store_explicit(&frame_segments[number], segment, memory_order_release);
	return true;
}

/* The arena's lock is held. */
static frame_t pop_frame(void)
{
	frame_t frame = arena.free;

	if (nr_used() >= frames_limit())
		return 0;
	if (frame != 0) {
		arena.free = page_frame(frame)->next;
		arena.nr_free--;
		if (arena.nr_free < arena.idle)
			arena.idle = arena.nr_free;
		return frame;
	}
	frame = arena.cold;
	if (frame != 0) {
		arena.cold = page_frame(frame)->next;
		arena.nr_cold--;
		return frame;
	}
	frame = arena.nr_created + 1;
	if (frame_segments[frame >> SEGMENT_SHIFT] == NULL && !add_segment(frame >> SEGMENT_SHIFT))
		return 0;
	arena.nr_created++;
	return frame;
}

/* How many untouched frames should be ready: more, the more are used. */
static uint32_t populate_target(uint32_t created)
{
	uint64_t limit = frames_limit();
	uint64_t target = (uint64_t)created + (created < POPULATE_AHEAD ? created : POPULATE_AHEAD);

	if (target < POPULATE_STEP)
		target = POPULATE_STEP;
	return (uint32_t)(target < limit ? target : limit);
}

/**
 * frame_take - a frame for a page
 * @owner: whose page
 * @index: which page
 *
 * Return: the frame with a reference, its bytes undefined; 0 if the budget is used up.
 */
frame_t frame_take(struct inode *owner, pgoff_t index)
{
	struct page_frame *meta;
	bool populate = false;
	frame_t frame;

	pthread_mutex_lock(&arena.lock);
	frame = pop_frame();
	if (frame != 0) {
		meta = page_frame(frame);
		meta->owner = owner;
		meta->index = index;
		atomic_store_explicit(&meta->refs, 1, memory_order_relaxed);
		atomic_store_explicit(&meta->epoch, 0, memory_order_relaxed);
		atomic_store_explicit(&meta->uses, 0, memory_order_relaxed);
		populate = !arena.populating && arena.nr_free == 0 &&
			   arena.nr_populated < populate_target(arena.nr_created);
	}
	pthread_mutex_unlock(&arena.lock);
	if (populate)
		writeback_wake_populator();
	return frame;
}

/* Drops a reference; with the last one the frame is free. */
void frame_put(frame_t frame)
{
	struct page_frame *meta = page_frame(frame);

	if (atomic_fetch_sub_explicit(&meta->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_lock(&arena.lock);
	meta->owner = NULL;
	meta->next = arena.free;
	arena.free = frame;
	arena.nr_free++;
	pthread_mutex_unlock(&arena.lock);
	writeback_frame_freed();
}

/**
 * frames_scan - move the clock hand on, and find pages that were not used again since it passed
 * last
 * @uses: gets them, each with a reference to its owner
 * @max: how many
 * @to_scan: counted down by the frames that the hand passes; the scan ends at 0
 *
 * Return: how many were found.
 */
uint32_t frames_scan(struct frame_use *uses, uint32_t max, uint64_t *to_scan)
{
	uint32_t nr = 0;

	pthread_mutex_lock(&arena.lock);
	if (arena.nr_created == 0)
		*to_scan = 0;
	while (nr<max && * to_scan> 0) {
		struct page_frame *meta;

		(*to_scan)--;
		arena.hand = arena.hand >= arena.nr_created ? 1 : arena.hand + 1;
		meta = page_frame(arena.hand);
		if (meta->owner == NULL)
			continue;
		if (atomic_load_explicit(&meta->uses, memory_order_relaxed) == FRAME_ACTIVE) {
			atomic_store_explicit(&meta->uses, FRAME_ACTIVE - 1, memory_order_relaxed);
			continue;
		}
		inode_get(meta->owner);
		uses[nr++] = (struct frame_use){meta->owner, meta->index, arena.hand};
	}
	pthread_mutex_unlock(&arena.lock);
	return nr;
}

/**
 * frames_of - the frames of an inode
 * @owner: the inode
 * @from: the frame to start behind; moved on
 * @uses: gets them, without references
 * @max: how many
 *
 * Return: how many were found; 0 at the end.
 */
uint32_t frames_of(const struct inode *owner, frame_t *from, struct frame_use *uses, uint32_t max)
{
	uint32_t nr = 0;

	pthread_mutex_lock(&arena.lock);
	while (nr < max && *from < arena.nr_created) {
		struct page_frame *meta = page_frame(++*from);

		if (meta->owner == owner)
			uses[nr++] = (struct frame_use){meta->owner, meta->index, *from};
	}
	pthread_mutex_unlock(&arena.lock);
	return nr;
}

static void touch(char *bytes, size_t size)
{
#ifdef MADV_POPULATE_WRITE
	if (madvise(bytes, size, MADV_POPULATE_WRITE) == 0)
		return;
#endif
	/* A frame that is in use already must not change: so read; writing comes later, for less.
	 */
	for (size_t i = 0; i < size; i += PAGE_SIZE)
		(void)*(volatile const char *)(bytes + i);
}

/* Touches frames until enough are ready. */
void frames_populate(void)
{
	pthread_mutex_lock(&arena.lock);
	arena.populating = true;
	for (;;) {
		uint32_t number, step;
		frame_t first;

		if (arena.nr_populated < arena.nr_created)
			arena.nr_populated = arena.nr_created;
		if (arena.nr_free > 0 || arena.nr_populated >= populate_target(arena.nr_created))
			break;
		first = arena.nr_populated + 1;
		number = first >> SEGMENT_SHIFT;
		step = SEGMENT_FRAMES - (first & (SEGMENT_FRAMES - 1));
		if (step > POPULATE_STEP)
			step = POPULATE_STEP;
		if (frame_segments[number] == NULL && !add_segment(number))
			break;
		arena.nr_populated += step;
		pthread_mutex_unlock(&arena.lock);
		touch(frame_bytes(first), (size_t)step << PAGE_SHIFT);
		pthread_mutex_lock(&arena.lock);
	}
	arena.populating = false;
	pthread_mutex_unlock(&arena.lock);
}

/* Takes up to @max of the free frames, which were not used since the last call. */
static uint32_t take_idle(frame_t *frames, uint32_t max)
{
	uint32_t nr = 0;

	pthread_mutex_lock(&arena.lock);
	for (; nr < max && arena.idle > 0; arena.idle--) {
		frames[nr++] = arena.free;
		arena.free = page_frame(arena.free)->next;
		arena.nr_free--;
	}
	pthread_mutex_unlock(&arena.lock);
	return nr;
}

/* Gives the memory of free frames back to the system that no page needed since the last call. */
void frames_trim(void)
{
	frame_t frames[TRIM_STEP];
	uint32_t nr;

	while ((nr = take_idle(frames, TRIM_STEP)) != 0) {
		for (uint32_t i = 0; i < nr; i++)
			madvise(frame_bytes(frames[i]), PAGE_SIZE, MADV_DONTNEED);
		pthread_mutex_lock(&arena.lock);
		for (uint32_t i = 0; i < nr; i++) {
			page_frame(frames[i])->next = arena.cold;
			arena.cold = frames[i];
		}
		arena.nr_cold += nr;
		pthread_mutex_unlock(&arena.lock);
	}
	pthread_mutex_lock(&arena.lock);
	arena.idle = arena.nr_free;
	pthread_mutex_unlock(&arena.lock);
}
