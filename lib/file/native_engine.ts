// SPDX-License-Identifier: GPL-2.0-only
// The file engine of native/file, by the addon. One for all threads of the process: each has handles of its
// own.

import fs from 'node:fs'
import { WritebackError } from '../errors.js'
import { createFileEngine, loadAddon } from '../native/addon.js'
import type { CachedFileStats, Engine, EngineFile, EngineOptions, Result } from './engine.js'
import { type ConfigureOptions, merge, resolve } from './limits.js'
import { errno, noRegularFile, systemError } from './system_error.js'

type LimitValues = [
  memory: number,
  dirtyBackground: number,
  dirty: number,
  dirtyExpire: number,
  writebackInterval: number,
  writers: number,
]

/** In the order of {@link LimitValues}; the bit of each in `chosen` is its place. */
const LIMITS = ['memory', 'dirtyBackground', 'dirty', 'dirtyExpire', 'writebackInterval', 'writers'] as const

/**
 * What native/addon/file_calls.c exports. A handle is a number; each result is a number from 0 or a negative
 * errno.
 */
interface FileCalls {
  /**
   * The limits of the process, all 0 at first: how often they were set, which of them were chosen, and what
   * they are.
   */
  configured(): [seen: number, chosen: number, ...LimitValues]
  /** -EAGAIN if another thread has set them since `seen`. */
  configure(seen: number, chosen: number, ...limits: LimitValues): Result
  open(fd: number, path: string, writable: boolean, direct: number, lock: number): Result
  read(handle: number, into: Uint8Array, position: number): Result | Promise<Result>
  readSync(handle: number, into: Uint8Array, position: number): Result
  write(handle: number, bytes: Uint8Array, position: number): Result | Promise<Result>
  writeSync(handle: number, bytes: Uint8Array, position: number): Result
  fsync(handle: number, start: number, end: number, dataOnly: boolean): Result | Promise<Result>
  fsyncSync(handle: number, start: number, end: number, dataOnly: boolean): Result
  writeback(handle: number, nrToWrite: number): Result | Promise<Result>
  writebackSync(handle: number, nrToWrite: number): Result
  truncate(handle: number, length: number): Result | Promise<Result>
  truncateSync(handle: number, length: number): Result
  deallocate(handle: number, start: number, end: number): Result | Promise<Result>
  deallocateSync(handle: number, start: number, end: number): Result
  close(handle: number, start: number, end: number, discard: boolean): Result | Promise<Result>
  closeSync(handle: number, discard: boolean): Result
  release(handle: number): void
  descriptor(handle: number): Result
  size(handle: number): Result
  stat(
    handle: number,
  ): [
    size: number,
    dirtyPages: number,
    cachedPages: number,
    passes: number,
    foliosWritten: number,
    deviceWrites: number,
    bytesWritten: number,
    deviceReads: number,
    bytesRead: number,
  ]
  /** Path and errno of each file that could not be written back, one after the other. */
  syncAll(): (string | number)[]
}

/** enum file_direct and enum file_lock of native/file/file.h. */
const CHOICES = new Map<boolean | 'auto', number>([
  [false, 0],
  ['auto', 1],
  [true, 2],
])

/** Writes that the device has at a time, if the user has not said: what keeps a solid-state disk busy. */
const WRITERS = 32

class NativeFile implements EngineFile {
  readonly blocking = true
  readonly #calls: FileCalls
  readonly #handle: number

  constructor(calls: FileCalls, handle: number) {
    this.#calls = calls
    this.#handle = handle
  }

  get fd(): number {
    return this.#calls.descriptor(this.#handle)
  }

  get size(): number {
    return this.#calls.size(this.#handle)
  }

  get dirtyPages(): number {
    return this.#calls.stat(this.#handle)[1]
  }

  get cachedPages(): number {
    return this.#calls.stat(this.#handle)[2]
  }

  get stats(): CachedFileStats {
    const [, , , passes, foliosWritten, deviceWrites, bytesWritten, deviceReads, bytesRead] =
      this.#calls.stat(this.#handle)
    // Every folio of the engine is a page.
    const pagesWritten = foliosWritten
    return { passes, foliosWritten, pagesWritten, deviceWrites, bytesWritten, deviceReads, bytesRead }
  }

  read(into: Uint8Array, position: number): Result | Promise<Result> {
    return this.#calls.read(this.#handle, into, position)
  }

  readSync(into: Uint8Array, position: number): Result {
    return this.#calls.readSync(this.#handle, into, position)
  }

