// SPDX-License-Identifier: GPL-2.0-only

import { StepReplayer } from '../live/replayer.js'
import { type Action, formatStep, type MappingTrace, type Step, type Trace2 } from '../trace/format2.js'
import { MisplacedOperation } from '../trace/replay.js'
import type { Backend } from '../types.js'
import type { MappingData } from './data.js'
import { FolioStates } from './folio_states.js'
import { Moments, type OpenPass } from './moments.js'
import { type Columns, emptyColumns, LAST_PAGE, mappingData } from './timeline.js'

/** The page cache of a trace of format 2, replayed on a backend, up to the first divergence. */
export function timeline2(trace: Trace2, { mapping, steps }: MappingTrace, backend: Backend): MappingData {
  const replayer = new StepReplayer(backend)
  try {
    return new Timeline2(trace, replayer, backend).run(mapping, steps)
  } finally {
    replayer.close()
  }
}

class Timeline2 {
  readonly #replayer: StepReplayer
  readonly #backend: Backend
  readonly #states: FolioStates
  readonly #moments = new Moments()
  readonly #columns: Columns = emptyColumns()
  readonly #passes = new Map<string, OpenPass>()
  /** Index of a task by the number that the trace gives it. */
  readonly #tasks: Map<number, number>
  readonly #trace: Trace2
  readonly #callers = new Map<string, number>()

  constructor(trace: Trace2, replayer: StepReplayer, backend: Backend) {
    this.#trace = trace
    this.#replayer = replayer
    this.#backend = backend
    this.#states = new FolioStates(replayer.mapping)
    this.#tasks = new Map([...trace.tasks.keys()].map((task, i) => [task, i]))
  }

  run(name: string, steps: readonly Step[]): MappingData {
    let divergence: MappingData['divergence'] = null
    for (const step of steps) {
      const got = this.#execute(step)
      if (got === step.result) continue
      divergence = { expected: step.result, got, backend: this.#backend.backend }
      break
    }
    this.#columns.callers.push(...this.#callers.keys())
    return mappingData(name, this.#columns, this.#states, this.#moments, divergence)
  }

  #execute(step: Step): string {
    const { action, line, origin } = step
    const columns = this.#columns
    let got: string
    try {
      got = this.#replayer.execute(action)
    } catch (error) {
      if (!(error instanceof MisplacedOperation)) throw error
      got = error.message
    }
    const number = columns.text.push(formatStep({ ...step, result: got, origin: null })) - 1
    columns.lines.push(line)
    columns.times.push(origin?.time ?? columns.times.at(-1) ?? 0)
    columns.taskOf.push(origin === null ? -1 : (this.#tasks.get(origin.task) ?? -1))
    columns.callerOf.push(this.#caller(origin?.caller ?? null))
    this.#states.begin()
    this.#note(number, action, got, origin?.task ?? -1)
    return got
  }

  #caller(name: string | null): number {
    if (name === null) return -1
    const known = this.#callers.get(name) ?? this.#callers.size
    this.#callers.set(name, known)
    return known
  }

  #note(step: number, action: Action, got: string, task: number): void {
    const states = this.#states
    switch (action.name) {
      case 'wbindex':
      case 'wait':
        return
      case 'split':
        this.#noteSplit(action.index, action.order)
        return
      case 'tag':
        states.noteTagged(0, LAST_PAGE)
        if (action.pass !== '-') this.#momentOf(action.pass, step)
        return
      case 'begin': {
        const { pid, comm } = this.#trace.tasks.get(task) ?? { pid: -1, comm: '' }
        const control = this.#columns.text[step].slice(`begin ${action.pass} `.length)
        this.#passes.set(action.pass, this.#moments.begin(step, control, action.syncAll, { pid, comm }))
        return
      }
      case 'call': {
        const pass = this.#passes.get(action.pass)
        if (pass === undefined) return
        this.#moments.handBack(pass, action.error)
        this.#moments.note(step, pass)
        return
      }
      case 'lookup':
        this.#noteLookup(action.pass, step)
        return
      case 'look':
        this.#noteLook(action.pass, step)
        return
      case 'next':
        this.#noteNext(action.pass, step, got)
        return
      case 'redirty':
        states.note(action.index)
        if (action.pass !== '-') this.#momentOf(action.pass, step)
        return
      default:
        states.note(action.index)
    }
  }

  #momentOf(name: string, step: number): void {
    const pass = this.#passes.get(name)
    if (pass !== undefined) this.#moments.note(step, pass)
  }

  #noteLookup(name: string, step: number): void {
    const pass = this.#passes.get(name)
    if (pass === undefined) return
    this.#moments.fill(
      pass,
      this.#replayer.pass(name).batch.map(({ index }) => this.#states.at(index)),
    )
    this.#moments.note(step, pass)
  }

  /**
   * A look may concern another folio than its step names, since the replayer takes folios in the batch's
   * order.
   */
  #noteLook(name: string, step: number): void {
    const pass = this.#passes.get(name)
    if (pass === undefined) return
    const { returned, batch } = this.#replayer.pass(name)
    if (returned) this.#states.note(returned.index)
    pass.used = Math.max(0, (this.#moments.lookups[pass.lookup] ?? []).length - batch.length)
    this.#moments.note(step, pass)
  }

  #noteNext(name: string, step: number, got: string): void {
    const folio = /^folio (\d+) /.exec(got)
    if (folio !== null) this.#states.note(Number(folio[1]))
    const pass = this.#passes.get(name)
    if (pass === undefined) return
    if (got.startsWith('done')) {
      this.#moments.end(step, pass)
      this.#passes.delete(name)
    }
    this.#moments.note(step, pass)
  }

  #noteSplit(index: number, order: number): void {
    const whole = this.#states.at(index)
    const last = whole < 0 ? index : index + 2 ** this.#states.order[whole] - 1
    for (let page = index; page <= Math.min(last, LAST_PAGE); page += 2 ** order) this.#states.note(page)
  }
}
