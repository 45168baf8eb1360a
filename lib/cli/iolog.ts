// SPDX-License-Identifier: GPL-2.0-only
// fio's I/O log, versions 2 and 3 (fio(1), TRACE FILE FORMAT), as --write_iolog writes it: a header, then one action a
// line. Version 3 has a timestamp before each; waits and timestamps are passed over.

import { type Operation, Operations, type Workload } from './workload.js'

/** A line that is not of the format; the message begins with `FILE:LINE: `. */
export class IologError extends Error {
  constructor(file: string, line: number, problem: string) {
    super(`${file}:${line}: ${problem}`)
    this.name = 'IologError'
  }
}

/** The most that one read(2) or write(2) transfers on Linux (MAX_RW_COUNT). */
const MAX_TRANSFER = 2 ** 31 - 4096

const HEADER = /^fio version (\d+) iolog$/

/** fio's names of I/O actions. Every kind of sync is an fsync of the whole file here. */
const IO_ACTIONS: ReadonlyMap<string, Operation['kind'] | 'wait'> = new Map([
  ['read', 'read'],
  ['write', 'write'],
  ['trim', 'trim'],
  ['sync', 'sync'],
  ['datasync', 'sync'],
  ['sync_file_range', 'sync'],
  ['wait', 'wait'],
])
const FILE_ACTIONS: ReadonlySet<string> = new Set(['add', 'open', 'close'])

/**
 * The workload in a log.
 * @param name - of the log, for messages
 * @throws {@link IologError}
 */
export function parseIolog(name: string, text: string): Workload {
  const files: string[] = []
  const operations = new Operations()
  const numbers = new Map<string, number>()
  let version = 0
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    const fail = (problem: string) => new IologError(name, i + 1, problem)
    // fio appends to a log that is there already: a header may come again.
    if (i === 0 || HEADER.test(line)) {
      version = parseVersion(line, fail)
      continue
    }
    if (line === '') continue
    const fields = line.split(/\s+/)
    if (version === 3) parseNumber('timestamp', fields.shift(), fail)
    const last = fields[fields.length - 1]
    if (fields.length >= 2 && FILE_ACTIONS.has(last)) {
      // A file name may have spaces in it: fio does not quote them.
      const file = fields.slice(0, -1).join(' ')
      if (last !== 'add') fileNumber(file, numbers, fail)
      else if (!numbers.has(file)) numbers.set(file, files.push(file) - 1)
      continue
    }
    if (fields.length < 4) {
      throw fail(
        `«${line}» is neither "${prefix(version)}FILE ACTION" nor "${prefix(version)}FILE ACTION OFFSET LENGTH"`,
      )
    }
    const [action, offsetField, lengthField] = fields.splice(-3)
    const kind = IO_ACTIONS.get(action)
    if (kind === undefined) throw fail(`unknown action «${action}»`)
    const offset = parseNumber('offset', offsetField, fail)
    const length = parseNumber('length', lengthField, fail)
    if (!Number.isSafeInteger(offset + length))
      throw fail(`offset ${offset} and length ${length} are too large`)
    if ((kind === 'read' || kind === 'write') && length > MAX_TRANSFER) {
      throw fail(`length is ${length}, but one ${kind} takes ${MAX_TRANSFER} at most`)
    }
    const file = fileNumber(fields.join(' '), numbers, fail)
    if (kind !== 'wait') operations.push({ kind, file, offset, length })
  }
  return { name, files: files.map((file) => ({ name: file, size: 0 })), operations }
}

type Fail = (problem: string) => IologError

const prefix = (version: number) => (version === 3 ? 'TIMESTAMP ' : '')

function parseVersion(line: string, fail: Fail): number {
  const version = HEADER.exec(line)?.[1]
  if (version === '2' || version === '3') return Number(version)
  if (version !== undefined) throw fail(`an fio I/O log of version ${version}, expected 2 or 3`)
  throw fail(`«${line.slice(0, 80)}» is no header of an fio I/O log, expected «fio version 3 iolog» (or 2)`)
}

function parseNumber(what: string, field: string | undefined, fail: Fail): number {
  const value = field !== undefined && /^\d+$/.test(field) ? Number(field) : Number.NaN
  if (!Number.isSafeInteger(value))
    throw fail(`${what} is «${field ?? ''}», expected an integer from 0 to 2^53 - 1`)
  return value
}

function fileNumber(file: string, numbers: ReadonlyMap<string, number>, fail: Fail): number {
  const number = numbers.get(file)
  if (number === undefined) throw fail(`file «${file}» is used before its add action`)
  return number
}
