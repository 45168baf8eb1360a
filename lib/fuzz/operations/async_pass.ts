// SPDX-License-Identifier: GPL-2.0-only
// Operations of passes that await. While such a pass is under way, each operation takes one turn of the event
// loop.

import type { AsyncOptions, AsyncResult, Extent, Folio } from '../../types.js'
import { type Operation, RESULTS } from '../operation.js'
import type { Turns, World } from '../world.js'
import type { Form } from './form.js'
import { MAX_PAGES } from './pass.js'

const CONCURRENCIES = [1, 2, 3, 16, 16, 1000]

function submitPage(world: World, folio: Folio, turns: Turns): AsyncResult {
  world.hand = folio
  world.see(folio)
  return submit(world, world.turn(turns))
}

function submitExtent(world: World, extent: Extent, turns: Turns): AsyncResult {
  world.takeExtent(extent)
  return submit(world, world.turn(turns))
}

/** Begins a write, which is under way until it is settled, unless the turn gave it a result. */
function submit(world: World, end: Operation | null): AsyncResult {
  if (end !== null && end.kind !== 'break') return world.result(end)
  return new Promise((resolve, reject) => world.writes.push({ resolve, reject }))
}

function asyncPass(
  name: string,
  ownParameters: readonly string[],
  begin: (world: World, op: Operation, turns: Turns, options: AsyncOptions) => Promise<number>,
): Form {
  return {
    name,
    parameters: ['mapping', 'control', 'concurrency', ...ownParameters],
    weight: [16, 2],
    awaits: true,
    generate(random) {
      const maxPages = ownParameters.length > 0 ? random.pick(MAX_PAGES) : 0
      return [random.mapping(), random.control(), random.pick(CONCURRENCIES), maxPages]
    },
    body: (random, depth) => random.body(depth),
    run(world, op) {
      world.beginAwaiting(world.controls[op.b], (signal) =>
        begin(world, op, { body: op.body, next: 0 }, { concurrency: op.c, signal }),
      )
    },
    // A trace has no time between two lines.
    trace: () => false,
  }
}

export const asyncPassForms: readonly Form[] = [
  asyncPass('writePagesAsync', [], (world, { a, b }, turns, options) =>
    world.mapping(a).writePagesAsync(world.controls[b], (folio) => submitPage(world, folio, turns), options),
  ),
  asyncPass('writeExtentsAsync', ['maxPages'], (world, { a, b, d }, turns, options) =>
    world.mapping(a).writeExtentsAsync(world.controls[b], (extent) => submitExtent(world, extent, turns), {
      ...options,
      maxPages: d,
    }),
  ),
  {
    name: 'settle',
    parameters: ['nth', 'result'],
    weight: [160, 16],
    awaits: true,
    generate(random) {
      const most = random.oneIn(16) ? RESULTS.length + 1 : random.oneIn(3) ? 4 : 2
      return [random.place(), random.below(most)]
    },
    run(world, { a, b }) {
      world.settle(a, b)
    },
    trace: () => false,
  },
  {
    name: 'abort',
    parameters: ['nth'],
    weight: [2, 1],
    awaits: true,
    generate: (random) => [random.place()],
    run(world, { a }) {
      world.aborts[Math.abs(a) % world.aborts.length]?.()
    },
    trace: () => false,
  },
]
