// SPDX-License-Identifier: GPL-2.0-only

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { PlainFile, random } from '../lib/cli/workload.js'
import { CachedFile, type CachedFileOptions } from '../lib/file/cached_file.js'
import { ErrorSequence } from '../lib/file/errseq.js'
import { backends } from './backends.js'
import { FaultyIO } from './faulty_io.js'

const { O_RDWR, O_RDONLY, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = fs.constants
const PAGE = 4096
const root = join(__dirname, '..')

let folder: string
let path: string
/** Closed, if it can be, after each test, so that one that fails does not disturb the next. */
let opened: CachedFile[] = []

beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-file-'))
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))
beforeEach(() => {
  path = join(fs.mkdtempSync(join(folder, 't-')), 'file')
})
afterEach(() => {
  for (const file of opened) {
    try {
      file.close()
    } catch {}
  }
  opened = []
})

function open(options?: CachedFileOptions, at = path): CachedFile {
  const file = CachedFile.open(at, options)
  opened.push(file)
  return file
}

/** Bytes that tell where they belong, other ones for each seed. */
function bytes(length: number, seed = 1): Uint8Array {
  const next = random(seed)
  return Uint8Array.from({ length }, () => next() & 0xff)
}

function readAll(file: CachedFile): Uint8Array {
  const into = new Uint8Array(file.size)
  expect(file.read(into, 0)).toBe(file.size)
  return into
}

/** Compares without printing megabytes. */
function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length)
  if (Buffer.compare(actual, expected) === 0) return
  const at = actual.findIndex((byte, i) => byte !== expected[i])
  expect({ at, byte: actual[at] }).toEqual({ at, byte: expected[at] })
}

