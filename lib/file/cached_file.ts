// SPDX-License-Identifier: GPL-2.0-only

import { constants } from 'node:fs'
import { types } from 'node:util'
import { describe, invalid, WritebackError } from '../errors.js'
import { type CachedFileStats, Inode } from './inode.js'
import { type FileIO, nodeIO, systemError } from './io.js'

const { O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_NOFOLLOW, O_SYNC, O_DSYNC } = constants
const OPEN_FLAGS = O_RDWR | O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_SYNC | O_DSYNC

/** Pages of one call of the flusher: the kernel's MAX_WRITEBACK_PAGES, 4 MiB. */
const WRITEBACK_PAGES = 1024

/** Options of {@link CachedFile.open}. */
export interface CachedFileOptions {
  /** The backend of the mapping; left out, the one that the package's default entry picks. */
  backend?: 'native' | 'js' | undefined
  /**
   * As open(2) takes them (`fs.constants`), default `O_RDWR | O_CREAT`. Write-back needs to read and write at any
   * position: `O_RDWR` must be among them, `O_CREAT`, `O_EXCL`, `O_TRUNC`, `O_NOFOLLOW`, `O_SYNC` and `O_DSYNC` may be.
   */
  flags?: number | undefined
  /** Permissions of a file that is created, default 0o666 less the umask. */
  mode?: number | undefined
  /** @internal */
  io?: FileIO | undefined
}

/** Bytes of a file; both ends are included, as in the kernel's vfs_fsync_range. */
export interface ByteRange {
  /** First byte, default 0. */
  start?: number | undefined
  /** Last byte, included; default the last there can be. */
  end?: number | undefined
}

/** Only code that has this makes a CachedFile. */
const OPEN = Symbol('open')

/**
 * A file behind a write-back cache: writes go to pages in memory, which `fsync` (all of them, safely on the device),
 * `writeback` (some of them, as a background flusher does) and the last `close` write to the file, neighbours
 * together in one vectored write.
 *
 * All handles of one file (by device and inode) in a thread share one cache, and see each other's writes at once.
 * Nobody else should write the file meanwhile: not another process, nor another thread, nor this one past the cache.
 * Pages stay cached until they are truncated or the last handle closes; a process that ends without `close` or `fsync`
 * loses what is dirty, as a machine that crashes does.
 *
 * An I/O error of write-back keeps the pages dirty, to be written by a later call, and is reported by `fsync`, once to
 * each handle that was open when it happened, and to one opened later if nobody had seen it yet (errseq_t).
 *
 * Bad arguments throw a `WritebackError` `EINVAL`, a closed handle throws `EBADF`; the system's errors come as `node:fs`
 * throws them, `code` being `EIO`, `ENOSPC` …
 */
export class CachedFile implements Disposable {
  readonly #path: string
  readonly #inode: Inode
  /** How far this handle has seen the file's error sequence. */
  #wbErr: number
  #closed = false

