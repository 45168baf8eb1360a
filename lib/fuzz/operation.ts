// SPDX-License-Identifier: GPL-2.0-only
// What the fuzzer does to a backend: programs of operations.

import type { Mark } from '../types.js'

/** The number of mappings, controls, iterators and handles. */
export const MAPPINGS = 2
export const CONTROLS = 3
export const ITERATORS = 2
export const HANDLES = 48
/** The handle of the last folio that a pass, a callback, a hook or an iteration received. */
export const HAND = HANDLES

/**
 * Arguments of `iter` beside handles: RIGHT hands back the folio that the pass returned last, as the protocol
 * requires; NULL starts a pass.
 */
export const RIGHT = -1
export const NULL = -2

/** The marks by number; 0 means every folio. */
export const MARKS: readonly (Mark | undefined)[] = [undefined, 'dirty', 'writeback', 'towrite']

/** What callbacks return, by the argument of `give`: success, errors, and values that are neither. */
export const RESULTS: readonly unknown[] = [0, undefined, -5, -28, 0x80000, 1, Number.NaN, 0.5, 'x', null]

/** What callbacks throw. */
export const THROWN = new Error('thrown by a callback')

/** Bits of the mode of `control`. The last bits move a bound of the range off the first byte of its page. */
export const enum Mode {
  syncAll = 1,
  tagged = 2,
  cyclic = 4,
  lastByteOfStart = 8,
  firstByteOfEnd = 16,
}

/** What `each` does to every folio of a mapping that has the given mark. */
export const enum Action {
  markDirty,
  advance,
  write,
  lock,
}

/** What is passed as `onWait`. */
export const enum Hook {
  /** Nothing. */
  none,
  /** A hook that releases the lock or the writeback that the pass waits for. */
  release,
  /** A hook that does nothing. */
  hold,
  /** A hook that runs a turn of the body, then releases the lock or the writeback if it is still held. */
  body,
  /** A hook that only runs a turn of the body. */
  bodyOnly,
}

/**
 * An operation names mappings, controls, iterators and folio handles by number. Each number is a place that
 * always exists, so a program stays valid when the shrinker removes any operation.
 */
export interface Operation {
  /** A name of the table in operations/table.ts. The entry of the table describes the arguments. */
  readonly kind: string
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
  readonly e: number
  readonly f: number
  /**
   * What callbacks, hooks and loops do. Each turn takes operations from the body, up to the next one that
   * ends a turn (give, throw, break), or all that are left. After the body is used up, a turn does the
   * default: it writes the folio, releases the lock or the writeback that the pass waits for, or leaves the
   * write of a pass that awaits under way.
   */
  readonly body: readonly Operation[]
}

export type Program = readonly Operation[]

const NO_BODY: readonly Operation[] = []

export function operation(kind: string, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): Operation {
  return { kind, a, b, c, d, e, f, body: NO_BODY }
}

export function withBody(op: Operation, body: readonly Operation[]): Operation {
  const { kind, a, b, c, d, e, f } = op
  return { kind, a, b, c, d, e, f, body }
}

/** The number of operations of a program, including those in bodies. */
export function countOperations(program: Program): number {
  let count = 0
  for (const { body } of program) count += 1 + countOperations(body)
  return count
}
