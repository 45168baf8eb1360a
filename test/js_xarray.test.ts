// SPDX-License-Identifier: GPL-2.0-only
// The tree of the TypeScript backend from inside: its invariants under random operations, its nodes, its
// memory.

import assert from 'node:assert/strict'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { DIRTY, MAX_INDEX, type MarkNumber, PRESENT, TOWRITE, WRITEBACK } from '../lib/arguments.js'
import { type Folio, folio_alloc } from '../lib/js/folio.js'
import {
  XArray,
  xa_load,
  xa_marked,
  xas_clear_mark,
  xas_copy_mark,
  xas_entry,
  xas_erase,
  xas_extract_marked,
  xas_insert,
  xas_set_mark,
} from '../lib/js/xarray.js'

const MARKS: MarkNumber[] = [DIRTY, WRITEBACK, TOWRITE, PRESENT]

/** An entry that the tree should hold, with its slot and marks. */
interface Model {
  readonly index: number
  readonly order: number
  readonly folio: Folio
  readonly slot: number
  readonly marks: Set<MarkNumber>
}

function lastOf(entry: { index: number; order: number }): number {
  return entry.index + 2 ** entry.order - 1
}

function insert(xa: XArray, index: number, order = 0): Model | null {
  const folio = folio_alloc(index, order)
  const slot = xas_insert(xa, index, order, folio)
  return slot === 0 ? null : { index, order, folio, slot, marks: new Set<MarkNumber>([PRESENT]) }
}

function bit(xa: XArray, slot: number, mark: MarkNumber): number {
  return (xa.marks[(slot >> 5) * 4 + mark] >>> (slot & 31)) & 1
}

/** The marks of a slot, a bit each. */
function marksOf(xa: XArray, slot: number): number {
  return MARKS.reduce<number>((bits, mark) => bits | (bit(xa, slot, mark) << mark), 0)
}

/** Checks every invariant that lib/js/xarray.ts names, for a node and below; returns which marks it has. */
function checkNode(xa: XArray, node: number, above: number, index: number, seen: Set<number>): number {
  const shift = xa.shift[node]
  const slots = xa.slots[node]
  seen.add(node)
  assert(xa.parent[node] === above && xa.index[node] === index)
  let union = 0
  for (let offset = 0; offset < 64; offset++) {
    const entry = slots[offset]
    const slot = node * 64 + offset
    const first = index + offset * 2 ** shift
    const marks = marksOf(xa, slot)
    union |= marks
    if (entry === null) {
      assert(marks === 0)
    } else if (typeof entry !== 'number') {
      assert(entry.index === first && entry.order - (entry.order % 6) === shift)
      assert(bit(xa, slot, PRESENT) === 1)
    } else if (entry > 0) {
      assert(xa.shift[entry] === shift - 6)
      const below = checkNode(xa, entry, slot, first, seen)
      // Marks that nothing below has any longer are left to searches.
      assert((marks | below) === marks && (below >> PRESENT) % 2 === 1)
    } else {
      assert(marks === 0 && lastOf(slots[-1 - entry] as Folio) >= first)
    }
  }
  assert((union >> PRESENT) % 2 === 1)
  return union
}

function checkTree(xa: XArray): void {
  const seen = new Set<number>()
  if (xa.head !== 0) checkNode(xa, xa.head, 0, 0, seen)
  assert(xa.hint === 0 || seen.has(xa.hint))
  for (let node = xa.free; node !== 0; node = xa.parent[node]) {
    assert(!seen.has(node))
    seen.add(node)
    assert(xa.marks.subarray(node * 8, node * 8 + 8).every((word) => word === 0))
  }
  assert(seen.size === xa.nr_nodes - 1)
}

