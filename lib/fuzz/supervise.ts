// SPDX-License-Identifier: GPL-2.0-only
// Watches over the process that the runs are in.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { loadBackend } from '../backend.js'
import { type CampaignOptions, minimize, programOf } from './campaign.js'
import type { Message, Task } from './child.js'
import type { Program } from './operation.js'
import { formatProgram, parseProgram } from './program_text.js'
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
  /** Whether it was ended early, from outside. */
  readonly interrupted: boolean
}

/** Nothing takes as long, in milliseconds, unless it hangs. */
const HANG = 10_000
/** A single program takes less. */
const PROGRAM_HANG = 2_000

const CHILD = join(__dirname, 'child.js')
/** Most of what a run allocates is garbage after it. */
const NODE_OPTIONS = ['--max-semi-space-size=64']

/** Signals that ask to end. A terminal sends SIGINT to the processes of the runs, too: no crash of theirs. */
const isInterruption = (signal: string | null) =>
  signal === 'SIGINT' || signal === 'SIGTERM' || signal === 'SIGHUP'

/**
 * Runs a program or a trace in a process of its own, and tells the signal of its crash; SIGKILL where it
 * hangs.
 */
function crash(task: Task): NodeJS.Signals | null {
  const { signal } = spawnSync(process.execPath, [...NODE_OPTIONS, CHILD], {
    input: JSON.stringify(task),
    stdio: ['pipe', 'ignore', 'ignore', 'ignore'],
    timeout: PROGRAM_HANG,
    killSignal: 'SIGKILL',
  })
  return signal
}

/**
 * Makes the program of a crash small, as far as it comes before it is interrupted; what is left of it depends
 * on no run before.
 */
async function examineCrash(kind: 'crash' | 'hang', run: number | null, program: Program): Promise<Finding> {
  let smallest = program
  let interrupted = false
  const crashes = (task: Task) => {
    const signal = interrupted ? null : crash(task)
    interrupted ||= isInterruption(signal)
    return signal !== null && !interrupted
  }
  const fails = (program: Program) => crashes({ program: formatProgram(program) })
  if (run !== null && fails(program)) {
    await minimize(program, fails, (found) => {
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

/** Runs a task in a process of its own, up to its end or the interruption. */
async function watch(
  task: Task,
  report: Report,
  progress: (report: Report) => void,
  interruption: AbortSignal,
): Promise<End> {
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
  const kill = () => child.kill('SIGKILL')
  interruption.addEventListener('abort', kill)
  try {
    const [code, signal] = await once(child, 'close')
    return { code, signal, hung }
  } finally {
    interruption.removeEventListener('abort', kill)
    clearTimeout(watchdog)
  }
}

/**
 * Runs a campaign, or one program, and tells what was found.
 * @param progress - told how far it is, many times a second
 * @param interruption - ends it early, the process too; what was found by then is in the outcome
 * @throws Error if the process fails for another reason; it has said why on stderr
 */
export async function supervise(
  task: { readonly campaign: CampaignOptions } | { readonly program: string },
  progress: (runs: number, operations: number) => void,
  interruption: AbortSignal,
): Promise<Outcome> {
  const report: Report = { runs: 0, operations: 0, difference: null, done: null }
  const end = await watch(task, report, ({ runs, operations }) => progress(runs, operations), interruption)
  const { runs, operations } = report
  if (interruption.aborted || isInterruption(end.signal)) {
    const finding = report.difference === null ? null : foundDifference(report.difference, report.done)
    return { runs, operations, finding, interrupted: true }
  }
  const finding = await find(task, report, end)
  // That may have taken a while without an ear for signals.
  await setImmediate()
  return { runs, operations, finding, interrupted: interruption.aborted }
}

/** A difference, with all that the process told about it before its end. */
function foundDifference({ run, program }: NonNullable<Report['difference']>, done: Report['done']): Finding {
  return { kind: 'difference', run, program, logs: done?.logs ?? null, trace: done?.trace ?? null }
}

async function find(
  task: { readonly campaign: CampaignOptions } | { readonly program: string },
  { runs, difference, done }: Report,
  { code, signal, hung }: End,
): Promise<Finding | null> {
  const run = 'campaign' in task ? runs : null
  // Where the process did not come to its end, it crashed over an even smaller program.
  if (difference !== null) return foundDifference(difference, done)
  if (done !== null) {
    const { logs, trace } = done
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
