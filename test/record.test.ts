// SPDX-License-Identifier: GPL-2.0-only
// The recorder against a folder that looks like tracefs: its arguments, the files that it writes, and the
// removal of all of them. `npm run check -- live` runs the recorder on a real kernel.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InputReader } from '../lib/live/read.js'

const root = join(__dirname, '..')
const script = join(root, 'lib/live/record.sh')

let folder: string
let tracefs: string
let env: NodeJS.ProcessEnv

/** What the kernel puts into a new instance; `mkdir` does it here. */
const MKDIR = `#!/bin/sh
/bin/mkdir "$@" || exit
name=\${1##*/}
mkdir -p "$1/options" "$1/per_cpu/cpu0" "$1/per_cpu/cpu1"
printf 'entries: 2\\noverrun: %s\\ncommit overrun: 0\\ndropped events: %s\\n' "\${OVERRUN:-0}" "\${DROPPED:-0}" > "$1/per_cpu/cpu0/stats"
printf 'entries: 0\\noverrun: 0\\ncommit overrun: 0\\ndropped events: 0\\n' > "$1/per_cpu/cpu1/stats"
for event in add clear end; do /bin/mkdir -p "$1/events/$name/$event"; echo 1 > "$1/events/$name/$event/enable"; done
printf '# tracer: nop\\n  dd-1 [000] 5: add: (f+0x4/0x8 <- g) ino=1 dev=2 index=0 flags=0x1 f1=0x0 ret=0\\n' > "$1/trace"
`
/** tracefs forgets a whole instance by rmdir, with the files in it. */
const RMDIR = `#!/bin/sh
echo "$1" >> "$LOG"
cp "$1/events/"*/filter "$LOG.filter" 2> /dev/null
cp "$1/buffer_size_kb" "$LOG.buffer" 2> /dev/null
cp "$1/trace_clock" "$LOG.clock" 2> /dev/null
rm -r "$1"
`

function tool(name: string, text: string): void {
  fs.writeFileSync(join(folder, 'bin', name), text, { mode: 0o755 })
}

beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-record-'))
  tracefs = join(folder, 'tracing')
  fs.mkdirSync(join(tracefs, 'instances'), { recursive: true })
  fs.mkdirSync(join(folder, 'bin'))
  fs.writeFileSync(join(tracefs, 'dynamic_events'), '')
  fs.writeFileSync(
    join(folder, 'mounts'),
    '30 1 7:1 / /mnt rw - ext4 /dev/x rw\n31 1 7:2 / /data rw - xfs /dev/y rw\n',
  )
  tool('mkdir', MKDIR)
  tool('rmdir', RMDIR)
  tool('id', '#!/bin/sh\necho 0\n')
  tool('sleep', '#!/bin/sh\nexec /bin/sleep 0.05\n')
  env = {
    ...process.env,
    PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    TRACEFS: tracefs,
    LOG: join(folder, 'log'),
    DROP_CACHES: join(folder, 'dropped'),
    MOUNTINFO: join(folder, 'mounts'),
  }
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

function record(args: string[], more: NodeJS.ProcessEnv = {}) {
  return spawnSync('sh', [script, ...args], { cwd: folder, env: { ...env, ...more }, encoding: 'utf8' })
}

const events = () => fs.readFileSync(join(tracefs, 'dynamic_events'), 'utf8').split('\n')

