// SPDX-License-Identifier: GPL-2.0-only

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatTrace, HEADER, parseTrace, type TraceLine } from '../lib/trace/format.js'
import { Replayer, replay } from '../lib/trace/replay.js'
import { backends, nativeMissing } from './backends.js'

const root = join(__dirname, '..')
const traces = join(root, 'test/fixtures/traces')
const names = readdirSync(traces).sort()

function golden(name: string): string {
  return gunzipSync(readFileSync(join(traces, name))).toString()
}

/** Operations of all golden traces: each line that is not a comment. */
const operations = names.reduce((sum, name) => sum + (golden(name).match(/^[^#\n]/gm)?.length ?? 0), 0)

const SHORT = `${HEADER}
add 4 2 = ok
add 9 0 = ok
dirty 4 = 1
dirty 9 = 1
begin sync=all tagged=0 cyclic=0 start=0 end=9223372036854775807 nr=10
next 0 = folio 4 2 nr=10 wbindex=0
start 4 0
unlock 4
next 0 = folio 9 0 nr=6 wbindex=0
redirty 9 = 1 skipped=1
unlock 9
next -5 = done -5 nr=5 wbindex=0
marks = dirty:9 writeback:4 towrite:9
`

test('there are 42 golden traces, of every operation', () => {
  expect(names).toHaveLength(42)
  const all = names.map(golden).join('')
  for (const name of 'add dirty remove lock unlock start end redirty tag begin next marks'.split(' ')) {
    expect(all).toMatch(new RegExp(`^${name}\\b`, 'm'))
  }
})

describe.each(backends)('golden traces, $backend', (backend) => {
  test.each(names)('%s', (name) => {
    const trace = parseTrace(name, golden(name))
    expect(replay(trace, backend)).toEqual({ operations: trace.lines.length, divergence: null })
  })
})

describe.each(backends)('replay, $backend', (backend) => {
  const replayText = (text: string) => replay(parseTrace('t', text), backend)

  test('stops at the first divergence', () => {
    const text = SHORT.replace('dirty 9 = 1', 'dirty 9 = 0').replace('redirty 9 = 1', 'redirty 9 = 0')
    expect(replayText(text)).toEqual({ operations: 4, divergence: { line: 5, expected: '0', got: '1' } })
  })

  test.each([
    ['next', 'folio 4 2 nr=10', 'folio 4 2 nr=11', 'folio 4 2 nr=10 wbindex=0'],
    ['marks', 'writeback:4', 'writeback:', 'dirty:9 writeback:4 towrite:9'],
    ['skipped', 'skipped=1', 'skipped=2', '1 skipped=1'],
    ['add', 'add 9 0 = ok', 'add 9 0 = EEXIST', 'ok'],
    ['add that fails', 'add 9 0 = ok', 'add 7 0 = ok', 'EEXIST'],
  ])('finds an altered %s', (_, from, to, got) => {
    expect(SHORT).toContain(from)
    expect(replayText(SHORT.replace(from, to)).divergence).toMatchObject({ got })
  })

  test.each([
    ['unlock', 'unlock 3', 'EINVAL'],
    ['start', 'start 3 0', 'EINVAL'],
    ['end', 'end 3', 'EINVAL'],
    ['remove', 'lock 3 = 1\nremove 3', 'EBUSY'],
  ])('what the backend refuses is a divergence: %s', (_, lines, code) => {
    const { divergence } = replayText(`${HEADER}\nadd 3 0 = ok\n${lines}\n`)
    expect(divergence?.expected).toBe('')
    expect(divergence?.got).toMatch(new RegExp(`^${code}: .*3`))
  })

  test('a removed folio that is handed back, and a new one at its index', () => {
    const text = `${HEADER}
add 1 0 = ok
add 2 0 = ok
dirty 1 = 1
dirty 2 = 1
begin sync=none tagged=0 cyclic=1 start=0 end=0 nr=1
next 0 = folio 1 0 nr=1 wbindex=0
unlock 1
remove 1
add 1 0 = ok
dirty 1 = 1
next 0 = done 0 nr=0 wbindex=2
marks = dirty:1,2 writeback: towrite:
`
    expect(replayText(text).divergence).toBeNull()
  })

  test('results of single operations, written back as a trace, replay', () => {
    const { lines } = parseTrace('t', SHORT)
    const replayer = new Replayer(backend)
    const executed = lines.map(({ operation }) => ({ operation, result: replayer.execute(operation) }))
    replayer.close()
    expect(formatTrace(executed)).toBe(SHORT)
  })

  test.each([
    ['a folio that was never added', 'dirty 5 = 1', 'no folio in the cache has the head index 5'],
    ['a page that is not the head', 'dirty 3 = 1', 'no folio in the cache has the head index 3'],
    ['a folio that was removed', 'remove 2\ndirty 2 = 1', 'no folio in the cache has the head index 2'],
    ['next before begin', 'next 0 = done 0 nr=0 wbindex=0', 'next before the first begin'],
    ['redirty before begin', 'redirty 2 = 1 skipped=1', 'redirty before the first begin'],
    [
      'next after done',
      `begin sync=none tagged=0 cyclic=0 start=0 end=0 nr=1
next 0 = done 0 nr=1 wbindex=0
next 0 = done 0 nr=1 wbindex=0`,
      'next after done, expected a begin first',
    ],
  ])('malformed: %s', (_, lines, problem) => {
    const text = `${HEADER}\nadd 2 1 = ok\n${lines}\n`
    const line = text.split('\n').length - 1
    expect(() => replayText(text)).toThrow(`t:${line}: ${problem}`)
  })
})

describe('format', () => {
  test.each(names)('%s is written as it was read', (name) => {
    const text = golden(name)
    expect(formatTrace(parseTrace(name, text).lines)).toBe(text)
  })

  test('comments count as lines and are not operations; the last line feed may be missing', () => {
    const { lines } = parseTrace('t', `${HEADER}\n# x\nremove 0\n#\nunlock 1`)
    expect(lines.map(({ line }: TraceLine) => line)).toEqual([3, 5])
  })

  test('numbers reach 2^51 - 1, 2^63 - 1 and 2^53 - 1 exactly', () => {
    const begin =
      'begin sync=none tagged=1 cyclic=1 start=9223372036854775806 end=9223372036854775807 nr=9007199254740991'
    const text = `${HEADER}\nadd 2251799813685247 0 = ok\nadd 2251799813423104 18 = ok\n${begin}\n`
    expect(formatTrace(parseTrace('t', text).lines)).toBe(text)
  })

  const begin = (change: [string, string]) =>
    'begin sync=all tagged=0 cyclic=0 start=0 end=4095 nr=1'.replace(...change)

  test.each([
    ['', 'operation is "", which is unknown'],
    ['punch 1', 'operation is "punch", which is unknown'],
    ['Dirty 1 = 1', 'operation is "Dirty", which is unknown'],
    [' dirty 1 = 1', 'operation is "", which is unknown'],
    ['toString', 'operation is "toString", which is unknown'],
    ['dirty = 1', '0 arguments, expected 1: dirty I'],
    ['dirty 1 2 = 1', '2 arguments, expected 1: dirty I'],
    ['dirty  1 = 1', '2 arguments, expected 1: dirty I'],
    ['marks 1 = dirty: writeback: towrite:', '1 arguments, expected 0: marks'],
    ['dirty 0x5 = 1', 'index is "0x5", expected a decimal number'],
    ['dirty 05 = 1', 'index is "05", expected a decimal number'],
    ['dirty -0 = 1', 'index is "-0", expected a decimal number'],
    ['dirty 1.0 = 1', 'index is "1.0", expected a decimal number'],
    ['dirty 1e3 = 1', 'index is "1e3", expected a decimal number'],
    ['dirty x = 1', 'index is "x", expected a decimal number'],
    ['dirty -1 = 1', 'index is -1, expected 0 to 2251799813685247'],
    ['dirty 2251799813685248 = 1', 'index is 2251799813685248, expected 0 to 2251799813685247'],
    ['tag 0 2251799813685248', 'end is 2251799813685248, expected 0 to 2251799813685247'],
    ['tag x 1', 'start is "x", expected a decimal number'],
    ['add 0 19 = ok', 'order is 19, expected 0 to 18'],
    ['add 6 2 = ok', 'index is 6, expected a multiple of 4 at order 2'],
    ['start 1 2', 'keep is "2", expected 0 or 1'],
    ['next 5 = done 0 nr=1 wbindex=0', 'error is 5, expected -2147483648 to 0'],
    [begin(['all', 'ALL']), 'sync is "ALL", expected none or all'],
    [begin(['tagged=0', 'tagged=2']), 'tagged is "2", expected 0 or 1'],
    [begin(['tagged=0 cyclic=0', 'cyclic=0 tagged=0']), 'argument is "cyclic=0", expected tagged='],
    [begin([' nr=1', '']), '5 arguments, expected 6: begin sync=none|all tagged=0|1'],
    [begin(['4095', '9223372036854775808']), 'end is 9223372036854775808, expected 0 to 9223372036854775807'],
    [begin(['start=0', 'start=-1']), 'start is -1, expected 0 to 9223372036854775807'],
    [begin(['nr=1', 'nr=9007199254740992']), 'nr is 9007199254740992, expected -9007199254740991 to'],
    [begin(['nr=1', 'nr=']), 'nr is "", expected a decimal number'],
    [begin(['nr=1', 'nr=1 = ok']), 'result is "ok", but begin has none'],
    ['remove 1 = 1', 'result is "1", but remove has none'],
    ['dirty 1', 'result is missing, expected dirty = 0 or 1'],
    ['dirty 1 = ', 'result of dirty is "", expected 0 or 1'],
    ['dirty 1 = 2', 'result of dirty is "2", expected 0 or 1'],
    ['dirty 1 = 1 ', 'result of dirty is "1 ", expected 0 or 1'],
    ['dirty 1 = 1\r', 'result of dirty is "1\\r", expected 0 or 1'],
    ['add 1 0 = EINVAL', 'result of add is "EINVAL", expected ok or EEXIST'],
    ['redirty 1 = 1', 'result of redirty is "1", expected R skipped=N'],
    ['next 0 = folio 1 nr=1 wbindex=0', 'result of next is "folio 1 nr=1 wbindex=0", expected [wait'],
    ['next 0 = wait page 1; done 0 nr=1 wbindex=0', 'result of next is "wait page 1; done 0'],
    [
      'marks = dirty:1, writeback: towrite:',
      'result of marks is "dirty:1, writeback: towrite:", expected dirty:L',
    ],
    ['marks = dirty:1 towrite: writeback:', 'result of marks is'],
  ])('malformed: %j', (line, problem) => {
    expect(() => parseTrace('t', `${HEADER}\n# comment\n${line}\n`)).toThrow(`t:3: ${problem}`)
  })

  test.each([
    ['', 'first line is missing'],
    ['\n', 'first line is ""'],
    ['# writeback-trace 2\n', 'first line is "# writeback-trace 2"'],
    ['add 0 0 = ok\n', 'first line is "add 0 0 = ok"'],
    [`\n${HEADER}\n`, 'first line is ""'],
  ])('malformed first line: %j', (text, problem) => {
    expect(() => parseTrace('t', text)).toThrow(`t:1: ${problem}, expected "# writeback-trace 1"`)
  })
})

const ESCAPE = '\x1b'

describe('command line', () => {
  const main = join(root, 'dist/cli/main.js')
  let folder: string

  interface Run {
    status: number | null
    stdout: string
    stderr: string
  }

  /** Runs the command in the temporary folder, as built by `npm run build:ts` (pretest). */
  function cli(args: string[], env: NodeJS.ProcessEnv = {}): Run {
    return spawnSync(process.execPath, [main, ...args], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    })
  }

  function lastLine(text: string): string | undefined {
    return text.trimEnd().split('\n').at(-1)
  }

  beforeAll(() => {
    if (!existsSync(main)) throw new Error('dist/cli/main.js is not built: npm run build:ts')
    folder = mkdtempSync(join(tmpdir(), 'writeback-iter-replay-'))
    mkdirSync(join(folder, 'some/below'), { recursive: true })
    writeFileSync(join(folder, 'short.trace'), SHORT)
    writeFileSync(join(folder, 'some/b.trace'), SHORT)
    writeFileSync(join(folder, 'some/a.trace.gz'), gzipSync(SHORT))
    writeFileSync(join(folder, 'some/below/c.trace'), SHORT.replace('= 1 skipped=1', '= 0 skipped=1'))
    writeFileSync(join(folder, 'some/notes.txt'), 'not a trace')
    writeFileSync(join(folder, 'bad.trace'), SHORT.replace('unlock 9', 'unlock nine'))
    mkdirSync(join(folder, 'empty'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('every golden trace', () => {
    expect(cli(['replay', '--backend', 'js', traces])).toMatchObject({
      stdout: `42 traces, ${operations} operations, 0 divergences\n`,
      stderr: '',
      status: 0,
    })
  })

  test.skipIf(nativeMissing !== null)('both backends: operations count on each', () => {
    expect(cli(['replay', '--backend', 'both', traces])).toMatchObject({
      stdout:
        `native: 42 traces, ${operations} operations, 0 divergences\n` +
        `js: 42 traces, ${operations} operations, 0 divergences\n` +
        `42 traces, ${2 * operations} operations, 0 divergences\n`,
      stderr: '',
      status: 0,
    })
  })

  test('files, gzipped or not, in the order given; a comment is no operation', () => {
    const { stdout, status } = cli(['replay', 'short.trace', 'some/a.trace.gz'])
    expect(stdout).toBe('2 traces, 26 operations, 0 divergences\n')
    expect(status).toBe(0)
  })

  test('a folder: every trace below it; the first divergence of each', () => {
    const { stdout, stderr, status } = cli(['replay', 'some'])
    expect(stdout).toBe(
      'some/below/c.trace:11: expected «0 skipped=1» got «1 skipped=1»\n3 traces, 36 operations, 1 divergences\n',
    )
    expect(stderr).toBe('')
    expect(status).toBe(1)
  })

  test.skipIf(nativeMissing !== null)('a divergence names the backend where both run', () => {
    const { stdout } = cli(['replay', '--backend', 'both', 'some/below/c.trace'])
    const finding = 'some/below/c.trace:11: expected «0 skipped=1» got «1 skipped=1»'
    expect(stdout.split('\n').slice(0, 2)).toEqual([`${finding} (native)`, `${finding} (js)`])
    expect(lastLine(stdout)).toBe('1 traces, 20 operations, 2 divergences')
  })

  test('an altered golden trace', () => {
    const [name] = names
    const lines = golden(name).split('\n')
    const at = lines.findIndex((line) => / = folio /.test(line))
    lines[at] = lines[at].replace(/nr=(\d+)/, 'nr=1$1')
    writeFileSync(join(folder, 'altered.trace'), lines.join('\n'))
    const { stdout, status } = cli(['replay', 'altered.trace'])
    const expected = lines[at].replace(/.* = /, '')
    const got = expected.replace('nr=1', 'nr=')
    expect(stdout).toBe(
      `altered.trace:${at + 1}: expected «${expected}» got «${got}»\n1 traces, ${at} operations, 1 divergences\n`,
    )
    expect(status).toBe(1)
  })

  test('of long results, the part that differs is shown', () => {
    const heads = Array.from({ length: 1000 }, (_, i) => i)
    const adds = heads.map((i) => `add ${i} 0 = ok\ndirty ${i} = 1\n`).join('')
    const expected = `dirty:${heads.filter((i) => i !== 700)} writeback: towrite:`
    writeFileSync(join(folder, 'long.trace'), `${HEADER}\n${adds}marks = ${expected}\n`)
    const { stdout } = cli(['replay', 'long.trace'])
    expect(stdout).toMatch(/^long\.trace:2002: expected «….*,699,701,.*…» got «….*,699,700,.*…»\n/)
    expect(stdout.length).toBeLessThan(600)
  })

  test('a malformed trace: exit 2, and the others are still replayed', () => {
    const { stdout, stderr, status } = cli(['replay', 'bad.trace', 'short.trace', 'some/below/c.trace'])
    expect(stderr).toBe('bad.trace:12: index is "nine", expected a decimal number\n')
    expect(stdout.split('\n').slice(1)).toEqual(['2 traces, 23 operations, 1 divergences, 1 malformed', ''])
    expect(status).toBe(2)
  })

  test('an operation that makes no sense in its place is malformed', () => {
    writeFileSync(join(folder, 'misplaced.trace'), `${HEADER}\nunlock 7\n`)
    const { stderr, status } = cli(['replay', 'misplaced.trace'])
    expect(stderr).toBe('misplaced.trace:2: no folio in the cache has the head index 7\n')
    expect(status).toBe(2)
  })

  test('CRLF and a byte order mark', () => {
    writeFileSync(join(folder, 'dos.trace'), `\ufeff${SHORT.replaceAll('\n', '\r\n')}`)
    expect(cli(['replay', 'dos.trace'])).toMatchObject({
      status: 0,
      stdout: '1 traces, 13 operations, 0 divergences\n',
    })
  })

  test('a FIFO, a device and a missing file are named, and the others are still replayed', () => {
    expect(spawnSync('mkfifo', [join(folder, 'fifo.trace')]).status).toBe(0)
    const { stdout, stderr, status } = cli(['replay', 'fifo.trace', '/dev/zero', 'short.trace'])
    expect(stderr).toBe(
      "ENOTSUP: not a regular file, open 'fifo.trace'\nENOTSUP: not a regular file, open '/dev/zero'\n",
    )
    expect(stdout).toBe('1 traces, 13 operations, 0 divergences, 2 unreadable\n')
    expect(status).toBe(2)
  })

  test('a file of /proc, whose size is 0, is read', () => {
    const { stderr, status } = cli(['replay', '/proc/version'])
    expect(stderr).toMatch(
      /^\/proc\/version:1: first line is "Linux version .*, expected "# writeback-trace 1"\n$/,
    )
    expect(status).toBe(2)
  })

  test('a folder that cannot be read does not keep the others from being replayed', () => {
    // The path is longer than PATH_MAX, so even root cannot use it as an absolute path.
    const name = 'n'.repeat(250)
    const [up, down] = [9, 8].map((depth) => Array(depth).fill(name).join('/'))
    const deep = `mkdir -p ${up} && cd ${up} && mkdir -p ${down}`
    mkdirSync(join(folder, 'deep'))
    writeFileSync(join(folder, 'deep/short.trace'), SHORT)
    expect(spawnSync('sh', ['-c', deep], { cwd: join(folder, 'deep') }).status).toBe(0)
    try {
      const { stdout, stderr, status } = cli(['replay', join(folder, 'deep')])
      expect(stderr).toMatch(/^ENAMETOOLONG: name too long, scandir '[^\n]*'\n$/)
      expect(stdout).toBe('1 traces, 13 operations, 0 divergences, 1 unreadable\n')
      expect(status).toBe(2)
    } finally {
      spawnSync('rm', ['-rf', join(folder, 'deep')])
    }
  })

  test('control characters of names and of traces do not reach the terminal', () => {
    const name = '\x1b]0;title\x07.trace'
    writeFileSync(join(folder, name), SHORT.replace('dirty 9 = 1', 'dirty 9 = 0'))
    expect(cli(['replay', name]).stdout).toMatch(/^\\x1b\]0;title\\x07\.trace:5: expected/)
    writeFileSync(join(folder, name), `${HEADER}\nadd \x1b[31m\x9b 0 = ok\n`)
    expect(cli(['replay', name]).stderr).toMatch(/^[ -~]*:2: index is [ -~]*\n$/)
    expect(cli(['replay', '\x1b[31m']).stderr).toMatch(/^writeback-iter: ENOENT[ -~]*\n$/)
    expect(cli(['re\x1b[31mply']).stderr).toMatch(/^error: unknown command 're\\x1b\[31mply'\n/)
  })

  test('a trace longer than the longest string', () => {
    const comment = `#${'x'.repeat(1022)}\n`.repeat(1024)
    const member = gzipSync(comment)
    // Members of a gzip file follow one another: 600 MiB of comments, then one operation that is malformed.
    const members = Array(600).fill(member)
    writeFileSync(
      join(folder, 'long.trace.gz'),
      Buffer.concat([gzipSync(`${HEADER}\n`), ...members, gzipSync('add x 0 = ok\n')]),
    )
    const { stderr, status } = spawnSync(
      process.execPath,
      ['--max-old-space-size=64', main, 'replay', 'long.trace.gz'],
      { cwd: folder, encoding: 'utf8' },
    )
    expect(stderr).toBe('long.trace.gz:614402: index is "x", expected a decimal number\n')
    expect(status).toBe(2)
  }, 60_000)

  test('a line without an end is refused before it fills the memory', () => {
    writeFileSync(join(folder, 'endless.trace'), `${HEADER}\n#${'x'.repeat(2 ** 24)}`)
    const { stderr } = cli(['replay', 'endless.trace'])
    expect(stderr).toBe('endless.trace:2: line is longer than 16777216 characters\n')
  })

  test('a damaged gzip file', () => {
    writeFileSync(join(folder, 'damaged.trace.gz'), gzipSync(SHORT).subarray(0, -20))
    const { stderr, status } = cli(['replay', 'damaged.trace.gz'])
    expect(stderr).toMatch(/^damaged\.trace\.gz:\d+: gzip: unexpected end of file\n$/)
    expect(status).toBe(2)
  })

  test.each([
    [['replay', 'none.trace'], /^writeback-iter: ENOENT: .*none\.trace/],
    [['replay', 'empty'], /^writeback-iter: empty: no \*\.trace/],
    [['replay'], /missing required argument 'file'/],
    [
      ['replay', '--backend', 'rust', 'short.trace'],
      /'rust' is invalid\. Allowed choices are native, js, both/,
    ],
    [['replay', '--bakend', 'js', 'short.trace'], /unknown option '--bakend'\n\(Did you mean --backend\?\)/],
    [['replay', '--zzz'], /unknown option '--zzz'\n\(--help tells/],
    [['reply'], /unknown command 'reply'\n\(Did you mean replay\?\)/],
    [['--verson'], /unknown option '--verson'\n\(Did you mean --version\?\)/],
    [[], /^Usage: writeback-iter/],
  ])('wrong use: %j', (args, message) => {
    const { stdout, stderr, status } = cli(args)
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/^ +at /m)
    expect(stdout).toBe('')
    expect(status).toBe(2)
  })

  test('WRITEBACK_ITER_BACKEND picks the default; another value is refused by name', () => {
    const js = cli(['replay', '--json', 'short.trace'], { WRITEBACK_ITER_BACKEND: 'js' })
    expect(JSON.parse(js.stdout).operations).toEqual({ js: 13 })
    const wrong = cli(['replay', 'short.trace'], { WRITEBACK_ITER_BACKEND: 'rust' })
    expect(wrong.stderr).toMatch(/WRITEBACK_ITER_BACKEND is "rust", expected native or js\n$/)
    expect(wrong.status).toBe(2)
  })

  test('--json', () => {
    const args = ['replay', '--json', '--backend', 'js', 'some', 'bad.trace']
    const { stdout, stderr, status } = cli(args)
    expect(JSON.parse(stdout)).toEqual({
      traces: 3,
      operations: { js: 36 },
      recordings: [],
      divergences: [
        { file: 'some/below/c.trace', backend: 'js', line: 11, expected: '0 skipped=1', got: '1 skipped=1' },
      ],
      malformed: [{ file: 'bad.trace', line: 12, problem: 'index is "nine", expected a decimal number' }],
      unreadable: [],
      interrupted: false,
    })
    expect(stderr).toBe('')
    expect(status).toBe(2)
  })

  test('--help and --version', () => {
    const help = cli(['--help'])
    expect(help.stdout).toMatch(/^ {2}replay .*<file\.\.\.>/m)
    expect(help.status).toBe(0)
    expect(cli(['replay', '--help']).stdout).toMatch(/--backend <name>/)
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    expect(cli(['--version'])).toMatchObject({ stdout: `${version}\n`, stderr: '', status: 0 })
  })

  /** Everything that a child wrote to stderr, and how it ended. */
  function ended(
    child: ChildProcess,
  ): Promise<{ stderr: string; code: number | null; signal: string | null }> {
    let stderr = ''
    child.stderr?.on('data', (data) => {
      stderr += data
    })
    return new Promise((resolve) => {
      child.on('close', (code, signal) => resolve({ stderr, code, signal }))
    })
  }

  test.each([[['--help']], [['replay', 'short.trace']]])(
    'a reader that goes away is no error: %j',
    async (args) => {
      const child = spawn(process.execPath, [main, ...args], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child.stdout.destroy()
      expect(await ended(child)).toEqual({ stderr: '', code: 0, signal: null })
    },
  )

  test('a full device is an error, and is no divergence', () => {
    const { stderr, status } = spawnSync(
      'sh',
      ['-c', `"${process.execPath}" "${main}" --version >/dev/full`],
      {
        encoding: 'utf8',
      },
    )
    expect(stderr).toMatch(/^writeback-iter: ENOSPC: .*\n$/)
    expect(status).toBe(2)
  })

  /** What a terminal shows of the command: stdout and stderr, with their control sequences. */
  function terminal(args: string[], columns = 80): string {
    const words = [process.execPath, main, ...args].map((arg) => `'${arg}'`).join(' ')
    const command = `stty cols ${columns}; ${words}`
    const { error, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
      cwd: folder,
      encoding: 'utf8',
    })
    if (error !== undefined) throw new Error('script is missing: apt-get install bsdutils', { cause: error })
    return stdout
  }

  test('a progress bar on a terminal, where it takes over two seconds', () => {
    /** Seconds that the replay of this number of copies of the traces takes. */
    const timed = (copies: number) => {
      const start = performance.now()
      shown = terminal(['replay', '--backend', 'js', ...Array(copies).fill(traces)])
      return (performance.now() - start) / 1000
    }
    let shown = ''
    let copies = 4
    // Twice the time that is needed: the machine may be busy now, and idle when the next replay is timed.
    for (let seconds = timed(copies); seconds < 4; seconds = timed(copies)) {
      copies = Math.ceil((copies * 5) / seconds)
    }
    expect(shown).toMatch(/=+-* \d+% \| \d+\/\d+ traces/)
    // No line of the bar wraps if the terminal is narrow.
    for (const [columns, pattern] of [
      [60, `[^=]\\d+% \\| \\d+/\\d+ traces${ESCAPE}`],
      [20, `[^=]\\d+%${ESCAPE}`],
    ] as const) {
      const narrow = terminal(['replay', '--backend', 'js', ...Array(copies).fill(traces)], columns)
      expect(narrow).toMatch(new RegExp(pattern))
      const sequence = new RegExp(`${ESCAPE}(?:\\[[0-9;?]*[A-Za-z]|[78])`, 'g')
      const drawn = narrow.slice(0, narrow.lastIndexOf(ESCAPE)).replaceAll(sequence, '\n')
      expect(Math.max(...drawn.split('\n').map((line) => line.length))).toBeLessThanOrEqual(columns)
    }
    expect(lastLine(shown)).toMatch(/\d+ traces, \d+ operations, 0 divergences$/)
    expect(terminal(['replay', '--backend', 'js', 'short.trace'])).toBe(
      '1 traces, 13 operations, 0 divergences\r\n',
    )
  })
})
