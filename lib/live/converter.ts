// SPDX-License-Identifier: GPL-2.0-only
// Converts the events of a recording to the steps of a format 2 trace: to an order that explains every
// return.
//
// The converter takes events in the order of their clock. The kernel records an event when it enters or
// leaves a function, but the effect of the function comes a little later or earlier. Where the order of the
// clock is not possible, the converter takes an event out of turn, within the order of the event's own task.
// A recording does not say which folios a pass looked at and skipped. The converter lets the pass look at
// each folio as soon as the pass would skip it, and at the folio that it returns at the moment of that
// folio's `clear`.

import { loadBackend } from '../backend.js'
import type { Action, Control, MappingTrace, Origin, Step, Task } from '../trace/format2.js'
import { MisplacedOperation } from '../trace/replay.js'
import type { Folio } from '../types.js'
import { Forecast, isMarking, type Marking, type Tagging } from './forecast.js'
import { type EventNamed, type FolioFields, type LiveEvent, UNRETURNED } from './recording.js'
import { type ReplayPass, StepReplayer, wouldSkip } from './replayer.js'

const TAG_WRITEBACK = 1
/** The greatest number of events of other tasks during a lookup. */
const LONGEST_LOOKUP = 512
const EEXIST = -17

/** What a conversion could not determine from the recording, by name. */
export type Undecided = Map<string, { count: number; line: number }>

export interface Converted {
  readonly trace: MappingTrace
  readonly undecided: Undecided
}

/** One call of writeback_iter, from its entry to its return. */
interface Call {
  readonly entry: EventNamed<'call'>
  readonly pass: PassOfRecording
  /** null if the recording ends before the return. */
  next: EventNamed<'next'> | null
  /**
   * The clears that the pass itself has yet to do in this call, in order, with its lookups and tags among
   * them.
   */
  readonly own: (EventNamed<'clear'> | EventNamed<'lookup'> | EventNamed<'tag'>)[]
}

interface PassOfRecording {
  readonly name: string
  /**
   * Whether a part of the pass is missing in the recording. The batch of such a pass is unknown, so the
   * converter does not replay the pass.
   */
  cut: boolean
  /** Folios that the pass returned, by index. */
  readonly returned: Set<number>
  /** Folio in hand, locked until it is known to be unlocked. */
  inHand: number | null
  /**
   * pages_skipped of the control before the pass. No event has this number; the converter finds it at the
   * first redirty.
   */
  skippedBefore: bigint | null
}

/** Numbers the tasks of a recording. */
export class TaskTable {
  readonly tasks = new Map<number, Task>()
  readonly #ids = new Map<string, number>()

  id(pid: number, comm: string): number {
    const key = `${pid} ${comm}`
    let id = this.#ids.get(key)
    if (id === undefined) {
      id = this.#ids.size + 1
      this.#ids.set(key, id)
      this.tasks.set(id, { pid, comm })
    }
    return id
  }
}

/** The result of the last step differs from the recording. */
class Diverged extends Error {}

function flagsOf(event: FolioFields): string {
  return `${event.locked ? 'l' : ''}${event.writeback ? 'w' : ''}${event.dirty ? 'd' : ''}` || '-'
}

class Converter {
  readonly #events: readonly LiveEvent[]
  readonly #tasks: TaskTable
  readonly #replayer = new StepReplayer(loadBackend('js'))
  readonly #forecast: Forecast
  readonly #steps: Step[] = []
  readonly #undecided: Undecided = new Map()
  /** Events that were taken out of turn, or that need no step. */
  readonly #done = new Set<LiveEvent>()
  /** The next event of the same task. Events in interrupts belong to no task. */
  readonly #following = new Map<LiveEvent, LiveEvent>()
  readonly #preceding = new Map<LiveEvent, LiveEvent>()
  /** The folios that a pass returned of the batch that a lookup found. */
  readonly #returned = new Map<LiveEvent, Set<number>>()
  /** Positions of the passes' own lookups. */
  readonly #lookups: number[] = []
  readonly #callOf = new Map<LiveEvent, Call>()
  readonly #running = new Set<Call>()
  readonly #passOf = new Map<string, PassOfRecording>()
  readonly #position = new Map<LiveEvent, number>()
  /** Events that are delayed until this tagging or lookup, which did not see their effect. */
  readonly #late = new Map<LiveEvent, (Marking | Tagging)[]>()
  /** The event until which a task's latest event is delayed. */
  readonly #waitingFor = new Map<number, LiveEvent>()
  readonly #splitting = new Map<number, EventNamed<'split'>>()
  #passes = 0

