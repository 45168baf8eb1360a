// SPDX-License-Identifier: GPL-2.0-only
// Golden traces, format 1: text to operations and back. A line is `operation arguments [= result]`.

import { MAX_INDEX, MAX_OFFSET, MAX_ORDER } from '../arguments.js'
import { describe } from '../errors.js'
import { InputError } from '../input/input_error.js'
import type { SyncMode } from '../types.js'

/** The first line of every trace. */
export const HEADER = '# writeback-trace 1'

/** One line of a trace without its result. Folios are named by their head index. */
export type Operation =
  | { readonly name: 'add'; readonly index: number; readonly order: number }
  | { readonly name: 'dirty' | 'remove' | 'lock' | 'unlock' | 'end' | 'redirty'; readonly index: number }
  | { readonly name: 'start'; readonly index: number; readonly keepWrite: boolean }
  | { readonly name: 'tag'; readonly start: number; readonly end: number }
  | {
      readonly name: 'begin'
      readonly syncMode: SyncMode
      readonly taggedWritepages: boolean
      readonly rangeCyclic: boolean
      readonly rangeStart: bigint
      readonly rangeEnd: bigint
      readonly nrToWrite: number
    }
  | { readonly name: 'next'; readonly error: number }
  | { readonly name: 'marks' }

export interface TraceLine {
  /** Line number in the file, from 1. */
  readonly line: number
  readonly operation: Operation
  /** What the line says that the operation gives; empty for an operation without a result. */
  readonly result: string
}

export interface Trace {
  /** What messages call the trace: its path as the user named it. */
  readonly file: string
  readonly lines: readonly TraceLine[]
}

/** What is wrong with a line; its place is added where it is known. */
class Malformed extends Error {}

const DECIMAL = /^(?:0|-?[1-9][0-9]*)$/

function integer(what: string, text: string, min: bigint, max: bigint): bigint {
  if (!DECIMAL.test(text)) throw new Malformed(`${what} is ${describe(text)}, expected a decimal number`)
  const value = BigInt(text)
  if (value < min || value > max) throw new Malformed(`${what} is ${text}, expected ${min} to ${max}`)
  return value
}

function number(what: string, text: string, min: number, max: number): number {
  return Number(integer(what, text, BigInt(min), BigInt(max)))
}

function pageIndex(what: string, text: string): number {
  return number(what, text, 0, MAX_INDEX)
}

function flag(what: string, text: string): boolean {
  if (text !== '0' && text !== '1') throw new Malformed(`${what} is ${describe(text)}, expected 0 or 1`)
  return text === '1'
}

/** The value of a `key=value` argument. */
function keyed(key: string, text: string): string {
  if (!text.startsWith(`${key}=`)) throw new Malformed(`argument is ${describe(text)}, expected ${key}=`)
  return text.slice(key.length + 1)
}

/** How an operation is written: its arguments by name, how they are read, and the form of its result. */
interface Form {
  readonly parameters: readonly string[]
  parse(args: readonly string[]): Operation
  readonly result: { readonly usage: string; readonly pattern: RegExp } | null
}

function ofFolio<N extends 'dirty' | 'remove' | 'lock' | 'unlock' | 'end' | 'redirty'>(
  name: N,
  result: Form['result'],
): Form {
  return { parameters: ['I'], parse: ([i]) => ({ name, index: pageIndex('index', i) }), result }
}

const FLAG_RESULT = { usage: '0 or 1', pattern: /^[01]$/ }
const N = '(?:0|[1-9][0-9]*)'
const SIGNED = '(?:0|-?[1-9][0-9]*)'
const LIST = `(?:${N}(?:,${N})*)?`

