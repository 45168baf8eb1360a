// SPDX-License-Identifier: GPL-2.0-only

import { setImmediate } from 'node:timers/promises'
import { Command } from 'commander'
import type { Input } from '../live/read.js'
import { convertRecording, type LiveReplay, replayTrace2, type Undecided } from '../live/replay.js'
import { type Trace, TraceError } from '../trace/format.js'
import { type Divergence, replay } from '../trace/replay.js'
import type { Backend } from '../types.js'
import { colours } from './colours.js'
import { EXIT_INTERRUPTED, interruption } from './interrupt.js'
import { findInputs, INPUT_ARGUMENT, readInputFile } from './input.js'
import { type BackendOption, backendOption, jsonOption, namedBackends, pickedBackend } from './options.js'
import { Progress } from './progress.js'

interface Options {
  readonly backend?: BackendOption
  readonly json?: boolean
}

export function replayCommand(): Command {
  return new Command('replay')
    .summary('replay traces and recordings, compare every result')
    .description(
      "Replays traces of page-cache operations, and recordings of a live kernel's own, and compares every result with " +
        'the one in the file.\n\n' +
        'Exit code: 0 all as expected, 1 a divergence, 2 a malformed trace or wrong use, 130 interrupted.',
    )
    .argument('<file...>', INPUT_ARGUMENT)
    .addOption(backendOption('what the package picks'))
    .addOption(jsonOption())
    .action(async (paths: string[], options: Options) => {
      const files = paths.flatMap(findInputs)
      const backends = options.backend === undefined ? [pickedBackend()] : namedBackends(options.backend)
      const outcome = await replayAll(files, backends)
      if (options.json) console.log(JSON.stringify(outcome, null, 2))
      else print(outcome, files.length)
      process.exitCode = exitCode(outcome)
    })
}

function exitCode({ interrupted, malformed, divergences }: Outcome): number {
  if (interrupted) return EXIT_INTERRUPTED
  if (malformed.length > 0) return 2
  return divergences.length > 0 ? 1 : 0
}

/** A divergence with its place. */
interface Finding extends Divergence {
  readonly file: string
  readonly backend: 'native' | 'js'
}

/** What was in a recording, or in a trace of format 2, and what it leaves open. */
interface RecordingOutcome extends Omit<LiveReplay, 'operations' | 'divergences'> {
  readonly file: string
  readonly undecided: readonly Undecided[]
}

interface Outcome {
  /** Traces replayed; one that is malformed is not. */
  traces: number
  /** Operations executed on each backend. */
  readonly operations: { native?: number; js?: number }
  /** The first of each trace, and of each mapping of a recording, on each backend. */
  readonly divergences: Finding[]
  /** What the recordings have in them. */
  readonly recordings: RecordingOutcome[]
  readonly malformed: { readonly file: string; readonly line: number; readonly problem: string }[]
  /** Whether some files are left because a signal came. */
  interrupted: boolean
}

/** Goes on after a divergence and after a malformed trace, so that one call tells about every file. */
async function replayAll(files: readonly string[], backends: readonly Backend[]): Promise<Outcome> {
  const interrupted = interruption()
  const outcome: Outcome = {
    traces: 0,
    operations: {},
    divergences: [],
    recordings: [],
    malformed: [],
    interrupted: false,
  }
  for (const { backend } of backends) outcome.operations[backend] = 0
  const progress = new Progress('traces', files.length)
  for (const [i, file] of files.entries()) {
    // Signals have their turn.
    await setImmediate()
    if (interrupted.aborted) {
      outcome.interrupted = true
      break
    }
    progress.update(i)
    try {
      replayInput(file, readInputFile(file), backends, outcome)
    } catch (error) {
      if (!(error instanceof TraceError)) throw error
      outcome.malformed.push({ file, line: error.line, problem: error.problem })
    }
  }
  progress.stop()
  return outcome
}

function replayInput(file: string, input: Input, backends: readonly Backend[], outcome: Outcome): void {
  if (input.kind === 'trace') {
    replayOne(input.trace, backends, outcome)
    return
  }
  const { trace, undecided } =
    input.kind === 'recording' ? convertRecording(input.recording) : { trace: input.trace, undecided: [] }
  const { operations, divergences, ...counts } = replayTrace2(trace, backends)
  outcome.traces++
  outcome.recordings.push({ file, ...counts, undecided })
  for (const [i, { backend }] of backends.entries()) {
    outcome.operations[backend] = (outcome.operations[backend] ?? 0) + operations[i]
    for (const divergence of divergences[i]) outcome.divergences.push({ file, backend, ...divergence })
  }
}

function replayOne(trace: Trace, backends: readonly Backend[], outcome: Outcome): void {
  const results = backends.map((backend) => replay(trace, backend))
  outcome.traces++
  for (const [i, { operations, divergence }] of results.entries()) {
    const { backend } = backends[i]
    outcome.operations[backend] = (outcome.operations[backend] ?? 0) + operations
    if (divergence !== null) outcome.divergences.push({ file: trace.file, backend, ...divergence })
  }
}

function printRecording({ file, mappings, passes, folios, concurrent, undecided }: RecordingOutcome): void {
  console.log(
    `${file}: ${mappings} mappings, ${passes} passes (${concurrent} concurrent), ${folios} folios returned`,
  )
  for (const { what, count, line } of undecided)
    console.log(`${file}:${line}: undecided: ${what} (${count} times)`)
}

/** Divergences and counts to stdout, malformed traces to stderr. */
function print(outcome: Outcome, files: number): void {
  const { traces, operations, divergences, recordings, malformed, interrupted } = outcome
  const counts = Object.entries(operations)
  for (const recording of recordings) printRecording(recording)
  for (const { file, line, expected, got, backend } of divergences) {
    const [e, g] = excerpts(expected, got)
    const where = counts.length > 1 ? ` (${backend})` : ''
    console.log(`${file}:${line}: expected «${colours.green(e)}» got «${colours.red(g)}»${where}`)
  }
  for (const { file, line, problem } of malformed) console.error(`${file}:${line}: ${problem}`)
  if (counts.length > 1) {
    for (const [backend, count] of counts) {
      const found = divergences.filter((finding) => finding.backend === backend).length
      console.log(`${backend}: ${traces} traces, ${count} operations, ${found} divergences`)
    }
  }
  const total = counts.reduce((sum, [, count]) => sum + count, 0)
  const rest = malformed.length > 0 ? `, ${malformed.length} malformed` : ''
  console.log(`${traces} traces, ${total} operations, ${divergences.length} divergences${rest}`)
  if (interrupted) console.log(`interrupted after ${traces + malformed.length} of ${files} traces`)
}

/** So many characters of a longer result are shown, from a little before the first difference. */
const EXCERPT = 200

function excerpts(a: string, b: string): [string, string] {
  if (a.length <= EXCERPT && b.length <= EXCERPT) return [a, b]
  let same = 0
  while (same < a.length && a[same] === b[same]) same++
  const from = Math.max(0, same - EXCERPT / 4)
  const cut = (text: string) =>
    `${from > 0 ? '…' : ''}${text.slice(from, from + EXCERPT)}${text.length > from + EXCERPT ? '…' : ''}`
  return [cut(a), cut(b)]
}
