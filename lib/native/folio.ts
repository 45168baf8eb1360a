// SPDX-License-Identifier: GPL-2.0-only
// The folio: its flags and its lock, and its marks, all in memory that is shared with the core. They change
// here without a call, as the core would change them.
//
// A method throws first and changes then, and calls nothing behind its first store: a RangeError at the end
// of the stack leaves all or nothing. For that, waiters are woken before the store: they go on in a later
// microtask.

import { detached, invalid, misuse, notToWrite, WritebackError } from '../errors.js'
import { INSPECT, type InspectArguments, inspectFolio } from '../inspect.js'
import type * as api from '../types.js'
import { folio_wake } from '../wait_table.js'
import { addPages, controlState } from '../writeback_control.js'
import { ChunkWord, NodeWord, PG } from './layout.js'
import { type NativeMapping, REMOVED } from './mapping.js'
import { xas_clear_mark, xas_clear_written, xas_set_mark, xas_start_writeback } from './xarray.js'

export let is_folio: (value: unknown) => value is Folio
/** The mapping of the folio: REMOVED once it was removed. */
export let folio_mapping: (folio: Folio) => NativeMapping
export let folio_flags: (folio: Folio) => number
export let folio_slot: (folio: Folio) => number
/** The object of a chunk's slot, which has none. */
let new_folio: (chunk: FolioChunk, at: number) => Folio
/**
 * Cuts the folio off from its slot, which is to be another's: it remembers what it was, and forgets its
 * flags.
 */
let folio_detach: (folio: Folio) => void

/**
 * An index of more than 31 bits. Apart from the rest, so that code which never meets one computes with
 * integers.
 */
function far_index(low: number, high: number): number {
  return (low >>> 0) + high * 0x100000000
}

/** The objects of a chunk that has none yet. */
const NO_FOLIOS: (Folio | null)[] = new Array(ChunkWord.MASK + 1).fill(null)

/** struct folio_chunk, and the objects of its folios. */
export class FolioChunk {
  readonly mapping: NativeMapping
  readonly number: number
  /** The chunk's memory: see ChunkWord. A word of flags for each slot comes first. */
  readonly words: Int32Array
  /** Two words per slot: the folio's first page. */
  readonly indices: Int32Array
  /** The nodes of the mapping's tree; none where the mapping is closed, or the folio was removed. */
  nodes: Int32Array
  /** The object of each slot's folio that is in the page cache and was asked for. */
  folios = NO_FOLIOS

  constructor(mapping: NativeMapping, number: number, words: Int32Array, indices: Int32Array) {
    this.mapping = mapping
    this.nodes = mapping.nodes
    this.number = number
    this.words = words
    this.indices = indices
  }

  order(at: number): number {
    return (this.words[at] & PG.order) >>> PG.ORDER_SHIFT
  }

  /**
   * The object of the folio in this slot: one, as long as the folio is in the page cache or a pass has it.
   */
  folio(at: number): Folio {
    return this.folios[at] ?? this.#newFolio(at)
  }

  #newFolio(at: number): Folio {
    if (is_removed(this.words[at])) {
      return this.mapping.removed.get((this.number << ChunkWord.SHIFT) | at) as Folio
    }
    const folio = new_folio(this, at)
    if (this.folios === NO_FOLIOS) this.folios = NO_FOLIOS.slice()
    this.folios[at] = folio
    return folio
  }

  /** Cuts off the object of the folio in this slot, which is to be removed. */
  detach(at: number): void {
    const folio = this.folios[at]
    if (folio === null) return
    folio_detach(folio)
    this.folios[at] = null
  }
}

/** These are the flags of a folio that is in no page cache any more. */
function is_removed(flags: number): boolean {
  return (flags & PG.cached) === 0
}

/** The constructor refuses a caller that does not have this. */
const ALLOC = Symbol('new_folio')

/** struct folio; see {@link api.Folio}. */
export class Folio implements api.Folio {
  #chunk: FolioChunk
  /** Which slot of the chunk. */
  #at: number

