// SPDX-License-Identifier: GPL-2.0-only
// Runs random programs one after the other, up to the first that differs. That program is then shrunk.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Backends, compare, type Tally } from './compare.js'
import { generate } from './generate.js'
import type { Program } from './operation.js'
import { Random } from './random.js'
import { shrink } from './shrink.js'

export interface CampaignOptions {
  /** A 32-bit seed. The seed and the number of operations determine every run. */
  readonly seed: number
  /** The greatest number of runs. */
  readonly runs: number
  /** The longest time that the campaign takes. */
  readonly seconds: number
  /** The approximate number of operations per program. */
  readonly operations: number
}

export interface Failure {
  readonly run: number
  readonly program: Program
}

/** The longest time that shrinking takes, in milliseconds. */
const SHRINK_TIME = 20_000

/**
 * Runs between two turns of the event loop. Node.js frees what the garbage collector found only in a turn.
 */
const RUNS_A_TURN = 256

/** One run in this many has passes that await. */
const AWAITING_RUNS = 8

/** The program of a run. */
export function programOf(seed: number, run: number, operations: number): Program {
  return generate(new Random(seed, run), operations, run % AWAITING_RUNS === AWAITING_RUNS - 1)
}

/**
 * Runs programs.
 * @param begin - called before each run with the counts so far
 * @returns the first run whose program differs; null if no program differs
 */
export async function campaign(
  backends: Backends,
  { seed, runs, seconds, operations }: CampaignOptions,
  begin: (run: number, tally: Tally) => void,
): Promise<Failure | null> {
  const tally = { operations: 0 }
  const end = performance.now() + seconds * 1000
  let run = 0
  for (; run < runs && performance.now() < end; run++) {
    if (run % RUNS_A_TURN === 0) await nextTurn()
    begin(run, tally)
    const program = programOf(seed, run, operations)
    if ((await compare(program, backends, tally)) !== null) return { run, program }
  }
  begin(run, tally)
  return null
}

/**
 * Shrinks the program of a failure.
 * @param fails - whether a smaller program fails too
 * @param found - called with each smaller program that fails
 */
export async function minimize(
  program: Program,
  fails: (program: Program) => boolean | Promise<boolean>,
  found: (program: Program) => void,
): Promise<void> {
  const end = performance.now() + SHRINK_TIME
  await shrink(program, async (candidate) => performance.now() < end && fails(candidate), found)
}
