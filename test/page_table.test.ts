// SPDX-License-Identifier: GPL-2.0-only
// The TypeScript engine's table of pages, beside a Map.

import { expect, test } from 'vitest'
import { random } from '../lib/cli/workload.js'
import { type Page, PagePool } from '../lib/file/js/page_pool.js'
import { PageTable } from '../lib/file/js/page_table.js'
import { MIB } from './file_helpers.js'

test('finds what a Map of the same pages finds', () => {
  const next = random(1)
  const pool = new PagePool(8 * MIB)
  const table = new PageTable()
  const map = new Map<number, Page>()
  // Neighbours, and pages beyond 32 bits: leaves that fill, become empty and come again.
  const indices = [0, 1, 31, 32, 33, 2 ** 31, 2 ** 32 + 31, 2 ** 40, 2 ** 51 - 1]
  for (let round = 0; round < 5_000; round++) {
    const index = indices[next() % indices.length]
    const page = map.get(index)
    expect(table.get(index)).toBe(page)
    expect(table.has(index)).toBe(page !== undefined)
    if (page === undefined) {
      const taken = pool.take() as Page
      taken.index = index
      table.add(index, taken)
      map.set(index, taken)
    } else {
      table.delete(index)
      map.delete(index)
      pool.give(page)
    }
    expect(table.size).toBe(map.size)
    expect(new Set(table)).toEqual(new Set(map.values()))
  }
  for (const { index } of table) table.delete(index)
  expect([...table]).toEqual([])
})