  static {
    is_folio = (value): value is Folio => typeof value === 'object' && value !== null && #chunk in value
    new_folio = (chunk, at) => new Folio(ALLOC, chunk, at)
    folio_mapping = (folio) => folio.#chunk.mapping
    folio_flags = (folio) => folio.#chunk.words[folio.#at]
    folio_slot = (folio) => (folio.#chunk.number << ChunkWord.SHIFT) | folio.#at
    folio_detach = (folio) => {
      const chunk = folio.#chunk
      const at = folio.#at
      // A chunk to itself, of one slot, that holds what it was.
      const words = Int32Array.of(chunk.words[at] & (PG.uptodate | PG.order))
      const own = new FolioChunk(REMOVED, 0, words, chunk.indices.slice(2 * at, 2 * at + 2))
      folio_wake(chunk.mapping, folio)
      folio.#chunk = own
      folio.#at = 0
    }
  }

  constructor(alloc: symbol, chunk: FolioChunk, at: number) {
    if (alloc !== ALLOC) throw new WritebackError('EINVAL', 'a Folio is made by addFolio')
    this.#chunk = chunk
    this.#at = at
  }

  get index(): number {
    const { indices } = this.#chunk
    const word = 2 * this.#at
    const low = indices[word]
    const high = indices[word + 1]
    return high === 0 && low >= 0 ? low : far_index(low, high)
  }
  get order(): number {
    return this.#chunk.order(this.#at)
  }
  get nrPages(): number {
    return nr_pages_of(this.#chunk.words[this.#at])
  }
  get mapping(): api.AddressSpace | null {
    return this.#chunk.mapping.handle
  }
  get locked(): boolean {
    return (this.#chunk.words[this.#at] & PG.locked) !== 0
  }
  get dirty(): boolean {
    return (this.#chunk.words[this.#at] & PG.dirty) !== 0
  }
  get writeback(): boolean {
    return (this.#chunk.words[this.#at] & PG.writeback) !== 0
  }
  get uptodate(): boolean {
    return (this.#chunk.words[this.#at] & PG.uptodate) !== 0
  }
  set uptodate(value: boolean) {
    if (this.#chunk.nodes.length === 0) throw detached(this)
    if (typeof value !== 'boolean') throw invalid('uptodate', value, 'true or false')
    if (value) this.#chunk.words[this.#at] |= PG.uptodate
    else this.#chunk.words[this.#at] &= ~PG.uptodate
  }

  tryLock(): boolean {
    const { words, nodes } = this.#chunk
    if (nodes.length === 0) throw detached(this)
    const flags = words[this.#at]
    if ((flags & PG.locked) !== 0) return false
    words[this.#at] = flags | PG.locked
    return true
  }

  unlock(): void {
    const { mapping, words, nodes } = this.#chunk
    if (nodes.length === 0) throw detached(this)
    const flags = words[this.#at]
    if ((flags & PG.locked) === 0) throw misuse(this, 'is not locked')
    if (mapping.waiters !== null) folio_wake(mapping, this)
    words[this.#at] = flags & ~PG.locked
  }

  markDirty(): boolean {
    const { words, nodes } = this.#chunk
    if (nodes.length === 0) throw detached(this)
    const at = this.#at
    const flags = words[at]
    if ((flags & PG.dirty) !== 0) return false
    const dirtied = flags | PG.dirty
    xas_set_mark(nodes, words[ChunkWord.TREE_SLOT + at], NodeWord.DIRTY)
    words[at] = dirtied
    return true
  }

  startWriteback(keepWrite = false): void {
    const { words, nodes } = this.#chunk
    if (nodes.length === 0) throw detached(this)
    if (typeof keepWrite !== 'boolean') throw invalid('keepWrite', keepWrite, 'true or false')
    const at = this.#at
    const flags = words[at]
    if ((flags & (PG.locked | PG.writeback)) !== PG.locked) throw notToWrite(this)
    // Dirty: dirtied again since its flag was cleared, so that there is more to write.
    const started = flags | PG.writeback
    xas_start_writeback(nodes, words[ChunkWord.TREE_SLOT + at], (flags & PG.dirty) !== 0, keepWrite)
    words[at] = started
  }

  endWriteback(): void {
    const { mapping, words, nodes } = this.#chunk
    if (nodes.length === 0) throw detached(this)
    const at = this.#at
    const flags = words[at]
    if ((flags & PG.writeback) === 0) throw misuse(this, 'is not under writeback')
    if (mapping.waiters !== null) folio_wake(mapping, this)
    const ended = flags & ~PG.writeback
    xas_clear_mark(nodes, words[ChunkWord.TREE_SLOT + at], NodeWord.WRITEBACK)
    words[at] = ended
  }

  redirtyForWritepage(wbc: api.WritebackControl): boolean {
    if (this.#chunk.nodes.length === 0) throw detached(this)
    const control = controlState(wbc)
    const skipped = addPages(control.pagesSkipped, this.nrPages)
    const dirtied = this.markDirty()
    control.pagesSkipped = skipped
    return dirtied
  }

  [INSPECT](...args: InspectArguments): string {
    return inspectFolio(this, args)
  }
}

/**
 * Whether a pass takes a folio with these flags at once; what it does to them is `flags ^ (PG.locked |
 * PG.dirty)`.
 */
export function can_lock_for_io(flags: number): boolean {
  return (flags & (PG.cached | PG.locked | PG.dirty | PG.writeback)) === (PG.cached | PG.dirty)
}

/** folio_nr_pages(), of the folio's flags. */
export function nr_pages_of(flags: number): number {
  return 1 << ((flags & PG.order) >>> PG.ORDER_SHIFT)
}

/**
 * The folio of this slot was written, or not. Code that unlocked or removed it meanwhile has taken it over; a
 * folio that is still locked is the pass's, and does not stay under writeback, which no code would end.
 */
export function folio_end_write(mapping: NativeMapping, chunk: FolioChunk, at: number, error: number): void {
  const { words } = chunk
  const flags = words[at]
  if (
    error === 0 &&
    (flags & (PG.cached | PG.locked | PG.dirty | PG.writeback)) === (PG.cached | PG.locked) &&
    mapping.waiters === null &&
    !mapping.closed
  ) {
    // Start of writeback, unlock and end of it at once: no other code runs in between.
    xas_clear_written(chunk.nodes, words[ChunkWord.TREE_SLOT + at])
    words[at] = flags ^ PG.locked
    return
  }
  if (mapping.closed || (flags & PG.cached) === 0) return
  end_write(chunk.folio(at), error)
}

function end_write(folio: Folio, error: number): void {
  const { locked, writeback } = folio
  if (error !== 0) folio.markDirty()
  if (!locked) return
  if (error === 0 && !writeback) folio.startWriteback()
  folio.unlock()
  if (error === 0 || writeback) folio.endWriteback()
}
