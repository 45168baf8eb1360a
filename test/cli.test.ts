// SPDX-License-Identifier: GPL-2.0-only
// What all commands share: Ctrl-C, colours, JSON, exit codes.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nativeMissing } from './backends.js'

const main = join(__dirname, '../dist/cli/main.js')
const traces = join(__dirname, 'fixtures/traces')

let folder: string
/** The folder for temporary files of the command, which has to be empty after each. */
let temporary: string
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-cli-'))
  temporary = join(folder, 'tmp')
  fs.mkdirSync(temporary)
})
afterEach(() => {
  expect(fs.readdirSync(temporary)).toEqual([])
  fs.rmSync(folder, { recursive: true })
})

/**
 * The environment without the variables that decide about colours; in CI, Node.js takes a terminal for one
 * without colours.
 */
function environment(changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { CI, NO_COLOR, FORCE_COLOR, CLICOLOR_FORCE, WRITEBACK_ITER_BACKEND, ...env } = process.env
  return { ...env, TERM: 'xterm-256color', TMPDIR: temporary, ...changes }
}

function cli(args: string[], changes: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, [main, ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: environment(changes),
  })
}

/** A command in a terminal: all of its output. */
function inTerminal(words: string[], changes: NodeJS.ProcessEnv = {}): string {
  const command = words.map((word) => `'${word}'`).join(' ')
  const { error, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
    cwd: folder,
    encoding: 'utf8',
    env: environment(changes),
    input: '',
  })
  if (error) throw new Error(`script does not run (apt-get install bsdutils): ${error.message}`)
  return stdout
}

/** The processes that a process has started and that still run. */
function children(pid: number | undefined): number[] {
  try {
    return fs
      .readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter((text) => text !== '')
      .map(Number)
  } catch {
    return []
  }
}

function runs(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

interface Interrupted {
  code: number | null
  signal: string | null
  stdout: string
  stderr: string
  children: number[]
}

/**
 * Starts a command and sends it a signal once it is in the middle of its work.
 * @param group - the whole process group gets it, as from a terminal
 */
async function interrupt(
  args: string[],
  signal: NodeJS.Signals,
  working: (child: ChildProcess) => boolean,
  group = false,
): Promise<Interrupted> {
  const child = spawn(process.execPath, [main, ...args], { cwd: folder, env: environment(), detached: true })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (data) => {
      output[name] += data
    })
  }
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }))
  })
  while (!working(child) && child.exitCode === null) await delay(10)
  await delay(1000)
  const started = children(child.pid)
  process.kill(group ? -(child.pid as number) : (child.pid as number), signal)
  return { ...(await ended), ...output, children: started }
}

/** Whether a process handles the signal: SIGHUP is caught (bit 0), which Node.js does not do by itself. */
function listens({ pid }: ChildProcess): boolean {
  const caught = /^SigCgt:\s+([0-9a-f]+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))
  return caught !== null && BigInt(`0x${caught[1]}`) % 2n === 1n
}

const hasTemporaryFiles = () => fs.readdirSync(temporary).length > 0
const hasChildren = (child: ChildProcess) => children(child.pid).length > 0

/** A log of 800,000 writes to 64 pages. Without a sync, so that it takes about the same on any device. */
function longLog(): string {
  const writes = Array.from({ length: 800_000 }, (_, i) => `f write ${4096 * (i % 64)} 4096\n`)
  fs.writeFileSync(
    join(folder, 'long.log'),
    `fio version 2 iolog\nf add\nf open\n${writes.join('')}f close\n`,
  )
  return 'long.log'
}

describe.each(['SIGINT', 'SIGTERM'] as const)('%s in the middle of the work', (signal) => {
  test('run: says where, removes its files', async () => {
    const args = ['run', '--iolog', longLog()]
    const { code, stdout, stderr } = await interrupt(args, signal, hasTemporaryFiles)
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' })
    expect(stdout).toMatch(/^long\.log: 800,000 writes, /)
    expect(stdout).toMatch(
      /\ninterrupted in (plain writes|CachedFile native|CachedFile js), after [\d,]+ of 800,000 operations\n$/,
    )
  })

  test('replay: tells what was replayed', async () => {
    const args = ['replay', '--backend', 'js', ...Array.from({ length: 400 }, () => traces)]
    const { code, stdout, stderr } = await interrupt(args, signal, listens)
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' })
    expect(stdout).toMatch(
      /^[1-9]\d* traces, \d+ operations, 0 divergences\ninterrupted after \d+ of 16800 traces\n$/,
    )
  })

  test.skipIf(nativeMissing !== null)('fuzz: tells what was compared, ends its child', async () => {
    const args = ['fuzz', '--time', '60', '--seed', '3']
    const { code, stdout, stderr, children } = await interrupt(args, signal, hasChildren)
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' })
    expect(stdout).toMatch(/^seed 3: [\d,]+ programs, .*: no difference, interrupted\n$/)
    expect(children).toHaveLength(1)
    expect(children.filter(runs)).toEqual([])
    expect(fs.readdirSync(folder)).toEqual(['tmp'])
  })

  test('bench: shows the runs that are over', async () => {
    const args = ['bench', '--folios', '500', '--runs', '1000000']
    const { code, stdout, stderr } = await interrupt(args, signal, listens)
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' })
    expect(stdout).toMatch(/the minimum of [1-9]\d* interleaved runs\n/)
    expect(stdout).toMatch(/^writePages +\d/m)
    expect(stdout).toMatch(/\ninterrupted\n$/)
  })
})

