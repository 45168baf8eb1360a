// SPDX-License-Identifier: GPL-2.0-only

import fs, { constants } from 'node:fs'
import { type InspectOptions, inspect, promisify, types } from 'node:util'
import { describe, invalid, notCloneable, WritebackError } from '../errors.js'
import { byteLength, checkBytes } from './bytes.js'
import type { CachedFileStats, Engine, EngineFile, EngineOptions, Result } from './engine.js'
import { type OpenFlags, parseFlags } from './flags.js'
import { type BlockDevice, checkDevice } from './js/device.js'
import { deviceEngine, loadEngine } from './load_engine.js'
import { type ReadStreamOptions, readStream, type WriteStreamOptions, writeStream } from './streams.js'
import { systemError } from './system_error.js'

/** Pages of one call of the flusher: the kernel's MAX_WRITEBACK_PAGES, 4 MiB. */
const WRITEBACK_PAGES = 1024
const PAGE_SIZE = 4096
/** The unit of st_blocks, in bytes. */
const BLOCK_SIZE = 512
/** Only code in this file has it, so only `open` makes a CachedFile. */
const OPEN = Symbol('open')

/** Options of {@link CachedFile.open}. */
export interface CachedFileOptions {
  /**
   * The engine; default the native one if it loads, else the TypeScript one. `WRITEBACK_ITER_BACKEND` applies
   * as for the backend. If a file is open on one engine, `open` on the other throws `EBUSY`.
   */
  engine?: 'native' | 'js' | undefined
  /**
   * As `fs.open` takes them: `'r'`, `'r+'`, `'w'`, `'w+'`, `'wx'`, `'wx+'`, `'rs'`, `'rs+'`, or a number.
   * Default `O_RDWR | O_CREAT`. A file that is opened for writing must be readable too, because a page that
   * is written in part is read first. With `O_SYNC` and `O_DSYNC`, each write includes an fsync of its range.
   * `O_APPEND` and `'a'` are refused: write at `size`.
   */
  flags?: string | number | undefined
  /** Permissions of a file that is created, default 0o666 less the umask. */
  mode?: number | undefined
  /**
   * O_DIRECT: reads and writes bypass the system's cache. `'auto'`, the default, uses it if the file system
   * supports it; `true` requires it. The TypeScript engine does not have it, and throws `EINVAL` for `true`.
   */
  direct?: boolean | 'auto' | undefined
  /**
   * flock(2): exclusive, or shared while the file is open for reading only. By default it is taken if the
   * system has it; `true` requires it (else `ENOTSUP`), `false` opens the file without it.
   */
  lock?: boolean | undefined
}

/** Options of {@link CachedFile.open} for storage other than a file. */
export interface DeviceOptions {
  /** Its methods read and write the storage. Handles of one device share its cache. */
  device: BlockDevice
  /** Its name in messages; default `'device'`. */
  name?: string | undefined
}

/** Bytes of a file; both ends are included, as in the kernel's vfs_fsync_range. */
export interface ByteRange {
  /** First byte, default 0. */
  start?: number | undefined
  /** Last byte, included; default the last possible one. */
  end?: number | undefined
}

/** Options of {@link CachedFile.close}. */
export interface CloseOptions {
  /**
   * Does not write back. If it is the last handle of the file, its dirty data is discarded. Default false.
   */
  discard?: boolean | undefined
}

/**
 * Handles that are garbage collected without `close()`. The registry keeps the engine's part of the handle
 * alive, not the handle.
 */
const forgotten = new FinalizationRegistry(({ file, path }: { file: EngineFile; path: string }) => {
  process.emitWarning(`CachedFile ${JSON.stringify(path)} was collected without close()`, 'WritebackWarning')
  file.release()
})

