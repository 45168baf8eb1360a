// SPDX-License-Identifier: GPL-2.0-only
// More memory for a page cache that the core has none left for.

import { WritebackError } from '../errors.js'
import { addon, doubles, words } from './addon.js'
import { FolioChunk } from './folio.js'
import { ChunkWord, Control, NodeWord, Slab } from './layout.js'
import { allocate, type NativeMapping } from './mapping.js'

/** log2 of the slots of a node. */
const XA_CHUNK_SHIFT = 6

/** The chunks of a slab are few enough not to matter where only the first is needed. */
const MAX_SLAB_CHUNKS = 32

/** The first nodes that a tree gets room for; twice as many whenever it runs out, later a quarter more. */
const MIN_NODES = 32
const MANY_NODES = 65536

/** Another chunk of folios. A slab has as many chunks as there are already, until that is a great many. */
function growFolios(mapping: NativeMapping): void {
  if (mapping.slabUsed === mapping.slabChunks) {
    const chunks = Math.min(Math.max(mapping.chunks.length, 1), MAX_SLAB_CHUNKS)
    mapping.slab = allocate(chunks * Slab.CHUNK_BYTES + Slab.EXTRA_BYTES)
    mapping.slabChunks = chunks
    mapping.slabUsed = 0
  }
  const { slab } = mapping
  words[Control.MAPPING] = mapping.id
  addon.addChunk(slab, mapping.slabUsed)
  if (words[Control.STATUS] !== 0) throw new WritebackError('ENOMEM', 'no memory for more folios')
  const at = doubles[Control.VALUE_F64]
  const nr = ChunkWord.MASK + 1
  const chunk = new Int32Array(slab, at, Slab.CHUNK_BYTES / Int32Array.BYTES_PER_ELEMENT)
  const indices = new Int32Array(slab, at + ChunkWord.INDEX * chunk.BYTES_PER_ELEMENT, 2 * nr)
  mapping.chunks.push(new FolioChunk(mapping, mapping.chunks.length, chunk, indices))
  mapping.slabUsed++
}

/** A larger table of nodes, in the place of the one before, with room for `more` of them at least. */
function growNodes(mapping: NativeMapping, more: number): void {
  const nr = mapping.nodes.length / NodeWord.SIZE
  const usual = nr === 0 ? MIN_NODES : nr < MANY_NODES ? 2 * nr : nr + (nr >>> 2)
  const max = Math.max(usual, nr + more)
  const memory = allocate(max * NodeWord.BYTES)
  const nodes = new Int32Array(memory)
  words[Control.MAPPING] = mapping.id
  addon.giveNodes(memory, max)
  if (words[Control.STATUS] !== 0) throw new WritebackError('ENOMEM', 'no memory for more tree nodes')
  mapping.nodes = nodes
  for (const chunk of mapping.chunks) chunk.nodes = nodes
}

/**
 * Adding folios side by side gave ENOSPC: makes room for them, or for nodes if the tree is short of those.
 * The core adds all of them or none, so it begins anew after each ENOSPC.
 * @param folios - how many
 * @param order - of each
 * @throws ENOMEM
 */
export function grow(mapping: NativeMapping, folios: number, order: number): void {
  let free = words[Control.COUNT] >>> 0
  if (free >= folios) {
    const leaves = (folios * 2 ** (order % XA_CHUNK_SHIFT)) / 2 ** XA_CHUNK_SHIFT
    // The nodes above the leaves are a 63rd of them; the core wants some in reserve.
    growNodes(mapping, Math.ceil((leaves * 64) / 63) + MIN_NODES)
  }
  for (; free < folios; free += Slab.CHUNK_FOLIOS) growFolios(mapping)
}
