// SPDX-License-Identifier: GPL-2.0-only

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { loadBackend, selectBackend } from '../backend.js'
import { WritebackError } from '../errors.js'
import { CachedFile, type CachedFileStats } from '../file/index.js'
import type { Backend } from '../types.js'
import { CommandError } from './command_error.js'
import { IologError, parseIolog } from './iolog.js'
import { Progress } from './progress.js'
import { builtinWorkload, PlainFile, type Workload, type WorkloadFile, WriteData } from './workload.js'

interface Options {
  readonly iolog?: string
  readonly target?: string
  readonly backend?: Backend['backend']
  readonly background: number
  readonly json?: boolean
}

/** 32 MiB: an eighth of the built-in workload's file. */
const BACKGROUND_PAGES = 8192
/** Synchronous work goes on for so many milliseconds before signals and timers have their turn. */
const SLICE = 50
const COMPARE_BYTES = 2 ** 20

export function runCommand(): Command {
  return new Command('run')
    .summary('write a real file back through the cache, and check it')
    .description(
      'Replays a write workload through a CachedFile onto a real file, and the same by plain writes onto another,\n' +
        'compares the two byte for byte, and prints what the write-back did.\n' +
        'Exit code: 0 the same, 1 a difference, 2 a malformed log, wrong use or an I/O error.',
    )
    .option('--iolog <file>', 'an fio I/O log (--write_iolog), version 2 or 3; default: a built-in workload')
    .option('--target <file>', 'the file to write, which is emptied first and kept; default: a temporary one')
    .addOption(new Option('--backend <name>', 'default: both, one after the other').choices(['native', 'js']))
    .option(
      '--background <pages>',
      'write back above so many dirty pages of a file',
      parsePages,
      BACKGROUND_PAGES,
    )
    .option('--json', 'print the outcome as JSON')
    .action(async (options: Options) => {
      try {
        const outcome = await run(options)
        if (options.json) console.log(JSON.stringify(outcome, null, 2))
        else print(outcome)
        process.exitCode = outcome.backends.some(({ difference }) => difference !== null) ? 1 : 0
      } catch (error) {
        if (error instanceof WritebackError) throw new CommandError(error.message, { cause: error })
        if (!(error instanceof IologError)) throw error
        console.error(error.message)
        process.exitCode = 2
      }
    })
}

function parsePages(value: string): number {
  const pages = /^\d+$/.test(value) ? Number(value) : Number.NaN
  if (!Number.isSafeInteger(pages))
    throw new InvalidArgumentError('Expected a number of pages, an integer from 0.')
  return pages
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
    readonly writes: number
    readonly bytes: number
    readonly reads: number
    readonly trims: number
    readonly fsyncs: number
  }
  readonly background: number
  readonly plain: Timing
  readonly backends: BackendOutcome[]
  /** Why the native backend is not among them, though nobody left it out. */
  readonly nativeMissing: string | null
}

async function run(options: Options): Promise<Outcome> {
  const { iolog, target, background } = options
  const workload = iolog === undefined ? builtinWorkload() : parseIolog(iolog, fs.readFileSync(iolog, 'utf8'))
  if (target !== undefined && workload.files.length !== 1) {
    throw new CommandError(`${iolog} is of ${workload.files.length} files, but --target takes one`)
  }
  const { names, nativeMissing } = backendsToRun(options.backend)
  const progress = new Progress('operations', workload.operations.length * (names.length + 1))
  const data = new WriteData()

  // The plain files are on the same file system as the others, so that the times compare.
  return await inTemporaryFolder(target === undefined ? tmpdir() : dirname(target), async (folder) => {
    try {
      const plainPaths = workload.files.map((_, i) => join(folder, `plain-${i}`))
      const cachedPaths =
        target !== undefined ? [target] : workload.files.map((_, i) => join(folder, `cached-${i}`))
      const plainFiles = plainPaths.map((path) => new PlainFile(path))
      const plain = await replay(
        workload,
        plainFiles,
        data,
        () => {},
        (done) => progress.update(done),
      )
      for (const file of plainFiles) file.close()
      const backends: BackendOutcome[] = []
      for (const backend of names) {
        const files = cachedPaths.map((path) => CachedFile.open(path, { backend, flags: RDWR_CREATE_EMPTY }))
        const before = (backends.length + 1) * workload.operations.length
        const timing = await replay(
          workload,
          files,
          data,
          () => writeBackInBackground(files, background),
          (done) => progress.update(before + done),
        )
        const stats = addStats(files)
        for (const file of files) file.close()
        const difference = await compareAll(workload, cachedPaths, plainPaths)
        backends.push({ backend, ...timing, ...stats, difference })
      }
      return { workload: summary(workload), background, plain, backends, nativeMissing }
    } finally {
      progress.stop()
    }
  })
}

const RDWR_CREATE_EMPTY = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC

/** The one that the option or the environment asks for; or else both, as far as the native one loads. */
function backendsToRun(asked: Backend['backend'] | undefined): {
  names: Backend['backend'][]
  nativeMissing: string | null
} {
  if (asked !== undefined || process.env.WRITEBACK_ITER_BACKEND) {
    try {
      const { backend } = asked === undefined ? selectBackend() : loadBackend(asked)
      return { names: [backend], nativeMissing: null }
    } catch (error) {
      throw new CommandError((error as Error).message, { cause: error })
    }
  }
  try {
    loadBackend('native')
    return { names: ['native', 'js'], nativeMissing: null }
  } catch (error) {
    return { names: ['js'], nativeMissing: (error as Error).message }
  }
}

/**
 * Runs the workload over its files, all of them synced at the end.
 * @param afterWrite - called after every write and trim
 * @param tick - told now and then how many operations are done
 */
