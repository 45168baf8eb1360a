// SPDX-License-Identifier: GPL-2.0-only
// The flags of open(2), as node:fs takes them, and what of them the cache does itself.

import { constants } from 'node:fs'
import { invalid } from '../errors.js'

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC } = constants
// Windows has none of these.
const { O_NOFOLLOW = 0, O_NOATIME = 0, O_SYNC = 0, O_DSYNC = 0 } = constants
const ACCESS_MODE = O_RDONLY | O_WRONLY | O_RDWR
const ALLOWED = ACCESS_MODE | O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_NOATIME | O_SYNC | O_DSYNC

const STRINGS: Readonly<Record<string, number>> = {
  r: O_RDONLY,
  rs: O_RDONLY | O_SYNC,
  'r+': O_RDWR,
  'rs+': O_RDWR | O_SYNC,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_TRUNC | O_EXCL,
  'w+': O_RDWR | O_CREAT | O_TRUNC,
  'wx+': O_RDWR | O_CREAT | O_TRUNC | O_EXCL,
}

export interface OpenFlags {
  /** What open(2) is called with. */
  readonly system: number
  readonly readable: boolean
  readonly writable: boolean
  /** The cache's to do: another handle may have the file open. */
  readonly truncate: boolean
  /** Whether each write is to be on the device when it is done, and with what of the file's metadata. */
  readonly sync: 'no' | 'data' | 'all'
}

/** @throws `EINVAL` */
export function parseFlags(value: unknown): OpenFlags {
  const flags = typeof value === 'string' && Object.hasOwn(STRINGS, value) ? STRINGS[value] : value
  if (typeof flags !== 'number' || !Number.isInteger(flags) || (flags & ALLOWED) !== flags) {
    throw invalid(
      'flags',
      value,
      `${Object.keys(STRINGS).join(', ')}, or O_RDONLY, O_WRONLY or O_RDWR with O_CREAT, O_EXCL, O_TRUNC, O_NOFOLLOW, ` +
        'O_NOATIME, O_SYNC or O_DSYNC',
    )
  }
  const access = flags & ACCESS_MODE
  const writable = access !== O_RDONLY
  const truncate = (flags & O_TRUNC) !== 0
  if (access === ACCESS_MODE || (truncate && !writable)) {
    throw invalid('flags', value, 'O_WRONLY or O_RDWR where the file is to be written or truncated')
  }
  return {
    // Pages that are written in part are read first.
    system: (flags & ~(ACCESS_MODE | O_TRUNC | O_SYNC | O_DSYNC)) | (writable ? O_RDWR : O_RDONLY),
    readable: access !== O_WRONLY,
    writable,
    truncate,
    // O_SYNC contains the bit of O_DSYNC.
    sync: O_SYNC !== 0 && (flags & O_SYNC) === O_SYNC ? 'all' : (flags & O_DSYNC) !== 0 ? 'data' : 'no',
  }
}
