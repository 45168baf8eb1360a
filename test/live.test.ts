// SPDX-License-Identifier: GPL-2.0-only
// Recordings of a live kernel: read, converted both ways, replayed on both backends.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { InputReader } from '../lib/live/read.js'
import { type Recording, RecordingReader } from '../lib/live/recording.js'
import { convertRecording, leftOpen, replayTrace2 } from '../lib/live/replay.js'
import { toRecording } from '../lib/live/to_recording.js'
import { formatTrace2, HEADER2, type Trace2, Trace2Reader } from '../lib/trace/format2.js'
import { backends } from './backends.js'

const root = join(__dirname, '..')
const folder = join(root, 'test/fixtures/recordings')
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.gz'))
  .sort()
const texts = new Map(names.map((name) => [name, gunzipSync(readFileSync(join(folder, name))).toString()]))

function text(name: string): string {
  const found = texts.get(name)
  if (found === undefined) throw new Error(`no fixture ${name}`)
  return found
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n')
}

function recordingOf(lines: Iterable<string>): Recording {
  const reader = new RecordingReader('r')
  for (const line of lines) reader.push(line)
  return reader.end()
}

function traceOf(lines: Iterable<string>): Trace2 {
  const reader = new Trace2Reader('t')
  for (const line of lines) reader.push(line)
  return reader.end()
}

/** Counts the matches of a pattern in a text, as grep does. */
const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0

describe('recordings of Linux 6.12', () => {
  test.each(names)('%s: every return on both backends', (name) => {
    const recording = recordingOf(linesOf(text(name)))
    const { trace, undecided } = convertRecording(recording)
    const { divergences, passes, folios } = replayTrace2(trace, backends)
    expect(divergences).toEqual(backends.map(() => []))
    // The directory of the storm, which was in the cache before.
    const before = name === 'xfs-storm.txt.gz' ? ['a folio was in the cache before the recording'] : []
    expect(undecided.map(({ what }) => what)).toEqual(before)
    expect(passes).toBe(count(text(name), / call: .* folio=0x0 /g))
    expect(folios).toBe(count(text(name), / next: .* folio=0x[^0]/g))
  })

  test.each(names)('%s: to format 2 and back, all that was recorded in the same order', (name) => {
    const { trace } = convertRecording(recordingOf(linesOf(text(name))))
    const lines = [...formatTrace2(trace)]
    const read = traceOf(lines)
    expect([...formatTrace2(read)]).toEqual(lines)
    const again = convertRecording(recordingOf(toRecording(read)))
    // An event that was moved has the time of its new place.
    const recorded = (lines: string[]) =>
      lines.filter((line) => line.includes(' @')).map((line) => line.replace(/ @\d+ /, ' @ '))
    expect(recorded([...formatTrace2(again.trace)])).toEqual(recorded(lines))
    expect(replayTrace2(again.trace, backends).divergences.flat()).toEqual([])
  })
})

describe('an altered recording diverges', () => {
  const original = linesOf(text('vfat-small.txt.gz'))
  /** The third `next` of the recording that contains this text. */
  function altered(pattern: RegExp, change: (line: string) => string): { line: number; lines: string[] } {
    const matches = [...original.keys()].filter(
      (i) => / next: /.test(original[i]) && pattern.test(original[i]),
    )
    const at = matches[2]
    return { line: at + 1, lines: original.with(at, change(original[at])) }
  }

  test.each([
    [
      'nr_to_write',
      / folio=0xf/,
      (line: string) =>
        line.replace(/ nr=(\d)/, ' nr=1$1').replace(/ nr=1(\d{19})/, ' nr=9223372036854775806'),
    ],
    ['writeback_index', / folio=0x0 /, (line: string) => line.replace(/wbindex=\d+/, 'wbindex=12345')],
    ['the error', / folio=0x0 /, (line: string) => line.replace(/error=0/, 'error=-5')],
    ['the end of the pass', / folio=0xf/, (line: string) => line.replace(/folio=0x\w+/, 'folio=0x0')],
  ])('%s', (_, pattern, change) => {
    const { line, lines } = altered(pattern, change)
    expect(lines).not.toEqual(original)
    const { trace } = convertRecording(recordingOf(lines))
    const { divergences } = replayTrace2(trace, backends)
    expect(divergences).toEqual(backends.map(() => [expect.objectContaining({ line })]))
  })

  test('another folio', () => {
    const at = original.findIndex((line) => / next: .* folio=0xf\w+ index=3 /.test(line))
    const clear = original.findLastIndex((line, i) => i < at && / clear: /.test(line))
    const lines = original
      .with(at, original[at].replace(' index=3 ', ' index=4 '))
      .with(clear, original[clear].replace(' index=3 ', ' index=4 '))
    const { trace } = convertRecording(recordingOf(lines))
    for (const found of replayTrace2(trace, backends).divergences) expect(found).toHaveLength(1)
  })
})

