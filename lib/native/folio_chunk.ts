// SPDX-License-Identifier: GPL-2.0-only
// The memory of folios, which is shared with the core.

import type { Folio } from './folio.js'
import { ChunkWord, FolioKey, PG } from './layout.js'
import type { Space } from './space.js'

export let is_folio_chunk: (value: unknown) => value is FolioChunk

/** struct folio_chunk, and the objects of its folios. */
export class FolioChunk {
  /** Tells a chunk from what users make up: no trap of theirs runs when it is looked for. */
  readonly #genuine = true
  readonly space: Space
  /** A word of flags for each slot, and then the chunk's own. */
  readonly words: Int32Array
  /** Where the folios are, ChunkWord.PLACE_SIZE words a slot. */
  readonly places: Int32Array
  /** The object of each slot's folio; null where there is none. */
  readonly folios: (Folio | null)[]

  static {
    is_folio_chunk = (value): value is FolioChunk =>
      typeof value === 'object' && value !== null && #genuine in value
  }

  constructor(space: Space, words: Int32Array, places: Int32Array, folios: (Folio | null)[]) {
    this.space = space
    this.words = words
    this.places = places
    this.folios = folios
  }

  index(at: number): number {
    const key = at * ChunkWord.PLACE_SIZE
    const low = this.places[key] >>> FolioKey.ORDER_BITS
    return low + this.places[key + 1] * FolioKey.HIGH_UNIT
  }

  order(at: number): number {
    return this.places[at * ChunkWord.PLACE_SIZE] & FolioKey.ORDER_MASK
  }

  /** Changes the flags of a folio, and notes what that means for its marks: native/core/deferred_marks.h has the protocol. */
  defer(at: number, old: number, flags: number): void {
    this.words[at] = flags
    if ((old & PG.deferred) === 0) this.#note(at)
  }

  #note(at: number): void {
    const { words } = this
    words[ChunkWord.NOTED + (at >>> 5)] |= 1 << at
    if (words[ChunkWord.NOTED_NEXT] === 0) {
      const { deferred } = this.space
      words[ChunkWord.NOTED_NEXT] = deferred[0]
      deferred[0] = words[ChunkWord.NUMBER] + 1
    }
  }
}
