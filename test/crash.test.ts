// SPDX-License-Identifier: GPL-2.0-only
// Data for which an fsync returned survives the process. A child works on a file through CachedFile and is
// killed with SIGKILL at a random point. The test then compares the file with the child's reports. The next
// child continues with that file.

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { random } from '../lib/cli/workload.js'
import { engines } from './engines.js'
import { PAGE } from './helpers.js'

const KILLS = Number(process.env.WRITEBACK_ITER_KILLS ?? 210)
/** Children at a time, each on a file of its own. */
const LANES = 2
const OPERATIONS = 120
const MAX_SIZE = 2 ** 19
const MAX_WRITE = 2 ** 16
const DATA_SIZE = 2 ** 20
/** The latest that a child is killed by the clock, in ms from its first report on. */
const MAX_DELAY = 15
/** The latest that a child is killed by device writes. */
const MAX_WRITES = 60

type Operation =
  | { kind: 'write'; position: number; length: number; from: number }
  | { kind: 'truncate'; length: number }
  | { kind: 'writeback'; pages: number }
  /** Bytes `start` to `end`, both included. */
  | { kind: 'fsync'; start: number; end: number }

type Next = () => number

let folder: string
let dataPath: string
/** The source of the bytes of all writes. No byte is 0, so zeros are holes or the result of a truncate. */
let data: Uint8Array

beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-crash-'))
  dataPath = join(folder, 'data')
  const next = random(1)
  data = Uint8Array.from({ length: DATA_SIZE }, () => 1 + (next() % 255))
  fs.writeFileSync(dataPath, data)
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

/** Operations on a file of this size; it stays within MAX_SIZE. */
function makeOperations(next: Next, size: number): Operation[] {
  const below = (limit: number) => next() % limit
  const write = (position: number, length: number): Operation => {
    size = Math.max(size, position + length)
    return { kind: 'write', position, length, from: below(DATA_SIZE - length) }
  }
  const length = (limit: number) =>
    Math.min(limit, [1 + below(300), PAGE, PAGE * (1 + below(16)), 1 + below(MAX_WRITE)][below(4)])
  return Array.from({ length: OPERATIONS }, (): Operation => {
    const choice = below(100)
    if (choice < 35) {
      const position = below(MAX_SIZE)
      return write(position, length(MAX_SIZE - position))
    }
    if (choice < 50) {
      const position = PAGE * below(MAX_SIZE / PAGE)
      return write(position, length(MAX_SIZE - position))
    }
    if (choice < 65 && size < MAX_SIZE) return write(size, length(MAX_SIZE - size))
    if (choice < 75) {
      size = below(4) === 0 ? PAGE * below(MAX_SIZE / PAGE) : below(MAX_SIZE)
      return { kind: 'truncate', length: size }
    }
    if (choice < 88) return { kind: 'writeback', pages: 1 + below(100) }
    if (choice < 94) return { kind: 'fsync', start: 0, end: MAX_SIZE }
    const start = below(MAX_SIZE)
    return { kind: 'fsync', start, end: start + below(MAX_SIZE / 4) }
  })
}

/**
 * The allowed contents of the file. Each byte has the value of the last fsync that returned, or the value of
 * an operation that began after it. Bytes behind the end of the file are zeros. A truncate is on the file
 * when it returns, so it fixes the size, and the contents behind the new end.
 */
class Promises {
  readonly #found: Uint8Array
  readonly #foundSize: number
  /** The file as the child saw it. */
  readonly #current = new Uint8Array(MAX_SIZE)
  /** The bytes found that have the promised value, or a newer one. */
  readonly #good = new Uint8Array(MAX_SIZE)
  /**
   * The pages whose bytes changed since they were promised: promising other pages again would change nothing.
   */
  readonly #loose = new Uint8Array(MAX_SIZE / PAGE).fill(1)
  #size: number
  #sizes: Set<number>

  constructor(before: Uint8Array, found: Uint8Array) {
    this.#current.set(before)
    this.#size = before.length
    this.#foundSize = found.length
    this.#sizes = new Set([before.length])
    this.#found = new Uint8Array(MAX_SIZE)
    this.#found.set(found.subarray(0, MAX_SIZE))
    this.#promise(0, MAX_SIZE)
  }

