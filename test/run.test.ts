// SPDX-License-Identifier: GPL-2.0-only

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { firstDifference } from '../lib/cli/compare_files.js'
import { IologParser } from '../lib/cli/iolog.js'
import type { Workload } from '../lib/cli/workload.js'
import { InputError } from '../lib/input/input_error.js'
import { builtinWorkload, WriteData } from '../lib/cli/workload.js'
import { nativeEngineMissing } from './engines.js'
import { toolMissing } from './tools.js'

const main = join(__dirname, '../dist/cli/main.js')
const both = nativeEngineMissing === null ? ['native', 'js'] : ['js']

let folder: string
/** The folder for temporary files of the command, which has to be empty after each. */
let temporary: string

beforeAll(() => {
  if (!fs.existsSync(main)) throw new Error('dist/cli/main.js is not built: npm run build:ts')
})
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-run-'))
  temporary = join(folder, 'tmp')
  fs.mkdirSync(temporary)
})
afterEach(() => {
  expect(fs.readdirSync(temporary)).toEqual([])
  fs.rmSync(folder, { recursive: true })
})

const options = () => ({ cwd: folder, env: { ...process.env, TMPDIR: temporary } })

function cli(
  args: string[],
  node: string[] = [],
  env: NodeJS.ProcessEnv = {},
): { status: number | null; stdout: string; stderr: string } {
  const { cwd, env: inherited } = options()
  return spawnSync(process.execPath, [...node, main, 'run', '--runs', '1', ...args], {
    cwd,
    env: { ...inherited, ...env },
    encoding: 'utf8',
  })
}

/** The workload of a log in memory. */
function parseIolog(name: string, text: string): Workload {
  const parser = new IologParser(name)
  const lines = text.split('\n')
  const rest = lines.pop() as string
  for (const [i, line] of lines.entries()) parser.line(line, i + 1, true)
  if (rest !== '') parser.line(rest, lines.length + 1, false)
  return parser.end()
}

/** Writes a log of version 2 on one file and returns its name. */
function log(lines: string[], name = 'w.log'): string {
  fs.writeFileSync(
    join(folder, name),
    ['fio version 2 iolog', 'f add', 'f open', ...lines, 'f close', ''].join('\n'),
  )
  return name
}

/** A log that fio itself writes. */
function fio(...args: string[]): string {
  const { error, status, stderr } = spawnSync('fio', ['--name=t', '--write_iolog=fio.log', ...args], {
    cwd: folder,
    encoding: 'utf8',
  })
  if (error) throw new Error(`fio does not run (apt-get install fio): ${error.message}`)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return 'fio.log'
}