/** Every event that was defined was deleted after it, as the kernel would have it gone. */
function expectNothingLeft(): void {
  const defined = events().flatMap((line) => /^[ft]\d*:(\S+) /.exec(line)?.[1] ?? [])
  const deleted = events().flatMap((line) => /^-:(\S+)$/.exec(line)?.[1] ?? [])
  expect(defined.length).toBeGreaterThan(0)
  expect([...new Set(deleted)].sort()).toEqual(defined.sort())
  expect(fs.readdirSync(join(tracefs, 'instances'))).toEqual([])
  expect(fs.readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
}

describe('a recording', () => {
  test('is what the trace has, with a header; and nothing is left', () => {
    const { status, stderr } = record(['--for', '1', '--dev', '7:2'])
    expect(stderr).toMatch(/recording for 1 s; Ctrl-C stops\n.*1 events in recording\.txt\n$/)
    expect(status).toBe(0)
    const text = fs.readFileSync(join(folder, 'recording.txt'), 'utf8')
    expect(text).toMatch(/^# record: kernel Linux /)
    expect(text).toContain('# record: filter dev == 7340034\n')
    expect(text).toContain('# record: lost 0\n')
    const reader = new InputReader('recording.txt')
    for (const line of text.trimEnd().split('\n')) reader.push(line)
    const input = reader.end()
    expect(input.kind).toBe('recording')
    if (input.kind === 'recording') {
      expect(input.recording.events).toBe(1)
      expect(input.recording.header.lost).toBe(0)
      expect(input.recording.header.fields.get('seconds')).toBe('1')
    }
    expect(fs.readFileSync(join(folder, 'log.filter'), 'utf8')).toBe('dev == 7340034\n')
    expect(fs.readFileSync(join(folder, 'log.buffer'), 'utf8')).toBe('131072\n')
    expect(fs.readFileSync(join(folder, 'log.clock'), 'utf8')).toBe('counter\n')
    expectNothingLeft()
  })

  test('of a file is filtered by its inode and device', () => {
    fs.writeFileSync(join(folder, 'a'), '')
    const { ino, dev } = fs.statSync(join(folder, 'a'))
    expect(record(['--for', '1', '--file', 'a']).status).toBe(0)
    const major = (dev >> 8) & 0xfff
    const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00)
    expect(fs.readFileSync(join(folder, 'log.filter'), 'utf8')).toBe(
      `ino == ${ino} && dev == ${major * 2 ** 20 + minor}\n`,
    )
  })

  test('is gzipped, drops the caches and has the unlocks if asked to', () => {
    const args = [
      '--for',
      '1',
      '--dev',
      '7:2',
      '--out',
      'r.txt.gz',
      '--drop-caches',
      '--unlock',
      '--buffer',
      '8',
    ]
    expect(record(args).status).toBe(0)
    expect(fs.readFileSync(join(folder, 'r.txt.gz')).subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]))
    expect(fs.readFileSync(join(folder, 'dropped'), 'utf8')).toBe('3\n')
    expect(fs.readFileSync(join(folder, 'log.buffer'), 'utf8')).toBe('4096\n')
    expect(events().some((line) => / folio_unlock /.test(line))).toBe(true)
    expectNothingLeft()
  })

  test.each([
    ['overwritten', { OVERRUN: '7' }, 7],
    ['dropped', { OVERRUN: '7', DROPPED: '3' }, 10],
  ])('that lost events says so: %s', (_, more, lost) => {
    const { status, stderr } = record(['--for', '1', '--dev', '7:2'], more)
    expect(stderr).toContain(`${lost} events were lost`)
    expect(status).toBe(1)
    expect(fs.readFileSync(join(folder, 'recording.txt'), 'utf8')).toContain(`# record: lost ${lost}\n`)
    expectNothingLeft()
  })

  test('has room for the return of every task that sleeps in a function', () => {
    record(['--for', '1', '--dev', '7:2'])
    const returns = events().filter((line) => line.includes('%return '))
    expect(returns.length).toBeGreaterThanOrEqual(8)
    for (const line of returns) expect(line).toMatch(/^f4096:/)
    expect(events().filter((line) => line.startsWith('f:')).length).toBeGreaterThan(5)
  })

  test.each([
    ['yes', true],
    ['', false],
  ])('at a terminal it offers to drop the caches: %j', (answer, dropped) => {
    const { stdout, status } = spawnSync('script', ['-qec', `sh ${script} --for 1 --dev 7:2`, '/dev/null'], {
      cwd: folder,
      env,
      encoding: 'utf8',
      input: `${answer}\n`,
    })
    expect(stdout).toContain('record.sh: drop its clean pages first (yes or no)? [no] ')
    expect(status).toBe(0)
    expect(fs.existsSync(join(folder, 'dropped'))).toBe(dropped)
    expect(fs.readFileSync(join(folder, 'recording.txt'), 'utf8')).toContain(
      `# record: caches ${dropped ? 'dropped' : 'kept'}\n`,
    )
  })

  test('elsewhere it does not ask', () => {
    expect(record(['--for', '1', '--dev', '7:2']).stderr).not.toContain('yes or no')
    expect(fs.existsSync(join(folder, 'dropped'))).toBe(false)
  })

  test('says who speaks: the script by the name of its file, or the command', () => {
    const copy = join(folder, 'their-copy.sh')
    fs.copyFileSync(script, copy)
    const help = spawnSync('sh', [copy, '--help'], { cwd: folder, encoding: 'utf8' })
    expect(help).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/^Usage: their-copy\.sh \[/),
    })
    const wrong = spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), 'record', '--for', 'x'], {
      cwd: folder,
      env,
      encoding: 'utf8',
    })
    expect(wrong.stderr).toBe("writeback-iter record: --for is 'x', expected an integer from 1\n")
  })

  test('of a file system that never calls writeback_iter is warned of', () => {
    expect(record(['--for', '1', '--dev', '7:1']).stderr).toContain('ext4 writes its files with its own loop')
    fs.rmSync(join(folder, 'recording.txt'))
    expect(record(['--for', '1', '--dev', '7:2']).stderr).not.toContain('writes its files')
  })
})

