// SPDX-License-Identifier: GPL-2.0-only

import { type ChildProcess, fork } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import { loadBackend } from '../backend.js'
import { WritebackError } from '../errors.js'
import { CachedFile, type CachedFileStats } from '../file/index.js'
import { printableLine } from '../input/printable.js'
import type { Trace2 } from '../trace/format2.js'
import type { Backend } from '../types.js'
import { viewPage } from '../view/html.js'
import { PassRecorder } from '../view/pass_recorder.js'
import { MAX_STEPS, tracePageData } from '../view/read.js'
import { colours } from './colours.js'
import { CommandError } from './command_error.js'
import { firstDifference } from './compare_files.js'
import { EXIT_INTERRUPTED, interruption } from './interrupt.js'
import { readIolog } from './iolog.js'
import { allEngines, type BackendOption, backendOption, integer, jsonOption } from './options.js'
import { Progress } from './progress.js'
import { replay, touchedPieces } from './replay_workload.js'
import type { Side, SideMessage, SideOutcome, SideTask } from './run_side.js'
import { writeBeside } from './view.js'
import { builtinWorkload, type Workload, WriteData } from './workload.js'

interface Options {
  readonly iolog?: string
  readonly target?: string
  readonly backend?: BackendOption
  readonly background?: number
  readonly runs: number
  readonly view?: string
  readonly json?: boolean
}

const RUNS = 3

export function runCommand(): Command {
  return new Command('run')
    .summary('write a real file through the cache, and compare it')
    .description(
      'Applies a write workload to a real file through a CachedFile, and to another by plain writes, compares the two ' +
        'byte for byte, and prints times and the counts of the write-back. Each side runs in turn, each time in a new ' +
        'process; the run with the median time is shown.\n\n' +
        'Exit code: 0 no difference, 1 a difference, 2 a malformed log, wrong use or an I/O error, 130 interrupted.',
    )
    .option('--iolog <file>', 'an fio I/O log (--write_iolog), version 2 or 3; default: a built-in workload')
    .option('--target <file>', 'the file to write: it is emptied first, and kept; default: a temporary file')
    .addOption(backendOption('both, one after the other'))
    .option(
      '--background <pages>',
      "start the flusher above this number of dirty pages, and hold writers back above 3 times as many; default: the engine's own limits",
      integer(0),
    )
    .option('--runs <n>', 'how often each side runs', integer(1), RUNS)
    .option(
      '--view <file>',
      'run once more on the TypeScript engine, and write a page that shows its page cache',
    )
    .addOption(jsonOption())
    .action(async (options: Options) => {
      const interrupted = interruption()
      try {
        const { page, ...outcome } = await run(options, interrupted)
        if (options.view !== undefined && page !== undefined) {
          writeBeside(options.iolog ?? null, options.view, page, options.json !== true)
        }
        if (options.json) console.log(JSON.stringify(outcome, null, 2))
        else print(outcome)
        process.exitCode = exitCode(outcome)
      } catch (error) {
        if (interrupted.aborted && error === interrupted.reason) {
          console.error('interrupted while the log was read')
          process.exitCode = EXIT_INTERRUPTED
          return
        }
        if (error instanceof WritebackError) throw new CommandError(error.message, { cause: error })
        throw error
      }
    })
}

function exitCode({ interrupted, backends }: Outcome): number {
  if (interrupted !== null) return EXIT_INTERRUPTED
  return backends.some(({ difference }) => difference !== null) ? 1 : 0
}

/** Where a file differs from the file of plain writes. */
interface Difference {
  readonly file: string
  /** The first byte that differs, or the end of the shorter file. */
  readonly offset: number
}

/** What limited the speed of a side: the calls that copy, the writes to the device, or fsync(2). */
type Bound = 'copy' | 'device' | 'fsync'

interface Timing {
  readonly seconds: number
  /** The part spent in reads and writes: copying, and waiting where the engine holds writers back. */
  readonly copySeconds: number
  /**
   * The part spent writing dirty pages before an fsync; 0 for plain writes, which the system writes within
   * fsync.
   */
  readonly deviceSeconds: number
  /** The part spent in fsync. */
  readonly fsyncSeconds: number
  readonly boundedBy: Bound
  /** The process's peak memory, in bytes, without the system's own cache. */
  readonly peakMemory: number
}