/**
 * A file behind a write-back cache. Writes go to pages in memory. A flusher writes them to the file in the
 * background, contiguous pages together; `fsync` puts them on the device; `close` writes back the remaining
 * dirty pages.
 *
 * Methods without suffix return promises, as in `node:fs/promises`; the same with `Sync` block. A read or
 * write that finds its pages cached does not leave the thread.
 *
 * All handles of one file, by device and inode number, share one cache and see each other's writes at once:
 * in the process on the native engine, in the thread on the TypeScript engine. A lock keeps other processes
 * and threads out.
 *
 * After an I/O error of write-back the pages stay dirty, and a later call writes them. `fsync` and `close`
 * report it, once for each handle that was open when it happened, and for one opened later if no handle had
 * reported it yet (errseq_t).
 *
 * Wrong arguments throw a `WritebackError` `EINVAL`, a closed handle `EBADF`; the system's errors have the
 * form of `node:fs`, with `code` `EIO`, `ENOSPC` …
 */
export class CachedFile implements AsyncDisposable, Disposable {
  /** The engine that the file uses. */
  readonly engine: 'native' | 'js'
  /** See {@link notCloneable}. */
  readonly notCloneable = notCloneable
  readonly #path: string
  readonly #file: EngineFile
  readonly #flags: OpenFlags
  #state: 'open' | 'closing' | 'closed' = 'open'
  #closing: Promise<void> = Promise.resolve()
  /** The asynchronous calls under way, and what is called when the last one ends. */
  #calls = 0
  #idle: (() => void) | null = null

  /**
   * Opens a file, by default for reading and writing, and creates it if it does not exist.
   * @param path - as for `node:fs`; a relative path starts at the working directory
   * @throws the error of open(2); `EINVAL` for a wrong argument, or if it is not a regular file; `EBUSY` if
   * another process, or another cache in this one, has the file open; `ELIBACC` if the engine does not load
   */
  static async open(path: string | Buffer | URL, options?: CachedFileOptions): Promise<CachedFile>
  /**
   * Opens a device behind a cache of the TypeScript engine, for reading and writing. Its blocking calls, and
   * `stat`, throw `EINVAL`. So dirty pages are lost when the process ends: close the file first.
   * @throws `EINVAL` if it is not a device; the error of its `size()`
   */
  static async open(options: DeviceOptions): Promise<CachedFile>
  static async open(
    path: string | Buffer | URL | DeviceOptions,
    options: CachedFileOptions = {},
  ): Promise<CachedFile> {
    if (isDevice(path)) return CachedFile.#openDevice(path)
    const { engine, flags, mode, engineOptions } = CachedFile.#check(path, options)
    const fd = await promisify(fs.open)(path, flags.system, mode)
    const handle = new CachedFile(
      OPEN,
      engine,
      flags,
      engineOptions.path,
      await engine.open(fd, engineOptions),
    )
    if (flags.truncate) await handle.#truncateAtOpen()
    return handle
  }

  /** As `open`, blocking. */
  static openSync(path: string | Buffer | URL, options: CachedFileOptions = {}): CachedFile {
    const { engine, flags, mode, engineOptions } = CachedFile.#check(path, options)
    const fd = fs.openSync(path, flags.system, mode)
    const handle = new CachedFile(OPEN, engine, flags, engineOptions.path, engine.openSync(fd, engineOptions))
    if (flags.truncate) {
      try {
        handle.truncateSync(0)
      } catch (error) {
        handle.closeSync({ discard: true })
        throw error
      }
    }
    return handle
  }

