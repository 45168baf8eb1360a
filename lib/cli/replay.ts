// SPDX-License-Identifier: GPL-2.0-only

import { Command } from 'commander'
import { InputError } from '../input/input_error.js'
import { printableLine } from '../input/printable.js'
import { convertRecording, type LiveReplay, leftOpen, replayTrace2, type Undecided } from '../live/replay.js'
import { type Divergence, TraceReplay } from '../trace/replay.js'
import type { Backend } from '../types.js'
import { colours } from './colours.js'
import type { Unreadable } from './find_files.js'
import { findInputs, INPUT_ARGUMENT, readInputFile } from './input.js'
import { EXIT_INTERRUPTED, interruption } from './interrupt.js'
import { type BackendOption, backendOption, jsonOption, namedBackends, pickedBackend } from './options.js'
import { Progress } from './progress.js'

interface Options {
  readonly backend?: BackendOption
  readonly json?: boolean
}

export function replayCommand(): Command {
  return new Command('replay')
    .summary('replay traces and recordings, and compare every result')
    .description(
      "Replays traces of page-cache operations, and recordings of a live kernel's own, and compares every result with " +
        'the one in the file.\n\n' +
        'Exit code: 0 all as expected, 1 a divergence, 2 a malformed or unreadable file or wrong use, 130 interrupted.',
    )
    .argument('<file...>', INPUT_ARGUMENT)
    .addOption(backendOption('what the package picks'))
    .addOption(jsonOption())
    .action(async (paths: string[], options: Options) => {
      const unreadable: Unreadable[] = []
      const files = await findInputs(paths, unreadable)
      const backends = options.backend === undefined ? [pickedBackend()] : namedBackends(options.backend)
      const outcome = await replayAll(files, unreadable, backends)
      if (options.json) console.log(JSON.stringify(outcome, null, 2))
      else print(outcome, files.length)
      process.exitCode = exitCode(outcome)
    })
}

function exitCode({ interrupted, malformed, unreadable, divergences }: Outcome): number {
  if (interrupted) return EXIT_INTERRUPTED
  if (malformed.length > 0 || unreadable.length > 0) return 2
  return divergences.length > 0 ? 1 : 0
}

/** A divergence with its place. */
interface Finding extends Divergence {
  readonly file: string
  readonly backend: 'native' | 'js'
}

/** The contents of a recording or of a trace of format 2, and what it leaves open. */
interface RecordingOutcome extends Omit<LiveReplay, 'operations' | 'divergences'> {
  readonly file: string
  readonly undecided: readonly Undecided[]
}

interface Outcome {
  /** The number of traces replayed, without malformed traces. */
  traces: number
  /** Operations executed on each backend. */
  readonly operations: { native?: number; js?: number }
  /** The first divergence of each trace, and of each mapping of a recording, on each backend. */
  readonly divergences: Finding[]
  /** The contents of the recordings. */
  readonly recordings: RecordingOutcome[]
  readonly malformed: { readonly file: string; readonly line: number; readonly problem: string }[]
  /** Files, and folders below the named ones, that could not be read. */
  readonly unreadable: Unreadable[]
  /** Whether a signal ended the replay before all files were done. */
  interrupted: boolean
}

/**
 * Replays all files. Continues after a divergence, a malformed trace and an unreadable trace, so one run
 * reports on every file.
 */
async function replayAll(
  files: readonly string[],
  unreadable: Unreadable[],
  backends: readonly Backend[],
): Promise<Outcome> {
  const interrupted = interruption()
  const outcome: Outcome = {
    traces: 0,
    operations: {},
    divergences: [],
    recordings: [],
    malformed: [],
    unreadable,
    interrupted: false,
  }
  for (const { backend } of backends) outcome.operations[backend] = 0
  const progress = new Progress('traces', files.length)
  for (const [i, file] of files.entries()) {
    progress.update(i)
    try {
      await replayOne(file, backends, outcome, interrupted)
    } catch (error) {
      if (interrupted.aborted && error === interrupted.reason) {
        outcome.interrupted = true
        break
      }
      if (error instanceof InputError)
        outcome.malformed.push({ file, line: error.line, problem: error.problem })
      else if (error instanceof Error && 'syscall' in error) unreadable.push({ file, problem: error.message })
      else throw error
    }
  }
  progress.stop()
  return outcome
}

