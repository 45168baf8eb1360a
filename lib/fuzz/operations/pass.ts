// SPDX-License-Identifier: GPL-2.0-only
// Operations of passes that do not await, and of their controls.

import { WritebackError } from '../../errors.js'
import type { Extent, Folio, WaitOptions, WritebackControl, WritebackIterator } from '../../types.js'
import { write } from '../folio_steps.js'
import { ITERATORS, Mode, NULL, type Operation, RESULTS, RIGHT, THROWN } from '../operation.js'
import type { Turns, World } from '../world.js'
import type { Form } from './form.js'

const PAGE_SIZE = 4096
/** log2 of the page size, for operations that do not give one. */
const PAGE_SHIFT = 12
export const MAX_PAGES = [1, 2, 3, 8, 64, 256, 1024]

/** The first or the last byte of a page, as a number where that is exact. */
function byteOffset(page: number, last: boolean): number | bigint {
  const offset = page * PAGE_SIZE + (last ? PAGE_SIZE - 1 : 0)
  if (Number.isSafeInteger(offset)) return offset
  return (BigInt(page) << BigInt(PAGE_SHIFT)) + (last ? BigInt(PAGE_SIZE - 1) : 0n)
}

function assign(wbc: WritebackControl, field: number, value: number): void {
  switch (field) {
    case 0:
      wbc.nrToWrite = value
      break
    case 1:
      wbc.pagesSkipped = value
      break
    case 2:
      wbc.rangeStart = byteOffset(value, false)
      break
    case 3:
      wbc.rangeEnd = byteOffset(value, true)
      break
    case 4:
      wbc.syncMode = value % 2 === 0 ? 'none' : 'all'
      break
    case 5:
      wbc.taggedWritepages = value % 2 !== 0
      break
    default:
      wbc.rangeCyclic = value % 2 !== 0
  }
}

/** Whether the pass still exists after this error, so that the next call continues it. */
function isBlocked(error: unknown): boolean {
  return error === THROWN || (error instanceof WritebackError && error.code === 'EDEADLK')
}

/** The folio that an `iter` hands back; null starts a pass. */
function handedBack(world: World, { b, c }: Operation): Folio | null {
  return c === RIGHT ? world.last[b] : c === NULL ? null : world.folio(c)
}

function forOf(world: World, iterator: WritebackIterator, turns: Turns): number {
  for (const folio of iterator) {
    world.hand = folio
    world.see(folio)
    const end = world.turn(turns)
    if (end === null) write(folio, false)
    else if (end.kind === 'break') break
    else if (end.kind === 'throw') throw THROWN
    else iterator.error = RESULTS[end.a] as number
  }
  return iterator.error
}

function writepage(world: World, folio: Folio, turns: Turns): number | void {
  world.hand = folio
  world.see(folio)
  return world.result(world.turn(turns))
}

function legacyWritepage(world: World, folio: Folio, turns: Turns): number | void {
  world.hand = folio
  world.see(folio)
  const end = world.turn(turns)
  if (end === null) write(folio, false)
  return world.result(end)
}

function writeExtent(world: World, extent: Extent, turns: Turns): number | void {
  world.takeExtent(extent)
  return world.result(world.turn(turns))
}

/** The form of a method that runs a whole pass and returns its error. */
function wholePass(
  name: string,
  ownParameters: readonly string[],
  pass: (world: World, op: Operation, turns: Turns, options: WaitOptions | undefined) => number,
): Form {
  return {
    name,
    parameters: ['mapping', 'control', 'hook', ...ownParameters],
    weight: [8, 2],
    generate(random) {
      const maxPages = ownParameters.length > 0 ? random.pick(MAX_PAGES) : 0
      return [random.mapping(), random.control(), random.hook(), maxPages]
    },
    body: (random, depth) => random.body(depth),
    run(world, op) {
      const turns = { body: op.body, next: 0 }
      try {
        world.log.put('error', pass(world, op, turns, world.options(op.c, turns)))
      } finally {
        world.seeControl(world.controls[op.b])
      }
    },
    trace(translator, { b }) {
      translator.wholePass(b)
      return false
    },
  }
}