describe('interrupted', () => {
  test.skipIf(nativeMissing !== null)(
    'from a terminal, where the child of fuzz gets it too: no crash',
    async () => {
      const args = ['fuzz', '--time', '60', '--json']
      const { code, stdout, stderr } = await interrupt(args, 'SIGINT', hasChildren, true)
      expect({ code, stderr }).toEqual({ code: 130, stderr: '' })
      expect(JSON.parse(stdout)).toMatchObject({ finding: null, files: null, interrupted: true })
    },
  )

  test.skipIf(nativeMissing !== null)(
    'while a crash is being made small: that ends, the crash is reported',
    async () => {
      const child = spawn(process.execPath, [main, 'fuzz', '--time', '60', '--json'], {
        cwd: folder,
        env: environment(),
        detached: true,
      })
      let stdout = ''
      child.stdout.on('data', (data) => {
        stdout += data
      })
      const ended = new Promise((resolve) => child.on('close', resolve))
      while (!hasChildren(child)) await delay(10)
      await delay(500)
      process.kill(children(child.pid)[0], 'SIGSEGV')
      process.kill(child.pid as number, 'SIGINT')
      expect([1, 130]).toContain(await ended)
      expect(JSON.parse(stdout)).toHaveProperty('interrupted')
    },
  )

  test('run, by a terminal that npm passes it on from: a second one changes nothing', async () => {
    const child = spawn(process.execPath, [main, 'run', '--iolog', longLog()], {
      cwd: folder,
      env: environment(),
    })
    const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)))
    while (!hasTemporaryFiles()) await delay(10)
    await delay(300)
    for (let i = 0; i < 5; i++) child.kill('SIGINT')
    expect(await ended).toBe(130)
  })

  test('run after the plain writes: their figures are there', async () => {
    // The file that the first side wrote back exists as long as the other sides run.
    const writing = () =>
      fs.readdirSync(temporary).some((name) => fs.existsSync(join(temporary, name, 'cached-0')))
    const args = ['run', '--iolog', longLog(), '--json', '--background', '0']
    const { code, stdout } = await interrupt(args, 'SIGINT', writing)
    expect(code).toBe(130)
    const { plain, backends, interrupted } = JSON.parse(stdout)
    expect(plain.seconds).toBeGreaterThan(0)
    expect(backends.length).toBeLessThan(nativeMissing === null ? 2 : 1)
    expect(interrupted.operations).toBeGreaterThan(0)
  })

  test('run: the target stays, unfinished', async () => {
    fs.mkdirSync(join(folder, 'out'))
    const working = () => fs.readdirSync(join(folder, 'out')).includes('file')
    const args = ['run', '--iolog', longLog(), '--background', '0', '--target', 'out/file']
    await interrupt(args, 'SIGINT', working)
    expect(fs.readdirSync(join(folder, 'out'))).toEqual(['file'])
  })
})

describe('colours', () => {
  const ESCAPE = '\u001b['
  const replay = ['replay', '--backend', 'js', 'altered.trace']
  beforeEach(() => {
    fs.writeFileSync(join(folder, 'altered.trace'), '# writeback-trace 1\nadd 1 0 = EEXIST\n')
  })

  test.each([[['--help']], [['run', '--help']], [replay]])('in a terminal: %j', (args) => {
    const output = (changes?: NodeJS.ProcessEnv) => inTerminal([process.execPath, main, ...args], changes)
    expect(output()).toContain(ESCAPE)
    expect(output({ NO_COLOR: '1' })).not.toContain(ESCAPE)
    expect(output({ FORCE_COLOR: '0' })).not.toContain(ESCAPE)
    expect(output({ TERM: 'dumb' })).not.toContain(ESCAPE)
  })

  test.each([[['--help']], [['fuzz', '--help']], [replay]])('in a pipe: %j', (args) => {
    expect(cli(args).stdout).not.toContain(ESCAPE)
    expect(cli(args, { FORCE_COLOR: '1' }).stdout).toContain(ESCAPE)
    expect(cli(args, { FORCE_COLOR: '1', NO_COLOR: '1' }).stdout).not.toContain(ESCAPE)
    expect(cli(args, { CI: 'true' }).stdout).not.toContain(ESCAPE)
  })

  test('never in JSON, nor on stderr', () => {
    const { stdout } = cli([...replay, '--json'], { FORCE_COLOR: '1' })
    expect(JSON.parse(stdout).divergences).toEqual([
      { file: 'altered.trace', backend: 'js', line: 2, expected: 'EEXIST', got: 'ok' },
    ])
    const { stderr, status } = cli(['replay', 'none'], { FORCE_COLOR: '1' })
    expect(status).toBe(2)
    expect(stderr).not.toContain(ESCAPE)
  })
})