describe('forms of a recording', () => {
  const small = text('err-xfs-shut.txt.gz')
  const steps = (text: string) => [...formatTrace2(convertRecording(recordingOf(linesOf(text))).trace)]
  const places = (lines: string[]) => lines.map((line) => line.replace(/( @\d+ \d+) \S+/, '$1'))

  test('trace-cmd report', () => {
    const report = `cpus=2\n${small
      .replace(/^#.*\n/gm, '')
      .replace(
        /(\d): (\w+): \(([^)]*)\)/g,
        (_, time: string, event: string, place: string) =>
          `${time}: ${`${event}:`.padEnd(21)}(${place.includes('<-') ? 'ffffffff8133f4b0 <- ffffffff81340000' : 'ffffffff8133f4b0'})`,
      )}`
    expect(places(steps(report))).toEqual(places(steps(small)))
  })

  test('with the interrupt column, and a clock of seconds', () => {
    const seconds = small.replace(/^(.*\[\d+\]) +(\d+): /gm, (_, who: string, time: string) => {
      const micros = time.padStart(7, '0')
      return `${who} d..2. ${micros.slice(0, -6)}.${micros.slice(-6)}: `
    })
    expect(seconds).toContain('d..2. 0.0')
    expect(steps(seconds)).toEqual(steps(small))
  })

  test('lines in any order: the clock sorts them', () => {
    const lines = linesOf(small)
    expect(steps([...lines.slice(0, 6), ...lines.slice(6).reverse()].join('\n')).length).toBe(
      steps(small).length,
    )
  })

  test('what trace-cmd reports has addresses for functions: no caller is known', () => {
    const { mappings, events } = recordingOf(linesOf(text('trace-cmd.txt.gz')))
    expect(events).toBe(count(text('trace-cmd.txt.gz'), / mapping=0x/g))
    const callers = new Set([...mappings.values()].flat().map(({ caller }) => caller))
    expect([...callers]).toEqual([null])
    const called = [...mappings.values()].flat().find(({ name }) => name === 'next')
    expect(called).toMatchObject({ comm: 'work', cpu: 1, folio: { index: 0, order: 0, locked: true } })
  })

  test('events of others are passed over', () => {
    const other = '          <idle>-0       [001] d.h1.    12.345678: sched_switch: prev_comm=dd prev_pid=1\n'
    expect(steps(small + other)).toEqual(steps(small))
  })

  test('lost events are counted', () => {
    const lossy = `${small}CPU:0 [LOST 17 EVENTS]\n`
    expect(convertRecording(recordingOf(linesOf(lossy))).undecided).toEqual([
      { what: 'an event was lost', count: 17, line: 1 },
    ])
    // A trace made from the recording says so, too.
    const { trace } = convertRecording(recordingOf(linesOf(lossy)))
    expect(leftOpen(traceOf(formatTrace2(trace)))).toEqual([
      { what: 'an event was lost', count: 17, line: 1 },
    ])
  })

  test('pages beyond 2^51 are counted and left out', () => {
    const [event] = linesOf(small).filter((line) => / dirty: /.test(line))
    const beyond = event.replace(/index=\d+/, 'index=9223372036854775808')
    const { undecided, trace } = convertRecording(recordingOf([...linesOf(small), beyond]))
    expect(undecided).toEqual([{ what: 'an event of a page beyond 2^51', count: 1, line: 1 }])
    expect(replayTrace2(trace, backends).divergences).toEqual(backends.map(() => []))
  })

  test.each([
    ['no event', 'x', 'line is "x", expected TASK-PID [CPU] TIME: EVENT: FIELDS'],
    [
      'a field that is missing',
      ' dd-1 [000] 5: dirty: (f+0x4/0x8) ino=1 dev=2 flags=0x1 f1=0x0',
      'index= is missing',
    ],
    [
      'a field that is no number',
      ' dd-1 [000] 5: dirty: (f) ino=1 dev=2 index=x flags=0x1 f1=0x0',
      'index is "x"',
    ],
    [
      'flags that are not hexadecimal',
      ' dd-1 [000] 5: dirty: (f) ino=1 dev=2 index=1 flags=1 f1=0x0',
      'flags is "1"',
    ],
    [
      'more than 64 bits',
      ` dd-1 [000] 5: dirty: (f) ino=${'9'.repeat(21)} dev=2 index=1 flags=0x1 f1=0x0`,
      'more than 64',
    ],
  ])('malformed: %s', (_, line, problem) => {
    expect(() => recordingOf(['# tracer: nop', line])).toThrow(problem)
    expect(() => recordingOf(['# tracer: nop', line])).toThrow('r:2: ')
  })
})

