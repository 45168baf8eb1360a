// SPDX-License-Identifier: GPL-2.0-only

import { WritebackError } from '../errors.js'
import { addon, words } from './addon.js'
import { Control, PassWord } from './layout.js'
import { allocate, type NativeMapping } from './mapping.js'

/** The memory of a pass that is shared with the core. A mapping reuses those that no pass needs any more. */
export class PassBlock {
  readonly mapping: NativeMapping
  readonly id: number
  readonly words: Int32Array
  readonly doubles: Float64Array
  /** Whether the core has room for an extent, made for the first pass that may take any. */
  hasExtent = false

  constructor(mapping: NativeMapping) {
    const memory = allocate(PassWord.BYTES)
    this.mapping = mapping
    this.words = new Int32Array(memory)
    this.doubles = new Float64Array(memory)
    words[Control.MAPPING] = mapping.id
    addon.openPass(memory)
    if (words[Control.STATUS] !== 0) throw new WritebackError('ENOMEM', 'no memory for a pass')
    this.id = words[Control.PASS]
    mapping.blocks.push(this)
  }

  /** Names this pass to the call that follows. */
  select(): void {
    words[Control.MAPPING] = this.mapping.id
    words[Control.PASS] = this.id
  }

  makeExtent(): void {
    if (this.hasExtent) return
    this.select()
    addon.makeExtent()
    if (words[Control.STATUS] !== 0) throw new WritebackError('ENOMEM', 'no memory for an extent')
    this.hasExtent = true
  }

  /** The pass is over or abandoned: drops the references that the core still holds for it. */
  release(): void {
    if (this.mapping.closed) return
    if (this.words[PassWord.BATCH_NR] !== 0 || this.hasExtent) {
      this.select()
      addon.releasePass()
    }
    this.mapping.freeBlocks.push(this)
  }
}

/**
 * A block of this mapping that no pass uses.
 * @param extents - whether the pass may take extents
 * @throws ENOMEM
 */
export function passBlock(mapping: NativeMapping, extents: boolean): PassBlock {
  const { freeBlocks } = mapping
  if (freeBlocks.length === 0) freeBlocks.push(new PassBlock(mapping))
  // Taken off the list once it has all that it needs.
  if (extents) freeBlocks[freeBlocks.length - 1].makeExtent()
  return freeBlocks.pop() as PassBlock
}
