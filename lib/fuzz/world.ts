// SPDX-License-Identifier: GPL-2.0-only
// A backend under the fuzzer. A world executes operations, and logs all answers and changes.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { WritebackError } from '../errors.js'
import type {
  AbortSignalLike,
  AddressSpace,
  Backend,
  Extent,
  Folio,
  WaitOptions,
  WritebackControl,
  WritebackIterator,
} from '../types.js'
import { Log } from './log.js'
import {
  CONTROLS,
  HAND,
  HANDLES,
  Hook,
  ITERATORS,
  MAPPINGS,
  MARKS,
  type Operation,
  RESULTS,
  THROWN,
} from './operation.js'
import { formOf } from './operations/table.js'

/** Objects of another backend. */
export interface Foreign {
  readonly mapping: AddressSpace
  readonly folio: Folio
}

/** A write under way in a pass that awaits. */
interface Awaited {
  resolve(result: number | void): void
  reject(reason: unknown): void
}

/** The position of the turns in a body. */
export interface Turns {
  readonly body: readonly Operation[]
  next: number
}

export class World {
  readonly log: Log
  readonly api: Backend
  readonly foreign: Foreign
  /** Each mapping is created when it is first used. */
  readonly mappings: (AddressSpace | null)[] = new Array(MAPPINGS).fill(null)
  readonly controls: WritebackControl[] = []
  /** The error argument of `writebackIter` with each control, and the folio that it returned last. */
  readonly errors: { value: number }[] = []
  readonly last: (Folio | null)[] = []
  /** The mapping that the pass of each control began on. */
  readonly passes: AddressSpace[] = []
  readonly iterators: (WritebackIterator | null)[] = new Array(ITERATORS).fill(null)
  /** The control of each iterator. */
  readonly iteratorControls: WritebackControl[] = []
  readonly folios: (Folio | null)[] = new Array(HANDLES).fill(null)
  hand: Folio | null = null
  /**
   * The number of operations executed. It includes operations in bodies, each folio of a fill, and each turn
   * of a pass or a loop. It excludes checks, and operations that had no folio to act on.
   */
  operations = 0
  /**
   * The number of passes that await and have not ended. While it is above 0, folios may change between
   * operations.
   */
  awaiting = 0
  #extent: Extent | null = null
  /**
   * Writes under way, in the order in which they started, and a function per unfinished pass that aborts it.
   */
  readonly writes: Awaited[] = []
  readonly aborts: (() => void)[] = []

  /** @param readable - whether the log will be printed */
  constructor(api: Backend, foreign: Foreign, readable: boolean) {
    this.api = api
    this.foreign = foreign
    this.log = new Log(readable)
    for (let i = 0; i < CONTROLS; i++) {
      this.controls.push(new api.WritebackControl())
      this.errors.push({ value: 0 })
      this.last.push(null)
    }
  }

  close(): void {
    for (const mapping of this.mappings) mapping?.close()
  }

  mapping(i: number): AddressSpace {
    let mapping = this.mappings[i]
    if (mapping === null) {
      mapping = new this.api.AddressSpace()
      this.mappings[i] = mapping
    }
    return mapping
  }

  /** The folio that a handle refers to. */
  folio(handle: number): Folio | null {
    return handle === HAND ? this.hand : (this.folios[handle] ?? null)
  }

  /** Executes an operation, and logs what it returns or throws. */
  run(op: Operation): void {
    this.operations++
    try {
      formOf(op.kind).run(this, op)
    } catch (error) {
      this.#logError(error)
    }
  }

