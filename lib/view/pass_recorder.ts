// SPDX-License-Identifier: GPL-2.0-only
// Records what happens to the page caches of the TypeScript engine, as a trace of format 2.

import { MAX_OFFSET } from '../arguments.js'
import { AddressSpace, Folio } from '../js/index.js'
import type { Action, MappingTrace, Step, Trace2 } from '../trace/format2.js'
import type * as api from '../types.js'
import { LAST_PAGE } from './timeline.js'

/**
 * Records every page cache of the TypeScript backend in this thread, from the recorder's construction to
 * `stop`. The recorder replaces methods of AddressSpace and Folio, so an engine needs no code for it.
 */
export class PassRecorder {
  readonly #limit: number
  readonly #traces = new Map<api.AddressSpace, MappingTrace>()
  readonly #undo: (() => void)[] = []
  readonly #start = performance.now()
  #steps = 0
  #passes = 0

  /** @param limit - the recorder does not record steps after this many */
  constructor(limit: number) {
    this.#limit = limit
    const recorder = this
    const mapping: api.AddressSpace = Object.getPrototypeOf(new AddressSpace())
    this.#standIn(mapping, 'addFolio', (addFolio) => {
      return function (this: api.AddressSpace, index, order = 0) {
        const folio = addFolio.call(this, index, order)
        recorder.#step(this, { name: 'add', index, order }, 'ok')
        return folio
      }
    })
    this.#standIn(mapping, 'removeFolio', (removeFolio) => {
      return function (this: api.AddressSpace, folio) {
        removeFolio.call(this, folio)
        recorder.#step(this, { name: 'remove', index: folio.index })
      }
    })
    this.#standIn(mapping, 'writeback', (writeback) => {
      return function (this: api.AddressSpace, wbc, options) {
        return recorder.#follow(this, wbc, writeback.call(this, wbc, options))
      }
    })
    this.#standIn(Folio.prototype, 'markDirty', (markDirty) => {
      return function (this: api.Folio) {
        const changed = markDirty.call(this)
        if (changed) recorder.#folioStep(this, { name: 'dirty', index: this.index }, '1')
        return changed
      }
    })
    this.#standIn(Folio.prototype, 'startWriteback', (startWriteback) => {
      return function (this: api.Folio, keep = false) {
        startWriteback.call(this, keep)
        recorder.#folioStep(this, { name: 'start', index: this.index, keep })
      }
    })
    this.#standIn(Folio.prototype, 'endWriteback', (endWriteback) => {
      return function (this: api.Folio) {
        endWriteback.call(this)
        recorder.#folioStep(this, { name: 'end', index: this.index })
      }
    })
    this.#standIn(Folio.prototype, 'unlock', (unlock) => {
      return function (this: api.Folio) {
        unlock.call(this)
        recorder.#folioStep(this, { name: 'unlock', index: this.index })
      }
    })
  }

  /** The number of steps that happened, including those after the limit. */
  get steps(): number {
    return this.#steps
  }

  /** Restores the methods. Several page caches are numbered in the order in which each got its first page. */
  stop(file: string): Trace2 {
    for (const undo of this.#undo.splice(0)) undo()
    const tasks = new Map([[1, { pid: process.pid, comm: 'writeback-iter run' }]])
    const mappings = [...this.#traces.values()]
    const [only] = mappings
    return {
      file,
      fields: new Map(),
      tasks,
      mappings: mappings.length === 1 ? [{ ...only, mapping: file }] : mappings,
    }
  }

  #standIn<T extends object, K extends keyof T>(prototype: T, name: K, make: (method: T[K]) => T[K]): void {
    const method = prototype[name]
    prototype[name] = make(method)
    this.#undo.push(() => {
      prototype[name] = method
    })
  }

  #folioStep(folio: api.Folio, action: Action, result = ''): void {
    if (folio.mapping !== null) this.#step(folio.mapping, action, result)
  }

  #step(mapping: api.AddressSpace, action: Action, result = ''): void {
    let trace = this.#traces.get(mapping)
    if (trace === undefined) {
      // A page cache that is older than the recorder has pages that the recorder has not seen.
      if (action.name !== 'add' || mapping.nrPages !== 2 ** action.order) return
      trace = { mapping: `page cache ${this.#traces.size + 1}`, steps: [] }
      this.#traces.set(mapping, trace)
    }
    if (++this.#steps > this.#limit) return
    const time = Math.round((performance.now() - this.#start) * 1000)
    const origin = { time, task: 1, caller: null, flags: null }
    const step: Step = { line: trace.steps.length + 1, action, result, origin }
    trace.steps.push(step)
  }

  /** Records each call of an iterator. A blocked call has not ended: it is recorded when it returns. */
  #follow(
    mapping: api.AddressSpace,
    wbc: api.WritebackControl,
    iterator: api.WritebackIterator,
  ): api.WritebackIterator {
    const next = iterator.next.bind(iterator)
    const pass = `P${++this.#passes}`
    let called = 0
    let returned = 0
    iterator.next = () => {
      if (called === returned) {
        if (called++ === 0) this.#begin(mapping, pass, wbc)
        else this.#step(mapping, { name: 'call', pass, error: iterator.error, nr: wbc.nrToWrite })
      }
      const result = next()
      returned = called
      const what = result.done
        ? `done ${iterator.error}`
        : `folio ${result.value.index} ${result.value.order}`
      const after = `${what} nr=${wbc.nrToWrite} wbindex=${mapping.writebackIndex}`
      this.#step(mapping, { name: 'next', pass }, after)
      return result
    }
    return iterator
  }

  #begin(mapping: api.AddressSpace, pass: string, wbc: api.WritebackControl): void {
    const syncAll = wbc.syncMode === 'all'
    const [start, end] = [BigInt(wbc.rangeStart), BigInt(wbc.rangeEnd)]
    this.#step(mapping, {
      name: 'begin',
      pass,
      syncAll,
      tagged: wbc.taggedWritepages,
      cyclic: wbc.rangeCyclic,
      start,
      end,
      nr: wbc.nrToWrite,
      forKupdate: false,
      forBackground: false,
      forSync: false,
    })
    if (!syncAll && !wbc.taggedWritepages) return
    const page = (offset: bigint) => Number(offset >> 12n)
    const first = wbc.rangeCyclic ? mapping.writebackIndex : page(start)
    const last = wbc.rangeCyclic || end === MAX_OFFSET ? LAST_PAGE : Math.min(page(end), LAST_PAGE)
    this.#step(mapping, { name: 'tag', pass, start: first, end: last })
  }
}
