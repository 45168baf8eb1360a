// SPDX-License-Identifier: GPL-2.0-only
// The system's errors as numbers, as the engines hand them on, and as the errors that node:fs throws.

import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import { WritebackError } from '../errors.js'

type ErrnoName = keyof typeof constants.errno

/** The negative errno of an error that the system gave; 0 for any other error. */
export function errnoOf(error: unknown): number {
  const errno = error instanceof Error ? (error as NodeJS.ErrnoException).errno : undefined
  return typeof errno === 'number' && errno < 0 ? errno : 0
}

/** The negative errno of this name. */
export function errno(name: ErrnoName): number {
  return -constants.errno[name]
}

/** The error that `node:fs` would have thrown for this errno. */
export function systemError(errno: number, syscall: string, path: string): NodeJS.ErrnoException {
  const [code, description] = getSystemErrorMap().get(errno) ?? unmapped(errno)
  return Object.assign(new Error(`${code}: ${description}, ${syscall} '${path}'`), {
    errno,
    code,
    syscall,
    path,
  })
}

/** What libuv has no name for, though the system does: EDQUOT for one. */
function unmapped(errno: number): [code: string, description: string] {
  const name = Object.entries(constants.errno).find(([, value]) => value === -errno)?.[0]
  return [name ?? `E${-errno}`, `system error ${-errno}`]
}

export function noRegularFile(path: string): WritebackError {
  return new WritebackError('EINVAL', `${JSON.stringify(path)} is not a regular file`)
}
