// SPDX-License-Identifier: GPL-2.0-only
// Forecasts what a later lookup will find, with and without the effects of events that are in flight.

import { FOLIO_BATCH_SIZE, MAX_INDEX } from '../arguments.js'
import type { EventNamed, LiveEvent } from './recording.js'
import type { StepReplayer } from './replayer.js'

/** An event that is recorded before the folio's marks change. */
export type Marking = EventNamed<'dirty'> | EventNamed<'start'> | EventNamed<'delete'>

/** A walk that sets TOWRITE, from this event to the return that follows it. */
export type Tagging = EventNamed<'tag'>

export function isMarking(event: LiveEvent): event is Marking {
  return event.name === 'dirty' || event.name === 'start' || event.name === 'delete'
}

/** Folios by head index, with their number of pages. */
type Marked = Map<number, number>

export class Forecast {
  readonly #events: readonly LiveEvent[]
  readonly #position: ReadonlyMap<LiveEvent, number>
  readonly #done: ReadonlySet<LiveEvent>
  readonly #following: ReadonlyMap<LiveEvent, LiveEvent>
  /** The folios that a pass returned of the batch that a lookup found. */
  readonly #returned: ReadonlyMap<LiveEvent, ReadonlySet<number>>
  readonly #replayer: StepReplayer

  constructor(
    events: readonly LiveEvent[],
    position: ReadonlyMap<LiveEvent, number>,
    done: ReadonlySet<LiveEvent>,
    following: ReadonlyMap<LiveEvent, LiveEvent>,
    returned: ReadonlyMap<LiveEvent, ReadonlySet<number>>,
    replayer: StepReplayer,
  ) {
    this.#events = events
    this.#position = position
    this.#done = done
    this.#following = following
    this.#returned = returned
    this.#replayer = replayer
  }

  /**
   * Whether a lookup finds what the recording says only if it misses an event, or only if it sees the event;
   * null if both explain the recording, or neither does. The lookup may also miss other events in flight. The
   * forecast chooses the smallest set of missed events.
   * @param call - the call that looks up
   * @param position - where its pass's next lookup begins; null if the pass has not begun
   */
  verdict(
    event: Marking | Tagging,
    others: readonly Marking[],
    lookup: EventNamed<'lookup'>,
    call: EventNamed<'call'>,
    position: number | null,
  ): 'missed' | 'seen' | null {
    // Of two sets of the same size, prefer the set of the later events, which were under way for a shorter
    // time.
    const sets = subsets<Marking | Tagging>([event, ...others]).sort(
      (a, b) => a.length - b.length || age(b) - age(a),
    )
    const explains = (missed: readonly (Marking | Tagging)[]) => {
      // A lookup that misses an event has looked before the event's task went on.
      const until = [lookup, ...missed.map((event) => this.#following.get(event) ?? lookup)]
      const first = until.reduce((a, b) => (this.#at(b) < this.#at(a) ? b : a))
      return this.#explains(new Set<LiveEvent>(missed), event, first, lookup, call, position)
    }
    const fewest = sets.find(explains)
    if (fewest === undefined) return null
    if (fewest.includes(event)) return 'missed'
    return explains([event, ...fewest]) ? null : 'seen'
  }

  /**
   * Chooses which of the folios dirtied during the walk of a tagging the walk has tagged, so that the lookup
   * after the walk finds what the recording says; null if no choice explains the lookup.
   */
  tagged(
    tag: EventNamed<'tag'>,
    dirtied: readonly EventNamed<'dirty'>[],
    lookup: EventNamed<'lookup'>,
    call: EventNamed<'call'>,
  ): readonly EventNamed<'dirty'>[] | null {
    const late = (chosen: readonly LiveEvent[]) =>
      new Set<LiveEvent>(dirtied.filter((dirty) => !chosen.includes(dirty)))
    return (
      subsets(dirtied).find((chosen) =>
        this.#explains(late(chosen), tag, lookup, lookup, call, null, chosen),
      ) ?? null
    )
  }

  /**
   * Whether a lookup finds what the recording says only if it is taken before an event, and not if it is
   * taken in its recorded place, after the event and all events between.
   */
  comesBefore(
    event: LiveEvent,
    lookup: EventNamed<'lookup'>,
    call: EventNamed<'call'>,
    position: number,
  ): boolean {
    const explains = (until: LiveEvent) => this.#explains(new Set(), event, until, lookup, call, position)
    return explains(event) && !explains(lookup)
  }

  #explains(
    missed: ReadonlySet<LiveEvent>,
    from: LiveEvent,
    to: LiveEvent,
    lookup: EventNamed<'lookup'>,
    call: EventNamed<'call'>,
    position: number | null,
    first: readonly LiveEvent[] = [],
  ): boolean {
    const dirty = this.#marked('dirty')
    const towrite = this.#marked('towrite')
    for (const event of first) foresee(event, dirty, towrite)
    const until = this.#at(to)
    for (let i = this.#at(from); i < until; i++) {
      const event = this.#events[i]
      if (event !== from && this.#done.has(event)) continue
      if (missed.has(event) || first.includes(event)) continue
      foresee(event, dirty, towrite)
    }
    const start = position ?? (call.cyclic ? Number(call.wbindex) : Number(BigInt(call.start) >> 12n))
    const end = call.cyclic ? MAX_INDEX : Math.min(Number(BigInt(call.end) >> 12n), MAX_INDEX)
    const marked = call.syncAll || call.tagged ? towrite : dirty
    for (const index of this.#returned.get(lookup) ?? []) if (!marked.has(index)) return false
    return finds(marked, start, end, lookup)
  }

  #at(event: LiveEvent): number {
    return this.#position.get(event) ?? 0
  }

  #marked(mark: 'dirty' | 'towrite'): Marked {
    return new Map(Array.from(this.#replayer.mapping.folios(mark), ({ index, nrPages }) => [index, nrPages]))
  }
}

/** Applies the effect of an event to the marks. */
function foresee(event: LiveEvent, dirty: Marked, towrite: Marked): void {
  switch (event.name) {
    case 'dirty':
      dirty.set(event.index, 2 ** event.order)
      break
    case 'start':
      if (!event.dirty) dirty.delete(event.index)
      if (!event.keep) towrite.delete(event.index)
      break
    case 'delete':
      dirty.delete(event.index)
      towrite.delete(event.index)
      break
    case 'tag':
      for (const [index, pages] of dirty) {
        if (index + pages > event.start && index <= event.end) towrite.set(index, pages)
      }
      break
  }
}

function finds(marked: Marked, start: number, end: number, { found, next }: EventNamed<'lookup'>): boolean {
  const inRange = [...marked].filter(([index, pages]) => index + pages > start && index <= end)
  if (inRange.length < FOLIO_BATCH_SIZE) return inRange.length === found
  if (found !== FOLIO_BATCH_SIZE) return false
  inRange.sort(([a], [b]) => a - b)
  const [index, pages] = inRange[FOLIO_BATCH_SIZE - 1]
  return BigInt(index + pages) === BigInt(next)
}

function subsets<T>(items: readonly T[]): T[][] {
  return Array.from({ length: 2 ** items.length }, (_, bits) =>
    items.filter((_, i) => (bits & (2 ** i)) !== 0),
  )
}

/** The time at which the first of some events was recorded. */
function age(events: readonly LiveEvent[]): number {
  return events.reduce((first, { time }) => Math.min(first, time), Number.MAX_SAFE_INTEGER)
}