describe('progress', () => {
  /** Five seconds of work, then Ctrl-C. */
  const work = [
    'timeout',
    '--signal=INT',
    '5',
    process.execPath,
    main,
    ...['bench', '--folios', '5000', '--runs', '1000000', '--backend', 'js'],
  ]

  test('on a terminal, on stderr; it leaves nothing in the way of the output', () => {
    const output = inTerminal(work)
    expect(output).toMatch(/\d+% \| \d+\/4000000 passes \| /)
    expect(output.slice(output.lastIndexOf('passes |'))).toMatch(
      /^passes \|.*Node\.js v[\s\S]*\ninterrupted\r\n$/,
    )
  })

  test('not in a pipe', () => {
    const { stdout, stderr } = spawnSync(work[0], work.slice(1), {
      cwd: folder,
      encoding: 'utf8',
      env: environment(),
    })
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^Node\.js v[\s\S]*\ninterrupted\n$/)
  })
})

describe('bench', () => {
  const small = ['bench', '--folios', '500', '--runs', '3']
  const WAYS = ['markDirty', 'writePages', 'writeExtents', 'writebackIter', 'for…of']

  test('--json', () => {
    const { stdout, stderr, status } = cli([...small, '--json'])
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    const outcome = JSON.parse(stdout)
    expect(outcome).toMatchObject({
      node: process.version,
      folios: 500,
      runs: 3,
      nativeMissing: expect.toBeOneOf([null, expect.any(String)]),
    })
    expect(Object.keys(outcome.nanoseconds)).toEqual(WAYS)
    for (const figures of Object.values<Record<string, number>>(outcome.nanoseconds)) {
      expect(Object.keys(figures)).toEqual(nativeMissing === null ? ['native', 'js'] : ['js'])
      for (const value of Object.values(figures)) expect(value).toBeGreaterThan(0)
    }
  })

  test.skipIf(nativeMissing !== null)('the table, with machine and version, and ratios', () => {
    const lines = cli(small).stdout.trimEnd().split('\n')
    expect(lines[0]).toMatch(new RegExp(`^Node\\.js ${process.version}; .+ cores, ${process.platform}-`))
    expect(lines[1]).toBe('500 dirty folios, nanoseconds per folio, the minimum of 3 interleaved runs')
    expect(lines[3].trim().split(/ {2,}/)).toEqual(['native', 'js', 'js / native'])
    const rows = lines.slice(4).map((line) => line.split(/ {2,}/))
    expect(rows.map(([way]) => way)).toEqual(WAYS)
    for (const [, native, js, ratio] of rows)
      expect(Number(ratio)).toBeCloseTo(Number(js) / Number(native), 0)
  })

  test('one backend', () => {
    const { stdout, status } = cli([...small, '--backend', 'js'])
    expect(status).toBe(0)
    expect(stdout).not.toContain('native')
  })

  test.each([
    ['--folios', '0', 'Expected an integer from 1 to 10000000.'],
    ['--folios', '10000001', 'Expected an integer from 1 to 10000000.'],
    ['--runs', '0', 'Expected an integer from 1.'],
    ['--runs', '1e3', 'Expected an integer from 1.'],
    ['--backend', 'rust', 'Allowed choices are native, js, both'],
  ])('%s %s is refused', (option, value, message) => {
    const { status, stdout, stderr } = cli([...small, option, value])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(message)
  })
})

test.each(['run', 'replay', 'check', 'fuzz', 'bench'])(
  '%s takes --json and tells its exit codes',
  (command) => {
    const { stdout, status } = cli([command, '--help'])
    expect(status).toBe(0)
    expect(stdout).toContain('--json')
    expect(stdout).toMatch(/Exit code: 0 [\s\S]*130 interrupted\./)
  },
)
