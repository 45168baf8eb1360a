// SPDX-License-Identifier: GPL-2.0-only
// What the cache asks of the system, and the loops that make short transfers and EINTR whole.

import fs from 'node:fs'
import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

/** The calls on a file descriptor. Each throws the system's own error, as `node:fs` does. */
export interface FileIO {
  open(path: string, flags: number, mode: number): number
  /** `key` names the file by device and inode, whatever path led to it. */
  stat(fd: number): { key: string; size: number; regular: boolean }
  /** One pread(2): bytes read, 0 at the end of the file. */
  read(fd: number, into: Uint8Array, position: number): number
  /** One pwritev(2) of at most IOV_MAX buffers: bytes written, which may be fewer than asked for. */
  writev(fd: number, buffers: Uint8Array[], position: number): number
  fsync(fd: number): void
  ftruncate(fd: number, length: number): void
  close(fd: number): void
}

/** One call of read(2) takes less than 2 GiB. */
const MAX_READ = 2 ** 30

export const nodeIO: FileIO = {
  open: (path, flags, mode) => fs.openSync(path, flags, mode),
  stat(fd) {
    const stat = fs.fstatSync(fd, { bigint: true })
    return { key: `${stat.dev}:${stat.ino}`, size: Number(stat.size), regular: stat.isFile() }
  },
  read: (fd, into, position) => fs.readSync(fd, into, 0, Math.min(into.length, MAX_READ), position),
  writev: (fd, buffers, position) => fs.writevSync(fd, buffers, position),
  fsync: (fd) => fs.fsyncSync(fd),
  ftruncate: (fd, length) => fs.ftruncateSync(fd, length),
  close: (fd) => fs.closeSync(fd),
}

/** The negative errno of an error that the system gave; 0 for any other error. */
export function errnoOf(error: unknown): number {
  const errno = error instanceof Error ? (error as NodeJS.ErrnoException).errno : undefined
  return typeof errno === 'number' && errno < 0 ? errno : 0
}

/** The error that `node:fs` would have thrown for this errno. */
export function systemError(errno: number, syscall: string, path: string): Error {
  const [code, description] = getSystemErrorMap().get(errno) ?? unmapped(errno)
  return Object.assign(new Error(`${code}: ${description}, ${syscall} '${path}'`), {
    errno,
    code,
    syscall,
    path,
  })
}

/** What libuv has no name for, though the system does: EDQUOT for one. */
function unmapped(errno: number): [code: string, description: string] {
  const name = Object.entries(constants.errno).find(([, value]) => value === -errno)?.[0]
  return [name ?? `E${-errno}`, `system error ${-errno}`]
}

/** Calls until no signal interrupts it. */
export function retryInterrupted<T>(call: () => T): T {
  for (;;) {
    try {
      return call()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINTR') throw error
    }
  }
}

/** Fills `into` from the file at `position`, with zeros where the file ends before. */
export function readFully(io: FileIO, fd: number, into: Uint8Array, position: number): void {
  let done = 0
  while (done < into.length) {
    const n = retryInterrupted(() => io.read(fd, into.subarray(done), position + done))
    if (n === 0) break
    done += n
  }
  into.fill(0, done)
}

/**
 * Writes all bytes of the buffers at `position`, going on where a short write stood.
 * @param buffers - at most IOV_MAX; taken apart on the way
 * @param written - told the bytes of every write that the system took
 */
export function writeFully(
  io: FileIO,
  fd: number,
  buffers: Uint8Array[],
  position: number,
  written: (bytes: number) => void,
): void {
  while (buffers.length > 0) {
    const n = retryInterrupted(() => io.writev(fd, buffers, position))
    // write(2) of a regular file never takes nothing without an error; asking again for ever would hang.
    if (n === 0)
      throw Object.assign(new Error('EIO: i/o error, write of 0 bytes'), { errno: -5, code: 'EIO' })
    written(n)
    position += n
    let whole = 0
    let rest = n
    while (whole < buffers.length && rest >= buffers[whole].length) rest -= buffers[whole++].length
    buffers.splice(0, whole)
    if (rest > 0) buffers[0] = buffers[0].subarray(rest)
  }
}
