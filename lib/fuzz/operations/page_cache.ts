// SPDX-License-Identifier: GPL-2.0-only
// Operations on a mapping as a whole.

import type { Mark } from '../../types.js'
import { advance, write } from '../folio_steps.js'
import { Action, HAND, HANDLES, MARKS, THROWN } from '../operation.js'
import { wrongUses } from '../wrong_uses.js'
import type { Form } from './form.js'

const PAGES = 2 ** 51
const SHIFTS = [12, 12, 12, 9, 16, 30]

export const pageCacheForms: readonly Form[] = [
  {
    name: 'add',
    parameters: ['mapping', 'handle', 'index', 'order'],
    weight: [20, 8],
    generate(random) {
      const order = random.oneIn(64) ? random.below(20) : random.order()
      return [random.mapping(), random.place(), random.index(order), order]
    },
    run(world, { a, b, c, d }) {
      const folio = world.mapping(a).addFolio(c, d)
      world.folios[b] = folio
      world.see(folio)
    },
    trace(translator, { c, d }) {
      translator.add(c, d)
    },
  },
  {
    name: 'fill',
    parameters: ['mapping', 'handle', 'index', 'stride', 'count', 'dirty'],
    weight: [12, 2],
    generate(random) {
      const stride = random.stride()
      const count = 1 + random.count()
      const dirty = random.oneIn(4) ? 0 : 1
      return [random.mapping(), random.place(), random.index(0), stride, count, dirty]
    },
    run(world, { a, b, c, d, e, f }) {
      const mapping = world.mapping(a)
      let added = 0
      for (let i = 0; i < e; i++) {
        const index = c + i * d
        if (mapping.getFolio(index) !== null) continue
        const folio = mapping.addFolio(index)
        world.folios[(b + i) % HANDLES] = folio
        if (f !== 0) folio.markDirty()
        world.see(folio)
        added++
      }
      world.operations += added
    },
    trace(translator, { c, d, e, f }) {
      for (let i = 0; i < e; i++) {
        const index = c + i * d
        translator.add(index, 0)
        if (f !== 0) translator.say({ name: 'dirty', index })
      }
    },
  },
  {
    name: 'addFolios',
    parameters: ['mapping', 'index', 'count', 'order'],
    weight: [6, 2],
    generate(random) {
      const order = random.order()
      return [random.mapping(), random.index(order), random.count(), order]
    },
    run(world, { a, b, c, d }) {
      world.mapping(a).addFolios(b, c, d)
    },
    trace(translator, { b: index, c: count, d: order }) {
      const pages = 2 ** order
      const last = index + count * pages - 1
      if (count === 0 || last > translator.maxIndex()) return
      // addFolios() adds all of the folios, or none: one folio in the range prevents them all.
      for (const _ of translator.mapping().folios(undefined, index, last)) return
      for (let next = index; next <= last; next += pages) translator.add(next, order)
    },
  },
  {
    name: 'dirtyRange',
    parameters: ['mapping', 'start', 'end'],
    weight: [6, 4],
    generate: (random) => [random.mapping(), random.index(0), random.index(0)],
    run(world, { a, b, c }) {
      world.log.put('dirtied', world.mapping(a).dirtyRange(b, c))
    },
    trace(translator, { b, c }) {
      if (Math.max(b, c) > translator.maxIndex()) return
      for (const { index } of translator.mapping().folios(undefined, b, c)) {
        translator.say({ name: 'dirty', index })
      }
    },
  },
  {
    name: 'get',
    parameters: ['mapping', 'handle', 'index'],
    weight: [16, 8],
    generate: (random) => [random.mapping(), random.place(), random.index(0)],
    run(world, { a, b, c }) {
      const folio = world.mapping(a).getFolio(c)
      if (folio !== null) world.folios[b] = folio
      world.see(folio)
    },
  },
  {
    name: 'remove',
    parameters: ['mapping', 'handle', 'forget'],
    weight: [24, 16],
    generate: (random, depth) => [random.mapping(), random.handle(depth), random.oneIn(6) ? 0 : 1],
    run(world, { a, b, c }) {
      world.onFolio(b, (folio) => {
        world.mapping(a).removeFolio(folio)
        if (c !== 0 && b !== HAND) world.folios[b] = null
      })
    },
    trace(translator, { b }) {
      translator.onFolio(b, ({ index }) => translator.say({ name: 'remove', index }))
    },
  },
  {
    name: 'tag',
    parameters: ['mapping', 'start', 'end'],
    weight: [6, 4],
    generate: (random) => [random.mapping(), random.index(0), random.index(0)],
    run(world, { a, b, c }) {
      world.mapping(a).tagPagesForWriteback(b, c)
    },
    trace(translator, { b: start, c: end }) {
      if (Math.max(start, end) <= translator.maxIndex()) translator.say({ name: 'tag', start, end })
    },
  },
  {
    name: 'tagged',
    parameters: ['mapping', 'mark'],
    weight: [4, 4],
    generate: (random) => [random.mapping(), 1 + random.below(3)],
    run(world, { a, b }) {
      world.log.put('tagged', world.mapping(a).tagged(MARKS[b] as Mark) ? 1 : 0)
    },
  },
  {
    name: 'list',
    parameters: ['mapping', 'mark', 'start', 'end'],
    weight: [4, 2],
    generate(random) {
      const start = random.oneIn(2) ? -1 : random.index(0)
      const end = random.oneIn(2) ? -1 : random.index(0)
      return [random.mapping(), random.below(4), start, end]
    },
    body: (random, depth) => random.body(depth),
    run(world, { a, b, c, d, body }) {
      const turns = { body, next: 0 }
      const start = c === -1 ? undefined : c
      const end = d === -1 ? undefined : d
      for (const folio of world.mapping(a).folios(MARKS[b], start, end)) {
        world.hand = folio
        world.see(folio)
        const end = world.turn(turns)
        if (end?.kind === 'break') break
        if (end?.kind === 'throw') throw THROWN
      }
    },
  },
  {
    // Changes many folios. Between the changes, no call tells a backend's core of them.
    name: 'each',
    parameters: ['mapping', 'mark', 'action'],
    weight: [4, 1],
    generate: (random) => [random.mapping(), random.below(4), random.below(4)],
    run(world, { a, b, c }) {
      for (const folio of Array.from(world.mapping(a).folios(MARKS[b]))) {
        world.operations++
        if (c === Action.markDirty) world.log.put('markDirty', folio.markDirty() ? 1 : 0)
        else if (c === Action.advance) advance(folio)
        else if (c === Action.write) write(folio, false)
        else world.log.put('tryLock', folio.tryLock() ? 1 : 0)
        world.see(folio)
      }
    },
    trace(translator, { b, c }) {
      for (const folio of translator.mapping().folios(MARKS[b])) {
        const recorded = translator.recorded(folio)
        if (c === Action.markDirty) recorded.markDirty()
        else if (c === Action.advance) advance(recorded)
        else if (c === Action.write) write(recorded, false)
        else recorded.tryLock()
      }
    },
  },
  {
    name: 'setWritebackIndex',
    parameters: ['mapping', 'value'],
    weight: [4, 2],
    generate: (random) => [random.mapping(), random.oneIn(16) ? PAGES : random.index(0)],
    run(world, { a, b }) {
      world.mapping(a).writebackIndex = b
    },
  },
  {
    name: 'counters',
    parameters: ['mapping'],
    weight: [4, 2],
    generate: (random) => [random.mapping()],
    run(world, { a }) {
      world.seeMapping(world.mapping(a))
    },
  },
  {
    name: 'open',
    parameters: ['mapping', 'pageShift', 'forget'],
    weight: [1, 1],
    generate: (random) => [random.mapping(), random.pick(SHIFTS), random.oneIn(6) ? 0 : 1],
    run(world, { a, b, c }) {
      const old = world.mappings[a]
      old?.close()
      world.mappings[a] = new world.api.AddressSpace({ pageShift: b })
      if (c === 0 || old === null) return
      for (const [i, folio] of world.folios.entries()) if (folio?.mapping === old) world.folios[i] = null
      for (const [i, mapping] of world.passes.entries()) if (mapping === old) world.last[i] = null
    },
  },
  {
    name: 'close',
    parameters: ['mapping'],
    weight: [1, 1],
    generate: (random) => [random.mapping()],
    run(world, { a }) {
      world.mapping(a).close()
    },
  },
  {
    name: 'check',
    parameters: [],
    generate: () => [],
    run(world) {
      world.operations--
      world.check()
    },
    trace(translator) {
      translator.say({ name: 'marks' })
    },
  },
  {
    name: 'wrong',
    parameters: ['which', 'mapping', 'handle', 'control'],
    weight: [4, 2],
    generate: (random, depth) => [
      random.below(wrongUses.length),
      random.mapping(),
      random.handle(depth),
      random.control(),
    ],
    run(world, { a, b, c, d }) {
      const use = wrongUses[a % wrongUses.length]
      const answer = use(world, world.mapping(b), world.folio(c), world.controls[d])
      // Not every use makes a call, and some calls are valid in the present state. Only numbers are compared.
      if (typeof answer === 'number') world.log.put('answer', answer)
    },
  },
]
