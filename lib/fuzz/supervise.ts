// SPDX-License-Identifier: GPL-2.0-only
// Supervises the process that runs the programs.

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

/** A failure that the fuzzer found. */
export interface Finding {
  readonly kind: 'difference' | 'crash' | 'hang'
  /** The run whose program failed; null for a program that the user gave. */
  readonly run: number | null
  /** A small program that reproduces the failure. */
  readonly program: string
  /**
   * What the native and the js backend logged, from the first entry that differs; null if there is no log.
   */
  readonly logs: readonly [string, string] | null
  /** A trace that also reproduces the failure; null if there is none. */
  readonly trace: string | null
}

export interface Outcome {
  readonly runs: number
  /** The number of operations executed on each backend and compared. */
  readonly operations: number
  readonly finding: Finding | null
  /** Whether a signal ended the run early. */
  readonly interrupted: boolean
}

/** A process that reports nothing for this long hangs, in milliseconds. */
const HANG = 10_000
/** A single program that runs for this long hangs, in milliseconds. */
const PROGRAM_HANG = 2_000

const CHILD = join(__dirname, 'child.js')
/** After a run, most of what it allocated is garbage. */
const NODE_OPTIONS = ['--max-semi-space-size=64']

/**
 * Signals that ask a process to end. A terminal sends SIGINT to the child too, which then has not crashed.
 */
const isInterruption = (signal: string | null) =>
  signal === 'SIGINT' || signal === 'SIGTERM' || signal === 'SIGHUP'

/**
 * Runs a program or a trace in a child process.
 * @returns the signal that ended the child; SIGKILL if the child hung; null if it did not crash
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
 * Shrinks the program of a crash, until the shrinking ends or a signal interrupts it. A shrunk program
 * does not depend on earlier runs.
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

/** What the child has reported so far. */
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

/** Runs a task in a child process, until the child ends or a signal interrupts. */
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
 * Runs a campaign, or one program, and returns what it found.
 * @param progress - called many times a second with the counts so far
 * @param interruption - ends the run and its child early; the outcome has what was found by then
 * @throws Error if the child fails for another reason, which the child has printed on stderr
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
  // find() may block for long. Let the event loop deliver signals that arrived meanwhile.
  await setImmediate()
  return { runs, operations, finding, interrupted: interruption.aborted }
}

/** A difference, with all that the child reported about it before the child ended. */
function foundDifference({ run, program }: NonNullable<Report['difference']>, done: Report['done']): Finding {
  return { kind: 'difference', run, program, logs: done?.logs ?? null, trace: done?.trace ?? null }
}

async function find(
  task: { readonly campaign: CampaignOptions } | { readonly program: string },
  { runs, difference, done }: Report,
  { code, signal, hung }: End,
): Promise<Finding | null> {
  const run = 'campaign' in task ? runs : null
  // If the child reported a difference but did not end by itself, it crashed on an even smaller program.
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
