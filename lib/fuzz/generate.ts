// SPDX-License-Identifier: GPL-2.0-only
// Random programs. Each program first draws a shape: where folios are, how large they are, which operations
// the program has and how often. This makes programs differ more than if all drew their operations alike.

import {
  CONTROLS,
  HAND,
  HANDLES,
  Hook,
  MAPPINGS,
  Mode,
  type Operation,
  operation,
  type Program,
  RESULTS,
  withBody,
} from './operation.js'
import { FORMS, formOf } from './operations/table.js'
import type { Random } from './random.js'

const PAGES = 2 ** 51
const MAX_DEPTH = 2

const FACTORS = [0, 1, 1, 1, 2, 4]
const ORDERS: readonly (readonly number[])[] = [
  [0],
  [0],
  [0, 1, 2],
  [0, 0, 0, 3, 4],
  [0, 5, 6, 7],
  [0, 9, 12, 18],
]
const STRIDES = [1, 1, 1, 1, 2, 8, 64, 4096, 2 ** 18, 2 ** 24]
const SPANS = [8, 40, 100, 300]
const ERRORS = [-5, -5, -28, -5, -28, 1]
/**
 * The whole state is checked once in 6 to 500 operations. A check of few folios costs little, so small
 * programs may check often. Other programs check seldom, so that several changes of marks accumulate between
 * two checks.
 */
const CHECKS_OF_FEW = [6, 50, 200, 500]
const CHECKS = [200, 500]
/** The number of handles that a program uses. */
const USED_HANDLES = [4, 16, 16, HANDLES]

/** What an operation of the table draws its arguments from. */
export class Generator {
  readonly #random: Random
  /** The range of folios: each is at `base` + k * `stride`, with k from 0 to `span` - 1. */
  readonly #span: number
  readonly #stride: number
  readonly #base: number
  readonly #orders: readonly number[]
  /** Each kind of operation, repeated by its weight, for a uniform draw. */
  readonly #lots: [string[], string[]] = [[], []]
  readonly #handles: number
  readonly #checkEvery: number
  readonly #fillMax: number
  readonly #mappings: number
  #left: number