  static async #openDevice({ device, name = 'device' }: DeviceOptions): Promise<CachedFile> {
    checkDevice(device)
    if (typeof name !== 'string') throw invalid('name', name, 'a string')
    const engine = deviceEngine()
    const flags = parseFlags('r+')
    return new CachedFile(OPEN, engine, flags, name, await engine.openDevice(device, name))
  }

  static #check(path: unknown, options: CachedFileOptions) {
    const name = checkPath(path)
    if (options === null || typeof options !== 'object') throw invalid('options', options, 'an object')
    const { engine, mode = 0o666, direct = 'auto', lock } = options
    const flags = parseFlags(options.flags ?? constants.O_RDWR | constants.O_CREAT)
    if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) throw invalid('mode', mode, 'file permissions')
    if (direct !== 'auto' && typeof direct !== 'boolean')
      throw invalid('direct', direct, "a boolean or 'auto'")
    if (lock !== undefined && typeof lock !== 'boolean') throw invalid('lock', lock, 'a boolean')
    const engineOptions: EngineOptions = {
      path: name,
      writable: flags.writable,
      direct,
      lock: lock ?? 'auto',
    }
    // openSync(-0) of node:fs aborts the process.
    return { engine: loadEngine(engine), flags, mode: mode + 0, engineOptions }
  }

  private constructor(
    key: symbol,
    engine: Engine,
    flags: OpenFlags,
    path: string,
    opened: EngineFile | Result,
  ) {
    if (key !== OPEN) throw new WritebackError('EINVAL', 'a CachedFile is made by open')
    if (typeof opened === 'number') throw systemError(opened, 'open', path)
    this.engine = engine.name
    this.#path = path
    this.#flags = flags
    this.#file = opened
    forgotten.register(this, { file: opened, path }, this)
  }

  async #truncateAtOpen(): Promise<void> {
    try {
      await this.truncate(0)
    } catch (error) {
      await this.close({ discard: true })
      throw error
    }
  }

  /**
   * The file's length in bytes (i_size), what is not written back included.
   * @throws `EBADF`
   */
  get size(): number {
    return this.#open().size
  }

  /**
   * Pages of 4 KiB that differ from the file: dirty, or under writeback.
   * @throws `EBADF`
   */
  get dirtyPages(): number {
    return this.#open().dirtyPages
  }

  /**
   * Pages of 4 KiB in memory, clean and dirty.
   * @throws `EBADF`
   */
  get cachedPages(): number {
    return this.#open().cachedPages
  }

  /**
   * What the file's cache did since its first handle was opened; a copy.
   * @throws `EBADF`
   */
  get stats(): CachedFileStats {
    return this.#open().stats
  }

  /**
   * Reads up to `into.byteLength` bytes at `position`: from the cache, which keeps what it had to read, and
   * reads ahead where the handle reads on. A read sees every write that was called before it.
   * @param into - filled when the promise resolves
   * @param position - a byte offset, a safe integer from 0
   * @returns the number of bytes, fewer than requested only at the file's end
   * @throws the system's error; `EINVAL`, `EBADF`
   */
  async read(into: NodeJS.ArrayBufferView, position: number): Promise<number> {
    const file = this.#readable()
    const view = checkBytes('into', into)
    checkPosition('position', position, byteLength(view))
    const result = file.read(view, position)
    return this.#result(typeof result === 'number' ? result : await this.#call(result), 'read')
  }

  /** As `read`, blocking. */
  readSync(into: NodeJS.ArrayBufferView, position: number): number {
    this.#checkBlocking()
    const file = this.#readable()
    const view = checkBytes('into', into)
    checkPosition('position', position, byteLength(view))
    return this.#result(file.readSync(view, position), 'read')
  }

  /**
   * Writes all bytes at `position` into the cache; the file grows if they reach beyond its end. Pages that
   * are overwritten in part are read first. While too many pages are dirty, the promise stays pending
   * (balance_dirty_pages).
   *
   * The bytes are copied before the call returns: the caller may reuse the buffer at once. Writes of one
   * thread take effect in the order of their calls.
   * @param position - a byte offset, a safe integer from 0; so must be that of the last byte
   * @returns the number of bytes
   * @throws the system's error if a page cannot be read, or if no page can be written back to make room;
   * `EINVAL`, `EBADF`, `ENOMEM`
   */
  async write(bytes: NodeJS.ArrayBufferView, position: number): Promise<number> {
    const file = this.#writable()
    const view = checkBytes('bytes', bytes)
    checkPosition('position', position, byteLength(view))
    const result = file.write(view, position)
    const count = this.#result(typeof result === 'number' ? result : await this.#call(result), 'write')
    if (this.#flags.sync !== 'no' && count > 0) {
      const dataOnly = this.#flags.sync === 'data'
      this.#result(await this.#call(file.fsync(position, position + count - 1, dataOnly)), 'write')
    }
    return count
  }

  /** As `write`, blocking. */
  writeSync(bytes: NodeJS.ArrayBufferView, position: number): number {
    this.#checkBlocking()
    const file = this.#writable()
    const view = checkBytes('bytes', bytes)
    checkPosition('position', position, byteLength(view))
    const count = this.#result(file.writeSync(view, position), 'write')
    if (this.#flags.sync !== 'no' && count > 0) {
      this.#result(file.fsyncSync(position, position + count - 1, this.#flags.sync === 'data'), 'write')
    }
    return count
  }

  /**
   * vfs_fsync_range: writes back every page of the range that is dirty now (WB_SYNC_ALL), then calls
   * fsync(2). When it returns, the range is on the device. If fsync(2) fails, every page that was written
   * since the last successful `fsync` is dirty again.
   * @param range - bytes, both ends included; default the whole file
   * @throws the error of this write-back, or one that happened since this handle's last `fsync`; `EINVAL`,
   * `EBADF`
   */
  async fsync(range?: ByteRange): Promise<void> {
    const [start, end] = checkRange(range)
    this.#result(await this.#call(this.#open().fsync(start, end, false)), 'fsync')
  }

  /** As `fsync`, blocking. */
  fsyncSync(range?: ByteRange): void {
    this.#checkBlocking()
    const [start, end] = checkRange(range)
    this.#result(this.#open().fsyncSync(start, end, false), 'fsync')
  }

  /**
   * As `fsync`, but only for the data and the metadata that are needed to read it, so not for times
   * (fdatasync(2)).
   * @throws as `fsync`
   */
  async fdatasync(range?: ByteRange): Promise<void> {
    const [start, end] = checkRange(range)
    this.#result(await this.#call(this.#open().fsync(start, end, true)), 'fdatasync')
  }

  /** As `fdatasync`, blocking. */
  fdatasyncSync(range?: ByteRange): void {
    this.#checkBlocking()
    const [start, end] = checkRange(range)
    this.#result(this.#open().fsyncSync(start, end, true), 'fdatasync')
  }

  /**
   * Writes back about `nrToWrite` dirty pages (WB_SYNC_NONE, cyclic), from where the last call stopped; at
   * the end of the file it continues at its start. It skips pages under writeback.
   * @param nrToWrite - pages, a safe integer from 1, default 1024 (4 MiB, MAX_WRITEBACK_PAGES)
   * @returns pages written; 0 only if every dirty page is under writeback, or none is dirty
   * @throws the error of this write-back, which `fsync` and `close` report too; `EINVAL`, `EBADF`
   */
  async writeback(nrToWrite: number = WRITEBACK_PAGES): Promise<number> {
    const file = this.#open()
    checkPages(nrToWrite)
    return this.#result(await this.#call(file.writeback(nrToWrite)), 'writeback')
  }

  /** As `writeback`, blocking. */
  writebackSync(nrToWrite: number = WRITEBACK_PAGES): number {
    this.#checkBlocking()
    const file = this.#open()
    checkPages(nrToWrite)
    return this.#result(file.writebackSync(nrToWrite), 'writeback')
  }

  /**
   * ftruncate(2): sets the file's length, in the cache and the file. Pages beyond it are dropped, and their
   * memory is freed; added bytes read as zeros.
   * @param length - bytes, a safe integer from 0
   * @throws the system's error; `EINVAL`, `EBADF`
   */
  async truncate(length: number): Promise<void> {
    const file = this.#writable()
    checkPosition('length', length, 0)
    this.#result(await this.#call(file.truncate(length)), 'ftruncate')
  }

  /** As `truncate`, blocking. */
  truncateSync(length: number): void {
    this.#checkBlocking()
    const file = this.#writable()
    checkPosition('length', length, 0)
    this.#result(file.truncateSync(length), 'ftruncate')
  }

  /**
   * Makes a range zeros. Frees its blocks if the engine and the file system can (FALLOC_FL_PUNCH_HOLE),
   * otherwise writes zeros where the file has other bytes. The length does not change.
   * @param range - bytes, both ends included; default the whole file
   * @throws the system's error; `EINVAL`, `EBADF`
   */
  async deallocate(range?: ByteRange): Promise<void> {
    const [start, end] = checkRange(range)
    this.#result(await this.#call(this.#writable().deallocate(start, end)), 'fallocate')
  }

  /** As `deallocate`, blocking. */
  deallocateSync(range?: ByteRange): void {
    this.#checkBlocking()
    const [start, end] = checkRange(range)
    this.#result(this.#writable().deallocateSync(start, end), 'fallocate')
  }

  /**
   * fstat(2), with the size that the file will have when all pages are written. `blocks` counts dirty pages
   * as if each needed new blocks, up to the blocks of a file without holes. Times are those of the last
   * write-back.
   * @throws the system's error; `EBADF`
   */
  stat(options?: { bigint?: false | undefined }): Promise<fs.Stats>
  stat(options: { bigint: true }): Promise<fs.BigIntStats>
  async stat(options?: { bigint?: boolean | undefined }): Promise<fs.Stats | fs.BigIntStats> {
    this.#checkBlocking()
    const { fd } = this.#open()
    const bigint = options?.bigint === true
    const stats = await this.#call(
      promisify<number, object, fs.Stats | fs.BigIntStats>(fs.fstat)(fd, { bigint }),
    )
    return this.#complete(stats)
  }

  /** As `stat`, blocking. */
  statSync(options?: { bigint?: false | undefined }): fs.Stats
  statSync(options: { bigint: true }): fs.BigIntStats
  statSync(options?: { bigint?: boolean | undefined }): fs.Stats | fs.BigIntStats {
    this.#checkBlocking()
    return this.#complete(fs.fstatSync(this.#open().fd, { bigint: options?.bigint === true }))
  }

  /** Adds the size and blocks that are only in the cache. */
  #complete<T extends fs.Stats | fs.BigIntStats>(stats: T): T {
    const { size, dirtyPages } = this.#file
    const perPage = PAGE_SIZE / BLOCK_SIZE
    const had = Number(stats.blocks)
    const dense = Math.ceil(size / PAGE_SIZE) * perPage
    const blocks = Math.max(had, Math.min(had + dirtyPages * perPage, dense))
    const number = typeof stats.size === 'bigint' ? BigInt : Number
    return Object.assign(stats, { size: number(size), blocks: number(blocks) })
  }

  /**
   * A stream that reads the file through the cache, as `FileHandle.createReadStream`: it closes the file when
   * it ends.
   */
  createReadStream(options: ReadStreamOptions = {}): fs.ReadStream {
    this.#readable()
    return readStream(this, options)
  }

  /**
   * A stream that writes the file through the cache, as `FileHandle.createWriteStream`: it closes the file
   * when it ends.
   */
  createWriteStream(options: WriteStreamOptions = {}): fs.WriteStream {
    this.#writable()
    return writeStream(this, options)
  }

  /**
   * Waits for the handle's other calls, writes back the file's dirty pages (without an fsync), even if other
   * handles have it open, and closes the handle. A second call does nothing. The file's last handle frees the
   * cache.
   *
   * If it throws, the handle stays open: call it again to try again, or discard the data with `discard`.
   * @throws the error of this write-back, or one that happened since this handle's last `fsync`; `EINVAL`
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const discard = checkDiscard(options)
    if (this.#state === 'closed') return
    if (this.#state === 'open') this.#closing = this.#close(discard)
    await this.#closing
  }

  async #close(discard: boolean): Promise<void> {
    this.#state = 'closing'
    if (this.#calls > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
    let result: Result
    try {
      result = await this.#file.close(discard)
    } catch (error) {
      this.#state = 'open'
      throw error
    }
    this.#closed(result)
  }

  /**
   * As `close`, blocking.
   * @throws `EBUSY` while asynchronous calls of the handle are under way; as `close`
   */
  closeSync(options: CloseOptions = {}): void {
    const discard = checkDiscard(options)
    if (this.#state === 'closed') return
    if (!discard) this.#checkBlocking()
    if (this.#calls > 0 || this.#state === 'closing') {
      throw new WritebackError(
        'EBUSY',
        `${describe(this.#path)} has asynchronous calls under way, for which closeSync() cannot wait`,
      )
    }
    this.#closed(this.#file.closeSync(discard))
  }

  #closed(result: Result): void {
    this.#state = result < 0 ? 'open' : 'closed'
    this.#result(result, 'close')
    forgotten.unregister(this)
  }

  /** As `closeSync()`: for `using`. */
  [Symbol.dispose](): void {
    this.closeSync()
  }

  /** As `close()`: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptions): string {
    const path = this.#path
    if (this.#state === 'closed')
      return `CachedFile ${inspect({ path, closed: true }, { ...options, depth })}`
    const { size, dirtyPages, cachedPages } = this.#file
    const { engine } = this
    return `CachedFile ${inspect({ path, engine, size, dirtyPages, cachedPages }, { ...options, depth })}`
  }

  /** A device has no blocking calls. */
  #checkBlocking(): void {
    if (!this.#open().blocking) {
      throw new WritebackError('EINVAL', `${describe(this.#path)} is a device: it has no blocking calls`)
    }
  }

  #open(): EngineFile {
    if (this.#state !== 'open') throw new WritebackError('EBADF', `${describe(this.#path)} is closed`)
    return this.#file
  }

  #readable(): EngineFile {
    const file = this.#open()
    if (!this.#flags.readable) {
      throw new WritebackError('EBADF', `${describe(this.#path)} is open for writing only`)
    }
    return file
  }

  #writable(): EngineFile {
    const file = this.#open()
    if (!this.#flags.writable) {
      throw new WritebackError('EBADF', `${describe(this.#path)} is open for reading only`)
    }
    return file
  }

  /** Counts an asynchronous call, for which `close` waits. */
  async #call<T>(call: Promise<T>): Promise<T> {
    this.#calls++
    try {
      return await call
    } finally {
      if (--this.#calls === 0) this.#idle?.()
    }
  }

  #result(result: Result, syscall: string): number {
    if (result < 0) throw systemError(result, syscall, this.#path)
    return result
  }
}

