// SPDX-License-Identifier: GPL-2.0-only
// The writeback iteration. Transcribed from mm/page-writeback.c of Linux 6.12 (which came with "writeback: add a
// writeback iterator" by Christoph Hellwig in 6.9): same functions, same order of decisions. native/README.md has the
// table of what differs. Nothing in here calls a user's code.

import type { MarkNumber } from '../arguments.js'
import { addPages, type ControlState, pageIndex, subtractPages } from '../writeback_control.js'
import {
  filemap_get_folios_tag,
  type MappingState,
  PAGECACHE_TAG_DIRTY,
  PAGECACHE_TAG_TOWRITE,
  ULONG_MAX,
} from './address_space.js'
import {
  type Folio,
  folio_mapping,
  folio_mark_dirty,
  folio_next_index,
  folio_nr_pages,
  folio_test_dirty,
  folio_test_locked,
  folio_trylock_for_io,
  PG_locked,
  PG_writeback,
} from './folio.js'
import { FolioBatch, folio_batch_next, folio_batch_release } from './folio_batch.js'
import { xas_copy_mark } from './xarray.js'

/**
 * What the kernel keeps in struct writeback_control beside the public fields: where a pass stands, and what it read of
 * its control when it started.
 */
export class WritebackPass {
  readonly control: ControlState
  readonly mapping: MappingState
  readonly sync_all: boolean
  readonly tagged_writepages: boolean
  readonly range_cyclic: boolean
  /** First and last page of the range. */
  readonly range_start: number
  readonly range_end: number
  /** Folios found but not returned yet. */
  readonly fbatch = new FolioBatch()
  /** Where the next lookup starts. */
  index = 0
  /** First error of a WB_SYNC_ALL pass. */
  saved_err = 0
  /** The kernel's *error. In: how the write of the folio returned last went; out, with null: the result. */
  error = 0
  /** The folio that the pass would have had to wait for, still in the batch; null mostly. */
  blocked: Folio | null = null
  /** What for: PG_locked or PG_writeback. */
  blocked_on = 0
  /** The folio returned last. */
  folio: Folio | null = null
  /** Whether a wait hook is running. */
  waiting = false
  /** Whether a loop of this library steps the pass, and ends it: nobody else does then. */
  readonly owned: boolean

  constructor(mapping: MappingState, control: ControlState, owned: boolean) {
    this.control = control
    this.mapping = mapping
    this.owned = owned
    this.sync_all = control.syncMode === 'all'
    this.tagged_writepages = control.taggedWritepages
    this.range_cyclic = control.rangeCyclic
    this.range_start = pageIndex(control.rangeStart, mapping.page_shift)
    this.range_end = pageIndex(control.rangeEnd, mapping.page_shift)
  }
}

/**
 * Sets TOWRITE on every folio that is marked DIRTY and overlaps pages `start` to `end`, both included.
 *
 * The answer to livelock: a sync writes what bears TOWRITE, that is what was dirty when it began, however fast others
 * dirty more. So it has to be quicker than they are. The rule that makes it safe: TOWRITE is only ever cleared by who
 * starts writeback of the folio. There is no lock to drop from time to time in one thread.
 */
export function tag_pages_for_writeback(mapping: MappingState, start: number, end: number): void {
  xas_copy_mark(mapping.i_pages, start, end, PAGECACHE_TAG_DIRTY, PAGECACHE_TAG_TOWRITE)
}

/** The pass would have to wait for this folio, and a thread of JavaScript cannot. */
function wbc_block(wbc: WritebackPass, folio: Folio, flag: number): void {
  wbc.blocked = folio
  wbc.blocked_on = flag
}

/**
 * Whether to write the folio: if so, it is locked and its dirty flag is clear on return. The kernel takes the lock first, as
 * anything may happen between the lookup and the lock; in one thread, nothing happens between the lock and the look.
 */
function folio_prepare_writeback(mapping: MappingState, wbc: WritebackPass, folio: Folio): boolean {
  if (folio_trylock_for_io(mapping, folio)) return true

  if (folio_test_locked(folio)) {
    wbc_block(wbc, folio, PG_locked)
    return false
  }

  // Truncated or invalidated. A new folio may stand in its place by now, but it is not what this pass looked up.
  if (folio_mapping(folio) !== mapping) return false

  // Somebody wrote it for us.
  if (!folio_test_dirty(folio)) return false

  // Under writeback.
  if (wbc.sync_all) wbc_block(wbc, folio, PG_writeback)
  return false
}

