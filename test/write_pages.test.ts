// SPDX-License-Identifier: GPL-2.0-only
// writePages: a pass with one callback per folio.

import { describe, expect, test } from 'vitest'
import type { AddressSpace as Mapping, Folio, WritebackControl as Control } from '../lib/types.js'
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
  marks,
  PAGE,
  pass,
  putUnderWriteback,
  range,
  startAndUnlock,
  thrown,
  write,
} from './helpers.js'

const CLEAN = { dirty: [], writeback: [], towrite: [] }

describe.each(backends)('writePages, $backend', (backend) => {
  const { AddressSpace, WritebackControl, writebackIter } = backend
  const syncAll = () => new WritebackControl({ syncMode: 'all' })

  function dirtyAt(...places: (number | readonly [number, number])[]) {
    const mapping = new AddressSpace()
    return { mapping, folios: addDirty(mapping, ...places) }
  }

  describe('success', () => {
    test.each([undefined, 0, -0])('%s: each folio is started, unlocked and ended', (result) => {
      for (const syncMode of ['none', 'all'] as const) {
        const { mapping, folios } = dirtyAt(...range(0, 99), [128, 7], 2 ** 40)
        const wbc = new WritebackControl({ syncMode, nrToWrite: 1000 })
        const seen: Folio[] = []
        const returned = mapping.writePages(wbc, (folio) => {
          seen.push(folio)
          return result
        })
        expect(returned).toBe(0)
        expect(seen.every((folio, i) => folio === folios[i])).toBe(true)
        expect(seen).toHaveLength(102)
        expect(new Set(folios.map(flags))).toEqual(new Set(['']))
        expect(marks(mapping)).toEqual(CLEAN)
        expect(wbc.nrToWrite).toBe(1000 - 100 - 128 - 1)
      }
    })

    test('the folio comes locked and cleared for I/O, and still has its marks', () => {
      const { mapping } = dirtyAt(3)
      mapping.writePages(syncAll(), (folio) => {
        expect(flags(folio)).toBe('locked')
        expect(marks(mapping)).toEqual({ dirty: [3], writeback: [], towrite: [3] })
      })
    })

    test('the folio was written when the callback for the next one runs', () => {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      mapping.writePages(syncAll(), ({ index }) => {
        const expected = folios.map((folio) =>
          folio.index < index ? '' : folio.index === index ? 'locked' : 'dirty',
        )
        expect(folios.map(flags)).toEqual(expected)
        expect(marks(mapping)).toEqual({ dirty: range(index, 40), writeback: [], towrite: range(index, 40) })
      })
    })

    test('thousands', () => {
      const { mapping } = dirtyAt(...range(0, 4999).map((i) => i * 3))
      let written = 0
      expect(
        mapping.writePages(syncAll(), () => {
          written++
        }),
      ).toBe(0)
      expect(written).toBe(5000)
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('nothing dirty: no callback, 0', () => {
      const mapping = new AddressSpace()
      add(mapping, ...range(0, 9))
      expect(
        mapping.writePages(syncAll(), () => {
          throw new Error('called')
        }),
      ).toBe(0)
    })

    test('stops as writeback_iter does, and remembers where', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      mapping.writebackIndex = 10
      const wbc = new WritebackControl({ rangeCyclic: true, nrToWrite: 40 })
      const seen: number[] = []
      mapping.writePages(wbc, (folio) => {
        seen.push(folio.index)
      })
      expect(seen).toEqual(range(10, 49))
      expect(wbc.nrToWrite).toBe(0)
      expect(mapping.writebackIndex).toBe(50)
      mapping.writePages(new WritebackControl({ rangeCyclic: true }), () => {})
      expect(mapping.writebackIndex).toBe(0)
      expect(marks(mapping).dirty).toEqual(range(0, 9))
    })

    test.each([1, 2, BATCH - 1, BATCH, BATCH + 1, 50])('nr_to_write %d', (nrToWrite) => {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl({ nrToWrite })
      mapping.writePages(wbc, () => {})
      expect(wbc.nrToWrite).toBe(0)
      expect(marks(mapping).dirty).toEqual(range(nrToWrite, 99))
      expect(folios.slice(nrToWrite).every((folio) => flags(folio) === 'dirty')).toBe(true)
    })

    test('large folios may make it negative', () => {
      const { mapping } = dirtyAt([0, 3], [8, 3], [16, 3])
      const wbc = new WritebackControl({ nrToWrite: 9 })
      mapping.writePages(wbc, () => {})
      expect(wbc.nrToWrite).toBe(-7)
      expect(marks(mapping).dirty).toEqual([16])
    })
  })

  describe('a callback that does part of it itself', () => {
    test('a folio that it unlocked is left alone', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      mapping.writePages(syncAll(), (folio) => {
        if (folio.index === 1) folio.unlock()
      })
      expect(folios.map(flags)).toEqual(['', '', ''])
      // The callback left the folio neither written nor dirty. The marks show this.
      expect(marks(mapping)).toEqual({ dirty: [1], writeback: [], towrite: [1] })
    })

    test('a folio that it started is unlocked and ended', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      mapping.writePages(syncAll(), (folio) => folio.startWriteback())
      expect(folios.map(flags)).toEqual(['', ''])
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('a folio that it started and unlocked stays under writeback until it ends it', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      mapping.writePages(syncAll(), (folio) => {
        folio.startWriteback()
        folio.unlock()
      })
      expect(folios.map(flags)).toEqual(['writeback', 'writeback', 'writeback'])
      expect(marks(mapping).writeback).toEqual([0, 1, 2])
      for (const folio of folios) folio.endWriteback()
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('a folio that it wrote to the end', () => {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      mapping.writePages(syncAll(), write)
      expect(new Set(folios.map(flags))).toEqual(new Set(['']))
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('keep-write keeps the tag', () => {
      const { mapping } = dirtyAt(0, 1)
      mapping.writePages(syncAll(), (folio) => folio.startWriteback(folio.index === 1))
      expect(marks(mapping)).toEqual({ dirty: [], writeback: [], towrite: [1] })
    })

    test('a folio that it dirtied again is written, and dirty again', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      mapping.writePages(syncAll(), (folio) => {
        if (folio.index === 1) folio.markDirty()
      })
      expect(folios.map(flags)).toEqual(['', 'dirty', ''])
      expect(marks(mapping)).toEqual({ dirty: [1], writeback: [], towrite: [] })
    })

    test('a folio that it redirtied, too; its pages count as skipped', () => {
      const { mapping, folios } = dirtyAt(0, [8, 3])
      const wbc = syncAll()
      mapping.writePages(wbc, (folio) => {
        folio.redirtyForWritepage(wbc)
      })
      expect(wbc.pagesSkipped).toBe(9)
      expect(folios.map(flags)).toEqual(['dirty', 'dirty'])
    })

    test('a folio that it unlocked and removed', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl({ nrToWrite: 1000 })
      mapping.writePages(wbc, (folio) => {
        folio.unlock()
        mapping.removeFolio(folio)
      })
      expect(mapping.nrPages).toBe(0)
      expect(wbc.nrToWrite).toBe(900)
    })

    test('a new folio in its place is not touched', () => {
      const { mapping } = dirtyAt(...range(0, 40))
      mapping.writePages(syncAll(), (folio) => {
        folio.unlock()
        mapping.removeFolio(folio)
        const [other] = addDirty(mapping, folio.index)
        other.tryLock()
      })
      expect([...mapping.folios()].map(flags)).toEqual(range(0, 40).map(() => 'locked dirty'))
    })
  })

  describe('a negative errno', () => {
    test('the folio is dirty again and unlocked; WB_SYNC_NONE ends with it', () => {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      const wbc = new WritebackControl({ nrToWrite: 100 })
      const seen: number[] = []
      const returned = mapping.writePages(wbc, (folio) => {
        seen.push(folio.index)
        return folio.index === 7 ? -EIO : 0
      })
      expect(returned).toBe(-EIO)
      expect(seen).toEqual(range(0, 7))
      expect(wbc.nrToWrite).toBe(92)
      expect(folios.map(flags)).toEqual(range(0, 40).map((index) => (index < 7 ? '' : 'dirty')))
      expect(marks(mapping).dirty).toEqual(range(7, 40))
    })

    test('WB_SYNC_ALL goes on, and returns the first', () => {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      const returned = mapping.writePages(syncAll(), ({ index }) => {
        if (index === 7) return -EIO
        return index === 8 || index === 40 ? -ENOSPC : 0
      })
      expect(returned).toBe(-EIO)
      expect(marks(mapping)).toEqual({ dirty: [7, 8, 40], writeback: [], towrite: [7, 8, 40] })
      expect(folios.filter((folio) => folio.dirty).map(flags)).toEqual(['dirty', 'dirty', 'dirty'])
      expect(mapping.writePages(syncAll(), () => {})).toBe(0)
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('each folio', () => {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      expect(mapping.writePages(syncAll(), () => -EIO)).toBe(-EIO)
      expect(new Set(folios.map(flags))).toEqual(new Set(['dirty']))
      expect(marks(mapping).dirty).toEqual(range(0, 99))
    })

    test.each([
      ['unlocked', (folio: Folio) => folio.unlock(), 'dirty'],
      ['started', (folio: Folio) => folio.startWriteback(), 'dirty'],
      ['started and unlocked', startAndUnlock, 'dirty writeback'],
      ['written', write, 'dirty'],
    ])('after the callback had it %s', (_, body, left) => {
      const { mapping, folios } = dirtyAt(0)
      mapping.writePages(syncAll(), (folio) => {
        body(folio)
        return -EIO
      })
      expect(folios.map(flags)).toEqual([left])
      expect(marks(mapping).dirty).toEqual([0])
    })

    test('after the callback removed it', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      const returned = mapping.writePages(syncAll(), (folio) => {
        if (folio.index === 1) return 0
        folio.unlock()
        mapping.removeFolio(folio)
        return -EIO
      })
      expect(returned).toBe(-EIO)
      expect(flags(folios[0])).toBe('')
      expect(indices(mapping.folios())).toEqual([1])
    })

    test('a cyclic pass remembers the page behind', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      mapping.writePages(new WritebackControl({ rangeCyclic: true }), ({ index }) => (index === 4 ? -EIO : 0))
      expect(mapping.writebackIndex).toBe(5)
    })
  })

  describe('a callback that throws', () => {
    test.each([0, 1, 7, BATCH - 1, BATCH, 98, 99])(
      'at folio %d: it is dirty again and unlocked, the pass is over',
      (bad) => {
        const { mapping, folios } = dirtyAt(...range(0, 99))
        const wbc = new WritebackControl({ syncMode: 'all', nrToWrite: 1000 })
        const mine = new Error('mine')
        const call = () =>
          mapping.writePages(wbc, ({ index }) => {
            if (index === bad) throw mine
          })
        expect(thrown(call)).toBe(mine)
        expect(folios.map(flags)).toEqual(range(0, 99).map((index) => (index < bad ? '' : 'dirty')))
        expect(marks(mapping).dirty).toEqual(range(bad, 99))
        expect(wbc.nrToWrite).toBe(1000 - bad)
        expect(mapping.writePages(wbc, () => {})).toBe(0)
        expect(marks(mapping)).toEqual(CLEAN)
      },
    )

    test('what it throws may be anything', () => {
      const { mapping } = dirtyAt(0)
      for (const value of [undefined, null, 7, 'text']) {
        const call = () =>
          mapping.writePages(new WritebackControl(), () => {
            throw value
          })
        expect(thrown(call)).toBe(value)
        expect(marks(mapping).dirty).toEqual([0])
      }
    })

    test('after it started the folio: it does not stay under writeback', () => {
      const { mapping, folios } = dirtyAt(...range(0, 4))
      const call = () =>
        mapping.writePages(syncAll(), (folio) => {
          folio.startWriteback()
          if (folio.index === 2) throw new Error('mine')
        })
      expect(call).toThrow('mine')
      expect(folios.map(flags)).toEqual(['', '', 'dirty', 'dirty', 'dirty'])
      expect(marks(mapping)).toMatchObject({ dirty: [2, 3, 4], writeback: [] })
    })

    test('after it unlocked, removed, or closed', () => {
      for (const how of ['unlock', 'remove', 'close']) {
        const { mapping, folios } = dirtyAt(0, 1)
        const call = () =>
          mapping.writePages(new WritebackControl(), (folio) => {
            if (how !== 'close') folio.unlock()
            if (how === 'remove') mapping.removeFolio(folio)
            if (how === 'close') mapping.close()
            throw new Error('mine')
          })
        expect(call).toThrow('mine')
        expect(flags(folios[0])).toBe({ unlock: 'dirty', remove: '', close: 'locked' }[how])
      }
    })

    test('writebackIndex is not touched', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      mapping.writebackIndex = 3
      const call = () =>
        mapping.writePages(new WritebackControl({ rangeCyclic: true }), ({ index }) => {
          if (index === 6) throw new Error('mine')
        })
      expect(call).toThrow('mine')
      expect(mapping.writebackIndex).toBe(3)
    })
  })

  test.each([
    [1, '1'],
    [0x80000, '524288'],
    [Number.NaN, 'NaN'],
    [-0.5, '-0.5'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
    [-(2 ** 31) - 1, '-2147483649'],
    ['0', '"0"'],
    ['', '""'],
    [null, 'null'],
    [false, 'false'],
    [0n, '0n'],
    [Promise.resolve(0), 'an object'],
    [() => 0, 'a function'],
  ])('an illegal result, %s, is EINVAL and as a throw', (result, name) => {
    for (const bad of [0, 5, 40]) {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      expectError(
        () => mapping.writePages(syncAll(), ({ index }) => (index === bad ? (result as number) : 0)),
        'EINVAL',
        `the callback's result is ${name}, expected nothing, 0 or a negative errno`,
      )
      expect(folios.map(flags)).toEqual(range(0, 40).map((index) => (index < bad ? '' : 'dirty')))
      expect(marks(mapping).dirty).toEqual(range(bad, 40))
    }
  })

  describe('whatever the callback looks at first, at folio 5 of 0 to 40', () => {
    type Look = (mapping: Mapping, wbc: Control, folios: Folio[]) => unknown
    const looks: [string, Look, unknown][] = [
      ['the flags of the next', (_, __, folios) => [folios[6].locked, folios[6].dirty], [false, true]],
      ['whether the next is dirty', (_, __, folios) => folios[6].dirty, true],
      ['whether the next is under writeback', (_, __, folios) => folios[6].writeback, false],
      ['whether the last is locked', (_, __, folios) => folios[30].locked, false],
      ['the flags of the one before', (_, __, folios) => flags(folios[4]), ''],
      [
        'the lock of the one before',
        (_, __, folios) => [folios[4].tryLock(), folios[4].unlock()],
        [true, undefined],
      ],
      ['the flags of the one in hand', (_, __, folios) => flags(folios[5]), 'locked'],
      ['the lock of the one in hand', (_, __, folios) => folios[5].tryLock(), false],
      ['nrToWrite', (_, wbc) => wbc.nrToWrite, 95],
      ['the DIRTY marks', (mapping) => indices(mapping.folios('dirty')), range(5, 40)],
      ['the TOWRITE marks', (mapping) => indices(mapping.folios('towrite')), range(5, 40)],
      ['tagged', (mapping) => mapping.tagged('writeback'), false],
      ['all folios', (mapping) => [...mapping.folios()].filter((folio) => folio.locked).length, 1],
      ['getFolio', (mapping) => flags(mapping.getFolio(20) as Folio), 'dirty'],
      ['markDirty of the next', (_, __, folios) => folios[6].markDirty(), false],
      [
        'markDirty of the one before, and back',
        (mapping, __, folios) => [
          folios[4].markDirty(),
          mapping.writePages(new WritebackControl({ rangeEnd: 4 * PAGE }), () => {}),
        ],
        [true, 0],
      ],
      [
        'unlock of the next',
        (_, __, folios) => (thrown(() => folios[6].unlock()) as Error).message,
        'EINVAL: folio 6 is not locked',
      ],
      [
        'startWriteback of the next',
        (_, __, folios) => (thrown(() => folios[6].startWriteback()) as Error).message,
        'EINVAL: folio 6 is not locked',
      ],
      [
        'endWriteback of the next',
        (_, __, folios) => (thrown(() => folios[6].endWriteback()) as Error).message,
        'EINVAL: folio 6 is not under writeback',
      ],
      [
        'a pass of another',
        (mapping) => pass(backend, mapping, new WritebackControl({ rangeEnd: 4 * PAGE })).written,
        [],
      ],
      [
        'a pass that would wait',
        (mapping) => (thrown(() => mapping.writePages(new WritebackControl(), () => 0)) as Error).message,
        'EDEADLK: the pass would wait for folio 5, which is locked',
      ],
      [
        'another mapping with the control',
        (_, wbc) => [new AddressSpace().tagged('dirty'), wbc.nrToWrite],
        [false, 95],
      ],
      ['nrPages', (mapping) => mapping.nrPages, 41],
      [
        'uptodate',
        (_, __, folios) => {
          folios[6].uptodate = false
          return flags(folios[6])
        },
        'dirty',
      ],
    ]

    test.each(looks)('%s: as if the folios were taken one by one', (_, look, expected) => {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      const wbc = new WritebackControl({ syncMode: 'all', nrToWrite: 100 })
      const seen: number[] = []
      let result: unknown
      const returned = mapping.writePages(wbc, ({ index }) => {
        seen.push(index)
        if (index === 5) result = look(mapping, wbc, folios)
      })
      expect(result).toEqual(expected)
      expect(returned).toBe(0)
      expect(seen).toEqual(range(0, 40))
      expect(wbc.nrToWrite).toBe(59)
      expect(new Set(folios.map(flags))).toEqual(new Set(['']))
      expect(marks(mapping)).toEqual(CLEAN)
    })
  })

  describe('a callback that changes others', () => {
    /** Which folios a pass over 0 to 99 writes, if `happens` is called in the callback for folio 3. */
    function during(
      happens: (mapping: Mapping, folios: Folio[], wbc: Control) => void,
      syncMode: 'none' | 'all' = 'none',
    ) {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl({ syncMode })
      const written: number[] = []
      mapping.writePages(wbc, (folio) => {
        written.push(folio.index)
        if (folio.index === 3) happens(mapping, folios, wbc)
      })
      return { mapping, folios, wbc, written }
    }
    const without = (...gone: number[]) => range(0, 99).filter((index) => !gone.includes(index))

    test('removes some: they are not written', () => {
      const { written } = during((mapping, folios) => {
        for (const index of [0, 4, 20, BATCH - 1, 60]) mapping.removeFolio(folios[index])
      })
      expect(written).toEqual(without(4, 20, BATCH - 1, 60))
    })

    test('removes some and adds others in their place', () => {
      const { mapping, written } = during((mapping, folios) => {
        for (const index of [4, 20, 60]) mapping.removeFolio(folios[index])
        addDirty(mapping, 4, 20, 60)
      })
      expect(written).toEqual(without(4, 20))
      expect(marks(mapping).dirty).toEqual([4, 20])
    })

    test('writes some: they are not written again', () => {
      const { written } = during((mapping) => {
        const other = new WritebackControl({ rangeStart: 10 * PAGE, rangeEnd: 50 * PAGE })
        expect(mapping.writePages(other, () => {})).toBe(0)
      })
      expect(written).toEqual(without(...range(10, 50)))
    })

    test('dirties what was written: it stays dirty', () => {
      const { mapping, written } = during((_, folios) => {
        for (const folio of folios.slice(0, 3)) folio.markDirty()
      }, 'all')
      expect(written).toEqual(range(0, 99))
      expect(marks(mapping)).toEqual({ dirty: [0, 1, 2], writeback: [], towrite: [] })
    })

    test('adds and dirties: behind the batch, found by WB_SYNC_NONE only', () => {
      const more = (mapping: Mapping) => void addDirty(mapping, 1000, 1001)
      expect(during(more).written).toEqual([...range(0, 99), 1000, 1001])
      const sync = during(more, 'all')
      expect(sync.written).toEqual(range(0, 99))
      expect(marks(sync.mapping).dirty).toEqual([1000, 1001])
    })

    test('locks one: the pass waits for it', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      expectError(
        () => mapping.writePages(syncAll(), ({ index }) => void (index === 3 && folios[5].tryLock())),
        'EDEADLK',
        'the pass would wait for folio 5, which is locked',
      )
      expect(folios.map(flags)).toEqual(
        range(0, 9).map((i) => (i < 5 ? '' : i === 5 ? 'locked dirty' : 'dirty')),
      )
    })

    test('puts one under writeback: WB_SYNC_NONE skips it', () => {
      const { folios, written } = during((_, folios) => putUnderWriteback(folios[5]))
      expect(written).toEqual(without(5))
      expect(flags(folios[5])).toBe('dirty writeback')
    })

    test('changes nr_to_write: it is live', () => {
      const lowered = during((_, __, wbc) => {
        wbc.nrToWrite = 4
      })
      expect(lowered.written).toEqual(range(0, 6))
      expect(lowered.wbc.nrToWrite).toBe(0)
    })

    test('changes modes and range: the next pass reads them', () => {
      const { wbc, written, mapping } = during((_, __, wbc) => {
        wbc.syncMode = 'all'
        wbc.rangeStart = 90 * PAGE
        wbc.rangeCyclic = true
      })
      expect(written).toEqual(range(0, 99))
      expect(wbc.rangeCyclic).toBe(true)
      expect(mapping.writebackIndex).toBe(0)
    })

    test('closes the mapping: EBADF after it returned, and no callback any more', () => {
      for (const at of [0, 3, 40]) {
        const { mapping, folios } = dirtyAt(...range(0, 40))
        const wbc = new WritebackControl({ nrToWrite: 100 })
        const seen: number[] = []
        expectError(
          () =>
            mapping.writePages(wbc, ({ index }) => {
              seen.push(index)
              if (index === at) mapping.close()
            }),
          'EBADF',
          'the mapping is closed',
        )
        expect(seen).toEqual(range(0, at))
        expect(folios.map(flags)).toEqual(
          range(0, 40).map((index) => (index < at ? '' : index === at ? 'locked' : 'dirty')),
        )
        expect(wbc.nrToWrite).toBe(100 - at)
      }
    })
  })

  describe('a callback that runs passes itself', () => {
    test('with another control, over the rest', () => {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      const inner: number[] = []
      const outer: number[] = []
      mapping.writePages(new WritebackControl(), (folio) => {
        outer.push(folio.index)
        if (folio.index !== 3) return
        mapping.writePages(new WritebackControl({ rangeStart: 4 * PAGE }), ({ index }) => {
          inner.push(index)
        })
        expect(folios.map(flags)).toEqual(range(0, 99).map((index) => (index === 3 ? 'locked' : '')))
      })
      expect(outer).toEqual(range(0, 3))
      expect(inner).toEqual(range(4, 99))
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('with another control, which fails: only that one', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      let inner: unknown
      const outer: number[] = []
      const returned = mapping.writePages(new WritebackControl(), (folio) => {
        outer.push(folio.index)
        if (folio.index === 3) {
          inner = mapping.writePages(new WritebackControl({ rangeStart: 4 * PAGE }), ({ index }) =>
            index === 20 ? -EIO : 0,
          )
        }
      })
      expect(inner).toBe(-EIO)
      expect(returned).toBe(0)
      expect(outer).toEqual([...range(0, 3), ...range(20, 99)])
    })

    test('three deep', () => {
      const { mapping } = dirtyAt(...range(0, 29))
      const seen: string[] = []
      const nest = (depth: number, start: number) => {
        mapping.writePages(new WritebackControl({ rangeStart: start * PAGE }), ({ index }) => {
          seen.push(`${depth}:${index}`)
          if (depth < 3) nest(depth + 1, index + 5)
        })
      }
      nest(1, 0)
      expect(marks(mapping)).toEqual(CLEAN)
      expect(seen.map((text) => Number(text.slice(2))).toSorted((a, b) => a - b)).toEqual(range(0, 29))
      expect(seen.slice(0, 3)).toEqual(['1:0', '2:5', '3:10'])
    })

    test('over its own folio, it would wait for itself: EDEADLK, and the outer pass goes on', () => {
      const { mapping } = dirtyAt(0, 1, 2)
      const inner: unknown[] = []
      const returned = mapping.writePages(new WritebackControl(), () => {
        inner.push(thrown(() => mapping.writePages(new WritebackControl(), () => {})))
      })
      expect(returned).toBe(0)
      expect(inner.map((error) => (error as { code: string }).code)).toEqual([
        'EDEADLK',
        'EDEADLK',
        'EDEADLK',
      ])
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('with its own control: the outer one is over', () => {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl()
      const outer: number[] = []
      expectError(
        () =>
          mapping.writePages(wbc, (folio) => {
            outer.push(folio.index)
            wbc.rangeStart = 50 * PAGE
            expect(mapping.writePages(wbc, () => {})).toBe(0)
          }),
        'EINVAL',
        'another pass was started on this control',
      )
      expect(outer).toEqual([0])
      expect(folios.map(flags)).toEqual(range(0, 99).map((index) => (index < 50 ? 'dirty' : '')))
    })

    test('with its own control on another mapping: the outer one is over, too', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      const other = dirtyAt(7)
      const wbc = new WritebackControl({ nrToWrite: 10 })
      expectError(
        () => mapping.writePages(wbc, () => void other.mapping.writePages(wbc, () => {})),
        'EINVAL',
        'another pass was started on this control',
      )
      expect(folios.map(flags)).toEqual(['dirty', 'dirty'])
      expect(marks(other.mapping)).toEqual(CLEAN)
    })

    test('nobody else steps the pass: writebackIter with its control and folio is EINVAL', () => {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      const wbc = new WritebackControl({ nrToWrite: 100 })
      const returned = mapping.writePages(wbc, (folio) => {
        expectError(
          () => writebackIter(mapping, wbc, folio, { value: 0 }),
          'EINVAL',
          `folio ${folio.index} is not what this pass returned last`,
        )
      })
      expect(returned).toBe(0)
      expect(wbc.nrToWrite).toBe(59)
      expect(new Set(folios.map(flags))).toEqual(new Set(['']))
    })

    test('writebackIter with its control and null starts another pass', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      const wbc = new WritebackControl()
      let inner: Folio | null = null
      expectError(
        () =>
          mapping.writePages(wbc, (folio) => {
            folio.startWriteback()
            inner = writebackIter(mapping, wbc, null, { value: 0 })
          }),
        'EINVAL',
        'another pass was started on this control',
      )
      expect(inner).toBe(folios[1])
      expect(flags(folios[0])).toBe('dirty')
      expect(flags(folios[1])).toBe('locked')
      write(folios[1])
      expect(writebackIter(mapping, wbc, folios[1], { value: 0 })).toBe(folios[2])
    })

    test('a loop over an iterator with another control', () => {
      const { mapping } = dirtyAt(...range(0, 40))
      const inner: number[] = []
      mapping.writePages(new WritebackControl(), ({ index }) => {
        for (const folio of mapping.writeback(new WritebackControl({ rangeStart: (index + 1) * PAGE }))) {
          inner.push(folio.index)
          write(folio)
          if (inner.length % 3 === 0) break
        }
      })
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('an iterator whose folio is somebody else’s by now may be left', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      const control = new WritebackControl({ rangeStart: 5 * PAGE })
      const iterator = mapping.writeback(control)
      expect(iterator.next().value).toBe(folios[5])
      folios[5].markDirty()
      folios[5].unlock()
      pass(backend, new AddressSpace(), control)
      const written: number[] = []
      mapping.writePages(new WritebackControl(), ({ index }) => {
        written.push(index)
        if (index === 2) iterator.return()
      })
      expect(written).toEqual(range(0, 9))
      expect(marks(mapping)).toEqual(CLEAN)
    })
  })

  test('folios that the callback keeps may be used after the pass', () => {
    const { mapping } = dirtyAt(...range(0, 99))
    const kept: Folio[] = []
    mapping.writePages(new WritebackControl(), (folio) => {
      kept.push(folio)
    })
    expect(new Set(kept.map(flags))).toEqual(new Set(['']))
    for (const folio of kept) expect(folio.markDirty()).toBe(true)
    expect(marks(mapping).dirty).toEqual(range(0, 99))
    for (const folio of kept) mapping.removeFolio(folio)
    expectError(() => kept[50].unlock(), 'ESTALE', 'folio 50 was removed from its mapping')
    mapping.close()
    expect(kept[99].index).toBe(99)
  })

  describe('waiting', () => {
    test.each(['none', 'all'] as const)('without a hook: EDEADLK, nothing in hand, sync %s', (syncMode) => {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      folios[40].tryLock()
      const wbc = new WritebackControl({ syncMode, nrToWrite: 1000 })
      expectError(
        () => mapping.writePages(wbc, () => {}),
        'EDEADLK',
        'the pass would wait for folio 40, which is locked',
      )
      expect(folios.map(flags)).toEqual(
        range(0, 99).map((index) => (index < 40 ? '' : index === 40 ? 'locked dirty' : 'dirty')),
      )
      expect(wbc.nrToWrite).toBe(960)
    })

    test('a later pass writes the rest', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      folios[4].tryLock()
      const wbc = syncAll()
      expect(thrown(() => mapping.writePages(wbc, () => {}))).toMatchObject({ code: 'EDEADLK' })
      folios[4].unlock()
      const rest: number[] = []
      mapping.writePages(wbc, ({ index }) => {
        rest.push(index)
      })
      expect(rest).toEqual(range(4, 9))
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('the pass is over: writebackIter does not take it up', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      folios[1].tryLock()
      const wbc = new WritebackControl()
      expect(thrown(() => mapping.writePages(wbc, () => {}))).toMatchObject({ code: 'EDEADLK' })
      expectError(
        () => writebackIter(mapping, wbc, folios[0], { value: 0 }),
        'EINVAL',
        'folio 0 is not what this pass returned last',
      )
    })

    test('the hook may release; the folios before are written by then', () => {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      folios[0].tryLock()
      folios[20].tryLock()
      putUnderWriteback(folios[35])
      const waits: string[] = []
      const written: number[] = []
      const returned = mapping.writePages(
        syncAll(),
        ({ index }) => {
          written.push(index)
        },
        {
          onWait: (folio, reason) => {
            waits.push(
              `${reason} ${folio.index} ${flags(folio)}, clean: ${folios.filter((f) => flags(f) === '').length}`,
            )
            if (reason === 'lock') folio.unlock()
            else folio.endWriteback()
          },
        },
      )
      expect(waits).toEqual([
        'lock 0 locked dirty, clean: 0',
        'lock 20 locked dirty, clean: 20',
        'writeback 35 dirty writeback, clean: 35',
      ])
      expect(returned).toBe(0)
      expect(written).toEqual(range(0, 40))
    })

    test('what the hook throws ends the pass', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[1].tryLock()
      const mine = new Error('mine')
      const call = () =>
        mapping.writePages(new WritebackControl(), () => {}, {
          onWait: () => {
            throw mine
          },
        })
      expect(thrown(call)).toBe(mine)
      expect(folios.map(flags)).toEqual(['', 'locked dirty', 'dirty'])
    })

    test('a hook that closes the mapping: EBADF', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      folios[1].tryLock()
      expectError(
        () => mapping.writePages(new WritebackControl(), () => {}, { onWait: () => mapping.close() }),
        'EBADF',
        'the mapping is closed',
      )
    })

    test('a hook that starts another pass on the control: EINVAL', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[1].tryLock()
      const wbc = new WritebackControl()
      expectError(
        () =>
          mapping.writePages(wbc, () => {}, {
            onWait: (folio) => {
              folio.unlock()
              mapping.writePages(wbc, () => {})
            },
          }),
        'EINVAL',
        'another pass was started on this control',
      )
      expect(marks(mapping)).toEqual(CLEAN)
    })
  })

  test('an unfinished pass on the control is released first', () => {
    const { mapping, folios } = dirtyAt(...range(0, 9))
    const wbc = new WritebackControl()
    const error = { value: 0 }
    const first = writebackIter(mapping, wbc, null, error) as Folio
    write(first)
    const written: number[] = []
    mapping.writePages(wbc, ({ index }) => {
      written.push(index)
    })
    expect(written).toEqual(range(1, 9))
    expectError(
      () => writebackIter(mapping, wbc, folios[0], error),
      'EINVAL',
      'folio 0 is not what this pass returned last',
    )
  })
})
