// SPDX-License-Identifier: GPL-2.0-only
// What the backend keeps of a mapping beside the core: the memory it shares with it, and the folios' objects.

import { WritebackError } from '../errors.js'
import type * as api from '../types.js'
import type { WaitTable } from '../wait_table.js'
import type { Ahead } from '../writeback_control.js'
import { addon, doubles, type MappingHandle, words } from './addon.js'
import type { Folio } from './folio.js'
import { FolioChunk } from './folio_chunk.js'
import { ChunkWord, Control, DeferredMarks, Slab } from './layout.js'
import type { PassBlock } from './pass_block.js'

/** Memory that the core can use, or ENOMEM. */
export function allocate(bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes)
  } catch {
    throw new WritebackError('ENOMEM', `no memory for ${bytes} bytes`)
  }
}

/** The chunks of a slab are few enough not to matter where only the first is needed. */
const MAX_SLAB_CHUNKS = 32

const NO_SLAB = new ArrayBuffer(0)

const CLOSED: Ahead = { settle: () => undefined }

/**
 * A mapping's state. What the core points to (the list of deferred marks, the folios, the pass blocks) is kept alive here,
 * and dies with it.
 */
export class Space {
  /** The object that users hold; null for the space of removed folios. */
  readonly mapping: api.AddressSpace | null
  readonly pageShift: number
  readonly id: number
  open: boolean
  /** The list of chunks that have folios with deferred marks; see note() of folio_chunk.ts. */
  readonly deferred: Int32Array
  /** The folios. */
  chunks: FolioChunk[] = []
  /** Every pass block, and those that no pass is using. */
  readonly blocks: PassBlock[] = []
  readonly freeBlocks: PassBlock[] = []
  /** The extents that callbacks are looking at, that of the innermost pass last. */
  readonly extents: api.Extent[] = []
  /** What `writebackIndex` was when the mapping was closed. */
  lastWritebackIndex = 0
  /**
   * The pass that has taken folios ahead; null mostly. It settles before anything is looked at. CLOSED in a space that is
   * not open: so one look at this tells that a folio's state is what it seems, and may be changed.
   */
  ahead: Ahead | null = null
  /** Who waits for a folio by promise; null while nobody does. */
  waiters: WaitTable<Folio> | null = null
  readonly #handle: MappingHandle | undefined
  /** Memory of which the first chunks are taken, and how many it has. */
  #slab = NO_SLAB
  #slabChunks = 0
  #slabUsed = 0

  constructor(mapping: api.AddressSpace | null, pageShift: number) {
    this.mapping = mapping
    this.pageShift = pageShift
    this.open = mapping !== null
    if (mapping === null) {
      this.ahead = CLOSED
      this.deferred = new Int32Array(0)
      this.id = -1
      return
    }
    const deferred = allocate(DeferredMarks.BYTES)
    this.deferred = new Int32Array(deferred)
    this.#handle = addon.openMapping(deferred, pageShift)
    if (this.#handle === undefined) throw new WritebackError('ENOMEM', 'no memory for a mapping')
    this.id = words[Control.MAPPING]
  }

  /** Extents keep their folios: to be called before a folio leaves its slot. */
  gatherExtents(): void {
    for (const extent of this.extents) void extent.folios
  }

  /** The object of the folio that has this slot; null where none has. */
  folio(slot: number): Folio | null {
    return this.chunks[slot >>> ChunkWord.SHIFT].folios[slot & ChunkWord.MASK]
  }

  /** Makes room for more folios: as many again as there are, until that is a great many. */
  grow(): void {
    if (this.#slabUsed === this.#slabChunks) {
      const chunks = Math.min(Math.max(this.chunks.length, 1), MAX_SLAB_CHUNKS)
      this.#slab = allocate(chunks * Slab.CHUNK_BYTES + Slab.EXTRA_BYTES)
      this.#slabChunks = chunks
      this.#slabUsed = 0
    }
    words[Control.MAPPING] = this.id
    addon.addChunk(this.#slab, this.#slabUsed)
    if (words[Control.STATUS] !== 0) throw new WritebackError('ENOMEM', 'no memory for more folios')
    const at = doubles[Control.VALUE_F64]
    const memory = new Int32Array(this.#slab, at, ChunkWord.SIZE)
    const lows = new Uint32Array(
      this.#slab,
      at + ChunkWord.INDEX * memory.BYTES_PER_ELEMENT,
      ChunkWord.MASK + 1,
    )
    this.chunks.push(new FolioChunk(this, memory, lows, new Array(ChunkWord.MASK + 1).fill(null)))
    this.#slabUsed++
  }

  /** To be called before anything of the mapping is looked at or changed: a pass may have taken folios ahead. */
  settle(): void {
    if (this.ahead !== null) this.ahead.settle()
  }

  /** The folios' objects keep the memory of the folios; nothing else of the mapping is left. */
  close(): void {
    if (!this.open || this.#handle === undefined) return
    const { waiters } = this
    this.settle()
    words[Control.MAPPING] = this.id
    addon.getWritebackIndex()
    this.lastWritebackIndex = doubles[Control.VALUE_F64]
    this.gatherExtents()
    this.open = false
    this.ahead = CLOSED
    addon.closeMapping(this.#handle)
    this.chunks = []
    this.blocks.length = 0
    this.freeBlocks.length = 0
    this.waiters = null
    if (waiters !== null) waiters.wakeAll()
  }
}

/** The space of folios that were removed from theirs. */
export const REMOVED = new Space(null, 0)
