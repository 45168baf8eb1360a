// SPDX-License-Identifier: GPL-2.0-only

import { expect, test } from 'vitest'
import {
  folio_add_wait_queue,
  folio_remove_wait_queue,
  folio_wait,
  folio_wake,
  WaitTable,
} from '../lib/wait_table.js'

test('a wake calls every waiter of that folio, once, and forgets them', () => {
  const table = new WaitTable()
  const [folio, other] = [{}, {}]
  const woken: string[] = []
  table.add(folio, () => woken.push('first'))
  table.add(folio, () => woken.push('second'))
  table.add(other, () => woken.push('other'))
  expect(table.size).toBe(2)
  table.wake(folio)
  expect(woken).toEqual(['first', 'second'])
  table.wake(folio)
  expect(woken).toHaveLength(2)
  expect(table.size).toBe(1)
})

test('a waiter that is removed is not called, and others of the folio are', () => {
  const table = new WaitTable()
  const folio = {}
  const woken: string[] = []
  const wakes = ['first', 'second', 'third'].map((name) => () => void woken.push(name))
  for (const wake of wakes) table.add(folio, wake)
  table.remove(folio, wakes[1])
  table.remove(folio, wakes[1])
  table.wake(folio)
  expect(woken).toEqual(['first', 'third'])
  table.remove(folio, wakes[0])
  table.add(folio, wakes[0])
  table.remove(folio, wakes[0])
  expect(table.size).toBe(0)
})

test('wakeAll calls all', () => {
  const table = new WaitTable()
  let woken = 0
  table.add({}, () => woken++)
  table.add({}, () => woken++)
  table.wakeAll()
  expect([woken, table.size]).toEqual([2, 0])
})

test('a wake of a folio that nobody waits for does nothing', () => {
  const table = new WaitTable()
  table.add({}, () => expect.unreachable())
  table.wake({})
  expect(table.size).toBe(1)
})

test('a mapping has a table as long as anybody waits', async () => {
  const mapping: { waiters: WaitTable | null } = { waiters: null }
  const folio = {}
  const wake = () => {}
  folio_remove_wait_queue(mapping, folio, wake)
  folio_add_wait_queue(mapping, folio, wake)
  expect(mapping.waiters?.size).toBe(1)
  folio_remove_wait_queue(mapping, folio, wake)
  expect(mapping.waiters).toBeNull()
  const waits = [folio_wait(mapping, folio), folio_wait(mapping, folio)]
  expect(mapping.waiters).not.toBeNull()
  folio_wake(mapping, folio)
  expect(mapping.waiters).toBeNull()
  await Promise.all(waits)
})
