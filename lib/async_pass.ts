// SPDX-License-Identifier: GPL-2.0-only
// Passes that await: what a file system does that submits its writes and ends writeback from their
// completions. A write is submitted by its callback, and the promise that the callback returns is its
// completion.

import { checkResult } from './arguments.js'
import { type Extent, endExtent } from './extent.js'
import type { Mapping, Pass } from './page_cache.js'
import type * as api from './types.js'
import { folio_add_wait_queue, folio_remove_wait_queue } from './wait_table.js'
import type { ControlState } from './writeback_control.js'
import { beginPass, checkCurrent, checkOpen, endPass, FAILED } from './writeback_pass.js'

/** What a callback returns: its result, or the promise of it. */
type Written = api.AsyncResult

/** The options of a pass, checked. */
export interface AsyncLimits {
  /** The most writes under way. */
  readonly concurrency: number
  readonly signal: api.AbortSignalLike | undefined
}

/**
 * Starts writeback of the folios that the callback left locked, and unlocks them.
 * @returns those under writeback that the pass has to end
 */
function startWriteback(mapping: Mapping, folios: readonly api.Folio[]): readonly api.Folio[] {
  const { ops } = mapping
  const isLeft = (folio: api.Folio) => ops.folio_in_mapping(folio, mapping) && folio.locked
  const started = folios.every(isLeft) ? folios : folios.filter(isLeft)
  for (const folio of started) {
    if (!folio.writeback) folio.startWriteback()
    folio.unlock()
  }
  return started
}

/** A pass over a mapping that hands T to its callback. */
abstract class AsyncPass<T> {
  protected readonly mapping: Mapping
  protected readonly wbc: Pass
  readonly #callback: (what: T) => Written
  readonly #limits: AsyncLimits
  readonly #syncAll: boolean
  /** How many writes were submitted, and how many of them are under way. */
  #submitted = 0
  #underWay = 0
  /** The errno of the failed write that was submitted first, and which one that was; 0 if none failed. */
  #error = 0
  #failed = 0
  /**
   * Why nothing more is submitted: the abort, rejection or wrong use that came first; null as long as none
   * came.
   */
  #ended: { readonly reason: unknown } | null = null
  /** Resumes the pass where it waits, once. */
  #resume: (() => void) | null = null
  readonly #wake = (): void => {
    const resume = this.#resume
    this.#resume = null
    if (resume !== null) resume()
  }
  readonly #onAbort = (): void => this.#end(this.#limits.signal?.reason)

  constructor(mapping: Mapping, control: ControlState, callback: (what: T) => Written, limits: AsyncLimits) {
    this.mapping = mapping
    this.#callback = callback
    this.#limits = limits
    this.#syncAll = control.syncMode === 'all'
    if (limits.signal?.aborted) throw limits.signal.reason
    this.wbc = beginPass(mapping, control, true)
  }

  /** What comes next; null where the pass is over or blocked. */
  protected abstract next(): T | null
  /** Its folios, all locked and cleared for I/O. */
  protected abstract foliosOf(what: T): readonly api.Folio[]
  /** It was handed to the callback, and none of its folios is the pass's to unlock any more. */
  protected abstract handedOut(): void
  /** Its write is over. */
  protected abstract written(what: T): void

  /** The pass, to the completion of its last write. */
  async run(): Promise<number> {
    const { signal } = this.#limits
    try {
      signal?.addEventListener('abort', this.#onAbort)
      // Off the caller's stack, whose end may be near: nothing is in hand where it could be met.
      await undefined
      await this.#submitAll()
    } catch (reason) {
      this.#end(reason)
    } finally {
      endPass(this.wbc)
    }
    while (this.#underWay > 0) await this.#event()
    signal?.removeEventListener('abort', this.#onAbort)
    if (this.#ended !== null) throw this.#ended.reason
    checkOpen(this.mapping)
    return this.#error
  }

  /** Submits one write after the other, as long as there is room for it and nothing ends the pass. */
  async #submitAll(): Promise<void> {
    const { wbc } = this
    while (this.#ended === null) {
      if (this.#underWay === this.#limits.concurrency) {
        await this.#event()
        continue
      }
      checkCurrent(wbc)
      if (this.#error !== 0 && !this.#syncAll) {
        // The error ends the pass where it stands. It is not told to a pass that is blocked, which would take
        // it for none.
        wbc.error = this.#error
        if (wbc.blocked === null) this.next()
        return
      }
      const what = this.next()
      if (what !== null) {
        void this.#write(what)
        this.handedOut()
      } else if (wbc.blocked !== null) {
        await this.#released(wbc.blocked)
      } else {
        return
      }
    }
  }

  /** One write, from its callback to its completion. */
  async #write(what: T): Promise<void> {
    const { mapping } = this
    const number = this.#submitted++
    const folios = this.foliosOf(what)
    let started: readonly api.Folio[] = []
    let error = FAILED
    this.#underWay++
    try {
      let written: Written
      try {
        written = this.#callback(what)
      } finally {
        started = startWriteback(mapping, folios)
      }
      error = checkResult(await written)
      if (error !== 0) this.#fail(number, error)
    } catch (reason) {
      this.#end(reason)
    }
    const { ops } = mapping
    if (error !== 0) {
      for (const folio of folios) if (ops.folio_in_mapping(folio, mapping)) folio.markDirty()
    }
    for (const folio of started) {
      if (ops.folio_in_mapping(folio, mapping) && folio.writeback) folio.endWriteback()
    }
    this.written(what)
    this.#underWay--
    this.#wake()
  }

  #fail(number: number, error: number): void {
    if (this.#error !== 0 && number > this.#failed) return
    this.#error = error
    this.#failed = number
  }

  #end(reason: unknown): void {
    this.#ended ??= { reason }
    this.#wake()
  }

  /**
   * Resolves when a write is over, or when the pass is ended or woken. What it is, the pass looks for itself.
   */
  #event(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve
    })
  }

  /** As #event(), and when the folio is unlocked, ends writeback or is gone. */
  async #released(folio: api.Folio): Promise<void> {
    folio_add_wait_queue(this.mapping, folio, this.#wake)
    await this.#event()
    folio_remove_wait_queue(this.mapping, folio, this.#wake)
  }
}

