// SPDX-License-Identifier: GPL-2.0-only
// A fault at every position of a pass: in an fsync of 40 extents, each device write goes wrong once.

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { random } from '../lib/cli/workload.js'
import { CachedFile } from '../lib/file/cached_file.js'
import { type Fault, FaultyIO } from './faulty_io.js'
import { PAGE } from './helpers.js'

const EXTENTS = 40
/** Bytes from the start of one extent to the start of the next, including its last page and a hole. */
const STRIDE = 4 * PAGE
/** An extent has one to three pages; the last one ends within its page. */
const extentLength = (n: number) => (1 + (n % 3)) * PAGE - (n === EXTENTS - 1 ? 1000 : 0)
const POSITIONS = Array.from({ length: EXTENTS }, (_, n) => n)

let folder: string
let path: string
let io: FaultyIO
let a: CachedFile
let b: CachedFile
let initial: Uint8Array
let expected: Uint8Array
let dirty: number

beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-faults-'))
  path = join(folder, 'file')
  const next = random(2)
  initial = Uint8Array.from({ length: (EXTENTS - 1) * STRIDE + 77 }, () => next())
  expected = new Uint8Array((EXTENTS - 1) * STRIDE + extentLength(EXTENTS - 1))
  expected.set(initial)
  for (const n of POSITIONS) {
    const at = n * STRIDE
    expected.set(
      Uint8Array.from({ length: extentLength(n) }, () => next()),
      at,
    )
  }
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const extent = (n: number) => expected.subarray(n * STRIDE, n * STRIDE + extentLength(n))
const pages = (n: number) => Math.ceil(extentLength(n) / PAGE)