interface BackendOutcome extends Timing, CachedFileStats {
  readonly backend: Backend['backend']
  readonly pagesPerDeviceWrite: number
  readonly difference: Difference | null
}

interface Outcome {
  readonly workload: {
    readonly name: string
    readonly files: number
    readonly operations: number
    readonly writes: number
    readonly bytes: number
    readonly reads: number
    readonly trims: number
    readonly fsyncs: number
  }
  /** The number of dirty pages above which the flusher starts; null for the engines' own limits. */
  readonly background: number | null
  /** The plain writes; null until they have run once. */
  plain: Timing | null
  readonly backends: BackendOutcome[]
  /** Why the native backend is missing, although the user did not exclude it. */
  readonly nativeMissing: string | null
  /** The page, with `--view`. */
  page?: string
  /** Where a signal ended the run: the side, and the number of operations of the workload that were done. */
  interrupted: { readonly side: Side; readonly operations: number } | null
}

async function run(options: Options, interrupted: AbortSignal): Promise<Outcome> {
  const { iolog, target, background } = options
  const workload = iolog === undefined ? builtinWorkload() : await readIolog(iolog, interrupted)
  for (const warning of workload.warnings) console.error(`${printableLine(workload.name)}${warning}`)
  if (target !== undefined && workload.files.length !== 1) {
    throw new CommandError(`${iolog} is of ${workload.files.length} files, but --target takes one`)
  }
  const { engines, nativeMissing } = allEngines(options.backend)
  const { length } = workload.operations
  const progress = new Progress('operations', length * (engines.length + 1) * options.runs)
  const outcome: Outcome = {
    workload: summary(workload),
    background: background ?? null,
    plain: null,
    backends: [],
    nativeMissing,
    interrupted: null,
  }

  // The plain files are on the same file system as the others, so that the times are comparable.
  return await inTemporaryFolder(target === undefined ? tmpdir() : dirname(target), async (folder) => {
    const paths = (name: string) => workload.files.map((_, i) => join(folder, `${name}-${i}`))
    const plainPaths = paths('plain')
    const cachedPaths = target !== undefined ? [target] : paths('cached')
    const touched = touchedPieces(workload)
    const plainRuns: SideOutcome[] = []
    const engineRuns = engines.map((engine) => ({
      engine,
      runs: [] as SideOutcome[],
      difference: null as Difference | null,
    }))
    let side: Side = 'plain'
    let operations = 0
    let before = 0
    const tick = (done: number) => {
      operations = done
      interrupted.throwIfAborted()
      progress.update(before + done)
    }
    const measure = async (which: Side, runs: SideOutcome[]) => {
      side = which
      operations = 0
      runs.push(
        await runSide(
          {
            side,
            files: workload.files,
            words: workload.operations.words,
            paths: side === 'plain' ? plainPaths : cachedPaths,
            dirtyBackground: background ?? null,
          },
          tick,
          interrupted,
        ),
      )
      before += length
    }
    try {
      for (let run = 0; run < options.runs; run++) {
        await measure('plain', plainRuns)
        for (const of of engineRuns) {
          await measure(of.engine, of.runs)
          of.difference ??= await compareAll(workload, cachedPaths, plainPaths, touched, () =>
            tick(operations),
          )
        }
      }
      if (options.view !== undefined) {
        side = 'js'
        operations = 0
        outcome.page = await view(workload, folder, new WriteData(), tick)
      }
    } catch (error) {
      if (error !== interrupted.reason) throw error
      outcome.interrupted = { side, operations }
    } finally {
      progress.stop()
    }
    if (plainRuns.length > 0) outcome.plain = timing(median(plainRuns))
    for (const { engine, runs, difference } of engineRuns) {
      if (runs.length > 0) outcome.backends.push(backendOutcome(engine, median(runs), difference))
    }
    return outcome
  })
}

/**
 * Runs a side in its own process.
 * @param tick - called several times a second with the number of operations done
 * @param interrupted - ends the process
 */