  write(bytes: Uint8Array, position: number): Result | Promise<Result> {
    return this.#calls.write(this.#handle, bytes, position)
  }

  writeSync(bytes: Uint8Array, position: number): Result {
    return this.#calls.writeSync(this.#handle, bytes, position)
  }

  async fsync(start: number, end: number, dataOnly: boolean): Promise<Result> {
    return this.#calls.fsync(this.#handle, start, end, dataOnly)
  }

  fsyncSync(start: number, end: number, dataOnly: boolean): Result {
    return this.#calls.fsyncSync(this.#handle, start, end, dataOnly)
  }

  async writeback(nrToWrite: number): Promise<Result> {
    return this.#calls.writeback(this.#handle, nrToWrite)
  }

  writebackSync(nrToWrite: number): Result {
    return this.#calls.writebackSync(this.#handle, nrToWrite)
  }

  async truncate(length: number): Promise<Result> {
    return this.#calls.truncate(this.#handle, length)
  }

  truncateSync(length: number): Result {
    return this.#calls.truncateSync(this.#handle, length)
  }

  async deallocate(start: number, end: number): Promise<Result> {
    return this.#calls.deallocate(this.#handle, start, end)
  }

  deallocateSync(start: number, end: number): Result {
    return this.#calls.deallocateSync(this.#handle, start, end)
  }

  async close(discard: boolean): Promise<Result> {
    return this.#calls.close(this.#handle, 0, 0, discard)
  }

  closeSync(discard: boolean): Result {
    return this.#calls.closeSync(this.#handle, discard)
  }

  release(): void {
    this.#calls.release(this.#handle)
  }
}

/**
 * The engine of native/file, in one thread.
 * @internal
 */
export class NativeEngine implements Engine {
  readonly name = 'native'
  readonly #calls: FileCalls

  /**
   * @param configured - what the user has set in this thread
   * @throws `ELIBACC` where the addon does not load, or has no file engine, as on systems other than Linux
   */
  constructor(configured: ConfigureOptions) {
    loadAddon()
    if (createFileEngine === undefined) {
      throw new WritebackError(
        'ELIBACC',
        `the native file engine does not load: there is none for ${process.platform}`,
      )
    }
    const calls = createFileEngine() as FileCalls | undefined
    if (calls === undefined) throw new WritebackError('ENOMEM', 'no memory for the native file engine')
    this.#calls = calls
    this.configure(configured)
    // The engine writes back at exit(3) too, but can report nothing to Node.js from there.
    process.on('exit', () => this.#syncAll())
  }

  /**
   * Sets limits of the process. What another thread has chosen stays, unless it is chosen anew.
   * @throws `EINVAL` for limits that contradict those chosen before, and then nothing has changed
   */
  configure(options: ConfigureOptions): void {
    let set: Result
    do {
      const [seen, chosen, ...values] = this.#calls.configured()
      const before = Object.fromEntries(
        LIMITS.map((name, i) => [name, values[i]] as const).filter((_, i) => (chosen & (1 << i)) !== 0),
      )
      const all = merge(before, options)
      const { writers = WRITERS, ...limits } = resolve(all)
      const bits = LIMITS.reduce((sum, name, i) => (all[name] === undefined ? sum : sum | (1 << i)), 0)
      const next = LIMITS.map((name) => ({ ...limits, writers })[name]) as LimitValues
      set = this.#calls.configure(seen, bits, ...next)
    } while (set === errno('EAGAIN'))
  }

  openSync(fd: number, { path, writable, direct, lock }: EngineOptions): EngineFile | Result {
    // The calls take a copy of the descriptor: the end of a worker closes those that node:fs opened there, by
    // number.
    try {
      const handle = this.#calls.open(
        fd,
        path,
        writable,
        CHOICES.get(direct) as number,
        CHOICES.get(lock) as number,
      )
      if (handle >= 0) return new NativeFile(this.#calls, handle)
      if (!fs.fstatSync(fd).isFile()) throw noRegularFile(path)
      return handle
    } finally {
      fs.closeSync(fd)
    }
  }

  async open(fd: number, options: EngineOptions): Promise<EngineFile | Result> {
    return this.openSync(fd, options)
  }

  #syncAll(): void {
    const failed = this.#calls.syncAll()
    for (let i = 0; i < failed.length; i += 2) {
      const error = systemError(failed[i + 1] as number, 'write', failed[i] as string)
      process.stderr.write(`writeback-iter: what was written is lost: ${error.message}\n`)
      process.exitCode ||= 1
    }
  }
}
