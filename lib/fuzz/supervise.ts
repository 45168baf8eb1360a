// SPDX-License-Identifier: GPL-2.0-only
// Watches over the process that the runs are in.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { loadBackend } from '../backend.js'
import { type CampaignOptions, minimize, programOf } from './campaign.js'
import type { Message, Task } from './child.js'
import { formatProgram, parseProgram, type Program } from './operation.js'
import { toTraces } from './trace.js'

/** What was found. */
export interface Finding {
  readonly kind: 'difference' | 'crash' | 'hang'
  /** The run whose program it was; null for a program of the user's. */
  readonly run: number | null
  /** A small program that shows it. */
  readonly program: string
  /** What the native and the js backend logged, from where they differ; null where no log is to be had. */
  readonly logs: readonly [string, string] | null
  /** A trace that shows it too, if there is one. */
  readonly trace: string | null
}

export interface Outcome {
  readonly runs: number
  /** Executed on each backend and compared. */
  readonly operations: number
  readonly finding: Finding | null
}

/** Nothing takes as long, in milliseconds, unless it hangs. */
const HANG = 10_000
/** A single program takes less. */
const PROGRAM_HANG = 2_000

const CHILD = join(__dirname, 'child.js')
/** Most of what a run allocates is garbage after it. */
const NODE_OPTIONS = ['--max-semi-space-size=64']

/** Runs a program or a trace in a process of its own. Whether that crashes or hangs. */
function crashes(task: Task): boolean {
  const { signal } = spawnSync(process.execPath, [...NODE_OPTIONS, CHILD], {
    input: JSON.stringify(task),
    stdio: ['pipe', 'ignore', 'ignore', 'ignore'],
    timeout: PROGRAM_HANG,
    killSignal: 'SIGKILL',
  })
  return signal !== null
}

/** Makes the program of a crash small; what is left of it depends on no run before. */
function examineCrash(kind: 'crash' | 'hang', run: number | null, program: Program): Finding {
  let smallest = program
  const fails = (program: Program) => crashes({ program: formatProgram(program) })
  if (run !== null && fails(program)) {
    minimize(program, fails, (found) => {
      smallest = found
    })
  }
  const trace = toTraces(smallest, loadBackend('js')).find((trace) => crashes({ trace })) ?? null
  return { kind, run, program: formatProgram(smallest), logs: null, trace }
}

/** What the process has told so far. */
interface Report {
  runs: number
  operations: number
  difference: Extract<Message, { type: 'difference' }> | null
  done: Extract<Message, { type: 'done' }> | null
}

interface End {
  readonly code: number | null
  readonly signal: string | null
  readonly hung: boolean
}

/** Runs a task in a process of its own, up to its end. */
async function watch(task: Task, report: Report, progress: (report: Report) => void): Promise<End> {
  const child = spawn(process.execPath, [...NODE_OPTIONS, CHILD], {
    stdio: ['pipe', 'inherit', 'inherit', 'pipe'],
  })
  let hung = false
  const watchdog = setTimeout(() => {
    hung = true
    child.kill('SIGKILL')
  }, HANG)
  createInterface({ input: child.stdio[3] as Readable }).on('line', (line) => {
    const message: Message = JSON.parse(line)
    watchdog.refresh()
    if (message.type === 'difference') report.difference = message
    else if (message.type === 'done') report.done = message
    else {
      report.runs = message.run
      report.operations = message.operations
      progress(report)
    }
  })
  child.stdin?.end(JSON.stringify(task))
  try {
    const [code, signal] = await once(child, 'close')
    return { code, signal, hung }
  } finally {
    clearTimeout(watchdog)
  }
}

/**
 * Runs a campaign, or one program, and tells what was found.
 * @param progress - told how far it is, many times a second
 * @throws Error if the process fails for another reason; it has said why on stderr
 */
export async function supervise(
  task: { readonly campaign: CampaignOptions } | { readonly program: string },
  progress: (runs: number, operations: number) => void,
): Promise<Outcome> {
  const report: Report = { runs: 0, operations: 0, difference: null, done: null }
  const end = await watch(task, report, ({ runs, operations }) => progress(runs, operations))
  const { runs, operations } = report
  return { runs, operations, finding: find(task, report, end) }
}

function find(
  task: { readonly campaign: CampaignOptions } | { readonly program: string },
  { runs, difference, done }: Report,
  { code, signal, hung }: End,
): Finding | null {
  const run = 'campaign' in task ? runs : null
  const logs = done === null ? null : done.logs
  const trace = done === null ? null : done.trace
  // Where the process did not come to its end, it crashed over an even smaller program.
  if (difference !== null) {
    return { kind: 'difference', run: difference.run, program: difference.program, logs, trace }
  }
  if (done !== null) {
    if (logs === null || !('program' in task)) return null
    return { kind: 'difference', run, program: task.program, logs, trace }
  }
  if (signal === null) throw new Error(`the process that runs the programs failed with exit code ${code}`)
  const program =
    'campaign' in task
      ? programOf(task.campaign.seed, runs, task.campaign.operations)
      : parseProgram(task.program)
  return examineCrash(hung ? 'hang' : 'crash', run, program)
}
