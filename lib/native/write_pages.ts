// SPDX-License-Identifier: GPL-2.0-only

import type { WaitHook } from '../types.js'
import type { ControlState } from '../writeback_control.js'
import { beginPass, checkWritten, endPass, FAILED, nextFolio } from '../writeback_pass.js'
import { type Folio, folio_end_write } from './folio.js'
import { ChunkWord } from './layout.js'
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
  // Replaced only when the mapping is closed.
  const { chunks } = mapping
  let in_hand = false
  try {
    for (;;) {
      const folio = nextFolio(wbc, onWait) as Folio | null
      if (folio === null) return wbc.error
      in_hand = true
      const result = writepage(folio)
      wbc.error = checkWritten(wbc, result)
      in_hand = false
      const { slot } = wbc
      folio_end_write(mapping, chunks[slot >>> ChunkWord.SHIFT], slot & ChunkWord.MASK, wbc.error)
    }
  } finally {
    if (in_hand) {
      const { slot } = wbc
      folio_end_write(mapping, chunks[slot >>> ChunkWord.SHIFT], slot & ChunkWord.MASK, FAILED)
    }
    endPass(wbc)
  }
}
