// SPDX-License-Identifier: GPL-2.0-only
// Parses recordings of a live kernel's page cache, as lines of tracefs or of `trace-cmd report`, into events.

import { MAX_INDEX } from '../arguments.js'
import { describe } from '../errors.js'
import { InputError } from '../input/input_error.js'

/** A 64-bit number: a bigint only if a double cannot represent it. */
export type Int64 = number | bigint

/** The fields that every event has. */
export interface Common {
  /** Line number in the file, from 1. */
  readonly line: number
  /** The time by the recording's clock: the counter, or microseconds. Events are sorted by time. */
  readonly time: number
  readonly cpu: number
  readonly comm: string
  readonly pid: number
  /**
   * The function that called the traced one, without its offset; null if only the traced function is known.
   */
  readonly caller: string | null
  /** The page cache of the event: `DEVICE:INODE`, and the address of the mapping if the recording has it. */
  readonly mapping: string
}

/**
 * The folio of an event: its head index, its order, and the flags that a rule or a pass reads, at the time of
 * the event.
 */
export interface FolioFields {
  readonly index: number
  readonly order: number
  readonly locked: boolean
  readonly writeback: boolean
  readonly dirty: boolean
}

/** One member of the union per name. */
type OfFolio<N extends string, More = unknown> = N extends string
  ? { readonly name: N } & FolioFields & More
  : never

export type CallFields = {
  /** The address of the writeback control: with the task, the name of the pass. */
  readonly wbc: string
  /** Whether the call hands a folio back; the first call of a pass does not. */
  readonly handsBack: boolean
  /** `*error` as the caller handed it in: 0, a negative errno, or a number that breaks the protocol. */
  readonly error: number
  readonly syncAll: boolean
  readonly tagged: boolean
  readonly cyclic: boolean
  /** range_start and range_end in bytes. */
  readonly start: Int64
  readonly end: Int64
  readonly nr: Int64
  readonly wbindex: Int64
  readonly forKupdate: boolean
  readonly forBackground: boolean
  readonly forSync: boolean
}

export type Details =
  | OfFolio<'add', { readonly ret: number }>
  | OfFolio<'dirty' | 'cancel' | 'end' | 'wbwait' | 'lockwait' | 'unlock'>
  | OfFolio<'clear', { readonly ret: boolean }>
  | OfFolio<'redirty', { readonly wbc: string; readonly skipped: Int64; readonly ret: boolean }>
  | OfFolio<'start', { readonly keep: boolean }>
  | OfFolio<'split', { readonly newOrder: number }>
  | { readonly name: 'splitret'; readonly index: number; readonly ret: number }
  /** `writeback` is null if the recording has the kernel's own tracepoint, which does not record it. */
  | {
      readonly name: 'delete'
      readonly index: number
      readonly order: number
      readonly writeback: boolean | null
    }
  | { readonly name: 'tag'; readonly start: number; readonly end: number }
  | { readonly name: 'tagged' }
  | {
      readonly name: 'lookup'
      /** Where the next lookup begins: a page index, or ULONG_MAX as a bigint. */
      readonly next: Int64
      readonly end: Int64
      /** PAGECACHE_TAG_DIRTY 0, WRITEBACK 1, TOWRITE 2. */
      readonly tag: number
      readonly found: number
    }
  | ({ readonly name: 'call' } & CallFields)
  | {
      readonly name: 'next'
      readonly wbc: string
      /** The folio returned; null at the end of the pass. */
      readonly folio: FolioFields | null
      readonly error: number
      readonly nr: Int64
      readonly wbindex: Int64
    }

export type LiveEvent = Common & Details
export type EventNamed<N extends Details['name']> = Extract<LiveEvent, { readonly name: N }>

/** What the comments of a recording say, and what the reader found in it. */
export interface RecordingHeader {
  /** `# record: KEY VALUE` lines of the recorder: kernel, clock, filter and the like. */
  readonly fields: ReadonlyMap<string, string>
  /** Events that the ring buffer lost, by the recording's own count; null if the recording has no count. */
  readonly lost: number | null
  /** Whether the recorder waited for writeback in flight. If so, writeback without an end never ended. */
  readonly drained: boolean
}

