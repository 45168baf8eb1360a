// SPDX-License-Identifier: GPL-2.0-only

import type { Generator } from '../generate.js'
import type { Operation } from '../operation.js'
import type { Translator } from '../trace.js'
import type { World } from '../world.js'

/** An operation of the fuzzer: all that is known of it. */
export interface Form {
  readonly name: string
  /**
   * The names of its arguments `a`, `b`, ... of {@link Operation}, for the text form. Arguments of one name
   * are drawn and bounded alike.
   */
  readonly parameters: readonly string[]
  /**
   * How often it is drawn, beside the others: in a program, and in a body. Left out: only where something
   * else asks for it.
   */
  readonly weight?: readonly [inProgram: number, inBody: number]
  /** It is of passes that await: just some programs have any. */
  readonly awaits?: boolean
  /** Random arguments. */
  generate(random: Generator, depth: number): number[]
  /** A random body, for those arguments. Left out: it takes none. */
  body?(random: Generator, depth: number, args: readonly number[]): Operation[]
  /** Does it, and logs what the backend answers. What is thrown is logged by the caller. */
  run(world: World, op: Operation): void
  /**
   * Says in a trace what it is about to do. Left out: there is nothing to say.
   * @returns false if the world is not to run it: a trace cannot say it, or it was done here
   */
  trace?(translator: Translator, op: Operation): false | void
}
