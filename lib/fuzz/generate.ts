// SPDX-License-Identifier: GPL-2.0-only
// Random programs. Each draws a shape first (where folios lie, how large they are, which operations there are and how
// often), so that programs differ more than operations drawn alike would make them.

import {
  CONTROLS,
  HAND,
  HANDLES,
  Hook,
  ITERATORS,
  Kind,
  MAPPINGS,
  Mode,
  NULL,
  type Operation,
  operation,
  type Program,
  RIGHT,
  withBody,
} from './operation.js'
import type { Random } from './random.js'
import { RESULTS } from './world.js'
import { wrongUses } from './wrong_uses.js'

const PAGES = 2 ** 51
const MAX_DEPTH = 2

/** How often an operation is drawn, beside the others: in the program, and in a body. */
const WEIGHTS: readonly (readonly [Kind, number, number])[] = [
  [Kind.add, 20, 8],
  [Kind.fill, 12, 2],
  [Kind.addFolios, 6, 2],
  [Kind.dirtyRange, 6, 4],
  [Kind.get, 16, 8],
  [Kind.remove, 24, 16],
  [Kind.tag, 6, 4],
  [Kind.tagged, 4, 4],
  [Kind.list, 4, 2],
  [Kind.each, 4, 1],
  [Kind.setWritebackIndex, 4, 2],
  [Kind.counters, 4, 2],
  [Kind.open, 1, 1],
  [Kind.close, 1, 1],
  [Kind.wrong, 4, 2],
  [Kind.tryLock, 40, 16],
  [Kind.unlock, 6, 10],
  [Kind.markDirty, 160, 40],
  [Kind.startWriteback, 6, 10],
  [Kind.endWriteback, 6, 8],
  [Kind.redirty, 20, 12],
  [Kind.setUptodate, 6, 2],
  [Kind.write, 80, 20],
  [Kind.advance, 160, 40],
  [Kind.control, 24, 4],
  [Kind.assign, 12, 6],
  [Kind.iter, 260, 8],
  [Kind.iterator, 6, 2],
  [Kind.next, 30, 4],
  [Kind.return, 2, 2],
  [Kind.forOf, 8, 2],
  [Kind.writePages, 8, 2],
  [Kind.writeExtents, 8, 2],
  [Kind.writeCachePages, 8, 2],
  [Kind.extent, 2, 16],
]

/**
 * Of passes that await, in the programs that have any: where one is under way, each operation takes a turn of the event loop.
 */
const ASYNC_WEIGHTS: typeof WEIGHTS = [
  [Kind.writePagesAsync, 16, 2],
  [Kind.writeExtentsAsync, 16, 2],
  [Kind.settle, 160, 16],
  [Kind.abort, 2, 1],
]

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
const MAX_PAGES = [1, 2, 3, 8, 64, 256, 1024]
const CONCURRENCIES = [1, 2, 3, 16, 16, 1000]
const SHIFTS = [12, 12, 12, 9, 16, 30]
/**
 * A whole check comes once in so many operations: where there are few folios often, as it costs little then, but seldom
 * enough in others for changes of marks to pile up before they are looked at.
 */
const CHECKS_OF_FEW = [6, 50, 200, 500]
const CHECKS = [200, 500]
/** As many handles are in use. */
const USED_HANDLES = [4, 16, 16, HANDLES]

class Generator {
  readonly #random: Random
  /** Where folios lie: at `base` + k * `stride`, k up to `span`. */
  readonly #span: number
  readonly #stride: number
  readonly #base: number
  readonly #orders: readonly number[]
  /** As many entries of each kind as it has chances. */
  readonly #lots: [Kind[], Kind[]] = [[], []]
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
    // Once in a while more folios than a batch holds, than a node, than one chunk.
    this.#fillMax = random.oneIn(100) ? 1500 : random.oneIn(16) ? 300 : random.pick([2, 6, 20, 40])
    this.#checkEvery = random.pick(this.#fillMax <= 6 ? CHECKS_OF_FEW : CHECKS)
    const weights = awaiting ? [...WEIGHTS, ...ASYNC_WEIGHTS] : WEIGHTS
    for (const [kind, weight, bodyWeight] of weights) {
      const factor = random.pick(FACTORS)
      for (let n = weight * factor; n > 0; n--) this.#lots[0].push(kind)
      for (let n = bodyWeight * factor; n > 0; n--) this.#lots[1].push(kind)
    }
    for (const lots of this.#lots) lots.push(Kind.markDirty, Kind.iter, Kind.add)
  }

