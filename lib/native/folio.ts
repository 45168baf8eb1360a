// SPDX-License-Identifier: GPL-2.0-only
// The folio: its flags and its lock, in memory that is shared with the core. Flags change here without a call; what that
// means for the marks is noted in the folio and told to the tree with the next call (native/core/deferred_marks.h).

import { invalid, WritebackError } from '../errors.js'
import type * as api from '../types.js'
import { addPages, controlState } from '../writeback_control.js'
import { DeferredMarks, FolioChunk, FolioKey, FolioWord, PG } from './layout.js'
import { applyDeferredMarks, is_space, REMOVED, type Space } from './space.js'

export let is_folio: (value: unknown) => value is Folio
/** The space of the folio: REMOVED once it was removed. */
export let folio_space: (folio: Folio) => Space
export let folio_flags: (folio: Folio) => number
export let folio_slot: (folio: Folio) => number
/** Cuts the folio off from its slot, which is to be another's: it remembers what it was, and forgets its flags. */
export let folio_detach: (folio: Folio) => void

/** Changes the flags of a folio, and notes what that means for its marks. */
export function defer(space: Space, words: Int32Array, at: number, old: number, flags: number): void {
  if ((old & PG.deferred) === 0) {
    const { deferred } = space
    // Before anything changes: the call may throw where the stack ends.
    if (deferred[0] === DeferredMarks.SIZE) applyDeferredMarks(space)
    const nr = deferred[0] + 1
    deferred[nr] = words[at + FolioWord.SLOT]
    deferred[0] = nr
  }
  words[at] = flags
}

/** Whoever waits for the folio by promise looks at it again. */
export function wake(space: Space, folio: Folio): void {
  const { waiters } = space
  if (waiters === null) return
  waiters.wake(folio)
  if (waiters.size === 0) space.waiters = null
}

/** struct folio; see {@link api.Folio}. */
export class Folio implements api.Folio {
  #space: Space
  #words: Int32Array
  #at: number