describe('the built-in workload', () => {
  test('has 100,000 writes within 256 MiB, the same ones every time', () => {
    const { operations, files } = builtinWorkload()
    const writes = [...operations].filter(({ kind }) => kind === 'write')
    expect(writes).toHaveLength(100_000)
    expect(files).toEqual([{ name: 'file', size: 2 ** 28 }])
    expect(writes.every(({ offset, length }) => length > 0 && offset + length <= 2 ** 28)).toBe(true)
    expect([...operations].some(({ kind }) => kind === 'sync')).toBe(true)
    expect([...builtinWorkload().operations]).toEqual([...operations])
  })

  test('ends in the right file on every backend', () => {
    const { status, stdout, stderr } = cli(['--json'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const outcome = JSON.parse(stdout)
    expect(outcome.workload).toMatchObject({ name: 'built-in workload', files: 1, writes: 100_000, reads: 0 })
    expect(outcome.backends.map(({ backend }: { backend: string }) => backend)).toEqual(both)
    for (const result of outcome.backends) {
      expect(result).toMatchObject({ difference: null })
      const { copySeconds, deviceSeconds, fsyncSeconds } = result
      expect(copySeconds + deviceSeconds + fsyncSeconds).toBeCloseTo(result.seconds, 6)
      expect(result.passes).toBeGreaterThan(0)
      expect(result.deviceWrites).toBeLessThan(outcome.workload.writes)
      expect(result.pagesPerDeviceWrite).toBe(result.pagesWritten / result.deviceWrites)
      expect(result.deviceSeconds).toBeGreaterThan(0)
      // The pages that this side wrote are in its memory; the plain writes use no such memory.
      expect(result.peakMemory).toBeGreaterThan(outcome.plain.peakMemory + 100 * 2 ** 20)
    }
  })

  test('the data of a write is its own', () => {
    const data = new WriteData()
    const starts = Array.from({ length: 1000 }, (_, n) => Buffer.from(data.get(n, 64)).toString('hex'))
    expect(new Set(starts).size).toBe(1000)
    const long = Buffer.from(data.get(7, 3 * 2 ** 20 + 5))
    expect(long).toHaveLength(3 * 2 ** 20 + 5)
    expect(long.subarray(0, 100).equals(data.get(7, 100))).toBe(true)
  })
})

describe.skipIf(toolMissing('fio') !== null)('logs that fio wrote', () => {
  test.each([
    ['random 4k writes', ['--rw=randwrite', '--bs=4k', '--size=16m', '--fsync=64']],
    ['mixed 4k-128k writes', ['--rw=randwrite', '--bsrange=4k-128k', '--size=16m', '--fsync=64']],
    [
      'reads and writes, unaligned',
      ['--rw=randrw', '--bsrange=512-64k', '--bs_unaligned=1', '--size=8m', '--fdatasync=16'],
    ],
    ['with trims', ['--rw=trimwrite', '--bs=4k', '--size=1m', '--ioengine=null']],
    ['several files', ['--rw=write', '--bs=16k', '--nrfiles=3', '--size=3m']],
    ['ranges synced', ['--rw=randwrite', '--bs=4k', '--size=1m', '--sync_file_range=write:8']],
    ['a file name with spaces', ['--filename=a b', '--rw=randwrite', '--bs=4k', '--size=1m']],
    ['written, then verified', ['--rw=randwrite', '--bs=4k', '--size=1m', '--verify=crc32c']],
  ])('%s', (_, args) => {
    const iolog = fio(...args)
    const writes = fs.readFileSync(join(folder, iolog), 'utf8').match(/ write /g)?.length ?? 0
    for (const background of ['64', '0']) {
      const { status, stdout, stderr } = cli(['--iolog', iolog, '--json', '--background', background])
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      const outcome = JSON.parse(stdout)
      expect(outcome.workload).toMatchObject({ name: iolog, writes })
      expect(outcome.backends.map(({ difference }: { difference: unknown }) => difference)).toEqual(
        both.map(() => null),
      )
    }
  })

  test('appended to one another', () => {
    fio('--rw=write', '--bs=4k', '--size=64k', '--filename=a')
    const iolog = fio('--rw=write', '--bs=4k', '--size=64k', '--filename=b')
    expect(cli(['--iolog', iolog])).toMatchObject({ status: 0, stderr: '' })
  })
})

describe('what a log says', () => {
  test('version 2 and version 3 alike', () => {
    const two =
      'fio version 2 iolog\n/f add\n/f open\n/f write 0 10\n/f wait 5 0\n/f sync 0 0\n/f trim 5 6\n/f close\n'
    const three = two
      .replace('version 2', 'version 3')
      .replace('/f wait 5 0\n', '')
      .replaceAll('\n/', '\n17 /')
    const { files, operations } = parseIolog('l', two)
    expect(files).toEqual([{ name: '/f', size: 0 }])
    expect([...operations]).toEqual([
      { kind: 'write', file: 0, offset: 0, length: 10 },
      { kind: 'sync', file: 0, offset: 0, length: 0 },
      { kind: 'trim', file: 0, offset: 5, length: 6 },
    ])
    const same = parseIolog('l', three)
    expect({ ...same, operations: [...same.operations] }).toEqual({
      name: 'l',
      files,
      operations: [...operations],
      warnings: [],
    })
  })

  test('names with spaces: as many as there are', () => {
    const text =
      'fio version 3 iolog\n1 a b add\n1 a  b add\n1  c add\n2 a b read 1 2\n3 a  b datasync 0 0\n4  c sync 0 0\n'
    const { files, operations, warnings } = parseIolog('l', text)
    expect(files).toEqual(['a b', 'a  b', ' c'].map((name) => ({ name, size: 0 })))
    expect([...operations]).toEqual([
      { kind: 'read', file: 0, offset: 1, length: 2 },
      { kind: 'sync', file: 1, offset: 0, length: 0 },
      { kind: 'sync', file: 2, offset: 0, length: 0 },
    ])
    expect(warnings).toEqual([])
  })

  test('a last line without a line feed may be cut off: said, with its place', () => {
    const cut = 'fio version 2 iolog\nf add\nf write 4096 40'
    expect(parseIolog('l', cut).warnings).toEqual([
      ':3: no line feed ends the last line: the log may be cut off in it',
    ])
    fs.writeFileSync(join(folder, 'cut.log'), cut)
    expect(cli(['--iolog', 'cut.log', '--backend', 'js'])).toMatchObject({
      status: 0,
      stderr: 'cut.log:3: no line feed ends the last line: the log may be cut off in it\n',
    })
  })

  test('a log with a byte order mark and CRLF', () => {
    fs.writeFileSync(join(folder, 'dos.log'), '\ufefffio version 2 iolog\r\nf add\r\nf write 0 10\r\n')
    expect(cli(['--iolog', 'dos.log', '--backend', 'js'])).toMatchObject({ status: 0, stderr: '' })
  })

  test.each(['f write 0 4096f write 4096 4096', 'f write 0 40f write 4096 4096', 'f openf write 0 4096'])(
    'two lines in one, as several jobs tear them: %s',
    (line) => {
      expect(() => parseIolog('l', `fio version 2 iolog\nf add\n${line}\n`)).toThrow(
        /^l:3: .*two lines in one, as where several jobs \(numjobs\) write one log$/,
      )
    },
  )

  test('control characters of a log do not reach the terminal', () => {
    const name = '\x1b]0;title\x07\x9b31m\u202e'
    fs.writeFileSync(join(folder, 'evil.log'), `fio version 2 iolog\n${name} write 0 10\n`)
    expect(cli(['--iolog', 'evil.log']).stderr).toBe(
      'evil.log:2: file «\\x1b]0;title\\x07\\x9b31m\\u202e» is used before its add action\n',
    )
  })

  test('a write far out, and trims: neither reads nor fills the holes', () => {
    const iolog = log([
      'f write 0 4096',
      'f write 300000000000 4096',
      'f trim 100000000 200000000000',
      'f trim 299999999000 9999',
      'f write 5000 10',
      'f trim 0 8192',
    ])
    const start = performance.now()
    const { status, stdout } = cli(['--iolog', iolog, '--target', 'out'])
    expect(stdout).toContain('byte for byte')
    expect(status).toBe(0)
    expect(performance.now() - start).toBeLessThan(20_000)
    const { size, blocks } = fs.statSync(join(folder, 'out'))
    expect(size).toBe(300_000_004_096)
    expect(blocks * 512).toBeLessThan(2 ** 22)
    const fd = fs.openSync(join(folder, 'out'), 'r')
    const bytes = Buffer.alloc(8192)
    fs.readSync(fd, bytes, 0, 8192, 0)
    fs.closeSync(fd)
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  })

  test('a difference far out in a file with large holes is found', async () => {
    const [a, b] = ['a', 'b'].map((name) => join(folder, name))
    for (const path of [a, b]) {
      fs.writeFileSync(path, '')
      fs.truncateSync(path, 2 ** 38)
    }
    const fd = fs.openSync(b, 'r+')
    fs.writeSync(fd, 'x', 2 ** 37 + 5)
    fs.closeSync(fd)
    const touched = new Set([0, 2 ** 17])
    expect(await firstDifference(a, b, touched, () => {})).toBe(2 ** 37 + 5)
    expect(await firstDifference(a, a, touched, () => {})).toBeNull()
    fs.truncateSync(b, 2 ** 36)
    expect(await firstDifference(a, b, new Set(), () => {})).toBe(2 ** 36)
  })

  test.each([
    ['', 1, '«» is no header of an fio I/O log'],
    ['f write 0 10\n', 1, '«f write 0 10» is no header'],
    ['0, 4096, 512\n', 1, 'is no header'],
    ['fio version 1 iolog\n', 1, 'an fio I/O log of version 1, expected 2 or 3'],
    ['fio version 4 iolog\n', 1, 'version 4'],
    ['fio version 2 iolog\nf\n', 2, '«f» is neither "FILE ACTION" nor "FILE ACTION OFFSET LENGTH"'],
    [
      'fio version 3 iolog\n5 f\n',
      2,
      '«5 f» is neither "TIMESTAMP FILE ACTION" nor "TIMESTAMP FILE ACTION OFFSET',
    ],
    ['fio version 2 iolog\nf add\nf write 0\n', 3, '«f write 0» is neither'],
    ['fio version 3 iolog\nf add\n', 2, 'timestamp is «f»'],
    ['fio version 3 iolog\n-1 f add\n', 2, 'timestamp is «-1»'],
    ['fio version 2 iolog\nf open\n', 2, 'file «f» is used before its add action'],
    ['fio version 2 iolog\nf add\ng write 0 10\n', 3, 'file «g» is used before its add action'],
    ['fio version 2 iolog\nf add\nf scribble 0 10\n', 3, 'unknown action «scribble»'],
    [
      'fio version 2 iolog\nf add\n\nf write x 10\n',
      4,
      'offset is «x», expected an integer from 0 to 2^53 - 1',
    ],
    ['fio version 2 iolog\nf add\nf write 0 -10\n', 3, 'length is «-10»'],
    ['fio version 2 iolog\nf add\nf write 0 1e3\n', 3, 'length is «1e3»'],
    [
      'fio version 2 iolog\nf add\nf write 0 2147479553\n',
      3,
      'length is 2147479553, but one write takes 2147479552 at most',
    ],
    ['fio version 2 iolog\nf add\nf write 9007199254740992 1\n', 3, 'offset is «9007199254740992»'],
    [
      'fio version 2 iolog\nf add\nf write 9007199254740991 1\n',
      3,
      'offset 9007199254740991 and length 1 are too large',
    ],
  ])('malformed: %j', (text, line, problem) => {
    const parse = () => parseIolog('dir/l', text)
    expect(parse).toThrow(InputError)
    expect(parse).toThrow(`dir/l:${line}: `)
    expect(parse).toThrow(problem)
  })

  test('a malformed log: FILE:LINE: and what, exit code 2', () => {
    const iolog = log(['f write 0 4096', 'f scrawl 0 1'])
    expect(cli(['--iolog', iolog])).toEqual(
      expect.objectContaining({ status: 2, stdout: '', stderr: 'w.log:5: unknown action «scrawl»\n' }),
    )
  })

  test('no log there', () => {
    const { status, stderr } = cli(['--iolog', 'none.log'])
    expect(status).toBe(2)
    expect(stderr).toMatch(/^writeback-iter: ENOENT.*none\.log/)
  })

  test('every operation ends up in the file', () => {
    const iolog = log([
      'f write 100 5000',
      'f write 4096 4096',
      'f trim 5000 100000', // not beyond the end
      'f trim 0 10',
      'f read 0 20000',
      'f datasync 0 0',
      'f write 1048576 3000000',
      'f write 0 0',
      'f sync 0 0',
      'f write 70000 1',
    ])
    expect(cli(['--iolog', iolog, '--target', 'out'])).toMatchObject({ status: 0, stderr: '' })
    const out = fs.readFileSync(join(folder, 'out'))
    const data = new WriteData()
    const expected = Buffer.alloc(1048576 + 3000000)
    expected.set(data.get(0, 5000), 100)
    expected.set(data.get(1, 4096), 4096)
    expected.fill(0, 5000, 8192)
    expected.fill(0, 0, 10)
    expected.set(data.get(2, 3000000), 1048576)
    expected.set(data.get(4, 1), 70000)
    expect(out.equals(expected)).toBe(true)
  })
})

describe('options', () => {
  test('--backend runs that one', () => {
    const timing = {
      seconds: expect.any(Number),
      copySeconds: expect.any(Number),
      deviceSeconds: expect.any(Number),
      fsyncSeconds: expect.any(Number),
      boundedBy: expect.stringMatching(/^(copy|device|fsync)$/),
      peakMemory: expect.any(Number),
    }
    const { status, stdout } = cli(['--iolog', log(['f write 0 9']), '--backend', 'js', '--json'])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      workload: {
        name: 'w.log',
        files: 1,
        operations: 1,
        writes: 1,
        bytes: 9,
        reads: 0,
        trims: 0,
        fsyncs: 1,
      },
      background: null,
      plain: timing,
      backends: [
        {
          backend: 'js',
          ...timing,
          // One pass before the fsync, and the pass of the fsync.
          passes: 2,
          foliosWritten: 1,
          pagesWritten: 1,
          deviceWrites: 1,
          bytesWritten: 9,
          deviceReads: 0,
          bytesRead: 0,
          pagesPerDeviceWrite: 1,
          difference: null,
        },
      ],
      nativeMissing: null,
      interrupted: null,
    })
  })

  test('the environment asks for one too', () => {
    const { status, stdout } = cli(['--iolog', log(['f write 0 9']), '--json'], [], {
      WRITEBACK_ITER_BACKEND: 'js',
    })
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ backends: [{ backend: 'js' }], nativeMissing: null })
  })

  test('without the native backend: the other one, and why', () => {
    const bare = ['--require', join(folder, 'bare.cjs')]
    fs.writeFileSync(
      join(folder, 'bare.cjs'),
      "process.dlopen = () => { throw new Error('this addon is of another platform') }",
    )
    const iolog = log(['f write 0 9'])
    const { status, stdout } = cli(['--iolog', iolog], bare)
    expect(status).toBe(0)
    expect(stdout.split('\n')[0]).toMatch(
      /^TypeScript engine only: ELIBACC: the native backend does not load: /,
    )
    expect(cli(['--iolog', iolog, '--backend', 'native'], bare)).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/^writeback-iter: ELIBACC: the native backend does not load: .*\n$/),
    })
  })

  test('the table', () => {
    const { status, stdout } = cli(['--iolog', log(['f write 0 9', 'f write 40960 8192', 'f read 5 5'])])
    expect(status).toBe(0)
    expect(stdout).toContain("w.log: 2 writes, 8,201 bytes, 1 reads, 1 fsyncs; the engines' own limits")
    expect(stdout).toMatch(/^bounded by( +(copy|device|fsync))+$/m)
    expect(stdout).toMatch(/^folios written back +-( +3)+$/m)
    expect(stdout).toMatch(/^pages written back +-( +3)+$/m)
    expect(stdout).toMatch(/^device writes +2( +2)+$/m)
    expect(stdout).toMatch(/^pages per device write +-( +1\.5)+$/m)
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('js: byte for byte the same as plain writes')
  })

  test('--target is emptied first, and kept', () => {
    fs.writeFileSync(join(folder, 'out'), Buffer.alloc(100_000, 1))
    expect(cli(['--iolog', log(['f write 10 5']), '--target', 'out'])).toMatchObject({ status: 0 })
    expect(fs.readFileSync(join(folder, 'out'))).toHaveLength(15)
    expect(fs.readdirSync(folder).sort()).toEqual(['out', 'tmp', 'w.log'])
  })

  test('--target takes one file', () => {
    fs.writeFileSync(join(folder, 'two.log'), 'fio version 2 iolog\na add\nb add\na write 0 1\nb write 0 1\n')
    expect(cli(['--iolog', 'two.log', '--target', 'out'])).toMatchObject({
      status: 2,
      stdout: '',
      stderr: 'writeback-iter: two.log is of 2 files, but --target takes one\n',
    })
    expect(fs.existsSync(join(folder, 'out'))).toBe(false)
  })

  test.each([
    ['--backend', 'c', 'Allowed choices are native, js, both'],
    ['--background', '-1', 'Expected an integer from 0.'],
    ['--background', '1.5', 'Expected an integer from 0.'],
    ['--target', '/dev/null', 'writeback-iter: EINVAL: "/dev/null" is not a regular file'],
    ['--runs', '0', 'Expected an integer from 1.'],
    ['--target', 'no/such/folder', 'writeback-iter: ENOENT'],
    ['--sideways', '1', "unknown option '--sideways'"],
  ])('%s %s is refused', (option, value, message) => {
    const { status, stdout, stderr } = cli(['--iolog', log(['f write 0 9']), option, value])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(message)
  })
})