async function runSide(
  task: SideTask,
  tick: (done: number) => void,
  interrupted: AbortSignal,
): Promise<SideOutcome> {
  interrupted.throwIfAborted()
  // The child has its own process group, because the Ctrl-C of a terminal is for the parent only.
  const child = fork(join(__dirname, 'run_side.js'), {
    detached: true,
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const end = () => child.kill('SIGKILL')
  interrupted.addEventListener('abort', end)
  try {
    return await outcomeOf(child, task, tick)
  } catch (error) {
    interrupted.throwIfAborted()
    throw error
  } finally {
    interrupted.removeEventListener('abort', end)
  }
}

/** The message of a side that has ended. The promise settles when the side's process has ended. */
function outcomeOf(child: ChildProcess, task: SideTask, tick: (done: number) => void): Promise<SideOutcome> {
  let result: SideOutcome | Error | null = null
  return new Promise((resolve, reject) => {
    child.on('message', (message: SideMessage) => {
      if (message.kind === 'operations') {
        if (!child.killed) tick(message.operations)
        return
      }
      if (message.kind === 'outcome') result = message.outcome
      else result = message.explained ? new CommandError(message.message) : new Error(message.message)
      child.kill('SIGKILL')
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (result === null)
        reject(new Error(`the ${task.side} side ended by ${signal ?? `exit code ${code}`}`))
      else if (result instanceof Error) reject(result)
      else resolve(result)
    })
    child.send(task)
  })
}

/** The run with the median time; of two runs, the slower one. */
function median(runs: readonly SideOutcome[]): SideOutcome {
  const sorted = [...runs].sort((a, b) => a.seconds - b.seconds)
  return sorted[Math.floor(sorted.length / 2)]
}

function timing({ seconds, writebackSeconds, fsyncSeconds, peakMemory }: SideOutcome): Timing {
  const shares = {
    copy: seconds - writebackSeconds - fsyncSeconds,
    device: writebackSeconds,
    fsync: fsyncSeconds,
  }
  const [boundedBy] = (Object.keys(shares) as Bound[]).sort((a, b) => shares[b] - shares[a])
  return {
    seconds,
    copySeconds: shares.copy,
    deviceSeconds: shares.device,
    fsyncSeconds,
    boundedBy,
    peakMemory,
  }
}

function backendOutcome(
  backend: Backend['backend'],
  run: SideOutcome,
  difference: Difference | null,
): BackendOutcome {
  const stats = run.stats as CachedFileStats
  const pagesPerDeviceWrite = stats.deviceWrites === 0 ? 0 : stats.pagesWritten / stats.deviceWrites
  return { backend, ...timing(run), ...stats, pagesPerDeviceWrite, difference }
}

/** Runs the workload once more, without timing. Returns a page that shows how the page caches change. */
async function view(
  workload: Workload,
  folder: string,
  data: WriteData,
  tick: (done: number) => void,
): Promise<string> {
  const recorder = new PassRecorder(MAX_STEPS)
  const files = workload.files.map((_, i) =>
    CachedFile.openSync(join(folder, `viewed-${i}`), { engine: 'js', flags: 'w+' }),
  )
  let trace: Trace2
  try {
    await replay(workload, files, data, tick)
    for (const file of files) file.closeSync()
  } finally {
    trace = recorder.stop(workload.name)
  }
  if (recorder.steps > MAX_STEPS) {
    throw new CommandError(`--view: ${recorder.steps} steps, and ${MAX_STEPS} are the most that a page shows`)
  }
  return viewPage(tracePageData(trace, loadBackend('js')))
}

async function compareAll(
  workload: Workload,
  a: readonly string[],
  b: readonly string[],
  touched: readonly ReadonlySet<number>[],
  tick: () => void,
): Promise<Difference | null> {
  for (const [i, { name }] of workload.files.entries()) {
    const offset = await firstDifference(a[i], b[i], touched[i], tick)
    if (offset !== null) return { file: name, offset }
  }
  return null
}

/**
 * Creates a folder for the work, and removes it however the work ends, including when the process exits
 * early.
 */
async function inTemporaryFolder<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = fs.mkdtempSync(join(parent, '.writeback-iter-'))
  const remove = () => fs.rmSync(folder, { recursive: true, force: true })
  process.on('exit', remove)
  try {
    return await work(folder)
  } finally {
    process.off('exit', remove)
    remove()
  }
}

function summary({ name, files, operations }: Workload): Outcome['workload'] {
  const count = { read: 0, write: 0, trim: 0, sync: 0 }
  let bytes = 0
  for (const { kind, length } of operations) {
    count[kind]++
    if (kind === 'write') bytes += length
  }
  return {
    name,
    files: files.length,
    operations: operations.length,
    writes: count.write,
    bytes,
    reads: count.read,
    trims: count.trim,
    fsyncs: count.sync + files.length,
  }
}

const format = (value: number, digits = 0) =>
  value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })

