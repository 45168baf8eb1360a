// SPDX-License-Identifier: GPL-2.0-only
// The page cache: from page index to folio, and the walks over it.

import { describe, expect, test, vi } from 'vitest'
import type { AddressSpace as Mapping, Mark } from '../lib/types.js'
import { backends } from './backends.js'
import {
  add,
  addDirty,
  BATCH,
  expectError,
  flags,
  indices,
  MAX_INDEX,
  marks,
  putUnderWriteback,
  range,
  snapshot,
  thrown,
} from './helpers.js'

const ORDERS = range(0, 18)
/**
 * Where a folio of any order can begin, around the edges of 32-bit arithmetic and at both ends of the index.
 */
const EDGES = [0, 2 ** 18, 2 ** 31 - 2 ** 18, 2 ** 31, 2 ** 32 - 2 ** 18, 2 ** 32, 2 ** 48, 2 ** 51 - 2 ** 18]

describe.each(backends)('address space, $backend', ({ backend, AddressSpace, WritebackControl }) => {
  describe('addFolio and getFolio', () => {
    test('a new mapping is empty', () => {
      const mapping = new AddressSpace()
      expect(snapshot(mapping)).toEqual({
        folios: [],
        marks: { dirty: [], writeback: [], towrite: [] },
        tagged: [false, false, false],
        nrPages: 0,
        writebackIndex: 0,
      })
      expect(mapping.getFolio(0)).toBe(null)
      expect(mapping.getFolio(MAX_INDEX)).toBe(null)
      expect(mapping.pageShift).toBe(12)
    })

    test('the same folio is the same object, however it is found', () => {
      const mapping = new AddressSpace()
      const folio = mapping.addFolio(8, 3)
      folio.markDirty()
      expect(mapping.getFolio(8)).toBe(folio)
      expect(mapping.getFolio(15)).toBe(folio)
      expect([...mapping.folios()]).toEqual([folio])
      expect([...mapping.folios()][0]).toBe(folio)
      expect([...mapping.folios('dirty')][0]).toBe(folio)
      let inPass: unknown
      mapping.writePages(new WritebackControl(), (written) => {
        inPass = written
      })
      expect(inPass).toBe(folio)
    })

    test('mappings have nothing to do with each other', () => {
      const a = new AddressSpace()
      const b = new AddressSpace()
      const [folio] = addDirty(a, 5)
      expect(b.getFolio(5)).toBe(null)
      expect(b.addFolio(5)).not.toBe(folio)
      expect(b.tagged('dirty')).toBe(false)
      b.close()
      expect(a.getFolio(5)).toBe(folio)
      expect(marks(a).dirty).toEqual([5])
    })

    test.each(ORDERS)('every index of a folio of order %d finds it, the ones around do not', (order) => {
      for (const edge of EDGES) {
        const mapping = new AddressSpace()
        const folio = mapping.addFolio(edge, order)
        const nr = 2 ** order
        const step = nr > 128 ? 61 : 1
        for (let i = 0; i < nr; i += step) {
          if (mapping.getFolio(edge + i) !== folio) throw new Error(`not found: ${edge} + ${i}`)
        }
        expect(mapping.getFolio(edge + nr - 1)).toBe(folio)
        if (edge > 0) expect(mapping.getFolio(edge - 1)).toBe(null)
        if (edge + nr <= MAX_INDEX) expect(mapping.getFolio(edge + nr)).toBe(null)
        expect(mapping.nrPages).toBe(nr)
      }
    })

    test.each(ORDERS)('neighbours of order %d do not disturb each other', (order) => {
      const nr = 2 ** order
      const mapping = new AddressSpace()
      const places = range(0, 80).map((i) => [i * nr, order] as const)
      const folios = add(mapping, ...places)
      expect([...mapping.folios()]).toEqual(folios)
      for (const folio of folios) {
        expect(mapping.getFolio(folio.index)).toBe(folio)
        expect(mapping.getFolio(folio.index + nr - 1)).toBe(folio)
      }
      expect(mapping.nrPages).toBe(81 * nr)
    })

    test('an index is right whatever was in its place in memory before, and after the folio is gone', () => {
      const mapping = new AddressSpace()
      const indices = [2 ** 32 + 5, 6, 2 ** 50 + 7, 2 ** 32 - 1, 2 ** 32, MAX_INDEX, 0]
      for (const index of indices) {
        const [folio] = addDirty(mapping, index)
        expect(folio.index).toBe(index)
        expect(marks(mapping).dirty).toEqual([index])
        mapping.removeFolio(folio)
        expect(folio.index).toBe(index)
      }
    })

    test.each(ORDERS)('a folio of any order on top of one of order %d is EEXIST', (order) => {
      for (const edge of [0, 2 ** 32 - 2 ** 18, 2 ** 51 - 2 ** 18]) {
        const mapping = new AddressSpace()
        // The last of its size in the largest folio, so that a larger one begins before it.
        const index = edge + 2 ** 18 - 2 ** order
        mapping.addFolio(index, order)
        const before = snapshot(mapping)
        for (const other of ORDERS) {
          const nr = 2 ** other
          const inside = other < order ? [index, index + 2 ** order - nr] : [index - (index % nr)]
          for (const head of inside) {
            expectError(
              () => mapping.addFolio(head, other),
              'EEXIST',
              `a folio covers a page of ${head} to ${head + nr - 1} already`,
            )
          }
        }
        expect(snapshot(mapping)).toEqual(before)
      }
    })

    test('EEXIST whatever was looked at last', () => {
      const mapping = new AddressSpace()
      add(mapping, [0, 6], 64, [128, 7], [4096, 12], 8192)
      const lookups = [0, 63, 64, 65, 127, 128, 255, 4096, 8191, 8192, MAX_INDEX]
      const overlaps = [
        [0, 12],
        [63, 0],
        [64, 6],
        [64, 0],
        [192, 6],
        [255, 0],
        [5000, 3],
        [0, 13],
        [8192, 6],
      ]
      for (const lookup of lookups) {
        for (const [index, order] of overlaps) {
          mapping.getFolio(lookup)
          expect(thrown(() => mapping.addFolio(index, order))).toMatchObject({ code: 'EEXIST' })
        }
      }
      expect(mapping.nrPages).toBe(64 + 1 + 128 + 4096 + 1)
    })

    test('a refused addition leaves no trace: its place stays free', () => {
      const mapping = new AddressSpace()
      mapping.addFolio(100)
      expectError(() => mapping.addFolio(64, 6), 'EEXIST', /64 to 127/)
      expect(mapping.getFolio(64)).toBe(null)
      expect(mapping.addFolio(64, 5).nrPages).toBe(32)
      expect(indices(mapping.folios())).toEqual([64, 100])
    })

    test('both ends of the index at once', () => {
      for (const places of [
        [0, MAX_INDEX],
        [MAX_INDEX, 0],
      ]) {
        const mapping = new AddressSpace()
        const folios = addDirty(mapping, ...places)
        expect(mapping.getFolio(places[0])).toBe(folios[0])
        expect(mapping.getFolio(places[1])).toBe(folios[1])
        expect(marks(mapping).dirty).toEqual([0, MAX_INDEX])
        expect(mapping.getFolio(2 ** 31)).toBe(null)
      }
    })

    test('indices that agree in their low 32 bits are different pages', () => {
      const mapping = new AddressSpace()
      const folios = addDirty(mapping, 7, 2 ** 31 + 7, 2 ** 32 + 7, 2 ** 33 + 7, 2 ** 50 + 7)
      for (const folio of folios) expect(mapping.getFolio(folio.index)).toBe(folio)
      mapping.removeFolio(folios[2])
      expect(mapping.getFolio(2 ** 32 + 7)).toBe(null)
      expect(marks(mapping).dirty).toEqual([7, 2 ** 31 + 7, 2 ** 33 + 7, 2 ** 50 + 7])
    })

    test('thousands of folios', () => {
      const mapping = new AddressSpace()
      const all = range(0, 4999).map((i) => i * 3)
      const folios = add(mapping, ...all)
      for (const folio of folios) expect(mapping.getFolio(folio.index)).toBe(folio)
      expect(mapping.nrPages).toBe(5000)
      for (const folio of folios) mapping.removeFolio(folio)
      expect(mapping.nrPages).toBe(0)
      expect(indices(add(mapping, ...all))).toEqual(all)
    })
  })

  describe('removeFolio', () => {
    test('erases the entry, detaches the folio, clears its dirty flag and every mark', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, [8, 3])
      mapping.tagPagesForWriteback(0, MAX_INDEX)
      mapping.removeFolio(folio)
      expect(flags(folio)).toBe('')
      expect(folio.mapping).toBe(null)
      for (const index of range(8, 15)) expect(mapping.getFolio(index)).toBe(null)
      expect(snapshot(mapping)).toEqual(snapshot(new AddressSpace()))
    })

    test('leaves the marks of the others', () => {
      const mapping = new AddressSpace()
      const folios = addDirty(mapping, 0, 1, 63, 64, [128, 6], 2 ** 40)
      for (const folio of folios) putUnderWriteback(folio)
      for (const folio of folios) folio.markDirty()
      mapping.tagPagesForWriteback(0, MAX_INDEX)
      for (const folio of folios) {
        folio.endWriteback()
        mapping.removeFolio(folio)
        const left = indices(folios.filter((other) => other.mapping !== null))
        expect(marks(mapping)).toEqual({ dirty: left, writeback: left, towrite: left })
      }
      expect(mapping.nrPages).toBe(0)
    })

    test.each([
      ['locked', (folio: ReturnType<Mapping['addFolio']>) => folio.tryLock()],
      ['under writeback', putUnderWriteback],
    ])('refused while the folio is %s', (state, prepare) => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, [8, 3])
      prepare(folio)
      const before = snapshot(mapping)
      expectError(() => mapping.removeFolio(folio), 'EBUSY', `folio 8 is ${state}`)
      expect(snapshot(mapping)).toEqual(before)
      expect(folio.mapping).toBe(mapping)
    })

    test('a new folio may stand there afterwards, of another order', () => {
      const mapping = new AddressSpace()
      mapping.removeFolio(mapping.addFolio(0, 12))
      const folios = add(mapping, [0, 6], [64, 3], 72, [4096, 12])
      expect([...mapping.folios()]).toEqual(folios)
      for (const folio of folios) mapping.removeFolio(folio)
      expect(mapping.addFolio(0, 18).nrPages).toBe(2 ** 18)
    })

    test('a tree that grew and shrank still finds everything', () => {
      const mapping = new AddressSpace()
      const low = addDirty(mapping, 3)[0]
      for (const index of [2 ** 10, 2 ** 20, 2 ** 35, MAX_INDEX]) {
        const [high] = addDirty(mapping, index)
        expect(marks(mapping).dirty).toEqual([3, index])
        mapping.removeFolio(high)
        expect(mapping.getFolio(index)).toBe(null)
        expect(mapping.getFolio(3)).toBe(low)
        expect(marks(mapping).dirty).toEqual([3])
      }
      mapping.removeFolio(low)
      const [last] = addDirty(mapping, MAX_INDEX)
      expect(mapping.getFolio(MAX_INDEX)).toBe(last)
      expect(mapping.tagged('towrite')).toBe(false)
    })
  })

  describe('folios', () => {
    const PLACES = [0, 1, [8, 3], 16, [64, 6], 200] as const

    test('all of them, ascending, whatever the order they came in', () => {
      const mapping = new AddressSpace()
      add(mapping, ...PLACES.toReversed())
      expect(indices(mapping.folios())).toEqual([0, 1, 8, 16, 64, 200])
    })

    test.each([
      [0, 0, [0]],
      [1, 8, [1, 8]],
      [2, 7, []],
      [8, 8, [8]],
      [12, 12, [8]], // begins and ends inside a large folio
      [15, 16, [8, 16]],
      [9, 64, [8, 16, 64]],
      [17, 63, []],
      [127, 199, [64]],
      [128, 199, []],
      [128, MAX_INDEX, [200]],
      [201, MAX_INDEX, []],
      [MAX_INDEX, MAX_INDEX, []],
      [5, 4, []],
      [12, 9, []], // both inside the same large folio
    ])('pages %d to %d: those that overlap them', (start, end, found) => {
      const mapping = new AddressSpace()
      addDirty(mapping, ...PLACES)
      mapping.tagPagesForWriteback(0, MAX_INDEX)
      expect(indices(mapping.folios(undefined, start, end))).toEqual(found)
      expect(indices(mapping.folios('dirty', start, end))).toEqual(found)
      expect(indices(mapping.folios('towrite', start, end))).toEqual(found)
      expect(indices(mapping.folios('writeback', start, end))).toEqual([])
    })

    test('at the ends of the index', () => {
      const mapping = new AddressSpace()
      addDirty(mapping, 0, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, [2 ** 51 - 2 ** 18, 17], MAX_INDEX)
      expect(indices(mapping.folios('dirty', 2 ** 31, 2 ** 32 - 1))).toEqual([2 ** 31, 2 ** 32 - 1])
      expect(indices(mapping.folios('dirty', 2 ** 51 - 2 ** 17 - 1))).toEqual([2 ** 51 - 2 ** 18, MAX_INDEX])
      expect(indices(mapping.folios('dirty', 2 ** 51 - 2 ** 17))).toEqual([MAX_INDEX])
      expect(indices(mapping.folios('dirty', MAX_INDEX))).toEqual([MAX_INDEX])
    })

    test.each([BATCH - 1, BATCH, BATCH + 1, 2 * BATCH, 2 * BATCH + 1, 200])('%d of them', (nr) => {
      const mapping = new AddressSpace()
      addDirty(mapping, ...range(0, nr - 1).map((i) => i * 5))
      expect(indices(mapping.folios('dirty'))).toEqual(range(0, nr - 1).map((i) => i * 5))
      expect(indices(mapping.folios())).toHaveLength(nr)
    })

    test('a batch that ends with a large folio goes on behind it', () => {
      const mapping = new AddressSpace()
      add(mapping, ...range(0, BATCH - 2), [32, 5], 64, 65)
      expect(indices(mapping.folios())).toEqual([...range(0, BATCH - 2), 32, 64, 65])
    })

    test('only those with the mark', () => {
      const mapping = new AddressSpace()
      const folios = add(mapping, ...range(0, 299))
      folios[0].markDirty()
      folios[150].markDirty()
      putUnderWriteback(folios[151])
      folios[299].markDirty()
      expect(marks(mapping)).toEqual({ dirty: [0, 150, 299], writeback: [151], towrite: [] })
    })

    test('it is an iterator that can be left and started anew', () => {
      const mapping = new AddressSpace()
      add(mapping, 1, 2, 3)
      for (const folio of mapping.folios()) {
        expect(folio.index).toBe(1)
        break
      }
      const iterator = mapping.folios()
      expect(iterator[Symbol.iterator]()).toBe(iterator)
      expect(iterator.next().value?.index).toBe(1)
      expect(indices(iterator)).toEqual([2, 3])
      expect(iterator.next()).toEqual({ value: undefined, done: true })
    })

    describe('while the mapping changes', () => {
      test('removed folios are left out', () => {
        const mapping = new AddressSpace()
        const folios = add(mapping, ...range(0, 99))
        const seen: number[] = []
        for (const folio of mapping.folios()) {
          seen.push(folio.index)
          if (folio.index % 2 === 0) mapping.removeFolio(folios[folio.index + 1])
        }
        expect(seen).toEqual(range(0, 49).map((i) => i * 2))
      })

      test('so are all folios behind it, and the one in hand', () => {
        const mapping = new AddressSpace()
        const folios = add(mapping, ...range(0, 99))
        const seen: number[] = []
        for (const folio of mapping.folios()) {
          seen.push(folio.index)
          if (folio.index === 40) for (const other of folios) mapping.removeFolio(other)
        }
        expect(seen).toEqual(range(0, 40))
      })

      test('a new folio in the place of a removed one is not mistaken for it', () => {
        const mapping = new AddressSpace()
        const folios = add(mapping, ...range(0, 9))
        const seen: unknown[] = []
        for (const folio of mapping.folios()) {
          seen.push(folio)
          if (folio.index === 0) {
            mapping.removeFolio(folios[5])
            mapping.addFolio(5)
          }
        }
        expect(seen).toEqual(folios.filter(({ index }) => index !== 5))
      })

      test('folios that are added behind the batch are found', () => {
        const mapping = new AddressSpace()
        add(mapping, ...range(0, BATCH - 1))
        const seen: number[] = []
        for (const folio of mapping.folios()) {
          seen.push(folio.index)
          if (folio.index < 100) mapping.addFolio(folio.index + 100)
        }
        expect(seen).toEqual([...range(0, BATCH - 1), ...range(100, 100 + BATCH - 1)])
      })

      test('close ends it with EBADF', () => {
        const mapping = new AddressSpace()
        add(mapping, 1, 2, 3)
        const iterator = mapping.folios()
        iterator.next()
        mapping.close()
        expectError(() => iterator.next(), 'EBADF', 'the mapping is closed')
      })
    })
  })

  test.each(['dirty', 'writeback', 'towrite'] as Mark[])('tagged(%j): whether any folio has it', (mark) => {
    const set = {
      dirty: (folio: ReturnType<Mapping['addFolio']>) => folio.markDirty(),
      writeback: putUnderWriteback,
      towrite: (folio: ReturnType<Mapping['addFolio']>, mapping: Mapping) => {
        folio.markDirty()
        mapping.tagPagesForWriteback(0, MAX_INDEX)
      },
    }
    for (const index of [0, 63, 2 ** 18, 2 ** 32, MAX_INDEX]) {
      const mapping = new AddressSpace()
      add(mapping, ...[5, 2 ** 20].filter((other) => other !== index))
      const folio = mapping.addFolio(index)
      expect(mapping.tagged(mark)).toBe(false)
      set[mark](folio, mapping)
      expect(mapping.tagged(mark)).toBe(true)
      folio.tryLock()
      if (folio.writeback) folio.endWriteback()
      folio.unlock()
      mapping.removeFolio(folio)
      expect(mapping.tagged(mark)).toBe(false)
    }
  })

  describe('addFolios', () => {
    test.each([
      [0, 1, 0],
      [60, 10, 0],
      [2 ** 32 - 100, 3000, 0],
      [MAX_INDEX - 199, 100, 1],
      [0, 30, 5],
      [64, 70, 6],
      [2 ** 18, 3, 18],
    ])('from %d on, %d of order %d: as addFolio', (index, count, order) => {
      const mapping = new AddressSpace()
      const other = new AddressSpace()
      expect(mapping.addFolios(index, count, order)).toBe(undefined)
      for (let i = 0; i < count; i++) other.addFolio(index + i * 2 ** order, order)
      expect(snapshot(mapping)).toEqual(snapshot(other))
      const folio = mapping.getFolio(index)
      expect(folio?.mapping).toBe(mapping)
      expect(folio).toBe([...mapping.folios()][0])
    })

    test('none is none', () => {
      const mapping = new AddressSpace()
      mapping.addFolios(5, 0)
      mapping.addFolios(MAX_INDEX, 0)
      expect(mapping.nrPages).toBe(0)
    })

    test('all or none: EEXIST where one of their pages is covered', () => {
      const mapping = new AddressSpace()
      mapping.addFolio(200, 3)
      const before = snapshot(mapping)
      for (const [index, count] of [
        [0, 201],
        [207, 5000],
        [203, 1],
      ]) {
        const last = index + count - 1
        expectError(
          () => mapping.addFolios(index, count),
          'EEXIST',
          `a folio covers a page of ${index} to ${last} already`,
        )
      }
      expectError(() => mapping.addFolios(0, 26, 3), 'EEXIST', 'a folio covers a page of 0 to 207 already')
      expect(snapshot(mapping)).toEqual(before)
    })

    test('what was removed makes room, and a handle to it stays what it was', () => {
      const mapping = new AddressSpace()
      mapping.addFolios(0, 40)
      const folio = mapping.getFolio(7)
      for (const each of [...mapping.folios()]) mapping.removeFolio(each)
      mapping.addFolios(100, 40)
      expect(indices(mapping.folios())).toEqual(range(100, 139))
      expect([...mapping.folios()].every((each) => each.mapping === mapping && each !== folio)).toBe(true)
      expect(folio).toMatchObject({ index: 7, mapping: null })
    })

    // The native backend: alloc_failure.test.ts.
    test.skipIf(backend !== 'js')('no memory in the middle: ENOMEM, and nothing has changed', () => {
      const mapping = new AddressSpace()
      mapping.addFolio(7)
      const before = snapshot(mapping)
      const noMemory = vi.fn(() => {
        throw new RangeError('Array buffer allocation failed')
      })
      vi.stubGlobal('Float64Array', noMemory)
      try {
        expect(thrown(() => mapping.addFolios(100, 100_000))).toMatchObject({ code: 'ENOMEM' })
      } finally {
        vi.unstubAllGlobals()
      }
      expect(noMemory).toHaveBeenCalledOnce()
      expect(snapshot(mapping)).toEqual(before)
      mapping.addFolios(100, 100_000)
    })

    test.each([-1, 0.5, Number.NaN, 2 ** 51 + 1, '1', null])('count %p is EINVAL', (count) => {
      expect(thrown(() => new AddressSpace().addFolios(0, count as number))).toMatchObject({ code: 'EINVAL' })
    })

    test('beyond the last page, or not aligned: EINVAL', () => {
      const mapping = new AddressSpace()
      expectError(
        () => mapping.addFolios(MAX_INDEX, 2),
        'EINVAL',
        'count is 2, expected an integer from 0 to 1, as pages end at 2^51',
      )
      expectError(
        () => mapping.addFolios(4, 1, 3),
        'EINVAL',
        'index is 4, expected a multiple of 8 at order 3',
      )
      expect(mapping.nrPages).toBe(0)
    })
  })

  describe('dirtyRange', () => {
    test('each folio that overlaps the range becomes dirty, flag and mark', () => {
      const mapping = new AddressSpace()
      mapping.addFolios(0, 300)
      mapping.addFolio(304, 3)
      mapping.addFolio(512, 9)
      expect(mapping.dirtyRange(70, 306)).toBe(231)
      expect(indices(mapping.folios('dirty'))).toEqual([...range(70, 299), 304])
      expect([...mapping.folios()].filter(({ dirty }) => dirty)).toHaveLength(231)
      expect(mapping.dirtyRange(600, 600)).toBe(1)
      expect(mapping.dirtyRange(0, MAX_INDEX)).toBe(70)
      expect(mapping.dirtyRange(0, MAX_INDEX)).toBe(0)
      expect(mapping.dirtyRange(9, 8)).toBe(0)
    })

    test('one that is dirty already keeps the marks that it has', () => {
      const mapping = new AddressSpace()
      mapping.addFolios(0, 3)
      const written: unknown[] = []
      mapping.dirtyRange(0, 2)
      mapping.writePages(new WritebackControl({ syncMode: 'all' }), (folio) => {
        written.push([folio.index, folio.dirty, mapping.dirtyRange(folio.index + 1, 2)])
      })
      expect(written).toEqual([
        [0, false, 0],
        [1, false, 0],
        [2, false, 0],
      ])
      expect(mapping.tagged('dirty')).toBe(false)
    })

    test('no page index, a closed mapping', () => {
      const mapping = new AddressSpace()
      expect(thrown(() => mapping.dirtyRange(-1, 0))).toMatchObject({ code: 'EINVAL' })
      expect(thrown(() => mapping.dirtyRange(0, 0.5))).toMatchObject({ code: 'EINVAL' })
      mapping.close()
      expect(thrown(() => mapping.dirtyRange(0, 0))).toMatchObject({ code: 'EBADF' })
      expect(thrown(() => mapping.addFolios(0, 1))).toMatchObject({ code: 'EBADF' })
    })
  })

  describe('tagPagesForWriteback', () => {
    test.each([
      [0, 0, [0]],
      [1, 7, []],
      [10, 10, [8]], // inside a large folio
      [9, 16, [8, 16]],
      [0, 8, [0, 8]],
      [17, 2 ** 32 - 1, [64, 70, 2 ** 31]],
      [64, 69, [64]],
      [71, 2 ** 31, [2 ** 31]],
      [2 ** 32, MAX_INDEX, [2 ** 32, MAX_INDEX]],
      [MAX_INDEX, MAX_INDEX, [MAX_INDEX]],
      [70, 64, []],
    ])('pages %d to %d, both included', (start, end, towrite) => {
      const mapping = new AddressSpace()
      const dirty = [0, 8, 16, 64, 70, 2 ** 31, 2 ** 32, MAX_INDEX]
      addDirty(mapping, 0, [8, 3], 16, 64, 70, 2 ** 31, 2 ** 32, MAX_INDEX)
      add(mapping, 1, 65, 2 ** 31 + 1)
      mapping.tagPagesForWriteback(start, end)
      expect(marks(mapping)).toEqual({ dirty, writeback: [], towrite })
    })

    test('adds to the tags that are there', () => {
      const mapping = new AddressSpace()
      addDirty(mapping, ...range(0, 9))
      mapping.tagPagesForWriteback(2, 3)
      mapping.tagPagesForWriteback(3, 4)
      mapping.tagPagesForWriteback(8, 8)
      expect(marks(mapping).towrite).toEqual([2, 3, 4, 8])
    })

    test.each([1, 31, 32, 33, 62, 63, 64, 65, 127, 128])('up to page %d of a dense range', (end) => {
      const mapping = new AddressSpace()
      addDirty(mapping, ...range(0, 200))
      mapping.tagPagesForWriteback(1, end)
      expect(marks(mapping).towrite).toEqual(range(1, end))
      mapping.tagPagesForWriteback(end + 3, 200)
      expect(marks(mapping).towrite).toEqual([...range(1, end), ...range(end + 3, 200)])
    })

    test('more than 4096 folios, where the kernel pauses', () => {
      const mapping = new AddressSpace()
      addDirty(mapping, ...range(0, 4999).map((i) => i * 2))
      mapping.tagPagesForWriteback(0, MAX_INDEX)
      expect(marks(mapping).towrite).toEqual(range(0, 4999).map((i) => i * 2))
    })

    test.each(ORDERS)('folios of order %d', (order) => {
      const mapping = new AddressSpace()
      const heads = range(0, 69).map((i) => i * 2 ** order)
      addDirty(mapping, ...heads.map((head) => [head, order] as const))
      mapping.tagPagesForWriteback(heads[1], heads[66])
      expect(marks(mapping).towrite).toEqual(heads.slice(1, 67))
    })

    test('goes by the mark, not by the flag', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, 5)
      const error = { value: 0 }
      const inHand = backends
        .find(({ AddressSpace: other }) => other === AddressSpace)
        ?.writebackIter(mapping, new WritebackControl(), null, error)
      expect(inHand).toBe(folio)
      expect(folio.dirty).toBe(false)
      mapping.tagPagesForWriteback(0, 9)
      expect(marks(mapping).towrite).toEqual([5])
    })
  })

  test.each([0, 1, 2 ** 31, 2 ** 32, MAX_INDEX, MAX_INDEX + 1])('writebackIndex takes %d', (index) => {
    const mapping = new AddressSpace()
    mapping.writebackIndex = index
    expect(mapping.writebackIndex).toBe(index)
  })

  test.each([undefined, 9, 12, 16, 30])('pageShift %s', (pageShift) => {
    expect(new AddressSpace({ pageShift }).pageShift).toBe(pageShift ?? 12)
  })

  // A byte offset has 63 bits. A range could not name a page behind the last one, and no sync would write
  // that page.
  describe.each([
    [9, 51],
    [12, 51],
    [13, 50],
    [16, 47],
    [30, 33],
  ])('pages of 2^%d bytes: 2^%d of them', (pageShift, bits) => {
    const last = 2 ** bits - 1

    test('a sync of the whole file writes the last page', () => {
      const mapping = new AddressSpace({ pageShift })
      const folios = addDirty(mapping, 5, [2 ** bits - 2 ** 18, 17], last)
      const written: number[] = []
      const wbc = new WritebackControl({ syncMode: 'all' })
      expect(mapping.writePages(wbc, (folio) => void written.push(folio.index))).toBe(0)
      expect(written).toEqual(folios.map((folio) => folio.index))
      expect(mapping.tagged('dirty')).toBe(false)
    })

    test('no index beyond is taken', () => {
      const mapping = new AddressSpace({ pageShift })
      const reason = bits === 51 ? '' : ', as a byte offset has 63 bits'
      const expected = `a page index, an integer from 0 to 2^${bits} - 1${reason}`
      const uses: [string, () => unknown][] = [
        ['index', () => mapping.addFolio(last + 1)],
        ['index', () => mapping.addFolio(last + 1, 18)],
        ['index', () => mapping.getFolio(last + 1)],
        ['start', () => mapping.folios(undefined, last + 1)],
        ['end', () => mapping.folios(undefined, 0, last + 1)],
        ['start', () => mapping.tagPagesForWriteback(last + 1, last)],
        ['end', () => mapping.tagPagesForWriteback(0, last + 1)],
        [
          'writebackIndex',
          () => {
            mapping.writebackIndex = last + 2
          },
        ],
      ]
      for (const [what, use] of uses) {
        const value = what === 'writebackIndex' ? last + 2 : last + 1
        expectError(use, 'EINVAL', `${what} is ${value}, expected ${expected}`)
      }
      mapping.writebackIndex = last + 1
      expect(mapping).toMatchObject({ nrPages: 0, writebackIndex: last + 1 })
      expect(mapping.getFolio(last)).toBe(null)
      mapping.tagPagesForWriteback(last, last)
      expect([...mapping.folios(undefined, last, last)]).toEqual([])
    })
  })

  describe('close', () => {
    function closed() {
      const mapping = new AddressSpace({ pageShift: 14 })
      const folios = addDirty(mapping, 1, [8, 3])
      mapping.writebackIndex = 77
      mapping.close()
      return { mapping, folios }
    }

    test('the getters still answer', () => {
      const { mapping } = closed()
      expect(mapping).toMatchObject({ nrPages: 0, writebackIndex: 77, pageShift: 14 })
    })

    test('a second call does nothing', () => {
      const { mapping } = closed()
      mapping.close()
      mapping[Symbol.dispose]()
      expect(mapping.writebackIndex).toBe(77)
    })

    test('a mapping that is opened afterwards starts empty', () => {
      const { folios } = closed()
      const mapping = new AddressSpace()
      expect(mapping.getFolio(1)).toBe(null)
      expect(mapping).toMatchObject({ nrPages: 0, writebackIndex: 0, pageShift: 12 })
      addDirty(mapping, 1)
      expectError(() => folios[0].markDirty(), 'EBADF', 'the mapping of folio 1 is closed')
    })

    test('Symbol.dispose closes', () => {
      const mapping = new AddressSpace()
      mapping[Symbol.dispose]()
      expectError(() => mapping.addFolio(0), 'EBADF', 'the mapping is closed')
    })

    test('hundreds of mappings, opened and closed in turns', () => {
      const open = range(0, 99).map(() => new AddressSpace())
      open.forEach((mapping, i) => {
        addDirty(mapping, i)
      })
      open.forEach((mapping, i) => {
        if (i % 2 === 0) mapping.close()
      })
      const more = range(0, 99).map(() => new AddressSpace())
      more.forEach((mapping, i) => {
        addDirty(mapping, 1000 + i)
      })
      open.forEach((mapping, i) => {
        if (i % 2 === 1) expect(marks(mapping).dirty).toEqual([i])
      })
      more.forEach((mapping, i) => {
        expect(marks(mapping).dirty).toEqual([1000 + i])
      })
    })
  })
})