describe('when it goes wrong', () => {
  /** A module to load before the command, which turns one call of node:fs into another. */
  function sabotage(code: string): string[] {
    fs.writeFileSync(join(folder, 'sabotage.cjs'), `const fs = require('node:fs')\n${code}`)
    return ['--require', join(folder, 'sabotage.cjs')]
  }

  test('a file that differs: where, exit code 1', () => {
    const iolog = log(['f write 0 8192', 'f write 20000 1'])
    const flip = sabotage(`
      const writev = fs.writevSync
      fs.writevSync = (fd, buffers, position) => {
        const copies = buffers.map((buffer) => Buffer.from(buffer))
        if (position === 0) copies[0][5000] ^= 1
        return writev(fd, copies, position)
      }`)
    const { status, stdout, stderr } = cli(['--iolog', iolog, '--backend', 'js'], flip)
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    expect(stdout).toContain('js: f differs from the file of plain writes, first at byte 5000\n')
    const json = cli(['--iolog', iolog, '--backend', 'js', '--json'], flip)
    expect(json.status).toBe(1)
    expect(JSON.parse(json.stdout).backends[0].difference).toEqual({ file: 'f', offset: 5000 })
  })

  test('a file that is too short', () => {
    const cut = sabotage(
      'const fsync = fs.fsyncSync; fs.fsyncSync = (fd) => { fs.ftruncateSync(fd, Math.min(9, fs.fstatSync(fd).size)); fsync(fd) }',
    )
    // Both sides are truncated; the next write grows only one of them again.
    const { status, stdout } = cli(
      ['--iolog', log(['f write 0 4096', 'f sync 0 0', 'f write 4095 1', 'f sync 0 0']), '--backend', 'js'],
      cut,
    )
    expect(status).toBe(0)
    expect(stdout).toContain('byte for byte')
    const one = sabotage(
      'const writev = fs.writevSync; fs.writevSync = (fd, buffers, position) => { const n = writev(fd, buffers, position); fs.ftruncateSync(fd, 9); return n }',
    )
    const short = cli(['--iolog', log(['f write 0 4096']), '--backend', 'js'], one)
    expect(short.status).toBe(1)
    expect(short.stdout).toContain('first at byte 9\n')
  })

  test('the sides run in turn, each time in a process of its own', () => {
    const note = sabotage(`
      const open = fs.openSync
      fs.openSync = (path, flags) => {
        const name = /(plain|cached)-0$/.exec(path)
        if (name && flags !== 'r') fs.appendFileSync('opened', name[1] + ' ' + process.pid + '\\n')
        return open(path, flags)
      }`)
    expect(cli(['--iolog', log(['f write 0 9']), '--runs', '3'], note)).toMatchObject({
      status: 0,
      stderr: '',
    })
    const opened = fs.readFileSync(join(folder, 'opened'), 'utf8').trimEnd().split('\n')
    const sides = ['plain', ...both.map(() => 'cached')]
    expect(opened.map((line) => line.split(' ')[0])).toEqual([...sides, ...sides, ...sides])
    expect(new Set(opened.map((line) => line.split(' ')[1])).size).toBe(opened.length)
  })

  test('a side that crashes is no result', () => {
    const crash = sabotage("fs.fsyncSync = () => process.kill(process.pid, 'SIGSEGV')")
    expect(cli(['--iolog', log(['f write 0 9'])], crash)).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('the plain side ended by SIGSEGV'),
    })
  })

  test('an I/O error ends it', () => {
    const full = sabotage(
      "fs.writevSync = () => { throw Object.assign(new Error('ENOSPC: full'), { errno: -28, code: 'ENOSPC', syscall: 'write' }) }",
    )
    expect(cli(['--iolog', log(['f write 0 4096']), '--backend', 'js'], full)).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/^writeback-iter: ENOSPC: no space left on device, writeback '.*'\n$/),
    })
  })
})