const onDisk = (at = path) => new Uint8Array(fs.readFileSync(at))
const codeOf = (call: () => unknown): string | undefined => {
  try {
    call()
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
  return undefined
}

describe.each(backends)('CachedFile, $backend', ({ backend }) => {
  describe('against a plain file', () => {
    const SIZE = 3 * 2 ** 20
    const position = fc.oneof(
      fc.nat(SIZE),
      fc.nat(SIZE / PAGE).map((page) => page * PAGE),
      fc.nat(8 * PAGE), // where they meet
    )
    const length = fc.oneof(
      fc.nat(200),
      fc.nat(3 * PAGE),
      fc.constant(PAGE),
      fc.nat(40).map((pages) => pages * PAGE),
      fc.nat(2 ** 20),
    )
    const operation = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({ op: fc.constant('write' as const), position, length, seed: fc.nat() }),
      },
      { weight: 3, arbitrary: fc.record({ op: fc.constant('read' as const), position, length }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('truncate' as const), length: position }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('fsync' as const) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('range' as const), position, length }) },
      {
        weight: 2,
        arbitrary: fc.record({
          op: fc.constant('writeback' as const),
          pages: fc.integer({ min: 1, max: 300 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('reopen' as const) }) },
    )
    /** A pool of random bytes is quicker than new ones for each write. */
    const pool = bytes(2 ** 21)

    test('random writes, reads, truncates and fsyncs', () => {
      let n = 0
      fc.assert(
        fc.property(
          fc.nat(SIZE),
          fc.array(operation, { minLength: 1, maxLength: 40 }),
          (initial, operations) => {
            const cachedPath = join(folder, `cached-${n}`)
            const plainPath = join(folder, `plain-${n++}`)
            fs.writeFileSync(cachedPath, pool.subarray(0, Math.min(initial, pool.length)))
            const plain = new PlainFile(plainPath)
            plain.write(pool.subarray(0, Math.min(initial, pool.length)), 0)
            let file = open({ backend }, cachedPath)
            try {
              for (const step of operations) {
                switch (step.op) {
                  case 'write': {
                    const at = step.seed % 2 ** 20
                    const data = pool.subarray(at, at + step.length)
                    expect(file.write(data, step.position)).toBe(step.length)
                    plain.write(data, step.position)
                    break
                  }
                  case 'read': {
                    const [a, b] = [new Uint8Array(step.length), new Uint8Array(step.length)]
                    const count = plain.read(b, step.position)
                    expect(file.read(a, step.position)).toBe(count)
                    expectBytes(a, b)
                    break
                  }
                  case 'truncate':
                    file.truncate(step.length)
                    plain.truncate(step.length)
                    break
                  case 'fsync':
                    file.fsync()
                    expect(file.dirtyPages).toBe(0)
                    expectBytes(onDisk(cachedPath), onDisk(plainPath))
                    break
                  case 'range': {
                    const start = step.position
                    const end = start + step.length
                    file.fsync({ start, end })
                    // Behind the last page written the file may end, where the cached one has a hole.
                    const expected = onDisk(plainPath).subarray(start, end + 1)
                    const actual = new Uint8Array(expected.length)
                    actual.set(onDisk(cachedPath).subarray(start, end + 1))
                    expectBytes(actual, expected)
                    break
                  }
                  case 'writeback': {
                    const before = file.dirtyPages
                    const written = file.writeback(step.pages)
                    expect(file.dirtyPages).toBe(before - written)
                    break
                  }
                  case 'reopen':
                    file.close()
                    expectBytes(onDisk(cachedPath), onDisk(plainPath))
                    file = open({ backend }, cachedPath)
                    break
                }
                expect(file.size).toBe(plain.size)
              }
              expectBytes(readAll(file), onDisk(plainPath))
              file.close()
              expectBytes(onDisk(cachedPath), onDisk(plainPath))
            } finally {
              plain.close()
              fs.rmSync(plainPath)
              fs.rmSync(cachedPath)
            }
          },
        ),
        { numRuns: 150, seed: 1 },
      )
    })
  })

  describe("the file's end", () => {
    test('a new file: nothing before fsync, the exact bytes after', () => {
      const file = open({ backend })
      file.write(bytes(3 * PAGE + 5), 0)
      expect(file.size).toBe(3 * PAGE + 5)
      expect(onDisk().length).toBe(0)
      file.fsync()
      expectBytes(onDisk(), bytes(3 * PAGE + 5))
    })

    test('holes read as zeros and make the right size', () => {
      const file = open({ backend })
      file.write(bytes(10), 100 * PAGE + 7)
      const expected = new Uint8Array(100 * PAGE + 17)
      expected.set(bytes(10), 100 * PAGE + 7)
      expectBytes(readAll(file), expected)
      file.fsync()
      expectBytes(onDisk(), expected)
      expect(file.stats.bytesWritten).toBe(17)
    })

    test('a write that grows the last page keeps what is before, zeros between', () => {
      fs.writeFileSync(path, bytes(100))
      const file = open({ backend })
      file.write(bytes(5, 2), 200)
      const expected = new Uint8Array(205)
      expected.set(bytes(100))
      expected.set(bytes(5, 2), 200)
      expectBytes(readAll(file), expected)
      file.fsync()
      expectBytes(onDisk(), expected)
    })

    test('truncate sets the size on disk at once', () => {
      const file = open({ backend })
      file.write(bytes(10 * PAGE), 0)
      file.truncate(5 * PAGE + 1)
      expect([file.size, onDisk().length]).toEqual([5 * PAGE + 1, 5 * PAGE + 1])
      file.truncate(20 * PAGE + 3)
      expect([file.size, onDisk().length]).toEqual([20 * PAGE + 3, 20 * PAGE + 3])
      const expected = new Uint8Array(20 * PAGE + 3)
      expected.set(bytes(10 * PAGE).subarray(0, 5 * PAGE + 1))
      expectBytes(readAll(file), expected)
      file.fsync()
      expectBytes(onDisk(), expected)
    })

    test.each([0, 1, PAGE, 100, 3 * PAGE + 5, 16 * PAGE, 17 * PAGE, 200 * PAGE, 255 * PAGE + 1])(
      'what a truncate to %i cut off never comes back, from the middle of a large folio too',
      (length) => {
        const file = open({ backend })
        file.write(bytes(256 * PAGE), 0)
        file.truncate(length)
        expect(file.dirtyPages).toBe(Math.ceil(length / PAGE))
        file.truncate(300 * PAGE)
        file.write(bytes(3, 2), 299 * PAGE)
        const expected = new Uint8Array(300 * PAGE)
        expected.set(bytes(256 * PAGE).subarray(0, length))
        expected.set(bytes(3, 2), 299 * PAGE)
        expectBytes(readAll(file), expected)
        file.fsync()
        expectBytes(onDisk(), expected)
      },
    )

    test('the same with clean pages', () => {
      const file = open({ backend })
      file.write(bytes(64 * PAGE), 0)
      file.fsync()
      file.truncate(20 * PAGE + 9)
      file.truncate(64 * PAGE)
      const expected = new Uint8Array(64 * PAGE)
      expected.set(bytes(64 * PAGE).subarray(0, 20 * PAGE + 9))
      expectBytes(readAll(file), expected)
      file.close()
      expectBytes(onDisk(), expected)
    })

    test('memory that is used again brings nothing of its past', () => {
      fs.writeFileSync(path, bytes(100))
      const file = open({ backend })
      file.write(new Uint8Array(256 * PAGE).fill(255), 16 * PAGE)
      file.truncate(100)
      file.write(bytes(10, 2), 50) // reads 100 bytes of the page
      file.write(bytes(10, 3), 20 * PAGE + 50) // reads none
      file.truncate(40 * PAGE)
      file.write(bytes(10, 4), 3000)
      const expected = new Uint8Array(40 * PAGE)
      expected.set(bytes(100))
      expected.set(bytes(10, 2), 50)
      expected.set(bytes(10, 3), 20 * PAGE + 50)
      expected.set(bytes(10, 4), 3000)
      expectBytes(readAll(file), expected)
      file.fsync()
      expectBytes(onDisk(), expected)
    })

    test('a write of nothing changes nothing, and reads nothing', () => {
      fs.writeFileSync(path, bytes(2 * PAGE))
      const io = new FaultyIO()
      const file = open({ backend, io })
      expect([file.write(new Uint8Array(0), 100), file.write(new Uint8Array(0), 5 * PAGE + 1)]).toEqual([
        0, 0,
      ])
      expect([file.size, file.dirtyPages, io.calls.read]).toEqual([2 * PAGE, 0, 0])
    })

    test('reads stop at the end', () => {
      const file = open({ backend })
      file.write(bytes(10), 0)
      const into = new Uint8Array(20)
      expect([file.read(into, 4), file.read(into, 10), file.read(into, 2 ** 40)]).toEqual([6, 0, 0])
      expectBytes(into, Uint8Array.of(...bytes(10).subarray(4), ...new Uint8Array(14)))
    })

    test('a file of terabytes with little in it', () => {
      const file = open({ backend })
      file.write(bytes(10), 2 ** 42 + 3)
      file.write(bytes(10, 2), 5)
      file.fsync()
      expect(fs.statSync(path).size).toBe(2 ** 42 + 13)
      const fd = fs.openSync(path, 'r')
      const into = new Uint8Array(10)
      fs.readSync(fd, into, 0, 10, 2 ** 42 + 3)
      fs.closeSync(fd)
      expectBytes(into, bytes(10))
    })
  })

  describe('device writes', () => {
    /** Writes single pages in this order and counts. */
    function writePages(file: CachedFile, pages: number[]): void {
      for (const page of pages) file.write(bytes(PAGE, page + 1), page * PAGE)
    }

    test('neighbours go in one vectored write, however they were written', () => {
      const io = new FaultyIO()
      const file = open({ backend, io })
      const pages = Array.from({ length: 1024 }, (_, i) => (i * 367) % 1024)
      writePages(file, pages)
      file.fsync()
      expect(file.stats).toMatchObject({
        passes: 1,
        foliosWritten: 1024,
        pagesWritten: 1024,
        deviceWrites: 1,
        bytesWritten: 1024 * PAGE,
      })
      for (let page = 0; page < 1024; page++) {
        expectBytes(onDisk().subarray(page * PAGE, (page + 1) * PAGE), bytes(PAGE, page + 1))
        if (page === 20) break
      }
    })

    test('of at most 1024 buffers', () => {
      const io = new FaultyIO()
      const file = open({ backend, io })
      // Every other page, so that no two share a buffer; they are extents of one page each, and so are two of three:
      for (let page = 0; page < 3000; page++) if (page % 3 !== 0) file.write(bytes(PAGE, page), page * PAGE)
      file.fsync()
      expect(file.stats.deviceWrites).toBe(1000)
      file.write(bytes(3000 * PAGE), 0)
      file.fsync()
      expect(file.stats.deviceWrites).toBe(1003)
      expect(Math.max(...io.buffers)).toBeLessThanOrEqual(1024)
    })

    test('writeback takes about as many pages as asked for, and goes on where it stopped', () => {
      const file = open({ backend })
      writePages(file, [...Array(100).keys()])
      expect(file.writeback(30)).toBe(30)
      expect(onDisk().length).toBe(30 * PAGE)
      writePages(file, [0])
      expect(file.writeback(30)).toBe(30)
      expect(onDisk().length).toBe(60 * PAGE)
      expect(file.writeback()).toBe(40)
      expect(file.dirtyPages).toBe(1)
      expect(file.writeback()).toBe(1) // a cyclic pass ended at the end of the file: this one starts over
      expect(file.writeback()).toBe(0)
    })

    test('fsync of a range writes the pages that it touches, both ends included', () => {
      const file = open({ backend })
      writePages(file, [...Array(10).keys()])
      file.fsync({ start: 2 * PAGE - 1, end: 4 * PAGE })
      expect([file.stats.pagesWritten, file.dirtyPages]).toEqual([4, 6])
      file.fsync({ end: 0 })
      expect(file.stats.pagesWritten).toBe(5)
      file.fsync({ start: 9 * PAGE })
      expect(file.stats.pagesWritten).toBe(6)
      file.fsync()
      expect(file.stats.pagesWritten).toBe(10)
    })

    test('large writes make large folios', () => {
      const file = open({ backend })
      file.write(bytes(2 ** 20), PAGE) // from page 1: 1, 2, 4 … pages, then 1 at the end
      file.fsync()
      expect(file.stats).toMatchObject({ foliosWritten: 9, pagesWritten: 256, deviceWrites: 1 })
    })

    test('… only where nothing is cached yet', () => {
      const file = open({ backend })
      writePages(file, [5])
      file.write(bytes(16 * PAGE), 0)
      file.fsync()
      // 0-3, 4, 5, 6-7, 8-15
      expect(file.stats).toMatchObject({ foliosWritten: 5, pagesWritten: 16, deviceWrites: 1 })
      expectBytes(onDisk(), bytes(16 * PAGE))
    })

    test('a small write into a large folio writes its own pages back, not the folio', () => {
      const file = open({ backend })
      file.write(bytes(2 ** 21), 0)
      file.fsync()
      const before = file.stats
      writePages(file, [3, 4, 100])
      file.fsync()
      const { foliosWritten, pagesWritten, deviceWrites } = file.stats
      expect(foliosWritten - before.foliosWritten).toBe(1)
      expect(pagesWritten - before.pagesWritten).toBe(3)
      expect(deviceWrites - before.deviceWrites).toBe(2)
    })

    test('an fsync with nothing dirty writes nothing', () => {
      const file = open({ backend })
      file.write(bytes(10), 0)
      file.fsync()
      file.fsync()
      expect(file.stats).toMatchObject({ deviceWrites: 1, passes: 2 })
    })
  })

  describe('read-modify-write', () => {
    test.each([
      ['the middle of a page', PAGE + 10, 20, 1],
      ['the begin of a page', PAGE, 20, 1],
      ['the end of a page', PAGE + 20, PAGE - 20, 1],
      ['a whole page', PAGE, PAGE, 0],
      ['three pages and a bit at each end', 2 * PAGE - 1, 3 * PAGE + 2, 2],
      ['over the end of the file, from a page boundary', 5 * PAGE, PAGE, 0],
      ["just the last page's bytes", 5 * PAGE, 100, 0],
      ["not quite the last page's bytes", 5 * PAGE, 99, 1],
      ['behind the end, in its page', 5 * PAGE + 200, 100, 1],
      ['behind the end', 6 * PAGE + 1, 100, 0],
    ])('%s: %#', (_, position, length, reads) => {
      const before = bytes(5 * PAGE + 100)
      fs.writeFileSync(path, before)
      const io = new FaultyIO()
      const file = open({ backend, io })
      file.write(bytes(length, 2), position)
      expect(io.calls.read).toBe(reads)
      const expected = new Uint8Array(Math.max(before.length, position + length))
      expected.set(before)
      expected.set(bytes(length, 2), position)
      expectBytes(readAll(file), expected)
      file.fsync()
      expectBytes(onDisk(), expected)
    })

    test('a page that cannot be read: the write throws and nothing has changed', () => {
      fs.writeFileSync(path, bytes(3 * PAGE))
      const io = new FaultyIO()
      const file = open({ backend, io })
      for (const n of [0, 1]) {
        io.injectAt('read', n, 'EIO')
        expect(codeOf(() => file.write(bytes(2 * PAGE, 2), 100))).toBe('EIO')
        expect(file.dirtyPages).toBe(0)
        expectBytes(readAll(file), bytes(3 * PAGE))
      }
      file.write(bytes(2 * PAGE, 2), 100)
      file.fsync()
      const expected = bytes(3 * PAGE)
      expected.set(bytes(2 * PAGE, 2), 100)
      expectBytes(onDisk(), expected)
    })

    test('short and interrupted reads go on', () => {
      fs.writeFileSync(path, bytes(3 * PAGE))
      const io = new FaultyIO()
      const file = open({ backend, io })
      io.inject((call, n) => (call === 'read' ? (n % 2 === 0 ? 'EINTR' : 700) : null))
      file.write(bytes(1), 5)
      const expected = bytes(3 * PAGE)
      expected.set(bytes(1), 5)
      expectBytes(readAll(file), expected)
    })
  })

  describe('faults', () => {
    // Six runs of neighbours with holes between: single pages, a large folio with clean pages in its middle (two runs),
    // one over the end of a window.
    const RUNS = 6
    const SIZE = 60 * PAGE + 77

    function prepare(): { file: CachedFile; io: FaultyIO; expected: Uint8Array } {
      fs.writeFileSync(path, bytes(SIZE))
      const io = new FaultyIO()
      const file = open({ backend, io })
      const expected = bytes(SIZE)
      const write = (position: number, length: number, seed: number) => {
        file.write(bytes(length, seed), position)
        expected.set(bytes(length, seed), position)
      }
      write(32 * PAGE, 16 * PAGE, 2)
      file.fsync()
      write(0, 100, 3)
      write(2 * PAGE, PAGE, 4)
      write(3 * PAGE, PAGE, 5)
      write(14 * PAGE + 1, 3 * PAGE, 6)
      write(33 * PAGE, PAGE, 7)
      write(36 * PAGE + 5, PAGE, 8)
      write(60 * PAGE, 77, 9)
      io.heal()
      return { file, io, expected }
    }

    test('the scenario has its runs', () => {
      const { file, io, expected } = prepare()
      file.fsync()
      expect(io.calls).toMatchObject({ writev: RUNS, fsync: 1 })
      expectBytes(onDisk(), expected)
    })

    const positions = [...Array(RUNS).keys()]
    test.each(positions)('short writes at position %i', (n) => {
      for (const fault of [1, 76, 4095, 4096, 4097, 'EINTR'] as const) {
        const { file, io, expected } = prepare()
        io.injectAt('writev', n, fault)
        file.fsync()
        expect(file.dirtyPages).toBe(0)
        expectBytes(onDisk(), expected)
        file.close()
      }
    })

    test('every write short, down to a byte, and interrupted', () => {
      const { file, io, expected } = prepare()
      io.inject((call, n) =>
        call === 'writev' || call === 'fsync' ? (n % 2 === 0 ? 'EINTR' : 1 + (n % 900)) : null,
      )
      file.fsync()
      expectBytes(onDisk(), expected)
    })

    test.each(positions)('an error at position %i: reported, still dirty, written by the next fsync', (n) => {
      for (const code of ['EIO', 'ENOSPC', 'EDQUOT', 'EFBIG'] as const) {
        const { file, io, expected } = prepare()
        const dirty = file.dirtyPages
        io.injectAt('writev', n, code)
        expect(() => file.fsync()).toThrow(expect.objectContaining({ code, syscall: 'fsync', path }))
        // WB_SYNC_ALL goes on to the end, but not with the second run of a folio whose first one failed.
        expect(io.calls).toMatchObject({ writev: n === 3 ? RUNS - 1 : RUNS, fsync: 0 })
        expect(file.dirtyPages).toBeGreaterThan(0)
        expect(file.dirtyPages).toBeLessThan(dirty)
        expectBytes(readAll(file), expected)
        file.fsync()
        expect(file.dirtyPages).toBe(0)
        expectBytes(onDisk(), expected)
        file.fsync()
        file.close()
      }
    })

    test.each(positions)('an error after a short write at position %i', (n) => {
      const { file, io, expected } = prepare()
      io.inject((call, i) => (call === 'writev' ? (i === n ? 50 : i === n + 1 ? 'ENOSPC' : null) : null))
      expect(codeOf(() => file.fsync())).toBe('ENOSPC')
      expect(file.dirtyPages).toBeGreaterThan(0)
      expectBytes(readAll(file), expected)
      file.fsync()
      expectBytes(onDisk(), expected)
    })

    test.each(positions)('an error of background write-back at position %i waits for fsync', (n) => {
      const { file, io, expected } = prepare()
      io.injectAt('writev', n, 'EIO')
      file.writeback()
      expect(io.calls.writev).toBe(n + 1) // WB_SYNC_NONE stops there
      io.heal()
      expect(codeOf(() => file.fsync())).toBe('EIO') // of before, though all is written now
      expect(file.dirtyPages).toBe(0)
      expectBytes(onDisk(), expected)
      file.fsync()
    })

    test('a device that takes nothing', () => {
      const { file, io, expected } = prepare()
      const dirty = file.dirtyPages
      io.inject((call) => (call === 'writev' ? 'ENOSPC' : null))
      for (let i = 0; i < 3; i++) expect(codeOf(() => file.fsync())).toBe('ENOSPC')
      expect(file.dirtyPages).toBe(dirty)
      io.inject((call) => (call === 'writev' ? 0 : null)) // which write(2) never does
      expect(codeOf(() => file.fsync())).toBe('EIO')
      expect(file.dirtyPages).toBe(dirty)
      io.heal()
      file.fsync()
      expectBytes(onDisk(), expected)
    })

    test("the descriptor's fsync fails: all since the last one is dirty again", () => {
      const { file, io, expected } = prepare()
      const dirty = file.dirtyPages
      file.writeback(2)
      const before = file.stats.pagesWritten
      io.injectAt('fsync', 0, 'EIO')
      expect(codeOf(() => file.fsync())).toBe('EIO')
      expect(file.dirtyPages).toBe(dirty)
      // The device lost it.
      fs.writeFileSync(path, bytes(SIZE), { flag: 'r+' })
      file.fsync()
      expect(file.stats.pagesWritten - before).toBeGreaterThanOrEqual(dirty)
      const lost = bytes(SIZE).subarray(32 * PAGE, 48 * PAGE) // synced before, and lost by this test, not by the device
      expected.set(lost.subarray(0, PAGE), 32 * PAGE)
      expected.set(lost.subarray(2 * PAGE, 4 * PAGE), 34 * PAGE)
      expected.set(lost.subarray(6 * PAGE), 38 * PAGE)
      expectBytes(onDisk(), expected)
      file.fsync()
      expect(file.dirtyPages).toBe(0)
    })

    test('… but not what was truncated since', () => {
      const { file, io } = prepare()
      file.writeback()
      file.truncate(PAGE)
      io.injectAt('fsync', 0, 'EIO')
      expect(codeOf(() => file.fsync())).toBe('EIO')
      expect(file.dirtyPages).toBe(1)
      file.fsync()
      expect(onDisk().length).toBe(PAGE)
    })

    test('ftruncate fails: nothing has changed', () => {
      const { file, io, expected } = prepare()
      const dirty = file.dirtyPages
      io.inject((call, n) => (call === 'ftruncate' ? (n === 0 ? 'EINTR' : 'EIO') : null))
      expect(codeOf(() => file.truncate(5))).toBe('EIO')
      expect([file.size, file.dirtyPages]).toEqual([SIZE, dirty])
      file.fsync()
      expectBytes(onDisk(), expected)
    })

    test('what is no error of the system goes through, and the pages stay dirty', () => {
      const { file, io, expected } = prepare()
      const dirty = file.dirtyPages
      io.inject((call) => {
        if (call === 'writev') throw new TypeError('a bug')
        return null
      })
      expect(() => file.fsync()).toThrow(new TypeError('a bug'))
      expect(() => file.writeback()).toThrow(new TypeError('a bug'))
      expect(file.dirtyPages).toBe(dirty)
      io.heal()
      file.fsync()
      expectBytes(onDisk(), expected)
    })
  })

  describe('handles of one file', () => {
    test('share the cache, by device and inode', () => {
      const a = open({ backend })
      fs.linkSync(path, `${path}-link`)
      const b = open({ backend }, `${path}-link`)
      const c = open({ backend }, join(path, '../file'))
      a.write(bytes(10), 0)
      expect([b.size, c.size, b.dirtyPages]).toEqual([10, 10, 1])
      expectBytes(readAll(b), bytes(10))
      b.truncate(4)
      expect(c.size).toBe(4)
      c.fsync()
      expect(a.dirtyPages).toBe(0)
    })

    test('each error is reported once to each that was open', () => {
      const io = new FaultyIO()
      const [a, b, c] = [open({ backend, io }), open({ backend, io }), open({ backend, io })]
      a.write(bytes(10), 0)
      io.injectAt('writev', 0, 'EIO')
      expect(codeOf(() => a.fsync())).toBe('EIO')
      expect(codeOf(() => a.fsync())).toBe(undefined)
      expect(codeOf(() => b.fsync())).toBe('EIO')
      expect(codeOf(() => b.fsync())).toBe(undefined)
      b.write(bytes(10), 0)
      io.injectAt('writev', 0, 'ENOSPC')
      expect(codeOf(() => b.fsync())).toBe('ENOSPC')
      expect(codeOf(() => a.fsync())).toBe('ENOSPC')
      expect(codeOf(() => c.fsync())).toBe('ENOSPC') // the last of the two
      expect(codeOf(() => c.fsync())).toBe(undefined)
    })

    test('one opened later hears of it only if nobody had', () => {
      const io = new FaultyIO()
      const a = open({ backend, io })
      a.write(bytes(10), 0)
      io.injectAt('writev', 0, 'EIO')
      expect(a.writeback()).toBe(0)
      const b = open({ backend, io })
      expect(codeOf(() => b.fsync())).toBe('EIO')
      const c = open({ backend, io })
      expect(codeOf(() => c.fsync())).toBe(undefined)
      expect(codeOf(() => a.fsync())).toBe('EIO')
      expect(onDisk().length).toBe(10)
    })

    test('on one backend: another is refused, none named takes what there is', () => {
      const a = open({ backend })
      const other = backend === 'js' ? 'native' : 'js'
      if (backends.length > 1) {
        expect(() => open({ backend: other })).toThrow(
          expect.objectContaining({ code: 'EBUSY', message: expect.stringContaining(backend) }),
        )
      }
      expect(open().backend).toBe(backend)
      a.close()
    })
  })

  describe('close', () => {
    test('the last handle writes back, without an fsync; the others do not', () => {
      const io = new FaultyIO()
      const [a, b] = [open({ backend, io }), open({ backend, io })]
      a.write(bytes(PAGE + 1), 0)
      a.close()
      expect(onDisk().length).toBe(0)
      b.close()
      expectBytes(onDisk(), bytes(PAGE + 1))
      expect(io.calls.fsync).toBe(0)
    })

    test('where that fails it throws, and the handle stays open', () => {
      const io = new FaultyIO()
      const file = open({ backend, io })
      file.write(bytes(10), 0)
      io.inject((call) => (call === 'writev' ? 'ENOSPC' : null))
      expect(() => file.close()).toThrow(expect.objectContaining({ code: 'ENOSPC', syscall: 'close', path }))
      expect(codeOf(() => file.close())).toBe('ENOSPC')
      expectBytes(readAll(file), bytes(10))
      io.heal()
      file.fsync() // it was reported
      file.close()
      expectBytes(onDisk(), bytes(10))
    })

    test('… until it works, or the data is given up', () => {
      const io = new FaultyIO()
      const file = open({ backend, io })
      file.write(bytes(10), 0)
      io.inject((call) => (call === 'writev' ? 'ENOSPC' : null))
      expect(codeOf(() => file.close())).toBe('ENOSPC')
      file.truncate(0)
      file.close()
      expect(onDisk().length).toBe(0)
    })

    test('a second close does nothing; everything else throws EBADF', () => {
      const file = open({ backend })
      const keep = open({ backend })
      file.close()
      file.close()
      const calls: (() => unknown)[] = [
        () => file.write(bytes(1), 0),
        () => file.read(new Uint8Array(1), 0),
        () => file.fsync(),
        () => file.writeback(),
        () => file.truncate(0),
        () => file.size,
        () => file.dirtyPages,
        () => file.stats,
        () => file.backend,
      ]
      for (const call of calls) {
        expect(call).toThrow(expect.objectContaining({ name: 'WritebackError', code: 'EBADF' }))
      }
      expect(keep.size).toBe(0)
    })

    test('Symbol.dispose closes', () => {
      const file = open({ backend })
      file.write(bytes(10), 0)
      file[Symbol.dispose]()
      expect(onDisk().length).toBe(10)
      expect(codeOf(() => file.size)).toBe('EBADF')
    })

    test('a file opened again has forgotten errors and counts', () => {
      const io = new FaultyIO()
      const file = open({ backend, io })
      file.write(bytes(10), 0)
      io.injectAt('writev', 0, 'EIO')
      file.writeback()
      file.close() // written now
      const again = open({ backend })
      again.fsync()
      expect(again.stats.deviceWrites).toBe(0)
    })
  })

  describe('open', () => {
    const descriptors = () => fs.readdirSync('/proc/self/fd').length

    test('creates the file with its mode, and takes one that is there as it is', () => {
      open({ backend, mode: 0o600 }).close()
      expect(fs.statSync(path).mode & 0o777).toBe(0o600)
      fs.writeFileSync(path, bytes(10))
      const file = open({ backend })
      expect(file.size).toBe(10)
      expectBytes(readAll(file), bytes(10))
    })

    test('flags as of open(2)', () => {
      expect(codeOf(() => open({ backend, flags: O_RDWR }))).toBe('ENOENT')
      open({ backend, flags: O_RDWR | O_CREAT | O_EXCL })
      expect(codeOf(() => open({ backend, flags: O_RDWR | O_CREAT | O_EXCL }))).toBe('EEXIST')
    })

    test('O_TRUNC empties it for every handle', () => {
      const a = open({ backend })
      a.write(bytes(3 * PAGE), 0)
      a.fsync()
      a.write(bytes(10), 0)
      const b = open({ backend, flags: O_RDWR | O_TRUNC })
      expect([a.size, a.dirtyPages, b.size, onDisk().length]).toEqual([0, 0, 0, 0])
    })

    test("the system's errors", () => {
      const before = descriptors()
      expect(codeOf(() => open({ backend }, folder))).toBe('EISDIR')
      expect(codeOf(() => open({ backend }, join(path, 'x/y')))).toBe('ENOENT')
      expect(descriptors()).toBe(before)
    })

    test('a failed O_TRUNC leaves nothing open', () => {
      const before = descriptors()
      const io = new FaultyIO()
      io.injectAt('ftruncate', 0, 'EIO')
      expect(codeOf(() => open({ backend, io, flags: O_RDWR | O_CREAT | O_TRUNC }))).toBe('EIO')
      expect(descriptors()).toBe(before)
    })

    test('only regular files', () => {
      const before = descriptors()
      expect(() => open({ backend }, '/dev/null')).toThrow('EINVAL: "/dev/null" is no regular file')
      expect(descriptors()).toBe(before)
    })

    test('descriptors: one a file, whatever the number of handles', () => {
      const before = descriptors()
      const files = [open({ backend }), open({ backend }), open({ backend })]
      expect(descriptors()).toBe(before + 1)
      for (const file of files) file.close()
      expect(descriptors()).toBe(before)
    })
  })

  describe('bad arguments', () => {
    const bad = (value: unknown) => value as never
    let file: CachedFile
    beforeEach(() => {
      file = open({ backend })
      file.write(bytes(10), 0)
    })

    test.each<[string, () => unknown]>([
      ['path is 5', () => CachedFile.open(bad(5))],
      ['path is ""', () => CachedFile.open('')],
      ['path is "a\\u0000b"', () => CachedFile.open('a\0b')],
      ['options is null', () => CachedFile.open(path, bad(null))],
      ['backend is "c"', () => CachedFile.open(path, { backend: bad('c') })],
      [`flags is ${O_RDONLY}`, () => CachedFile.open(path, { flags: O_RDONLY })],
      [`flags is ${O_RDWR | O_APPEND}`, () => CachedFile.open(path, { flags: O_RDWR | O_APPEND })],
      ['flags is "r+"', () => CachedFile.open(path, { flags: bad('r+') })],
      ['mode is -1', () => CachedFile.open(path, { mode: -1 })],
      ['mode is 4096', () => CachedFile.open(path, { mode: 0o10000 })],
      ['bytes is "abc"', () => file.write(bad('abc'), 0)],
      ['bytes is an object', () => file.write(bad([1, 2]), 0)],
      ['position is -1', () => file.write(bytes(1), -1)],
      ['position is 0.5', () => file.write(bytes(1), 0.5)],
      ['position is NaN', () => file.write(bytes(1), Number.NaN)],
      ['position is 9007199254740992', () => file.write(bytes(1), 2 ** 53)],
      ['position is 9007199254740991', () => file.write(bytes(1), 2 ** 53 - 1)],
      ['position is 5n', () => file.write(bytes(1), bad(5n))],
      ['position is undefined', () => file.write(bytes(1), bad(undefined))],
      ['into is null', () => file.read(bad(null), 0)],
      ['position is Infinity', () => file.read(bytes(1), Number.POSITIVE_INFINITY)],
      ['range is null', () => file.fsync(bad(null))],
      ['start is -1', () => file.fsync({ start: -1 })],
      ['end is 0.1', () => file.fsync({ end: 0.1 })],
      ['end is 4', () => file.fsync({ start: 5, end: 4 })],
      ['nrToWrite is 0', () => file.writeback(0)],
      ['nrToWrite is 1.5', () => file.writeback(1.5)],
      ['nrToWrite is "all"', () => file.writeback(bad('all'))],
      ['length is -5', () => file.truncate(-5)],
      ['length is undefined', () => file.truncate(bad(undefined))],
    ])('%s', (message, call) => {
      expect(call).toThrow(
        expect.objectContaining({
          name: 'WritebackError',
          code: 'EINVAL',
          message: expect.stringContaining(`EINVAL: ${message}`),
        }),
      )
      expect([file.size, file.dirtyPages]).toEqual([10, 1])
    })
  })

  describe('a full device', () => {
    test('RLIMIT_FSIZE: EFBIG, and all is there once the limit is gone', () => {
      const entry = join(root, 'dist/file/index.js')
      if (!fs.existsSync(entry)) throw new Error('dist/file/index.js is not built: npm run build:ts')
      const script = `
        const { CachedFile } = require(${JSON.stringify(entry)})
        const { execFileSync } = require('node:child_process')
        const file = CachedFile.open(${JSON.stringify(path)}, { backend: ${JSON.stringify(backend)} })
        const data = Buffer.alloc(2 ** 20, 'some data ')
        file.write(data, 0)
        const codes = []
        for (let i = 0; i < 2; i++) try { file.fsync() } catch (error) { codes.push(error.code) }
        try { file.close() } catch (error) { codes.push(error.code) }
        execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=unlimited'])
        file.fsync()
        file.close()
        console.log(codes.join())`
      const { stdout, stderr, status } = spawnSync(
        'bash',
        ['-c', 'ulimit -S -f 256; exec "$0" -e "$1"', process.execPath, script],
        {
          encoding: 'utf8',
        },
      )
      expect({ stdout, stderr, status }).toEqual({ stdout: 'EFBIG,EFBIG,EFBIG\n', stderr: '', status: 0 })
      expectBytes(onDisk(), Buffer.alloc(2 ** 20, 'some data '))
    })

    test('a small tmpfs: ENOSPC, and all is there once it has grown', ({ skip }) => {
      const mount = join(folder, `tmpfs-${backend}`)
      fs.mkdirSync(mount)
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]).status !== 0) {
        skip('mounting a tmpfs needs root')
      }
      try {
        const file = open({ backend }, join(mount, 'file'))
        const data = bytes(2 ** 20 + 5 * PAGE + 3)
        file.write(data, 0)
        expect(codeOf(() => file.fsync())).toBe('ENOSPC')
        expect(codeOf(() => file.close())).toBe('ENOSPC')
        expect(file.dirtyPages).toBeGreaterThan(0)
        expectBytes(readAll(file), data)
        expect(spawnSync('mount', ['-o', 'remount,size=4m', mount]).status).toBe(0)
        file.fsync()
        file.close()
        expectBytes(onDisk(join(mount, 'file')), data)
      } finally {
        for (const file of opened) file.close()
        spawnSync('umount', [mount])
      }
    })
  })
})