// Written by hand: cases that the shared recordings do not have.
describe('what a recording may hold', () => {
  let time = 0
  const event = (task: string, name: string, fields: string, place = '(f+0x4/0x8)') =>
    `${task} [000] ${++time}: ${name}: ${place} ino=1 dev=2 ${fields}`
  const folio = (index: number, flags = 1) => `index=${index} flags=0x${flags.toString(16)} f1=0x0`
  const control = (sync: 0 | 1, nr: string | number = '9223372036854775807') =>
    `sync=${sync} tagged=0 cyclic=0 start=0 end=9223372036854775807 nr=${nr} wbindex=0 kupdate=0 background=0 forsync=0`
  const call = (
    task: string,
    wbc: string,
    sync: 0 | 1,
    first = true,
    nr: string | number = '9223372036854775807',
  ) => event(task, 'call', `wbc=${wbc} folio=${first ? '0x0' : '0x8'} error=0 ${control(sync, nr)}`)
  const next = (task: string, wbc: string, index: number | null, nr: string | number) =>
    event(
      task,
      'next',
      `wbc=${wbc} folio=${index === null ? '0x0' : '0x8'} index=${index ?? 0} flags=0x1 f1=0x0 error=0 nr=${nr} wbindex=0`,
      '(myfs_writepages+0x10/0x20 <- writeback_iter)',
    )
  const lookup = (task: string, found: number, tag: 0 | 2, next = '2251799813685248') =>
    event(task, 'lookup', `next=${next} end=2251799813685247 tag=${tag} ret=${found}`)
  const LONG_MAX = 9223372036854775807n

  function replayLines(lines: string[]) {
    const { trace, undecided } = convertRecording(recordingOf(['# tracer: nop', ...lines]))
    const { divergences, concurrent } = replayTrace2(trace, backends)
    return { divergences: divergences.flat(), undecided: undecided.map(({ what }) => what), concurrent }
  }

  const added = (count: number) =>
    Array.from({ length: count }, (_, i) => [
      event('dd-1', 'add', `${folio(i)} ret=0`),
      event('dd-1', 'dirty', folio(i, 0x11)),
    ]).flat()

  test('two passes on one file, of which one waits for a folio that the other writes', () => {
    const lines = [
      ...added(3),
      call('a-10', '0xa', 1),
      event('a-10', 'tag', 'start=0 end=2251799813685247'),
      event('a-10', 'tagged', ''),
      lookup('a-10', 3, 2),
      call('b-11', '0xb', 1),
      event('b-11', 'tag', 'start=0 end=2251799813685247'),
      event('b-11', 'tagged', ''),
      lookup('b-11', 3, 2),
      event('a-10', 'clear', `${folio(0)} ret=1`),
      event('b-11', 'lockwait', folio(0)),
      next('a-10', '0xa', 0, LONG_MAX.toString()),
      event('a-10', 'start', `${folio(0, 0x1)} keep=0`),
      call('a-10', '0xa', 1, false),
      // b has the lock of folio 0 by now, finds the folio clean, and goes on to folio 1. a then finds folio 1
      // clean.
      event('b-11', 'clear', `${folio(1)} ret=1`),
      next('b-11', '0xb', 1, LONG_MAX.toString()),
      event('b-11', 'start', `${folio(1)} keep=0`),
      event('a-10', 'clear', `${folio(2)} ret=1`),
      next('a-10', '0xa', 2, (LONG_MAX - 1n).toString()),
      event('a-10', 'start', `${folio(2)} keep=0`),
      call('b-11', '0xb', 1, false),
      lookup('b-11', 0, 2),
      next('b-11', '0xb', null, (LONG_MAX - 1n).toString()),
      call('a-10', '0xa', 1, false, (LONG_MAX - 1n).toString()),
      lookup('a-10', 0, 2),
      next('a-10', '0xa', null, (LONG_MAX - 2n).toString()),
      ...[0, 1, 2].map((i) => event('<idle>-0', 'end', folio(i, 0))),
    ]
    expect(replayLines(lines)).toEqual({ divergences: [], undecided: [], concurrent: 2 })
    // If one return alone exchanges folios 1 and 2, no order of the events explains the rest.
    const wrong = lines.map((line) =>
      /b-11.* next:.* index=1 /.test(line) ? line.replace(' index=1 ', ' index=2 ') : line,
    )
    expect(replayLines(wrong).divergences).toHaveLength(backends.length)
  })

  test('a folio dirtied during the walk of the tagging is tagged if the pass returns it, and not if it does not', () => {
    for (const tagged of [true, false]) {
      const lines = [
        ...added(1),
        event('dd-1', 'add', `${folio(5)} ret=0`),
        call('a-10', '0xa', 1),
        event('a-10', 'tag', 'start=0 end=2251799813685247'),
        event('dd-1', 'dirty', folio(5, 0x11)),
        event('a-10', 'tagged', ''),
        lookup('a-10', tagged ? 2 : 1, 2),
        event('a-10', 'clear', `${folio(0)} ret=1`),
        next('a-10', '0xa', 0, LONG_MAX.toString()),
        event('a-10', 'start', `${folio(0)} keep=0`),
        call('a-10', '0xa', 1, false),
        ...(tagged
          ? [
              event('a-10', 'clear', `${folio(5)} ret=1`),
              next('a-10', '0xa', 5, (LONG_MAX - 1n).toString()),
              event('a-10', 'start', `${folio(5)} keep=0`),
              call('a-10', '0xa', 1, false, (LONG_MAX - 1n).toString()),
            ]
          : []),
        lookup('a-10', 0, 2),
        next('a-10', '0xa', null, (LONG_MAX - (tagged ? 2n : 1n)).toString()),
      ]
      expect(replayLines(lines)).toEqual({ divergences: [], undecided: [], concurrent: 0 })
    }
  })

  test('a mark that comes after the tagging, though the dirtying was recorded before it', () => {
    const lines = [
      ...added(1),
      event('dd-1', 'add', `${folio(5)} ret=0`),
      call('a-10', '0xa', 1),
      event('dd-1', 'dirty', folio(5, 0x11)),
      event('a-10', 'tag', 'start=0 end=2251799813685247'),
      event('a-10', 'tagged', ''),
      lookup('a-10', 1, 2),
      event('a-10', 'clear', `${folio(0)} ret=1`),
      next('a-10', '0xa', 0, LONG_MAX.toString()),
      event('a-10', 'start', `${folio(0)} keep=0`),
      call('a-10', '0xa', 1, false),
      lookup('a-10', 0, 2),
      next('a-10', '0xa', null, (LONG_MAX - 1n).toString()),
      event('dd-1', 'dirty', folio(0, 0x11)),
    ]
    expect(replayLines(lines)).toEqual({ divergences: [], undecided: [], concurrent: 0 })
  })

  test('a tagging that the lookup of another pass has not seen, though it was recorded before it', () => {
    const nr = (written: number) => (LONG_MAX - BigInt(written)).toString()
    const lines = [
      ...added(31),
      event('dd-1', 'add', `${folio(31)} ret=0`),
      call('a-10', '0xa', 1),
      event('a-10', 'tag', 'start=0 end=2251799813685247'),
      event('a-10', 'tagged', ''),
      lookup('a-10', 31, 2, '31'),
      event('dd-1', 'dirty', folio(31, 0x11)),
      event('dd-1', 'add', `${folio(40)} ret=0`),
    ]
    for (let i = 0; i < 31; i++) {
      if (i > 0) lines.push(call('a-10', '0xa', 1, false, nr(i - 1)))
      lines.push(event('a-10', 'clear', `${folio(i)} ret=1`), next('a-10', '0xa', i, nr(i)))
      lines.push(event('a-10', 'start', `${folio(i)} keep=0`))
    }
    lines.push(
      call('b-11', '0xb', 1),
      event('b-11', 'tag', 'start=0 end=2251799813685247'),
      call('a-10', '0xa', 1, false, nr(30)),
      lookup('a-10', 0, 2),
      next('a-10', '0xa', null, nr(31)),
      event('b-11', 'tagged', ''),
      lookup('b-11', 1, 2),
      event('b-11', 'clear', `${folio(31)} ret=1`),
      next('b-11', '0xb', 31, nr(0)),
      event('b-11', 'start', `${folio(31)} keep=0`),
      call('b-11', '0xb', 1, false),
      lookup('b-11', 0, 2),
      next('b-11', '0xb', null, nr(1)),
    )
    expect(replayLines(lines)).toEqual({ divergences: [], undecided: [], concurrent: 2 })
  })

  test('a lookup that was recorded after another pass had written what it found', () => {
    const lines = [
      ...added(2),
      call('a-10', '0xa', 1),
      event('a-10', 'tag', 'start=0 end=2251799813685247'),
      event('a-10', 'tagged', ''),
      // a finds both folios here, and loses its processor while b writes folio 0.
      call('b-11', '0xb', 0, true, 1),
      lookup('b-11', 2, 0),
      event('b-11', 'clear', `${folio(0)} ret=1`),
      next('b-11', '0xb', 0, 1),
      event('b-11', 'start', `${folio(0)} keep=0`),
      event('b-11', 'end', folio(0, 0)),
      call('b-11', '0xb', 0, false, 1),
      next('b-11', '0xb', null, 0),
      lookup('a-10', 2, 2),
      event('a-10', 'clear', `${folio(1)} ret=1`),
      next('a-10', '0xa', 1, LONG_MAX.toString()),
      event('a-10', 'start', `${folio(1)} keep=0`),
      call('a-10', '0xa', 1, false),
      lookup('a-10', 0, 2),
      next('a-10', '0xa', null, (LONG_MAX - 1n).toString()),
    ]
    expect(replayLines(lines)).toEqual({ divergences: [], undecided: [], concurrent: 2 })
  })

  test('writeback_index that is set from outside while a call runs', () => {
    const lines = [
      ...added(1),
      call('a-10', '0xa', 0, true, 8),
      lookup('a-10', 1, 0),
      event('a-10', 'clear', `${folio(0)} ret=1`),
      next('a-10', '0xa', 0, 8).replace('wbindex=0', 'wbindex=98'),
      event('a-10', 'start', `${folio(0)} keep=0`),
      call('a-10', '0xa', 0, false, 8).replace('wbindex=0', 'wbindex=98'),
      lookup('a-10', 0, 0),
      next('a-10', '0xa', null, 7).replace('wbindex=0', 'wbindex=98'),
      call('b-11', '0xb', 0, true, 8).replace('wbindex=0', 'wbindex=98'),
      lookup('b-11', 0, 0),
      next('b-11', '0xb', null, 8).replace('wbindex=0', 'wbindex=98'),
    ]
    const undecided = ['writeback_index was set by another while a call ran']
    expect(replayLines(lines)).toEqual({ divergences: [], undecided, concurrent: 0 })
    // No later call has seen the value, so the value is compared.
    const wrong = lines.map((line, i) => (i === 5 ? line.replace('wbindex=98', 'wbindex=97') : line))
    expect(replayLines(wrong).divergences).toHaveLength(backends.length)
  })

  test('a return that was not recorded: its pass is named and not compared, the others are', () => {
    const pass = (wbc: string, index: number) => [
      call('a-10', wbc, 0, true, 8),
      lookup('a-10', 1, 0),
      event('a-10', 'clear', `${folio(index)} ret=1`),
      next('a-10', wbc, index, 8),
      event('a-10', 'start', `${folio(index)} keep=0`),
      event('<idle>-0', 'end', folio(index, 0)),
      call('a-10', wbc, 0, false, 8),
      lookup('a-10', 0, 0),
      next('a-10', wbc, null, 7),
    ]
    const before = added(1)
    const first = pass('0xa', 0)
    first.splice(3, 1)
    const lines = [...before, ...first, event('dd-1', 'dirty', folio(0, 0x11)), ...pass('0xb', 0)]
    const undecided = ['a return of writeback_iter was not recorded']
    expect(replayLines(lines)).toEqual({ divergences: [], undecided, concurrent: 0 })
    const wrong = lines.map((line) => line.replace(/( next: .*wbc=0xb .*)nr=8/, '$1nr=6'))
    expect(replayLines(wrong).divergences).toHaveLength(backends.length)
  })

  test('a positive error, which a backend refuses, is counted', () => {
    const lines = [
      ...added(1),
      call('a-10', '0xa', 1),
      event('a-10', 'tag', 'start=0 end=2251799813685247'),
      event('a-10', 'tagged', ''),
      lookup('a-10', 1, 2),
      event('a-10', 'clear', `${folio(0)} ret=1`),
      next('a-10', '0xa', 0, LONG_MAX.toString()),
      event('a-10', 'start', `${folio(0)} keep=0`),
      call('a-10', '0xa', 1, false).replace('error=0', 'error=5'),
      lookup('a-10', 0, 2),
      next('a-10', '0xa', null, (LONG_MAX - 1n).toString()).replace('error=0', 'error=5'),
    ]
    const undecided = ['a positive error was handed back, and replayed as its negation']
    expect(replayLines(lines)).toEqual({ divergences: [], undecided, concurrent: 0 })
    const { trace } = convertRecording(recordingOf(['# tracer: nop', ...lines]))
    expect(leftOpen(traceOf(formatTrace2(trace))).map(({ what }) => what)).toEqual(undecided)
  })

  test('a folio that is removed while it is in a batch, between two that are not', () => {
    const lines = [
      ...added(3),
      call('a-10', '0xa', 1),
      event('a-10', 'tag', 'start=0 end=2251799813685247'),
      event('a-10', 'tagged', ''),
      lookup('a-10', 3, 2),
      event('rm-12', 'cancel', folio(1, 0x11)),
      event('rm-12', 'delete', folio(1)),
      // Another pass writes the other two folios before this one comes to them.
      call('b-11', '0xb', 0, true, 9),
      lookup('b-11', 2, 0),
      event('b-11', 'clear', `${folio(0)} ret=1`),
      next('b-11', '0xb', 0, 9),
      event('b-11', 'start', `${folio(0)} keep=0`),
      call('b-11', '0xb', 0, false, 9),
      event('b-11', 'clear', `${folio(2)} ret=1`),
      next('b-11', '0xb', 2, 8),
      event('b-11', 'start', `${folio(2)} keep=0`),
      lookup('a-10', 0, 2),
      next('a-10', '0xa', null, LONG_MAX.toString()),
    ]
    expect(replayLines(lines)).toEqual({ divergences: [], undecided: [], concurrent: 2 })
  })

  test('folios that were there before are said', () => {
    const lines = [
      call('a-10', '0xa', 0, true, 8),
      lookup('a-10', 1, 0),
      event('a-10', 'clear', `${folio(7)} ret=1`),
      next('a-10', '0xa', 7, 8),
      event('a-10', 'start', `${folio(7)} keep=0`),
      call('a-10', '0xa', 0, false, 8),
      lookup('a-10', 0, 0),
      next('a-10', '0xa', null, 7),
    ]
    expect(replayLines(lines)).toEqual({
      divergences: [],
      undecided: ['a folio was in the cache before the recording'],
      concurrent: 0,
    })
  })

  test('a pass that began before the recording is named and not compared', () => {
    const lines = [...added(1), call('a-10', '0xa', 0, false, 8), next('a-10', '0xa', null, 3)]
    expect(replayLines(lines)).toMatchObject({
      divergences: [],
      undecided: ['a pass began before the recording'],
    })
  })
})

