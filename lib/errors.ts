// SPDX-License-Identifier: GPL-2.0-only

import type { Folio } from './types.js'

/**
 * What went wrong, as an errno name:
 *
 * - `EINVAL`: an argument of the wrong type, out of range or not aligned, or a call that the folio's state
 *   does not allow (unlock of an unlocked folio, `endWriteback` without writeback …)
 * - `EEXIST`: a folio already covers a page of the range
 * - `EBUSY`: the folio is locked or under writeback
 * - `ESTALE`: the folio was removed from its mapping
 * - `EBADF`: the mapping (or the file) was closed
 * - `EDEADLK`: the iterator would have to wait, and no code released the folio
 * - `ENOMEM`: an allocation failed; nothing changed
 * - `ELIBACC`: the native backend was requested by name and does not load; `cause` is the reason
 */
export type ErrorCode = 'EINVAL' | 'EEXIST' | 'EBUSY' | 'ESTALE' | 'EBADF' | 'EDEADLK' | 'ENOMEM' | 'ELIBACC'

const CODES: readonly ErrorCode[] = [
  'EINVAL',
  'EEXIST',
  'EBUSY',
  'ESTALE',
  'EBADF',
  'EDEADLK',
  'ENOMEM',
  'ELIBACC',
]

/** The error of every wrong use: `code` is the kind, and the message names the value. */
export class WritebackError extends Error {
  /** The kind of error, an errno name. */
  readonly code: ErrorCode

  /**
   * For programs that create such errors themselves, for example in a test.
   * @param code - the kind of error
   * @param message - what went wrong; the code is put before it
   * @param options - as for `Error`
   * @throws `EINVAL` for an unknown code
   */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    if (!CODES.includes(code)) throw invalid('code', code, `one of ${CODES.join(', ')}`)
    super(`${code}: ${message}`, options)
    this.name = 'WritebackError'
    this.code = code
  }
}

/**
 * The form of a value in a message. Runs no code of the value: an argument may be a proxy whose every trap
 * throws.
 * @internal
 */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value)
    case 'bigint': {
      const digits = value.toString()
      return `${digits.length > 64 ? `${digits.slice(0, 64)}…` : digits}n`
    }
    case 'object':
      return value === null ? 'null' : 'an object'
    case 'function':
      return 'a function'
    default:
      return String(value)
  }
}

/**
 * A call that the folio's state does not allow.
 * @internal
 */
export function misuse(folio: Folio, what: string): WritebackError {
  return new WritebackError('EINVAL', `folio ${folio.index} ${what}`)
}

/**
 * startWriteback() of a folio that is not locked, or under writeback.
 * @internal
 */
export function notToWrite(folio: Folio): WritebackError {
  return misuse(folio, folio.writeback ? 'is under writeback already' : 'is not locked')
}

/**
 * ESTALE for a removed folio, EBADF for one whose mapping was closed.
 * @internal
 */
export function detached(folio: Folio): WritebackError {
  if (folio.mapping === null) {
    return new WritebackError('ESTALE', `folio ${folio.index} was removed from its mapping`)
  }
  return new WritebackError('EBADF', `the mapping of folio ${folio.index} is closed`)
}

/** @internal */
export function invalid(what: string, value: unknown, expected: string): WritebackError {
  return new WritebackError('EINVAL', `${what} is ${describe(value)}, expected ${expected}`)
}

/**
 * An object's state is private: a clone would be an object without any. A function among its own properties
 * makes structuredClone() and postMessage() refuse it, in every runtime.
 * @internal
 */
export const notCloneable = (): never => {
  throw new WritebackError('EINVAL', 'it cannot be cloned')
}
