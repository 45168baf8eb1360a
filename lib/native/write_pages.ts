// SPDX-License-Identifier: GPL-2.0-only

import type { WaitHook } from '../types.js'
import { folio_wake } from '../wait_table.js'
import type { ControlState } from '../writeback_control.js'
import { beginPass, checkWritten, endPass, FAILED, nextFolio, waitOnBlocked } from '../writeback_pass.js'
import type { Folio } from './folio.js'
import { ChunkWord, NO_SLOT, PassWord, PG, Stretch } from './layout.js'
import type { NativeMapping } from './mapping.js'
import { writeback_iter_ahead } from './page_writeback.js'
import type { NativePass } from './pass.js'

/**
 * The folio of this slot was written, or not. Code that unlocked or removed it meanwhile has taken it over; a folio that is
 * still locked is the pass's, and does not stay under writeback, which nobody would end.
 */
function folio_end_write(mapping: NativeMapping, slot: number, folio: Folio, error: number): void {
  if (mapping.closed) return
  const chunk = mapping.chunks[slot >>> ChunkWord.SHIFT]
  const at = slot & ChunkWord.MASK
  if (chunk.folios[at] !== folio) return
  const flags = chunk.words[at]
  if (error !== 0) {
    folio.markDirty()
    if ((flags & PG.locked) === 0) return
    folio.unlock()
    if ((flags & PG.writeback) !== 0) folio.endWriteback()
  } else if ((flags & (PG.locked | PG.dirty | PG.writeback)) === PG.locked) {
    // Start of writeback, unlock and end of it at once: the WRITEBACK mark would be set and cleared again.
    chunk.words[at] = (flags & ~(PG.locked | PG.set_dirty)) | PG.clear_dirty | PG.clear_towrite
    if ((flags & PG.deferred) === 0) chunk.note(at)
    folio_wake(mapping, folio)
  } else if ((flags & PG.locked) !== 0) {
    if ((flags & PG.writeback) === 0) folio.startWriteback()
    folio.unlock()
    folio.endWriteback()
  }
}

/** The next stretch of folios, with the hook called where the pass is blocked. Takes the pass off its control at its end. */
function next_stretch(wbc: NativePass, onWait: WaitHook | undefined): number {
  let nr = writeback_iter_ahead(wbc)
  while (wbc.blocked !== null) {
    waitOnBlocked(wbc, onWait)
    nr = writeback_iter_ahead(wbc)
  }
  if (nr === 0) endPass(wbc)
  return nr
}

/** AddressSpace.writePages(), its arguments checked. */
export function writePages(
  mapping: NativeMapping,
  control: ControlState,
  writepage: (folio: Folio) => number | void,
  onWait: WaitHook | undefined,
): number {
  const wbc = beginPass(mapping, control, true) as NativePass
  const stretch = wbc.block.stretchWords as Int32Array
  const { words } = wbc.block
  // Replaced only when the mapping is closed.
  const { chunks } = mapping
  let in_hand: Folio | null = null
  let slot = NO_SLOT
  words[PassWord.MAX_PAGES] = 0
  try {
    for (;;) {
      const nr_runs = next_stretch(wbc, onWait)
      if (nr_runs === 0) return wbc.error

      const end = Stretch.RUNS + nr_runs * Stretch.RUN_SIZE
      let result: number | void = 0
      let unseen = true
      let done = 0
      wbc.run_ahead()
      for (let run = Stretch.RUNS; run < end && unseen; run += Stretch.RUN_SIZE) {
        const first = stretch[run]
        const behind = first + stretch[run + 1]
        const { folios } = chunks[first >>> ChunkWord.SHIFT]
        for (let next = first; next < behind && unseen; next++) {
          wbc.done = done++
          slot = next
          in_hand = folios[next & ChunkWord.MASK] as Folio
          result = writepage(in_hand)
          unseen = (result === undefined || result === 0) && mapping.ahead === wbc
        }
      }
      if (unseen) {
        in_hand = null
        continue
      }

      // Somebody looked, or the write failed. Now the rest of the batch is written folio by folio.
      mapping.settle()
      const seen = in_hand as Folio | null as Folio
      wbc.folio = seen
      wbc.slot = slot
      wbc.nr_pages = seen.nrPages
      wbc.error = checkWritten(wbc, result)
      in_hand = null
      folio_end_write(mapping, slot, seen, wbc.error)
      while (words[PassWord.BATCH_I] < words[PassWord.BATCH_NR]) {
        const folio = nextFolio(wbc, onWait) as Folio | null
        if (folio === null) return wbc.error
        slot = wbc.slot
        in_hand = folio
        result = writepage(folio)
        wbc.error = checkWritten(wbc, result)
        in_hand = null
        folio_end_write(mapping, slot, folio, wbc.error)
      }
    }
  } finally {
    // Still ahead: the call that was to end the stretch threw, where the stack ends.
    if (mapping.ahead === wbc) in_hand = mapping.folio(slot)
    if (in_hand !== null) {
      mapping.settle()
      folio_end_write(mapping, slot, in_hand, FAILED)
    }
    endPass(wbc)
  }
}