/**
 * Replays a file. A trace of format 1 is replayed while it is read, so its size does not matter. The file
 * counts only if all of its lines are valid.
 */
async function replayOne(
  file: string,
  backends: readonly Backend[],
  outcome: Outcome,
  interrupted: AbortSignal,
): Promise<void> {
  const replays = backends.map((backend) => new TraceReplay(file, backend))
  const add = (i: number, operations: number, divergences: readonly Divergence[]) => {
    const { backend } = backends[i]
    outcome.operations[backend] = (outcome.operations[backend] ?? 0) + operations
    for (const divergence of divergences) outcome.divergences.push({ file, backend, ...divergence })
  }
  try {
    const input = await readInputFile(
      file,
      (line) => {
        for (const replay of replays) replay.step(line)
      },
      interrupted,
    )
    outcome.traces++
    if (input.kind === 'trace') {
      for (const [i, { operations, divergence }] of replays.entries()) {
        add(i, operations, divergence === null ? [] : [divergence])
      }
      return
    }
    const { trace, undecided } =
      input.kind === 'recording'
        ? convertRecording(input.recording)
        : { trace: input.trace, undecided: leftOpen(input.trace) }
    const { operations, divergences, ...counts } = replayTrace2(trace, backends)
    outcome.recordings.push({ file, ...counts, undecided })
    for (const i of backends.keys()) add(i, operations[i], divergences[i])
  } finally {
    for (const replay of replays) replay.close()
  }
}

function printRecording({ file, mappings, passes, folios, concurrent, undecided }: RecordingOutcome): void {
  const name = printableLine(file)
  console.log(
    `${name}: ${mappings} mappings, ${passes} passes (${concurrent} concurrent), ${folios} folios returned`,
  )
  for (const { what, count, line } of undecided)
    console.log(`${name}:${line}: undecided: ${what} (${count} times)`)
}

/** Prints divergences and counts on stdout, malformed and unreadable traces on stderr. */
function print(outcome: Outcome, files: number): void {
  const { traces, operations, divergences, recordings, malformed, unreadable, interrupted } = outcome
  const counts = Object.entries(operations)
  for (const recording of recordings) printRecording(recording)
  for (const { file, line, expected, got, backend } of divergences) {
    const [e, g] = excerpts(expected, got)
    const where = counts.length > 1 ? ` (${backend})` : ''
    console.log(
      `${printableLine(file)}:${line}: expected «${colours.green(e)}» got «${colours.red(g)}»${where}`,
    )
  }
  for (const { file, line, problem } of malformed) console.error(`${printableLine(file)}:${line}: ${problem}`)
  for (const { problem } of unreadable) console.error(printableLine(problem))
  if (counts.length > 1) {
    for (const [backend, count] of counts) {
      const found = divergences.filter((finding) => finding.backend === backend).length
      console.log(`${backend}: ${traces} traces, ${count} operations, ${found} divergences`)
    }
  }
  const total = counts.reduce((sum, [, count]) => sum + count, 0)
  const rest = [...counted(malformed, 'malformed'), ...counted(unreadable, 'unreadable')].join('')
  console.log(`${traces} traces, ${total} operations, ${divergences.length} divergences${rest}`)
  if (interrupted) console.log(`interrupted after ${traces + malformed.length} of ${files} traces`)
}

function counted(things: readonly unknown[], what: string): string[] {
  return things.length > 0 ? [`, ${things.length} ${what}`] : []
}

/** The number of characters of a longer result that are shown, from a little before the first difference. */
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
