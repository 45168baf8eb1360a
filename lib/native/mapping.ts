// SPDX-License-Identifier: GPL-2.0-only
// What the backend keeps of a mapping beside the core: the memory it shares with it, and the folios' objects.

import { WritebackError } from '../errors.js'
import { Mapping, type PageCache } from '../page_cache.js'
import type * as api from '../types.js'
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
 * struct address_space. What the core points to (the list of deferred marks, the folios, the pass blocks) is kept alive here,
 * and dies with it.
 */
export class NativeMapping extends Mapping {
  readonly id: number
  /** The list of chunks that have folios with deferred marks; see note() of folio_chunk.ts. */
  readonly deferred: Int32Array
  /** The folios. */
  chunks: FolioChunk[] = []
  /** Every pass block, and those that no pass is using. */
  readonly blocks: PassBlock[] = []
  readonly freeBlocks: PassBlock[] = []
  /** The extents that callbacks are looking at, that of the innermost pass last. */
  readonly extents: api.Extent[] = []
  /**
   * The pass that has taken folios ahead; null mostly. It settles before anything is looked at. CLOSED in a mapping that is
   * not open: so one look at this tells that a folio's state is what it seems, and may be changed.
   */
  ahead: Ahead | null = null
  /** What `writeback_index` was when the mapping was closed. */
  #lastWritebackIndex = 0
  readonly #core: MappingHandle | undefined
  /** Memory of which the first chunks are taken, and how many it has. */
  #slab = NO_SLAB
  #slabChunks = 0
  #slabUsed = 0

  constructor(ops: PageCache | null, handle: api.AddressSpace | null, pageShift: number) {
    super(ops, handle, pageShift)
    this.closed = handle === null
    if (handle === null) {
      this.ahead = CLOSED
      this.deferred = new Int32Array(0)
      this.id = -1
      return
    }
    const deferred = allocate(DeferredMarks.BYTES)
    this.deferred = new Int32Array(deferred)
    this.#core = addon.openMapping(deferred, pageShift)
    if (this.#core === undefined) throw new WritebackError('ENOMEM', 'no memory for a mapping')
    this.id = words[Control.MAPPING]
  }

  get nrpages(): number {
    if (this.closed) return 0
    words[Control.MAPPING] = this.id
    addon.getNrPages()
    return doubles[Control.VALUE_F64]
  }

  get writeback_index(): number {
    if (this.closed) return this.#lastWritebackIndex
    words[Control.MAPPING] = this.id
    addon.getWritebackIndex()
    return doubles[Control.VALUE_F64]
  }
  set writeback_index(value: number) {
    this.settle()
    doubles[Control.VALUE_F64] = value
    words[Control.MAPPING] = this.id
    addon.setWritebackIndex()
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

  /** The folios' objects keep the memory of the folios; nothing else of the mapping is left. It is open. */
  close(): void {
    const { waiters } = this
    this.settle()
    this.#lastWritebackIndex = this.writeback_index
    this.gatherExtents()
    this.closed = true
    this.ahead = CLOSED
    addon.closeMapping(this.#core as MappingHandle)
    this.chunks = []
    this.blocks.length = 0
    this.freeBlocks.length = 0
    this.waiters = null
    if (waiters !== null) waiters.wakeAll()
  }
}

/** The mapping of folios that were removed from theirs. */
export const REMOVED = new NativeMapping(null, null, 0)
