// SPDX-License-Identifier: GPL-2.0-only
// Runs of random programs, one after the other, up to the first that differs, which is then made small.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Backends, compare, type Tally } from './compare.js'
import { generate } from './generate.js'
import type { Program } from './operation.js'
import { Random } from './random.js'
import { shrink } from './shrink.js'

export interface CampaignOptions {
  /** 32 bits. With the number of operations it determines every run. */
  readonly seed: number
  /** How many runs, at most. */
  readonly runs: number
  /** How long, at most. */
  readonly seconds: number
  /** Operations per program, about. */
  readonly operations: number
}

export interface Failure {
  readonly run: number
  readonly program: Program
}

/** Shrinking takes so long at most, in milliseconds. */
const SHRINK_TIME = 20_000

/** Runs between two turns of the event loop: only there does Node.js free what was collected. */
const RUNS_A_TURN = 256

/** Of this many runs, one has passes that await. */
const AWAITING_RUNS = 8

/** The program of a run. */
export function programOf(seed: number, run: number, operations: number): Program {
  return generate(new Random(seed, run), operations, run % AWAITING_RUNS === AWAITING_RUNS - 1)
}

/**
 * Runs programs.
 * @param begin - told before each run what was done so far
 * @returns the first run whose program differs; null if none does
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
 * Makes the program of a failure small.
 * @param fails - whether a program fails too
 * @param found - told each smaller program that does
 */
export async function minimize(
  program: Program,
  fails: (program: Program) => boolean | Promise<boolean>,
  found: (program: Program) => void,
): Promise<void> {
  const end = performance.now() + SHRINK_TIME
  await shrink(program, async (candidate) => performance.now() < end && fails(candidate), found)
}
