// SPDX-License-Identifier: GPL-2.0-only
// The streams of node:fs, with reads and writes to the cache.

import fs from 'node:fs'
import type { CachedFile } from './cached_file.js'

/** Options of {@link CachedFile.createReadStream}, as `FileHandle` has them. */
export interface ReadStreamOptions {
  /** First byte, default 0. */
  start?: number | undefined
  /** Last byte, included; default the end of the file. */
  end?: number | undefined
  /** Bytes of a chunk, default 64 KiB. */
  highWaterMark?: number | undefined
  /** The chunks are strings of this encoding; by default Buffers. */
  encoding?: BufferEncoding | undefined
  /** Closes the file when the stream ends or fails, default true. */
  autoClose?: boolean | undefined
  /** Destroys the stream when it is aborted. */
  signal?: AbortSignal | undefined
}

/** Options of {@link CachedFile.createWriteStream}, as `FileHandle` has them. */
export interface WriteStreamOptions {
  /** The position of the first byte, default 0. */
  start?: number | undefined
  /** Bytes that wait in the stream before `write()` returns false, default 16 KiB. */
  highWaterMark?: number | undefined
  /** The encoding of strings that are written, default `'utf8'`. */
  encoding?: BufferEncoding | undefined
  /** Closes the file when the stream ends or fails, default true. */
  autoClose?: boolean | undefined
  /** Does an fsync before the stream finishes, default false. */
  flush?: boolean | undefined
  /** Destroys the stream when it is aborted. */
  signal?: AbortSignal | undefined
}

type Done = (error: NodeJS.ErrnoException | null, count?: number, buffers?: unknown) => void

/**
 * A descriptor for streams of an open file. Its value has no meaning, but on close the streams treat 0 as no
 * descriptor.
 */
const FD = 1

/** The functions of node:fs that the streams call, for this file. */
function systemCalls(file: CachedFile) {
  const settle = (promise: Promise<number | void>, done: Done, buffers?: unknown) => {
    promise.then((count) => done(null, count ?? 0, buffers), done)
  }
  const unused = () => {
    throw new Error('the file is open')
  }
  return {
    open: unused,
    read: (_: number, buffer: Buffer, offset: number, length: number, position: number, done: Done) =>
      settle(file.read(buffer.subarray(offset, offset + length), position), done, buffer),
    write: (_: number, buffer: Buffer, offset: number, length: number, position: number, done: Done) =>
      settle(file.write(buffer.subarray(offset, offset + length), position), done, buffer),
    writev: (_: number, buffers: Buffer[], position: number, done: Done) =>
      settle(file.write(Buffer.concat(buffers), position), done, buffers),
    fsync: (_: number, done: Done) => settle(file.fsync(), done),
    close: (_: number, done: Done) => settle(file.close(), done),
  }
}

export function readStream(file: CachedFile, options: ReadStreamOptions): fs.ReadStream {
  const { start = 0, ...rest } = options
  return fs.createReadStream('', { ...rest, start, fd: FD, fs: systemCalls(file) } as never)
}

export function writeStream(file: CachedFile, options: WriteStreamOptions): fs.WriteStream {
  const { start = 0, ...rest } = options
  return fs.createWriteStream('', { ...rest, start, fd: FD, fs: systemCalls(file) } as never)
}