  constructor(events: readonly LiveEvent[], tasks: TaskTable) {
    this.#events = events
    this.#tasks = tasks
    for (const [i, event] of events.entries()) this.#position.set(event, i)
    this.#forecast = new Forecast(
      events,
      this.#position,
      this.#done,
      this.#following,
      this.#returned,
      this.#replayer,
    )
    this.#prepare()
  }

  convert(): Converted {
    try {
      this.#initialState()
      for (const event of this.#events) this.#take(event)
    } catch (error) {
      // The replay finds the same divergence. The events after it cannot be replayed.
      if (!(error instanceof Diverged || error instanceof MisplacedOperation)) throw error
      for (const event of this.#events) {
        if (!this.#done.has(event)) this.#note('an event after a divergence was not replayed', event)
      }
    } finally {
      this.#replayer.close()
    }
    const [first] = this.#events
    return {
      trace: { mapping: first.mapping, steps: this.#steps },
      undecided: this.#undecided,
    }
  }

  /** Pairs calls with their returns, names the passes, and finds each task's next event. */
  #prepare(): void {
    const lastOf = new Map<number, LiveEvent>()
    const calls = new Map<number, Call>()
    const open = new Map<string, PassOfRecording>()
    const batches = new Map<PassOfRecording, Set<number>>()
    for (const event of this.#events) {
      if (event.name !== 'end') {
        const last = lastOf.get(event.pid)
        if (last !== undefined) {
          this.#following.set(last, event)
          this.#preceding.set(event, last)
        }
        lastOf.set(event.pid, event)
      }
      switch (event.name) {
        case 'call': {
          const key = `${event.pid} ${event.wbc}`
          let pass = open.get(key)
          if (!event.handsBack || pass === undefined) {
            pass = {
              name: `P${++this.#passes}`,
              cut: event.handsBack,
              returned: new Set(),
              inHand: null,
              skippedBefore: null,
            }
            open.set(key, pass)
            if (pass.cut) this.#note('a pass began before the recording', event)
          }
          const unreturned = calls.get(event.pid)
          if (unreturned !== undefined) {
            unreturned.pass.cut = true
            this.#note(UNRETURNED, event)
          }
          const call: Call = { entry: event, pass, next: null, own: [] }
          calls.set(event.pid, call)
          this.#callOf.set(event, call)
          break
        }
        case 'next': {
          const call = calls.get(event.pid)
          if (call === undefined || call.entry.wbc !== event.wbc) break
          call.next = event
          this.#callOf.set(event, call)
          calls.delete(event.pid)
          if (event.folio !== null) call.pass.returned.add(event.folio.index)
          break
        }
        case 'tag':
        case 'tagged':
        case 'lookup':
        case 'clear': {
          const call = calls.get(event.pid)
          if (call === undefined || (event.name === 'lookup' && event.tag === TAG_WRITEBACK)) break
          this.#callOf.set(event, call)
          if (event.name !== 'tagged') call.own.push(event)
          if (event.name === 'lookup') {
            this.#lookups.push(this.#position.get(event) ?? 0)
            batches.set(call.pass, new Set())
            this.#returned.set(event, batches.get(call.pass) as Set<number>)
          } else if (event.name === 'clear' && event.ret) {
            batches.get(call.pass)?.add(event.index)
          }
          break
        }
      }
    }
  }

  #note(what: string, event: LiveEvent): void {
    const known = this.#undecided.get(what)
    if (known === undefined) this.#undecided.set(what, { count: 1, line: event.line })
    else known.count++
  }

  #emit(action: Action, event: LiveEvent, result = '', own = true): void {
    const origin: Origin | null = own
      ? {
          time: event.time,
          task: this.#tasks.id(event.pid, event.comm),
          caller: event.caller,
          flags: 'index' in event && 'dirty' in event ? flagsOf(event) : null,
        }
      : null
    this.#steps.push({ line: event.line, action, result, origin })
    if (this.#replayer.execute(action) !== result) throw new Diverged()
  }

  // -- what was there before

  /** A folio that is named before an event adds it was in the cache when the recording began. */
  #initialState(): void {
    const heads = new Map<number, number>()
    const covered = (index: number): boolean => {
      for (let order = 0; order <= 18; order++) {
        const has = heads.get(index - (index % 2 ** order))
        if (has !== undefined && has >= order) return true
      }
      return false
    }
    const initial: { event: LiveEvent; folio: FolioFields; dirty: boolean; writeback: boolean }[] = []
    const gone = new Set<number>()
    const splits = new Map<number, EventNamed<'split'>>()
    for (const event of this.#events) {
      if (event.name === 'add') {
        if (event.ret === 0) heads.set(event.index, event.order)
      } else if (event.name === 'delete') {
        if (heads.has(event.index)) heads.delete(event.index)
        else if (!covered(event.index) && !gone.has(event.index)) {
          initial.push({
            event,
            folio: { index: event.index, order: event.order, locked: false, dirty: false, writeback: false },
            dirty: false,
            writeback: false,
          })
        }
        gone.add(event.index)
      } else if (event.name === 'splitret') {
        const split = splits.get(event.pid)
        if (event.ret !== 0 || split === undefined) continue
        for (let page = 0; page < 2 ** split.order; page += 2 ** split.newOrder) {
          heads.set(split.index + page, split.newOrder)
        }
      } else {
        if (event.name === 'split') splits.set(event.pid, event)
        const folio = event.name === 'next' ? event.folio : 'index' in event ? event : null
        if (folio === null || covered(folio.index)) continue
        heads.set(folio.index, folio.order)
        if (gone.has(folio.index)) continue
        const dirty =
          event.name === 'clear' || event.name === 'next' || event.name === 'cancel'
            ? event.name !== 'clear' || event.ret
            : event.name !== 'dirty' && folio.dirty
        const writeback = event.name === 'end' || (event.name !== 'start' && folio.writeback)
        initial.push({ event, folio, dirty, writeback })
      }
    }
    for (const { event, folio, dirty, writeback } of initial) {
      const state = [dirty ? 'dirty' : '', writeback ? 'writeback' : ''].filter((word) => word !== '').join()
      this.#note('a folio was in the cache before the recording', event)
      this.#emit(
        { name: 'folio', index: folio.index, order: folio.order, state: state || 'clean' },
        event,
        '',
        false,
      )
    }
  }

  // -- events in turn

  #take(event: LiveEvent): void {
    if (this.#done.has(event)) return
    const missed = event.name === 'end' ? undefined : this.#waitingFor.get(event.pid)
    if (missed !== undefined && missed !== event) {
      // The task has gone on, so its last event has taken effect. A task that missed the event looked before
      // it.
      this.#waitingFor.delete(event.pid)
      this.#take(missed)
    }
    this.#done.add(event)
    this.#apply(event)
    this.#skipWhatCanBe(event)
  }

  #apply(event: LiveEvent): void {
    if ('index' in event && event.name !== 'wbwait' && event.name !== 'lockwait') this.#land(event.index)
    switch (event.name) {
      case 'add':
        this.#add(event)
        break
      case 'delete':
        this.#delete(event)
        break
      case 'dirty':
        this.#dirty(event)
        break
      case 'cancel':
        this.#cancel(event)
        break
      case 'clear':
        this.#clear(event)
        break
      case 'redirty':
        this.#redirty(event)
        break
      case 'start':
        this.#start(event)
        break
      case 'end':
        this.#end(event)
        break
      case 'unlock':
        this.#unlock(event.index, event)
        break
      case 'wbwait':
        this.#emit({ name: 'wait', reason: 'writeback', index: event.index }, event)
        break
      case 'lockwait':
        this.#emit({ name: 'wait', reason: 'lock', index: event.index }, event)
        break
      case 'split':
        this.#splitting.set(event.pid, event)
        break
      case 'splitret':
        if (event.ret === 0) this.#split(event)
        break
      case 'tag':
        this.#tag(event)
        break
      case 'tagged':
        break
      case 'lookup':
        this.#lookup(event)
        break
      case 'call':
        this.#call(event)
        break
      case 'next':
        this.#next(event)
        break
    }
  }

  /**
   * The next event of this name and folio that may be taken now: all earlier events of its task have been
   * taken.
   */
  #upcoming<N extends 'clear' | 'cancel' | 'end' | 'dirty' | 'delete' | 'start'>(
    name: N,
    index: number,
    now: LiveEvent,
  ): EventNamed<N> | null {
    const from = this.#position.get(now) ?? 0
    const until = Math.min(this.#events.length, from + 4096)
    const busy = new Set<number>()
    for (let i = from + 1; i < until; i++) {
      const event = this.#events[i]
      if (this.#done.has(event)) continue
      if (event.name === name && 'index' in event && event.index === index) {
        return event.name === 'end' || !busy.has(event.pid) ? (event as EventNamed<N>) : null
      }
      busy.add(event.pid)
    }
    return null
  }

  #add(event: EventNamed<'add'>): void {
    const { index, order, ret } = event
    if (ret !== 0 && ret !== EEXIST) return
    const there = this.#replayer.mapping.getFolio(index)
    if (ret === EEXIST) {
      if (there !== null) this.#emit({ name: 'add', index, order }, event, 'EEXIST')
      return
    }
    if (there !== null) this.#vacate(there, event)
    this.#emit({ name: 'add', index, order }, event, 'ok')
  }

  /** Removes the folio that is where another is added. Its removal is recorded later, or was not recorded. */
  #vacate(folio: Folio, now: LiveEvent): void {
    const removal = this.#upcoming('delete', folio.index, now)
    if (removal !== null) {
      this.#take(removal)
      return
    }
    this.#note('a removal was not recorded', now)
    this.#release(folio, now)
    this.#emit({ name: 'remove', index: folio.index }, now, '', false)
  }

  #delete(event: EventNamed<'delete'>): void {
    const { index, order } = event
    const split = this.#splitting.get(event.pid)
    if (this.#replayer.find(index)?.order !== order && split !== undefined) this.#split(split)
    const folio = this.#replayer.find(index)
    if (folio === null) {
      this.#note('a folio was removed that is not in the cache', event)
      return
    }
    if (this.#isLate(event, this.#lookupThatMissed(event))) return
    this.#release(folio, event)
    this.#emit({ name: 'remove', index }, event)
  }

  /**
   * Unlocks a folio and ends its writeback: a removed or split folio is neither locked by a pass nor under
   * writeback.
   */
  #release(folio: Folio, now: LiveEvent): void {
    if (folio.locked) this.#unlock(folio.index, now, false)
    if (folio.writeback) this.#notUnderWriteback(folio, now)
  }

  #notUnderWriteback(folio: Folio, now: LiveEvent): void {
    const end = this.#upcoming('end', folio.index, now)
    if (end !== null) {
      this.#take(end)
      return
    }
    this.#note('the end of writeback was not recorded', now)
    this.#emit({ name: 'end', index: folio.index }, now, '', false)
  }

  #split(event: LiveEvent): void {
    const split = this.#splitting.get(event.pid)
    if (split === undefined) {
      this.#note('the beginning of a split was not recorded', event)
      return
    }
    const folio = this.#replayer.mapping.getFolio(split.index)
    if (folio === null || folio.order <= split.newOrder) return
    this.#release(folio, event)
    this.#emit({ name: 'split', index: folio.index, order: split.newOrder }, { ...split, time: event.time })
  }

  #dirty(event: EventNamed<'dirty'>): void {
    const { index } = event
    const folio = this.#known(index, event)
    if (folio === null) return
    if (folio.dirty) {
      const clear = this.#upcoming('clear', index, event) ?? this.#upcoming('cancel', index, event)
      if (clear !== null) this.#take(clear)
    }
    // A redirty includes its own dirtying.
    const following = this.#following.get(event)
    if (following?.name === 'redirty' && following.index === index) {
      this.#done.add(following)
      this.#redirty({ ...following, time: event.time })
      return
    }
    if (!this.#isLate(event, this.#tagThatMissed(event) ?? this.#lookupThatMissed(event))) {
      this.#emit({ name: 'dirty', index }, event, '1')
    }
  }

  /**
   * Delays an event until another task has looked without seeing its effect. The event is recorded when its
   * function is entered, and the effect comes later.
   */
  #isLate(event: Marking | Tagging, missed: LiveEvent | null): boolean {
    if (missed === null) return false
    this.#waitingFor.set(event.pid, missed)
    const late = this.#late.get(missed)
    if (late === undefined) this.#late.set(missed, [event])
    else late.push(event)
    return true
  }

  /** Takes the delayed events of a folio, because the folio's next event comes now. */
  #land(index: number): void {
    for (const [missed, events] of this.#late) {
      const late = events.filter((event) => event.name !== 'tag' && event.index === index)
      if (late.length === 0) continue
      const rest = events.filter((event) => !late.includes(event))
      this.#late.set(missed, rest)
      for (const event of late) {
        this.#waitingFor.delete(event.pid)
        this.#takeMarking(event)
      }
    }
  }

  #takeMarking(event: Marking | Tagging): void {
    if (event.name === 'tag') this.#tag(event)
    else if (event.name === 'dirty') this.#dirty(event)
    else if (event.name === 'start') this.#start(event)
    else this.#delete(event)
  }

  /** Takes the events that were delayed until this event. */
  #takeLate(event: LiveEvent): void {
    const late = this.#late.get(event) ?? []
    this.#late.delete(event)
    for (const marking of late) {
      this.#waitingFor.delete(marking.pid)
      this.#takeMarking(marking)
    }
  }

  /**
   * Finds a pass's tagging that was recorded while this dirtying was under way. If that pass never returned
   * the folio, and had no reason to skip it, the mark came after the tagging.
   */
  #tagThatMissed(event: EventNamed<'dirty'>): EventNamed<'tag'> | null {
    const from = this.#position.get(event) ?? 0
    const until = this.#position.get(this.#following.get(event) ?? event) ?? from
    for (let i = from + 1; i < until; i++) {
      const tag = this.#events[i]
      if (tag.name !== 'tag' || this.#done.has(tag)) continue
      const call = this.#callOf.get(tag)
      if (call === undefined || event.index < tag.start || event.index > tag.end) continue
      if (call.pass.returned.has(event.index)) continue
      if (this.#comesBeforeEnd(['clear', 'cancel', 'delete'], event.index, from, call.pass)) continue
      if (!this.#skipsUnderWriteback(event.index, from, call)) return tag
    }
    return null
  }

  /**
   * Finds a lookup of another task that is under way together with an event, and that finds what the
   * recording says only if the event changes the marks after the lookup.
   */
  #lookupThatMissed(event: Marking | Tagging): EventNamed<'lookup'> | null {
    const following = this.#following.get(event)
    if (following === undefined) return null
    const from = this.#position.get(event) ?? 0
    const until = this.#position.get(following) ?? from
    const seenBy = this.#nextOfFolio(event, until + LONGEST_LOOKUP)
    const seen = new Set<Call>()
    for (let k = firstAfter(this.#lookups, from); k < this.#lookups.length; k++) {
      const at = this.#lookups[k]
      if (at > Math.min(until + LONGEST_LOOKUP, seenBy)) break
      const lookup = this.#events[at]
      const call = this.#callOf.get(lookup)
      if (lookup.name !== 'lookup' || call === undefined || call.pass.cut) continue
      if (this.#done.has(lookup) || seen.has(call)) continue
      seen.add(call) // its later lookups depend on what this one finds
      const preceding = this.#preceding.get(lookup)
      if (lookup.pid === event.pid || (this.#position.get(preceding ?? lookup) ?? 0) > until) continue
      const begun = this.#passOf.get(`${call.entry.pid} ${call.entry.wbc}`) === call.pass
      if (begun && at > until && !this.#couldLookUp(call)) continue
      const position = begun ? this.#pass(call).position : null
      const others = this.#inFlight(event, Math.min(at, until))
      const verdict = this.#forecast.verdict(event, others, lookup, call.entry, position)
      if (verdict === 'missed') return lookup
      if (verdict === 'seen') return null
    }
    return null
  }

  /**
   * Takes lookups that are under way and were recorded later than this event, but found what this event
   * removes.
   */
  #takeEarlierLookups(event: EventNamed<'start'>): void {
    for (const call of [...this.#running]) {
      const [lookup] = call.own
      if (lookup?.name !== 'lookup' || this.#done.has(lookup) || lookup.pid === event.pid) continue
      if (call.pass.cut || !this.#couldLookUp(call)) continue
      if (this.#forecast.comesBefore(event, lookup, call.entry, this.#pass(call).position)) this.#take(lookup)
    }
  }

  /** Whether a pass could do its next lookup now, because it would skip all that is left of its batch. */
  #couldLookUp(call: Call): boolean {
    const pass = this.#pass(call)
    return pass.batch.every((folio) => wouldSkip(pass, folio))
  }

  /** The position of the folio's next event, by which time the marks have changed; or the limit. */
  #nextOfFolio(event: Marking | Tagging, limit: number): number {
    if (event.name === 'tag') return limit
    const last = Math.min(limit, this.#events.length - 1)
    for (let i = (this.#position.get(event) ?? 0) + 1; i <= last; i++) {
      const next = this.#events[i]
      if (!('index' in next) || next.index !== event.index) continue
      if (next.name !== 'wbwait' && next.name !== 'lockwait') return i
    }
    return limit
  }

  /** Other events between this event and a position, whose tasks have not gone on before that position. */
  #inFlight(event: Marking | Tagging, until: number): Marking[] {
    const found: Marking[] = []
    for (let i = (this.#position.get(event) ?? 0) + 1; i < until; i++) {
      const other = this.#events[i]
      if (!isMarking(other) || this.#done.has(other)) continue
      if ((this.#position.get(this.#following.get(other) ?? other) ?? 0) > until) found.push(other)
    }
    return found.slice(-3)
  }

  /** Whether such an event of the folio comes between a position and the end of a pass. */
  #comesBeforeEnd(
    names: readonly LiveEvent['name'][],
    index: number,
    from: number,
    pass: PassOfRecording,
  ): boolean {
    for (let i = from + 1; i < this.#events.length; i++) {
      const event = this.#events[i]
      if (names.includes(event.name) && 'index' in event && event.index === index) return true
      if (event.name === 'next' && event.folio === null && this.#callOf.get(event)?.pass === pass)
        return false
    }
    return true
  }

  /**
   * Whether a pass that does not wait skips the folio, because the folio is under writeback until the pass
   * ends.
   */
  #skipsUnderWriteback(index: number, from: number, { entry, pass }: Call): boolean {
    if (entry.syncAll || !this.#replayer.find(index)?.writeback) return false
    return !this.#comesBeforeEnd(['end'], index, from, pass)
  }

  #known(index: number, event: LiveEvent): Folio | null {
    const folio = this.#replayer.find(index)
    if (folio === null) this.#note(`${event.name} of a folio that is not in the cache`, event)
    return folio
  }

  #cancel(event: EventNamed<'cancel'>): void {
    const folio = this.#known(event.index, event)
    if (folio === null) return
    if (folio.writeback) this.#notUnderWriteback(folio, event)
    this.#emit({ name: 'cancel', index: event.index }, event)
  }

  #clear(event: EventNamed<'clear'>): void {
    const { index } = event
    const folio = this.#known(index, event)
    if (folio === null) return
    const call = this.#callOf.get(event)
    const own = call !== undefined && !call.pass.cut
    if (event.ret) {
      if (folio.writeback) this.#notUnderWriteback(folio, event)
      if (!folio.dirty) {
        const dirty = this.#upcoming('dirty', index, event)
        if (dirty !== null) this.#take(dirty)
      }
    }
    if (!own) {
      this.#emit({ name: 'clear', index }, event, event.ret ? '1' : '0')
      return
    }
    this.#lookUntil(call, index, event)
    if (folio.locked) this.#unlock(index, event, false)
    this.#emit({ name: 'look', pass: call.pass.name, index }, event)
    call.own.splice(call.own.indexOf(event), 1)
  }

  #redirty(event: EventNamed<'redirty'>): void {
    const { index } = event
    if (this.#known(index, event) === null) return
    const pass = this.#passOf.get(`${event.pid} ${event.wbc}`)
    const ret = event.ret ? 1 : 0
    if (pass === undefined || pass.cut) {
      const pages = this.#replayer.find(index)?.nrPages ?? 0
      this.#emit({ name: 'redirty', pass: '-', index }, event, `${ret} skipped=${pages}`)
      return
    }
    const before = this.#replayer.pass(pass.name).wbc.pagesSkipped
    const pages = this.#replayer.find(index)?.nrPages ?? 0
    pass.skippedBefore ??= BigInt(event.skipped) - BigInt(before + pages)
    const skipped = BigInt(event.skipped) - pass.skippedBefore
    this.#emit({ name: 'redirty', pass: pass.name, index }, event, `${ret} skipped=${skipped}`)
  }

  #start(event: EventNamed<'start'>): void {
    const folio = this.#known(event.index, event)
    if (folio === null) return
    if (folio.writeback) this.#notUnderWriteback(folio, event)
    if (this.#isLate(event, this.#lookupThatMissed(event))) return
    this.#takeEarlierLookups(event)
    this.#emit({ name: 'start', index: event.index, keep: event.keep }, event)
    // The time of the unlock is not recorded. It does not matter: other tasks look at the folio when they
    // can.
    if (folio.locked) this.#unlock(event.index, event, false)
  }

  #end(event: EventNamed<'end'>): void {
    const folio = this.#known(event.index, event)
    if (folio === null) return
    if (!folio.writeback) {
      const start = this.#upcoming('start', event.index, event)
      if (start !== null) this.#take(start)
    }
    this.#emit({ name: 'end', index: event.index }, event)
  }

  #unlock(index: number, event: LiveEvent, own = true): void {
    if (this.#replayer.find(index)?.locked !== true) return
    this.#emit({ name: 'unlock', index }, event, '', own)
    for (const pass of this.#passOf.values()) if (pass.inHand === index) pass.inHand = null
  }

  // -- passes

  #call(event: EventNamed<'call'>): void {
    const call = this.#callOf.get(event)
    if (call === undefined || call.pass.cut) return
    const { pass } = call
    if (pass.inHand !== null) this.#unlock(pass.inHand, event, false)
    this.#setWritebackIndex(event)
    if (event.handsBack) {
      this.#emit({ name: 'call', pass: pass.name, error: event.error, nr: event.nr }, event)
    } else {
      this.#passOf.set(`${event.pid} ${event.wbc}`, pass)
      const control: Control = {
        syncAll: event.syncAll,
        tagged: event.tagged,
        cyclic: event.cyclic,
        start: event.start,
        end: event.end,
        nr: event.nr,
        forKupdate: event.forKupdate,
        forBackground: event.forBackground,
        forSync: event.forSync,
      }
      this.#emit({ name: 'begin', pass: pass.name, ...control }, event)
    }
    this.#running.add(call)
  }

  /** The next call of any pass. The caller compares its writeback_index with that of this return. */
  #laterCall(event: EventNamed<'next'>): EventNamed<'call'> | null {
    for (let i = (this.#position.get(event) ?? 0) + 1; i < this.#events.length; i++) {
      const later = this.#events[i]
      if (later.name === 'call') return later
    }
    return null
  }

  /** Takes over a writeback_index that something other than a pass has set. */
  #setWritebackIndex(event: EventNamed<'call'> | EventNamed<'next'>): void {
    if (BigInt(this.#replayer.mapping.writebackIndex) === BigInt(event.wbindex)) return
    this.#emit({ name: 'wbindex', value: event.wbindex }, event, '', false)
    if (event.name === 'next') this.#note('writeback_index was set by another while a call ran', event)
  }

  #tag(event: EventNamed<'tag'>): void {
    const call = this.#callOf.get(event)
    const pass = call === undefined || call.pass.cut ? '-' : call.pass.name
    if (this.#isLate(event, this.#lookupThatMissed(event))) return
    if (call !== undefined) {
      call.own.splice(call.own.indexOf(event), 1)
      this.#dirtiedWhileTagging(event, call)
    }
    this.#emit({ name: 'tag', pass, start: event.start, end: event.end }, event)
    this.#takeLate(event)
  }

  /**
   * Decides whether the walk tagged each folio that was dirtied during it. The lookup after the walk decides
   * it; if the lookup does not, a folio that the pass returned was tagged.
   */
  #dirtiedWhileTagging(tag: EventNamed<'tag'>, call: Call): void {
    const dirtied: EventNamed<'dirty'>[] = []
    /** Folios that another event changes first. */
    const changed = new Set<number>()
    let over = false
    for (let i = (this.#position.get(tag) ?? 0) + 1; i < this.#events.length; i++) {
      const event = this.#events[i]
      if (this.#done.has(event)) continue
      if (event.name === 'tagged' && event.pid === tag.pid) over = true
      if (event.pid === tag.pid && event.name === 'lookup') {
        const near = dirtied.slice(0, 6)
        const returned = dirtied.filter(({ index }) => call.pass.returned.has(index))
        for (const dirty of this.#forecast.tagged(tag, near, event, call.entry) ?? returned) {
          if (dirty === this.#upcoming('dirty', dirty.index, tag)) this.#take(dirty)
        }
        return
      }
      if (event.name === 'next' && event.pid === tag.pid) return
      if (!('index' in event) || event.name === 'wbwait' || event.name === 'lockwait') continue
      if (event.name === 'dirty' && !over && !changed.has(event.index)) dirtied.push(event)
      changed.add(event.index)
    }
  }

  #lookup(event: EventNamed<'lookup'>): void {
    const call = this.#callOf.get(event)
    if (call === undefined || call.pass.cut) return
    this.#lookUntil(call, null, event)
    call.own.splice(call.own.indexOf(event), 1)
    this.#emit({ name: 'lookup', pass: call.pass.name }, event, `${event.found} next=${event.next}`)
    this.#takeLate(event)
  }

  #next(event: EventNamed<'next'>): void {
    const call = this.#callOf.get(event)
    if (call === undefined || call.pass.cut) return
    const { folio } = event
    if (folio !== null && this.#pass(call).returned === undefined) {
      // The recording does not have the folio's clear.
      this.#lookUntil(call, folio.index, event)
      const [next] = this.#batch(call)
      if (next !== undefined) this.#look(call, next, event)
    }
    this.#running.delete(call)
    // A cyclic pass sets writeback_index when it ends. No pass sets it earlier.
    if ((folio !== null || !call.entry.cyclic) && this.#laterCall(event)?.wbindex === event.wbindex) {
      this.#setWritebackIndex(event)
    }
    const returned = folio === null ? `done ${event.error}` : `folio ${folio.index} ${folio.order}`
    this.#emit(
      { name: 'next', pass: call.pass.name },
      event,
      `${returned} nr=${event.nr} wbindex=${event.wbindex}`,
    )
    call.pass.inHand = folio === null ? null : folio.index
  }

  /**
   * The folio before which the running call skips all folios of its batch; null if it skips the whole batch.
   */
  #target(call: Call): number | null {
    const [own] = call.own
    if (own === undefined) return call.next?.folio?.index ?? null
    return own.name === 'clear' ? own.index : null
  }

  #batch(call: Call): readonly Folio[] {
    return this.#pass(call).batch
  }

  #pass(call: Call): ReplayPass {
    return this.#replayer.pass(call.pass.name)
  }

  /** Looks at each folio before the target as soon as the pass would skip the folio. */
  #skipWhatCanBe(now: LiveEvent): void {
    for (const call of this.#running) {
      if (this.#pass(call).returned !== undefined) continue // the next call looks at the rest
      const target = this.#target(call)
      for (;;) {
        const [folio] = this.#batch(call)
        if (folio === undefined || folio.index === target || this.#batch(call).length === 1) break
        if (!wouldSkip(this.#pass(call), folio)) break
        this.#look(call, folio, now)
      }
    }
  }

  #look(call: Call, folio: Folio, now: LiveEvent): void {
    if (folio.locked) this.#unlock(folio.index, now, false)
    const action: Action = { name: 'look', pass: call.pass.name, index: folio.index }
    this.#steps.push({ line: now.line, action, result: '', origin: null })
    this.#replayer.execute(action)
  }

  /**
   * Looks at every folio before the target. The pass has done so by now, although no recorded event explains
   * why it skipped them.
   */
  #lookUntil(call: Call, target: number | null, now: LiveEvent): void {
    for (;;) {
      const batch = this.#batch(call)
      const [folio] = batch
      if (folio === undefined || folio.index === target) return
      if (batch.length === 1 && wouldSkip(this.#pass(call), folio)) return
      this.#look(call, folio, now)
      if (this.#batch(call).length === batch.length) return
    }
  }
}

/** The index of the first number in a sorted list that is greater than `value`. */
function firstAfter(sorted: readonly number[], value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle] > value) high = middle
    else low = middle + 1
  }
  return low
}

/** Converts the events of one mapping. */
export function convert(events: readonly LiveEvent[], tasks: TaskTable): Converted {
  return new Converter(events, tasks).convert()
}
