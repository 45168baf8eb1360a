// SPDX-License-Identifier: GPL-2.0-only
// Converts traces to the events that a recording of them would have, for the rules.

import type { Trace, TraceLine } from '../trace/format.js'
import type { Trace2 } from '../trace/format2.js'
import {
  type Details,
  type FolioFields,
  type LiveEvent,
  type Recording,
  RecordingReader,
} from './recording.js'
import { recordingLines } from './to_recording.js'

export function eventsOfTrace2(trace: Trace2): Recording {
  const reader = new RecordingReader(trace.file)
  for (const { text, line } of recordingLines(trace)) reader.push(text, line)
  return reader.end()
}

/** In a trace of format 1, one task does everything, with one control at a time. */
const TASK = { cpu: 0, comm: 'trace', pid: 1, caller: null, mapping: 'trace' }
const WBC = '0x1'

interface State {
  readonly order: number
  locked: boolean
  writeback: boolean
  dirty: boolean
}

/** Follows a trace of format 1. The results of its lines show the state of each folio. */
class TraceFollower {
  readonly events: LiveEvent[] = []
  readonly #folios = new Map<number, State>()
  #begin: Extract<TraceLine['operation'], { name: 'begin' }> | null = null
  #first = true
  #line = 0

  take({ line, operation, result }: TraceLine): void {
    this.#line = line
    switch (operation.name) {
      case 'add': {
        const { index, order } = operation
        const added = result === 'ok'
        if (added) this.#folios.set(index, { order, locked: false, writeback: false, dirty: false })
        this.#push({ name: 'add', ...this.#fields(index), order, ret: added ? 0 : -17 })
        break
      }
      case 'remove':
        this.#push({ name: 'delete', ...this.#fields(operation.index) })
        this.#folios.delete(operation.index)
        break
      case 'dirty':
        if (result === '1') this.#dirty(operation.index)
        break
      case 'lock':
        if (result === '1') this.#folio(operation.index).locked = true
        break
      case 'unlock':
        this.#unlock(operation.index)
        break
      case 'start':
        this.#push({ name: 'start', ...this.#fields(operation.index), keep: operation.keepWrite })
        this.#folio(operation.index).writeback = true
        break
      case 'end':
        this.#end(operation.index)
        break
      case 'redirty': {
        if (result.startsWith('1')) this.#dirty(operation.index)
        const fields = this.#fields(operation.index)
        this.#push({ name: 'redirty', ...fields, wbc: WBC, skipped: 0, ret: result.startsWith('1') })
        break
      }
      case 'begin':
        this.#begin = operation
        this.#first = true
        break
      case 'next':
        this.#next(operation.error, result)
        break
      case 'tag':
      case 'marks':
        break
    }
  }

  #push(details: Details): void {
    this.events.push({ ...details, ...TASK, line: this.#line, time: this.events.length })
  }

  #folio(index: number): State {
    return this.#folios.get(index) ?? { order: 0, locked: false, writeback: false, dirty: false }
  }

  #fields(index: number): FolioFields {
    return { index, ...this.#folio(index) }
  }

  #dirty(index: number): void {
    this.#folio(index).dirty = true
    this.#push({ name: 'dirty', ...this.#fields(index) })
  }

  #unlock(index: number): void {
    this.#push({ name: 'unlock', ...this.#fields(index) })
    this.#folio(index).locked = false
  }

  #end(index: number): void {
    this.#folio(index).writeback = false
    this.#push({ name: 'end', ...this.#fields(index) })
  }

  #next(error: number, result: string): void {
    const begin = this.#begin
    if (begin === null) return
    const control = {
      wbc: WBC,
      handsBack: !this.#first,
      error,
      syncAll: begin.syncMode === 'all',
      tagged: begin.taggedWritepages,
      cyclic: begin.rangeCyclic,
      start: begin.rangeStart,
      end: begin.rangeEnd,
      nr: begin.nrToWrite,
      wbindex: 0,
      forKupdate: false,
      forBackground: false,
      forSync: false,
    }
    this.#push({ name: 'call', ...control })
    if (this.#first && control.syncAll && !control.cyclic) {
      const page = (offset: bigint) => Number(offset >> 12n)
      this.#push({ name: 'tag', start: page(begin.rangeStart), end: page(begin.rangeEnd) })
    }
    this.#first = false
    for (const [, reason, index] of result.matchAll(/wait (lock|writeback) (\d+); /g)) {
      if (reason === 'lock') this.#unlock(Number(index))
      else this.#end(Number(index))
    }
    const done = /done (-?\d+)/.exec(result)
    const returned = /folio (\d+)/.exec(result)
    let folio: FolioFields | null = null
    if (returned !== null) {
      const state = this.#folio(Number(returned[1]))
      state.locked = true
      state.dirty = false
      folio = this.#fields(Number(returned[1]))
    }
    this.#push({ name: 'next', wbc: WBC, folio, error: Number(done?.[1] ?? 0), nr: 0, wbindex: 0 })
  }
}

export function eventsOfTrace(trace: Trace): LiveEvent[] {
  const follower = new TraceFollower()
  for (const line of trace.lines) follower.take(line)
  return follower.events
}