class AsyncPages extends AsyncPass<api.Folio> {
  protected next(): api.Folio | null {
    const { wbc } = this
    const folio = wbc.writeback_iter(wbc.folio)
    if (wbc.blocked === null) wbc.folio = folio
    return folio
  }
  protected foliosOf(folio: api.Folio): readonly api.Folio[] {
    return [folio]
  }
  protected handedOut(): void {}
  protected written(): void {}
}

class AsyncExtents extends AsyncPass<Extent> {
  readonly #maxPages: number

  constructor(
    mapping: Mapping,
    control: ControlState,
    write: (extent: api.Extent) => Written,
    maxPages: number,
    limits: AsyncLimits,
  ) {
    super(mapping, control, write, limits)
    this.#maxPages = maxPages
  }

  protected next(): Extent | null {
    return this.wbc.writeback_get_extent(this.#maxPages)
  }
  protected foliosOf(extent: Extent): readonly api.Folio[] {
    return extent.folios
  }
  protected handedOut(): void {
    // All its folios are unlocked: this lets go of them. The callback may have closed the mapping.
    if (!this.mapping.closed) this.wbc.writeback_end_extent(0)
  }
  protected written(extent: Extent): void {
    endExtent(extent)
  }
}

/** AddressSpace.writePagesAsync(), its arguments checked. */
export function writePagesAsync(
  mapping: Mapping,
  control: ControlState,
  writepage: (folio: api.Folio) => Written,
  limits: AsyncLimits,
): Promise<number> {
  return new AsyncPages(mapping, control, writepage, limits).run()
}

/** AddressSpace.writeExtentsAsync(), its arguments checked. */
export function writeExtentsAsync(
  mapping: Mapping,
  control: ControlState,
  write: (extent: api.Extent) => Written,
  maxPages: number,
  limits: AsyncLimits,
): Promise<number> {
  return new AsyncExtents(mapping, control, write, maxPages, limits).run()
}