  /**
   * Opens a file for reading and writing, and creates it if it is not there.
   * @param path - as `node:fs` takes it; a relative one is of the working directory
   * @throws the error of open(2); `EINVAL` for a bad argument or what is no regular file; `EBUSY` if the file is open on the backend that
   * `options.backend` does not name
   */
  static open(path: string, options: CachedFileOptions = {}): CachedFile {
    if (typeof path !== 'string' || path === '' || path.includes('\0')) {
      throw invalid('path', path, 'a string, not empty and without NUL')
    }
    if (options === null || typeof options !== 'object') throw invalid('options', options, 'an object')
    const { backend, flags = O_RDWR | O_CREAT, mode = 0o666, io = nodeIO } = options
    if (backend !== undefined && backend !== 'native' && backend !== 'js') {
      throw invalid('backend', backend, "'native' or 'js'")
    }
    if (!Number.isInteger(flags) || (flags & OPEN_FLAGS) !== flags || !(flags & O_RDWR)) {
      throw invalid('flags', flags, 'O_RDWR, with O_CREAT, O_EXCL, O_TRUNC, O_NOFOLLOW, O_SYNC or O_DSYNC')
    }
    if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) throw invalid('mode', mode, 'file permissions')
    // O_TRUNC is the cache's to do: another handle may have the file open.
    const inode = Inode.get(path, flags & ~O_TRUNC, mode, backend, io)
    try {
      if (flags & O_TRUNC) inode.truncate(0)
    } catch (error) {
      inode.put()
      throw error
    }
    return new CachedFile(OPEN, path, inode)
  }

  private constructor(opened: symbol, path: string, inode: Inode) {
    if (opened !== OPEN) throw new WritebackError('EINVAL', 'a CachedFile is made by open')
    this.#path = path
    this.#inode = inode
    this.#wbErr = inode.wbErr.sample()
  }

  /**
   * The backend that the file's mapping is on.
   * @throws `EBADF`
   */
  get backend(): 'native' | 'js' {
    return this.#open().backend
  }

  /**
   * The file's length in bytes (i_size), what is not written back included.
   * @throws `EBADF`
   */
  get size(): number {
    return this.#open().size
  }

  /**
   * Pages of 4 KiB that differ from the file: what tells a flusher when to start.
   * @throws `EBADF`
   */
  get dirtyPages(): number {
    return this.#open().dirtyPages
  }

  /**
   * What the file's cache did since its first handle was opened; a copy.
   * @throws `EBADF`
   */
  get stats(): CachedFileStats {
    return { ...this.#open().stats }
  }

  /**
   * Writes all bytes at `position` into the cache, as write_begin and write_end do; the file grows if they reach beyond its
   * end. Pages that are overwritten in part are read first.
   * @param position - a byte offset, a safe integer from 0; so must be that of the last byte
   * @returns the number of bytes
   * @throws the system's error where such a page cannot be read; `EINVAL`, `EBADF`, `ENOMEM`
   */
  write(bytes: Uint8Array, position: number): number {
    const inode = this.#open()
    const plain = checkBytes('bytes', bytes)
    checkPosition('position', position, plain.length)
    inode.write(plain, position)
    return plain.length
  }

  /**
   * Reads up to `into.length` bytes at `position`: those in the cache from there, the rest from the file. What was only
   * read is not kept: the system's own cache has it.
   * @param position - a byte offset, a safe integer from 0
   * @returns the number of bytes, less than asked for only at the file's end
   * @throws the system's error; `EINVAL`, `EBADF`
   */
  read(into: Uint8Array, position: number): number {
    const inode = this.#open()
    const plain = checkBytes('into', into)
    checkPosition('position', position, plain.length)
    const end = Math.min(position + plain.length, inode.size)
    if (end <= position) return 0
    inode.read(plain, position, end)
    return end - position
  }

  /**
   * vfs_fsync_range: writes back every page of the range that is dirty now (WB_SYNC_ALL), then has the system put the file on the
   * device. When it returns, the range is there. If the device refused, what was written since the last successful
   * `fsync` counts as dirty again.
   * @param range - bytes, both ends included; default the whole file
   * @throws the error of this write-back, or one that happened since this handle's last `fsync`; `EINVAL`, `EBADF`
   */
  fsync(range: ByteRange = {}): void {
    const inode = this.#open()
    if (range === null || typeof range !== 'object') throw invalid('range', range, 'an object')
    const { start = 0, end = Number.MAX_SAFE_INTEGER } = range
    // Their getters may have closed the file.
    this.#open()
    checkPosition('start', start, 0)
    checkPosition('end', end, 0)
    if (end < start) throw invalid('end', end, `an offset not before start, ${start}`)
    this.#report(inode.fsync(start, end), 'fsync')
  }

  /**
   * Writes back about `nrToWrite` dirty pages (WB_SYNC_NONE, cyclic), from where the last call stopped. A call that
   * comes to the end of the file stops there, the next one starts over. An error ends it, and waits for `fsync`.
   * @param nrToWrite - pages, a safe integer from 1, default 1024 (4 MiB, MAX_WRITEBACK_PAGES)
   * @returns pages written
   * @throws `EINVAL`, `EBADF`
   */
  writeback(nrToWrite: number = WRITEBACK_PAGES): number {
    const inode = this.#open()
    if (!Number.isSafeInteger(nrToWrite) || nrToWrite < 1) {
      throw invalid('nrToWrite', nrToWrite, 'a number of pages, a safe integer from 1')
    }
    const before = inode.stats.pagesWritten
    inode.writeback(nrToWrite)
    return inode.stats.pagesWritten - before
  }

  /**
   * ftruncate(2): sets the file's length at once, in the cache and the file. What is cut off is gone; what is added reads as
   * zeros.
   * @param length - bytes, a safe integer from 0
   * @throws the system's error; `EINVAL`, `EBADF`
   */
  truncate(length: number): void {
    const inode = this.#open()
    checkPosition('length', length, 0)
    inode.truncate(length)
  }

  /**
   * Closes the handle; a second call does nothing. The file's last one writes back what is dirty (without an fsync). If
   * that fails, it throws and the handle stays open: call again to try again, or `truncate` to give the data up.
   * @throws the error of this write-back
   */
  close(): void {
    if (this.#closed) return
    const inode = this.#inode
    if (inode.handles === 1) {
      const error = inode.sync(0, Number.MAX_SAFE_INTEGER)
      if (error !== 0) this.#report(error, 'close')
    }
    this.#closed = true
    inode.put()
  }

  /** As `close()`: for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  #open(): Inode {
    if (this.#closed) throw new WritebackError('EBADF', `${JSON.stringify(this.#path)} is closed`)
    return this.#inode
  }

  /** Throws the error given, else the one that happened since this handle looked last, as file_check_and_advance_wb_err. */
  #report(error: number, syscall: string): void {
    const { errno, cursor } = this.#inode.wbErr.checkAndAdvance(this.#wbErr)
    this.#wbErr = cursor
    const reported = error !== 0 ? error : errno
    if (reported !== 0) throw systemError(reported, syscall, this.#path)
  }
}

const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype)

/** An accessor of every Uint8Array, whatever a subclass or the object itself put over it. */
function accessor<T>(name: string): (bytes: Uint8Array) => T {
  const { get } = Object.getOwnPropertyDescriptor(typedArray, name) as PropertyDescriptor
  return (bytes) => Reflect.apply(get as () => T, bytes, [])
}

const bufferOf = accessor<ArrayBufferLike>('buffer')
const byteOffsetOf = accessor<number>('byteOffset')
const lengthOf = accessor<number>('length')

/** The same bytes, as nothing but a Uint8Array: a subclass would run code of its own when it is used. */
function checkBytes(what: string, value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) throw invalid(what, value, 'a Uint8Array')
  const length = lengthOf(value)
  // There is no view of a detached buffer, whose length is 0.
  return length === 0 ? new Uint8Array(0) : new Uint8Array(bufferOf(value), byteOffsetOf(value), length)
}

/** A byte offset such that `length` bytes from it on have offsets too. */
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
