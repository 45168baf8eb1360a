// SPDX-License-Identifier: GPL-2.0-only
// writeExtents: a pass with one callback a contiguous run of folios.

import { describe, expect, test } from 'vitest'
import type {
  Extent,
  ExtentOptions,
  Folio,
  AddressSpace as Mapping,
  WritebackControl as Control,
} from '../lib/types.js'
import { backends } from './backends.js'
import {
  add,
  addDirty,
  BATCH,
  EIO,
  ENOSPC,
  expectError,
  flags,
  indices,
  MAX_INDEX,
  marks,
  PAGE,
  putUnderWriteback,
  range,
  startAndUnlock,
  thrown,
  write,
} from './helpers.js'

const CLEAN = { dirty: [], writeback: [], towrite: [] }
type Run = [index: number, nrPages: number]

describe.each(backends)('writeExtents, $backend', ({ AddressSpace, WritebackControl, writebackIter }) => {
  const syncAll = () => new WritebackControl({ syncMode: 'all' })

  function dirtyAt(...places: (number | readonly [number, number])[]) {
    const mapping = new AddressSpace()
    return { mapping, folios: addDirty(mapping, ...places) }
  }

  /** A whole pass: its runs. */
  function runs(mapping: Mapping, wbc: Control = new WritebackControl(), options?: ExtentOptions): Run[] {
    const seen: Run[] = []
    mapping.writeExtents(wbc, ({ index, nrPages }) => void seen.push([index, nrPages]), options)
    return seen
  }

  describe('a run', () => {
    test('is what is contiguous: it ends at a hole', () => {
      const { mapping } = dirtyAt(0, 1, 2, 4, 5, 7, 100)
      add(mapping, 3)
      expect(runs(mapping)).toEqual([
        [0, 3],
        [4, 2],
        [7, 1],
        [100, 1],
      ])
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test.each([
      ['the leaves of the tree', [60, 70]],
      ['several leaves', [10, 250]],
      ['the batch', [0, BATCH]],
      ['several batches', [5, 5 + 5 * BATCH]],
      ['2^31', [2 ** 31 - 5, 2 ** 31 + 5]],
      ['2^32', [2 ** 32 - 40, 2 ** 32 + 40]],
      ['the last page', [MAX_INDEX - 99, MAX_INDEX]],
    ])('goes on over the edge of %s', (_, [first, last]) => {
      for (const wbc of [new WritebackControl(), syncAll()]) {
        const { mapping, folios } = dirtyAt(...range(first, last))
        const seen: Folio[][] = []
        expect(mapping.writeExtents(wbc, ({ folios }) => void seen.push([...folios]))).toBe(0)
        expect(seen).toHaveLength(1)
        expect(seen[0].every((folio, i) => folio === folios[i])).toBe(true)
        expect(seen[0]).toHaveLength(last - first + 1)
        expect(marks(mapping)).toEqual(CLEAN)
        expect(new Set(folios.map(flags))).toEqual(new Set(['']))
      }
    })

    test('large folios and small ones in one', () => {
      const { mapping, folios } = dirtyAt(6, 7, [8, 3], [16, 4], 32, [64, 6])
      const seen: [Run, number[]][] = []
      mapping.writeExtents(new WritebackControl(), ({ index, nrPages, folios }) => {
        seen.push([[index, nrPages], indices(folios)])
      })
      expect(seen).toEqual([
        [
          [6, 27],
          [6, 7, 8, 16, 32],
        ],
        [[64, 64], [64]],
      ])
      expect(new Set(folios.map(flags))).toEqual(new Set(['']))
    })

    test('all its folios come locked and cleared for I/O, those behind are untouched', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9), 20, 21)
      const seen: string[][] = []
      mapping.writeExtents(syncAll(), () => {
        seen.push(folios.map(flags))
        expect(marks(mapping).writeback).toEqual([])
      })
      expect(seen).toEqual([
        [...range(0, 9).map(() => 'locked'), 'dirty', 'dirty'],
        [...range(0, 9).map(() => ''), 'locked', 'locked'],
      ])
    })

    test('takes 256 pages unless maxPages says otherwise', () => {
      const { mapping } = dirtyAt(...range(0, 599))
      expect(runs(mapping)).toEqual([
        [0, 256],
        [256, 256],
        [512, 88],
      ])
    })

    test.each([1, 2, 30, 31, 32, 63, 64, 65, 1024])('maxPages %d', (maxPages) => {
      const { mapping } = dirtyAt(...range(0, 1499))
      const seen = runs(mapping, syncAll(), { maxPages })
      expect(seen).toEqual(
        range(0, Math.ceil(1500 / maxPages) - 1).map((i) => [
          i * maxPages,
          Math.min(maxPages, 1500 - i * maxPages),
        ]),
      )
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('a large folio that would exceed maxPages begins the next one', () => {
      const { mapping } = dirtyAt(6, 7, [8, 3], 16)
      expect(runs(mapping, new WritebackControl(), { maxPages: 9 })).toEqual([
        [6, 2],
        [8, 9],
      ])
    })

    test('a larger single folio is an extent of its own', () => {
      const { mapping } = dirtyAt(7, [8, 3], 16, [2 ** 18, 18], 2 ** 19)
      expect(runs(mapping, new WritebackControl(), { maxPages: 4 })).toEqual([
        [7, 1],
        [8, 8],
        [16, 1],
        [2 ** 18, 2 ** 18],
        [2 ** 19, 1],
      ])
    })

    test('begins in the range and ends with it; a large folio counts where it overlaps', () => {
      const { mapping } = dirtyAt([0, 3], 8, 9, [16, 3], 24)
      const wbc = new WritebackControl({ rangeStart: 4 * PAGE, rangeEnd: 8 * PAGE })
      expect(runs(mapping, wbc)).toEqual([[0, 9]])
      expect(marks(mapping).dirty).toEqual([9, 16, 24])
    })

    test('nothing dirty: no callback, 0', () => {
      const mapping = new AddressSpace()
      add(mapping, 1)
      expect(runs(mapping)).toEqual([])
    })
  })

  describe('nr_to_write', () => {
    test.each([1, 3, BATCH, BATCH + 1, 100, 300])('%d: the run ends where it is used up', (nrToWrite) => {
      const { mapping, folios } = dirtyAt(...range(0, 399))
      const wbc = new WritebackControl({ nrToWrite })
      const seen = runs(mapping, wbc, { maxPages: 1024 })
      expect(seen).toEqual([[0, nrToWrite]])
      expect(wbc.nrToWrite).toBe(0)
      expect(marks(mapping).dirty).toEqual(range(nrToWrite, 399))
      expect(folios.slice(nrToWrite).every((folio) => flags(folio) === 'dirty')).toBe(true)
    })

    test('large folios may make it negative', () => {
      const { mapping } = dirtyAt([0, 3], [8, 3], [16, 3])
      const wbc = new WritebackControl({ nrToWrite: 9 })
      expect(runs(mapping, wbc)).toEqual([[0, 16]])
      expect(wbc.nrToWrite).toBe(-7)
    })

    test.each([0, -3])('%d: it is not looked at before the first folio', (nrToWrite) => {
      const { mapping } = dirtyAt(0, 1, 2)
      const wbc = new WritebackControl({ nrToWrite })
      expect(runs(mapping, wbc)).toEqual([[0, 1]])
      expect(wbc.nrToWrite).toBe(nrToWrite - 1)
    })

    test('WB_SYNC_ALL ignores it', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl({ syncMode: 'all', nrToWrite: 3 })
      expect(runs(mapping, wbc)).toEqual([[0, 100]])
      expect(wbc.nrToWrite).toBe(-97)
    })

    test('a cyclic pass remembers the page behind the run', () => {
      const { mapping } = dirtyAt(...range(0, 9), [16, 3], 24)
      mapping.writebackIndex = 5
      expect(runs(mapping, new WritebackControl({ rangeCyclic: true, nrToWrite: 8 }))).toEqual([
        [5, 5],
        [16, 8],
      ])
      expect(mapping.writebackIndex).toBe(24)
      expect(runs(mapping, new WritebackControl({ rangeCyclic: true }))).toEqual([[24, 1]])
      expect(mapping.writebackIndex).toBe(0)
    })

    test('it is live: the callback may change it', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl({ nrToWrite: 1000 })
      const seen: Run[] = []
      mapping.writeExtents(
        wbc,
        ({ index, nrPages }) => {
          seen.push([index, nrPages])
          if (index === 20) wbc.nrToWrite = 15
        },
        { maxPages: 10 },
      )
      // The last folio of the run in hand still counts.
      expect(seen).toEqual([
        [0, 10],
        [10, 10],
        [20, 10],
        [30, 10],
        [40, 4],
      ])
      expect(wbc.nrToWrite).toBe(0)
    })
  })

  describe('a folio that is busy', () => {
    test('locked, in the middle: the run before it is written, then EDEADLK with nothing held', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      folios[4].tryLock()
      const wbc = syncAll()
      const seen: Run[] = []
      expectError(
        () => mapping.writeExtents(wbc, ({ index, nrPages }) => void seen.push([index, nrPages])),
        'EDEADLK',
        'the pass would wait for folio 4, which is locked',
      )
      expect(seen).toEqual([[0, 4]])
      expect(folios.map(flags)).toEqual(
        range(0, 9).map((i) => (i < 4 ? '' : i === 4 ? 'locked dirty' : 'dirty')),
      )
      folios[4].unlock()
      expect(runs(mapping, wbc)).toEqual([[4, 6]])
    })

    test('the hook is called between the runs, and may release it', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      folios[0].tryLock()
      folios[4].tryLock()
      putUnderWriteback(folios[7])
      const events: string[] = []
      const returned = mapping.writeExtents(
        syncAll(),
        ({ index, nrPages }) => void events.push(`run ${index}+${nrPages}`),
        {
          onWait: (folio, reason) => {
            events.push(`${reason} ${folio.index}, clean: ${folios.filter((f) => flags(f) === '').length}`)
            if (reason === 'lock') folio.unlock()
            else folio.endWriteback()
          },
        },
      )
      expect(returned).toBe(0)
      expect(events).toEqual([
        'lock 0, clean: 0',
        'run 0+4',
        'lock 4, clean: 4',
        'run 4+3',
        'writeback 7, clean: 7',
        'run 7+3',
      ])
    })

    test('what the hook throws ends the pass; nothing is held', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[1].tryLock()
      const mine = new Error('mine')
      const onWait = () => {
        throw mine
      }
      expect(thrown(() => mapping.writeExtents(syncAll(), () => {}, { onWait }))).toBe(mine)
      expect(folios.map(flags)).toEqual(['', 'locked dirty', 'dirty'])
    })

    test('a hook that closes the mapping: EBADF', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[1].tryLock()
      expectError(
        () => mapping.writeExtents(syncAll(), () => {}, { onWait: () => mapping.close() }),
        'EBADF',
        'the mapping is closed',
      )
    })

    test('a hook that starts another pass on the control: EINVAL', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[1].tryLock()
      const wbc = syncAll()
      const onWait = (folio: Folio) => {
        folio.unlock()
        mapping.writeExtents(wbc, () => {})
      }
      expectError(
        () => mapping.writeExtents(wbc, () => {}, { onWait }),
        'EINVAL',
        'another pass was started on this control',
      )
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('under writeback: WB_SYNC_NONE skips it, which ends the run', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      putUnderWriteback(folios[4])
      expect(runs(mapping)).toEqual([
        [0, 4],
        [5, 5],
      ])
      expect(flags(folios[4])).toBe('dirty writeback')
    })
  })

  describe('success', () => {
    test.each([undefined, 0, -0])('%s: every folio is started, unlocked and ended', (result) => {
      const { mapping, folios } = dirtyAt(...range(0, 99), [128, 7])
      expect(mapping.writeExtents(syncAll(), () => result)).toBe(0)
      expect(new Set(folios.map(flags))).toEqual(new Set(['']))
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('what the callback unlocked is left alone, what it started is ended, what it dirtied stays dirty', () => {
      const { mapping, folios } = dirtyAt(...range(0, 6))
      mapping.writeExtents(syncAll(), ({ folios }) => {
        folios[1].unlock()
        folios[2].startWriteback()
        folios[3].startWriteback(true)
        folios[3].unlock()
        folios[4].markDirty()
        write(folios[5])
      })
      expect(folios.map(flags)).toEqual(['', '', '', 'writeback', 'dirty', '', ''])
      expect(marks(mapping)).toEqual({ dirty: [1, 4], writeback: [3], towrite: [1, 3] })
    })

    test('what it unlocked and removed is gone, also where it was the last of the run', () => {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl({ syncMode: 'all', nrToWrite: 1000 })
      mapping.writeExtents(
        wbc,
        ({ folios }) => {
          for (const folio of folios.slice(-3)) {
            folio.unlock()
            mapping.removeFolio(folio)
          }
          addDirty(mapping, ...folios.slice(-3).map(({ index }) => 10_000 - index))
        },
        { maxPages: 10 },
      )
      expect(wbc.nrToWrite).toBe(900)
      expect(folios.filter((folio) => folio.mapping === null)).toHaveLength(30)
      expect(folios.filter((folio) => flags(folio) !== '')).toEqual([])
    })

    test('a new folio in the place of a removed one is not touched', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      mapping.writeExtents(syncAll(), ({ folios }) => {
        for (const folio of folios) {
          folio.unlock()
          mapping.removeFolio(folio)
        }
        for (const folio of addDirty(mapping, ...range(0, 9))) folio.tryLock()
      })
      expect(new Set([...mapping.folios()].map(flags))).toEqual(new Set(['locked dirty']))
    })
  })

  describe('a negative errno', () => {
    test('every folio of the run is dirty again and unlocked; WB_SYNC_NONE ends with it', () => {
      const { mapping, folios } = dirtyAt(...range(0, 29))
      const wbc = new WritebackControl({ nrToWrite: 100, rangeCyclic: true })
      const returned = mapping.writeExtents(wbc, ({ index }) => (index === 10 ? -EIO : 0), { maxPages: 10 })
      expect(returned).toBe(-EIO)
      expect(folios.map(flags)).toEqual(range(0, 29).map((index) => (index < 10 ? '' : 'dirty')))
      expect(marks(mapping).dirty).toEqual(range(10, 29))
      expect(wbc.nrToWrite).toBe(80)
      expect(mapping.writebackIndex).toBe(20)
    })

    test('WB_SYNC_ALL goes on, and returns the first', () => {
      const { mapping, folios } = dirtyAt(...range(0, 39))
      const returned = mapping.writeExtents(
        syncAll(),
        ({ index }) => {
          if (index === 10) return -EIO
          return index === 30 ? -ENOSPC : 0
        },
        { maxPages: 10 },
      )
      expect(returned).toBe(-EIO)
      const failed = [...range(10, 19), ...range(30, 39)]
      expect(marks(mapping)).toEqual({ dirty: failed, writeback: [], towrite: failed })
      expect(folios.filter((folio) => folio.locked)).toEqual([])
    })

    test('after the callback had some of them otherwise', () => {
      const { mapping, folios } = dirtyAt(...range(0, 4))
      mapping.writeExtents(syncAll(), ({ folios }) => {
        folios[1].unlock()
        folios[2].startWriteback()
        folios[3].unlock()
        mapping.removeFolio(folios[3])
        startAndUnlock(folios[4])
        return -EIO
      })
      expect(folios.map(flags)).toEqual(['dirty', 'dirty', 'dirty', '', 'dirty writeback'])
      expect(marks(mapping).dirty).toEqual([0, 1, 2, 4])
    })
  })

  test.each([1, Number.NaN, '0', null, true, 0n, Promise.resolve(0), -(2 ** 31) - 1])(
    'an illegal result, %s, is EINVAL and as a throw',
    (result) => {
      const { mapping, folios } = dirtyAt(...range(0, 29))
      expectError(
        () =>
          mapping.writeExtents(syncAll(), ({ index }) => (index === 10 ? (result as number) : 0), {
            maxPages: 10,
          }),
        'EINVAL',
        /the callback's result is .*, expected nothing, 0 or a negative errno/,
      )
      expect(folios.map(flags)).toEqual(range(0, 29).map((index) => (index < 10 ? '' : 'dirty')))
      expect(marks(mapping).dirty).toEqual(range(10, 29))
    },
  )

  test('a callback that throws: every folio of the run is dirty again and unlocked, the pass is over', () => {
    for (const bad of [0, 10, 20]) {
      const { mapping, folios } = dirtyAt(...range(0, 29))
      const wbc = new WritebackControl({ syncMode: 'all', rangeCyclic: true })
      mapping.writebackIndex = 0
      const mine = new Error('mine')
      const call = () =>
        mapping.writeExtents(
          wbc,
          ({ index }) => {
            if (index === bad) throw mine
          },
          { maxPages: 10 },
        )
      expect(thrown(call)).toBe(mine)
      expect(folios.map(flags)).toEqual(range(0, 29).map((index) => (index < bad ? '' : 'dirty')))
      expect(mapping.writeExtents(wbc, () => {})).toBe(0)
      expect(marks(mapping)).toEqual(CLEAN)
    }
  })

  test('a callback that closes the mapping: EBADF, and no callback any more', () => {
    const { mapping, folios } = dirtyAt(...range(0, 29))
    const seen: number[] = []
    expectError(
      () =>
        mapping.writeExtents(
          new WritebackControl(),
          ({ index }) => {
            seen.push(index)
            if (index === 10) mapping.close()
          },
          { maxPages: 10 },
        ),
      'EBADF',
      'the mapping is closed',
    )
    expect(seen).toEqual([0, 10])
    expect(folios.map(flags)).toEqual(range(0, 29).map((i) => (i < 10 ? '' : i < 20 ? 'locked' : 'dirty')))
  })

  describe('extent.folios', () => {
    test('the same array each time', () => {
      const { mapping } = dirtyAt(0, 1, 2)
      mapping.writeExtents(new WritebackControl(), (extent) => {
        expect(extent.folios).toBe(extent.folios)
      })
    })

    test('asked for after the callback removed one, it still has it', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      let seen: readonly Folio[] = []
      mapping.writeExtents(new WritebackControl(), (extent) => {
        folios[1].unlock()
        mapping.removeFolio(folios[1])
        addDirty(mapping, 1)
        seen = extent.folios
      })
      expect(seen.every((folio, i) => folio === folios[i])).toBe(true)
      expect(seen).toHaveLength(3)
    })

    test('asked for after the callback closed the mapping: there are none any more', () => {
      const { mapping } = dirtyAt(0, 1, 2)
      let seen: readonly Folio[] = []
      const call = () =>
        mapping.writeExtents(new WritebackControl(), (extent) => {
          mapping.close()
          seen = extent.folios
        })
      expectError(call, 'EBADF', 'the mapping is closed')
      expect(seen).toEqual([])
    })

    test('asked for after a pass within it', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9), ...range(20, 29))
      const seen: number[][] = []
      mapping.writeExtents(new WritebackControl({ rangeEnd: 15 * PAGE }), (outer) => {
        mapping.writeExtents(new WritebackControl({ rangeStart: 15 * PAGE }), (inner) => {
          mapping.removeFolio(mapping.addFolio(100))
          seen.push(indices(inner.folios))
        })
        seen.push(indices(outer.folios))
      })
      expect(seen).toEqual([range(20, 29), range(0, 9)])
      expect(new Set(folios.map(flags))).toEqual(new Set(['']))
    })

    test('changing it changes nothing', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      mapping.writeExtents(syncAll(), (extent) => {
        const array = extent.folios as Folio[]
        array.length = 0
        array.push(folios[0], folios[0])
      })
      expect(folios.map(flags)).toEqual(['', '', ''])
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('after the callback there are none; an array that was kept stays', () => {
      const { mapping, folios } = dirtyAt(0, 1, 10)
      const extents: Extent[] = []
      let kept: readonly Folio[] = []
      mapping.writeExtents(new WritebackControl(), (extent) => {
        extents.push(extent)
        if (extent.index === 0) kept = extent.folios
      })
      expect(extents.map(({ index, nrPages }) => [index, nrPages])).toEqual([
        [0, 2],
        [10, 1],
      ])
      expect(extents.map((extent) => extent.folios)).toEqual([[], []])
      expect(kept).toEqual([folios[0], folios[1]])
      expect(kept[1].markDirty()).toBe(true)
    })

    test('after a callback that threw, too', () => {
      const { mapping } = dirtyAt(0, 1)
      let kept: Extent | undefined
      const call = () =>
        mapping.writeExtents(new WritebackControl(), (extent) => {
          kept = extent
          throw new Error('mine')
        })
      expect(call).toThrow('mine')
      expect(kept?.folios).toEqual([])
    })
  })

  describe('a callback that changes others', () => {
    /**
     * The runs of a pass over 0 to 99, ten pages each, if `happens` is called in the callback for the run of
     * folio 10.
     */
    function during(happens: (mapping: Mapping, folios: Folio[]) => void, syncMode: 'none' | 'all' = 'none') {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      const seen: Run[] = []
      mapping.writeExtents(
        new WritebackControl({ syncMode }),
        ({ index, nrPages }) => {
          seen.push([index, nrPages])
          if (index === 10) happens(mapping, folios)
        },
        { maxPages: 10 },
      )
      return { mapping, folios, runs: seen }
    }

    test('removes some: the run ends there', () => {
      const { runs } = during((mapping, folios) => {
        for (const index of [3, 25, 60]) mapping.removeFolio(folios[index])
      })
      expect(runs.slice(0, 5)).toEqual([
        [0, 10],
        [10, 10],
        [20, 5],
        [26, 10],
        [36, 10],
      ])
      expect(runs.some(([index, nr]) => index <= 60 && 60 < index + nr)).toBe(false)
    })

    test('puts others in the place of removed ones: in the batch they are not what was looked up', () => {
      const { mapping, runs } = during((mapping, folios) => {
        mapping.removeFolio(folios[25])
        addDirty(mapping, 25)
      })
      expect(runs.slice(2, 4)).toEqual([
        [20, 5],
        [26, 10],
      ])
      expect(marks(mapping).dirty).toEqual([25])
    })

    test('writes some: they are not written again', () => {
      const { runs, mapping } = during((mapping) => {
        mapping.writePages(new WritebackControl({ rangeStart: 25 * PAGE, rangeEnd: 95 * PAGE }), () => {})
      })
      expect(runs.slice(2)).toEqual([
        [20, 5],
        [96, 4],
      ])
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('adds behind the batch: a sync does not write it', () => {
      const { mapping, runs } = during((mapping) => void addDirty(mapping, 100, 101), 'all')
      expect(runs.at(-1)).toEqual([90, 10])
      expect(marks(mapping).dirty).toEqual([100, 101])
    })
  })

  describe('a callback that runs passes itself', () => {
    test('with another control, over the rest', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      const seen: string[] = []
      mapping.writeExtents(
        syncAll(),
        ({ index, nrPages }) => {
          seen.push(`outer ${index}+${nrPages}`)
          const rest = new WritebackControl({ rangeStart: (index + nrPages) * PAGE, nrToWrite: 20 })
          mapping.writeExtents(rest, ({ index, nrPages }) => void seen.push(`inner ${index}+${nrPages}`))
        },
        { maxPages: 10 },
      )
      expect(seen).toEqual([
        'outer 0+10',
        'inner 10+20',
        'outer 30+10',
        'inner 40+20',
        'outer 60+10',
        'inner 70+20',
        'outer 90+10',
      ])
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('over its own folios: EDEADLK', () => {
      const { mapping } = dirtyAt(0, 1)
      mapping.writeExtents(new WritebackControl(), () => {
        expectError(() => mapping.writeExtents(syncAll(), () => {}), 'EDEADLK', /folio 0, which is locked/)
      })
      expect(marks(mapping).dirty).toEqual([])
    })

    test('with its own control: the outer one is over', () => {
      const { mapping, folios } = dirtyAt(...range(0, 29))
      const wbc = new WritebackControl()
      const call = () =>
        mapping.writeExtents(
          wbc,
          () => {
            wbc.rangeStart = 20 * PAGE
            expect(mapping.writeExtents(wbc, () => {})).toBe(0)
          },
          { maxPages: 10 },
        )
      expectError(call, 'EINVAL', 'another pass was started on this control')
      expect(folios.map(flags)).toEqual(range(0, 29).map((index) => (index < 20 ? 'dirty' : '')))
    })

    test('nobody else steps the pass: writebackIter with its control and folio is EINVAL', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2, 5)
      const wbc = new WritebackControl()
      mapping.writeExtents(wbc, (extent) => {
        const last = extent.folios.at(-1) as Folio
        expectError(
          () => writebackIter(mapping, wbc, last, { value: 0 }),
          'EINVAL',
          `folio ${last.index} is not what this pass returned last`,
        )
      })
      expect(folios.map(flags)).toEqual(['', '', '', ''])
    })
  })
})
