// SPDX-License-Identifier: GPL-2.0-only
// Operations on a folio.

import { advance, write } from '../folio_steps.js'
import type { Form } from './form.js'

export const folioForms: readonly Form[] = [
  {
    name: 'tryLock',
    parameters: ['handle'],
    weight: [40, 16],
    generate: (random, depth) => [random.handle(depth)],
    run(world, { a }) {
      world.onFolio(a, (folio) => world.log.put('tryLock', folio.tryLock() ? 1 : 0))
    },
    trace(translator, { a }) {
      translator.onFolio(a, ({ index }) => translator.say({ name: 'lock', index }))
    },
  },
  {
    name: 'unlock',
    parameters: ['handle'],
    weight: [6, 10],
    generate: (random, depth) => [random.handle(depth)],
    run(world, { a }) {
      world.onFolio(a, (folio) => folio.unlock())
    },
    trace(translator, { a }) {
      translator.onFolio(a, ({ index }) => translator.say({ name: 'unlock', index }))
    },
  },
  {
    name: 'markDirty',
    parameters: ['handle'],
    weight: [160, 40],
    generate: (random, depth) => [random.handle(depth)],
    run(world, { a }) {
      world.onFolio(a, (folio) => world.log.put('markDirty', folio.markDirty() ? 1 : 0))
    },
    trace(translator, { a }) {
      translator.onFolio(a, ({ index }) => translator.say({ name: 'dirty', index }))
    },
  },
  {
    name: 'startWriteback',
    parameters: ['handle', 'keepWrite'],
    weight: [6, 10],
    generate: (random, depth) => [random.handle(depth), random.oneIn(6) ? 1 : 0],
    run(world, { a, b }) {
      world.onFolio(a, (folio) => folio.startWriteback(b !== 0))
    },
    trace(translator, { a, b }) {
      translator.onFolio(a, ({ index }) => translator.say({ name: 'start', index, keepWrite: b !== 0 }))
    },
  },
  {
    name: 'endWriteback',
    parameters: ['handle'],
    weight: [6, 8],
    generate: (random, depth) => [random.handle(depth)],
    run(world, { a }) {
      world.onFolio(a, (folio) => folio.endWriteback())
    },
    trace(translator, { a }) {
      translator.onFolio(a, ({ index }) => translator.say({ name: 'end', index }))
    },
  },
  {
    name: 'redirty',
    parameters: ['handle', 'control'],
    weight: [20, 12],
    generate: (random, depth) => [random.handle(depth), random.control()],
    run(world, { a, b }) {
      world.onFolio(a, (folio) => {
        world.log.put('redirty', folio.redirtyForWritepage(world.controls[b]) ? 1 : 0)
        world.seeControl(world.controls[b])
      })
    },
    trace(translator, { a, b }) {
      // Outside a pass, pages_skipped does not matter.
      const name = translator.isOfPass(b) ? 'redirty' : 'dirty'
      translator.onFolio(a, ({ index }) => translator.say({ name, index }))
    },
  },
  {
    name: 'setUptodate',
    parameters: ['handle', 'value'],
    weight: [6, 2],
    generate: (random, depth) => [random.handle(depth), random.below(2)],
    run(world, { a, b }) {
      world.onFolio(a, (folio) => {
        folio.uptodate = b !== 0
      })
    },
  },
  {
    name: 'write',
    parameters: ['handle', 'keepWrite'],
    weight: [80, 20],
    generate: (random, depth) => [random.handle(depth), random.oneIn(6) ? 1 : 0],
    run(world, { a, b }) {
      world.onFolio(a, (folio) => write(folio, b !== 0))
    },
    trace(translator, { a, b }) {
      translator.onFolio(a, (folio) => write(translator.recorded(folio), b !== 0))
    },
  },
  {
    name: 'advance',
    parameters: ['handle'],
    weight: [160, 40],
    generate: (random, depth) => [random.handle(depth)],
    run(world, { a }) {
      world.onFolio(a, advance)
    },
    trace(translator, { a }) {
      translator.onFolio(a, (folio) => advance(translator.recorded(folio)))
    },
  },
]
