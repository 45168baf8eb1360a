// SPDX-License-Identifier: GPL-2.0-only
// The writeback iteration, over native/core/page_writeback.c. The common turn of writeback_iter(), which neither looks up
// a batch nor waits nor ends the pass, is taken here on the memory that the core uses: so a loop calls the core once a batch.

import { addon } from './addon.js'
import type { Folio } from './folio.js'
import { ChunkWord, PassStatus, PassWord, PG, Stretch } from './layout.js'
import type { NativePass } from './pass.js'

/**
 * The next folio of a pass, locked and cleared for I/O; as writeback_iter() of native/core/page_writeback.c.
 *
 * Where it would have to wait, the result is null and `wbc.blocked` names the folio; the next call goes on there.
 * @param folio - the folio returned last, null to start
 */
export function writeback_iter(wbc: NativePass, folio: Folio | null): Folio | null {
  if (wbc.mapping.ahead !== null) wbc.mapping.settle()
  const { words } = wbc.block
  const i = words[PassWord.BATCH_I]
  // A pass has no batch before it began.
  if (i === words[PassWord.BATCH_NR] || folio === null || wbc.error !== 0 || wbc.blocked !== null) {
    return call_writeback_iter(wbc)
  }
  const slot = words[PassWord.SLOTS + i]
  const chunk = wbc.mapping.chunks[slot >>> ChunkWord.SHIFT]
  const at = slot & ChunkWord.MASK
  const flags = chunk.words[at]
  const nr_to_write = wbc.control.nrToWrite - wbc.nr_pages
  // Not as folios mostly are that come next. A removed folio is not dirty.
  if (
    (flags & (PG.locked | PG.dirty | PG.writeback)) !== PG.dirty ||
    nr_to_write < (wbc.sync_all ? Number.MIN_SAFE_INTEGER : 1)
  ) {
    return call_writeback_iter(wbc)
  }
  chunk.words[at] = flags ^ (PG.locked | PG.dirty)
  words[PassWord.BATCH_I] = i + 1
  wbc.control.nrToWrite = nr_to_write
  wbc.slot = slot
  wbc.nr_pages = 1 << ((flags & PG.order) >>> PG.ORDER_SHIFT)
  return chunk.folios[at]
}

function call_writeback_iter(wbc: NativePass): Folio | null {
  const { block } = wbc
  block.words[PassWord.SLOT] = wbc.slot
  block.words[PassWord.ERROR] = wbc.error
  block.doubles[PassWord.NR_TO_WRITE_F64] = wbc.control.nrToWrite
  block.select()
  addon.writebackIter()
  pass_in(wbc)
  if (block.words[PassWord.STATUS] !== PassStatus.FOLIO) return null
  wbc.slot = block.words[PassWord.SLOT]
  const folio = wbc.mapping.folio(wbc.slot) as Folio
  wbc.nr_pages = folio.nrPages
  return folio
}

/**
 * writeback_iter(), and the folios behind the one it returns, as many as can be had at once: a stretch, in the pass's
 * stretch block. The stretch before, if nobody looked, is ended and handed back first; else the folio of `wbc.slot` is.
 * @returns how many runs of folios; 0 where writeback_iter() returns null
 */
export function writeback_iter_ahead(wbc: NativePass): number {
  const { block } = wbc
  block.words[PassWord.SLOT] = wbc.slot
  block.words[PassWord.ERROR] = wbc.error
  block.doubles[PassWord.NR_TO_WRITE_F64] = wbc.control.nrToWrite
  block.name()
  addon.writebackIterAhead()
  wbc.fall_back()
  pass_in(wbc)
  if (block.words[PassWord.STATUS] !== PassStatus.FOLIO) return 0
  return (block.stretchWords as Int32Array)[Stretch.NR_RUNS]
}

/** Reads what the core did with the pass. */
export function pass_in(wbc: NativePass): void {
  const { words, doubles } = wbc.block
  wbc.control.nrToWrite = doubles[PassWord.NR_TO_WRITE_F64]
  wbc.error = words[PassWord.ERROR]
  if (words[PassWord.STATUS] === PassStatus.BLOCKED) {
    wbc.blocked = wbc.mapping.folio(words[PassWord.SLOT])
    wbc.blockedOn = words[PassWord.BLOCKED_ON] === PG.locked ? 'lock' : 'writeback'
  } else {
    wbc.blocked = null
  }
}
