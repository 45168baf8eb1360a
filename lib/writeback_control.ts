// SPDX-License-Identifier: GPL-2.0-only

import { MAX_INDEX, MAX_OFFSET } from './arguments.js'
import { invalid, notCloneable } from './errors.js'
import { INSPECT, type InspectArguments, inspectAs } from './inspect.js'
import type { Pass } from './page_cache.js'
import type * as api from './types.js'

/**
 * Returned by a writepage callback of `writeCachePages`: the wrapper then unlocks the folio, and this is no
 * error.
 */
export const AOP_WRITEPAGE_ACTIVATE = 0x80000

/**
 * The contents of a control, for the backends. `pass` is the state of the iteration, which the kernel keeps
 * in the same struct (fbatch, index, saved_err).
 * @internal
 */
export interface ControlState {
  nrToWrite: number
  pagesSkipped: number
  rangeStart: number | bigint
  rangeEnd: number | bigint
  syncMode: api.SyncMode
  taggedWritepages: boolean
  rangeCyclic: boolean
  pass: Pass | null
}

/**
 * The state of a control; throws `EINVAL` for anything else.
 * @internal
 */
export let controlState: (wbc: unknown) => ControlState

function checkOffset(what: string, value: unknown): number | bigint {
  if (
    typeof value === 'bigint'
      ? value >= 0n && value <= MAX_OFFSET
      : Number.isSafeInteger(value) && (value as number) >= 0
  ) {
    return typeof value === 'bigint' ? value : (value as number) + 0 // -0 becomes 0
  }
  throw invalid(what, value, 'a byte offset, a safe integer or bigint from 0 to 2^63 - 1')
}

function checkFlag(what: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalid(what, value, 'true or false')
  return value
}

/** struct writeback_control; see {@link api.WritebackControl}. */
export class WritebackControl implements api.WritebackControl {
  /** See {@link notCloneable}. */
  readonly notCloneable = notCloneable
  readonly #state: ControlState = {
    nrToWrite: Number.MAX_SAFE_INTEGER,
    pagesSkipped: 0,
    rangeStart: 0,
    rangeEnd: MAX_OFFSET,
    syncMode: 'none',
    taggedWritepages: false,
    rangeCyclic: false,
    pass: null,
  }

  static {
    controlState = (wbc) => {
      if (typeof wbc !== 'object' || wbc === null || !(#state in wbc))
        throw invalid('wbc', wbc, 'a WritebackControl')
      return wbc.#state
    }
  }

  constructor(init?: api.WritebackControlInit) {
    if (init === undefined) return
    if (init === null || typeof init !== 'object') throw invalid('init', init, 'an object')
    const { nrToWrite, pagesSkipped, rangeStart, rangeEnd, syncMode, taggedWritepages, rangeCyclic } = init
    if (nrToWrite !== undefined) this.nrToWrite = nrToWrite
    if (pagesSkipped !== undefined) this.pagesSkipped = pagesSkipped
    if (rangeStart !== undefined) this.rangeStart = rangeStart
    if (rangeEnd !== undefined) this.rangeEnd = rangeEnd
    if (syncMode !== undefined) this.syncMode = syncMode
    if (taggedWritepages !== undefined) this.taggedWritepages = taggedWritepages
    if (rangeCyclic !== undefined) this.rangeCyclic = rangeCyclic
  }

  get nrToWrite(): number {
    return this.#state.nrToWrite
  }
  set nrToWrite(value: number) {
    if (!Number.isSafeInteger(value)) throw invalid('nrToWrite', value, 'a safe integer')
    this.#state.nrToWrite = value + 0
  }

  get pagesSkipped(): number {
    return this.#state.pagesSkipped
  }
  set pagesSkipped(value: number) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw invalid('pagesSkipped', value, 'a safe integer from 0')
    this.#state.pagesSkipped = value + 0
  }

  get rangeStart(): number | bigint {
    return this.#state.rangeStart
  }
  set rangeStart(value: number | bigint) {
    this.#state.rangeStart = checkOffset('rangeStart', value)
  }

  get rangeEnd(): number | bigint {
    return this.#state.rangeEnd
  }
  set rangeEnd(value: number | bigint) {
    this.#state.rangeEnd = checkOffset('rangeEnd', value)
  }

  get syncMode(): api.SyncMode {
    return this.#state.syncMode
  }
  set syncMode(value: api.SyncMode) {
    if (value !== 'none' && value !== 'all') throw invalid('syncMode', value, "'none' or 'all'")
    this.#state.syncMode = value
  }

  get taggedWritepages(): boolean {
    return this.#state.taggedWritepages
  }
  set taggedWritepages(value: boolean) {
    this.#state.taggedWritepages = checkFlag('taggedWritepages', value)
  }

  get rangeCyclic(): boolean {
    return this.#state.rangeCyclic
  }
  set rangeCyclic(value: boolean) {
    this.#state.rangeCyclic = checkFlag('rangeCyclic', value)
  }

  [INSPECT](...args: InspectArguments): string {
    const { nrToWrite, pagesSkipped, rangeStart, rangeEnd, syncMode, taggedWritepages, rangeCyclic } = this
    const fields = { nrToWrite, pagesSkipped, rangeStart, rangeEnd, syncMode, taggedWritepages, rangeCyclic }
    return inspectAs('WritebackControl', fields, args)
  }
}

/**
 * The page that holds this byte. With pages under 4 KiB a byte offset reaches beyond the last page index; all
 * such pages are one to a search, the first that no folio can cover.
 * @internal
 */
export function pageIndex(offset: number | bigint, pageShift: number): number {
  const index =
    typeof offset === 'bigint' ? Number(offset >> BigInt(pageShift)) : Math.floor(offset / 2 ** pageShift)
  return Math.min(index, MAX_INDEX + 1)
}

/**
 * nr_to_write less a folio's pages, exact down to the least safe integer.
 * @internal
 */
export function subtractPages(nrToWrite: number, nrPages: number): number {
  return Math.max(nrToWrite - nrPages, Number.MIN_SAFE_INTEGER)
}

/**
 * pages_skipped plus a folio's pages, exact up to the greatest safe integer.
 * @internal
 */
export function addPages(pagesSkipped: number, nrPages: number): number {
  return Math.min(pagesSkipped + nrPages, Number.MAX_SAFE_INTEGER)
}