describe('format 2', () => {
  const head = `${HEADER2}\ntask 1 253 dd with spaces\nmapping 1048576:131@0xff\n`
  const read = (line: string) => traceOf(linesOf(`${head}${line}\n`))

  test.each([
    'folio 4 2 dirty,writeback',
    'wbindex 18446744073709551615',
    'add 4 2 = ok @5 1 filemap_add_folio l',
    'dirty 4 = 1 @6 1 - lwd',
    'clear 4 = 0',
    'cancel 4',
    'remove 4',
    'split 4 0',
    'start 4 1',
    'end 4',
    'unlock 4',
    'wait lock 4',
    'wait writeback 4',
    'redirty P1 4 = 1 skipped=4',
    'redirty - 4 = 0 skipped=4',
    'tag - 0 2251799813685247',
    'begin P1 sync=all tagged=0 cyclic=1 start=0 end=9223372036854775807 nr=9223372036854775807 kupdate=0 background=1 forsync=0',
    'call P1 2 nr=-5',
    'lookup P1 = 31 next=18446744073709551615',
    'look P1 4',
    'next P1 = done -5 nr=9223372036854775806 wbindex=0 @7 1 myfs_writepages -',
  ])('%s', (line) => {
    expect([...formatTrace2(read(line))].at(-1)).toBe(line)
  })

  test.each([
    ['punch 4', 'operation is "punch", which is unknown'],
    ['dirty = 1', '0 arguments, expected 1: dirty I'],
    ['dirty 4', 'result of dirty is ""'],
    ['cancel 4 = 1', 'result of cancel is "1"'],
    ['call P1 0 nr=9223372036854775808', 'nr is 9223372036854775808'],
    ['next Q1 = done 0 nr=0 wbindex=0', 'pass is "Q1"'],
    ['folio 4 2 wet', 'state is "wet"'],
    ['wait page 4', 'reason is "page"'],
    ['end 4 @5 2 - -', 'task is 2, which no task line names'],
  ])('malformed: %s', (line, problem) => {
    expect(() => read(line)).toThrow(`t:4: ${problem}`)
  })

  test('an operation before the first mapping is malformed', () => {
    expect(() => traceOf([HEADER2, 'end 4'])).toThrow('t:2: an operation before the first mapping line')
  })

  test('a positive error handed back is an error of the pass', () => {
    const lines = [
      'add 0 0 = ok',
      'dirty 0 = 1',
      'begin P1 sync=all tagged=0 cyclic=0 start=0 end=4095 nr=1 kupdate=0 background=0 forsync=0',
      'tag P1 0 0',
      'lookup P1 = 1 next=1',
      'look P1 0',
      'next P1 = folio 0 0 nr=1 wbindex=0',
      'unlock 0',
      'call P1 524288 nr=1',
      'next P1 = done 524288 nr=0 wbindex=0',
    ]
    expect(replayTrace2(read(lines.join('\n')), backends).divergences.flat()).toEqual([])
  })
})

