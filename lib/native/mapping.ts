// SPDX-License-Identifier: GPL-2.0-only
// What the backend keeps of a mapping beside the core: the memory it shares with it, and the folios' objects.

import { WritebackError } from '../errors.js'
import { Mapping, type PageCache } from '../page_cache.js'
import { reserveStack } from '../stack.js'
import type * as api from '../types.js'
import { addon, doubles, words } from './addon.js'
import type { Folio, FolioChunk } from './folio.js'
import { ChunkWord, Control } from './layout.js'
import type { PassBlock } from './pass_block.js'

/** Memory that the core can use, or ENOMEM. */
export function allocate(bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes)
  } catch {
    throw new WritebackError('ENOMEM', `no memory for ${bytes} bytes`)
  }
}

const NO_SLAB = new ArrayBuffer(0)
const NO_NODES = new Int32Array(0)

/** Mappings that were never closed, by number, for when they are collected. */
const forgotten = new FinalizationRegistry<number>((id) => {
  words[Control.MAPPING] = id
  addon.closeMapping()
})

/**
 * struct address_space. What the core points to (the folios, the nodes of their tree, the pass blocks) is
 * kept alive here, and dies with it.
 */
export class NativeMapping extends Mapping {
  readonly id: number
  /** The folios. */
  chunks: FolioChunk[] = []
  /** The folio that was removed from a slot while a pass had it, until the slot is another's. */
  readonly removed = new Map<number, Folio>()
  /** struct xa_node of each node of the tree. */
  nodes = NO_NODES
  /** Every pass block, and those that no pass is using. */
  readonly blocks: PassBlock[] = []
  readonly freeBlocks: PassBlock[] = []
  /** What `writeback_index` was when the mapping was closed. */
  #lastWritebackIndex = 0
  /** Memory of which the first chunks are taken, and how many it has. */
  slab = NO_SLAB
  slabChunks = 0
  slabUsed = 0

  constructor(ops: PageCache | null, handle: api.AddressSpace | null, pageShift: number) {
    super(ops, handle, pageShift)
    this.closed = handle === null
    this.id = -1
    if (handle === null) return
    if (addon.openMapping(pageShift) !== 0) throw new WritebackError('ENOMEM', 'no memory for a mapping')
    this.id = words[Control.MAPPING]
    forgotten.register(this, this.id, this)
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
    doubles[Control.VALUE_F64] = value
    words[Control.MAPPING] = this.id
    addon.setWritebackIndex()
  }

  /** The object of the folio that has this slot. */
  folio(slot: number): Folio {
    return this.chunks[slot >>> ChunkWord.SHIFT].folio(slot & ChunkWord.MASK)
  }

  /** The folios' objects keep the memory of the folios; nothing else of the mapping is left. It is open. */
  close(): void {
    reserveStack()
    const { waiters } = this
    this.#lastWritebackIndex = this.writeback_index
    forgotten.unregister(this)
    words[Control.MAPPING] = this.id
    this.closed = true
    addon.closeMapping()
    for (const chunk of this.chunks) chunk.nodes = NO_NODES
    this.chunks = []
    this.removed.clear()
    this.nodes = NO_NODES
    this.slab = NO_SLAB
    this.blocks.length = 0
    this.freeBlocks.length = 0
    this.waiters = null
    if (waiters !== null) waiters.wakeAll()
  }
}

/** The mapping of folios that were removed from theirs. */
export const REMOVED = new NativeMapping(null, null, 0)