  #logError(error: unknown): void {
    if (error === THROWN) this.log.put('thrown', 1)
    else if (error instanceof WritebackError) this.log.text(error.message)
    // No other error is allowed. The name of the backend makes the logs differ.
    else this.log.text(`${this.api.backend}: ${error instanceof Error ? error.stack : String(error)}`)
  }

  /** Does something to the folio of a handle, and logs the folio; does nothing if the handle has none. */
  onFolio(handle: number, act: (folio: Folio) => void): void {
    const folio = this.folio(handle)
    if (folio === null) {
      this.operations--
      return
    }
    act(folio)
    this.see(folio)
  }

  /** Logs the extent that a callback receives, and keeps it. */
  takeExtent(extent: Extent): void {
    this.#extent = extent
    this.log.put('extent', extent.index)
    this.log.put('nrPages', extent.nrPages)
  }

  /** Begins a pass that awaits. Each of its writes is under way until `settle` or `drain` settles it. */
  beginAwaiting(wbc: WritebackControl, begin: (signal: AbortSignalLike) => Promise<number>): void {
    const listeners = new Set<() => void>()
    const signal = {
      aborted: false,
      reason: THROWN,
      addEventListener: (_: 'abort', listener: () => void) => void listeners.add(listener),
      removeEventListener: (_: 'abort', listener: () => void) => void listeners.delete(listener),
    }
    const abort = () => {
      signal.aborted = true
      for (const listener of listeners) listener()
    }
    this.awaiting++
    this.aborts.push(abort)
    void begin(signal)
      .then(
        (result) => this.log.put('error', result),
        (error) => this.#logError(error),
      )
      .then(() => {
        this.awaiting--
        this.aborts.splice(this.aborts.indexOf(abort), 1)
        this.log.put('listeners', listeners.size)
        this.seeControl(wbc)
      })
  }

  /** Settles one of the writes under way, of any pass: with a result of RESULTS, or by a rejection. */
  settle(nth: number, result: number): void {
    const writes = this.writes
    if (writes.length === 0) return
    const [write] = writes.splice(Math.abs(nth) % writes.length, 1)
    if (result < RESULTS.length) write.resolve(RESULTS[result] as number)
    else write.reject(THROWN)
  }

  /** Ends all passes that await: settles their writes, then aborts passes that wait for a folio. */
  async drain(): Promise<void> {
    for (let turn = 0; this.awaiting > 0; turn++) {
      while (this.writes.length > 0) this.settle(0, 0)
      await nextTurn()
      if (this.writes.length === 0) for (const abort of [...this.aborts]) abort()
      // By now every pass has been aborted, and no pass has a write under way.
      if (turn === 100) this.log.text(`${this.api.backend}: a pass does not end`)
      if (turn === 100) return
    }
  }

  result(end: Operation | null): number | void {
    if (end === null || end.kind === 'break') return
    if (end.kind === 'throw') throw THROWN
    return RESULTS[end.a] as number
  }

  /**
   * Runs the body up to the end of a turn.
   * @returns the operation that ends the turn; null if the body has none left, so that the caller does the
   * default
   */
  turn(turns: Turns): Operation | null {
    this.operations++
    while (turns.next < turns.body.length) {
      const op = turns.body[turns.next++]
      if (op.kind === 'give' || op.kind === 'throw' || op.kind === 'break') return op
      this.run(op)
    }
    return null
  }

  options(hook: Hook, turns: Turns): WaitOptions | undefined {
    if (hook === Hook.none) return undefined
    return {
      onWait: (folio, reason) => {
        this.hand = folio
        this.log.put(reason, folio.index)
        if (hook === Hook.body || hook === Hook.bodyOnly) {
          if (this.turn(turns)?.kind === 'throw') throw THROWN
        }
        if (hook === Hook.release || hook === Hook.body) {
          if (reason === 'lock') {
            if (folio.locked) folio.unlock()
          } else if (folio.writeback) {
            folio.endWriteback()
          }
        }
      },
    }
  }

  /** Logs the index and the flags of a folio. Calls nothing in a backend's core. */
  see(folio: Folio | null): void {
    const { log } = this
    if (folio === null) {
      log.put('folio', -1)
      return
    }
    const { mapping } = folio
    log.put('folio', folio.index)
    log.put('order', folio.order)
    log.put(
      'flags',
      (folio.locked ? 1 : 0) +
        (folio.dirty ? 2 : 0) +
        (folio.writeback ? 4 : 0) +
        (folio.uptodate ? 8 : 0) +
        (mapping === null ? 0 : mapping === this.mappings[0] ? 16 : mapping === this.mappings[1] ? 32 : 48),
    )
  }

  seeControl(wbc: WritebackControl): void {
    this.log.put('nrToWrite', wbc.nrToWrite)
    this.log.put('pagesSkipped', wbc.pagesSkipped)
  }

  seeMapping(mapping: AddressSpace): void {
    this.log.put('nrPages', mapping.nrPages)
    this.log.put('writebackIndex', mapping.writebackIndex)
    this.log.put('pageShift', mapping.pageShift)
  }

  seeExtent(k: number): void {
    const extent = this.#extent
    if (extent === null) return
    const { folios } = extent
    this.log.put('nrFolios', extent.nrFolios)
    this.log.put('folios', folios === extent.folios ? folios.length : -1)
    for (const folio of folios) this.log.put('of', folio.index)
    if (folios.length > 0) this.hand = folios[k % folios.length]
    this.see(this.hand)
  }

  /** Logs the whole state. */
  check(): void {
    for (const mapping of this.mappings) {
      if (mapping !== null) this.#checkMapping(mapping)
    }
    for (const folio of this.folios) {
      if (folio !== null) this.see(folio)
    }
    for (const wbc of this.controls) {
      this.seeControl(wbc)
      this.log.put('rangeStart', Number(wbc.rangeStart))
      this.log.put('rangeEnd', Number(wbc.rangeEnd))
    }
  }

  #checkMapping(mapping: AddressSpace): void {
    const { log } = this
    this.seeMapping(mapping)
    // A closed mapping throws: log the error, and nothing else.
    try {
      mapping.getFolio(0)
    } catch (error) {
      log.text(String(error))
      return
    }
    for (const mark of MARKS) {
      for (const folio of mapping.folios(mark)) {
        if (mark !== undefined) log.put(mark, folio.index)
        else this.see(folio)
      }
      if (mark !== undefined) log.put(mark, mapping.tagged(mark) ? -1 : -2)
    }
    // A backend has one object per folio.
    for (const folio of this.folios) {
      if (folio !== null && folio.mapping === mapping) {
        log.put('same', mapping.getFolio(folio.index + folio.nrPages - 1) === folio ? 1 : 0)
      }
    }
  }
}