describe('command line', () => {
  let temporary: string
  const cli = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), ...args], {
      cwd: temporary,
      encoding: 'utf8',
    })

  beforeAll(() => {
    temporary = mkdtempSync(join(tmpdir(), 'writeback-iter-live-test-'))
  })
  afterAll(() => rmSync(temporary, { recursive: true, force: true }))

  test('replay takes a folder of recordings', () => {
    const { stdout, status } = cli('replay', '--backend', 'js', folder)
    const lines = linesOf(stdout)
    expect(lines.at(-1)).toMatch(new RegExp(`^${names.length} traces, \\d+ operations, 0 divergences$`))
    expect(lines[0]).toMatch(
      /err-xfs-shut\.txt\.gz: 3 mappings, 21 passes \(2 concurrent\), 139 folios returned$/,
    )
    expect(status).toBe(0)
  })

  test('convert writes format 2, which replays, and which converts back', () => {
    const { stdout } = cli('convert', join(folder, 'err-xfs-shut.txt.gz'))
    writeFileSync(join(temporary, 'two.trace'), stdout)
    const reader = new InputReader('two')
    for (const line of linesOf(stdout)) reader.push(line)
    expect(reader.end().kind).toBe('trace2')
    expect(cli('replay', 'two.trace').stdout).toMatch(/^1 traces, \d+ operations, 0 divergences$/m)
    const back = cli('convert', 'two.trace').stdout
    writeFileSync(join(temporary, 'back.txt'), back)
    expect(cli('convert', 'back.txt').stdout).toBe(stdout)
  })

  test('convert of format 1 says why not', () => {
    writeFileSync(join(temporary, 'one.trace'), '# writeback-trace 1\nadd 0 0 = ok\n')
    expect(cli('convert', 'one.trace')).toMatchObject({ status: 2, stdout: '' })
  })
})