const FORMS: ReadonlyMap<string, Form> = new Map<Operation['name'], Form>([
  [
    'add',
    {
      parameters: ['I', 'O'],
      parse([i, o]) {
        const index = pageIndex('index', i)
        const order = number('order', o, 0, MAX_ORDER)
        if (index % 2 ** order !== 0) {
          throw new Malformed(`index is ${i}, expected a multiple of ${2 ** order} at order ${order}`)
        }
        return { name: 'add', index, order }
      },
      result: { usage: 'ok or EEXIST', pattern: /^(?:ok|EEXIST)$/ },
    },
  ],
  ['dirty', ofFolio('dirty', FLAG_RESULT)],
  ['remove', ofFolio('remove', null)],
  ['lock', ofFolio('lock', FLAG_RESULT)],
  ['unlock', ofFolio('unlock', null)],
  [
    'start',
    {
      parameters: ['I', 'K'],
      parse: ([i, k]) => ({ name: 'start', index: pageIndex('index', i), keepWrite: flag('keep', k) }),
      result: null,
    },
  ],
  ['end', ofFolio('end', null)],
  ['redirty', ofFolio('redirty', { usage: 'R skipped=N', pattern: new RegExp(`^[01] skipped=${N}$`) })],
  [
    'tag',
    {
      parameters: ['A', 'B'],
      parse: ([a, b]) => ({ name: 'tag', start: pageIndex('start', a), end: pageIndex('end', b) }),
      result: null,
    },
  ],
  [
    'begin',
    {
      parameters: ['sync=none|all', 'tagged=0|1', 'cyclic=0|1', 'start=BYTES', 'end=BYTES', 'nr=N'],
      parse([sync, tagged, cyclic, start, end, nr]) {
        const syncMode = keyed('sync', sync)
        if (syncMode !== 'none' && syncMode !== 'all') {
          throw new Malformed(`sync is ${describe(syncMode)}, expected none or all`)
        }
        return {
          name: 'begin',
          syncMode,
          taggedWritepages: flag('tagged', keyed('tagged', tagged)),
          rangeCyclic: flag('cyclic', keyed('cyclic', cyclic)),
          rangeStart: integer('start', keyed('start', start), 0n, MAX_OFFSET),
          rangeEnd: integer('end', keyed('end', end), 0n, MAX_OFFSET),
          nrToWrite: number('nr', keyed('nr', nr), Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
        }
      },
      result: null,
    },
  ],
  [
    'next',
    {
      parameters: ['E'],
      parse: ([e]) => ({ name: 'next', error: number('error', e, -(2 ** 31), 0) }),
      result: {
        usage: '[wait lock|writeback I; ]... folio I O|done E nr=N wbindex=N',
        pattern: new RegExp(
          `^(?:wait (?:lock|writeback) ${N}; )*(?:folio ${N} ${N}|done ${SIGNED}) nr=${SIGNED} wbindex=${N}$`,
        ),
      },
    },
  ],
  [
    'marks',
    {
      parameters: [],
      parse: () => ({ name: 'marks' }),
      result: {
        usage: 'dirty:L writeback:L towrite:L',
        pattern: new RegExp(`^dirty:${LIST} writeback:${LIST} towrite:${LIST}$`),
      },
    },
  ],
])

function parseLine(text: string): { operation: Operation; result: string } {
  const equals = text.indexOf(' = ')
  const call = equals < 0 ? text : text.slice(0, equals)
  const result = equals < 0 ? null : text.slice(equals + 3)
  const [name, ...args] = call.split(' ')
  const form = FORMS.get(name)
  if (form === undefined) throw new Malformed(`operation is ${describe(name)}, which is unknown`)
  if (args.length !== form.parameters.length) {
    const usage = [name, ...form.parameters].join(' ')
    throw new Malformed(`${args.length} arguments, expected ${form.parameters.length}: ${usage}`)
  }
  const operation = form.parse(args)
  if (form.result === null) {
    if (result !== null) throw new Malformed(`result is ${describe(result)}, but ${name} has none`)
  } else if (result === null) {
    throw new Malformed(`result is missing, expected ${name} = ${form.result.usage}`)
  } else if (!form.result.pattern.test(result)) {
    throw new Malformed(`result of ${name} is ${describe(result)}, expected ${form.result.usage}`)
  }
  return { operation, result: result ?? '' }
}

/**
 * Reads a trace line by line. Whether a line makes sense where it stands (whether its folio is in the cache,
 * say) shows only in the replay.
 */
export class TraceParser {
  readonly #file: string
  #begun = false

  /** @param file - what messages call the trace */
  constructor(file: string) {
    this.#file = file
  }

  /**
   * @param number - the line's number in the file, from 1
   * @returns null for the header and for comments
   * @throws {@link InputError} if the line is not of the format
   */
  line(text: string, number: number): TraceLine | null {
    if (!this.#begun) {
      if (text !== HEADER) throw this.#noHeader(describe(text))
      this.#begun = true
    }
    if (text.startsWith('#')) return null
    try {
      return { line: number, ...parseLine(text) }
    } catch (error) {
      if (error instanceof Malformed) throw new InputError(this.#file, number, error.message)
      throw error
    }
  }

  /** @throws {@link InputError} if there was not even a header */
  end(): void {
    if (!this.#begun) throw this.#noHeader('missing')
  }

  #noHeader(found: string): InputError {
    return new InputError(this.#file, 1, `first line is ${found}, expected ${describe(HEADER)}`)
  }
}

/**
 * Reads a whole trace.
 * @param file - what messages call it
 * @throws {@link InputError} for the first line that is not of the format
 */
export function parseTrace(file: string, text: string): Trace {
  const parser = new TraceParser(file)
  const texts = text.split('\n')
  if (texts.at(-1) === '') texts.pop()
  const lines: TraceLine[] = []
  for (const [i, text] of texts.entries()) {
    const line = parser.line(text, i + 1)
    if (line !== null) lines.push(line)
  }
  parser.end()
  return { file, lines }
}

function formatOperation(operation: Operation): string {
  switch (operation.name) {
    case 'add':
      return `add ${operation.index} ${operation.order}`
    case 'start':
      return `start ${operation.index} ${operation.keepWrite ? 1 : 0}`
    case 'tag':
      return `tag ${operation.start} ${operation.end}`
    case 'begin': {
      const { syncMode, taggedWritepages, rangeCyclic, rangeStart, rangeEnd, nrToWrite } = operation
      const modes = `sync=${syncMode} tagged=${taggedWritepages ? 1 : 0} cyclic=${rangeCyclic ? 1 : 0}`
      return `begin ${modes} start=${rangeStart} end=${rangeEnd} nr=${nrToWrite}`
    }
    case 'next':
      return `next ${operation.error}`
    case 'marks':
      return 'marks'
    default:
      return `${operation.name} ${operation.index}`
  }
}

/** The line of an operation with its result, without the line feed. */
export function formatLine(operation: Operation, result: string): string {
  const text = formatOperation(operation)
  return result === '' ? text : `${text} = ${result}`
}

/** A whole trace as {@link parseTrace} reads it. */
export function formatTrace(lines: Iterable<Pick<TraceLine, 'operation' | 'result'>>): string {
  let text = `${HEADER}\n`
  for (const { operation, result } of lines) text += `${formatLine(operation, result)}\n`
  return text
}