describe('ends', () => {
  let child: ChildProcess | null = null
  afterEach(() => {
    child?.kill('SIGKILL')
  })

  async function started(
    command: string,
    args: string[],
  ): Promise<{ child: ChildProcess; done: Promise<number | null> }> {
    const run = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] })
    child = run
    const done = new Promise<number | null>((resolve) => run.on('close', resolve))
    await new Promise<void>((resolve) => {
      run.stderr?.on('data', (data) => {
        if (String(data).includes('Ctrl-C stops')) resolve()
      })
    })
    return { child: run, done }
  }

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'on %s with a whole recording, and nothing left',
    async (signal) => {
      const { child, done } = await started('sh', [script, '--dev', '7:2'])
      child.kill(signal)
      expect(await done).toBe(0)
      expect(fs.readFileSync(join(folder, 'recording.txt'), 'utf8')).toContain(' add: ')
      expectNothingLeft()
    },
  )

  test('after a crash with everything left, which the next run takes away', async () => {
    const { child, done } = await started('sh', [script, '--dev', '7:2'])
    child.kill('SIGKILL')
    await done
    await setTimeout(100) // its last sleep ends
    const left = fs.readdirSync(join(tracefs, 'instances'))
    expect(left).toEqual([`writeback_iter_${child.pid}`])
    const { stderr, status } = record(['--for', '1', '--dev', '7:2'])
    expect(stderr).toContain(`removed the instance that process ${child.pid} had left`)
    expect(status).toBe(0)
    const gone = events().filter((line) => line.startsWith(`-:writeback_iter_${child.pid}/`))
    expect(gone.length).toBeGreaterThan(10)
    expectNothingLeft()
  })

  test('by the command line as by the script', async () => {
    const { child, done } = await started(process.execPath, [
      join(root, 'dist/cli/main.js'),
      'record',
      '--dev',
      '7:2',
    ])
    child.kill('SIGTERM')
    expect(await done).toBe(0)
    expectNothingLeft()
  })
})

describe('is refused', () => {
  test.each([
    [['--for', '0'], "--for is '0', expected an integer from 1"],
    [['--for', 'x'], "--for is 'x', expected an integer from 1"],
    [['--for'], '--for needs a value'],
    [['--dev', '7'], "--dev is '7', expected MAJOR:MINOR"],
    [['--dev', '7:1:2'], "--dev is '7:1:2', expected MAJOR:MINOR"],
    [['--dev', '7:x'], "--dev is '7:x', expected MAJOR:MINOR"],
    [['--file', 'none'], "--file is 'none', which does not exist"],
    [['--dev', '7:1', '--file', 'mounts'], 'either --dev or --file, not both'],
    [['--out', 'mounts'], "--out is 'mounts', which exists"],
    [['--buffer', '1.5'], "--buffer is '1.5', expected an integer from 1"],
    [['--frobnicate'], "'--frobnicate' is unknown"],
  ])('%j', (args, problem) => {
    const { stderr, status } = record(args)
    expect(stderr).toContain(problem)
    expect(status).toBe(2)
    expect(fs.readdirSync(join(tracefs, 'instances'))).toEqual([])
    expect(fs.readFileSync(join(tracefs, 'dynamic_events'), 'utf8')).toBe('')
  })

  test('to a user that is not root', () => {
    tool('id', '#!/bin/sh\necho 1000\n')
    expect(record([])).toMatchObject({ status: 2, stderr: 'record.sh: must be root: tracefs is\n' })
  })

  test('where the kernel does not have the events', () => {
    fs.rmSync(join(tracefs, 'dynamic_events'))
    fs.mkdirSync(join(tracefs, 'dynamic_events')) // nothing can be written to it
    const { stderr, status } = record(['--dev', '7:2'])
    expect(stderr).toContain('this kernel cannot be recorded, it has no event: add dirty')
    expect(status).toBe(2)
    expect(fs.existsSync(join(folder, 'recording.txt'))).toBe(false)
  })
})

test('record --script prints it', () => {
  const { stdout, status } = spawnSync(
    process.execPath,
    [join(root, 'dist/cli/main.js'), 'record', '--script'],
    {
      encoding: 'utf8',
    },
  )
  expect(stdout).toBe(fs.readFileSync(script, 'utf8'))
  expect(status).toBe(0)
})
