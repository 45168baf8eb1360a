/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One page cache with its writeback, as the driver sees it: the kernel's code and the core behind
 * the same table. Both define the same names, so each is a library of its own that exports nothing
 * but its table.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bench/phase.h"

enum oracle_mark { ORACLE_DIRTY, ORACLE_WRITEBACK, ORACLE_TOWRITE, ORACLE_NR_MARKS };

/* The flags of a folio in oracle_ops.flags. */
#define ORACLE_FLAG_LOCKED 1u
#define ORACLE_FLAG_DIRTY 2u
#define ORACLE_FLAG_WRITEBACK 4u
#define ORACLE_FLAG_UPTODATE 8u

/* A new writeback control; the members are those of struct writeback_control. */
struct oracle_pass {
	bool sync_all;
	bool tagged_writepages;
	bool range_cyclic;
	int64_t range_start;
	int64_t range_end;
	int64_t nr_to_write;
};

/* What writeback_iter() returned: the folio, or none and the error. */
struct oracle_next {
	bool done;
	uint64_t index;
	unsigned int order;
	int error;
	int64_t nr_to_write;
	uint64_t writeback_index;
};

/*
 * The page cache to measure: this many folios of that order, each 2^order * stride pages behind the
 * one before.
 */
struct oracle_shape {
	size_t folios;
	unsigned int order;
	uint64_t stride;
};

/* Called for each wait of the iterator, after the wait has ended. */
typedef void oracle_waited_fn(void *context, bool for_writeback, uint64_t index);

struct oracle;
struct oracle_bench;

/**
 * struct oracle_ops - a page cache and one running pass over it
 * @name: which
 * @create: a new one; @waited is called with @context
 * @destroy: drops it, with all that is locked or under writeback
 * @add: 0, -EEXIST or -ENOMEM
 *
 * A folio is named by its first page. Where there is none, the call returns -ENOENT and does
 * nothing; where it is not in the state that the call asks for, -EINVAL or -EBUSY.
 *
 * @dirty: 1 if newly dirty, 0 if it was
 * @remove: takes a folio that is neither locked nor under writeback from the cache, as truncation
 *	does
 * @dirty_removed: folio_mark_dirty of the folio that was removed last, by a task with a reference;
 *	as @dirty, or -ENOENT
 * @lock: 1 if it was free, 0 if not
 * @unlock: of a locked folio
 * @start: folio_start_writeback of a locked folio that is not under writeback
 * @end: folio_end_writeback of a folio under writeback
 * @redirty: folio_redirty_for_writepage on the running pass; as @dirty, and pages_skipped after it
 * @flags: ORACLE_FLAG_*
 * @tag: tag_pages_for_writeback
 * @begin: a new pass; one that is running is abandoned
 * @next: writeback_iter with the folio returned last and @error for it
 * @marks: the first pages of the folios that have @mark, ascending; returns how many, fills
 *	@indices up to @room
 * @nrpages: pages in the cache
 * @tagged: mapping_tagged
 * @bench_open: a page cache to measure; @shared as for one that threads share, which has to be how
 *	the side was compiled if that decides it. NULL without memory.
 * @bench_measure: measures each phase once, in nanoseconds in all; false if a pass went wrong
 * @bench_close: drops it
 */
struct oracle_ops {
	const char *name;
	struct oracle *(*create)(oracle_waited_fn *waited, void *context);
	void (*destroy)(struct oracle *oracle);
	int (*add)(struct oracle *oracle, uint64_t index, unsigned int order);
	int (*dirty)(struct oracle *oracle, uint64_t index);
	int (*remove)(struct oracle *oracle, uint64_t index);
	int (*dirty_removed)(struct oracle *oracle);
	int (*lock)(struct oracle *oracle, uint64_t index);
	int (*unlock)(struct oracle *oracle, uint64_t index);
	int (*start)(struct oracle *oracle, uint64_t index, bool keep_write);
	int (*end)(struct oracle *oracle, uint64_t index);
	int (*redirty)(struct oracle *oracle, uint64_t index, int64_t *pages_skipped);
	int (*flags)(struct oracle *oracle, uint64_t index);
	void (*tag)(struct oracle *oracle, uint64_t first, uint64_t last);
	void (*begin)(struct oracle *oracle, const struct oracle_pass *pass);
	void (*next)(struct oracle *oracle, int error, struct oracle_next *next);
	size_t (*marks)(struct oracle *oracle, enum oracle_mark mark, uint64_t *indices,
			size_t room);
	uint64_t (*nrpages)(struct oracle *oracle);
	bool (*tagged)(struct oracle *oracle, enum oracle_mark mark);
	struct oracle_bench *(*bench_open)(const struct oracle_shape *shape, bool shared);
	bool (*bench_measure)(struct oracle_bench *bench, double nanoseconds[NR_PHASES]);
	void (*bench_close)(struct oracle_bench *bench);
};

/* The kernel's without and with atomics, and the core's. */
extern const struct oracle_ops kernel_ops;
extern const struct oracle_ops kernel_smp_ops;
extern const struct oracle_ops core_ops;

#endif
