// SPDX-License-Identifier: GPL-2.0-only

import type { WaitHook } from '../types.js'
import type { ControlState } from '../writeback_control.js'
import { beginPass, checkWritten, endPass, FAILED, nextFolio } from '../writeback_pass.js'
import { can_lock_for_io, type Folio, folio_end_write, nr_pages_of } from './folio.js'
import { ChunkWord, PassWord, PG } from './layout.js'
import type { NativeMapping } from './mapping.js'
import type { NativePass } from './pass.js'

/** AddressSpace.writePages(), its arguments checked. */
export function writePages(
  mapping: NativeMapping,
  control: ControlState,
  writepage: (folio: Folio) => number | void,
  onWait: WaitHook | undefined,
): number {
  const wbc = beginPass(mapping, control, true) as NativePass
  try {
    for (let folio = nextFolio(wbc, onWait); folio !== null; folio = nextFolio(wbc, onWait)) {
      writeBatch(wbc, folio as Folio, writepage)
    }
    return wbc.error
  } finally {
    endPass(wbc)
  }
}

/**
 * Writes the folio that the pass returned last, and those behind it that next_of_batch() would return, up to
 * an error. Its turns are next_of_batch() once more, with the place in the batch in variables: nothing but
 * this loop steps the pass.
 */
function writeBatch(wbc: NativePass, first: Folio, writepage: (folio: Folio) => number | void): void {
  const { control, least_nr_to_write } = wbc
  const mapping = wbc.mapping
  const { words: pass } = wbc.block
  // Replaced only when the mapping is closed.
  const { chunks } = mapping
  const nr = pass[PassWord.BATCH_NR]
  let i = pass[PassWord.BATCH_I]
  let folio: Folio | null = first
  let error = 0
  let { nr_pages, slot } = wbc
  let chunk = chunks[slot >>> ChunkWord.SHIFT]
  let in_hand = true
  try {
    for (;;) {
      error = checkWritten(wbc, writepage(folio))
      in_hand = false
      folio_end_write(mapping, chunk, slot & ChunkWord.MASK, error)
      if (i === nr || error !== 0) break
      const next = pass[PassWord.SLOTS + i]
      if ((next ^ slot) >>> ChunkWord.SHIFT !== 0) chunk = chunks[next >>> ChunkWord.SHIFT]
      const { words } = chunk
      const at = next & ChunkWord.MASK
      const flags = words[at]
      const nr_to_write = control.nrToWrite - nr_pages
      if (!can_lock_for_io(flags) || nr_to_write < least_nr_to_write) break
      folio = chunk.folios[at]
      if (folio === null) break
      words[at] = flags ^ (PG.locked | PG.dirty)
      in_hand = true
      control.nrToWrite = nr_to_write
      nr_pages = nr_pages_of(flags)
      slot = next
      i++
    }
  } finally {
    if (in_hand) folio_end_write(mapping, chunk, slot & ChunkWord.MASK, FAILED)
  }
  pass[PassWord.BATCH_I] = i
  wbc.error = error
  wbc.nr_pages = nr_pages
  wbc.slot = slot
}
