// SPDX-License-Identifier: GPL-2.0-only
// The folio: its flags and its lock. The state is private; the rest of the backend gets at it by the
// functions that are assigned in the static block.

import { detached, invalid, misuse, notToWrite, WritebackError } from '../errors.js'
import { INSPECT, type InspectArguments, inspectFolio } from '../inspect.js'
import type * as api from '../types.js'
import { folio_wake } from '../wait_table.js'
import { addPages, type ControlState, controlState } from '../writeback_control.js'
import {
  type JsMapping,
  PAGECACHE_TAG_DIRTY,
  PAGECACHE_TAG_TOWRITE,
  PAGECACHE_TAG_WRITEBACK,
  REMOVED,
} from './mapping.js'
import { xas_clear_mark, xas_set_mark, xas_start_writeback } from './xarray.js'

const PG_locked = 1
const PG_dirty = 2
const PG_writeback = 4
const PG_uptodate = 8
/** The order is in the bits above the flags, which saves a word per folio. */
const PG_order_shift = 8

export { PG_dirty, PG_locked, PG_uptodate, PG_writeback }

/** A new folio, in no mapping yet: clean, up to date and unlocked. */
export let folio_alloc: (index: number, order: number) => Folio
export let is_folio: (value: unknown) => value is Folio
export let folio_index: (folio: Folio) => number
export let folio_order: (folio: Folio) => number
/** The PG_* flags, and other bits. */
export let folio_flags: (folio: Folio) => number
/** Sets and clears flags; returns them as they were. */
export let folio_change_flags: (folio: Folio, set: number, clear: number) => number
/**
 * The fast path: folio_trylock() and folio_clear_dirty_for_io() in one step.
 * @returns false, with nothing done, unless it is in this mapping, unlocked, dirty and not under writeback
 */
export let folio_trylock_for_io: (mapping: JsMapping, folio: Folio) => boolean
/**
 * folio_unlock() of a folio whose write is done. It does not wake passes that wait.
 * @returns false, with nothing done, unless it is in this mapping, locked, clean and not under writeback
 */
export let folio_unlock_after_io: (mapping: JsMapping, folio: Folio) => boolean
/** The mapping that the folio was added to, closed or not; REMOVED once removed. */
export let folio_mapping: (folio: Folio) => JsMapping
/** The folio's slot in the tree of its open mapping. */
export let folio_slot: (folio: Folio) => number
export let folio_attach: (folio: Folio, mapping: JsMapping, slot: number) => void
export let folio_detach: (folio: Folio) => void
/** Releases the folio's lock, which the caller, or the task that it acts for, holds. */
export let folio_unlock: (folio: Folio) => void
/**
 * Sets the folio's dirty flag and mark; the folio is in the cache.
 * @returns false, with nothing done, if the flag was set already: the mark is then not looked at
 */
export let folio_mark_dirty: (folio: Folio) => boolean
/**
 * The folio's data is on its way to the device. The folio is in the cache, locked, not under writeback.
 * @param keep_write - keep the TOWRITE mark, because only part of the folio is being written and the
 * iteration has to
 *   come back for the rest (__folio_start_writeback())
 */
export let folio_start_writeback: (folio: Folio, keep_write: boolean) => void
/** The folio's data is down. The folio is in the cache and under writeback. */
export let folio_end_writeback: (folio: Folio) => void
/**
 * folio_start_writeback(), folio_unlock() and folio_end_writeback() at once, for a folio that was written
 * meanwhile: no other code runs in between, so the WRITEBACK flag and mark need not be set and cleared.
 * @returns false, with nothing done, unless it is locked and not under writeback; it is in the cache
 */
export let folio_end_sync_write: (folio: Folio) => boolean

/** Only who has this makes a folio. */
const ALLOC = Symbol('folio_alloc')

/** struct folio; see {@link api.Folio}. */
export class Folio implements api.Folio {
  readonly #index: number
  #flags: number
  #slot = 0
  #mapping = REMOVED