  static {
    is_folio = (value): value is Folio => typeof value === 'object' && value !== null && #words in value
    folio_space = (folio) => folio.#space
    folio_flags = (folio) => {
      folio.#space.settle()
      return folio.#words[folio.#at]
    }
    folio_slot = (folio) => folio.#words[folio.#at + FolioWord.SLOT]
    folio_detach = (folio) => {
      const { index, order } = folio
      const words = new Int32Array(FolioWord.SIZE)
      words[0] = folio.#words[folio.#at] & PG.uptodate
      words[FolioWord.SLOT] = folio.#words[folio.#at + FolioWord.SLOT]
      words[FolioWord.KEY_LOW] = ((index % FolioKey.HIGH_UNIT) << FolioKey.ORDER_BITS) | order
      words[FolioWord.KEY_HIGH] = Math.floor(index / FolioKey.HIGH_UNIT)
      wake(folio.#space, folio)
      folio.#space = REMOVED
      folio.#words = words
      folio.#at = 0
    }
  }

  /**
   * The object of a slot. Users reach this constructor, but not a space to give it.
   * @hidden
   */
  constructor(space: Space, slot: number) {
    if (!is_space(space)) throw new WritebackError('EINVAL', 'a Folio is made by addFolio')
    this.#space = space
    this.#words = space.chunks[slot >>> FolioChunk.SHIFT]
    this.#at = (slot & FolioChunk.MASK) * FolioWord.SIZE
  }

  get index(): number {
    const words = this.#words
    const at = this.#at
    return (
      (words[at + FolioWord.KEY_LOW] >>> FolioKey.ORDER_BITS) +
      words[at + FolioWord.KEY_HIGH] * FolioKey.HIGH_UNIT
    )
  }
  get order(): number {
    return this.#words[this.#at + FolioWord.KEY_LOW] & FolioKey.ORDER_MASK
  }
  get nrPages(): number {
    return 1 << (this.#words[this.#at + FolioWord.KEY_LOW] & FolioKey.ORDER_MASK)
  }
  get mapping(): api.AddressSpace | null {
    return this.#space.mapping
  }
  get locked(): boolean {
    this.#space.settle()
    return (this.#words[this.#at] & PG.locked) !== 0
  }
  get dirty(): boolean {
    this.#space.settle()
    return (this.#words[this.#at] & PG.dirty) !== 0
  }
  get writeback(): boolean {
    this.#space.settle()
    return (this.#words[this.#at] & PG.writeback) !== 0
  }
  get uptodate(): boolean {
    return (this.#words[this.#at] & PG.uptodate) !== 0
  }
  set uptodate(value: boolean) {
    if (!this.#space.open) throw detached(this)
    if (typeof value !== 'boolean') throw invalid('uptodate', value, 'true or false')
    if (value) this.#words[this.#at] |= PG.uptodate
    else this.#words[this.#at] &= ~PG.uptodate
  }

  tryLock(): boolean {
    if (this.#space.ahead !== null) look(this.#space, this)
    const flags = this.#words[this.#at]
    if ((flags & PG.locked) !== 0) return false
    this.#words[this.#at] = flags | PG.locked
    return true
  }

  unlock(): void {
    const space = this.#space
    if (space.ahead !== null) look(space, this)
    const flags = this.#words[this.#at]
    if ((flags & PG.locked) === 0) throw misuse(this, 'is not locked')
    this.#words[this.#at] = flags & ~PG.locked
    wake(space, this)
  }

  markDirty(): boolean {
    const space = this.#space
    if (space.ahead !== null) look(space, this)
    const words = this.#words
    const at = this.#at
    const flags = words[at]
    if ((flags & PG.dirty) !== 0) return false
    defer(space, words, at, flags, (flags & ~PG.clear_dirty) | PG.dirty | PG.set_dirty)
    return true
  }

  startWriteback(keepWrite = false): void {
    const space = this.#space
    if (space.ahead !== null) look(space, this)
    if (typeof keepWrite !== 'boolean') throw invalid('keepWrite', keepWrite, 'true or false')
    const words = this.#words
    const at = this.#at
    const old = words[at]
    if ((old & (PG.locked | PG.writeback)) !== PG.locked) {
      throw misuse(this, (old & PG.writeback) === 0 ? 'is not locked' : 'is under writeback already')
    }
    let flags = (old & ~PG.clear_writeback) | PG.writeback | PG.set_writeback
    // Dirtied again since its flag was cleared: there is more to write.
    if ((flags & PG.dirty) === 0) flags = (flags & ~PG.set_dirty) | PG.clear_dirty
    if (!keepWrite) flags |= PG.clear_towrite
    defer(space, words, at, old, flags)
  }

  endWriteback(): void {
    const space = this.#space
    if (space.ahead !== null) look(space, this)
    const words = this.#words
    const at = this.#at
    const flags = words[at]
    if ((flags & PG.writeback) === 0) throw misuse(this, 'is not under writeback')
    defer(space, words, at, flags, (flags & ~(PG.writeback | PG.set_writeback)) | PG.clear_writeback)
    wake(space, this)
  }

  redirtyForWritepage(wbc: api.WritebackControl): boolean {
    if (!this.#space.open) throw detached(this)
    const control = controlState(wbc)
    control.pagesSkipped = addPages(control.pagesSkipped, this.nrPages)
    return this.markDirty()
  }
}

/** Makes a folio's state what it seems; throws where it is not to be changed. To be called unless `space.ahead` is null. */
function look(space: Space, folio: Folio): void {
  if (!space.open) throw detached(folio)
  space.settle()
}

/** ESTALE for a removed folio, EBADF for one whose mapping was closed. */
export function detached(folio: Folio): WritebackError {
  if (folio_space(folio) === REMOVED) {
    return new WritebackError('ESTALE', `folio ${folio.index} was removed from its mapping`)
  }
  return new WritebackError('EBADF', `the mapping of folio ${folio.index} is closed`)
}

function misuse(folio: Folio, what: string): WritebackError {
  return new WritebackError('EINVAL', `folio ${folio.index} ${what}`)
}
