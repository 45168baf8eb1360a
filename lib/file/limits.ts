// SPDX-License-Identifier: GPL-2.0-only
// The bounds on the caches' memory and on dirty data.

import os from 'node:os'
import { invalid, WritebackError } from '../errors.js'
import type { Limits } from './engine.js'

/**
 * Options of {@link configure}. An omitted option keeps its value, or follows `memory` if it was never set.
 */
export interface ConfigureOptions {
  /**
   * Bytes of memory for the cached data and bookkeeping of all files, of the process on the native engine and
   * of the thread on the TypeScript engine. An integer from 4 MiB (4194304), default an eighth of the
   * machine's memory, at least 64 MiB and at most 512 MiB; 64 MiB if the runtime does not permit reading the
   * machine's memory.
   */
  memory?: number | undefined
  /** Dirty bytes above which the flusher writes (dirty_background_bytes); default a quarter of `memory`. */
  dirtyBackground?: number | undefined
  /** Dirty bytes above which writers are held back (dirty_bytes); default three quarters of `memory`. */
  dirty?: number | undefined
  /**
   * Milliseconds after which the flusher writes a dirty page in any case (dirty_expire_centisecs); default
   * 30000.
   */
  dirtyExpire?: number | undefined
  /**
   * Milliseconds between the flusher's searches for such pages (dirty_writeback_centisecs), default 5000;
   * with 0 it does not search, and writes only above `dirtyBackground`.
   */
  writebackInterval?: number | undefined
  /**
   * Writes to the device under way at a time, 1 to 64; default 32 on the native engine, 4 on the TypeScript
   * engine.
   */
  writers?: number | undefined
}

const MIB = 2 ** 20
const LEAST_MEMORY = 4 * MIB
/** The longest that a timer of Node.js runs. */
const LONGEST = 2 ** 31 - 1
const DEFAULT_MEMORY = Math.min(Math.max(Math.floor(totalMemory() / 8), 64 * MIB), 512 * MIB)
const DEFAULTS = { memory: DEFAULT_MEMORY, dirtyExpire: 30_000, writebackInterval: 5_000 }

/** The machine's memory in bytes; 0 if the runtime does not permit reading it (Deno without --allow-sys). */
function totalMemory(): number {
  try {
    return os.totalmem()
  } catch {
    return 0
  }
}

function integer(what: string, value: unknown, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
    throw invalid(what, value, `an integer from ${least} to ${most}`)
  }
  return value as number
}

/** What the user has set; the rest follows. */
export type Configured = Partial<Limits>

/** Adds these options to those set before, if all of them are good. */
export function merge(before: Configured, options: ConfigureOptions): Configured {
  if (options === null || typeof options !== 'object') throw invalid('options', options, 'an object')
  const { memory, dirtyBackground, dirty, dirtyExpire, writebackInterval, writers } = options
  const most = Number.MAX_SAFE_INTEGER
  const set = { ...before } as { -readonly [K in keyof Limits]?: Limits[K] }
  if (memory !== undefined) set.memory = integer('memory', memory, LEAST_MEMORY, most)
  if (dirtyBackground !== undefined) {
    set.dirtyBackground = integer('dirtyBackground', dirtyBackground, 0, most)
  }
  if (dirty !== undefined) set.dirty = integer('dirty', dirty, 0, most)
  if (dirtyExpire !== undefined) set.dirtyExpire = integer('dirtyExpire', dirtyExpire, 0, LONGEST)
  if (writebackInterval !== undefined) {
    set.writebackInterval = integer('writebackInterval', writebackInterval, 0, LONGEST)
  }
  if (writers !== undefined) set.writers = integer('writers', writers, 1, 64)
  resolve(set)
  return set
}

/** @throws `EINVAL` unless dirtyBackground <= dirty <= memory */
export function resolve(set: Configured): Limits {
  const { memory, dirtyExpire, writebackInterval, writers } = { ...DEFAULTS, writers: undefined, ...set }
  const dirty = set.dirty ?? Math.floor(memory * 0.75)
  const dirtyBackground = set.dirtyBackground ?? Math.min(dirty, Math.floor(memory / 4))
  if (dirty > memory || dirtyBackground > dirty) {
    throw new WritebackError(
      'EINVAL',
      `dirtyBackground is ${dirtyBackground}, dirty ${dirty} and memory ${memory}: none may be above the next`,
    )
  }
  return { memory, dirtyBackground, dirty, dirtyExpire, writebackInterval, writers }
}
