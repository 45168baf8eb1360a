// SPDX-License-Identifier: GPL-2.0-only
// The folio: its flags and its lock. The state is private; the rest of the backend gets at it by the functions that
// are assigned in the static block.

import { invalid, WritebackError } from '../errors.js'
import type * as api from '../types.js'
import { controlState } from '../writeback_control.js'
import {
  folio_end_writeback,
  folio_mark_dirty,
  folio_start_writeback,
  folio_unlock,
  type MappingState,
} from './address_space.js'
import { folio_redirty_for_writepage } from './page_writeback.js'

const PG_locked = 1
const PG_dirty = 2
const PG_writeback = 4
const PG_uptodate = 8
/** The order stands in the bits above the flags: a word less for each folio. */
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
 * folio_trylock() and folio_clear_dirty_for_io() in one step, for a folio that is to be written at once.
 * @returns false, with nothing done, if the folio is locked, clean or under writeback
 */
export let folio_trylock_for_io: (folio: Folio) => boolean
/**
 * folio_unlock() of a folio whose write is down, but for waking who waits.
 * @returns false, with nothing done, if the folio is not locked, dirty again or under writeback
 */
export let folio_unlock_after_io: (folio: Folio) => boolean
/** The mapping that the folio was added to, closed or not; null once removed. */
export let folio_mapping: (folio: Folio) => MappingState | null
/** The folio's slot in the tree of its open mapping. */
export let folio_slot: (folio: Folio) => number
export let folio_attach: (folio: Folio, mapping: MappingState, slot: number) => void
export let folio_detach: (folio: Folio) => void

/** Only who has this makes a folio. */
const ALLOC = Symbol('folio_alloc')

/** struct folio; see {@link api.Folio}. */
export class Folio implements api.Folio {
  readonly #index: number
  #flags: number
  #slot = 0
  #mapping: MappingState | null = null

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
    folio_trylock_for_io = (folio) => {
      const flags = folio.#flags
      if ((flags & (PG_locked | PG_dirty | PG_writeback)) !== PG_dirty) return false
      folio.#flags = flags ^ (PG_locked | PG_dirty)
      return true
    }
    folio_unlock_after_io = (folio) => {
      const flags = folio.#flags
      if ((flags & (PG_locked | PG_dirty | PG_writeback)) !== PG_locked) return false
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
      folio.#mapping = null
      folio.#slot = 0
    }
  }

  private constructor(alloc: symbol, index: number, order: number) {
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
    return this.#mapping === null ? null : this.#mapping.handle
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
    check_attached(this, this.#mapping)
    if (typeof value !== 'boolean') throw invalid('uptodate', value, 'true or false')
    this.#flags = value ? this.#flags | PG_uptodate : this.#flags & ~PG_uptodate
  }

  tryLock(): boolean {
    check_attached(this, this.#mapping)
    return folio_trylock(this)
  }

  unlock(): void {
    check_attached(this, this.#mapping)
    if ((this.#flags & PG_locked) === 0) throw misuse(this, 'is not locked')
    folio_unlock(this)
  }

  markDirty(): boolean {
    check_attached(this, this.#mapping)
    return folio_mark_dirty(this)
  }

  startWriteback(keepWrite = false): void {
    check_attached(this, this.#mapping)
    if (typeof keepWrite !== 'boolean') throw invalid('keepWrite', keepWrite, 'true or false')
    const flags = this.#flags & (PG_locked | PG_writeback)
    if (flags !== PG_locked) {
      throw misuse(this, (flags & PG_writeback) === 0 ? 'is not locked' : 'is under writeback already')
    }
    folio_start_writeback(this, keepWrite)
  }

  endWriteback(): void {
    check_attached(this, this.#mapping)
    if ((this.#flags & PG_writeback) === 0) throw misuse(this, 'is not under writeback')
    folio_end_writeback(this)
  }

  redirtyForWritepage(wbc: api.WritebackControl): boolean {
    check_attached(this, this.#mapping)
    return folio_redirty_for_writepage(controlState(wbc), this)
  }
}

/** Throws ESTALE for a removed folio, EBADF for one whose mapping was closed. */
export function check_attached(folio: Folio, mapping: MappingState | null): void {
  if (mapping === null)
    throw new WritebackError('ESTALE', `folio ${folio.index} was removed from its mapping`)
  if (mapping.closed) throw new WritebackError('EBADF', `the mapping of folio ${folio.index} is closed`)
}

function misuse(folio: Folio, what: string): WritebackError {
  return new WritebackError('EINVAL', `folio ${folio.index} ${what}`)
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

export function folio_test_writeback(folio: Folio): boolean {
  return (folio_flags(folio) & PG_writeback) !== 0
}

/** Takes the folio's lock if it is free. */
export function folio_trylock(folio: Folio): boolean {
  return (folio_change_flags(folio, PG_locked, 0) & PG_locked) === 0
}