export const passForms: readonly Form[] = [
  {
    name: 'control',
    parameters: ['control', 'mode', 'nrToWrite', 'start', 'end'],
    weight: [24, 4],
    generate: (random) => [random.control(), random.mode(), random.budget(), ...random.range()],
    run(world, { a, b, c, d, e }) {
      world.controls[a] = new world.api.WritebackControl({
        syncMode: (b & Mode.syncAll) !== 0 ? 'all' : 'none',
        taggedWritepages: (b & Mode.tagged) !== 0,
        rangeCyclic: (b & Mode.cyclic) !== 0,
        nrToWrite: c,
        ...(d === -1 ? {} : { rangeStart: byteOffset(d, (b & Mode.lastByteOfStart) !== 0) }),
        ...(e === -1 ? {} : { rangeEnd: byteOffset(e, (b & Mode.firstByteOfEnd) === 0) }),
      })
      world.last[a] = null
    },
  },
  {
    name: 'assign',
    parameters: ['control', 'field', 'value'],
    weight: [12, 6],
    generate(random) {
      const field = random.below(7)
      const value = field === 0 ? random.budget() : field < 4 ? random.index(0) : random.below(2)
      return [random.control(), field, value]
    },
    run(world, { a, b, c }) {
      try {
        assign(world.controls[a], b, c)
      } finally {
        world.seeControl(world.controls[a])
      }
    },
  },
  {
    name: 'iter',
    parameters: ['mapping', 'control', 'folio', 'error', 'hook'],
    weight: [260, 8],
    generate(random, depth) {
      const folio = !random.oneIn(16) ? RIGHT : random.oneIn(2) ? NULL : random.handle(depth)
      return [random.mapping(), random.control(), folio, random.error(), random.hook()]
    },
    body: (random, depth, args) => random.hookBody(args[4], depth),
    run(world, op) {
      const { a, b, c, d, e, body } = op
      const error = world.errors[b]
      const folio = handedBack(world, op)
      // Call with the mapping that the pass began on, unless the folio is not the one that the pass returned
      // last.
      if (c !== RIGHT || folio === null) world.passes[b] = world.mapping(a)
      error.value = d
      try {
        const options = world.options(e, { body, next: 0 })
        const next = world.api.writebackIter(world.passes[b], world.controls[b], folio, error, options)
        world.last[b] = next
        world.hand = next
        world.see(next)
      } catch (error) {
        if (c === RIGHT && !isBlocked(error)) world.last[b] = null
        throw error
      } finally {
        world.log.put('error', error.value)
        world.seeControl(world.controls[b])
      }
    },
    trace(translator, op) {
      const starts = handedBack(translator.world, op) === null
      if (starts) translator.begin(translator.world.controls[op.b])
      translator.say({ name: 'next', error: starts ? 0 : Math.min(op.d, 0) })
    },
  },
  {
    name: 'iterator',
    parameters: ['mapping', 'control', 'iterator', 'hook'],
    weight: [6, 2],
    generate: (random) => [random.mapping(), random.control(), random.below(ITERATORS), random.hook()],
    body: (random, depth, args) => random.hookBody(args[3], depth),
    run(world, { a, b, c, d, body }) {
      world.iterators[c]?.return()
      world.iteratorControls[c] = world.controls[b]
      const options = world.options(d, { body, next: 0 })
      world.iterators[c] = world.mapping(a).writeback(world.controls[b], options)
    },
  },
  {
    name: 'next',
    parameters: ['iterator', 'error'],
    weight: [30, 4],
    generate: (random) => [random.below(ITERATORS), random.error()],
    run(world, { a, b }) {
      const iterator = world.iterators[a]
      if (iterator === null) return
      iterator.error = b
      try {
        const { value, done } = iterator.next()
        world.log.put('done', done ? 1 : 0)
        if (value !== undefined) world.hand = value
        world.see(value ?? null)
      } finally {
        world.log.put('error', iterator.error)
      }
    },
    trace(translator, { a, b }) {
      const iterator = translator.world.iterators[a]
      if (iterator !== null) translator.nextOf(iterator, translator.world.iteratorControls[a], b)
    },
  },
  {
    name: 'return',
    parameters: ['iterator'],
    weight: [2, 2],
    generate: (random) => [random.below(ITERATORS)],
    run(world, { a }) {
      world.iterators[a]?.return()
      world.see(world.hand)
    },
  },
  wholePass('forOf', [], (world, { a, b }, turns, options) =>
    forOf(world, world.mapping(a).writeback(world.controls[b], options), turns),
  ),
  wholePass('writePages', [], (world, { a, b }, turns, options) =>
    world.mapping(a).writePages(world.controls[b], (folio) => writepage(world, folio, turns), options),
  ),
  wholePass('writeExtents', ['maxPages'], (world, { a, b, d }, turns, options) =>
    world.mapping(a).writeExtents(world.controls[b], (extent) => writeExtent(world, extent, turns), {
      ...options,
      maxPages: d,
    }),
  ),
  wholePass('writeCachePages', [], (world, { a, b }, turns, options) =>
    world.api.writeCachePages(
      world.mapping(a),
      world.controls[b],
      (folio) => legacyWritepage(world, folio, turns),
      options,
    ),
  ),
  {
    name: 'extent',
    parameters: ['nth'],
    weight: [2, 16],
    generate: (random) => [random.place()],
    run(world, { a }) {
      world.seeExtent(a)
    },
  },
]
