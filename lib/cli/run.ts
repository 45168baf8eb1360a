// SPDX-License-Identifier: GPL-2.0-only

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Command } from 'commander'
import { loadBackend } from '../backend.js'
import { WritebackError } from '../errors.js'
import { NO_STATS } from '../file/engine.js'
import { CachedFile, type CachedFileStats, configure } from '../file/index.js'
import { printableLine } from '../input/printable.js'
import type { Trace2 } from '../trace/format2.js'
import type { Backend } from '../types.js'
import { viewPage } from '../view/html.js'
import { PassRecorder } from '../view/pass_recorder.js'
import { MAX_STEPS, tracePageData } from '../view/read.js'
import { colours } from './colours.js'
import { CommandError } from './command_error.js'
import { firstDifference, PIECE } from './compare_files.js'
import { EXIT_INTERRUPTED, interruption } from './interrupt.js'
import { readIolog } from './iolog.js'
import { allEngines, type BackendOption, backendOption, integer, jsonOption } from './options.js'
import { Progress } from './progress.js'
import { writeBeside } from './view.js'
import { builtinWorkload, PlainFile, type Workload, type WorkloadFile, WriteData } from './workload.js'

interface Options {
  readonly iolog?: string
  readonly target?: string
  readonly backend?: BackendOption
  readonly background?: number
  readonly view?: string
  readonly json?: boolean
}

const PAGE_SIZE = 4096
const LEAST_MEMORY = 4 * 2 ** 20
/** The dirty limit, above which writers are held back, as a multiple of the background limit. */
const DIRTY_RATIO = 3
/** Milliseconds of synchronous work before signals and timers have their turn. */
const SLICE = 50

export function runCommand(): Command {
  return new Command('run')
    .summary('write a real file through the cache, and compare it')
    .description(
      'Applies a write workload to a real file through a CachedFile, and to another by plain writes, compares the two ' +
        'byte for byte, and prints times and the counts of the write-back.\n\n' +
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

/** Where a file differs from what plain writes made of it. */
interface Difference {
  readonly file: string
  /** The first byte that differs, or the end of the shorter file. */
  readonly offset: number
}

interface Timing {
  readonly seconds: number
  /** Of them, in fsync. */
  readonly fsyncSeconds: number
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
  /** Dirty pages above which the flusher was to start; null: the engines' own limits. */
  readonly background: number | null
  /** The plain writes; null as long as they are not over. */
  plain: Timing | null
  readonly backends: BackendOutcome[]
  /** Why the native backend is not among them, though nobody left it out. */
  readonly nativeMissing: string | null
  /** With `--view`. */
  page?: string
  /** Where a signal ended it: on which side, after how many operations of the workload. */
  interrupted: { readonly side: 'plain' | Backend['backend']; readonly operations: number } | null
}

async function run(options: Options, interrupted: AbortSignal): Promise<Outcome> {
  const { iolog, target, background } = options
  const workload = iolog === undefined ? builtinWorkload() : await readIolog(iolog, interrupted)
  for (const warning of workload.warnings) console.error(`${printableLine(workload.name)}${warning}`)
  if (target !== undefined && workload.files.length !== 1) {
    throw new CommandError(`${iolog} is of ${workload.files.length} files, but --target takes one`)
  }
  const { engines, nativeMissing } = allEngines(options.backend)
  if (background !== undefined) limitDirty(background * PAGE_SIZE)
  const { length } = workload.operations
  const progress = new Progress('operations', length * (engines.length + 1))
  const data = new WriteData()
  const outcome: Outcome = {
    workload: summary(workload),
    background: background ?? null,
    plain: null,
    backends: [],
    nativeMissing,
    interrupted: null,
  }

  // The plain files are on the same file system as the others, so that the times compare.
  return await inTemporaryFolder(target === undefined ? tmpdir() : dirname(target), async (folder) => {
    let side: 'plain' | Backend['backend'] = 'plain'
    let operations = 0
    const tick = (done: number) => {
      operations = done
      interrupted.throwIfAborted()
      const before = outcome.plain === null ? 0 : (outcome.backends.length + 1) * length
      progress.update(before + done)
    }
    try {
      const plainPaths = workload.files.map((_, i) => join(folder, `plain-${i}`))
      const cachedPaths =
        target !== undefined ? [target] : workload.files.map((_, i) => join(folder, `cached-${i}`))
      const touched = workload.files.map(() => new Set<number>())
      const plainFiles = plainPaths.map((path) => new PlainFile(path))
      outcome.plain = await replay(workload, plainFiles, data, touched, tick)
      for (const file of plainFiles) file.closeSync()
      for (const engine of engines) {
        side = engine
        operations = 0
        const files = cachedPaths.map((path) => CachedFile.openSync(path, { engine, flags: 'w+' }))
        const untouched = workload.files.map(() => new Set<number>())
        let timing: Timing
        let stats: CachedFileStats & { pagesPerDeviceWrite: number }
        try {
          timing = await replay(workload, files, data, untouched, tick)
          stats = addStats(files)
          for (const file of files) file.closeSync()
        } finally {
          // Whatever ended it: the files are removed.
          for (const file of files) file.closeSync({ discard: true })
        }
        const difference = await compareAll(workload, cachedPaths, plainPaths, touched, () => tick(length))
        outcome.backends.push({ backend: engine, ...timing, ...stats, difference })
      }
      if (options.view !== undefined) {
        side = 'js'
        operations = 0
        outcome.page = await view(workload, folder, data, tick)
      }
    } catch (error) {
      if (error !== interrupted.reason) throw error
      outcome.interrupted = { side, operations }
    } finally {
      progress.stop()
    }
    return outcome
  })
}

/** Sets the limits of the engines, and what memory they need for them. */
function limitDirty(dirtyBackground: number): void {
  const dirty = dirtyBackground * DIRTY_RATIO
  configure({ memory: Math.max(LEAST_MEMORY, dirty * 2), dirtyBackground, dirty })
}

/** Runs the workload once more, without timing it. Returns a page that shows what becomes of the page caches. */
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
    await replay(
      workload,
      files,
      data,
      workload.files.map(() => new Set<number>()),
      tick,
    )
    for (const file of files) file.closeSync()
  } finally {
    trace = recorder.stop(workload.name)
  }
  if (recorder.steps > MAX_STEPS) {
    throw new CommandError(`--view: ${recorder.steps} steps, and ${MAX_STEPS} are the most that a page shows`)
  }
  return viewPage(tracePageData(trace, loadBackend('js')))
}

