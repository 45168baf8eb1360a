// SPDX-License-Identifier: GPL-2.0-only
// Parses fio's I/O log, versions 2 and 3 (fio(1), TRACE FILE FORMAT), as --write_iolog writes it: a header,
// then one action per line. In version 3, a timestamp precedes each action. The parser ignores waits and
// timestamps.

import { InputError } from '../input/input_error.js'
import { readLines } from '../input/lines.js'
import { type Operation, Operations, type Workload } from './workload.js'

/** The most that one read(2) or write(2) transfers on Linux (MAX_RW_COUNT). */
const MAX_TRANSFER = 2 ** 31 - 4096

const HEADER = /^fio version (\d+) iolog$/

/** fio's names of I/O actions. Here every kind of sync is an fsync of the whole file. */
const IO_ACTIONS: ReadonlyMap<string, Operation['kind'] | 'wait'> = new Map([
  ['read', 'read'],
  ['write', 'write'],
  ['trim', 'trim'],
  ['sync', 'sync'],
  ['datasync', 'sync'],
  ['sync_file_range', 'sync'],
  ['wait', 'wait'],
])

/** fio puts one space between fields and quotes nothing, so a file name may contain spaces. */
const TIMESTAMP = /^(\S*) (.*)$/
const FILE_LINE = /^(.*) (add|open|close)$/
const IO_LINE = /^(.*) (\S+) (\S+) (\S+)$/

/** Matches a line with two actions, in which another line begins in the middle. */
const TORN =
  / (?:(?:add|open|close)|(?:read|write|trim|sync|datasync|sync_file_range|wait) \d+ \d*).* (?:add|open|close|(?:read|write|trim|sync|datasync|sync_file_range|wait) \d+ \d+)$/

/**
 * Reads a log of any size.
 * @param signal - ends the reading
 * @throws {@link InputError}, and what {@link readLines} throws
 */
export async function readIolog(path: string, signal?: AbortSignal): Promise<Workload> {
  const parser = new IologParser(path)
  await readLines(path, (text, number, ended) => parser.line(text, number, ended), signal)
  return parser.end()
}

/** Reads a log line by line. */
export class IologParser {
  readonly #name: string
  readonly #files: string[] = []
  readonly #numbers = new Map<string, number>()
  readonly #operations = new Operations()
  readonly #warnings: string[] = []
  #version = 0

  /** @param name - the name of the log in messages */
  constructor(name: string) {
    this.#name = name
  }

  /**
   * @param number - the line's number, from 1
   * @param ended - whether a line feed ends it
   * @throws {@link InputError}
   */
  line(text: string, number: number, ended: boolean): void {
    const fail = (problem: string) => {
      const torn = TORN.test(text) ? ': two lines in one, as where several jobs (numjobs) write one log' : ''
      return new InputError(this.#name, number, `${problem}${torn}`)
    }
    // fio ends every line of a log.
    if (!ended)
      this.#warnings.push(`:${number}: no line feed ends the last line: the log may be cut off in it`)
    // fio appends to a log that already exists, so a header may come again.
    if (number === 1 || HEADER.test(text)) this.#version = parseVersion(text, fail)
    else if (text.trim() !== '') this.#action(text, fail)
  }

  /** @throws {@link InputError} if the log has no header */
  end(): Workload {
    const fail = (problem: string) => new InputError(this.#name, 1, problem)
    if (this.#version === 0) parseVersion('', fail)
    return {
      name: this.#name,
      files: this.#files.map((name) => ({ name, size: 0 })),
      operations: this.#operations,
      warnings: this.#warnings,
    }
  }

  #action(line: string, fail: Fail): void {
    const action = this.#version === 3 ? withoutTimestamp(line, fail) : line
    const [, named, fileAction] = FILE_LINE.exec(action) ?? []
    if (fileAction !== undefined) {
      if (fileAction !== 'add') this.#number(named, fail)
      else if (!this.#numbers.has(named)) this.#numbers.set(named, this.#files.push(named) - 1)
      return
    }
    const [, name, kindField, offsetField, lengthField] = IO_LINE.exec(action) ?? []
    if (name === undefined) {
      const prefix = this.#version === 3 ? 'TIMESTAMP ' : ''
      throw fail(`«${line}» is neither "${prefix}FILE ACTION" nor "${prefix}FILE ACTION OFFSET LENGTH"`)
    }
    const kind = IO_ACTIONS.get(kindField)
    if (kind === undefined) throw fail(`unknown action «${kindField}»`)
    const offset = parseNumber('offset', offsetField, fail)
    const length = parseNumber('length', lengthField, fail)
    if (!Number.isSafeInteger(offset + length))
      throw fail(`offset ${offset} and length ${length} are too large`)
    if ((kind === 'read' || kind === 'write') && length > MAX_TRANSFER) {
      throw fail(`length is ${length}, but one ${kind} takes ${MAX_TRANSFER} at most`)
    }
    const file = this.#number(name, fail)
    if (kind !== 'wait') this.#operations.push({ kind, file, offset, length })
  }

  #number(name: string, fail: Fail): number {
    const number = this.#numbers.get(name)
    if (number === undefined) throw fail(`file «${name}» is used before its add action`)
    return number
  }
}

type Fail = (problem: string) => InputError

function parseVersion(line: string, fail: Fail): number {
  const version = HEADER.exec(line)?.[1]
  if (version === '2' || version === '3') return Number(version)
  if (version !== undefined) throw fail(`an fio I/O log of version ${version}, expected 2 or 3`)
  throw fail(`«${line.slice(0, 80)}» is no header of an fio I/O log, expected «fio version 3 iolog» (or 2)`)
}

function withoutTimestamp(line: string, fail: Fail): string {
  const [, timestamp = line, action = ''] = TIMESTAMP.exec(line) ?? []
  parseNumber('timestamp', timestamp, fail)
  return action
}

function parseNumber(what: string, field: string, fail: Fail): number {
  const value = /^\d+$/.test(field) ? Number(field) : Number.NaN
  if (!Number.isSafeInteger(value))
    throw fail(`${what} is «${field}», expected an integer from 0 to 2^53 - 1`)
  return value
}
