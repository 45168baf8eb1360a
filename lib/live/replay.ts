// SPDX-License-Identifier: GPL-2.0-only
// Replays recordings, and traces of format 2, on backends.

import type { MappingTrace, Trace2 } from '../trace/format2.js'
import { type Divergence, MisplacedOperation } from '../trace/replay.js'
import type { Backend } from '../types.js'
import { convert, TaskTable } from './converter.js'
import { LOST, type Recording } from './recording.js'
import { StepReplayer } from './replayer.js'

/** Something that a recording leaves open, and its number of occurrences. */
export interface Undecided {
  readonly what: string
  readonly count: number
  /** Line number of the first occurrence. */
  readonly line: number
}

export interface LiveReplay {
  /** Steps executed, per backend, in the order in which the caller gave the backends. */
  readonly operations: readonly number[]
  /** The first divergence of each mapping, per backend. */
  readonly divergences: readonly (readonly Divergence[])[]
  readonly mappings: number
  readonly passes: number
  /** Passes with a call that began while a call of another pass of the mapping was running. */
  readonly concurrent: number
  /** Folios that writeback_iter returned. */
  readonly folios: number
}

/** A recording as a trace of format 2, and what it leaves open. */
export interface ConvertedRecording {
  readonly trace: Trace2
  readonly undecided: readonly Undecided[]
}

export function convertRecording(recording: Recording): ConvertedRecording {
  const tasks = new TaskTable()
  const mappings: MappingTrace[] = []
  const undecided = new Map<string, { count: number; line: number }>()
  for (const events of recording.mappings.values()) {
    const converted = convert(events, tasks)
    mappings.push(converted.trace)
    for (const [what, { count, line }] of converted.undecided) {
      const known = undecided.get(what)
      undecided.set(what, { count: (known?.count ?? 0) + count, line: Math.min(known?.line ?? line, line) })
    }
  }
  if (recording.beyond > 0) {
    undecided.set('an event of a page beyond 2^51', { count: recording.beyond, line: 1 })
  }
  const { lost, drained } = recording.header
  const fields = new Map(recording.header.fields)
  if (drained) fields.set('drained', 'yes')
  if (lost !== null && lost > 0) fields.set('lost', String(lost))
  const trace = { file: recording.file, fields, tasks: tasks.tasks, mappings }
  const all = [...undecided].map(([what, where]) => ({ what, ...where }))
  return { trace, undecided: [...all, ...leftOpen(trace)] }
}

/**
 * What a trace of format 2 leaves open: by itself, or because the recording that it was made of left it open.
 */
export function leftOpen({ fields, mappings }: Trace2): Undecided[] {
  const lost = Number(fields.get('lost') ?? 0)
  const positive = mappings.flatMap(({ steps }) =>
    steps.filter(({ action }) => action.name === 'call' && action.error > 0),
  )
  const open: Undecided[] = []
  if (lost > 0) open.push({ what: LOST, count: lost, line: 1 })
  if (positive.length > 0) {
    const what = 'a positive error was handed back, and replayed as its negation'
    open.push({ what, count: positive.length, line: Math.min(...positive.map(({ line }) => line)) })
  }
  return open
}

interface MappingReplay {
  readonly operations: number
  readonly divergence: Divergence | null
}

function replayMapping({ steps }: MappingTrace, backend: Backend): MappingReplay {
  const replayer = new StepReplayer(backend)
  try {
    let operations = 0
    for (const { action, result, line } of steps) {
      operations++
      let got: string
      try {
        got = replayer.execute(action)
      } catch (error) {
        if (!(error instanceof MisplacedOperation)) throw error
        got = error.message
      }
      if (got !== result) return { operations, divergence: { line, expected: result, got } }
    }
    return { operations, divergence: null }
  } finally {
    replayer.close()
  }
}

/**
 * Counts the passes, the folios that they received, and the passes that had a call beside another pass's
 * call.
 */
function countPasses({ steps }: MappingTrace): { passes: number; folios: number; concurrent: number } {
  let passes = 0
  let folios = 0
  const running = new Set<string>()
  const concurrent = new Set<string>()
  for (const { action, result } of steps) {
    if (action.name === 'begin') passes++
    if (action.name === 'begin' || action.name === 'call') {
      running.add(action.pass)
      if (running.size > 1) for (const pass of running) concurrent.add(pass)
    } else if (action.name === 'next') {
      running.delete(action.pass)
      if (result.startsWith('folio')) folios++
    }
  }
  return { passes, folios, concurrent: concurrent.size }
}

/** Replays a trace of format 2 on each backend, and compares every return of writeback_iter. */
export function replayTrace2(trace: Trace2, backends: readonly Backend[]): LiveReplay {
  const perBackend = backends.map((backend) =>
    trace.mappings.map((mapping) => replayMapping(mapping, backend)),
  )
  const counts = trace.mappings.map(countPasses)
  const sum = (of: (count: (typeof counts)[number]) => number) =>
    counts.reduce((total, count) => total + of(count), 0)
  return {
    operations: perBackend.map((replays) => replays.reduce((sum, { operations }) => sum + operations, 0)),
    divergences: perBackend.map((replays) =>
      replays.flatMap(({ divergence }) => (divergence === null ? [] : [divergence])),
    ),
    mappings: trace.mappings.length,
    passes: sum(({ passes }) => passes),
    folios: sum(({ folios }) => folios),
    concurrent: sum(({ concurrent }) => concurrent),
  }
}
