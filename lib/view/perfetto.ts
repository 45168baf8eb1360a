// SPDX-License-Identifier: GPL-2.0-only
// Writes the timeline in the Trace Event Format (Chrome trace JSON). Each page cache is a process. Passes and
// their calls are slices of their task, folios under writeback are asynchronous slices, findings are
// instants, and the numbers of dirty pages and of pages under writeback are counters.

import { DIRTY, type MappingData, type PageData, WRITEBACK } from './data.js'

interface Event {
  readonly name: string
  /** X: a slice; b and e: the ends of an asynchronous slice; C: a counter; M: a name; i: an instant. */
  readonly ph: 'X' | 'b' | 'e' | 'C' | 'M' | 'i'
  readonly pid: number
  readonly tid: number
  /** Microseconds. */
  readonly ts?: number
  readonly dur?: number
  readonly cat?: string
  readonly id?: number
  /** An instant of the whole process. */
  readonly s?: 'p'
  readonly args?: Readonly<Record<string, string | number>>
}

export function perfetto(data: PageData): string {
  const lines = data.mappings.flatMap((mapping, i) => [...mappingEvents(mapping, i + 1)])
  const texts = lines.map((event) => JSON.stringify(event))
  return `{"displayTimeUnit":"ns","traceEvents":[\n${texts.join(',\n')}\n]}\n`
}

/**
 * The time of each step, in microseconds. Format 1 has no times, so each step takes one microsecond. The
 * steps of a recording are in the order that explains them, and their times may slightly contradict that
 * order. No step gets a time before that of the preceding step.
 */
function timesOf({ lines, times }: MappingData): number[] {
  let time = 0
  let latest = 0
  return lines.map((_, step) => {
    if (times.length === 0) return step
    time += times[step]
    latest = Math.max(latest, time)
    return latest
  })
}

function* mappingEvents(mapping: MappingData, pid: number): Generator<Event> {
  const times = timesOf(mapping)
  yield { name: 'process_name', ph: 'M', pid, tid: 0, args: { name: `page cache ${mapping.name}` } }
  yield* passEvents(mapping, pid, times)
  yield* folioEvents(mapping, pid, times)
  for (const { rule, folio, broke, what } of mapping.findings) {
    const args = folio === null ? { what } : { what, folio }
    yield { name: `finding: ${rule}`, cat: 'finding', ph: 'i', s: 'p', pid, tid: 0, ts: times[broke], args }
  }
}

function* passEvents(mapping: MappingData, pid: number, times: readonly number[]): Generator<Event> {
  const texts = mapping.text.split('\n')
  const last = times.length - 1
  const lines = runningSums(mapping.lines)
  const tasks = new Map<number, string>()
  for (const [pass, { begin, end, control, pid: task, comm }] of mapping.passes.entries()) {
    const tid = Math.max(task, 1)
    tasks.set(tid, comm === '' ? 'passes' : comm)
    const until = times[end < 0 ? last : end]
    const args = { control, line: lines[begin], result: end < 0 ? 'did not end' : texts[end] }
    yield {
      name: `pass ${pass + 1}: writeback_iter`,
      cat: 'pass',
      ph: 'X',
      pid,
      tid,
      ts: times[begin],
      dur: until - times[begin],
      args,
    }
  }
  for (const [tid, name] of tasks) yield { name: 'thread_name', ph: 'M', pid, tid, args: { name } }
}

/**
 * Derives from the changes of the folios' states when each folio is under writeback, and how many pages are
 * dirty.
 */
function* folioEvents(mapping: MappingData, pid: number, times: readonly number[]): Generator<Event> {
  const { folioIndex, folioOrder, changes, changeFolio, changeState } = mapping
  const state = new Uint8Array(folioIndex.length)
  const index = runningSums(folioIndex)
  const counts = { dirty: 0, writeback: 0 }
  let change = 0
  let folio = 0
  let id = 0
  const running = new Map<number, number>()
  for (const [step, ts] of times.entries()) {
    const before = { ...counts }
    for (const end = change + changes[step]; change < end; change++) {
      folio += changeFolio[change]
      const [was, to, pages] = [state[folio], changeState[change], 2 ** folioOrder[folio]]
      state[folio] = to
      const turned = (bit: number) => ((to & bit) !== 0 ? 1 : 0) - ((was & bit) !== 0 ? 1 : 0)
      counts.dirty += turned(DIRTY) * pages
      counts.writeback += turned(WRITEBACK) * pages
      if (turned(WRITEBACK) === 0) continue
      const name = `folio ${index[folio]}`
      if (turned(WRITEBACK) > 0) running.set(folio, ++id)
      const slice = { name, cat: 'writeback', pid, tid: 0, ts, id: running.get(folio) ?? 0 }
      yield turned(WRITEBACK) > 0 ? { ...slice, ph: 'b', args: { pages } } : { ...slice, ph: 'e' }
    }
    if (counts.dirty !== before.dirty) {
      yield { name: 'dirty pages', ph: 'C', pid, tid: 0, ts, args: { pages: counts.dirty } }
    }
    if (counts.writeback !== before.writeback) {
      yield { name: 'pages under writeback', ph: 'C', pid, tid: 0, ts, args: { pages: counts.writeback } }
    }
  }
}

function runningSums(differences: readonly number[]): number[] {
  let sum = 0
  return differences.map((difference) => (sum += difference))
}