export interface Recording {
  readonly file: string
  readonly header: RecordingHeader
  /**
   * The events of each mapping in the order of the clock. Events with the same time are in the order of the
   * lines.
   */
  readonly mappings: ReadonlyMap<string, readonly LiveEvent[]>
  /** The number of events, without those of pages beyond the largest index. */
  readonly events: number
  /** Events of pages at index 2^51 and beyond, which no byte offset reaches (nilfs2 keeps metadata there). */
  readonly beyond: number
}

/** What a recording leaves open, in the words of replay and check. */
export const LOST = 'an event was lost'
export const UNRETURNED = 'a return of writeback_iter was not recorded'

class Malformed extends Error {}

/** `COMM-PID [CPU] FLAGS TIME: EVENT: REST`. The flags are present unless irq-info is off. */
const LINE =
  /^ *(.+)-(\d+) +(?:\( *[-\d]+\) +)?\[(\d+)\] +(?:[^\s:]{4,6} +)?(\d+)(?:\.(\d+))?: +([a-z_]+): *(.*)$/
const LOST_LINE = /^CPU:\d+ \[LOST (\d+) EVENTS\]$|^CPU:\d+ \[EVENTS DROPPED\]$/
/** `(SITE)` of an entry, `(SITE <- FUNCTION)` of a return, where SITE is in the caller. */
const PLACE = /^\(([^\s)]+)(?: \[\w+\])?( <- [^)]*)?\) */

const MARKER = 'tracing_mark_write'
const DELETE = 'mm_filemap_delete_from_page_cache'
const PG_LOCKED = 1
const PG_WRITEBACK = 2
const PG_DIRTY = 16
const PG_HEAD = 64

/** The `key=value` pairs of one line, and typed ways to read them. */
class Fields {
  readonly #values = new Map<string, string>()

  constructor(text: string) {
    for (const pair of text.split(' ')) {
      const equals = pair.indexOf('=')
      if (equals > 0) this.#values.set(pair.slice(0, equals), pair.slice(equals + 1))
    }
  }

  has(key: string): boolean {
    return this.#values.has(key)
  }

  text(key: string): string {
    const text = this.#values.get(key)
    if (text === undefined) throw new Malformed(`${key}= is missing`)
    return text
  }

  int64(key: string): Int64 {
    const text = this.text(key)
    if (!/^-?\d+$/.test(text)) throw new Malformed(`${key} is ${describe(text)}, expected a decimal number`)
    if (text.length <= 15) return Number(text)
    const value = BigInt(text)
    if (value < -(2n ** 63n) || value >= 2n ** 64n)
      throw new Malformed(`${key} is ${text}, which has more than 64 bits`)
    return Number.isSafeInteger(Number(text)) ? Number(text) : value
  }

  number(key: string): number {
    const value = this.int64(key)
    if (typeof value === 'bigint') throw new Malformed(`${key} is ${value}, expected less than 2^53`)
    return value
  }

  bit(key: string): boolean {
    return this.number(key) !== 0
  }

  hex(key: string): string {
    const text = this.text(key)
    if (!/^0x[0-9a-f]{1,16}$/.test(text))
      throw new Malformed(`${key} is ${describe(text)}, expected a hexadecimal number`)
    return text
  }

  /** The low 16 bits, which contain all the flags that the reader uses. */
  low(key: string): number {
    return Number.parseInt(this.hex(key).slice(2).slice(-4), 16)
  }
}

/** A page index of an event is beyond the largest that a file has. */
class BeyondFiles extends Error {}

function pageIndex(fields: Fields, key: string): number {
  const value = fields.int64(key)
  if (value < 0) throw new Malformed(`${key} is ${value}, expected a page index`)
  if (value > MAX_INDEX) throw new BeyondFiles()
  return Number(value)
}

/** The end of a range: as {@link pageIndex}, but ULONG_MAX means the end of the file. */
function lastPage(fields: Fields, key: string): number {
  const value = fields.int64(key)
  return value > MAX_INDEX ? MAX_INDEX : Number(value)
}

function folioFields(fields: Fields): FolioFields {
  const flags = fields.low('flags')
  return {
    index: pageIndex(fields, 'index'),
    order: (flags & PG_HEAD) !== 0 ? fields.low('f1') & 0xff : 0,
    locked: (flags & PG_LOCKED) !== 0,
    writeback: (flags & PG_WRITEBACK) !== 0,
    dirty: (flags & PG_DIRTY) !== 0,
  }
}

