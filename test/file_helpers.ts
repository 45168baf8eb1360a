// SPDX-License-Identifier: GPL-2.0-only
// Functions that the tests of CachedFile share.

import { execFileSync } from 'node:child_process'
import { expect } from 'vitest'
import { random } from '../lib/cli/workload.js'

export const PAGE = 4096
export const MIB = 2 ** 20
export const DEFAULT_LIMITS = {
  memory: 64 * MIB,
  dirtyBackground: 16 * MIB,
  dirty: 32 * MIB,
  dirtyExpire: 30_000,
  writebackInterval: 5_000,
  writers: 4,
}

/** Bytes that depend on their position and on the seed. */
export function bytes(length: number, seed = 1): Uint8Array {
  const next = random(seed)
  return Uint8Array.from({ length }, () => next() & 0xff)
}

let limited = false

/**
 * From now on, a write beyond this offset of any file fails with EFBIG in this process. Both engines see it
 * as a device that refuses a write.
 */
export function limitFileSize(length: number | 'unlimited'): void {
  if (length === 'unlimited' && !limited) return
  execFileSync('prlimit', ['--pid', `${process.pid}`, `--fsize=${length}:`])
  limited = length !== 'unlimited'
}

/** Compares without printing megabytes. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length)
  if (Buffer.compare(actual, expected) === 0) return
  const at = actual.findIndex((byte, i) => byte !== expected[i])
  expect({ at, byte: actual[at] }).toEqual({ at, byte: expected[at] })
}
