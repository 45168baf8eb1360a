// SPDX-License-Identifier: GPL-2.0-only
// The writeback iteration, over native/core/page_writeback.c. The common turn of writeback_iter(), which
// neither looks up a batch nor waits nor ends the pass, is taken here on the memory that the core uses: so a
// loop calls the core once per batch.

import { reserveStack } from '../stack.js'
import { addon } from './addon.js'
import { can_lock_for_io, type Folio, nr_pages_of } from './folio.js'
import { ChunkWord, PassStatus, PassWord, PG } from './layout.js'
import type { NativePass } from './pass.js'

/**
 * The next folio of a pass, locked and cleared for I/O; as writeback_iter() of native/core/page_writeback.c.
 *
 * Where it would have to wait, the result is null and `wbc.blocked` names the folio; the next call continues
 * there.
 */
export function writeback_iter(wbc: NativePass): Folio | null {
  return next_of_batch(wbc) ?? call_writeback_iter(wbc)
}

/** The next folio of the batch, if it can be taken at once and the pass continues. */
export function next_of_batch(wbc: NativePass): Folio | null {
  const { words } = wbc.block
  const i = words[PassWord.BATCH_I]
  // A pass has no batch before it began.
  if (i === words[PassWord.BATCH_NR] || wbc.error !== 0 || wbc.blocked !== null) return null
  const slot = words[PassWord.SLOTS + i]
  const chunk = wbc.mapping.chunks[slot >>> ChunkWord.SHIFT]
  const at = slot & ChunkWord.MASK
  const flags = chunk.words[at]
  const nr_to_write = wbc.control.nrToWrite - wbc.nr_pages
  if (!can_lock_for_io(flags) || nr_to_write < wbc.least_nr_to_write) return null
  // Before the first store: the call may meet the end of the stack.
  const folio = chunk.folio(at)
  chunk.words[at] = flags ^ (PG.locked | PG.dirty)
  words[PassWord.BATCH_I] = i + 1
  wbc.control.nrToWrite = nr_to_write
  wbc.slot = slot
  wbc.nr_pages = nr_pages_of(flags)
  return folio
}

function call_writeback_iter(wbc: NativePass): Folio | null {
  // What follows the core's call must not be cut. A loop that owns its pass has taken the room when it began.
  if (!wbc.owned) reserveStack()
  pass_out(wbc)
  addon.writebackIter()
  return pass_in(wbc) ? wbc.mapping.folio(wbc.slot) : null
}

/** Stores for the core the state that the pass continues with. */
export function pass_out(wbc: NativePass): void {
  const { block } = wbc
  block.words[PassWord.SLOT] = wbc.slot
  block.words[PassWord.ERROR] = wbc.error
  block.doubles[PassWord.NR_TO_WRITE_F64] = wbc.control.nrToWrite
  block.select()
}

/** Reads what the core did with the pass. Returns whether it has a folio, that of `wbc.slot`. */
export function pass_in(wbc: NativePass): boolean {
  const { words, doubles } = wbc.block
  const { mapping } = wbc
  const slot = words[PassWord.SLOT]
  wbc.control.nrToWrite = doubles[PassWord.NR_TO_WRITE_F64]
  wbc.error = words[PassWord.ERROR]
  wbc.blocked = null
  if (words[PassWord.STATUS] === PassStatus.FOLIO) {
    wbc.slot = slot
    wbc.nr_pages = 1 << mapping.chunks[slot >>> ChunkWord.SHIFT].order(slot & ChunkWord.MASK)
    return true
  }
  if (words[PassWord.STATUS] === PassStatus.BLOCKED) {
    wbc.blocked = mapping.folio(slot)
    wbc.blockedOn = words[PassWord.BLOCKED_ON] === PG.locked ? 'lock' : 'writeback'
  }
  return false
}
