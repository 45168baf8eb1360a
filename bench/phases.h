/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Measures each phase once. To be included behind the page cache's own headers: the core's, or the
 * kernel's behind macros that give its functions the core's signatures.
 */
#ifndef WRITEBACK_ITER_BENCH_PHASES_H
#define WRITEBACK_ITER_BENCH_PHASES_H

#include <assert.h>
#include <stdint.h>
#include <time.h>

#include "phase.h"

static inline double nanoseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline struct writeback_control whole_file(enum writeback_sync_modes sync_mode)
{
	return (struct writeback_control){
		.nr_to_write = INT64_MAX, .range_end = INT64_MAX, .sync_mode = sync_mode};
}

static inline void dirty_all(struct address_space *mapping, struct folio *const *folios, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		folio_mark_dirty(mapping, folios[i]);
}

static inline size_t write_all(struct address_space *mapping, enum writeback_sync_modes sync_mode)
{
	struct writeback_control wbc = whole_file(sync_mode);
	struct folio *folio = NULL;
	size_t written = 0;
	int error;

	while ((folio = writeback_iter(mapping, &wbc, folio, &error)) != NULL) {
		folio_start_writeback(mapping, folio, false);
		folio_unlock(mapping, folio);
		folio_end_writeback(mapping, folio);
		written++;
	}
	return written;
}

static inline size_t iterate_all(struct address_space *mapping)
{
	struct writeback_control wbc = whole_file(WB_SYNC_NONE);
	struct folio *folio = NULL;
	size_t seen = 0;
	int error;

	while ((folio = writeback_iter(mapping, &wbc, folio, &error)) != NULL) {
		folio_unlock(mapping, folio);
		seen++;
	}
	return seen;
}

/**
 * measure_phases - measure each phase once
 * @mapping: a page cache, all of whose folios are clean, unlocked and without marks, and are so
 * again afterwards
 * @folios: its folios, ascending
 * @nr: how many
 * @nanoseconds: set to the time that each phase took in all
 *
 * Return: whether each pass came upon every folio once.
 */
static inline bool measure_phases(struct address_space *mapping, struct folio *const *folios,
				  size_t nr, double nanoseconds[NR_PHASES])
{
	size_t seen = 0;
	double begin, end;

	begin = nanoseconds_now();
	dirty_all(mapping, folios, nr);
	end = nanoseconds_now();
	nanoseconds[PHASE_DIRTY] = end - begin;

	seen += write_all(mapping, WB_SYNC_ALL);
	nanoseconds[PHASE_SYNC_ALL] = nanoseconds_now() - end;

	dirty_all(mapping, folios, nr);
	begin = nanoseconds_now();
	seen += write_all(mapping, WB_SYNC_NONE);
	nanoseconds[PHASE_SYNC_NONE] = nanoseconds_now() - begin;

	dirty_all(mapping, folios, nr);
	begin = nanoseconds_now();
	tag_pages_for_writeback(mapping, 0, UINT64_MAX);
	nanoseconds[PHASE_TAG] = nanoseconds_now() - begin;

	begin = nanoseconds_now();
	seen += iterate_all(mapping);
	nanoseconds[PHASE_ITERATE] = nanoseconds_now() - begin;

	/* The folios that were only unlocked are marked still, TOWRITE too. */
	dirty_all(mapping, folios, nr);
	seen += write_all(mapping, WB_SYNC_NONE);
	return seen == 4 * nr && !mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) &&
	       !mapping_tagged(mapping, PAGECACHE_TAG_TOWRITE) &&
	       !mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK);
}

#endif
