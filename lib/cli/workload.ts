// SPDX-License-Identifier: GPL-2.0-only
// A write workload, the data of its writes, and the plain file that the result is checked against.

import fs from 'node:fs'
import type { CachedFile } from '../file/index.js'

const KINDS = ['read', 'write', 'trim', 'sync'] as const

export interface Operation {
  readonly kind: (typeof KINDS)[number]
  /** Index of the file in the workload. */
  readonly file: number
  readonly offset: number
  readonly length: number
}

/**
 * A list of operations, as four numbers each. If they were a million objects, the garbage collector would
 * repeatedly walk them, and take longer than the writes that are measured.
 */
export class Operations implements Iterable<Operation> {
  #words: Float64Array
  #length: number

  /** @param words - the `words` of another list */
  constructor(words?: Float64Array) {
    this.#words = words ?? new Float64Array(4 * 1024)
    this.#length = (words?.length ?? 0) / 4
  }

  /** The operations as numbers. The constructor makes the list again from them. */
  get words(): Float64Array {
    return this.#words.subarray(0, 4 * this.#length)
  }

  get length(): number {
    return this.#length
  }

  push({ kind, file, offset, length }: Operation): void {
    const at = 4 * this.#length++
    if (at === this.#words.length) {
      const words = new Float64Array(2 * at)
      words.set(this.#words)
      this.#words = words
    }
    this.#words[at] = KINDS.indexOf(kind)
    this.#words[at + 1] = file
    this.#words[at + 2] = offset
    this.#words[at + 3] = length
  }

  *[Symbol.iterator](): Iterator<Operation> {
    const words = this.#words
    for (let at = 0; at < 4 * this.#length; at += 4) {
      yield { kind: KINDS[words[at]], file: words[at + 1], offset: words[at + 2], length: words[at + 3] }
    }
  }
}

export interface Workload {
  readonly name: string
  /** The files and their initial sizes; all bytes are zero. */
  readonly files: readonly { readonly name: string; readonly size: number }[]
  readonly operations: Operations
  /** Warnings about the source of the workload, each of the form `:LINE: MESSAGE`. */
  readonly warnings: readonly string[]
}

/** The methods of a file that a workload uses: a {@link CachedFile} or a {@link PlainFile}. */
export type WorkloadFile = Pick<
  CachedFile,
  'writeSync' | 'readSync' | 'writebackSync' | 'fsyncSync' | 'truncateSync' | 'size' | 'closeSync'
>

/** Numbers from 0 to 2^32 - 1. The same seed gives the same numbers (mulberry32). */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let z = Math.imul(state ^ (state >>> 15), state | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return (z ^ (z >>> 14)) >>> 0
  }
}

const FILE_SIZE = 256 * 2 ** 20
const HOT_SIZE = FILE_SIZE / 16
const WRITES = 100_000
const WRITES_PER_SYNC = 20_000
const STREAMS = 4

/**
 * The built-in workload: 100,000 writes into one file of 256 MiB, an fsync after every 20,000. As with a
 * database, most of them come back to the same places:
 *
 * - 50 %: 4 KiB at a random page, nine out of ten of these in the first sixteenth of the file
 * - 40 %: a record of 1 to 512 bytes at a random byte of that sixteenth
 * - 10 %: 4 to 16 KiB at the end of one of four sequential streams; every fiftieth of these is of 64 to 256
 *   KiB
 */
export function builtinWorkload(): Workload {
  const next = random(1)
  const below = (limit: number) => next() % limit
  const streams = Array.from({ length: STREAMS }, (_, i) => (i * FILE_SIZE) / STREAMS)
  const operations = new Operations()
  const write = (offset: number, length: number) =>
    operations.push({ kind: 'write', file: 0, offset, length })
  const append = (length: number) => {
    const stream = below(STREAMS)
    if (streams[stream] + length > FILE_SIZE) streams[stream] = 0
    write(streams[stream], length)
    streams[stream] += length
  }
  for (let i = 1; i <= WRITES; i++) {
    const choice = below(100)
    if (choice < 45) write(below(HOT_SIZE / 4096) * 4096, 4096)
    else if (choice < 50) write(below(FILE_SIZE / 4096) * 4096, 4096)
    else if (choice < 90) write(below(HOT_SIZE - 512), 1 + below(512))
    else if (below(50) > 0) append(4096 * (1 + below(4)))
    else append(65536 * (1 + below(4)))
    if (i % WRITES_PER_SYNC === 0) operations.push({ kind: 'sync', file: 0, offset: 0, length: 0 })
  }
  return { name: 'built-in workload', files: [{ name: 'file', size: FILE_SIZE }], operations, warnings: [] }
}

const POOL_SIZE = 4 * 2 ** 20
const POOL_TAIL = 2 ** 20

/**
 * The bytes of each write: a part of one pool of random bytes. The part starts at a different place for each
 * of four million writes. A write that was lost, repeated or reordered is therefore visible.
 */
export class WriteData {
  readonly #pool: Uint8Array
  #long: Uint8Array = new Uint8Array(0)

  constructor() {
    const words = new Uint32Array((POOL_SIZE + POOL_TAIL) / 4)
    const next = random(2)
    for (let i = 0; i < words.length; i++) words[i] = next()
    this.#pool = new Uint8Array(words.buffer)
  }

  /** The bytes of write number `n`; valid until the next call. */
  get(n: number, length: number): Uint8Array {
    const start = Math.imul(n, 0x9e3779b1) & (POOL_SIZE - 1)
    if (length <= POOL_TAIL) return this.#pool.subarray(start, start + length)
    if (this.#long.length < length) this.#long = new Uint8Array(length)
    for (let at = 0; at < length; at += POOL_TAIL) {
      this.#long.set(this.#pool.subarray(start, start + Math.min(POOL_TAIL, length - at)), at)
    }
    return this.#long.subarray(0, length)
  }
}

/** The same file operations, each done at once by a system call. */
export class PlainFile implements WorkloadFile {
  readonly #fd: number
  #size = 0

  /** Creates the file, or empties it. */
  constructor(path: string) {
    this.#fd = fs.openSync(path, 'w+')
  }

  get size(): number {
    return this.#size
  }

  writeSync(bytes: Uint8Array, position: number): number {
    for (let done = 0; done < bytes.length; ) {
      done += fs.writeSync(this.#fd, bytes, done, bytes.length - done, position + done)
    }
    if (bytes.length > 0) this.#size = Math.max(this.#size, position + bytes.length)
    return bytes.length
  }

  readSync(into: Uint8Array, position: number): number {
    let done = 0
    for (let n = -1; n !== 0; done += n) {
      n = fs.readSync(this.#fd, into, done, into.length - done, position + done)
    }
    return done
  }

  /** Does nothing: the system already has all the data. */
  writebackSync(): number {
    return 0
  }

  fsyncSync(): void {
    fs.fsyncSync(this.#fd)
  }

  truncateSync(length: number): void {
    fs.ftruncateSync(this.#fd, length)
    this.#size = length
  }

  closeSync(): void {
    fs.closeSync(this.#fd)
  }
}