  static {
    folio_alloc = (index, order) => new Folio(ALLOC, index, order)
    is_folio = (value): value is Folio => typeof value === 'object' && value !== null && #flags in value
    folio_index = (folio) => folio.#index
    folio_order = (folio) => folio.#flags >> PG_order_shift
    folio_flags = (folio) => folio.#flags
    folio_change_flags = (folio, set, clear) => {
      const old = folio.#flags
      folio.#flags = (old & ~clear) | set
      return old
    }
    folio_trylock_for_io = (mapping, folio) => {
      const flags = folio.#flags
      if ((flags & (PG_locked | PG_dirty | PG_writeback)) !== PG_dirty || folio.#mapping !== mapping)
        return false
      folio.#flags = flags ^ (PG_locked | PG_dirty)
      return true
    }
    folio_unlock_after_io = (mapping, folio) => {
      const flags = folio.#flags
      if ((flags & (PG_locked | PG_dirty | PG_writeback)) !== PG_locked || folio.#mapping !== mapping)
        return false
      folio.#flags = flags ^ PG_locked
      return true
    }
    folio_mapping = (folio) => folio.#mapping
    folio_slot = (folio) => folio.#slot
    folio_attach = (folio, mapping, slot) => {
      folio.#mapping = mapping
      folio.#slot = slot
    }
    folio_detach = (folio) => {
      folio.#mapping = REMOVED
      folio.#slot = 0
    }
    // In these, what calls comes before what stores: where the stack ends, nothing has changed. Waiters look
    // later.
    folio_unlock = (folio) => {
      if (folio.#mapping.waiters !== null) folio_wake(folio.#mapping, folio)
      folio.#flags &= ~PG_locked
    }
    folio_mark_dirty = (folio) => {
      const flags = folio.#flags
      if ((flags & PG_dirty) !== 0) return false
      xas_set_mark(folio.#mapping.i_pages, folio.#slot, PAGECACHE_TAG_DIRTY)
      folio.#flags = flags | PG_dirty
      return true
    }
    folio_start_writeback = (folio, keep_write) => {
      const flags = folio.#flags
      // Dirty: dirtied again since its flag was cleared, so that there is more to write.
      xas_start_writeback(folio.#mapping.i_pages, folio.#slot, (flags & PG_dirty) !== 0, keep_write)
      folio.#flags = flags | PG_writeback
    }
    folio_end_writeback = (folio) => {
      const mapping = folio.#mapping
      if (mapping.waiters !== null) folio_wake(mapping, folio)
      xas_clear_mark(mapping.i_pages, folio.#slot, PAGECACHE_TAG_WRITEBACK)
      folio.#flags &= ~PG_writeback
    }
    folio_end_sync_write = (folio) => {
      const flags = folio.#flags
      if ((flags & (PG_locked | PG_writeback)) !== PG_locked) return false
      const mapping = folio.#mapping
      const xa = mapping.i_pages
      const slot = folio.#slot
      folio.#flags = flags ^ PG_locked
      if ((flags & PG_dirty) === 0) xas_clear_mark(xa, slot, PAGECACHE_TAG_DIRTY)
      xas_clear_mark(xa, slot, PAGECACHE_TAG_TOWRITE)
      if (mapping.waiters !== null) folio_wake(mapping, folio)
      return true
    }
  }

  constructor(alloc: symbol, index: number, order: number) {
    if (alloc !== ALLOC) throw new WritebackError('EINVAL', 'a Folio is made by addFolio')
    this.#index = index
    this.#flags = (order << PG_order_shift) | PG_uptodate
  }

  get index(): number {
    return this.#index
  }
  get order(): number {
    return this.#flags >> PG_order_shift
  }
  get nrPages(): number {
    return folio_nr_pages(this)
  }
  get mapping(): api.AddressSpace | null {
    return this.#mapping.handle
  }
  get locked(): boolean {
    return (this.#flags & PG_locked) !== 0
  }
  get dirty(): boolean {
    return (this.#flags & PG_dirty) !== 0
  }
  get writeback(): boolean {
    return (this.#flags & PG_writeback) !== 0
  }
  get uptodate(): boolean {
    return (this.#flags & PG_uptodate) !== 0
  }
  set uptodate(value: boolean) {
    if (this.#mapping.closed) throw detached(this)
    if (typeof value !== 'boolean') throw invalid('uptodate', value, 'true or false')
    this.#flags = value ? this.#flags | PG_uptodate : this.#flags & ~PG_uptodate
  }

  tryLock(): boolean {
    if (this.#mapping.closed) throw detached(this)
    return folio_trylock(this)
  }

  unlock(): void {
    if (this.#mapping.closed) throw detached(this)
    if ((this.#flags & PG_locked) === 0) throw misuse(this, 'is not locked')
    folio_unlock(this)
  }

  markDirty(): boolean {
    if (this.#mapping.closed) throw detached(this)
    return folio_mark_dirty(this)
  }

  startWriteback(keepWrite = false): void {
    if (this.#mapping.closed) throw detached(this)
    if (typeof keepWrite !== 'boolean') throw invalid('keepWrite', keepWrite, 'true or false')
    if ((this.#flags & (PG_locked | PG_writeback)) !== PG_locked) throw notToWrite(this)
    folio_start_writeback(this, keepWrite)
  }

  endWriteback(): void {
    if (this.#mapping.closed) throw detached(this)
    if ((this.#flags & PG_writeback) === 0) throw misuse(this, 'is not under writeback')
    folio_end_writeback(this)
  }

  redirtyForWritepage(wbc: api.WritebackControl): boolean {
    if (this.#mapping.closed) throw detached(this)
    return folio_redirty_for_writepage(controlState(wbc), this)
  }

  [INSPECT](...args: InspectArguments): string {
    return inspectFolio(this, args)
  }
}

export function folio_nr_pages(folio: Folio): number {
  return 1 << folio_order(folio)
}

/** The index behind the folio's last page. */
export function folio_next_index(folio: Folio): number {
  return folio_index(folio) + folio_nr_pages(folio)
}

export function folio_test_dirty(folio: Folio): boolean {
  return (folio_flags(folio) & PG_dirty) !== 0
}

export function folio_test_locked(folio: Folio): boolean {
  return (folio_flags(folio) & PG_locked) !== 0
}

/** Takes the folio's lock if it is free. */
export function folio_trylock(folio: Folio): boolean {
  return (folio_change_flags(folio, PG_locked, 0) & PG_locked) === 0
}

/** Declines to write a folio: counts its pages as skipped, then as folio_mark_dirty(). */
export function folio_redirty_for_writepage(control: ControlState, folio: Folio): boolean {
  const skipped = addPages(control.pagesSkipped, folio_nr_pages(folio))
  const dirtied = folio_mark_dirty(folio)
  control.pagesSkipped = skipped
  return dirtied
}
