// SPDX-License-Identifier: GPL-2.0-only
// The writeback iteration. Transcribed from mm/page-writeback.c of Linux 6.12 (which came with "writeback:
// add a writeback iterator" by Christoph Hellwig in 6.9): same functions, same order of decisions.
// native/README.md has the table of what differs. Nothing in here calls a user's code.

import type { MarkNumber } from '../arguments.js'
import { folio_batch_release } from '../folio_batch.js'
import { reserveStack } from '../stack.js'
import type { WaitReason } from '../types.js'
import { subtractPages } from '../writeback_control.js'
import { filemap_get_folios_tag, ULONG_MAX } from './address_space.js'
import {
  type Folio,
  folio_mapping,
  folio_next_index,
  folio_nr_pages,
  folio_test_dirty,
  folio_test_locked,
  folio_trylock_for_io,
} from './folio.js'
import { type JsMapping, PAGECACHE_TAG_DIRTY, PAGECACHE_TAG_TOWRITE } from './mapping.js'
import type { JsPass } from './pass.js'
import { xas_copy_mark } from './xarray.js'

/**
 * Sets TOWRITE on every folio that is marked DIRTY and overlaps pages `start` to `end`, both included.
 *
 * This prevents a livelock: a sync writes the folios that have TOWRITE, which were dirty when it began,
 * however fast other code dirties more. So tagging has to be faster than dirtying. The rule that makes it
 * safe: only the start of a folio's writeback clears TOWRITE. In one thread there is no lock to drop from
 * time to time.
 */
export function tag_pages_for_writeback(mapping: JsMapping, start: number, end: number): void {
  reserveStack()
  xas_copy_mark(mapping.i_pages, start, end, PAGECACHE_TAG_DIRTY, PAGECACHE_TAG_TOWRITE)
}

/** The pass would have to wait for this folio, and a thread of JavaScript cannot. */
function wbc_block(wbc: JsPass, folio: Folio, reason: WaitReason): void {
  wbc.blocked = folio
  wbc.blockedOn = reason
}

/**
 * Whether to write the folio: if so, it is locked and its dirty flag is clear on return. The kernel takes the
 * lock first, as anything may happen between the lookup and the lock; in one thread, nothing happens between
 * the lock and the look.
 */
function folio_prepare_writeback(mapping: JsMapping, wbc: JsPass, folio: Folio): boolean {
  if (folio_trylock_for_io(mapping, folio)) return true

  if (folio_test_locked(folio)) {
    wbc_block(wbc, folio, 'lock')
    return false
  }

  // Truncated or invalidated. A new folio may be in its place by now, but this pass did not look that one up.
  if (folio_mapping(folio) !== mapping) return false

  // Somebody wrote it for us.
  if (!folio_test_dirty(folio)) return false

  // Under writeback.
  if (wbc.syncAll) wbc_block(wbc, folio, 'writeback')
  return false
}

function wbc_to_tag(wbc: JsPass): MarkNumber {
  return wbc.syncAll || wbc.taggedWritepages ? PAGECACHE_TAG_TOWRITE : PAGECACHE_TAG_DIRTY
}

/** The last page of the pass. */
function wbc_end(wbc: JsPass): number {
  return wbc.rangeCyclic ? ULONG_MAX : wbc.rangeEnd
}

/** Looks up the folios that come next: the batch is used up. Returns whether it has one now. */
export function writeback_fill_batch(mapping: JsMapping, wbc: JsPass): boolean {
  const { fbatch } = wbc
  folio_batch_release(fbatch)
  wbc.index = filemap_get_folios_tag(mapping, wbc.index, wbc_end(wbc), wbc_to_tag(wbc), fbatch)
  return fbatch.nr !== 0
}

/** The next folio to write, locked and cleared for I/O; null if there is none or the pass is blocked. */
function writeback_get_folio(mapping: JsMapping, wbc: JsPass): Folio | null {
  const { fbatch } = wbc
  for (;;) {
    if (fbatch.i === fbatch.nr && !writeback_fill_batch(mapping, wbc)) return null
    const folio = fbatch.folios[fbatch.i] as Folio

    const taken = folio_prepare_writeback(mapping, wbc, folio)
    // A blocked pass holds no lock; it examines the folio again next time.
    if (wbc.blocked !== null) return null
    fbatch.i++
    if (taken) return folio
  }
}

/**
 * The next folio of a pass, locked and cleared for I/O.
 *
 * WB_SYNC_ALL continues to the end whatever the errors and nr_to_write, and returns the first error.
 * WB_SYNC_NONE stops at an error or when nr_to_write runs out, which is looked at after a folio, not before
 * the first.
 *
 * Where it would have to wait, the result is null and `wbc.blocked` names the folio; the next call, with the
 * same folio, continues there.
 * @param folio - the folio returned last, null to start
 */
export function writeback_iter(wbc: JsPass, folio: Folio | null): Folio | null {
  const { control, mapping } = wbc
  let { nrToWrite } = control
  if (wbc.blocked !== null) {
    // What follows was done by the call that blocked.
    wbc.blocked = null
    wbc.error = 0
  } else if (folio === null) {
    // The batch is new, and the errors are 0.

    // A cyclic pass starts where the last one stopped.
    wbc.index = wbc.rangeCyclic ? mapping.writeback_index : wbc.rangeStart

    // First tag what is dirty now, then write that; see tag_pages_for_writeback().
    if (wbc.syncAll || wbc.taggedWritepages) tag_pages_for_writeback(mapping, wbc.index, wbc_end(wbc))
  } else {
    nrToWrite = subtractPages(nrToWrite, folio_nr_pages(folio))

    // For integrity we keep going until all folios that we tagged are written, whatever else fails or was
    // written in between. For background writeback a failure or a used-up budget is reason to stop.
    if (wbc.syncAll) {
      if (wbc.error !== 0 && wbc.saved_err === 0) wbc.saved_err = wbc.error
    } else if (wbc.error !== 0 || nrToWrite <= 0) {
      // In this order: in the kernel the batch may hold the last reference to the folio, and the patch that
      // was first posted read the index of a folio that it had just let go.
      const next = folio_next_index(folio)
      folio_batch_release(wbc.fbatch)
      if (wbc.rangeCyclic) mapping.writeback_index = next
      control.nrToWrite = nrToWrite
      return null
    }
  }

  folio = writeback_get_folio(mapping, wbc)
  // Not before: where that call meets the end of the stack, the folio has not been handed back yet.
  control.nrToWrite = nrToWrite
  if (folio === null && wbc.blocked === null) {
    // The next cyclic pass starts over, but this one does not wrap: who holds folios under writeback until
    // the pass is over would wait for a lower folio while another waits for his. Locks are only ever taken in
    // ascending order.
    if (wbc.rangeCyclic) mapping.writeback_index = 0

    wbc.error = wbc.saved_err
  }
  return folio
}
