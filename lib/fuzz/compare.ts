// SPDX-License-Identifier: GPL-2.0-only

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Backend } from '../types.js'
import { operation, type Program } from './operation.js'
import { type Foreign, World } from './world.js'

/** Two backends, side by side. */
export type Backends = readonly [Backend, Backend]

export interface Difference {
  /**
   * The number of operations of the program executed, including the one that differed. If the difference was
   * found at the end, the number is one more than the program has.
   */
  readonly operations: number
  /** What each backend logged for that operation, from the first entry that differs. */
  readonly logs: readonly [string, string]
}

/** The greatest number of log entries that are shown per difference. */
const SHOWN = 12

const foreigners = new WeakMap<Backend, Foreign>()

/** Objects of this backend, to pass to the other backend. */
export function foreignOf(api: Backend): Foreign {
  let foreign = foreigners.get(api)
  if (foreign === undefined) {
    const mapping = new api.AddressSpace()
    foreign = { mapping, folio: mapping.addFolio(0) }
    foreigners.set(api, foreign)
  }
  return foreign
}

const CHECK = operation('check')

/** What programs have done so far. */
export interface Tally {
  /** Operations executed on each backend and compared, those in bodies included. */
  operations: number
}

/**
 * Runs a program on both backends. Compares their logs after each operation, and their whole states at the
 * end. Between two operations, passes that await continue as far as they can.
 * @param readable - whether the caller prints the difference
 * @returns the first difference, or null
 */
export async function compare(
  program: Program,
  [first, second]: Backends,
  tally: Tally = { operations: 0 },
  readable = false,
): Promise<Difference | null> {
  // The programs cause many errors. The comparison does not use their stacks, which are most of their cost.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = readable ? stackTraceLimit : 0
  const a = new World(first, foreignOf(second), readable)
  const b = new World(second, foreignOf(first), readable)
  try {
    for (let i = 0; i <= program.length; i++) {
      const op = i < program.length ? program[i] : CHECK
      a.log.clear()
      b.log.clear()
      if (i === program.length) {
        await a.drain()
        await b.drain()
      }
      a.run(op)
      b.run(op)
      if (a.awaiting > 0 || b.awaiting > 0) await nextTurn()
      if (!a.log.equals(b.log)) {
        const logs = [a.log.differenceTo(b.log, SHOWN), b.log.differenceTo(a.log, SHOWN)] as const
        return { operations: i + 1, logs }
      }
    }
    return null
  } finally {
    tally.operations += a.operations
    a.close()
    b.close()
    Error.stackTraceLimit = stackTraceLimit
  }
}