async function replay(
  workload: Workload,
  files: readonly WorkloadFile[],
  data: WriteData,
  afterWrite: () => void,
  tick: (done: number) => void,
): Promise<Timing> {
  let into = new Uint8Array(0)
  let writes = 0
  let fsyncTime = 0
  const fsync = (file: WorkloadFile) => {
    const start = performance.now()
    file.fsync()
    fsyncTime += performance.now() - start
  }

  const start = performance.now()
  for (const [i, { size }] of workload.files.entries()) files[i].truncate(size)
  let yielded = start
  let done = 0
  for (const { kind, file: number, offset, length } of workload.operations) {
    const file = files[number]
    switch (kind) {
      case 'write':
        file.write(data.get(writes++, length), offset)
        afterWrite()
        break
      case 'trim':
        trim(file, offset, length)
        afterWrite()
        break
      case 'read':
        if (into.length < length) into = new Uint8Array(length)
        file.read(into.subarray(0, length), offset)
        break
      case 'sync':
        fsync(file)
        break
    }
    if (++done % 64 === 0 && performance.now() - yielded > SLICE) {
      tick(done)
      await setImmediate()
      yielded = performance.now()
    }
  }
  for (const file of files) fsync(file)
  return { seconds: (performance.now() - start) / 1000, fsyncSeconds: fsyncTime / 1000 }
}

/** What fio's trim does to a regular file (FALLOC_FL_PUNCH_HOLE, keeping the size), by means of zeros. */
function trim(file: WorkloadFile, offset: number, length: number): void {
  const end = Math.min(offset + length, file.size)
  const zeros = new Uint8Array(Math.min(COMPARE_BYTES, Math.max(0, end - offset)))
  for (let at = offset; at < end; at += zeros.length) {
    file.write(zeros.subarray(0, Math.min(zeros.length, end - at)), at)
  }
}

/** As the kernel's flusher: once there are too many dirty pages, by chunks until there are not. */
function writeBackInBackground(files: readonly CachedFile[], background: number): void {
  for (const file of files) {
    // A pass that wrote nothing has come to the file's end, or met an error: the next write tries again.
    while (file.dirtyPages > background && file.writeback() > 0);
  }
}

function addStats(files: readonly CachedFile[]) {
  const sum = { passes: 0, foliosWritten: 0, pagesWritten: 0, deviceWrites: 0, bytesWritten: 0 }
  for (const { stats } of files) {
    sum.passes += stats.passes
    sum.foliosWritten += stats.foliosWritten
    sum.pagesWritten += stats.pagesWritten
    sum.deviceWrites += stats.deviceWrites
    sum.bytesWritten += stats.bytesWritten
  }
  return { ...sum, pagesPerDeviceWrite: sum.deviceWrites === 0 ? 0 : sum.pagesWritten / sum.deviceWrites }
}

async function compareAll(
  workload: Workload,
  a: readonly string[],
  b: readonly string[],
): Promise<Difference | null> {
  for (const [i, { name }] of workload.files.entries()) {
    const offset = await firstDifference(a[i], b[i])
    if (offset !== null) return { file: name, offset }
  }
  return null
}

/** The first byte at which two files differ, null if none does. */
async function firstDifference(a: string, b: string): Promise<number | null> {
  const fds = [a, b].map((path) => fs.openSync(path, 'r'))
  const buffers = fds.map(() => Buffer.alloc(COMPARE_BYTES))
  try {
    for (let position = 0; ; position += COMPARE_BYTES) {
      const [x, y] = fds.map((fd, i) =>
        buffers[i].subarray(0, fs.readSync(fd, buffers[i], 0, COMPARE_BYTES, position)),
      )
      if (!x.equals(y)) {
        let same = 0
        while (same < x.length && same < y.length && x[same] === y[same]) same++
        return position + same
      }
      if (x.length === 0) return null
      await setImmediate()
    }
  } finally {
    for (const fd of fds) fs.closeSync(fd)
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Removes the folder again however the work ends, by a signal too. */
async function inTemporaryFolder<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = fs.mkdtempSync(join(parent, '.writeback-iter-'))
  const remove = () => fs.rmSync(folder, { recursive: true, force: true })
  const die = (signal: NodeJS.Signals) => {
    remove()
    stopListening()
    process.kill(process.pid, signal)
  }
  const stopListening = () => {
    for (const signal of SIGNALS) process.off(signal, die)
  }
  for (const signal of SIGNALS) process.on(signal, die)
  try {
    return await work(folder)
  } finally {
    stopListening()
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
    writes: count.write,
    bytes,
    reads: count.read,
    trims: count.trim,
    fsyncs: count.sync + files.length,
  }
}

const format = (value: number, digits = 0) =>
  value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })

function print({ workload, background, plain, backends, nativeMissing }: Outcome): void {
  if (nativeMissing !== null) console.log(`TypeScript backend only: ${nativeMissing}`)
  const others = [
    workload.reads > 0 ? `${format(workload.reads)} reads` : '',
    workload.trims > 0 ? `${format(workload.trims)} trims` : '',
    `${format(workload.fsyncs)} fsyncs`,
  ].filter((text) => text !== '')
  console.log(
    `${workload.name}: ${format(workload.writes)} writes, ${format(workload.bytes)} bytes, ${others.join(', ')}; ` +
      `background write-back above ${format(background)} dirty pages\n`,
  )
  const row = (what: string, cells: string[]) =>
    console.log([what.padEnd(24), ...cells.map((cell) => cell.padStart(20))].join(''))
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
  row('', ['plain writes', ...backends.map(({ backend }) => `CachedFile ${backend}`)])
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
        ? `${backend}: byte for byte what plain writes make of it`
        : `${backend}: ${difference.file} differs from what plain writes make of it, first at byte ${difference.offset}`,
    )
  }
}
