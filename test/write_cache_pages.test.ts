// SPDX-License-Identifier: GPL-2.0-only
// write_cache_pages, the legacy wrapper: the callback starts and unlocks the folio itself.

import { describe, expect, test } from 'vitest'
import type { Folio } from '../lib/types.js'
import { backends } from './backends.js'
import { addDirty, EIO, ENOSPC, expectError, flags, marks, range, thrown, write } from './helpers.js'

describe.each(backends)('writeCachePages, $backend', (backend) => {
  const { AddressSpace, WritebackControl, writebackIter, writeCachePages, AOP_WRITEPAGE_ACTIVATE } = backend
  const syncAll = () => new WritebackControl({ syncMode: 'all' })

  function dirtyAt(...places: (number | readonly [number, number])[]) {
    const mapping = new AddressSpace()
    return { mapping, folios: addDirty(mapping, ...places) }
  }

  test('AOP_WRITEPAGE_ACTIVATE is the kernel’s 0x80000', () => {
    expect(AOP_WRITEPAGE_ACTIVATE).toBe(0x80000)
  })

  test('calls back for each folio, with the control', () => {
    const { mapping, folios } = dirtyAt(...range(0, 40), [64, 6])
    const wbc = new WritebackControl({ nrToWrite: 1000 })
    const seen: Folio[] = []
    const returned = writeCachePages(mapping, wbc, (folio, control) => {
      expect(control).toBe(wbc)
      expect(flags(folio)).toBe('locked')
      seen.push(folio)
      write(folio)
    })
    expect(returned).toBe(0)
    expect(seen).toEqual(folios)
    expect(wbc.nrToWrite).toBe(1000 - 41 - 64)
    expect(marks(mapping)).toEqual({ dirty: [], writeback: [], towrite: [] })
  })

  test('the folio is as the callback leaves it', () => {
    const { mapping, folios } = dirtyAt(0, 1, 2, 3)
    writeCachePages(mapping, syncAll(), (folio) => {
      if (folio.index === 1) folio.unlock()
      if (folio.index === 2) folio.startWriteback()
      if (folio.index === 3) write(folio)
    })
    expect(folios.map(flags)).toEqual(['locked', '', 'locked writeback', ''])
    expect(marks(mapping)).toEqual({ dirty: [0, 1], writeback: [2], towrite: [0, 1] })
  })

  test('AOP_WRITEPAGE_ACTIVATE: it is unlocked for the callback, and that is no error', () => {
    const { mapping, folios } = dirtyAt(...range(0, 40))
    const wbc = new WritebackControl({ nrToWrite: 100 })
    let nr = 0
    const returned = writeCachePages(mapping, wbc, (folio) => {
      nr++
      folio.redirtyForWritepage(wbc)
      return AOP_WRITEPAGE_ACTIVATE
    })
    expect(returned).toBe(0)
    expect(nr).toBe(41)
    expect(new Set(folios.map(flags))).toEqual(new Set(['dirty']))
    expect([wbc.nrToWrite, wbc.pagesSkipped]).toEqual([59, 41])
  })

  test('AOP_WRITEPAGE_ACTIVATE for a folio that the callback unlocked is EINVAL, and ends the pass', () => {
    const { mapping, folios } = dirtyAt(0, 1)
    const call = () =>
      writeCachePages(mapping, new WritebackControl(), (folio) => {
        write(folio)
        return AOP_WRITEPAGE_ACTIVATE
      })
    expectError(call, 'EINVAL', 'folio 0 is not locked')
    expect(folios.map(flags)).toEqual(['', 'dirty'])
  })

  test('AOP_WRITEPAGE_ACTIVATE for a folio that it removed is ESTALE', () => {
    const { mapping } = dirtyAt(0, 1)
    const call = () =>
      writeCachePages(mapping, new WritebackControl(), (folio) => {
        folio.unlock()
        mapping.removeFolio(folio)
        return AOP_WRITEPAGE_ACTIVATE
      })
    expectError(call, 'ESTALE', 'folio 0 was removed from its mapping')
  })

  test('an errno ends WB_SYNC_NONE; the folio is the callback’s business', () => {
    const { mapping, folios } = dirtyAt(...range(0, 9))
    const returned = writeCachePages(mapping, new WritebackControl({ rangeCyclic: true }), (folio) => {
      if (folio.index < 4) return write(folio)
      folio.unlock()
      return -EIO
    })
    expect(returned).toBe(-EIO)
    expect(mapping.writebackIndex).toBe(5)
    expect(flags(folios[4])).toBe('')
    expect(marks(mapping).dirty).toEqual(range(4, 9))
  })

  test('WB_SYNC_ALL goes on, and returns the first errno', () => {
    const { mapping } = dirtyAt(...range(0, 40))
    const returned = writeCachePages(mapping, syncAll(), (folio) => {
      write(folio)
      if (folio.index === 3) return -ENOSPC
      return folio.index === 7 ? -EIO : 0
    })
    expect(returned).toBe(-ENOSPC)
    expect(mapping.tagged('dirty')).toBe(false)
  })

  test.each([0, 5, 40])('a throw at folio %d: it is dirty again and unlocked, the pass is over', (bad) => {
    const { mapping, folios } = dirtyAt(...range(0, 40))
    const wbc = new WritebackControl({ nrToWrite: 100 })
    const mine = new Error('mine')
    const call = () =>
      writeCachePages(mapping, wbc, (folio) => {
        if (folio.index === bad) throw mine
        write(folio)
      })
    expect(thrown(call)).toBe(mine)
    expect(folios.map(flags)).toEqual(range(0, 40).map((index) => (index < bad ? '' : 'dirty')))
    expect(wbc.nrToWrite).toBe(100 - bad)
    expect(writeCachePages(mapping, wbc, write)).toBe(0)
    expect(mapping.tagged('dirty')).toBe(false)
  })

  test('a throw after the folio was started leaves it to the callback', () => {
    const { mapping, folios } = dirtyAt(0)
    const call = () =>
      writeCachePages(mapping, syncAll(), (folio) => {
        folio.startWriteback()
        throw new Error('mine')
      })
    expect(call).toThrow('mine')
    expect(flags(folios[0])).toBe('locked writeback')
  })

  test.each([1, 0x80001, Number.NaN, '0', null, true, Promise.resolve(0)])(
    'an illegal result, %s, is EINVAL and as a throw',
    (result) => {
      const { mapping, folios } = dirtyAt(0, 1)
      expectError(
        () => writeCachePages(mapping, syncAll(), () => result as number),
        'EINVAL',
        /the callback's result is .*, expected nothing, 0 or a negative errno/,
      )
      expect(folios.map(flags)).toEqual(['dirty', 'dirty'])
    },
  )

  test('a callback that closes the mapping: EBADF, and no callback any more', () => {
    const { mapping } = dirtyAt(0, 1)
    let nr = 0
    const call = () =>
      writeCachePages(mapping, new WritebackControl(), () => {
        nr++
        mapping.close()
      })
    expectError(call, 'EBADF', 'the mapping is closed')
    expect(nr).toBe(1)
  })

  test('a pass within, on the same control, ends this one', () => {
    const { mapping, folios } = dirtyAt(0, 1, 2)
    const wbc = new WritebackControl()
    const call = () =>
      writeCachePages(mapping, wbc, (folio) => {
        write(folio)
        writeCachePages(mapping, wbc, write)
      })
    expectError(call, 'EINVAL', 'another pass was started on this control')
    expect(folios.map(flags)).toEqual(['', '', ''])
  })

  test('nobody else steps the pass', () => {
    const { mapping } = dirtyAt(0, 1, 2)
    const wbc = new WritebackControl()
    let nr = 0
    writeCachePages(mapping, wbc, (folio) => {
      nr++
      write(folio)
      expectError(
        () => writebackIter(mapping, wbc, folio, { value: 0 }),
        'EINVAL',
        `folio ${folio.index} is not what this pass returned last`,
      )
    })
    expect(nr).toBe(3)
  })

  test('waits by the hook, else EDEADLK', () => {
    const { mapping, folios } = dirtyAt(0, 1, 2)
    folios[1].tryLock()
    const call = (options = {}) => writeCachePages(mapping, syncAll(), write, options)
    expectError(call, 'EDEADLK', 'the pass would wait for folio 1, which is locked')
    expect(folios.map(flags)).toEqual(['', 'locked dirty', 'dirty'])
    expect(call({ onWait: (folio: Folio) => folio.unlock() })).toBe(0)
    expect(folios.map(flags)).toEqual(['', '', ''])
  })
})
