// SPDX-License-Identifier: GPL-2.0-only

import type { Generator } from '../generate.js'
import type { Operation } from '../operation.js'
import type { Translator } from '../trace.js'
import type { World } from '../world.js'

/** The definition of an operation of the fuzzer. */
export interface Form {
  readonly name: string
  /**
   * The names of its arguments `a`, `b`, ... of {@link Operation}, for the text form. Arguments with the same
   * name have the same random distribution and the same bound.
   */
  readonly parameters: readonly string[]
  /**
   * The relative frequency with which the generator draws the operation: in a program, and in a body. If
   * absent, the generator adds the operation only where another operation needs it.
   */
  readonly weight?: readonly [inProgram: number, inBody: number]
  /** Whether the operation belongs to passes that await. Only some programs have such passes. */
  readonly awaits?: boolean
  /** Random arguments. */
  generate(random: Generator, depth: number): number[]
  /** A random body for those arguments. If absent, the operation has no body. */
  body?(random: Generator, depth: number, args: readonly number[]): Operation[]
  /** Executes the operation, and logs the answers of the backend. The caller logs what it throws. */
  run(world: World, op: Operation): void
  /**
   * Adds to a trace what the operation is about to do. If absent, the operation adds no line.
   * @returns false if the world must not run the operation: a trace cannot express it, or `trace` has
   * executed it
   */
  trace?(translator: Translator, op: Operation): false | void
}