/** A generator of numbers in 0 … n-1, the same for the same seed. */
function randomFrom(seed: number): (n: number) => number {
  let state = seed
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

describe('against a model', () => {
  const cases = [
    { span: 200, base: 0, maxOrder: 0 },
    { span: 5000, base: 0, maxOrder: 7 },
    { span: 2 ** 21, base: 2 ** 32 - 2 ** 20, maxOrder: 18 },
    { span: 3000, base: 2 ** 51 - 3000, maxOrder: 9 },
    { span: 2 ** 51, base: 0, maxOrder: 18 },
  ]
  test.each(cases)('indices $base and $span more, orders to $maxOrder', ({ span, base, maxOrder }) => {
    const random = randomFrom(span + maxOrder)
    const somewhere = () => base + random(span)
    const xa = new XArray()
    const entries = new Map<number, Model>()
    const overlapping = (start: number, end: number) =>
      [...entries.values()]
        .filter((entry) => start <= end && entry.index <= end && lastOf(entry) >= start)
        .sort((a, b) => a.index - b.index)

    for (let step = 0; step < 1500; step++) {
      const order = random(maxOrder + 1)
      const index = Math.min(Math.floor(somewhere() / 2 ** order) * 2 ** order, 2 ** 51 - 2 ** order)
      const mark = MARKS[random(3)]
      const picked = [...entries.values()][random(entries.size)]
      switch (random(picked === undefined ? 1 : 6)) {
        case 0:
        case 1: {
          const isFree = overlapping(index, lastOf({ index, order })).length === 0
          const entry = insert(xa, index, order)
          expect(entry !== null).toBe(isFree)
          if (entry !== null) entries.set(index, entry)
          break
        }
        case 2:
          xas_erase(xa, picked.slot, picked.order)
          entries.delete(picked.index)
          break
        case 3:
          xas_set_mark(xa, picked.slot, mark)
          picked.marks.add(mark)
          break
        case 4:
          xas_clear_mark(xa, picked.slot, mark)
          picked.marks.delete(mark)
          break
        default: {
          const [start, end] = [somewhere(), somewhere()]
          xas_copy_mark(xa, start, end, DIRTY, TOWRITE)
          for (const entry of overlapping(start, end)) if (entry.marks.has(DIRTY)) entry.marks.add(TOWRITE)
        }
      }
      const [start, end] = random(2) === 0 ? [0, MAX_INDEX] : [somewhere(), somewhere()]
      const found: Folio[] = []
      const wanted = overlapping(start, end).filter((entry) => entry.marks.has(mark))
      expect(xas_extract_marked(xa, start, end, mark, found, 20)).toBe(Math.min(wanted.length, 20))
      expect(found).toEqual(wanted.slice(0, 20).map((entry) => entry.folio))
      expect(xa_marked(xa, mark)).toBe([...entries.values()].some((entry) => entry.marks.has(mark)))
      const page = somewhere()
      expect(xa_load(xa, page)).toBe(overlapping(page, page)[0]?.folio ?? null)
      if (step % 50 === 0) checkTree(xa)
    }
    for (const entry of entries.values()) expect(xas_entry(xa, entry.slot)).toBe(entry.folio)
    for (const entry of entries.values()) xas_erase(xa, entry.slot, entry.order)
    checkTree(xa)
    expect(xa.head).toBe(0)
  })
})

describe('nodes', () => {
  test('are freed all the way up and used again', () => {
    const xa = new XArray()
    for (let round = 0; round < 1000; round++) {
      const entry = insert(xa, MAX_INDEX - round * 64) as Model
      xas_erase(xa, entry.slot, 0)
    }
    expect([xa.head, xa.nr_nodes - 1 - xa.nr_free]).toEqual([0, 0])
    expect(xa.nr_nodes).toBeLessThan(20)
  })

  test('the top comes down when only low indices are left', () => {
    const xa = new XArray()
    const low = insert(xa, 5) as Model
    const high = insert(xa, MAX_INDEX) as Model
    xas_set_mark(xa, low.slot, DIRTY)
    xas_set_mark(xa, high.slot, DIRTY)
    expect(xa.shift[xa.head]).toBe(48)
    xas_erase(xa, high.slot, 0)
    expect(xa.shift[xa.head]).toBe(0)
    expect(xa_marked(xa, DIRTY)).toBe(true)
    checkTree(xa)
  })
})

describe('memory', () => {
  afterEach(() => {
    vi.unstubAllGlobals()
  })

  test('each array that cannot grow gives ENOMEM with nothing changed, and the next try works', () => {
    for (const name of ['Int32Array', 'Uint8Array', 'Float64Array']) {
      const xa = new XArray()
      let entries = 0
      const grow = () => {
        while (insert(xa, entries * 64 ** 3) !== null) entries++
      }
      vi.stubGlobal(
        name,
        class {
          constructor(length: number) {
            throw new RangeError(`Invalid typed array length: ${length}`)
          }
        },
      )
      expect(grow).toThrow(expect.objectContaining({ code: 'ENOMEM' }))
      checkTree(xa)
      expect(xas_extract_marked(xa, 0, MAX_INDEX, PRESENT, [], 1000)).toBe(entries)
      vi.unstubAllGlobals()
      expect(insert(xa, entries * 64 ** 3)).not.toBeNull()
      checkTree(xa)
    }
  })

  test('more nodes than slot numbers reach give ENOMEM', () => {
    const xa = new XArray()
    xa.nr_nodes = 2 ** 25
    xa.parent = { length: 2 ** 25 } as typeof xa.parent
    expect(() => insert(xa, 0)).toThrow(expect.objectContaining({ code: 'ENOMEM' }))
  })
})