function print(outcome: Outcome): void {
  const { workload, background, nativeMissing, interrupted } = outcome
  if (nativeMissing !== null) console.log(`TypeScript engine only: ${nativeMissing}`)
  const others = [
    workload.reads > 0 ? `${format(workload.reads)} reads` : '',
    workload.trims > 0 ? `${format(workload.trims)} trims` : '',
    `${format(workload.fsyncs)} fsyncs`,
  ].filter((text) => text !== '')
  console.log(
    `${printableLine(workload.name)}: ${format(workload.writes)} writes, ${format(workload.bytes)} bytes, ${others.join(', ')}; ` +
      (background === null
        ? "the engines' own limits\n"
        : `the flusher starts above ${format(background)} dirty pages\n`),
  )
  if (outcome.plain !== null) printTable(outcome, outcome.plain)
  if (interrupted !== null) {
    const { side, operations } = interrupted
    const what = side === 'plain' ? 'plain writes' : `CachedFile ${side}`
    console.log(
      `interrupted in ${what}, after ${format(operations)} of ${format(workload.operations)} operations`,
    )
  }
}

function printTable({ workload, backends }: Outcome, plain: Timing): void {
  const line = (what: string, cells: string[]) =>
    [what.padEnd(24), ...cells.map((cell) => cell.padStart(20))].join('')
  const row = (what: string, cells: string[]) => console.log(line(what, cells))
  const numbers = (
    what: string,
    pick: (outcome: BackendOutcome) => number,
    plainValue?: number,
    digits = 0,
  ) =>
    row(what, [
      plainValue === undefined ? '-' : format(plainValue, digits),
      ...backends.map((outcome) => format(pick(outcome), digits)),
    ])
  console.log(
    colours.bold(line('', ['plain writes', ...backends.map(({ backend }) => `CachedFile ${backend}`)])),
  )
  numbers('seconds', ({ seconds }) => seconds, plain.seconds, 3)
  numbers('  of them copying', ({ copySeconds }) => copySeconds, plain.copySeconds, 3)
  numbers('  writing to the device', ({ deviceSeconds }) => deviceSeconds, undefined, 3)
  numbers('  in fsync', ({ fsyncSeconds }) => fsyncSeconds, plain.fsyncSeconds, 3)
  row('bounded by', [plain.boundedBy, ...backends.map(({ boundedBy }) => boundedBy)])
  numbers('times as fast', ({ seconds }) => plain.seconds / seconds, 1, 2)
  numbers('peak memory, MiB', ({ peakMemory }) => peakMemory / 2 ** 20, plain.peakMemory / 2 ** 20)
  numbers('passes', ({ passes }) => passes)
  numbers('folios written back', ({ foliosWritten }) => foliosWritten)
  numbers('pages written back', ({ pagesWritten }) => pagesWritten)
  numbers('bytes written back', ({ bytesWritten }) => bytesWritten, workload.bytes)
  numbers('device writes', ({ deviceWrites }) => deviceWrites, workload.writes)
  numbers('pages per device write', ({ pagesPerDeviceWrite }) => pagesPerDeviceWrite, undefined, 1)
  row('the file', ['', ...backends.map(({ difference }) => (difference === null ? 'same' : 'DIFFERS'))])
  console.log()
  for (const { backend, difference } of backends) {
    console.log(
      difference === null
        ? colours.green(`${backend}: byte for byte the same as plain writes`)
        : colours.red(
            `${backend}: ${printableLine(difference.file)} differs from the file of plain writes, first at byte ${difference.offset}`,
          ),
    )
  }
}