describe('errseq_t', () => {
  test('an error is reported once to each cursor of before', () => {
    const errors = new ErrorSequence()
    const [a, b] = [errors.sample(), errors.sample()]
    expect(errors.checkAndAdvance(a)).toEqual({ errno: 0, cursor: a })
    errors.set(-5)
    const seen = errors.checkAndAdvance(a)
    expect(seen.errno).toBe(-5)
    expect(errors.checkAndAdvance(seen.cursor).errno).toBe(0)
    expect(errors.checkAndAdvance(b).errno).toBe(-5)
  })

  test('the same error again is another one, if the first was seen', () => {
    const errors = new ErrorSequence()
    errors.set(-5)
    const first = errors.checkAndAdvance(0)
    errors.set(-5)
    const second = errors.checkAndAdvance(first.cursor)
    expect(second.errno).toBe(-5)
    expect(second.cursor).not.toBe(first.cursor)
    errors.set(-5)
    errors.set(-28) // nobody saw -5
    expect(errors.checkAndAdvance(second.cursor).errno).toBe(-28)
  })

  test('a sample hides only what was seen', () => {
    const errors = new ErrorSequence()
    errors.set(-28)
    expect(errors.checkAndAdvance(errors.sample()).errno).toBe(-28)
    expect(errors.checkAndAdvance(errors.sample()).errno).toBe(0)
  })

  test.each([0, 5, -4096, -1.5])('%d is no errno', (errno) => {
    expect(() => new ErrorSequence().set(errno)).toThrow(RangeError)
  })
})
