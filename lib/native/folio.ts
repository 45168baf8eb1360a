// SPDX-License-Identifier: GPL-2.0-only
// The folio: its flags and its lock, in memory that is shared with the core. Flags change here without a call; what that
// means for the marks is noted in the folio and told to the tree with the next call (native/core/deferred_marks.h).

import { detached, invalid, misuse, notToWrite, WritebackError } from '../errors.js'
import { INSPECT, type InspectArguments, inspectFolio } from '../inspect.js'
import type * as api from '../types.js'
import { folio_wake } from '../wait_table.js'
import { addPages, controlState } from '../writeback_control.js'
import { FolioChunk, is_folio_chunk } from './folio_chunk.js'
import { ChunkWord, PG } from './layout.js'
import { type NativeMapping, REMOVED } from './mapping.js'

export let is_folio: (value: unknown) => value is Folio
/** The mapping of the folio: REMOVED once it was removed. */
export let folio_mapping: (folio: Folio) => NativeMapping
export let folio_flags: (folio: Folio) => number
export let folio_slot: (folio: Folio) => number
/** Cuts the folio off from its slot, which is to be another's: it remembers what it was, and forgets its flags. */
export let folio_detach: (folio: Folio) => void

/** struct folio; see {@link api.Folio}. */
export class Folio implements api.Folio {
  #chunk: FolioChunk
  /** Which slot of the chunk. */
  #at: number

  static {
    is_folio = (value): value is Folio => typeof value === 'object' && value !== null && #chunk in value
    folio_mapping = (folio) => folio.#chunk.mapping
    folio_flags = (folio) => {
      folio.#chunk.mapping.settle()
      return folio.#chunk.words[folio.#at]
    }
    folio_slot = (folio) => (folio.#chunk.words[ChunkWord.NUMBER] << ChunkWord.SHIFT) | folio.#at
    folio_detach = (folio) => {
      const { index } = folio
      const chunk = folio.#chunk
      // A chunk to itself, of one slot, that holds what it was.
      const words = Int32Array.of(chunk.words[folio.#at] & (PG.uptodate | PG.order))
      const own = new FolioChunk(REMOVED, words, Uint32Array.of(chunk.lows[folio.#at]), [])
      own.setIndex(0, index)
      folio_wake(chunk.mapping, folio)
      folio.#chunk = own
      folio.#at = 0
    }
  }

  /**
   * The object of a slot. Users reach this constructor, but not a chunk to give it.
   * @hidden
   */
  constructor(chunk: FolioChunk, at: number) {
    if (!is_folio_chunk(chunk)) throw new WritebackError('EINVAL', 'a Folio is made by addFolio')
    this.#chunk = chunk
    this.#at = at
  }

  get index(): number {
    return this.#chunk.index(this.#at)
  }
  get order(): number {
    return this.#chunk.order(this.#at)
  }
  get nrPages(): number {
    return 1 << this.#chunk.order(this.#at)
  }
  get mapping(): api.AddressSpace | null {
    return this.#chunk.mapping.handle
  }
  get locked(): boolean {
    return (folio_flags(this) & PG.locked) !== 0
  }
  get dirty(): boolean {
    return (folio_flags(this) & PG.dirty) !== 0
  }
  get writeback(): boolean {
    return (folio_flags(this) & PG.writeback) !== 0
  }
  get uptodate(): boolean {
    return (this.#chunk.words[this.#at] & PG.uptodate) !== 0
  }
  set uptodate(value: boolean) {
    if (this.#chunk.mapping.closed) throw detached(this)
    if (typeof value !== 'boolean') throw invalid('uptodate', value, 'true or false')
    if (value) this.#chunk.words[this.#at] |= PG.uptodate
    else this.#chunk.words[this.#at] &= ~PG.uptodate
  }

  tryLock(): boolean {
    const { mapping, words } = this.#chunk
    if (mapping.ahead !== null) look(mapping, this)
    const flags = words[this.#at]
    if ((flags & PG.locked) !== 0) return false
    words[this.#at] = flags | PG.locked
    return true
  }

  unlock(): void {
    const { mapping, words } = this.#chunk
    if (mapping.ahead !== null) look(mapping, this)
    const flags = words[this.#at]
    if ((flags & PG.locked) === 0) throw misuse(this, 'is not locked')
    words[this.#at] = flags & ~PG.locked
    if (mapping.waiters !== null) folio_wake(mapping, this)
  }

  markDirty(): boolean {
    const chunk = this.#chunk
    const { mapping } = chunk
    if (mapping.ahead !== null) look(mapping, this)
    const at = this.#at
    const flags = chunk.words[at]
    if ((flags & PG.dirty) !== 0) return false
    chunk.words[at] = (flags & ~PG.clear_dirty) | PG.dirty | PG.set_dirty
    if ((flags & PG.deferred) === 0) chunk.note(at)
    return true
  }

  startWriteback(keepWrite = false): void {
    const chunk = this.#chunk
    const { mapping } = chunk
    if (mapping.ahead !== null) look(mapping, this)
    if (typeof keepWrite !== 'boolean') throw invalid('keepWrite', keepWrite, 'true or false')
    const at = this.#at
    const old = chunk.words[at]
    if ((old & (PG.locked | PG.writeback)) !== PG.locked) throw notToWrite(this)
    let flags = (old & ~PG.clear_writeback) | PG.writeback | PG.set_writeback
    // Dirtied again since its flag was cleared: there is more to write.
    if ((flags & PG.dirty) === 0) flags = (flags & ~PG.set_dirty) | PG.clear_dirty
    if (!keepWrite) flags |= PG.clear_towrite
    chunk.words[at] = flags
    if ((old & PG.deferred) === 0) chunk.note(at)
  }

  endWriteback(): void {
    const chunk = this.#chunk
    const { mapping } = chunk
    if (mapping.ahead !== null) look(mapping, this)
    const at = this.#at
    const flags = chunk.words[at]
    if ((flags & PG.writeback) === 0) throw misuse(this, 'is not under writeback')
    chunk.words[at] = (flags & ~(PG.writeback | PG.set_writeback)) | PG.clear_writeback
    if ((flags & PG.deferred) === 0) chunk.note(at)
    if (mapping.waiters !== null) folio_wake(mapping, this)
  }

  redirtyForWritepage(wbc: api.WritebackControl): boolean {
    if (this.#chunk.mapping.closed) throw detached(this)
    const control = controlState(wbc)
    control.pagesSkipped = addPages(control.pagesSkipped, this.nrPages)
    return this.markDirty()
  }

  [INSPECT](...args: InspectArguments): string {
    return inspectFolio(this, args)
  }
}

/** Makes a folio's state what it seems; throws where it is not to be changed. To be called unless `mapping.ahead` is null. */
function look(mapping: NativeMapping, folio: Folio): void {
  if (mapping.closed) throw detached(folio)
  mapping.settle()
}
