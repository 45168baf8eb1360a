// SPDX-License-Identifier: GPL-2.0-only

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Backend } from '../types.js'
import { operation, type Program } from './operation.js'
import { type Foreign, World } from './world.js'

/** Two backends, side by side. */
export type Backends = readonly [Backend, Backend]

export interface Difference {
  /**
   * Operations of the program executed, the one that differed included; one more than the program has: at the
   * end.
   */
  readonly operations: number
  /** What each backend logged for it, from where they differ. */
  readonly logs: readonly [string, string]
}

/** As many log entries of a difference are shown. */
const SHOWN = 12

const foreigners = new WeakMap<Backend, Foreign>()

/** Objects of this backend to show to another. */
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
 * Runs a program on both backends, and compares after each operation what they answered, and in the end
 * everything. Passes that await go on between two operations, as far as they can.
 * @param readable - whether the difference will be read
 * @returns the first difference, or null
 */
export async function compare(
  program: Program,
  [first, second]: Backends,
  tally: Tally = { operations: 0 },
  readable = false,
): Promise<Difference | null> {
  // There are many errors here, and their stacks, which are most of their cost, are not used.
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