function wbc_to_tag(wbc: WritebackPass): MarkNumber {
  return wbc.sync_all || wbc.tagged_writepages ? PAGECACHE_TAG_TOWRITE : PAGECACHE_TAG_DIRTY
}

/** The last page of the pass. */
function wbc_end(wbc: WritebackPass): number {
  return wbc.range_cyclic ? ULONG_MAX : wbc.range_end
}

/** Looks up the folios that come next: the batch is used up. Returns whether it has one now. */
export function writeback_fill_batch(mapping: MappingState, wbc: WritebackPass): boolean {
  const { fbatch } = wbc
  folio_batch_release(fbatch)
  wbc.index = filemap_get_folios_tag(mapping, wbc.index, wbc_end(wbc), wbc_to_tag(wbc), fbatch)
  return fbatch.nr !== 0
}

/** The next folio to write, locked and cleared for I/O; null if there is none or the pass is blocked. */
function writeback_get_folio(mapping: MappingState, wbc: WritebackPass): Folio | null {
  const { fbatch } = wbc
  for (;;) {
    if (fbatch.i === fbatch.nr && !writeback_fill_batch(mapping, wbc)) return null
    const folio = folio_batch_next(fbatch) as Folio

    if (folio_prepare_writeback(mapping, wbc, folio)) return folio
    if (wbc.blocked !== null) {
      // Nothing is held while blocked; the folio is looked at afresh next time.
      fbatch.i--
      return null
    }
  }
}

/**
 * The next folio of a pass, locked and cleared for I/O.
 *
 * WB_SYNC_ALL goes on to the end whatever the errors and nr_to_write, and returns the first error. WB_SYNC_NONE stops
 * at an error or when nr_to_write runs out, which is looked at after a folio, not before the first.
 *
 * Where it would have to wait, the result is null and `wbc.blocked` names the folio; the next call, with the same
 * folio, goes on there.
 * @param folio - the folio returned last, null to start
 */
export function writeback_iter(mapping: MappingState, wbc: WritebackPass, folio: Folio | null): Folio | null {
  if (wbc.blocked !== null) {
    // What follows was done by the call that blocked.
    wbc.blocked = null
    wbc.error = 0
  } else if (folio === null) {
    // The batch is new, and the errors are 0.

    // A cyclic pass goes on where the last one stopped.
    wbc.index = wbc.range_cyclic ? mapping.writeback_index : wbc.range_start

    // First tag what is dirty now, then write that; see tag_pages_for_writeback().
    if (wbc.sync_all || wbc.tagged_writepages) tag_pages_for_writeback(mapping, wbc.index, wbc_end(wbc))
  } else {
    wbc.control.nrToWrite = subtractPages(wbc.control.nrToWrite, folio_nr_pages(folio))

    // For integrity we keep going until all folios that we tagged are written, whatever else fails or was written in
    // between. For background writeback a failure or a used-up budget is reason to stop.
    if (wbc.sync_all) {
      if (wbc.error !== 0 && wbc.saved_err === 0) wbc.saved_err = wbc.error
    } else if (wbc.error !== 0 || wbc.control.nrToWrite <= 0) {
      // In this order: in the kernel the batch may hold the last reference to the folio, and the patch that was first
      // posted read the index of a folio that it had just let go.
      if (wbc.range_cyclic) mapping.writeback_index = folio_next_index(folio)
      folio_batch_release(wbc.fbatch)
      return null
    }
  }

  folio = writeback_get_folio(mapping, wbc)
  if (folio === null && wbc.blocked === null) {
    // The next cyclic pass starts over, but this one does not wrap: who holds folios under writeback until the pass is
    // over would wait for a lower folio while another waits for his. Locks are only ever taken in ascending order.
    if (wbc.range_cyclic) mapping.writeback_index = 0

    wbc.error = wbc.saved_err
  }
  return folio
}

/** Declines to write a folio: counts its pages as skipped, then as folio_mark_dirty(). */
export function folio_redirty_for_writepage(control: ControlState, folio: Folio): boolean {
  control.pagesSkipped = addPages(control.pagesSkipped, folio_nr_pages(folio))
  return folio_mark_dirty(folio)
}
