/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes of marks that are noted in the folio and told to its tree later, many at a time.
 *
 * For a host that shares the folios' memory with the core but pays for every call into it: it
 * changes a folio's flags in place, notes in further flag bits of the folio what
 * folio_mark_dirty(), folio_start_writeback() or folio_end_writeback() would have done to the
 * marks, sets the folio's bit in @noted of its chunk, and puts the chunk on the list. As setting
 * and clearing a mark are absolute and those of different folios commute, only the last note for a
 * mark counts.
 *
 * Protocol: the list is applied before anything looks at a mark or takes a folio out. A folio has a
 * PG_deferred bit exactly if its bit in @noted is set, and a chunk is on the list exactly if it has
 * such a folio. Unshared mappings only.
 */
#ifndef WRITEBACK_ITER_DEFERRED_MARKS_H
#define WRITEBACK_ITER_DEFERRED_MARKS_H

#include "address_space.h"

#define PG_set_dirty 0x0040
#define PG_clear_dirty 0x0080
#define PG_set_writeback 0x0100
#define PG_clear_writeback 0x0200
#define PG_clear_towrite 0x0400
#define PG_deferred                                                                                \
	(PG_set_dirty | PG_clear_dirty | PG_set_writeback | PG_clear_writeback | PG_clear_towrite)

/* What ends the list of chunks. */
#define DEFERRED_END UINT32_MAX

/**
 * struct deferred_marks - folios whose tree has yet to be told of their marks
 * @chunks: the first of their chunks, its number + 1; the next one stands in its @noted_next, which
 *	is 0 in a chunk that is not on the list. DEFERRED_END behind the last.
 */
struct deferred_marks {
	uint32_t chunks;
};

static inline void deferred_marks_init(struct deferred_marks *deferred)
{
	deferred->chunks = DEFERRED_END;
}

void apply_deferred_marks(struct address_space *mapping, struct deferred_marks *deferred);

#endif