function callFields(fields: Fields): CallFields {
  return {
    wbc: fields.hex('wbc'),
    handsBack: fields.hex('folio') !== '0x0',
    error: fields.number('error'),
    syncAll: fields.number('sync') === 1,
    tagged: fields.bit('tagged'),
    cyclic: fields.bit('cyclic'),
    start: fields.int64('start'),
    end: fields.int64('end'),
    nr: fields.int64('nr'),
    wbindex: fields.int64('wbindex'),
    forKupdate: fields.bit('kupdate'),
    forBackground: fields.bit('background'),
    forSync: fields.bit('forsync'),
  }
}

function details(name: string, fields: Fields): Details | null {
  switch (name) {
    case 'add':
      return { name, ...folioFields(fields), ret: fields.number('ret') }
    case 'dirty':
    case 'cancel':
    case 'end':
    case 'wbwait':
    case 'lockwait':
    case 'unlock':
      return { name, ...folioFields(fields) }
    case 'clear':
      return { name, ...folioFields(fields), ret: fields.bit('ret') }
    case 'redirty':
      return {
        name,
        ...folioFields(fields),
        wbc: fields.hex('wbc'),
        skipped: fields.int64('skipped'),
        ret: fields.bit('ret'),
      }
    case 'start':
      return { name, ...folioFields(fields), keep: fields.bit('keep') }
    case 'split':
      return { name, ...folioFields(fields), newOrder: fields.number('new_order') }
    case 'splitret':
      return { name, index: pageIndex(fields, 'index'), ret: fields.number('ret') }
    case 'delete': {
      const flags = fields.low('flags')
      const order = (flags & PG_HEAD) !== 0 ? fields.low('f1') & 0xff : 0
      return { name, index: pageIndex(fields, 'index'), order, writeback: (flags & PG_WRITEBACK) !== 0 }
    }
    case DELETE: {
      const offset = fields.int64('ofs')
      const index = BigInt(offset) >> 12n
      if (index > BigInt(MAX_INDEX)) throw new BeyondFiles()
      return { name: 'delete', index: Number(index), order: fields.number('order'), writeback: null }
    }
    case 'tag':
      return { name, start: pageIndex(fields, 'start'), end: lastPage(fields, 'end') }
    case 'tagged':
      return { name }
    case 'lookup':
      return {
        name,
        next: fields.int64('next'),
        end: fields.int64('end'),
        tag: fields.number('tag'),
        found: fields.number('ret'),
      }
    case 'call':
      return { name, ...callFields(fields) }
    case 'next':
      return {
        name,
        wbc: fields.hex('wbc'),
        folio: fields.hex('folio') === '0x0' ? null : folioFields(fields),
        error: fields.number('error'),
        nr: fields.int64('nr'),
        wbindex: fields.int64('wbindex'),
      }
    default:
      return null
  }
}

/** `dev MAJOR:MINOR ino HEX` of the kernel's own tracepoints. */
const KERNEL_INODE = /\bdev (\d+):(\d+) ino ([0-9a-f]+)\b/

function mappingOf(fields: Fields, rest: string): string {
  const match = KERNEL_INODE.exec(rest)
  if (match !== null) return `${Number(match[1]) * 2 ** 20 + Number(match[2])}:${BigInt(`0x${match[3]}`)}`
  const inode = `${fields.number('dev')}:${fields.int64('ino')}`
  return fields.has('mapping') ? `${inode}@${fields.hex('mapping')}` : inode
}

/**
 * Whether the low bits of folio->mapping say that it is not an address_space, so that the folio is anonymous
 * memory.
 */
function isAnonymous(fields: Fields): boolean {
  return fields.has('mapping') && (fields.low('mapping') & 3) !== 0
}

function callerOf(place: RegExpExecArray | null): string | null {
  if (place === null || place[2] === undefined) return null
  // trace-cmd prints addresses, and the traced function before its caller; `convert` writes "unknown".
  if (/^(?:unknown|[0-9a-f]{8,16})$/.test(place[1])) return null
  return place[1].replace(/\+0x.*$/, '')
}

