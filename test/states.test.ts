// SPDX-License-Identifier: GPL-2.0-only
// The diagram of docs/pass.md, walked: each state is reached, and each arrow leads from one to the other, on
// both backends.

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { AddressSpace, Folio, SyncMode } from '../lib/types.js'
import { backends } from './backends.js'
import { flags, marks, startAndUnlock } from './helpers.js'

const [, diagram] = /^```mermaid\n(.*?)^```/ms.exec(
  fs.readFileSync(join(__dirname, '../docs/pass.md'), 'utf8'),
) as RegExpExecArray
/** Each state by its name: flags and marks. */
const states = new Map(
  Array.from(diagram.matchAll(/^ {2}(\w+): (.*), (.*)$/gm), ([, name, flags, marks]) => [
    name,
    flags === 'no flag' ? ', ' : `${flags}, ${marks}`,
  ]),
)
const arrows = Array.from(diagram.matchAll(/^ {2}(\S+) --> (\w+): (.*)$/gm), ([, from, to, step]) => ({
  from,
  to,
  step,
}))

test('the diagram was read', () => {
  expect(states.size).toBe(7)
  expect(arrows).toHaveLength(13)
  expect(new Set(arrows.map(({ to }) => to))).toEqual(new Set(states.keys()))
})

describe.each(backends)(
  'states of a folio, $backend',
  ({ AddressSpace, WritebackControl, writebackIter }) => {
    const next = (mapping: AddressSpace, syncMode: SyncMode) =>
      writebackIter(mapping, new WritebackControl({ syncMode }), null, { value: 0 })
    const steps: Record<string, (folio: Folio, mapping: AddressSpace) => void> = {
      markDirty: (folio) => folio.markDirty(),
      "a 'none' pass returns it": (folio, mapping) => expect(next(mapping, 'none')).toBe(folio),
      "an 'all' pass begins": (_, mapping) => mapping.tagPagesForWriteback(0, 0),
      "an 'all' pass returns it": (folio, mapping) => expect(next(mapping, 'all')).toBe(folio),
      'redirty, unlock': (folio) => {
        folio.redirtyForWritepage(new WritebackControl())
        folio.unlock()
      },
      'startWriteback, unlock': startAndUnlock,
      endWriteback: (folio) => folio.endWriteback(),
    }

    function state(folio: Folio, mapping: AddressSpace): string {
      const names = Object.entries(marks(mapping)).flatMap(([mark, at]) =>
        at.length > 0 ? [mark.toUpperCase()] : [],
      )
      return `${flags(folio)}, ${names.sort().join(' ')}`
    }

    /** The arrows that lead from a new folio to each state, by the fewest steps. */
    const paths = new Map<string, string[]>([['clean', []]])
    for (const [name, path] of paths) {
      for (const { from, to, step } of arrows) {
        if (from === name && !paths.has(to)) paths.set(to, [...path, step])
      }
    }

    test.each(arrows.filter(({ from }) => from !== '[*]'))('$from to $to: $step', ({ from, to, step }) => {
      const mapping = new AddressSpace()
      const folio = mapping.addFolio(0)
      expect(state(folio, mapping)).toBe(states.get('clean'))
      for (const step of paths.get(from) as string[]) steps[step](folio, mapping)
      expect(state(folio, mapping)).toBe(states.get(from))
      steps[step](folio, mapping)
      expect(state(folio, mapping)).toBe(states.get(to))
    })
  },
)
