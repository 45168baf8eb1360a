// SPDX-License-Identifier: GPL-2.0-only

import type { WaitHook } from '../types.js'
import type { ControlState } from '../writeback_control.js'
import { beginPass, checkWritten, endPass, FAILED, nextFolio } from '../writeback_pass.js'
import { can_lock_for_io, type Folio, folio_end_write } from './folio.js'
import { ChunkWord, NO_SLOT, PassWord, PG } from './layout.js'
import type { NativeMapping } from './mapping.js'
import type { NativePass } from './pass.js'

/**
 * AddressSpace.writePages(), its arguments checked.
 *
 * The turn of the loop that calls neither the core nor a hook is next_of_batch() once more, with its place in the batch in
 * variables: nothing but this loop steps the pass.
 */
export function writePages(
  mapping: NativeMapping,
  control: ControlState,
  writepage: (folio: Folio) => number | void,
  onWait: WaitHook | undefined,
): number {
  const wbc = beginPass(mapping, control, true) as NativePass
  const { words: pass } = wbc.block
  const { least_nr_to_write } = wbc
  // Replaced only when the mapping is closed.
  const { chunks } = mapping
  let in_hand = false
  let slot = NO_SLOT
  let chunk = chunks[0]
  try {
    for (;;) {
      let folio = nextFolio(wbc, onWait) as Folio | null
      if (folio === null) return wbc.error
      const nr = pass[PassWord.BATCH_NR]
      let i = pass[PassWord.BATCH_I]
      let error = 0
      let { nr_pages } = wbc
      slot = wbc.slot
      chunk = chunks[slot >>> ChunkWord.SHIFT]
      while (folio !== null) {
        in_hand = true
        error = checkWritten(wbc, writepage(folio))
        in_hand = false
        folio_end_write(mapping, chunk, slot & ChunkWord.MASK, error)

        folio = null
        if (i === nr || error !== 0) break
        const next = pass[PassWord.SLOTS + i]
        chunk = chunks[next >>> ChunkWord.SHIFT]
        const { words } = chunk
        const at = next & ChunkWord.MASK
        const flags = words[at]
        const nr_to_write = control.nrToWrite - nr_pages
        if (!can_lock_for_io(flags) || nr_to_write < least_nr_to_write) break
        folio = chunk.folios[at]
        if (folio === null) break
        words[at] = flags ^ (PG.locked | PG.dirty)
        control.nrToWrite = nr_to_write
        nr_pages = 1 << ((flags & PG.order) >>> PG.ORDER_SHIFT)
        slot = next
        i++
      }
      pass[PassWord.BATCH_I] = i
      wbc.error = error
      wbc.nr_pages = nr_pages
      wbc.slot = slot
    }
  } finally {
    if (in_hand) folio_end_write(mapping, chunk, slot & ChunkWord.MASK, FAILED)
    endPass(wbc)
  }
}
