// SPDX-License-Identifier: GPL-2.0-only
// What the fuzzer does to a backend: programs of operations.

import type { Mark } from '../types.js'

/** How many there are of each. */
export const MAPPINGS = 2
export const CONTROLS = 3
export const ITERATORS = 2
export const HANDLES = 48
/** The handle of the folio that a pass, a callback, a hook or an iteration had last. */
export const HAND = HANDLES

/**
 * Arguments of `iter` beside handles: the folio that the pass returned last, as is right; and null, to start.
 */
export const RIGHT = -1
export const NULL = -2

/** The marks by number; 0 means every folio. */
export const MARKS: readonly (Mark | undefined)[] = [undefined, 'dirty', 'writeback', 'towrite']

/** What callbacks return, by the argument of `give`: success, errors, and neither of both. */
export const RESULTS: readonly unknown[] = [0, undefined, -5, -28, 0x80000, 1, Number.NaN, 0.5, 'x', null]

/** What callbacks throw. */
export const THROWN = new Error('thrown by a callback')

/** Bits of the mode of `control`. The last ones move an end of the range off the page's first byte. */
export const enum Mode {
  syncAll = 1,
  tagged = 2,
  cyclic = 4,
  lastByteOfStart = 8,
  firstByteOfEnd = 16,
}

/** What `each` does to every folio of a mapping that has a mark. */
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
  /** One that releases what is waited for. */
  release,
  /** One that does nothing. */
  hold,
  /** One that runs a turn of the body, then releases what is still held. */
  body,
  /** One that runs a turn of the body and no more. */
  bodyOnly,
}

/**
 * An operation names mappings, controls, iterators and folio handles by number, each number a place that is
 * always there, so that a program still makes sense when any operation is taken out of it.
 */
export interface Operation {
  /** A name of the table in operations/table.ts, which says what the arguments are. */
  readonly kind: string
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
  readonly e: number
  readonly f: number
  /**
   * What callbacks, hooks and loops do: each turn takes operations from here up to the next that ends a turn
   * (give, throw, break), or all that are left. Turns behind the last do the usual: write the folio, release
   * what is waited for, leave the write of a pass that awaits under way.
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

/** How many operations a program has, those in bodies included. */
export function countOperations(program: Program): number {
  let count = 0
  for (const { body } of program) count += 1 + countOperations(body)
  return count
}
