// SPDX-License-Identifier: GPL-2.0-only
// The checker finds each rule where it is broken, and finds nothing where none is broken.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Checked, check } from '../lib/live/check.js'
import { InputReader } from '../lib/live/read.js'
import { RULES } from '../lib/live/rules.js'

const root = join(__dirname, '..')
const page = readFileSync(join(root, 'docs/check.md'), 'utf8')

function checkText(text: string): Checked {
  const reader = new InputReader('f')
  for (const line of text.replace(/\n$/, '').split('\n')) reader.push(line)
  return check(reader.end())
}

function sample(rule: string): string {
  const block = new RegExp(`\`\`\`trace ${rule}\\.trace\\n([^\`]*)\`\`\``).exec(page)
  if (block === null) throw new Error(`docs/check.md has no recording that breaks ${rule}`)
  return block[1]
}

const fixtures = ['recordings', 'traces'].flatMap((folder) =>
  readdirSync(join(root, 'test/fixtures', folder))
    .filter((name) => name.endsWith('.gz'))
    .map((name) => join('test/fixtures', folder, name)),
)

test.each(fixtures)('nothing is found in %s', (name) => {
  expect(checkText(gunzipSync(readFileSync(join(root, name))).toString()).findings).toEqual([])
})

describe.each(RULES.map(({ name }) => name))('%s', (rule) => {
  test('is found in the recording of docs/check.md that breaks it, and alone', () => {
    const { findings } = checkText(sample(rule))
    expect(findings.map(({ rule }) => rule)).toEqual([rule])
    const [{ began, broke, kernel }] = findings
    expect(began).toBeGreaterThan(0)
    expect(broke).toBeGreaterThanOrEqual(began)
    expect(page).toContain(kernel)
  })
})

const broken = readdirSync(join(root, 'test/fixtures/broken'))

test.each(broken)('a file system that is wrong on purpose, recorded on Linux 6.12: %s', (name) => {
  const { findings } = checkText(
    gunzipSync(readFileSync(join(root, 'test/fixtures/broken', name))).toString(),
  )
  expect(findings.map(({ rule }) => rule)).toContain(name.replace('.txt.gz', ''))
  expect(findings[0].pass).toMatchObject({ comm: 'work', caller: 'wrongfs_writepages' })
})

/** The shared recording of XFS, with a change. */
const xfs = gunzipSync(readFileSync(join(root, 'test/fixtures/recordings/xfs-small.txt.gz'))).toString()
const lines = xfs.replace(/\n$/, '').split('\n')

function edited(change: (lines: string[]) => void): Checked {
  const copy = [...lines]
  change(copy)
  return checkText(copy.join('\n'))
}

describe('real recordings, edited', () => {
  test('an end of writeback that is missing', () => {
    const at = lines.findIndex((line) => / end: /.test(line))
    const [, ino, index] = /ino=(\d+) .* index=(\d+)/.exec(lines[at]) ?? []
    const { findings } = edited((copy) => {
      for (let i = copy.length - 1; i >= 0; i--) {
        if (new RegExp(` end: .* ino=${ino} .* index=${index} `).test(copy[i])) copy.splice(i, 1)
      }
    })
    expect(findings[0]).toMatchObject({ mapping: `1048576:${ino}`, folio: Number(index) })
    expect(['writeback-ends', 'remove-written', 'start-once']).toContain(findings[0].rule)
  })

  test('a positive error', () => {
    const at = lines.findIndex((line) => / call: .* folio=0xf/.test(line))
    const { findings } = edited((copy) => {
      copy[at] = copy[at].replace(' error=0 ', ' error=28 ')
    })
    expect(findings).toEqual([
      expect.objectContaining({
        rule: 'positive-error',
        broke: at + 1,
        pass: expect.objectContaining({ caller: 'iomap_writepages' }),
      }),
    ])
  })

  test('a start that is missing: fsync has not written the folio', () => {
    // The last fsync of the recording: no later pass takes its folio.
    const at = lines.findLastIndex((line) => / start: /.test(line))
    const [, index] = / index=(\d+) /.exec(lines[at]) ?? []
    const end = lines.findLastIndex((line) => new RegExp(` end: .* index=${index} `).test(line))
    const { findings } = edited((copy) => {
      copy.splice(Math.max(at, end), 1)
      copy.splice(Math.min(at, end), 1)
    })
    const integrity = / sync=1 /.test(
      lines.findLast((line, i) => i < at && / call: .* folio=0x0 /.test(line)) ?? '',
    )
    expect(findings.map(({ rule }) => rule)).toEqual(integrity ? ['written'] : [])
  })
})

