// SPDX-License-Identifier: GPL-2.0-only
// writeback_iter and writeback_get_folio, sentence by sentence.

import { describe, expect, test } from 'vitest'
import type { Folio, WaitReason } from '../lib/types.js'
import { backends } from './backends.js'
import {
  add,
  addDirty,
  BATCH,
  EIO,
  ENOSPC,
  expectError,
  fields,
  flags,
  indices,
  MAX_INDEX,
  marks,
  PAGE,
  pass,
  putUnderWriteback,
  range,
  snapshot,
  thrown,
  write,
} from './helpers.js'

describe.each(backends)('writebackIter, $backend', (backend) => {
  const { AddressSpace, WritebackControl, writebackIter } = backend

  /** A control for WB_SYNC_ALL. */
  const syncAll = () => new WritebackControl({ syncMode: 'all' })

  /** A mapping with dirty folios of one page at these places. */
  function dirtyAt(...places: (number | readonly [number, number])[]) {
    const mapping = new AddressSpace()
    return { mapping, folios: addDirty(mapping, ...places) }
  }

  test('returns each dirty folio once, ascending, locked and cleared for I/O, then null', () => {
    const { mapping } = dirtyAt(9, [64, 6], 4, MAX_INDEX)
    add(mapping, 5)
    const seen: string[] = []
    const { written, error } = pass(backend, mapping, new WritebackControl(), (folio) => {
      seen.push(flags(folio))
      write(folio)
    })
    expect(written).toEqual([4, 9, 64, MAX_INDEX])
    expect(seen).toEqual(['locked', 'locked', 'locked', 'locked'])
    expect(error).toBe(0)
    expect(mapping.tagged('dirty')).toBe(false)
  })

  test('the folio is the one that addFolio returned', () => {
    const { mapping, folios } = dirtyAt(1, 2)
    const wbc = new WritebackControl()
    const error = { value: 0 }
    const first = writebackIter(mapping, wbc, null, error)
    expect(first).toBe(folios[0])
    write(folios[0])
    expect(writebackIter(mapping, wbc, first, error)).toBe(folios[1])
  })

  test('an empty mapping and a clean one have nothing', () => {
    const mapping = new AddressSpace()
    expect(pass(backend, mapping, syncAll())).toEqual({ written: [], error: 0 })
    add(mapping, ...range(0, 99))
    expect(pass(backend, mapping, syncAll())).toEqual({ written: [], error: 0 })
  })

  describe('nr_to_write', () => {
    test.each([0, -5])('is not looked at before the first folio: %d', (nrToWrite) => {
      const { mapping } = dirtyAt(1, 2)
      const wbc = new WritebackControl({ nrToWrite })
      expect(pass(backend, mapping, wbc)).toEqual({ written: [1], error: 0 })
      expect(wbc.nrToWrite).toBe(nrToWrite - 1)
    })

    test('WB_SYNC_NONE stops when it is used up', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      const wbc = new WritebackControl({ nrToWrite: 3 })
      expect(pass(backend, mapping, wbc)).toEqual({ written: [0, 1, 2], error: 0 })
      expect(wbc.nrToWrite).toBe(0)
      expect(marks(mapping).dirty).toEqual(range(3, 9))
    })

    test('all pages of a large folio are subtracted, and it may go negative', () => {
      const { mapping } = dirtyAt([0, 3], 8, [16, 4], 32)
      const wbc = new WritebackControl({ nrToWrite: 10 })
      expect(pass(backend, mapping, wbc).written).toEqual([0, 8, 16])
      expect(wbc.nrToWrite).toBe(10 - 8 - 1 - 16)
    })

    test('the pages are subtracted when the folio is handed back', () => {
      const { mapping } = dirtyAt(0, 1, 2)
      const wbc = new WritebackControl({ nrToWrite: 100 })
      const seen: number[] = []
      pass(backend, mapping, wbc, (folio) => {
        seen.push(wbc.nrToWrite)
        write(folio)
      })
      expect([...seen, wbc.nrToWrite]).toEqual([100, 99, 98, 97])
    })

    test('it is live: the body may lower and raise it', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      const wbc = new WritebackControl({ nrToWrite: 1 })
      const { written } = pass(backend, mapping, wbc, (folio) => {
        write(folio)
        if (folio.index === 0) wbc.nrToWrite = 50
        if (folio.index === 4) wbc.nrToWrite = 2
      })
      expect(written).toEqual(range(0, 5))
    })

    test('WB_SYNC_ALL goes on to the end whatever it says', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl({ syncMode: 'all', nrToWrite: 2 })
      expect(pass(backend, mapping, wbc)).toEqual({ written: range(0, 99), error: 0 })
      expect(wbc.nrToWrite).toBe(-98)
    })

    test('it stops at the least safe integer', () => {
      const { mapping } = dirtyAt([0, 5], 32, 33)
      const wbc = new WritebackControl({ syncMode: 'all', nrToWrite: Number.MIN_SAFE_INTEGER + 1 })
      expect(pass(backend, mapping, wbc).written).toEqual([0, 32, 33])
      expect(wbc.nrToWrite).toBe(Number.MIN_SAFE_INTEGER)
    })

    test('without limit it is counted down like any other', () => {
      const { mapping } = dirtyAt([0, 5], 32)
      const wbc = new WritebackControl()
      pass(backend, mapping, wbc)
      expect(wbc.nrToWrite).toBe(Number.MAX_SAFE_INTEGER - 33)
    })

    test('a skipped folio is not counted', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2, 3)
      const wbc = new WritebackControl({ nrToWrite: 2 })
      const { written } = pass(backend, mapping, wbc, (folio) => {
        write(folio)
        if (folio.index === 0) mapping.removeFolio(folios[1])
      })
      expect(written).toEqual([0, 2])
      expect(wbc.nrToWrite).toBe(0)
    })
  })

  describe('errors', () => {
    test('WB_SYNC_ALL remembers the first and goes on to the end', () => {
      const { mapping } = dirtyAt(...range(0, 40))
      const errors = new Map([
        [3, -EIO],
        [4, -ENOSPC],
        [40, -ENOSPC],
      ])
      const { written, error } = pass(backend, mapping, syncAll(), (folio) => {
        write(folio)
        return errors.get(folio.index)
      })
      expect(written).toEqual(range(0, 40))
      expect(error).toBe(-EIO)
    })

    test.each([0, 1, 39, 40])('WB_SYNC_ALL finds one at folio %d', (bad) => {
      const { mapping } = dirtyAt(...range(0, 40))
      const { error } = pass(backend, mapping, syncAll(), (folio) => {
        write(folio)
        return folio.index === bad ? -ENOSPC : 0
      })
      expect(error).toBe(-ENOSPC)
    })

    test('WB_SYNC_NONE stops at one, which is the result; the folio counts as written', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      const wbc = new WritebackControl({ nrToWrite: 100 })
      const { written, error } = pass(backend, mapping, wbc, (folio) => {
        write(folio)
        return folio.index === 2 ? -EIO : 0
      })
      expect(written).toEqual([0, 1, 2])
      expect(error).toBe(-EIO)
      expect(wbc.nrToWrite).toBe(97)
    })

    test('that of a pass before is forgotten', () => {
      const { mapping } = dirtyAt(0)
      const wbc = syncAll()
      const fail = (folio: Folio) => {
        write(folio)
        return -EIO
      }
      expect(pass(backend, mapping, wbc, fail).error).toBe(-EIO)
      expect(pass(backend, mapping, wbc).error).toBe(0)
    })

    test('the first call sets error.value to 0, and later ones only at the end of the pass', () => {
      const { mapping } = dirtyAt(0, 1)
      const wbc = syncAll()
      const error = { value: -ENOSPC }
      const first = writebackIter(mapping, wbc, null, error) as Folio
      expect(error.value).toBe(0)
      write(first)
      error.value = -EIO
      const second = writebackIter(mapping, wbc, first, error) as Folio
      expect(error.value).toBe(-EIO)
      write(second)
      error.value = 0
      expect(writebackIter(mapping, wbc, second, error)).toBe(null)
      expect(error.value).toBe(-EIO)
    })

    test('the object may have a getter and a setter', () => {
      const { mapping } = dirtyAt(0, 1)
      const calls: string[] = []
      const error = {
        get value() {
          calls.push('get')
          return 0
        },
        set value(value: number) {
          calls.push(`set ${value}`)
        },
      }
      const wbc = new WritebackControl()
      const first = writebackIter(mapping, wbc, null, error) as Folio
      write(first)
      const second = writebackIter(mapping, wbc, first, error) as Folio
      write(second)
      writebackIter(mapping, wbc, second, error)
      expect(calls).toEqual(['set 0', 'get', 'get', 'set 0'])
    })

    test('an object that cannot be set is refused before the pass begins', () => {
      const { mapping } = dirtyAt(0)
      const wbc = syncAll()
      const before = snapshot(mapping)
      const frozen = Object.freeze({ value: 0 })
      expectError(() => writebackIter(mapping, wbc, null, frozen), 'EINVAL', /error is an object, expected/)
      expect(snapshot(mapping)).toEqual(before)
    })

    test.each([1, EIO, Number.NaN, 0.5, -(2 ** 31) - 1, '0', null, undefined, 0n])(
      'error.value %s is EINVAL, and the pass goes on from there',
      (value) => {
        const { mapping } = dirtyAt(0, 1)
        const wbc = new WritebackControl()
        const error = { value: 0 }
        const first = writebackIter(mapping, wbc, null, error) as Folio
        write(first)
        error.value = value as number
        const before = [snapshot(mapping), fields(wbc)]
        expectError(
          () => writebackIter(mapping, wbc, first, error),
          'EINVAL',
          /error is .*, expected 0 or a negative errno/,
        )
        expect([snapshot(mapping), fields(wbc)]).toEqual(before)
        error.value = 0
        expect(writebackIter(mapping, wbc, first, error)?.index).toBe(1)
      },
    )

    test('-(2 ** 31) is a negative errno, -0 is none', () => {
      const { mapping } = dirtyAt(0)
      expect(
        pass(backend, mapping, syncAll(), (folio) => {
          write(folio)
          return -(2 ** 31)
        }).error,
      ).toBe(-(2 ** 31))
      const other = dirtyAt(0)
      expect(
        pass(backend, other.mapping, new WritebackControl(), (folio) => {
          write(folio)
          return -0
        }).error,
      ).toBe(0)
    })
  })

  describe('range', () => {
    /** Which of pages 0 to 9 a pass over these bytes writes. */
    function pagesOf(rangeStart: number | bigint, rangeEnd: number | bigint, pageShift = 12): number[] {
      const mapping = new AddressSpace({ pageShift })
      addDirty(mapping, ...range(0, 9))
      return pass(backend, mapping, new WritebackControl({ rangeStart, rangeEnd })).written
    }

    test.each([
      [0, 0, [0]],
      [0, PAGE - 1, [0]],
      [0, PAGE, [0, 1]],
      [PAGE - 1, PAGE, [0, 1]],
      [PAGE, PAGE, [1]],
      [2 * PAGE, 5 * PAGE - 1, [2, 3, 4]],
      [9 * PAGE, 2 ** 52, [9]],
      [10 * PAGE, 2 ** 52, []],
      [5 * PAGE, 5 * PAGE - 1, []],
      [5 * PAGE + 7, 5 * PAGE + 3, [5]],
    ])('bytes %d to %d, both included', (start, end, written) => {
      expect(pagesOf(start, end)).toEqual(written)
      expect(pagesOf(BigInt(start), BigInt(end))).toEqual(written)
    })

    test.each([9, 12, 16, 30])('in pages of 2^%d bytes', (pageShift) => {
      const size = 2 ** pageShift
      expect(pagesOf(3 * size, 5 * size - 1, pageShift)).toEqual([3, 4])
      expect(pagesOf(BigInt(3 * size) - 1n, BigInt(5 * size), pageShift)).toEqual([2, 3, 4, 5])
      expect(pagesOf(0, 2n ** 63n - 1n, pageShift)).toEqual(range(0, 9))
    })

    test.each([
      [1, 2, [0]], // begins and ends inside the first
      [7, 8, [0, 8]],
      [9, 9, []],
      [11, 15, []],
      [12, 16, [16]], // ends at the first page of a large folio
      [20, 40, [16, 32]], // begins and ends inside large folios
      [31, 31, [16]],
      [63, 64, [32, 64]],
    ])('pages %d to %d: a large folio counts where it overlaps them', (start, end, written) => {
      for (const syncMode of ['none', 'all'] as const) {
        const { mapping } = dirtyAt([0, 3], 8, [16, 4], [32, 5], 64)
        const wbc = new WritebackControl({ rangeStart: start * PAGE, rangeEnd: end * PAGE, syncMode })
        expect(pass(backend, mapping, wbc).written).toEqual(written)
      }
    })

    test('the last page of the file', () => {
      const { mapping } = dirtyAt(MAX_INDEX - 1, MAX_INDEX)
      const wbc = new WritebackControl({ rangeStart: 2n ** 63n - 4096n, rangeEnd: 2n ** 63n - 1n })
      expect(pass(backend, mapping, wbc).written).toEqual([MAX_INDEX])
    })

    test('up to the last byte, the whole file', () => {
      const { mapping } = dirtyAt(0, 2 ** 31, 2 ** 32, MAX_INDEX)
      expect(pass(backend, mapping, syncAll()).written).toEqual([0, 2 ** 31, 2 ** 32, MAX_INDEX])
    })

    test('bytes beyond the last page that a folio can cover', () => {
      const mapping = new AddressSpace({ pageShift: 9 })
      addDirty(mapping, 0, MAX_INDEX)
      expect(pass(backend, mapping, new WritebackControl({ rangeStart: 2n ** 60n })).written).toEqual([])
      const last = new WritebackControl({ rangeStart: 2n ** 60n - 1n, rangeEnd: 2n ** 62n })
      expect(pass(backend, mapping, last).written).toEqual([MAX_INDEX])
    })

    test('a folio beyond the end is not touched, even where the batch has room', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      pass(backend, mapping, new WritebackControl({ syncMode: 'all', rangeEnd: 4 * PAGE }))
      expect(marks(mapping)).toEqual({ dirty: range(5, 9), writeback: [], towrite: [] })
    })

    test('range and modes are read once, when the pass starts', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      mapping.writebackIndex = 70
      const wbc = new WritebackControl({ rangeEnd: 49 * PAGE })
      const { written } = pass(backend, mapping, wbc, (folio) => {
        write(folio)
        wbc.rangeStart = 80 * PAGE
        wbc.rangeEnd = 90 * PAGE
        wbc.syncMode = 'all'
        wbc.rangeCyclic = true
        wbc.taggedWritepages = true
        if (folio.index === 40) wbc.nrToWrite = 0
      })
      expect(written).toEqual(range(0, 40))
      expect(mapping.writebackIndex).toBe(70)
      expect(mapping.tagged('towrite')).toBe(false)
    })
  })

  describe('range_cyclic', () => {
    const cyclic = (init = {}) => new WritebackControl({ rangeCyclic: true, ...init })

    test('starts at writebackIndex, does not wrap, and sets it to 0 at the end', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      mapping.writebackIndex = 5
      expect(pass(backend, mapping, cyclic()).written).toEqual(range(5, 9))
      expect(mapping.writebackIndex).toBe(0)
      expect(pass(backend, mapping, cyclic()).written).toEqual(range(0, 4))
      expect(mapping.writebackIndex).toBe(0)
    })

    test('remembers the page behind the folio at which nr_to_write was used up', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      mapping.writebackIndex = 5
      expect(pass(backend, mapping, cyclic({ nrToWrite: 3 })).written).toEqual([5, 6, 7])
      expect(mapping.writebackIndex).toBe(8)
      expect(pass(backend, mapping, cyclic({ nrToWrite: 40 })).written).toEqual(range(8, 47))
      expect(mapping.writebackIndex).toBe(48)
    })

    test('where the last folio used it up, it is not the end yet', () => {
      const { mapping } = dirtyAt(0, 1)
      pass(backend, mapping, cyclic({ nrToWrite: 2 }))
      expect(mapping.writebackIndex).toBe(2)
      expect(pass(backend, mapping, cyclic()).written).toEqual([])
      expect(mapping.writebackIndex).toBe(0)
    })

    test('remembers the page behind the folio at which an error stopped it', () => {
      const { mapping } = dirtyAt(3, 7, 11)
      const { error } = pass(backend, mapping, cyclic(), (folio) => {
        write(folio)
        return folio.index === 7 ? -EIO : 0
      })
      expect(error).toBe(-EIO)
      expect(mapping.writebackIndex).toBe(8)
    })

    test('behind a large folio that is the page behind its last', () => {
      const { mapping } = dirtyAt(0, [64, 6], 128)
      pass(backend, mapping, cyclic({ nrToWrite: 2 }))
      expect(mapping.writebackIndex).toBe(128)
    })

    test('behind the last page it is 2^51, where the next pass finds nothing', () => {
      const { mapping } = dirtyAt(0, MAX_INDEX)
      mapping.writebackIndex = MAX_INDEX
      pass(backend, mapping, cyclic({ nrToWrite: 1 }))
      expect(mapping.writebackIndex).toBe(2 ** 51)
      expect(pass(backend, mapping, cyclic({ nrToWrite: 1 })).written).toEqual([])
      expect(mapping.writebackIndex).toBe(0)
      expect(pass(backend, mapping, cyclic({ nrToWrite: 1 })).written).toEqual([0])
    })

    test('the index does not move before the pass stops', () => {
      const { mapping } = dirtyAt(...range(0, 40))
      mapping.writebackIndex = 2
      const seen = new Set<number>()
      pass(backend, mapping, cyclic(), (folio) => {
        write(folio)
        seen.add(mapping.writebackIndex)
      })
      expect([...seen]).toEqual([2])
    })

    test('writebackIndex in a large folio: the first may begin before it', () => {
      const { mapping } = dirtyAt([0, 4], [16, 4])
      mapping.writebackIndex = 17
      expect(pass(backend, mapping, cyclic()).written).toEqual([16])
      expect(marks(mapping).dirty).toEqual([0])
    })

    test('ignores the range', () => {
      const { mapping } = dirtyAt(0, 50, MAX_INDEX)
      mapping.writebackIndex = 1
      const wbc = cyclic({ rangeStart: 60 * PAGE, rangeEnd: 55 * PAGE })
      expect(pass(backend, mapping, wbc).written).toEqual([50, MAX_INDEX])
    })

    test('WB_SYNC_ALL tags from writebackIndex on and goes to the end', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      mapping.writebackIndex = 4
      const wbc = cyclic({ syncMode: 'all', nrToWrite: 1 })
      const { written, error } = pass(backend, mapping, wbc, (folio) => {
        write(folio)
        return -EIO
      })
      expect(written).toEqual(range(4, 9))
      expect(error).toBe(-EIO)
      expect(mapping.writebackIndex).toBe(0)
      expect(marks(mapping)).toEqual({ dirty: range(0, 3), writeback: [], towrite: [] })
    })

    test('the body may set writebackIndex; what the pass does at its end counts', () => {
      const { mapping } = dirtyAt(0, 1, 2)
      const meddle = (folio: Folio) => {
        write(folio)
        mapping.writebackIndex = 77
      }
      pass(backend, mapping, cyclic({ nrToWrite: 2 }), meddle)
      expect(mapping.writebackIndex).toBe(2)
      pass(backend, mapping, cyclic(), meddle)
      expect(mapping.writebackIndex).toBe(0)
    })

    test('a pass that is not cyclic leaves writebackIndex alone', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      mapping.writebackIndex = 5
      pass(backend, mapping, new WritebackControl({ nrToWrite: 3 }))
      expect(mapping.writebackIndex).toBe(5)
      expect(pass(backend, mapping, new WritebackControl()).written).toEqual(range(3, 9))
      expect(mapping.writebackIndex).toBe(5)
    })

    test('the folio it stopped at may be gone: its index is remembered all the same', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      pass(backend, mapping, cyclic({ nrToWrite: 3 }), (folio) => {
        write(folio)
        if (folio.index === 2) {
          for (const other of folios) mapping.removeFolio(other)
          addDirty(mapping, ...range(100, 1200))
        }
      })
      expect(mapping.writebackIndex).toBe(3)
    })
  })

  describe('the batch', () => {
    test.each([BATCH - 1, BATCH, BATCH + 1, 2 * BATCH, 2 * BATCH + 1, 1000])('%d folios', (nr) => {
      for (const syncMode of ['none', 'all'] as const) {
        const { mapping } = dirtyAt(...range(0, nr - 1))
        expect(pass(backend, mapping, new WritebackControl({ syncMode })).written).toEqual(range(0, nr - 1))
        expect(marks(mapping)).toEqual({ dirty: [], writeback: [], towrite: [] })
      }
    })

    test('large folios at its edge', () => {
      const places = range(0, 99).map((i) => [i * 8, 3] as const)
      const { mapping } = dirtyAt(...places)
      expect(pass(backend, mapping, new WritebackControl()).written).toEqual(places.map(([index]) => index))
    })

    /** The folios that a pass over 0 to 99 writes, if this happens while the pass has folio 0 in hand. */
    function afterLookup(happens: (mapping: InstanceType<typeof AddressSpace>, folios: Folio[]) => void) {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      const { written } = pass(backend, mapping, new WritebackControl(), (folio) => {
        write(folio)
        if (folio.index === 0) happens(mapping, folios)
      })
      return { mapping, folios, written }
    }
    const without = (...gone: number[]) => range(0, 99).filter((index) => !gone.includes(index))

    test('a folio that somebody else wrote since the lookup is skipped, and left unlocked', () => {
      const { written, folios } = afterLookup((mapping) => {
        pass(backend, mapping, new WritebackControl({ rangeStart: 5 * PAGE, rangeEnd: 6 * PAGE }))
      })
      expect(written).toEqual(without(5, 6))
      expect(flags(folios[5])).toBe('')
    })

    test('a folio that was removed since is skipped', () => {
      const { written } = afterLookup((mapping, folios) => {
        mapping.removeFolio(folios[1])
        mapping.removeFolio(folios[BATCH - 1])
      })
      expect(written).toEqual(without(1, BATCH - 1))
    })

    test('a new folio in the place of a removed one is not what was looked up', () => {
      const { mapping, written } = afterLookup((mapping, folios) => {
        mapping.removeFolio(folios[7])
        addDirty(mapping, 7)
      })
      expect(written).toEqual(without(7))
      expect(marks(mapping).dirty).toEqual([7])
      expect(flags(mapping.getFolio(7) as Folio)).toBe('dirty')
    })

    test('behind the batch it is found', () => {
      const { mapping, written } = afterLookup((mapping, folios) => {
        mapping.removeFolio(folios[BATCH])
        addDirty(mapping, BATCH)
      })
      expect(written).toEqual(range(0, 99))
      expect(mapping.tagged('dirty')).toBe(false)
    })

    test('all folios behind may be gone', () => {
      const { written } = afterLookup((mapping, folios) => {
        for (const folio of folios) mapping.removeFolio(folio)
      })
      expect(written).toEqual([0])
    })

    test('a folio that is dirty by its flag when its turn comes is written, whatever happened meanwhile', () => {
      const { written } = afterLookup((mapping) => {
        pass(backend, mapping, new WritebackControl({ rangeStart: 5 * PAGE, rangeEnd: 5 * PAGE }))
        mapping.getFolio(5)?.markDirty()
      })
      expect(written).toEqual(range(0, 99))
    })

    test('folios that get dirty behind the batch are found, those within it and before it are not', () => {
      const mapping = new AddressSpace()
      const folios = add(mapping, ...range(0, 199))
      for (const folio of folios) if (folio.index % 2 === 0) folio.markDirty()
      const { written } = pass(backend, mapping, new WritebackControl(), (folio) => {
        write(folio)
        if (folio.index === 2)
          for (const other of [folios[0], folios[1], folios[5], folios[61]]) other.markDirty()
      })
      const even = range(0, 99).map((i) => i * 2)
      expect(written).toEqual([...even, 61].sort((a, b) => a - b))
      expect(marks(mapping).dirty).toEqual([0, 1, 5])
    })

    test('a lookup that did not fill the batch was the last', () => {
      for (const [nr, found] of [
        [BATCH - 1, false],
        [BATCH, true],
      ] as const) {
        const { mapping } = dirtyAt(...range(0, nr - 1))
        const { written } = pass(backend, mapping, new WritebackControl(), (folio) => {
          write(folio)
          if (folio.index === 3) addDirty(mapping, 1000)
        })
        expect(written.includes(1000)).toBe(found)
      }
    })

    test('nothing of a batch stays locked when the pass stops in its middle', () => {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      pass(backend, mapping, new WritebackControl({ nrToWrite: 40 }))
      expect(folios.filter((folio) => folio.locked)).toEqual([])
      for (const folio of folios) mapping.removeFolio(folio)
      expect(mapping.nrPages).toBe(0)
    })
  })

  describe('tagging', () => {
    test('a sync writes what was dirty when it began, however fast others dirty more', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      const { written } = pass(backend, mapping, syncAll(), (folio) => {
        write(folio)
        addDirty(mapping, 1000 + folio.index)
      })
      expect(written).toEqual(range(0, 99))
      expect(marks(mapping)).toEqual({ dirty: range(1000, 1099), writeback: [], towrite: [] })
    })

    test('so does WB_SYNC_NONE with taggedWritepages', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl({ taggedWritepages: true })
      const { written } = pass(backend, mapping, wbc, (folio) => {
        write(folio)
        addDirty(mapping, 1000 + folio.index)
      })
      expect(written).toEqual(range(0, 99))
      expect(mapping.tagged('towrite')).toBe(false)
    })

    test('without it, WB_SYNC_NONE chases the one who dirties', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      const { written } = pass(backend, mapping, new WritebackControl(), (folio) => {
        write(folio)
        if (folio.index < 1000) addDirty(mapping, 1000 + folio.index)
      })
      expect(written).toEqual([...range(0, 99), ...range(1000, 1099)])
    })

    test('the tags of the range only are set, and the start of writeback clears each', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      const left: number[][] = []
      const wbc = new WritebackControl({ syncMode: 'all', rangeStart: 2 * PAGE, rangeEnd: 4 * PAGE })
      pass(backend, mapping, wbc, (folio) => {
        left.push(marks(mapping).towrite)
        write(folio)
      })
      expect(left).toEqual([[2, 3, 4], [3, 4], [4]])
      expect(mapping.tagged('towrite')).toBe(false)
    })

    test('a folio tagged by another sync is written too', () => {
      const { mapping } = dirtyAt(0, 1, 2)
      pass(backend, mapping, syncAll(), (folio) => {
        write(folio)
        if (folio.index === 0) {
          addDirty(mapping, 10)
          mapping.tagPagesForWriteback(10, 10)
        }
      })
      // The lookup was over by then; the next pass finds the folio, tagged or not.
      expect(marks(mapping)).toEqual({ dirty: [10], writeback: [], towrite: [10] })
      expect(pass(backend, mapping, syncAll()).written).toEqual([10])
    })

    test('a tag on a folio that is clean by now is passed over', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      mapping.tagPagesForWriteback(0, 9)
      const [clean] = folios
      pass(backend, mapping, new WritebackControl({ rangeEnd: 0 }), (folio) => {
        folio.startWriteback(true)
        folio.unlock()
        folio.endWriteback()
      })
      expect(marks(mapping).towrite).toEqual([0, 1])
      expect(clean.dirty).toBe(false)
      expect(pass(backend, mapping, syncAll()).written).toEqual([1])
    })

    test('keep-write leaves the tag, so that the next sync comes back', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      pass(backend, mapping, syncAll(), (folio) => {
        if (folio.index === 0) folio.markDirty()
        folio.startWriteback(folio.index === 0)
        folio.unlock()
        folio.endWriteback()
      })
      expect(marks(mapping)).toEqual({ dirty: [0], writeback: [], towrite: [0] })
      expect(flags(folios[0])).toBe('dirty')
      expect(pass(backend, mapping, syncAll()).written).toEqual([0])
    })

    test('a folio dirtied again while it is written stays dirty, and is not written twice by this sync', () => {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      const { written } = pass(backend, mapping, syncAll(), (folio) => {
        folio.markDirty()
        write(folio)
      })
      expect(written).toEqual(range(0, 40))
      expect(marks(mapping)).toEqual({ dirty: range(0, 40), writeback: [], towrite: [] })
      expect(flags(folios[7])).toBe('dirty')
    })

    test('a redirtied folio is skipped: counted, still dirty, still tagged', () => {
      const { mapping } = dirtyAt(0, [8, 3], 16)
      const wbc = syncAll()
      const { written } = pass(backend, mapping, wbc, (folio) => {
        if (folio.index === 8) {
          folio.redirtyForWritepage(wbc)
          folio.unlock()
        } else write(folio)
      })
      expect(written).toEqual([0, 8, 16])
      expect(wbc.pagesSkipped).toBe(8)
      expect(marks(mapping)).toEqual({ dirty: [8], writeback: [], towrite: [8] })
    })
  })

  describe('under writeback', () => {
    test('WB_SYNC_NONE skips a dirty folio under writeback', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      putUnderWriteback(folios[1])
      expect(pass(backend, mapping, new WritebackControl()).written).toEqual([0, 2])
      expect(flags(folios[1])).toBe('dirty writeback')
      expect(marks(mapping).dirty).toEqual([1])
    })

    test('WB_SYNC_ALL waits for it, without the lock, and writes it', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      putUnderWriteback(folios[1])
      const waits: [Folio, WaitReason, string][] = []
      const { written } = pass(backend, mapping, syncAll(), write, {
        onWait: (folio, reason) => {
          waits.push([folio, reason, flags(folio)])
          folio.endWriteback()
        },
      })
      expect(waits).toEqual([[folios[1], 'writeback', 'dirty writeback']])
      expect(waits[0][0]).toBe(folios[1])
      expect(written).toEqual([0, 1, 2])
    })

    test('one that somebody else is writing by now, and that is clean, is skipped without a wait', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      const { written } = pass(backend, mapping, syncAll(), (folio) => {
        write(folio)
        if (folio.index !== 0) return
        const other = new WritebackControl({ rangeStart: PAGE, rangeEnd: PAGE })
        pass(backend, mapping, other, (taken) => {
          taken.startWriteback()
          taken.unlock()
        })
      })
      expect(written).toEqual([0, 2])
      expect(flags(folios[1])).toBe('writeback')
    })

    test('a clean one is not looked for', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      const error = { value: 0 }
      const inFlight = writebackIter(mapping, new WritebackControl(), null, error) as Folio
      inFlight.startWriteback()
      inFlight.unlock()
      expect(pass(backend, mapping, syncAll()).written).toEqual([1, 2])
      expect(flags(folios[0])).toBe('writeback')
    })
  })

  describe.each(['none', 'all'] as const)('blocked on a lock, sync %s', (syncMode) => {
    /** Folios 0, 1, 2; another task has the lock of one of them. */
    function lockedAt(index: number) {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[index].tryLock()
      return { mapping, folios, wbc: new WritebackControl({ syncMode, nrToWrite: 100 }), error: { value: 0 } }
    }

    test('without a hook it is EDEADLK at once, and nothing is held', () => {
      const { mapping, wbc, error, folios } = lockedAt(0)
      expectError(
        () => writebackIter(mapping, wbc, null, error),
        'EDEADLK',
        'the pass would wait for folio 0, which is locked',
      )
      expect(folios.map(flags)).toEqual(['locked dirty', 'dirty', 'dirty'])
      expect(wbc.nrToWrite).toBe(100)
    })

    test('the same call again goes on where it stood', () => {
      const { mapping, wbc, error, folios } = lockedAt(1)
      const first = writebackIter(mapping, wbc, null, error) as Folio
      write(first)
      expectError(() => writebackIter(mapping, wbc, first, error), 'EDEADLK', /folio 1/)
      expect(wbc.nrToWrite).toBe(99)
      expectError(() => writebackIter(mapping, wbc, first, error), 'EDEADLK', /folio 1/)
      folios[1].unlock()
      const second = writebackIter(mapping, wbc, first, error) as Folio
      expect(second).toBe(folios[1])
      expect(flags(second)).toBe('locked')
      expect(wbc.nrToWrite).toBe(99)
      write(second)
      expect(writebackIter(mapping, wbc, second, error)).toBe(folios[2])
      expect(wbc.nrToWrite).toBe(98)
    })

    test('the error of the call that was blocked counts, that of the call that resumes is not looked at', () => {
      const { mapping, wbc, folios } = lockedAt(1)
      const first = writebackIter(mapping, wbc, null, { value: 0 }) as Folio
      write(first)
      expect(thrown(() => writebackIter(mapping, wbc, first, { value: 0 }))).toMatchObject({
        code: 'EDEADLK',
      })
      folios[1].unlock()
      const unlooked = { value: 'nonsense' as unknown as number }
      const second = writebackIter(mapping, wbc, first, unlooked) as Folio
      expect(second).toBe(folios[1])
      expect(unlooked.value).toBe('nonsense')
    })

    test('the hook may release it: called once, holding nothing, and the pass goes on', () => {
      const { mapping, wbc, folios } = lockedAt(1)
      const waits: unknown[][] = []
      const { written } = pass(backend, mapping, wbc, write, {
        onWait: (...args) => {
          waits.push([...args, ...folios.map(flags)])
          args[0].unlock()
        },
      })
      expect(waits).toEqual([[folios[1], 'lock', '', 'locked dirty', 'dirty']])
      expect(written).toEqual([0, 1, 2])
      expect(wbc.nrToWrite).toBe(97)
    })

    test('a hook that does not release it: EDEADLK, and the pass can be taken up again', () => {
      const { mapping, wbc, error, folios } = lockedAt(0)
      let calls = 0
      const onWait = () => {
        calls++
      }
      expectError(
        () => writebackIter(mapping, wbc, null, error, { onWait }),
        'EDEADLK',
        /folio 0, which is locked/,
      )
      expect(calls).toBe(1)
      folios[0].unlock()
      expect(writebackIter(mapping, wbc, null, error, { onWait })).toBe(folios[0])
      expect(calls).toBe(1)
    })

    test('what a hook throws goes on to the caller, and the pass can be taken up again', () => {
      const { mapping, wbc, error, folios } = lockedAt(1)
      const first = writebackIter(mapping, wbc, null, error) as Folio
      write(first)
      const mine = new Error('mine')
      const onWait = () => {
        throw mine
      }
      expect(thrown(() => writebackIter(mapping, wbc, first, error, { onWait }))).toBe(mine)
      expect(flags(folios[1])).toBe('locked dirty')
      folios[1].unlock()
      expect(writebackIter(mapping, wbc, first, error, { onWait })).toBe(folios[1])
      expect(wbc.nrToWrite).toBe(99)
    })

    test('after the wait the folio is looked at afresh: written by somebody else', () => {
      const { mapping, wbc } = lockedAt(1)
      const { written } = pass(backend, mapping, wbc, write, {
        onWait: (folio) => {
          folio.unlock()
          const other = new WritebackControl({ rangeStart: PAGE, rangeEnd: PAGE })
          expect(pass(backend, mapping, other).written).toEqual([1])
        },
      })
      expect(written).toEqual([0, 2])
    })

    test('after the wait the folio is looked at afresh: removed', () => {
      const { mapping, wbc } = lockedAt(1)
      const { written } = pass(backend, mapping, wbc, write, {
        onWait: (folio) => {
          folio.unlock()
          mapping.removeFolio(folio)
          addDirty(mapping, 1)
        },
      })
      expect(written).toEqual([0, 2])
      expect(marks(mapping).dirty).toEqual([1])
    })

    test('the folio may be removed between EDEADLK and the call that resumes', () => {
      const { mapping, wbc, error, folios } = lockedAt(0)
      expect(thrown(() => writebackIter(mapping, wbc, null, error))).toMatchObject({ code: 'EDEADLK' })
      folios[0].unlock()
      mapping.removeFolio(folios[0])
      addDirty(mapping, 0)
      expect(writebackIter(mapping, wbc, null, error)).toBe(folios[1])
    })

    test('so may the folio handed back, and its memory be another’s', () => {
      const { mapping, folios } = dirtyAt(...range(0, BATCH))
      folios[BATCH].tryLock()
      const wbc = new WritebackControl({ syncMode, nrToWrite: 1000 })
      const error = { value: 0 }
      let folio: Folio | null = null
      for (let i = 0; i < BATCH; i++) {
        folio = writebackIter(mapping, wbc, folio, error) as Folio
        write(folio)
      }
      expect(thrown(() => writebackIter(mapping, wbc, folio, error))).toMatchObject({ code: 'EDEADLK' })
      for (const gone of folios.slice(0, BATCH)) mapping.removeFolio(gone)
      addDirty(mapping, ...range(1000, 1100).map((i) => [i * 16, 4] as const))
      folios[BATCH].unlock()
      expect(writebackIter(mapping, wbc, folio, error)).toBe(folios[BATCH])
      expect(wbc.nrToWrite).toBe(1000 - BATCH)
    })

    test('a hook that closes the mapping: EBADF', () => {
      const { mapping, wbc, error } = lockedAt(0)
      expectError(
        () => writebackIter(mapping, wbc, null, error, { onWait: () => mapping.close() }),
        'EBADF',
        'the mapping is closed',
      )
      expectError(() => writebackIter(mapping, wbc, null, error), 'EBADF', 'the mapping is closed')
    })

    test('a hook cannot step the pass that waits', () => {
      const { mapping, wbc, error, folios } = lockedAt(1)
      const first = writebackIter(mapping, wbc, null, error) as Folio
      write(first)
      const second = writebackIter(mapping, wbc, first, error, {
        onWait: (folio) => {
          expectError(
            () => writebackIter(mapping, wbc, first, { value: 0 }),
            'EINVAL',
            'folio 0 is not what this pass returned last',
          )
          folio.unlock()
        },
      })
      expect(second).toBe(folios[1])
    })

    test('a hook that starts another pass on the control ends the one that waits', () => {
      const { mapping, wbc, error, folios } = lockedAt(1)
      const first = writebackIter(mapping, wbc, null, error) as Folio
      write(first)
      let inner: Folio | null = null
      expectError(
        () =>
          writebackIter(mapping, wbc, first, error, {
            onWait: (folio) => {
              folio.unlock()
              inner = writebackIter(mapping, wbc, null, { value: 0 })
            },
          }),
        'EINVAL',
        'another pass was started on this control',
      )
      expect(inner).toBe(folios[1])
      write(folios[1])
      expect(writebackIter(mapping, wbc, folios[1], error)).toBe(folios[2])
    })

    test('a hook may run a whole pass with another control', () => {
      const { mapping, wbc, folios } = lockedAt(1)
      const { written } = pass(backend, mapping, wbc, write, {
        onWait: (folio) => {
          expect(pass(backend, mapping, new WritebackControl({ rangeStart: 2 * PAGE })).written).toEqual([2])
          folio.unlock()
        },
      })
      expect(written).toEqual([0, 1])
      expect(folios.map(flags)).toEqual(['', '', ''])
    })

    test('the hook may change nr_to_write; it is not subtracted twice', () => {
      const { mapping, wbc } = lockedAt(1)
      const { written } = pass(backend, mapping, wbc, write, {
        onWait: (folio) => {
          wbc.nrToWrite = 5
          folio.unlock()
        },
      })
      expect(written).toEqual([0, 1, 2])
      expect(wbc.nrToWrite).toBe(3)
    })

    test('a getter of the options that closes the mapping: EBADF', () => {
      const { mapping, wbc, error } = lockedAt(0)
      expect(thrown(() => writebackIter(mapping, wbc, null, error))).toMatchObject({ code: 'EDEADLK' })
      const options = {
        get onWait() {
          mapping.close()
          return undefined
        },
      }
      expectError(() => writebackIter(mapping, wbc, null, error, options), 'EBADF', 'the mapping is closed')
    })

    test('a setter of error.value that closes the mapping: EBADF', () => {
      const { mapping, wbc } = lockedAt(0)
      const error = {
        get value() {
          return 0
        },
        set value(_: number) {
          mapping.close()
        },
      }
      expectError(() => writebackIter(mapping, wbc, null, error), 'EBADF', 'the mapping is closed')
    })

    test('a library pass may take the control over', () => {
      const { mapping, wbc, error, folios } = lockedAt(0)
      expect(thrown(() => writebackIter(mapping, wbc, null, error))).toMatchObject({ code: 'EDEADLK' })
      folios[0].unlock()
      expect(mapping.writePages(wbc, () => 0)).toBe(0)
      expect(mapping.tagged('dirty')).toBe(false)
    })
  })

  test('where the hook ends the writeback but takes the lock, the pass waits for that next', () => {
    const { mapping, folios } = dirtyAt(0)
    putUnderWriteback(folios[0])
    const waits: string[] = []
    const { written } = pass(backend, mapping, syncAll(), write, {
      onWait: (folio, reason) => {
        waits.push(reason)
        if (reason === 'writeback') {
          folio.endWriteback()
          folio.tryLock()
        } else folio.unlock()
      },
    })
    expect(waits).toEqual(['writeback', 'lock'])
    expect(written).toEqual([0])
  })

  test('a cyclic pass that is blocked has not stopped: writebackIndex stays', () => {
    const { mapping, folios } = dirtyAt(4, 5, 6)
    mapping.writebackIndex = 3
    folios[1].tryLock()
    const wbc = new WritebackControl({ rangeCyclic: true })
    const error = { value: 0 }
    const first = writebackIter(mapping, wbc, null, error) as Folio
    write(first)
    expect(thrown(() => writebackIter(mapping, wbc, first, error))).toMatchObject({ code: 'EDEADLK' })
    expect(mapping.writebackIndex).toBe(3)
    expect(error.value).toBe(0)
  })

  test('EDEADLK for writeback names it, and the lock is dropped', () => {
    const { mapping, folios } = dirtyAt([8, 3])
    putUnderWriteback(folios[0])
    const wbc = syncAll()
    const error = { value: 0 }
    expectError(
      () => writebackIter(mapping, wbc, null, error),
      'EDEADLK',
      'the pass would wait for folio 8, which is under writeback',
    )
    expect(flags(folios[0])).toBe('dirty writeback')
    folios[0].endWriteback()
    expect(writebackIter(mapping, wbc, null, error)).toBe(folios[0])
  })

  test('a pass that resumes at its first folio does not tag again', () => {
    const { mapping, folios } = dirtyAt(0, 1)
    folios[0].tryLock()
    const wbc = syncAll()
    const error = { value: 0 }
    expect(thrown(() => writebackIter(mapping, wbc, null, error))).toMatchObject({ code: 'EDEADLK' })
    addDirty(mapping, 2)
    folios[0].unlock()
    const first = writebackIter(mapping, wbc, null, error) as Folio
    write(first)
    const second = writebackIter(mapping, wbc, first, error) as Folio
    write(second)
    expect(writebackIter(mapping, wbc, second, error)).toBe(null)
    expect(marks(mapping)).toEqual({ dirty: [2], writeback: [], towrite: [] })
  })

  test('WB_SYNC_ALL remembers the error of the call that was blocked', () => {
    const { mapping, folios } = dirtyAt(0, 1)
    folios[1].tryLock()
    const wbc = syncAll()
    const error = { value: 0 }
    const first = writebackIter(mapping, wbc, null, error) as Folio
    write(first)
    error.value = -EIO
    expect(thrown(() => writebackIter(mapping, wbc, first, error))).toMatchObject({ code: 'EDEADLK' })
    folios[1].unlock()
    error.value = -ENOSPC
    const second = writebackIter(mapping, wbc, first, error) as Folio
    write(second)
    error.value = 0
    expect(writebackIter(mapping, wbc, second, error)).toBe(null)
    expect(error.value).toBe(-EIO)
  })

  describe('the folio argument', () => {
    test('one that is not the one returned last is EINVAL, and the pass goes on', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      const wbc = new WritebackControl()
      const error = { value: 0 }
      const first = writebackIter(mapping, wbc, null, error) as Folio
      write(first)
      const second = writebackIter(mapping, wbc, first, error) as Folio
      write(second)
      const before = [snapshot(mapping), fields(wbc)]
      for (const wrong of [first, folios[2]]) {
        expectError(
          () => writebackIter(mapping, wbc, wrong, error),
          'EINVAL',
          `folio ${wrong.index} is not what this pass returned last`,
        )
      }
      expect([snapshot(mapping), fields(wbc)]).toEqual(before)
      expect(writebackIter(mapping, wbc, second, error)).toBe(folios[2])
    })

    test('a folio before the first call, and the last one after the pass, are EINVAL', () => {
      const { mapping, folios } = dirtyAt(0)
      const wbc = new WritebackControl()
      const error = { value: 0 }
      const call = () => writebackIter(mapping, wbc, folios[0], error)
      expectError(call, 'EINVAL', 'folio 0 is not what this pass returned last')
      const first = writebackIter(mapping, wbc, null, error) as Folio
      write(first)
      expect(call()).toBe(null)
      expectError(call, 'EINVAL', 'folio 0 is not what this pass returned last')
    })

    test('one that was removed after it was written may be handed back', () => {
      const { mapping } = dirtyAt(...range(0, 40))
      const { written } = pass(backend, mapping, new WritebackControl(), (folio) => {
        write(folio)
        mapping.removeFolio(folio)
      })
      expect(written).toEqual(range(0, 40))
      expect(mapping.nrPages).toBe(0)
    })

    test('the pages of a removed large folio are subtracted', () => {
      const { mapping } = dirtyAt([0, 3], [8, 3], [16, 3])
      const wbc = new WritebackControl({ nrToWrite: 16 })
      const { written } = pass(backend, mapping, wbc, (folio) => {
        write(folio)
        mapping.removeFolio(folio)
        addDirty(mapping, ...range(folio.index + 1000, folio.index + 1007))
      })
      expect(written).toEqual([0, 8])
      expect(wbc.nrToWrite).toBe(0)
    })
  })

  describe('one control', () => {
    test('null in mid-pass starts over; the folio in hand is left as it is', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      const wbc = new WritebackControl({ nrToWrite: 100 })
      const error = { value: 0 }
      const first = writebackIter(mapping, wbc, null, error) as Folio
      first.startWriteback()
      const again = writebackIter(mapping, wbc, null, error)
      expect(again).toBe(folios[1])
      expect(flags(first)).toBe('locked writeback')
      expect(wbc.nrToWrite).toBe(100)
      expectError(
        () => writebackIter(mapping, wbc, first, error),
        'EINVAL',
        'folio 0 is not what this pass returned last',
      )
    })

    test('moved to another mapping: the pass there starts anew, the folio here is refused', () => {
      const here = dirtyAt(0, 1)
      const there = dirtyAt(5, 6)
      const wbc = new WritebackControl()
      const error = { value: 0 }
      const first = writebackIter(here.mapping, wbc, null, error) as Folio
      write(first)
      expectError(
        () => writebackIter(there.mapping, wbc, first, error),
        'EINVAL',
        'folio 0 is not what this pass returned last',
      )
      expect(writebackIter(here.mapping, wbc, first, error)).toBe(here.folios[1])
      expect(writebackIter(there.mapping, wbc, null, error)).toBe(there.folios[0])
      expectError(
        () => writebackIter(here.mapping, wbc, here.folios[1], error),
        'EINVAL',
        'folio 1 is not what this pass returned last',
      )
      write(there.folios[0])
      expect(writebackIter(there.mapping, wbc, there.folios[0], error)).toBe(there.folios[1])
    })

    test('goes on to another mapping after its own was closed', () => {
      const here = dirtyAt(0, 1)
      const there = dirtyAt(5)
      const wbc = new WritebackControl()
      const error = { value: 0 }
      const first = writebackIter(here.mapping, wbc, null, error) as Folio
      here.mapping.close()
      expectError(() => writebackIter(here.mapping, wbc, first, error), 'EBADF', 'the mapping is closed')
      expect(writebackIter(there.mapping, wbc, null, error)).toBe(there.folios[0])
    })

    test('keeps counting from pass to pass', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      const wbc = new WritebackControl({ nrToWrite: 4, rangeCyclic: true })
      expect(pass(backend, mapping, wbc).written).toEqual(range(0, 3))
      wbc.nrToWrite += 3
      expect(pass(backend, mapping, wbc).written).toEqual(range(4, 6))
      expect(wbc.nrToWrite).toBe(0)
    })
  })

  test('two passes at once on one mapping share the folios', () => {
    const { mapping } = dirtyAt(...range(0, 99))
    const a = new WritebackControl()
    const b = new WritebackControl()
    const error = { value: 0 }
    const written: number[] = []
    const last = new Map<object, Folio | null>([
      [a, null],
      [b, null],
    ])
    for (let turn = 0; last.size > 0; turn++) {
      const wbc = turn % 2 === 0 ? a : b
      if (!last.has(wbc)) continue
      const folio = writebackIter(mapping, wbc, last.get(wbc) ?? null, error)
      if (folio === null) last.delete(wbc)
      else {
        last.set(wbc, folio)
        written.push(folio.index)
        write(folio)
      }
    }
    expect(written).toEqual(range(0, 99))
    expect([a.nrToWrite, b.nrToWrite].map((nr) => Number.MAX_SAFE_INTEGER - nr)).toEqual([50, 50])
  })

  test('an abandoned pass holds nothing but the folio that was in hand', () => {
    const { mapping, folios } = dirtyAt(...range(0, 99))
    for (let i = 0; i < 50; i++) {
      const folio = writebackIter(mapping, new WritebackControl(), null, { value: 0 }) as Folio
      write(folio)
    }
    expect(folios.filter((folio) => folio.locked)).toEqual([])
    for (const folio of folios) mapping.removeFolio(folio)
    expect(mapping.nrPages).toBe(0)
    expect(indices(addDirty(mapping, ...range(0, 99)))).toEqual(range(0, 99))
    expect(pass(backend, mapping, new WritebackControl()).written).toEqual(range(0, 99))
  })

  test('a mapping may be closed in mid-pass', () => {
    const { mapping, folios } = dirtyAt(...range(0, 99))
    const wbc = new WritebackControl({ nrToWrite: 50 })
    const error = { value: 0 }
    const first = writebackIter(mapping, wbc, null, error) as Folio
    mapping.close()
    expectError(() => writebackIter(mapping, wbc, first, error), 'EBADF', 'the mapping is closed')
    expect(wbc.nrToWrite).toBe(50)
    expect(flags(folios[0])).toBe('locked')
  })
})