  constructor(random: Random, operations: number, awaiting: boolean) {
    this.#random = random
    this.#left = operations
    this.#span = random.pick(SPANS)
    this.#stride = random.pick(STRIDES)
    this.#base = this.#drawBase()
    this.#orders = random.pick(ORDERS)
    this.#handles = random.pick(USED_HANDLES)
    this.#mappings = random.oneIn(4) ? MAPPINGS : 1
    // Occasionally fill with more folios than a batch, a node or a chunk holds.
    this.#fillMax = random.oneIn(100) ? 1500 : random.oneIn(16) ? 300 : random.pick([2, 6, 20, 40])
    this.#checkEvery = random.pick(this.#fillMax <= 6 ? CHECKS_OF_FEW : CHECKS)
    for (const { name, weight, awaits } of FORMS) {
      if (weight === undefined || (awaits === true && !awaiting)) continue
      const factor = random.pick(FACTORS)
      for (let n = weight[0] * factor; n > 0; n--) this.#lots[0].push(name)
      for (let n = weight[1] * factor; n > 0; n--) this.#lots[1].push(name)
    }
    for (const lots of this.#lots) lots.push('markDirty', 'iter', 'add')
  }

  program(): Program {
    const ops: Operation[] = []
    // The first operations add folios or dirty them.
    const start = Math.min(this.#left, 8)
    for (let i = 0; i < start; i++) this.#add(ops, this.#random.pick(['add', 'fill', 'markDirty']), 0)
    while (this.#left > 0) this.#add(ops, this.#random.pick(this.#lots[0]), 0)
    return ops
  }

  #add(ops: Operation[], kind: string, depth: number): void {
    const random = this.#random
    this.#left--
    ops.push(this.#operation(kind, depth))
    if (kind === 'iter' && this.#left > 0 && random.oneIn(2)) {
      this.#left--
      ops.push(operation('write', HAND, random.oneIn(8) ? 1 : 0))
    }
    // After most closes, open the mapping again: operations on a closed mapping only fail.
    if (kind === 'close' && !random.oneIn(8)) ops.push(this.#operation('open', depth))
    if (random.oneIn(this.#checkEvery)) ops.push(operation('check'))
  }

  body(depth: number): Operation[] {
    const random = this.#random
    const ops: Operation[] = []
    if (depth === MAX_DEPTH || this.#left <= 0 || random.oneIn(3)) return ops
    for (let n = random.below(12); n > 0 && this.#left > 0; n--) {
      if (random.oneIn(3)) ops.push(this.#endOfTurn())
      else this.#add(ops, random.pick(this.#lots[1]), depth + 1)
    }
    return ops
  }

  #endOfTurn(): Operation {
    const random = this.#random
    if (random.oneIn(16)) return operation('throw')
    if (random.oneIn(16)) return operation('break')
    const most = random.oneIn(16) ? RESULTS.length : random.oneIn(2) ? 4 : 2
    return operation('give', random.below(most))
  }

  #operation(kind: string, depth: number): Operation {
    const form = formOf(kind)
    const args = form.generate(this, depth)
    const op = operation(kind, ...args)
    return form.body === undefined ? op : withBody(op, form.body(this, depth, args))
  }

  below(n: number): number {
    return this.#random.below(n)
  }

  oneIn(n: number): boolean {
    return this.#random.oneIn(n)
  }

  pick<T>(values: readonly T[]): T {
    return this.#random.pick(values)
  }

  order(): number {
    return this.#random.pick(this.#orders)
  }

  /** The distance from one folio to the next, for an operation on many folios. */
  stride(): number {
    return this.#random.oneIn(4) ? this.#stride : 1
  }

  /** The number of folios, for an operation on many folios. */
  count(): number {
    return this.#random.below(this.#fillMax)
  }

  #drawBase(): number {
    const random = this.#random
    switch (random.below(8)) {
      case 0:
        return 64 * random.below(64)
      case 1:
        return 2 ** 32 - 64 * random.below(4)
      case 2:
        return random.below(2 ** 19) * 2 ** 32
      case 3:
        return PAGES - this.#span * this.#stride
      default:
        return 0
    }
  }

  /** A page where a folio may be; seldom another page, or an index that no page has. */
  index(order: number): number {
    const random = this.#random
    if (random.oneIn(100)) return random.oneIn(8) ? PAGES : random.below(2 ** 19) * 2 ** random.below(33)
    const index = this.#base + random.below(this.#span) * this.#stride
    return index - (index % 2 ** order)
  }

  handle(depth: number): number {
    return this.#random.oneIn(depth === 0 ? 5 : 2) ? HAND : this.place()
  }

  place(): number {
    return this.#random.below(this.#handles)
  }

  error(): number {
    return this.#random.oneIn(4) ? this.#random.pick(ERRORS) : 0
  }

  mapping(): number {
    return this.#mappings === 1 || !this.#random.oneIn(4) ? 0 : 1
  }

  control(): number {
    return this.#random.oneIn(3) ? this.#random.below(CONTROLS) : 0
  }

  hook(): Hook {
    const random = this.#random
    switch (random.below(10)) {
      case 0:
        return Hook.none
      case 1:
        return Hook.hold
      case 2:
        return Hook.body
      case 3:
        return Hook.bodyOnly
      default:
        return Hook.release
    }
  }

  /** The body that a hook runs. */
  hookBody(hook: Hook, depth: number): Operation[] {
    return hook === Hook.body || hook === Hook.bodyOnly ? this.body(depth) : []
  }

  mode(): number {
    const random = this.#random
    let mode = random.below(2) * Mode.syncAll
    if (random.oneIn(3)) mode |= Mode.tagged
    if (random.oneIn(3)) mode |= Mode.cyclic
    if (random.oneIn(8)) mode |= Mode.lastByteOfStart
    if (random.oneIn(8)) mode |= Mode.firstByteOfEnd
    return mode
  }

  budget(): number {
    const random = this.#random
    if (random.oneIn(3)) return random.below(200) - 2
    return random.oneIn(16) ? -Number.MAX_SAFE_INTEGER : Number.MAX_SAFE_INTEGER
  }

  range(): [number, number] {
    const random = this.#random
    if (!random.oneIn(3)) return [-1, -1]
    const page = () => Math.min(this.index(0), PAGES - 1)
    return [random.oneIn(4) ? -1 : page(), random.oneIn(4) ? -1 : page()]
  }
}

/**
 * A program of about this many operations.
 * @param awaiting - whether it has passes that await
 */
export function generate(random: Random, operations: number, awaiting: boolean): Program {
  return new Generator(random, operations, awaiting).program()
}