/** The path as text, for messages. */
function checkPath(path: unknown): string {
  if (types.isProxy(path)) throw invalid('path', path, 'a string, a Buffer or a URL')
  if (path instanceof URL) return path.href
  const text = Buffer.isBuffer(path) ? path.toString() : path
  if (typeof text !== 'string' || text === '' || text.includes('\0')) {
    throw invalid('path', path, 'a string, a Buffer or a URL, not empty and without NUL')
  }
  return text
}

function isDevice(value: string | Buffer | URL | DeviceOptions): value is DeviceOptions {
  return (
    typeof value === 'object' && value !== null && !Buffer.isBuffer(value) && Object.hasOwn(value, 'device')
  )
}

/** A byte offset such that the `length` bytes from it have safe offsets, too. */
function checkPosition(what: string, value: unknown, length: number): void {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw invalid(what, value, 'a byte offset, a safe integer from 0')
  }
  if ((value as number) > Number.MAX_SAFE_INTEGER - length) {
    throw new WritebackError(
      'EINVAL',
      `${what} is ${describe(value)}: ${length} bytes from there have no safe offsets`,
    )
  }
}

function checkRange(range: ByteRange = {}): [start: number, end: number] {
  if (range === null || typeof range !== 'object') throw invalid('range', range, 'an object')
  const { start = 0, end = Number.MAX_SAFE_INTEGER } = range
  checkPosition('start', start, 0)
  checkPosition('end', end, 0)
  if (end < start) throw invalid('end', end, `an offset not before start, ${start}`)
  return [start, end]
}

function checkPages(nrToWrite: unknown): void {
  if (!Number.isSafeInteger(nrToWrite) || (nrToWrite as number) < 1) {
    throw invalid('nrToWrite', nrToWrite, 'a number of pages, a safe integer from 1')
  }
}

function checkDiscard(options: CloseOptions): boolean {
  if (options === null || typeof options !== 'object') throw invalid('options', options, 'an object')
  const { discard = false } = options
  if (typeof discard !== 'boolean') throw invalid('discard', discard, 'a boolean')
  return discard
}