/**
 * Runs the workload over its files, all of them synced at the end.
 * @param touched - of each file, numbers of the pieces (PIECE bytes each) that were written so far; it adds to them
 * @param tick - told several times a second how many operations are done; ends the work if it throws
 */
async function replay(
  workload: Workload,
  files: readonly WorkloadFile[],
  data: WriteData,
  touched: readonly Set<number>[],
  tick: (done: number) => void,
): Promise<Timing> {
  let into = new Uint8Array(0)
  let writes = 0
  let fsyncTime = 0
  const fsync = (file: WorkloadFile) => {
    const start = performance.now()
    file.fsyncSync()
    fsyncTime += performance.now() - start
  }

  const start = performance.now()
  for (const [i, { size }] of workload.files.entries()) files[i].truncateSync(size)
  let yielded = start
  let done = 0
  for (const { kind, file: number, offset, length } of workload.operations) {
    const file = files[number]
    switch (kind) {
      case 'write':
        file.writeSync(data.get(writes++, length), offset)
        for (let at = offset - (offset % PIECE); at < offset + length; at += PIECE)
          touched[number].add(at / PIECE)
        break
      case 'trim':
        trim(file, offset, length, touched[number])
        break
      case 'read':
        if (into.length < length) into = new Uint8Array(length)
        file.readSync(into.subarray(0, length), offset)
        break
      case 'sync':
        fsync(file)
        break
    }
    if (++done % 64 === 0 && performance.now() - yielded > SLICE) {
      await setImmediate()
      tick(done)
      yielded = performance.now()
    }
  }
  for (const file of files) fsync(file)
  return { seconds: (performance.now() - start) / 1000, fsyncSeconds: fsyncTime / 1000 }
}

/**
 * What fio's trim does to a regular file (FALLOC_FL_PUNCH_HOLE, keeping the size): the tail of the file is cut off and left a
 * hole, and what was written elsewhere becomes zeros. What was never written is a hole already.
 */
function trim(file: WorkloadFile, offset: number, length: number, touched: ReadonlySet<number>): void {
  const { size } = file
  if (offset >= size) return
  if (offset + length >= size) {
    file.truncateSync(offset)
    file.truncateSync(size)
    return
  }
  const end = offset + length
  for (const piece of piecesBetween(offset, end, touched)) {
    const from = Math.max(offset, piece * PIECE)
    file.writeSync(new Uint8Array(Math.min(end, (piece + 1) * PIECE) - from), from)
  }
}

/** The touched pieces in a range of bytes; walks whichever is shorter, the range or the set. */
function piecesBetween(start: number, end: number, touched: ReadonlySet<number>): number[] {
  const first = Math.floor(start / PIECE)
  const last = Math.floor((end - 1) / PIECE)
  if (last - first >= touched.size) return [...touched].filter((piece) => piece >= first && piece <= last)
  return Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((piece) => touched.has(piece))
}

function addStats(files: readonly CachedFile[]) {
  const sum = { ...NO_STATS }
  for (const { stats } of files) {
    for (const count of Object.keys(sum) as (keyof CachedFileStats)[]) sum[count] += stats[count]
  }
  return { ...sum, pagesPerDeviceWrite: sum.deviceWrites === 0 ? 0 : sum.pagesWritten / sum.deviceWrites }
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

/** Removes the folder again however the work ends, also where the process exits before that. */
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
  numbers('  of them in fsync', ({ fsyncSeconds }) => fsyncSeconds, plain.fsyncSeconds, 3)
  numbers('times as fast', ({ seconds }) => plain.seconds / seconds, 1, 2)
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
        ? colours.green(`${backend}: byte for byte what plain writes make of it`)
        : colours.red(
            `${backend}: ${printableLine(difference.file)} differs from what plain writes make of it, first at byte ${difference.offset}`,
          ),
    )
  }
}