describe('what is no breach', () => {
  const good = sample('positive-error').replace('call P1 5', 'call P1 0').replace('done 5', 'done 0')

  test('a pass that does all it owes', () => {
    expect(checkText(good).findings).toEqual([])
  })

  test('an error that is handed back: the folio need not be written', () => {
    const failed = good.replace('call P1 0', 'call P1 -5').replace('done 0', 'done -5')
    expect(checkText(failed.replace(/^(?:start|end) .*\n/gm, '')).findings).toEqual([])
  })

  test('a folio that is redirtied', () => {
    const redirtied = good
      .replace(/^start .*$/m, 'redirty P1 0 = 1 skipped=1 @8 1 myfs ld')
      .replace(/^end .*\n/m, '')
    expect(checkText(redirtied).findings).toEqual([])
  })

  test('writeback in flight when a recording stops, without a waiter', () => {
    expect(checkText(good.replace(/^end .*\n/m, '')).findings).toEqual([])
    const drained = good.replace(/^task 1/m, '# record: drained yes\n$&')
    expect(checkText(drained.replace(/^end .*\n/m, '')).findings.map(({ rule }) => rule)).toEqual([
      'writeback-ends',
    ])
  })

  test('an end that is recorded after another processor’s removal is of the folio that was removed', () => {
    const removed = good.replace(/^end .*$/m, 'end 0 @10 2 - -\nremove 0 @10 2 - l')
    expect(checkText(removed).findings).toEqual([])
  })
})

describe('command line', () => {
  let folder: string
  const cli = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), ...args], { cwd: folder, encoding: 'utf8' })

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'writeback-iter-check-'))
    writeFileSync(join(folder, 'broken.trace'), sample('writeback-ends'))
    writeFileSync(join(folder, 'bad.txt'), '# tracer: nop\nnonsense\n')
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('nothing found: exit 0', () => {
    const { stdout, status } = cli(
      'check',
      ...['recordings', 'traces'].map((name) => join(root, 'test/fixtures', name)),
    )
    expect(stdout).toMatch(new RegExp(`^${fixtures.length} files, .* 0 findings\n$`))
    expect(status).toBe(0)
  })

  test('a finding: exit 1, and all that there is to know', () => {
    const { stdout, status } = cli('check', 'broken.trace')
    expect(stdout).toBe(
      'broken.trace:17: writeback-ends: folio 0 of 1048576:131: writeback was started and never ended; dd (253) waits for it since line 17 (began at line 12)\n' +
        '    pass: dd (pid 253), called by myfs_writepages\n' +
        '    the kernel: the next pass, truncation or fsync hangs in folio_wait_writeback\n' +
        '1 files, 1 mappings, 1 passes, 1 folios, 1 findings\n',
    )
    expect(status).toBe(1)
  })

  test('what a recording lacks is said, by check as by replay', () => {
    const lossy = xfs.replace(/^# entries-in-buffer.*$/m, '# record: lost 12')
    const unreturned = lossy.replace(/^.* next: .*\n/m, '')
    writeFileSync(join(folder, 'lossy.txt'), unreturned)
    const { stdout, status } = cli('check', 'lossy.txt')
    expect(stdout).toContain(
      'lossy.txt:1: undecided: an event was lost (12 times); a finding may come of that\n',
    )
    expect(stdout).toMatch(
      /^lossy\.txt:\d+: undecided: a return of writeback_iter was not recorded \(1 times\); a finding may come of that$/m,
    )
    expect(status).toBe(0)
    const { undecided } = JSON.parse(cli('check', '--json', 'lossy.txt').stdout)
    expect(undecided).toHaveLength(2)
    const { stdout: replayed } = cli('replay', 'lossy.txt')
    for (const { what, count, line } of undecided) {
      expect(replayed).toContain(`lossy.txt:${line}: undecided: ${what} (${count} times)\n`)
    }
  })

  test('malformed: exit 2, and the others are still checked', () => {
    const { stdout, stderr, status } = cli('check', 'bad.txt', 'broken.trace')
    expect(stderr).toMatch(/^bad\.txt:2: line is "nonsense"/)
    expect(stdout).toMatch(/1 findings, 1 malformed\n$/)
    expect(status).toBe(2)
  })

  test('--json', () => {
    const { stdout, status } = cli('check', '--json', 'broken.trace')
    expect(JSON.parse(stdout)).toMatchObject({
      files: 1,
      passes: 1,
      folios: 1,
      interrupted: false,
      malformed: [],
      unreadable: [],
      findings: [
        {
          file: 'broken.trace',
          rule: 'writeback-ends',
          mapping: '1048576:131',
          folio: 0,
          pass: { pid: 253, comm: 'dd', caller: 'myfs_writepages' },
          began: 12,
          broke: 17,
        },
      ],
    })
    expect(status).toBe(1)
  })
})
