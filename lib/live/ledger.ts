// SPDX-License-Identifier: GPL-2.0-only
// The state of a page cache at each moment of a recording, for the rules of the protocol.

import type { CallFields, EventNamed, LiveEvent } from './recording.js'

/** One pass of writeback_iter, as its calls describe it. */
export interface PassRecord {
  readonly pid: number
  readonly comm: string
  readonly wbc: string
  /** The pass's first call, or its first recorded call if the pass began before the recording. */
  readonly began: EventNamed<'call'>
  readonly control: CallFields
  /** The function that called writeback_iter; null until a call has returned. */
  caller: string | null
  /** The return of the folio in hand; null while a call runs, and at the end. */
  inHand: EventNamed<'next'> | null
  /** The last return; null before the first. */
  last: EventNamed<'next'> | null
  /** The first error that was handed back, or 0. */
  error: number
  ended: boolean
  /** Folios with the DIRTY mark when an integrity pass tagged, by the event that dirtied them. */
  readonly tagged: Map<number, LiveEvent>
  /** The number of folios that the pass received. */
  returns: number
  /** The last return of each folio. */
  readonly returned: Map<number, EventNamed<'next'>>
}

/** The state of a folio. */
export interface FolioRecord {
  /** The event that made it dirty, until the flag is cleared. */
  dirty: LiveEvent | null
  /** The start of writeback that has not ended. */
  started: EventNamed<'start'> | null
  /** The last start and redirty, and the last clear of the dirty flag. */
  lastStart: EventNamed<'start'> | null
  lastRedirty: EventNamed<'redirty'> | null
  /** The last unlock; null where unlocks are not recorded. */
  lastUnlock: EventNamed<'unlock'> | null
  removed: EventNamed<'delete'> | null
  /** The pass that last received the folio. */
  pass: PassRecord | null
}

/** The ledger of one page cache. A rule reads the ledger before the ledger takes the event to check. */
export class Ledger {
  readonly mapping: string
  readonly folios = new Map<number, FolioRecord>()
  /** Passes in the order in which they began. */
  readonly passes: PassRecord[] = []
  /** Tasks that sleep on a folio. An entry lasts until the task's next event. */
  readonly waiting = new Map<number, EventNamed<'wbwait'> | EventNamed<'lockwait'>>()
  /**
   * The number of calls without a recorded return whose task went on to another call, and the line of the
   * first.
   */
  unreturned = { count: 0, line: 0 }
  /** Whether the recording has unlocks. */
  readonly recordsUnlocks: boolean
  /** The number of events so far. */
  events = 0
  /** The last event of each task. */
  readonly #lastOf = new Map<number, LiveEvent>()
  readonly #open = new Map<string, PassRecord>()
  /** Tasks with a call that has not returned. */
  readonly #calling = new Set<number>()

  constructor(mapping: string, events: readonly LiveEvent[]) {
    this.mapping = mapping
    this.recordsUnlocks = events.some(({ name }) => name === 'unlock')
  }

  folio(index: number): FolioRecord {
    let folio = this.folios.get(index)
    if (folio === undefined) {
      folio = {
        dirty: null,
        started: null,
        lastStart: null,
        lastRedirty: null,
        lastUnlock: null,
        removed: null,
        pass: null,
      }
      this.folios.set(index, folio)
    }
    return folio
  }

  /** The running pass of a task on a control. */
  passOf(event: { readonly pid: number; readonly wbc: string }): PassRecord | undefined {
    return this.#open.get(`${event.pid} ${event.wbc}`)
  }

  /** The pass of this task that has the folio in hand, if any. */
  holderOf(index: number, pid: number): PassRecord | null {
    const { pass } = this.folio(index)
    return pass !== null && pass.pid === pid && pass.inHand?.folio?.index === index ? pass : null
  }

  take(event: LiveEvent): void {
    this.events++
    this.#book(event)
    if (event.name === 'end') return // most of the time an interrupt ends writeback, not the task
    if (event.name !== 'wbwait' && event.name !== 'lockwait') this.waiting.delete(event.pid)
    this.#lastOf.set(event.pid, event)
  }

  #book(event: LiveEvent): void {
    switch (event.name) {
      case 'add':
        if (event.ret === 0) this.folios.delete(event.index)
        break
      case 'delete': {
        const folio = this.folio(event.index)
        folio.removed = event
        folio.dirty = null
        break
      }
      case 'dirty':
        this.folio(event.index).dirty = event
        break
      case 'cancel':
        this.folio(event.index).dirty = null
        break
      case 'clear':
        if (event.ret) this.folio(event.index).dirty = null
        break
      case 'redirty': {
        const folio = this.folio(event.index)
        folio.lastRedirty = event
        folio.dirty ??= event
        break
      }
      case 'start': {
        const folio = this.folio(event.index)
        folio.started = event
        folio.lastStart = event
        break
      }
      case 'end':
        this.folio(event.index).started = null
        break
      case 'unlock':
        this.folio(event.index).lastUnlock = event
        break
      case 'wbwait':
      case 'lockwait':
        this.waiting.set(event.pid, event)
        break
      case 'splitret':
        // The parts are new folios. Nothing is known of them before their first events.
        if (event.ret === 0) this.folios.delete(event.index)
        break
      case 'tag':
        this.#tag(event)
        break
      case 'call':
        this.#call(event)
        break
      case 'next':
        this.#next(event)
        break
    }
  }

  #call(event: EventNamed<'call'>): void {
    if (this.#calling.has(event.pid)) {
      const { count, line } = this.unreturned
      this.unreturned = { count: count + 1, line: count === 0 ? event.line : line }
    }
    this.#calling.add(event.pid)
    const key = `${event.pid} ${event.wbc}`
    let pass = this.#open.get(key)
    if (pass === undefined || !event.handsBack) {
      pass = {
        pid: event.pid,
        comm: event.comm,
        wbc: event.wbc,
        began: event,
        control: event,
        caller: null,
        inHand: null,
        last: null,
        error: 0,
        ended: false,
        tagged: new Map(),
        returns: 0,
        returned: new Map(),
      }
      this.#open.set(key, pass)
      this.passes.push(pass)
    }
    pass.inHand = null
    if (event.handsBack && pass.error === 0) pass.error = event.error
  }

  #tag(event: EventNamed<'tag'>): void {
    for (const pass of this.#open.values()) {
      if (pass.pid !== event.pid || pass.last !== null || !pass.control.syncAll) continue
      for (const [index, { dirty }] of this.folios) {
        if (dirty === null || index < event.start || index > event.end) continue
        // The event is recorded before the mark is set. The mark is certainly set once the event's task has
        // gone on.
        if (dirty.pid === event.pid || this.#lastOf.get(dirty.pid) !== dirty) pass.tagged.set(index, dirty)
      }
    }
  }

  #next(event: EventNamed<'next'>): void {
    this.#calling.delete(event.pid)
    const pass = this.passOf(event)
    if (pass === undefined) return
    pass.caller = event.caller
    pass.last = event
    if (event.folio === null) {
      pass.ended = true
      this.#open.delete(`${event.pid} ${event.wbc}`)
      return
    }
    pass.inHand = event
    pass.returns++
    pass.returned.set(event.folio.index, event)
    const folio = this.folio(event.folio.index)
    folio.pass = pass
    folio.dirty = null
    folio.lastUnlock = null
  }
}