  program(): Program {
    const ops: Operation[] = []
    // Something to begin with.
    const start = Math.min(this.#left, 8)
    for (let i = 0; i < start; i++)
      this.#add(ops, this.#random.pick([Kind.add, Kind.fill, Kind.markDirty]), 0)
    while (this.#left > 0) this.#add(ops, this.#random.pick(this.#lots[0]), 0)
    return ops
  }

  #add(ops: Operation[], kind: Kind, depth: number): void {
    const random = this.#random
    this.#left--
    ops.push(this.#operation(kind, depth))
    if (kind === Kind.iter && this.#left > 0 && random.oneIn(2)) {
      this.#left--
      ops.push(operation(Kind.write, HAND, random.oneIn(8) ? 1 : 0))
    }
    // A mapping that stayed closed would be dull.
    if (kind === Kind.close && !random.oneIn(8)) ops.push(this.#operation(Kind.open, depth))
    if (random.oneIn(this.#checkEvery)) ops.push(operation(Kind.check))
  }

  #body(depth: number): Operation[] {
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
    if (random.oneIn(16)) return operation(Kind.throw)
    if (random.oneIn(16)) return operation(Kind.break)
    const most = random.oneIn(16) ? RESULTS.length : random.oneIn(2) ? 4 : 2
    return operation(Kind.give, random.below(most))
  }

  #operation(kind: Kind, depth: number): Operation {
    const random = this.#random
    switch (kind) {
      case Kind.add: {
        const order = random.oneIn(64) ? random.below(20) : random.pick(this.#orders)
        return operation(kind, this.#mapping(), this.#place(), this.#index(order), order)
      }
      case Kind.fill: {
        const stride = random.oneIn(4) ? this.#stride : 1
        const count = 1 + random.below(this.#fillMax)
        const dirty = random.oneIn(4) ? 0 : 1
        return operation(kind, this.#mapping(), this.#place(), this.#index(0), stride, count, dirty)
      }
      case Kind.addFolios: {
        const order = random.pick(this.#orders)
        return operation(kind, this.#mapping(), this.#index(order), random.below(this.#fillMax), order)
      }
      case Kind.get:
        return operation(kind, this.#mapping(), this.#place(), this.#index(0))
      case Kind.remove:
        return operation(kind, this.#mapping(), this.#handle(depth), random.oneIn(6) ? 0 : 1)
      case Kind.dirtyRange:
      case Kind.tag:
        return operation(kind, this.#mapping(), this.#index(0), this.#index(0))
      case Kind.tagged:
        return operation(kind, this.#mapping(), 1 + random.below(3))
      case Kind.list: {
        const start = random.oneIn(2) ? -1 : this.#index(0)
        const end = random.oneIn(2) ? -1 : this.#index(0)
        return withBody(operation(kind, this.#mapping(), random.below(4), start, end), this.#body(depth))
      }
      case Kind.each:
        return operation(kind, this.#mapping(), random.below(4), random.below(4))
      case Kind.setWritebackIndex:
        return operation(kind, this.#mapping(), random.oneIn(16) ? PAGES : this.#index(0))
      case Kind.counters:
      case Kind.close:
        return operation(kind, this.#mapping())
      case Kind.open:
        return operation(kind, this.#mapping(), random.pick(SHIFTS), random.oneIn(6) ? 0 : 1)
      case Kind.wrong:
        return operation(
          kind,
          random.below(wrongUses.length),
          this.#mapping(),
          this.#handle(depth),
          this.#wbc(),
        )
      case Kind.startWriteback:
      case Kind.write:
        return operation(kind, this.#handle(depth), random.oneIn(6) ? 1 : 0)
      case Kind.setUptodate:
        return operation(kind, this.#handle(depth), random.below(2))
      case Kind.redirty:
        return operation(kind, this.#handle(depth), this.#wbc())
      case Kind.control:
        return operation(kind, this.#wbc(), this.#mode(), this.#budget(), ...this.#range())
      case Kind.assign: {
        const field = random.below(7)
        const value = field === 0 ? this.#budget() : field < 4 ? this.#index(0) : random.below(2)
        return operation(kind, this.#wbc(), field, value)
      }
      case Kind.iter: {
        const folio = !random.oneIn(16) ? RIGHT : random.oneIn(2) ? NULL : this.#handle(depth)
        const op = operation(kind, this.#mapping(), this.#wbc(), folio, this.#error(), this.#hook())
        return withBody(op, this.#hookBody(op.e, depth))
      }
      case Kind.iterator: {
        const op = operation(kind, this.#mapping(), this.#wbc(), random.below(ITERATORS), this.#hook())
        return withBody(op, this.#hookBody(op.d, depth))
      }
      case Kind.next:
        return operation(kind, random.below(ITERATORS), this.#error())
      case Kind.return:
        return operation(kind, random.below(ITERATORS))
      case Kind.forOf:
      case Kind.writePages:
      case Kind.writeExtents:
      case Kind.writeCachePages: {
        const maxPages = kind === Kind.writeExtents ? random.pick(MAX_PAGES) : 0
        const op = operation(kind, this.#mapping(), this.#wbc(), this.#hook(), maxPages)
        return withBody(op, this.#body(depth))
      }
      case Kind.writePagesAsync:
      case Kind.writeExtentsAsync: {
        const maxPages = kind === Kind.writeExtentsAsync ? random.pick(MAX_PAGES) : 0
        const op = operation(kind, this.#mapping(), this.#wbc(), random.pick(CONCURRENCIES), maxPages)
        return withBody(op, this.#body(depth))
      }
      case Kind.settle: {
        const most = random.oneIn(16) ? RESULTS.length + 1 : random.oneIn(3) ? 4 : 2
        return operation(kind, this.#place(), random.below(most))
      }
      case Kind.abort:
      case Kind.extent:
        return operation(kind, this.#place())
      default:
        return operation(kind, this.#handle(depth))
    }
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

  /** A page where a folio may lie; seldom another one, or none. */
  #index(order: number): number {
    const random = this.#random
    if (random.oneIn(100)) return random.oneIn(8) ? PAGES : random.below(2 ** 19) * 2 ** random.below(33)
    const index = this.#base + random.below(this.#span) * this.#stride
    return index - (index % 2 ** order)
  }

  #handle(depth: number): number {
    return this.#random.oneIn(depth === 0 ? 5 : 2) ? HAND : this.#place()
  }

  #place(): number {
    return this.#random.below(this.#handles)
  }

  #error(): number {
    return this.#random.oneIn(4) ? this.#random.pick(ERRORS) : 0
  }

  #mapping(): number {
    return this.#mappings === 1 || !this.#random.oneIn(4) ? 0 : 1
  }

  #wbc(): number {
    return this.#random.oneIn(3) ? this.#random.below(CONTROLS) : 0
  }

  #hook(): Hook {
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

  #hookBody(hook: Hook, depth: number): Operation[] {
    return hook === Hook.body || hook === Hook.bodyOnly ? this.#body(depth) : []
  }

  #mode(): number {
    const random = this.#random
    let mode = random.below(2) * Mode.syncAll
    if (random.oneIn(3)) mode |= Mode.tagged
    if (random.oneIn(3)) mode |= Mode.cyclic
    if (random.oneIn(8)) mode |= Mode.lastByteOfStart
    if (random.oneIn(8)) mode |= Mode.firstByteOfEnd
    return mode
  }

  #budget(): number {
    const random = this.#random
    if (random.oneIn(3)) return random.below(200) - 2
    return random.oneIn(16) ? -Number.MAX_SAFE_INTEGER : Number.MAX_SAFE_INTEGER
  }

  #range(): [number, number] {
    const random = this.#random
    if (!random.oneIn(3)) return [-1, -1]
    const page = () => Math.min(this.#index(0), PAGES - 1)
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
