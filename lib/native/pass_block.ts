// SPDX-License-Identifier: GPL-2.0-only

import { WritebackError } from '../errors.js'
import { addon, words } from './addon.js'
import { Control, PassWord, Stretch } from './layout.js'
import { allocate, type NativeMapping } from './mapping.js'

/** The memory of a pass that is shared with the core. A mapping reuses those that no pass needs any more. */
export class PassBlock {
  readonly mapping: NativeMapping
  readonly id: number
  readonly words: Int32Array
  readonly doubles: Float64Array
  /** Room for stretches, made for the first pass that takes any. */
  stretchWords: Int32Array | null = null
  stretchDoubles: Float64Array | null = null

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

  /** Names this pass to a call that follows, which looks at things. */
  select(): void {
    this.mapping.settle()
    this.name()
  }

  /** Names this pass to the call that follows. */
  name(): void {
    words[Control.MAPPING] = this.mapping.id
    words[Control.PASS] = this.id
  }

  makeStretch(): void {
    if (this.stretchWords !== null) return
    const memory = allocate(Stretch.BYTES)
    const stretchWords = new Int32Array(memory)
    const stretchDoubles = new Float64Array(memory)
    this.select()
    addon.openStretch(memory)
    this.stretchWords = stretchWords
    this.stretchDoubles = stretchDoubles
  }

  /** The pass is over or abandoned: drops the references that the core still holds for it. */
  release(): void {
    if (this.mapping.closed) return
    if (this.words[PassWord.BATCH_NR] !== 0 || this.stretchWords !== null) {
      this.select()
      addon.releasePass()
    }
    this.mapping.freeBlocks.push(this)
  }
}

/**
 * A block of this mapping's that nobody uses.
 * @param stretches - whether the pass needs room for stretches
 * @throws ENOMEM
 */
export function passBlock(mapping: NativeMapping, stretches: boolean): PassBlock {
  const { freeBlocks } = mapping
  if (freeBlocks.length === 0) freeBlocks.push(new PassBlock(mapping))
  // Taken off the list once it has all that it needs.
  if (stretches) freeBlocks[freeBlocks.length - 1].makeStretch()
  return freeBlocks.pop() as PassBlock
}
