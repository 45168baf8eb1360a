// SPDX-License-Identifier: GPL-2.0-only
// Who waits by promise for which folio.

import { expect, test } from 'vitest'
import { WaitTable } from '../lib/wait_table.js'

test('a wake resolves every wait for that folio, and forgets them', async () => {
  const table = new WaitTable()
  const [folio, other] = [{}, {}]
  const events: string[] = []
  const waits = [
    table.wait(folio).then(() => events.push('first')),
    table.wait(folio).then(() => events.push('second')),
  ]
  void table.wait(other).then(() => events.push('other'))
  expect(table.size).toBe(2)
  table.wake(folio)
  expect(table.size).toBe(1)
  expect(events).toEqual([])
  await Promise.all(waits)
  expect(events).toEqual(['first', 'second'])
})

test('a wake of a folio that nobody waits for does nothing', () => {
  const table = new WaitTable()
  table.wake({})
  expect(table.size).toBe(0)
})

test('wakeAll resolves all', async () => {
  const table = new WaitTable()
  const waits = [table.wait({}), table.wait({})]
  table.wakeAll()
  expect(table.size).toBe(0)
  await Promise.all(waits)
})