  begun(operation: Operation): void {
    switch (operation.kind) {
      case 'write': {
        const { position, length, from } = operation
        this.#current.set(data.subarray(from, from + length), position)
        this.#touched(position, position + length)
        const before = this.#size
        this.#size = Math.max(before, position + length)
        // After write-back of only some pages, the file ends with one of them.
        for (let end = Math.ceil(before / PAGE) * PAGE; end < this.#size; end += PAGE) this.#sizes.add(end)
        this.#sizes.add(this.#size)
        break
      }
      case 'truncate':
        if (operation.length < this.#size) {
          this.#current.fill(0, operation.length)
          this.#touched(operation.length, this.#size)
        }
        this.#size = operation.length
        this.#sizes.add(this.#size)
        break
    }
  }

  returned(operation: Operation): void {
    if (operation.kind === 'truncate') {
      this.#promise(operation.length, MAX_SIZE)
      this.#sizes = new Set([this.#size])
    } else if (operation.kind === 'fsync') {
      this.#promise(operation.start, Math.min(operation.end + 1, MAX_SIZE))
      if (operation.start === 0 && operation.end >= this.#size) this.#sizes = new Set([this.#size])
    }
  }

  /** The fault of the file, null if it has none. */
  broken(): string | null {
    if (!this.#sizes.has(this.#foundSize)) {
      return `size ${this.#foundSize}, may be ${[...this.#sizes].slice(0, 20).join()}; last seen ${this.#size}`
    }
    const first = this.#good.indexOf(0)
    if (first === -1) return null
    const count = this.#good.reduce((sum, good) => sum + (1 - good), 0)
    return `${count} bytes from ${first} (page ${Math.floor(first / PAGE)}) on: ${this.#found[first]} is there`
  }

  /** From now on, these bytes must have their present value or a newer one. */
  #promise(start: number, end: number): void {
    for (let at = start; at < end; ) {
      const page = Math.floor(at / PAGE)
      const stop = Math.min(end, (page + 1) * PAGE)
      if (this.#loose[page] === 1) {
        if (stop - at === PAGE) this.#loose[page] = 0
        this.#good.fill(0, at, stop)
        this.#compare(at, stop)
      }
      at = stop
    }
  }

  #touched(start: number, end: number): void {
    this.#loose.fill(1, Math.floor(start / PAGE), Math.ceil(end / PAGE))
    this.#compare(start, end)
  }

  #compare(start: number, end: number): void {
    // A loop over private fields takes five times as long.
    const good = this.#good
    const found = this.#found
    const current = this.#current
    for (let at = start; at < end; at++) if (found[at] === current[at]) good[at] = 1
  }
}

/**
 * Runs a child over the operations, and kills it at a point that `next` picks. Resolves to its reports'
 * number.
 */
function crash(
  next: Next,
  path: string,
  engine: string,
  operations: Operation[],
): Promise<{ killed: boolean; reports: number }> {
  // By the clock, most kills happen in the device's fsync, where the child spends most of its time. By
  // reports, they happen anywhere; by device writes, in the middle of passes.
  const never = Number.POSITIVE_INFINITY
  // The child counts device writes of node:fs.
  const by = (['clock', 'reports', 'writes'] as const)[next() % (engine === 'js' ? 3 : 2)]
  const delay = (next() % (1000 * MAX_DELAY)) / 1000
  const killAt = by === 'reports' ? 1 + (next() % (2 * OPERATIONS)) : never
  const lastWrite = by === 'writes' ? next() % MAX_WRITES : never
  const script = join(__dirname, 'crash_child.mjs')
  const child = spawn(process.execPath, [script, path, engine, dataPath, String(lastWrite)])
  return new Promise((resolve, reject) => {
    let reports = 0
    let complaint = ''
    let timer: NodeJS.Timeout | undefined
    child.stdout.on('data', (chunk: Buffer) => {
      if (reports === 0 && by === 'clock') {
        timer = setTimeout(() => child.kill('SIGKILL'), delay)
      }
      reports += chunk.length
      if (reports >= killAt) child.kill('SIGKILL')
    })
    child.stderr.on('data', (chunk: Buffer) => {
      complaint += chunk
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (signal === 'SIGKILL' || code === 0) resolve({ killed: signal === 'SIGKILL', reports })
      else reject(new Error(`the child ended with ${code ?? signal}: ${complaint}`))
    })
    child.stdin.end(JSON.stringify(operations))
  })
}

test(
  `SIGKILL at ${KILLS} random points: what an fsync returned for is on the file`,
  async () => {
    let kills = 0
    let round = 0
    /** The number of kills, by the operation that the child was in. */
    const landed = { write: 0, truncate: 0, writeback: 0, fsync: 0, between: 0 }
    async function lane(path: string): Promise<void> {
      fs.writeFileSync(path, data.subarray(0, 10 * PAGE + 5))
      while (kills < KILLS) {
        const seed = round++
        const next = random(seed)
        const { engine } = engines[seed % engines.length]
        const before = fs.readFileSync(path)
        const operations = makeOperations(next, before.length)
        const { killed, reports } = await crash(next, path, engine, operations)
        const promises = new Promises(before, fs.readFileSync(path))
        for (let i = 0; 2 * i < reports; i++) {
          promises.begun(operations[i])
          if (2 * i + 1 < reports) promises.returned(operations[i])
        }
        const where = reports % 2 === 1 ? operations[(reports - 1) / 2].kind : 'between'
        const broken = promises.broken()
        if (broken !== null) {
          throw new Error(`seed ${seed}, ${engine}, after ${reports} reports, in ${where}: ${broken}`)
        }
        if (killed) {
          kills++
          landed[where]++
        }
      }
    }
    await Promise.all(Array.from({ length: LANES }, (_, i) => lane(join(folder, `file-${i}`))))
    expect(kills).toBeGreaterThanOrEqual(KILLS)
    expect(landed.fsync).toBeGreaterThan(0)
    expect(landed.writeback).toBeGreaterThan(0)
  },
  1000 * KILLS + 90_000,
)
