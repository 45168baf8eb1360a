// SPDX-License-Identifier: GPL-2.0-only

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CachedFile, type CachedFileOptions } from '../lib/file/cached_file.js'
import { ErrorSequence } from '../lib/file/js/errseq.js'
import { engines } from './engines.js'
import { FaultyIO } from './faulty_io.js'
import { bytes, expectBytes, limitFileSize, PAGE } from './file_helpers.js'

const { O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = fs.constants
const root = join(__dirname, '..')

let folder: string
let path: string
/**
 * The handles of a test, closed after it where possible, so that a failed test does not disturb the next one.
 */
let opened: CachedFile[] = []
let faults: FaultyIO[] = []

function faulty(): FaultyIO {
  const io = new FaultyIO()
  faults.push(io)
  return io
}

beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-file-'))
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))
beforeEach(() => {
  path = join(fs.mkdtempSync(join(folder, 't-')), 'file')
})
afterEach(() => {
  limitFileSize('unlimited')
  for (const io of faults) io.restore()
  faults = []
  for (const file of opened) file.closeSync({ discard: true })
  opened = []
})

function open(options?: CachedFileOptions, at = path): CachedFile {
  const file = CachedFile.openSync(at, { lock: false, ...options })
  opened.push(file)
  return file
}

function readAll(file: CachedFile): Uint8Array {
  const into = new Uint8Array(file.size)
  expect(file.readSync(into, 0)).toBe(file.size)
  return into
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

describe.each(engines)('CachedFile, $engine', ({ engine }) => {
  /** Whether the engine does its I/O by node:fs, where `faulty()` reaches it. */
  const onFs = engine === 'js'

  describe("the file's end", () => {
    test('a new file: nothing before fsync, the exact bytes after', () => {
      const file = open({ engine })
      file.writeSync(bytes(3 * PAGE + 5), 0)
      expect(file.size).toBe(3 * PAGE + 5)
      expect(onDisk().length).toBe(0)
      file.fsyncSync()
      expectBytes(onDisk(), bytes(3 * PAGE + 5))
    })

    test('holes read as zeros and make the right size', () => {
      const file = open({ engine })
      file.writeSync(bytes(10), 100 * PAGE + 7)
      const expected = new Uint8Array(100 * PAGE + 17)
      expected.set(bytes(10), 100 * PAGE + 7)
      expectBytes(readAll(file), expected)
      file.fsyncSync()
      expectBytes(onDisk(), expected)
      expect(file.stats.bytesWritten).toBe(17)
    })

    test('a write that grows the last page keeps what is before, zeros between', () => {
      fs.writeFileSync(path, bytes(100))
      const file = open({ engine })
      file.writeSync(bytes(5, 2), 200)
      const expected = new Uint8Array(205)
      expected.set(bytes(100))
      expected.set(bytes(5, 2), 200)
      expectBytes(readAll(file), expected)
      file.fsyncSync()
      expectBytes(onDisk(), expected)
    })

    test('truncate sets the size on disk at once', () => {
      const file = open({ engine })
      file.writeSync(bytes(10 * PAGE), 0)
      file.truncateSync(5 * PAGE + 1)
      expect([file.size, onDisk().length]).toEqual([5 * PAGE + 1, 5 * PAGE + 1])
      file.truncateSync(20 * PAGE + 3)
      expect([file.size, onDisk().length]).toEqual([20 * PAGE + 3, 20 * PAGE + 3])
      const expected = new Uint8Array(20 * PAGE + 3)
      expected.set(bytes(10 * PAGE).subarray(0, 5 * PAGE + 1))
      expectBytes(readAll(file), expected)
      file.fsyncSync()
      expectBytes(onDisk(), expected)
    })

    test.each([0, 1, PAGE, 100, 3 * PAGE + 5, 16 * PAGE, 17 * PAGE, 200 * PAGE, 255 * PAGE + 1])(
      'what a truncate to %i cut off never comes back, from the middle of a large folio too',
      (length) => {
        const file = open({ engine })
        file.writeSync(bytes(256 * PAGE), 0)
        file.truncateSync(length)
        expect(file.dirtyPages).toBe(Math.ceil(length / PAGE))
        file.truncateSync(300 * PAGE)
        file.writeSync(bytes(3, 2), 299 * PAGE)
        const expected = new Uint8Array(300 * PAGE)
        expected.set(bytes(256 * PAGE).subarray(0, length))
        expected.set(bytes(3, 2), 299 * PAGE)
        expectBytes(readAll(file), expected)
        file.fsyncSync()
        expectBytes(onDisk(), expected)
      },
    )

    test('the same with clean pages', () => {
      const file = open({ engine })
      file.writeSync(bytes(64 * PAGE), 0)
      file.fsyncSync()
      file.truncateSync(20 * PAGE + 9)
      file.truncateSync(64 * PAGE)
      const expected = new Uint8Array(64 * PAGE)
      expected.set(bytes(64 * PAGE).subarray(0, 20 * PAGE + 9))
      expectBytes(readAll(file), expected)
      file.closeSync()
      expectBytes(onDisk(), expected)
    })

    test('memory that is used again brings nothing of its past', () => {
      fs.writeFileSync(path, bytes(100))
      const file = open({ engine })
      file.writeSync(new Uint8Array(256 * PAGE).fill(255), 16 * PAGE)
      file.truncateSync(100)
      file.writeSync(bytes(10, 2), 50) // reads 100 bytes of the page
      file.writeSync(bytes(10, 3), 20 * PAGE + 50) // reads none
      file.truncateSync(40 * PAGE)
      file.writeSync(bytes(10, 4), 3000)
      const expected = new Uint8Array(40 * PAGE)
      expected.set(bytes(100))
      expected.set(bytes(10, 2), 50)
      expected.set(bytes(10, 3), 20 * PAGE + 50)
      expected.set(bytes(10, 4), 3000)
      expectBytes(readAll(file), expected)
      file.fsyncSync()
      expectBytes(onDisk(), expected)
    })

    test('a write of nothing changes nothing, and reads nothing', () => {
      fs.writeFileSync(path, bytes(2 * PAGE))
      const file = open({ engine })
      expect([
        file.writeSync(new Uint8Array(0), 100),
        file.writeSync(new Uint8Array(0), 5 * PAGE + 1),
      ]).toEqual([0, 0])
      expect([file.size, file.dirtyPages, file.stats.deviceReads]).toEqual([2 * PAGE, 0, 0])
    })

    test('reads stop at the end', () => {
      const file = open({ engine })
      file.writeSync(bytes(10), 0)
      const into = new Uint8Array(20)
      expect([file.readSync(into, 4), file.readSync(into, 10), file.readSync(into, 2 ** 40)]).toEqual([
        6, 0, 0,
      ])
      expectBytes(into, Uint8Array.of(...bytes(10).subarray(4), ...new Uint8Array(14)))
    })

    test('a file of terabytes with little in it', () => {
      const file = open({ engine })
      file.writeSync(bytes(10), 2 ** 42 + 3)
      file.writeSync(bytes(10, 2), 5)
      file.fsyncSync()
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
      for (const page of pages) file.writeSync(bytes(PAGE, page + 1), page * PAGE)
    }

    test('neighbours go in one vectored write, however they were written', () => {
      const file = open({ engine })
      const pages = Array.from({ length: 1024 }, (_, i) => (i * 367) % 1024)
      writePages(file, pages)
      file.fsyncSync()
      expect(file.stats).toMatchObject({
        passes: 1,
        foliosWritten: 1024,
        pagesWritten: 1024,
        deviceWrites: 4, // 1 MiB each
        bytesWritten: 1024 * PAGE,
      })
      for (let page = 0; page < 1024; page++) {
        expectBytes(onDisk().subarray(page * PAGE, (page + 1) * PAGE), bytes(PAGE, page + 1))
        if (page === 20) break
      }
    })

    test.runIf(onFs)('of at most 1024 buffers', () => {
      const io = faulty()
      const file = open({ engine })
      // Every other page, so that no two share a buffer; they are extents of one page each, and so are two of
      // three:
      for (let page = 0; page < 3000; page++)
        if (page % 3 !== 0) file.writeSync(bytes(PAGE, page), page * PAGE)
      file.fsyncSync()
      expect(file.stats.deviceWrites).toBe(1000)
      file.writeSync(bytes(3000 * PAGE), 0)
      file.fsyncSync()
      expect(file.stats.deviceWrites).toBe(1012)
      expect(Math.max(...io.buffers)).toBeLessThanOrEqual(1024)
    })

    test('writeback takes about as many pages as asked for, and goes on where it stopped', () => {
      const file = open({ engine })
      writePages(file, [...Array(100).keys()])
      expect(file.writebackSync(30)).toBe(30)
      expectBytes(onDisk().subarray(29 * PAGE, 30 * PAGE), bytes(PAGE, 30))
      expect(file.dirtyPages).toBe(70)
      writePages(file, [0])
      expect(file.writebackSync(30)).toBe(30)
      expectBytes(onDisk().subarray(59 * PAGE, 60 * PAGE), bytes(PAGE, 60))
      expect(file.dirtyPages).toBe(41)
      expect(file.writebackSync()).toBe(41) // on from the start of the file
      expect(file.dirtyPages).toBe(0)
      expect(file.writebackSync()).toBe(0)
    })

    test('fsync of a range writes the pages that it touches, both ends included', () => {
      const file = open({ engine })
      writePages(file, [...Array(10).keys()])
      file.fsyncSync({ start: 2 * PAGE - 1, end: 4 * PAGE })
      expect([file.stats.pagesWritten, file.dirtyPages]).toEqual([4, 6])
      file.fsyncSync({ end: 0 })
      expect(file.stats.pagesWritten).toBe(5)
      file.fsyncSync({ start: 9 * PAGE })
      expect(file.stats.pagesWritten).toBe(6)
      file.fsyncSync()
      expect(file.stats.pagesWritten).toBe(10)
    })

    test('an fsync with nothing dirty writes nothing', () => {
      const file = open({ engine })
      file.writeSync(bytes(10), 0)
      file.fsyncSync()
      file.fsyncSync()
      expect(file.stats.deviceWrites).toBe(1)
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
      const file = open({ engine })
      file.writeSync(bytes(length, 2), position)
      expect(file.stats.deviceReads).toBe(reads)
      const expected = new Uint8Array(Math.max(before.length, position + length))
      expected.set(before)
      expected.set(bytes(length, 2), position)
      expectBytes(readAll(file), expected)
      file.fsyncSync()
      expectBytes(onDisk(), expected)
    })

    test.runIf(onFs)('a first page that cannot be read: the write throws and nothing has changed', () => {
      fs.writeFileSync(path, bytes(3 * PAGE))
      const io = faulty()
      const file = open({ engine })
      io.injectAt('read', 0, 'EIO')
      expect(codeOf(() => file.writeSync(bytes(2 * PAGE, 2), 100))).toBe('EIO')
      expect(file.dirtyPages).toBe(0)
      expectBytes(readAll(file), bytes(3 * PAGE))
      file.writeSync(bytes(2 * PAGE, 2), 100)
      file.fsyncSync()
      const expected = bytes(3 * PAGE)
      expected.set(bytes(2 * PAGE, 2), 100)
      expectBytes(onDisk(), expected)
    })

    test.runIf(onFs)('short and interrupted reads go on', () => {
      fs.writeFileSync(path, bytes(3 * PAGE))
      const io = faulty()
      const file = open({ engine })
      io.inject((call, n) => (call === 'read' ? (n % 2 === 0 ? 'EINTR' : 700) : null))
      file.writeSync(bytes(1), 5)
      const expected = bytes(3 * PAGE)
      expected.set(bytes(1), 5)
      expectBytes(readAll(file), expected)
    })
  })

  // test/file/faults.c has the fault tests of the native engine.
  describe.runIf(onFs)('faults', () => {
    // Six runs of neighbours with holes between.
    const SIZE = 60 * PAGE + 77

    function prepare(): { file: CachedFile; io: FaultyIO; expected: Uint8Array } {
      fs.writeFileSync(path, bytes(SIZE))
      const io = faulty()
      const file = open({ engine })
      const expected = bytes(SIZE)
      const write = (position: number, length: number, seed: number) => {
        file.writeSync(bytes(length, seed), position)
        expected.set(bytes(length, seed), position)
      }
      write(32 * PAGE, 16 * PAGE, 2)
      file.fsyncSync()
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

    test('a device that takes nothing', () => {
      const { file, io, expected } = prepare()
      const dirty = file.dirtyPages
      io.inject((call) => (call === 'writev' ? 'ENOSPC' : null))
      for (let i = 0; i < 3; i++) expect(codeOf(() => file.fsyncSync())).toBe('ENOSPC')
      expect(file.dirtyPages).toBe(dirty)
      io.inject((call) => (call === 'writev' ? 0 : null)) // which write(2) never does
      expect(codeOf(() => file.fsyncSync())).toBe('EIO')
      expect(file.dirtyPages).toBe(dirty)
      io.heal()
      file.fsyncSync()
      expectBytes(onDisk(), expected)
    })

    test("the descriptor's fsync fails: all since the last one is dirty again", () => {
      const { file, io, expected } = prepare()
      const dirty = file.dirtyPages
      file.writebackSync(2)
      const before = file.stats.pagesWritten
      io.injectAt('fsync', 0, 'EIO')
      expect(codeOf(() => file.fsyncSync())).toBe('EIO')
      expect(file.dirtyPages).toBe(dirty)
      // The test overwrites the file, as if the device had lost the data.
      fs.writeFileSync(path, bytes(SIZE), { flag: 'r+' })
      file.fsyncSync()
      expect(file.stats.pagesWritten - before).toBeGreaterThanOrEqual(dirty)
      const lost = bytes(SIZE).subarray(32 * PAGE, 48 * PAGE) // synced before, and lost by this test, not by the device
      expected.set(lost.subarray(0, PAGE), 32 * PAGE)
      expected.set(lost.subarray(2 * PAGE, 4 * PAGE), 34 * PAGE)
      expected.set(lost.subarray(6 * PAGE), 38 * PAGE)
      expectBytes(onDisk(), expected)
      file.fsyncSync()
      expect(file.dirtyPages).toBe(0)
    })

    test('… but not what was truncated since', () => {
      const { file, io } = prepare()
      file.writebackSync()
      file.truncateSync(PAGE)
      io.injectAt('fsync', 0, 'EIO')
      expect(codeOf(() => file.fsyncSync())).toBe('EIO')
      expect(file.dirtyPages).toBe(1)
      file.fsyncSync()
      expect(onDisk().length).toBe(PAGE)
    })

    test('ftruncate fails: nothing has changed', () => {
      const { file, io, expected } = prepare()
      const dirty = file.dirtyPages
      io.inject((call, n) => (call === 'ftruncate' ? (n === 0 ? 'EINTR' : 'EIO') : null))
      expect(codeOf(() => file.truncateSync(5))).toBe('EIO')
      expect([file.size, file.dirtyPages]).toEqual([SIZE, dirty])
      file.fsyncSync()
      expectBytes(onDisk(), expected)
    })

    test('an error other than the system’s goes through, and the pages stay dirty', () => {
      const { file, io, expected } = prepare()
      const dirty = file.dirtyPages
      io.inject((call) => {
        if (call === 'writev') throw new TypeError('a bug')
        return null
      })
      expect(() => file.fsyncSync()).toThrow(new TypeError('a bug'))
      expect(() => file.writebackSync()).toThrow(new TypeError('a bug'))
      expect(file.dirtyPages).toBe(dirty)
      io.heal()
      expect(codeOf(() => file.fsyncSync())).toBe('EIO') // the error sequence records it as EIO
      expectBytes(onDisk(), expected)
    })
  })

  describe('handles of one file', () => {
    test('share the cache, by device and inode', () => {
      const a = open({ engine })
      fs.linkSync(path, `${path}-link`)
      const b = open({ engine }, `${path}-link`)
      const c = open({ engine }, join(path, '../file'))
      a.writeSync(bytes(10), 0)
      expect([b.size, c.size, b.dirtyPages]).toEqual([10, 10, 1])
      expectBytes(readAll(b), bytes(10))
      b.truncateSync(4)
      expect(c.size).toBe(4)
      c.fsyncSync()
      expect(a.dirtyPages).toBe(0)
    })

    test('each error is reported once to each that was open', () => {
      const [a, b, c] = [open({ engine }), open({ engine }), open({ engine })]
      a.writeSync(bytes(10), 0)
      limitFileSize(0)
      expect(codeOf(() => a.fsyncSync())).toBe('EFBIG')
      limitFileSize('unlimited')
      expect(codeOf(() => a.fsyncSync())).toBe(undefined)
      expect(codeOf(() => b.fsyncSync())).toBe('EFBIG')
      expect(codeOf(() => b.fsyncSync())).toBe(undefined)
      expect(codeOf(() => c.closeSync())).toBe('EFBIG')
      expect(codeOf(() => c.closeSync())).toBe(undefined)
    })

    test.runIf(onFs)('the last of two errors is reported', () => {
      const io = faulty()
      const [a, b, c] = [open({ engine }), open({ engine }), open({ engine })]
      a.writeSync(bytes(10), 0)
      io.injectAt('writev', 0, 'EIO')
      expect(codeOf(() => a.fsyncSync())).toBe('EIO')
      b.writeSync(bytes(10), 0)
      io.injectAt('writev', 0, 'ENOSPC')
      expect(codeOf(() => b.fsyncSync())).toBe('ENOSPC')
      expect(codeOf(() => a.fsyncSync())).toBe('ENOSPC')
      expect(codeOf(() => c.fsyncSync())).toBe('ENOSPC')
      expect(codeOf(() => c.fsyncSync())).toBe(undefined)
    })

    test('one opened later gets it only if no handle had', () => {
      const a = open({ engine })
      a.writeSync(bytes(10), 0)
      limitFileSize(0)
      expect(codeOf(() => a.writebackSync())).toBe('EFBIG')
      limitFileSize('unlimited')
      const b = open({ engine })
      expect(codeOf(() => b.fsyncSync())).toBe('EFBIG')
      const c = open({ engine })
      expect(codeOf(() => c.fsyncSync())).toBe(undefined)
      expect(codeOf(() => a.fsyncSync())).toBe('EFBIG')
      expect(onDisk().length).toBe(10)
    })
  })

  describe('close', () => {
    test('writes back at every handle, without an fsync', () => {
      const io = faulty()
      const [a, b] = [open({ engine }), open({ engine })]
      a.writeSync(bytes(PAGE + 1), 0)
      a.closeSync()
      expectBytes(onDisk(), bytes(PAGE + 1))
      b.closeSync()
      if (onFs) expect(io.calls.fsync).toBe(0)
    })

    test('where that fails it throws, and the handle stays open', () => {
      const file = open({ engine })
      file.writeSync(bytes(10), 0)
      limitFileSize(0)
      expect(() => file.closeSync()).toThrow(
        expect.objectContaining({ code: 'EFBIG', syscall: 'close', path }),
      )
      expect(codeOf(() => file.closeSync())).toBe('EFBIG')
      expectBytes(readAll(file), bytes(10))
      limitFileSize('unlimited')
      file.fsyncSync() // the error was reported
      file.closeSync()
      expectBytes(onDisk(), bytes(10))
    })

    test('… until it works, or the data is given up', () => {
      const file = open({ engine })
      file.writeSync(bytes(10), 0)
      limitFileSize(0)
      expect(codeOf(() => file.closeSync())).toBe('EFBIG')
      file.truncateSync(0)
      file.closeSync()
      expect(onDisk().length).toBe(0)
    })

    test('a second close does nothing; everything else throws EBADF', () => {
      const file = open({ engine })
      const keep = open({ engine })
      file.closeSync()
      file.closeSync()
      const calls: (() => unknown)[] = [
        () => file.writeSync(bytes(1), 0),
        () => file.readSync(new Uint8Array(1), 0),
        () => file.fsyncSync(),
        () => file.writebackSync(),
        () => file.truncateSync(0),
        () => file.size,
        () => file.dirtyPages,
        () => file.stats,
        () => file.cachedPages,
      ]
      for (const call of calls) {
        expect(call).toThrow(expect.objectContaining({ name: 'WritebackError', code: 'EBADF' }))
      }
      expect(keep.size).toBe(0)
    })

    test('Symbol.dispose closes', () => {
      const file = open({ engine })
      file.writeSync(bytes(10), 0)
      file[Symbol.dispose]()
      expect(onDisk().length).toBe(10)
      expect(codeOf(() => file.size)).toBe('EBADF')
    })

    test('a file opened again has forgotten errors and counts', () => {
      const file = open({ engine })
      file.writeSync(bytes(10), 0)
      limitFileSize(0)
      expect(codeOf(() => file.writebackSync())).toBe('EFBIG')
      limitFileSize('unlimited')
      expect(codeOf(() => file.closeSync())).toBe('EFBIG') // written now, and the error is reported
      file.closeSync()
      const again = open({ engine })
      again.fsyncSync()
      expect(again.stats.deviceWrites).toBe(0)
    })
  })

  describe('open', () => {
    const descriptors = () => fs.readdirSync('/proc/self/fd').length

    test('creates the file with its mode, and takes one that is there as it is', () => {
      open({ engine, mode: 0o600 }).closeSync()
      expect(fs.statSync(path).mode & 0o777).toBe(0o600)
      fs.writeFileSync(path, bytes(10))
      const file = open({ engine })
      expect(file.size).toBe(10)
      expectBytes(readAll(file), bytes(10))
    })

    test('flags as of open(2)', () => {
      expect(codeOf(() => open({ engine, flags: O_RDWR }))).toBe('ENOENT')
      open({ engine, flags: O_RDWR | O_CREAT | O_EXCL })
      expect(codeOf(() => open({ engine, flags: O_RDWR | O_CREAT | O_EXCL }))).toBe('EEXIST')
    })

    test('O_TRUNC empties it for every handle', () => {
      const a = open({ engine })
      a.writeSync(bytes(3 * PAGE), 0)
      a.fsyncSync()
      a.writeSync(bytes(10), 0)
      const b = open({ engine, flags: O_RDWR | O_TRUNC })
      expect([a.size, a.dirtyPages, b.size, onDisk().length]).toEqual([0, 0, 0, 0])
    })

    test("the system's errors", () => {
      const before = descriptors()
      expect(codeOf(() => open({ engine }, folder))).toBe('EISDIR')
      expect(codeOf(() => open({ engine }, join(path, 'x/y')))).toBe('ENOENT')
      expect(descriptors()).toBe(before)
    })

    test.runIf(onFs)('a failed O_TRUNC leaves nothing open', () => {
      const before = descriptors()
      const io = faulty()
      io.injectAt('ftruncate', 0, 'EIO')
      expect(codeOf(() => open({ engine, flags: O_RDWR | O_CREAT | O_TRUNC }))).toBe('EIO')
      expect(descriptors()).toBe(before)
    })

    test('only regular files', () => {
      const before = descriptors()
      expect(() => open({ engine }, '/dev/null')).toThrow('EINVAL: "/dev/null" is not a regular file')
      expect(descriptors()).toBe(before)
    })

    test('descriptors: one a file, whatever the number of handles', () => {
      const before = descriptors()
      const files = [open({ engine }), open({ engine }), open({ engine })]
      expect(descriptors()).toBe(before + 1)
      for (const file of files) file.closeSync()
      expect(descriptors()).toBe(before)
    })
  })

  describe('bad arguments', () => {
    const bad = (value: unknown) => value as never
    let file: CachedFile
    beforeEach(() => {
      file = open({ engine })
      file.writeSync(bytes(10), 0)
    })

    test.each<[string, () => unknown]>([
      ['path is 5', () => CachedFile.openSync(bad(5))],
      ['path is ""', () => CachedFile.openSync('')],
      ['path is "a\\u0000b"', () => CachedFile.openSync('a\0b')],
      ['options is null', () => CachedFile.openSync(path, bad(null))],
      ['engine is "c"', () => CachedFile.openSync(path, { engine: bad('c') })],
      [`flags is ${O_RDWR | O_APPEND}`, () => CachedFile.openSync(path, { flags: O_RDWR | O_APPEND })],
      ['flags is "a"', () => CachedFile.openSync(path, { flags: 'a' })],
      ['mode is -1', () => CachedFile.openSync(path, { mode: -1 })],
      ['mode is 4096', () => CachedFile.openSync(path, { mode: 0o10000 })],
      ['bytes is "abc"', () => file.writeSync(bad('abc'), 0)],
      ['bytes is an object', () => file.writeSync(bad([1, 2]), 0)],
      ['position is -1', () => file.writeSync(bytes(1), -1)],
      ['position is 0.5', () => file.writeSync(bytes(1), 0.5)],
      ['position is NaN', () => file.writeSync(bytes(1), Number.NaN)],
      ['position is 9007199254740992', () => file.writeSync(bytes(1), 2 ** 53)],
      ['position is 9007199254740991', () => file.writeSync(bytes(1), 2 ** 53 - 1)],
      ['position is 5n', () => file.writeSync(bytes(1), bad(5n))],
      ['position is undefined', () => file.writeSync(bytes(1), bad(undefined))],
      ['into is null', () => file.readSync(bad(null), 0)],
      ['position is Infinity', () => file.readSync(bytes(1), Number.POSITIVE_INFINITY)],
      ['range is null', () => file.fsyncSync(bad(null))],
      ['start is -1', () => file.fsyncSync({ start: -1 })],
      ['end is 0.1', () => file.fsyncSync({ end: 0.1 })],
      ['end is 4', () => file.fsyncSync({ start: 5, end: 4 })],
      ['nrToWrite is 0', () => file.writebackSync(0)],
      ['nrToWrite is 1.5', () => file.writebackSync(1.5)],
      ['nrToWrite is "all"', () => file.writebackSync(bad('all'))],
      ['length is -5', () => file.truncateSync(-5)],
      ['length is undefined', () => file.truncateSync(bad(undefined))],
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
        const file = CachedFile.openSync(${JSON.stringify(path)}, { engine: ${JSON.stringify(engine)}, lock: false })
        const data = Buffer.alloc(2 ** 20, 'some data ')
        file.writeSync(data, 0)
        const codes = []
        for (let i = 0; i < 2; i++) try { file.fsyncSync() } catch (error) { codes.push(error.code) }
        try { file.closeSync() } catch (error) { codes.push(error.code) }
        execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=unlimited'])
        file.fsyncSync()
        file.closeSync()
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
      const mount = join(folder, `tmpfs-${engine}`)
      fs.mkdirSync(mount)
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]).status !== 0) {
        skip('mounting a tmpfs needs root')
      }
      try {
        const file = open({ engine }, join(mount, 'file'))
        const data = bytes(2 ** 20 + 5 * PAGE + 3)
        file.writeSync(data, 0)
        expect(codeOf(() => file.fsyncSync())).toBe('ENOSPC')
        expect(codeOf(() => file.closeSync())).toBe('ENOSPC')
        expect(file.dirtyPages).toBeGreaterThan(0)
        expectBytes(readAll(file), data)
        expect(spawnSync('mount', ['-o', 'remount,size=4m', mount]).status).toBe(0)
        file.fsyncSync()
        file.closeSync()
        expectBytes(onDisk(join(mount, 'file')), data)
      } finally {
        for (const file of opened) file.closeSync()
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
    errors.set(-28) // no cursor saw -5
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
