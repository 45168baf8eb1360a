// SPDX-License-Identifier: GPL-2.0-only
// What is behind the cache of a file, and the loops that make short transfers and EINTR whole.

import fs from 'node:fs'
import type { CachedFileStats } from '../engine.js'
import { errno, systemError } from '../system_error.js'
import { BackgroundFlush } from './background_flush.js'
import { type Steps, type Wait, waitFor } from './steps.js'

/**
 * Storage of bytes. Each call may be interrupted or do less than it was asked to, as the system calls may.
 */
export interface Storage {
  /** A descriptor for fstat(2); -1 if there is none. */
  readonly fd: number
  /** Whether the blocking forms work. */
  readonly blocking: boolean
  /** Bytes that there is room for. */
  readonly maxSize: number
  /** One preadv(2): bytes read, 0 at the end. */
  read(buffers: Uint8Array[], position: number): Wait<number>
  /** One pwritev(2) of at most IOV_MAX buffers: bytes written. */
  write(buffers: Uint8Array[], position: number): Wait<number>
  /** fsync(2), or fdatasync(2). */
  flush(dataOnly: boolean): Wait<void>
  truncate(length: number): Wait<void>
  close(): void
}

/** A regular file. */
export class FileStorage implements Storage {
  readonly blocking = true
  readonly maxSize = Number.MAX_SAFE_INTEGER
  /** Writable once a handle is. */
  fd: number
  /** The first descriptor of all, which has the lock. */
  readonly lockFd: number

  /** Asynchronous calls under way. */
  #busy = 0
  #closing = false
  readonly #background = new BackgroundFlush()

  constructor(fd: number) {
    this.fd = fd
    this.lockFd = fd
  }

  #promised<T>(start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
    this.#busy++
    return new Promise((resolve, reject) => {
      start((error, value) => {
        this.#busy--
        if (this.#closing) this.close()
        if (error === null) resolve(value as T)
        else reject(error)
      })
    })
  }

  /**
   * From now on I/O goes through this descriptor. The first one stays open: it has the lock, and reads may be
   * under way.
   */
  replace(fd: number): void {
    this.fd = fd
  }

  read(buffers: Uint8Array[], position: number): Wait<number> {
    const { fd } = this
    return {
      sync: () => fs.readvSync(fd, buffers, position),
      async: () => this.#promised((done) => fs.readv(fd, buffers, position, done)),
    }
  }

  write(buffers: Uint8Array[], position: number): Wait<number> {
    const { fd } = this
    const written = (bytes: number) => {
      this.#background.written(fd, bytes)
      return bytes
    }
    return {
      sync: () => written(fs.writevSync(fd, buffers, position)),
      async: async () => written(await this.#promised((done) => fs.writev(fd, buffers, position, done))),
    }
  }

  flush(dataOnly: boolean): Wait<void> {
    const { fd } = this
    this.#background.flushed()
    return {
      sync: () => (dataOnly ? fs.fdatasyncSync(fd) : fs.fsyncSync(fd)),
      async: () => this.#promised((done) => (dataOnly ? fs.fdatasync(fd, done) : fs.fsync(fd, done))),
    }
  }

  truncate(length: number): Wait<void> {
    const { fd } = this
    return {
      sync: () => fs.ftruncateSync(fd, length),
      async: () => this.#promised((done) => fs.ftruncate(fd, length, done)),
    }
  }

  /** Closes the descriptors once no call uses them: their numbers may be another file's at once. */
  close(): void {
    this.#closing = true
    if (this.#busy > 0) return
    fs.closeSync(this.fd)
    if (this.lockFd !== this.fd) fs.closeSync(this.lockFd)
    this.#background.close()
  }
}

/** Waits until no signal interrupts it. */
export function* uninterrupted<T>(start: () => Wait<T>): Steps<T> {
  for (;;) {
    try {
      return yield* waitFor(start())
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINTR') throw error
    }
  }
}

/** Takes `count` bytes off the front of a list of buffers. */
function consume(buffers: Uint8Array[], count: number): void {
  let whole = 0
  let rest = count
  while (whole < buffers.length && rest >= buffers[whole].length) rest -= buffers[whole++].length
  buffers.splice(0, whole)
  if (rest > 0) buffers[0] = buffers[0].subarray(rest)
}

/**
 * Fills the buffers from `position`, as far as there are bytes.
 * @param buffers - at most IOV_MAX; taken apart on the way
 * @returns bytes read
 */
export function* readFully(
  storage: Storage,
  buffers: Uint8Array[],
  position: number,
  stats: CachedFileStats,
): Steps<number> {
  let done = 0
  while (buffers.length > 0) {
    const n = yield* uninterrupted(() => storage.read(buffers, position + done))
    stats.deviceReads++
    stats.bytesRead += n
    if (n === 0) break
    done += n
    consume(buffers, n)
  }
  return done
}

/**
 * Writes all bytes of the buffers at `position`, going on where a short write stood.
 * @param buffers - at most IOV_MAX; taken apart on the way
 */
export function* writeFully(
  storage: Storage,
  buffers: Uint8Array[],
  position: number,
  stats: CachedFileStats,
): Steps<void> {
  let done = 0
  while (buffers.length > 0) {
    const n = yield* uninterrupted(() => storage.write(buffers, position + done))
    // write(2) of a regular file never takes nothing without an error; asking again for ever would hang.
    if (n === 0) throw systemError(errno('EIO'), 'write of 0 bytes', '')
    stats.deviceWrites++
    stats.bytesWritten += n
    done += n
    consume(buffers, n)
  }
}