/** Reads a recording line by line; `end` returns the whole. */
export class RecordingReader {
  readonly #file: string
  readonly #fields = new Map<string, string>()
  readonly #mappings = new Map<string, LiveEvent[]>()
  #line = 0
  #lost: number | null = null
  /** The time at which the recorder stopped. From then on it recorded only ends of writeback. */
  #drain: number | null = null
  #events = 0
  #beyond = 0

  constructor(file: string) {
    this.#file = file
  }

  /**
   * Takes the next line, without its line feed.
   * @param line - the number of the line, if it is not the number of the last line plus 1
   * @throws {@link InputError} for a line that does not belong to a recording
   */
  push(text: string, line = this.#line + 1): void {
    this.#line = line
    if (text === '' || text.startsWith('#')) {
      this.#comment(text)
      return
    }
    if (/^cpus=\d+$/.test(text)) return
    const lost = LOST_LINE.exec(text)
    if (lost !== null) {
      this.#lost = (this.#lost ?? 0) + Number(lost[1] ?? 1)
      return
    }
    try {
      this.#event(text)
    } catch (error) {
      if (error instanceof Malformed) throw new InputError(this.#file, this.#line, error.message)
      throw error
    }
  }

  #comment(text: string): void {
    const field = /^# record: (\w+) (.*)$/.exec(text)
    if (field === null) {
      const entries = /^# entries-in-buffer\/entries-written: (\d+)\/(\d+)/.exec(text)
      if (entries !== null) this.#lost = (this.#lost ?? 0) + Number(entries[2]) - Number(entries[1])
      return
    }
    this.#fields.set(field[1], field[2])
    if (field[1] === 'lost') this.#lost = Math.max(this.#lost ?? 0, Number(field[2]))
  }

  #event(text: string): void {
    const match = LINE.exec(text)
    if (match === null)
      throw new Malformed(`line is ${describe(text)}, expected TASK-PID [CPU] TIME: EVENT: FIELDS`)
    const [, comm, pid, cpu, seconds, fraction, name, rest] = match
    const time = Number(fraction === undefined ? seconds : seconds + fraction)
    if (name === MARKER && rest.trim() === 'drain') this.#drain = time
    const place = PLACE.exec(rest)
    const fields = new Fields(place === null ? rest : rest.slice(place[0].length))
    let found: Details | null
    try {
      found = details(name, fields)
    } catch (error) {
      if (!(error instanceof BeyondFiles)) throw error
      this.#beyond++
      return
    }
    if (found === null) return // an event of another recorder: trace-cmd records the events that its user names
    const mapping = mappingOf(fields, rest)
    if (isAnonymous(fields)) return
    const event: LiveEvent = {
      ...found,
      line: this.#line,
      time,
      cpu: Number(cpu),
      comm: comm.trimStart(),
      pid: Number(pid),
      caller: callerOf(place),
      mapping,
    }
    this.#events++
    const events = this.#mappings.get(mapping)
    if (events === undefined) this.#mappings.set(mapping, [event])
    else events.push(event)
  }

  end(): Recording {
    const mappings = new Map<string, LiveEvent[]>()
    for (const [mapping, events] of this.#mappings) {
      events.sort((a, b) => a.time - b.time) // stable
      mappings.set(mapping, this.#drain === null ? events : drained(events, this.#drain))
    }
    return {
      file: this.#file,
      header: {
        fields: this.#fields,
        lost: this.#lost,
        drained: this.#drain !== null || this.#fields.get('drained') === 'yes',
      },
      mappings,
      events: this.#events,
      beyond: this.#beyond,
    }
  }
}

/** The events without the ends of writeback that started after the recorder had stopped. */
function drained(events: readonly LiveEvent[], drain: number): LiveEvent[] {
  const started = new Set<number>()
  return events.filter((event) => {
    if (event.name === 'start') started.add(event.index)
    if (event.name !== 'end') return true
    return started.delete(event.index) || event.time < drain
  })
}

/** Whether a file's first line that is not a comment belongs to a recording, and not to a trace. */
export function isRecordingLine(text: string): boolean {
  return LINE.test(text) || LOST_LINE.test(text) || /^cpus=\d+$/.test(text)
}