/** The system error that the call throws, null if it throws none. */
function code(call: () => void): string | null {
  try {
    call()
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
  return null
}

function expectSame(actual: Uint8Array, wanted: Uint8Array): void {
  expect(actual.length).toBe(wanted.length)
  expect(Buffer.compare(actual, wanted)).toBe(0)
}

function read(file: CachedFile): Uint8Array {
  const into = new Uint8Array(file.size)
  file.readSync(into, 0)
  return into
}

/** The file as the device has it. */
const onFile = () => new Uint8Array(fs.readFileSync(path))

/**
 * The file if extent `lost` had not been written, by a pass that went on behind it or (`stopped`) did not.
 */
function without(lost: number, stopped: boolean): Uint8Array {
  const whole = expected.slice()
  for (const n of POSITIONS) {
    if (n !== lost && !(stopped && n > lost)) continue
    whole
      .subarray(n * STRIDE, n * STRIDE + extentLength(n))
      .set(initial.subarray(n * STRIDE, n * STRIDE + extentLength(n)))
  }
  const grown = !stopped && lost !== EXTENTS - 1
  return grown ? whole : whole.slice(0, initial.length)
}

describe('on the TypeScript engine', () => {
  beforeEach(() => {
    fs.writeFileSync(path, initial)
    io = new FaultyIO()
    a = CachedFile.openSync(path, { engine: 'js', lock: false })
    b = CachedFile.openSync(path, { engine: 'js', lock: false })
    for (const n of POSITIONS) a.writeSync(extent(n), n * STRIDE)
    dirty = a.dirtyPages
    expect(dirty).toBe(POSITIONS.reduce((sum, n) => sum + pages(n), 0))
    io.heal()
  })
  afterEach(() => {
    io.restore()
    a.closeSync({ discard: true })
    b.closeSync({ discard: true })
  })

  test('without a fault: one device write per extent', () => {
    a.fsyncSync()
    expect(io.calls).toMatchObject({ writev: EXTENTS, fsync: 1 })
    expectSame(onFile(), expected)
  })

  /** Each handle reports the error once, and the fsync that reports it writes the dirty pages. */
  function expectRecovery(fault: Fault, tellsA: () => void): void {
    expectSame(read(b), expected)
    io.heal()
    tellsA()
    expect(a.dirtyPages).toBe(0)
    expectSame(onFile(), expected)
    expect([code(() => b.fsyncSync()), code(() => b.fsyncSync()), code(() => a.fsyncSync())]).toEqual([
      fault,
      null,
      null,
    ])
    expectSame(onFile(), expected)
  }

  describe.each<Fault>(['EIO', 'ENOSPC'])('%s', (fault) => {
    test.each(POSITIONS)('fsync, write %i', (n) => {
      io.injectAt('writev', n, fault)
      expect(code(() => a.fsyncSync())).toBe(fault)
      expect(io.calls).toMatchObject({ writev: EXTENTS, fsync: 0 })
      expect(a.dirtyPages).toBe(pages(n))
      expectSame(onFile(), without(n, false))
      expectRecovery(fault, () => {
        expect(code(() => a.fsyncSync())).toBe(null)
        expect(io.calls).toMatchObject({ writev: 1, fsync: 1 })
      })
    })

    test.each(POSITIONS)('fsync, write %i, short and then an error', (n) => {
      io.inject((call, i) => (call === 'writev' ? (i === n ? 500 : i === n + 1 ? fault : null) : null))
      expect(code(() => a.fsyncSync())).toBe(fault)
      expect(a.dirtyPages).toBe(pages(n))
      expectRecovery(fault, () => expect(code(() => a.fsyncSync())).toBe(null))
    })

    test.each(POSITIONS)('writeback, write %i', (n) => {
      io.injectAt('writev', n, fault)
      expect(code(() => a.writebackSync())).toBe(fault)
      expect(io.calls.writev).toBe(n + 1)
      expect(a.dirtyPages).toBe(POSITIONS.slice(n).reduce((sum, m) => sum + pages(m), 0))
      expectSame(onFile(), without(n, true))
      expectRecovery(fault, () => {
        expect([code(() => a.fsyncSync()), code(() => a.fsyncSync())]).toEqual([fault, null])
      })
    })

    test("the device's fsync", () => {
      io.injectAt('fsync', 0, fault)
      expect(code(() => a.fsyncSync())).toBe(fault)
      expect(a.dirtyPages).toBe(dirty)
      fs.writeFileSync(path, initial) // the data that the device lost
      expectRecovery(fault, () => expect(code(() => a.fsyncSync())).toBe(null))
    })
  })

  test.each<[string, Fault[]]>([
    ['EINTR', ['EINTR']],
    ['EINTR, twice', ['EINTR', 'EINTR']],
    ['one byte', [1]],
    ['a byte less than a page', [PAGE - 1]],
    ['a page', [PAGE]],
    ['short, EINTR, short', [5, 'EINTR', 7]],
  ])('%s at any write is nobody’s error', (_, faults) => {
    for (const n of POSITIONS) {
      fs.writeFileSync(path, initial)
      for (const m of POSITIONS) a.writeSync(extent(m), m * STRIDE)
      io.inject((call, i) => (call === 'writev' ? (faults[i - n] ?? null) : null))
      expect([code(() => a.fsyncSync()), code(() => b.fsyncSync())]).toEqual([null, null])
      expect(a.dirtyPages).toBe(0)
      expectSame(onFile(), expected)
    }
  })

  test('EINTR of the device’s fsync is nobody’s error', () => {
    io.injectAt('fsync', 0, 'EINTR')
    expect([code(() => a.fsyncSync()), code(() => b.fsyncSync())]).toEqual([null, null])
    expect(io.calls.fsync).toBe(3)
    expectSame(onFile(), expected)
  })

  describe.skipIf(process.platform !== 'linux')('the flush that starts during write-back', () => {
    const MIB = 2 ** 20
    /** Descriptors of the file that this process has open. */
    const descriptors = () =>
      fs.readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return fs.readlinkSync(`/proc/self/fd/${fd}`) === path
        } catch {
          return false
        }
      }).length
    const writeBack = (mebibytes: number) => {
      for (let at = 0; at < mebibytes; at++) a.writeSync(new Uint8Array(MIB).fill(at), at * MIB)
      a.writebackSync(Number.MAX_SAFE_INTEGER)
    }

    test('needs 8 MiB, and a descriptor until it ends', async () => {
      const before = descriptors()
      writeBack(7)
      expect(io.calls.fsync).toBe(0)
      a.fsyncSync()
      expect([io.calls.fsync, descriptors()]).toEqual([1, before])
      io.heal()
      writeBack(9)
      expect([io.calls.fsync, descriptors()]).toEqual([1, before + 1])
      a.closeSync()
      b.closeSync()
      await expect.poll(descriptors).toBe(0)
    })

    test('fails: the fsync of the program reports its own error only', async () => {
      io.injectAt('fsync', 0, 'EIO')
      writeBack(9)
      await new Promise(setImmediate)
      expect(a.dirtyPages).toBe(0)
      expect([code(() => a.fsyncSync()), code(() => b.fsyncSync())]).toEqual([null, null])
      io.injectAt('fsync', 1, 'EIO')
      writeBack(9)
      expect([code(() => a.fsyncSync()), a.dirtyPages]).toEqual(['EIO', (9 * MIB) / PAGE])
      expect([code(() => a.fsyncSync()), code(() => b.fsyncSync())]).toEqual([null, 'EIO'])
    })
  })
})
