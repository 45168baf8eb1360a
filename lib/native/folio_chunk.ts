// SPDX-License-Identifier: GPL-2.0-only
// The memory of folios, which is shared with the core.

import type { Folio } from './folio.js'
import { ChunkWord, PG } from './layout.js'
import type { NativeMapping } from './mapping.js'

/** What the upper half of an index counts. */
const HIGH_UNIT = 0x100000000

/** The upper halves of the indices in a chunk where all of them are 0. On the heap: there, an allocation cannot throw. */
const NO_HIGHS: number[] = new Array(ChunkWord.MASK + 1).fill(0)

export let is_folio_chunk: (value: unknown) => value is FolioChunk

/** struct folio_chunk, and the objects of its folios. */
export class FolioChunk {
  /** Tells a chunk from what users make up: no trap of theirs runs when it is looked for. */
  readonly #genuine = true
  readonly mapping: NativeMapping
  /** A word of flags for each slot; the chunk's own in the place of the first. */
  readonly words: Int32Array
  /** The lower halves of the folios' indices. */
  readonly lows: Uint32Array
  /** The upper halves, which the core keeps for itself. */
  #highs = NO_HIGHS
  /** The object of each slot's folio; null where there is none. */
  readonly folios: (Folio | null)[]

  static {
    is_folio_chunk = (value): value is FolioChunk =>
      typeof value === 'object' && value !== null && #genuine in value
  }

  constructor(mapping: NativeMapping, words: Int32Array, lows: Uint32Array, folios: (Folio | null)[]) {
    this.mapping = mapping
    this.words = words
    this.lows = lows
    this.folios = folios
  }

  index(at: number): number {
    return this.lows[at] + this.#highs[at] * HIGH_UNIT
  }

  /** To be called for every folio that comes into the chunk: the core has set the lower half. */
  setIndex(at: number, index: number): void {
    if (this.#highs === NO_HIGHS) {
      if (index < HIGH_UNIT) return
      this.#highs = new Array(this.lows.length).fill(0)
    }
    this.#highs[at] = Math.floor(index / HIGH_UNIT)
  }

  order(at: number): number {
    return (this.words[at] & PG.order) >>> PG.ORDER_SHIFT
  }

  /**
   * To be called with the first change that a folio's tree is to be told of later: native/core/deferred_marks.h has the
   * protocol. Who changes flags looks for that, so that most changes take no call.
   */
  note(at: number): void {
    const { words } = this
    words[ChunkWord.NOTED + (at >>> 5)] |= 1 << at
    if (words[ChunkWord.NOTED_NEXT] === 0) {
      const { deferred } = this.mapping
      words[ChunkWord.NOTED_NEXT] = deferred[0]
      deferred[0] = words[ChunkWord.NUMBER] + 1
    }
  }
}
