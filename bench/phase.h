/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The phases of writeback that are measured by themselves, everywhere the same.
 */
#ifndef WRITEBACK_ITER_BENCH_PHASE_H
#define WRITEBACK_ITER_BENCH_PHASE_H

/**
 * enum phase - what is measured, over folios that are clean, unlocked and without marks unless told
 * otherwise
 * @PHASE_DIRTY: folio_mark_dirty() of each
 * @PHASE_TAG: tag_pages_for_writeback() with all of them dirty
 * @PHASE_SYNC_ALL: a WB_SYNC_ALL pass with all dirty: tag, iterate, start, unlock, end
 * @PHASE_SYNC_NONE: a WB_SYNC_NONE pass with all dirty: iterate, start, unlock, end
 * @PHASE_ITERATE: as PHASE_SYNC_NONE, but each folio is only unlocked
 */
enum phase { PHASE_DIRTY, PHASE_TAG, PHASE_SYNC_ALL, PHASE_SYNC_NONE, PHASE_ITERATE, NR_PHASES };

static const char *const phase_names[NR_PHASES] = {"dirty", "tag", "sync-all", "sync-none",
						   "iterate"};

#endif
