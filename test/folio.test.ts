// SPDX-License-Identifier: GPL-2.0-only
// A folio's flags and its marks, which deliberately may differ.

import { describe, expect, test } from 'vitest'
import { backends } from './backends.js'
import {
  add,
  addDirty,
  expectError,
  fields,
  flags,
  MAX_INDEX,
  marks,
  putUnderWriteback,
  range,
  snapshot,
  write,
} from './helpers.js'

describe.each(backends)('folio, $backend', ({ AddressSpace, WritebackControl, writebackIter }) => {
  /** A pass's folio: locked and cleared for I/O. */
  function folioInHand(mapping: InstanceType<typeof AddressSpace>) {
    const folio = writebackIter(mapping, new WritebackControl(), null, { value: 0 })
    if (folio === null) throw new Error('no dirty folio')
    return folio
  }

  test('a new folio is clean, up to date, unlocked and has no mark', () => {
    const mapping = new AddressSpace()
    const folio = mapping.addFolio(4, 2)
    expect(folio).toMatchObject({ index: 4, order: 2, nrPages: 4, uptodate: true })
    expect(folio.mapping).toBe(mapping)
    expect(flags(folio)).toBe('')
    expect(marks(mapping)).toEqual({ dirty: [], writeback: [], towrite: [] })
  })

  test.each([
    [0, 0],
    [MAX_INDEX, 0],
    [2 ** 51 - 2 ** 18, 18],
    [2 ** 31, 0],
    [2 ** 32 - 32, 5],
    [2 ** 32, 6],
    [2 ** 40 + 2 ** 17, 17],
  ])('index %d and order %d read as given', (index, order) => {
    const folio = new AddressSpace().addFolio(index, order)
    expect([folio.index, folio.order, folio.nrPages]).toEqual([index, order, 2 ** order])
  })

  describe('the lock', () => {
    test('tryLock takes it if it is free', () => {
      const folio = new AddressSpace().addFolio(1)
      expect(folio.tryLock()).toBe(true)
      expect(flags(folio)).toBe('locked')
      expect(folio.tryLock()).toBe(false)
      expect(flags(folio)).toBe('locked')
      folio.unlock()
      expect(flags(folio)).toBe('')
      expect(folio.tryLock()).toBe(true)
    })

    test('it changes no mark and no other flag', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, 1)
      putUnderWriteback(folio)
      mapping.tagPagesForWriteback(0, 9)
      folio.tryLock()
      expect(flags(folio)).toBe('locked dirty writeback')
      folio.unlock()
      expect(flags(folio)).toBe('dirty writeback')
      expect(marks(mapping)).toEqual({ dirty: [1], writeback: [1], towrite: [1] })
    })

    test('unlock of an unlocked folio is EINVAL', () => {
      const folio = new AddressSpace().addFolio(7)
      expectError(() => folio.unlock(), 'EINVAL', 'folio 7 is not locked')
    })
  })

  describe('markDirty', () => {
    test('sets the dirty flag and the DIRTY mark', () => {
      const mapping = new AddressSpace()
      const folio = mapping.addFolio(8, 3)
      expect(folio.markDirty()).toBe(true)
      expect(flags(folio)).toBe('dirty')
      expect(marks(mapping)).toEqual({ dirty: [8], writeback: [], towrite: [] })
    })

    test('where the flag is set already: returns false, nothing else', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, 8)
      mapping.tagPagesForWriteback(8, 8)
      const before = snapshot(mapping)
      expect(folio.markDirty()).toBe(false)
      expect(snapshot(mapping)).toEqual(before)
    })

    test('works on a locked folio and on one under writeback', () => {
      const mapping = new AddressSpace()
      const folio = mapping.addFolio(8)
      folio.tryLock()
      folio.startWriteback()
      expect(folio.markDirty()).toBe(true)
      expect(flags(folio)).toBe('locked dirty writeback')
      expect(marks(mapping)).toEqual({ dirty: [8], writeback: [8], towrite: [] })
    })
  })

  describe('cleared for I/O', () => {
    test('only the dirty flag goes: the DIRTY mark stays', () => {
      const mapping = new AddressSpace()
      addDirty(mapping, 3)
      expect(flags(folioInHand(mapping))).toBe('locked')
      expect(marks(mapping).dirty).toEqual([3])
    })

    test('a concurrent sync still finds the folio by its DIRTY mark', () => {
      const mapping = new AddressSpace()
      addDirty(mapping, 3)
      const folio = folioInHand(mapping)
      mapping.tagPagesForWriteback(0, MAX_INDEX)
      expect(marks(mapping).towrite).toEqual([3])
      const sync = new WritebackControl({ syncMode: 'all' })
      expectError(
        () => writebackIter(mapping, sync, null, { value: 0 }),
        'EDEADLK',
        /folio 3, which is locked/,
      )
      write(folio)
      expect(marks(mapping)).toEqual({ dirty: [], writeback: [], towrite: [] })
    })

    test('markDirty in between sets the flag again', () => {
      const mapping = new AddressSpace()
      addDirty(mapping, 3)
      const folio = folioInHand(mapping)
      expect(folio.markDirty()).toBe(true)
      expect(flags(folio)).toBe('locked dirty')
    })
  })

  describe('startWriteback', () => {
    test('sets the writeback flag and WRITEBACK mark and clears the DIRTY mark', () => {
      const mapping = new AddressSpace()
      addDirty(mapping, 3)
      const folio = folioInHand(mapping)
      folio.startWriteback()
      expect(flags(folio)).toBe('locked writeback')
      expect(marks(mapping)).toEqual({ dirty: [], writeback: [3], towrite: [] })
    })

    test('leaves the DIRTY mark where the folio was dirtied again', () => {
      const mapping = new AddressSpace()
      addDirty(mapping, 3)
      const folio = folioInHand(mapping)
      folio.markDirty()
      folio.startWriteback()
      expect(flags(folio)).toBe('locked dirty writeback')
      expect(marks(mapping)).toEqual({ dirty: [3], writeback: [3], towrite: [] })
    })

    test.each([
      [undefined, []],
      [false, []],
      [true, [3]],
    ])('keepWrite %s: TOWRITE is then on %j', (keepWrite, towrite) => {
      const mapping = new AddressSpace()
      addDirty(mapping, 3)
      const folio = folioInHand(mapping)
      mapping.tagPagesForWriteback(3, 3)
      folio.startWriteback(keepWrite)
      expect(marks(mapping)).toEqual({ dirty: [], writeback: [3], towrite })
    })

    test('keepWrite sets no TOWRITE that was not there', () => {
      const mapping = new AddressSpace()
      const folio = mapping.addFolio(3)
      folio.tryLock()
      folio.startWriteback(true)
      expect(marks(mapping)).toEqual({ dirty: [], writeback: [3], towrite: [] })
    })

    test('on an unlocked folio is EINVAL', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, 3)
      const before = snapshot(mapping)
      expectError(() => folio.startWriteback(), 'EINVAL', 'folio 3 is not locked')
      expect(snapshot(mapping)).toEqual(before)
    })

    test('on a folio under writeback is EINVAL', () => {
      const mapping = new AddressSpace()
      const folio = mapping.addFolio(3)
      folio.tryLock()
      folio.startWriteback()
      const before = snapshot(mapping)
      expectError(() => folio.startWriteback(), 'EINVAL', 'folio 3 is under writeback already')
      folio.unlock()
      expectError(() => folio.startWriteback(), 'EINVAL', 'folio 3 is under writeback already')
      folio.tryLock()
      expect(snapshot(mapping)).toEqual(before)
    })
  })

  describe('endWriteback', () => {
    test('clears the writeback flag and WRITEBACK mark, nothing else', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, 3)
      putUnderWriteback(folio)
      mapping.tagPagesForWriteback(3, 3)
      folio.tryLock()
      folio.endWriteback()
      expect(flags(folio)).toBe('locked dirty')
      expect(marks(mapping)).toEqual({ dirty: [3], writeback: [], towrite: [3] })
    })

    test('without writeback is EINVAL', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, 3)
      const before = snapshot(mapping)
      expectError(() => folio.endWriteback(), 'EINVAL', 'folio 3 is not under writeback')
      expect(snapshot(mapping)).toEqual(before)
    })
  })

  describe('redirtyForWritepage', () => {
    test('adds the pages to pagesSkipped, then as markDirty', () => {
      const mapping = new AddressSpace()
      addDirty(mapping, [4, 2])
      const wbc = new WritebackControl({ pagesSkipped: 10 })
      const folio = folioInHand(mapping)
      expect(folio.redirtyForWritepage(wbc)).toBe(true)
      expect(flags(folio)).toBe('locked dirty')
      expect(marks(mapping).dirty).toEqual([4])
      expect(fields(wbc)).toEqual({ ...fields(new WritebackControl()), pagesSkipped: 14 })
    })

    test('counts a folio that is dirty already too, and returns false', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, [4, 2])
      const wbc = new WritebackControl()
      expect(folio.redirtyForWritepage(wbc)).toBe(false)
      expect(wbc.pagesSkipped).toBe(4)
    })

    test('pagesSkipped stops at the greatest safe integer', () => {
      const wbc = new WritebackControl({ pagesSkipped: Number.MAX_SAFE_INTEGER - 1 })
      new AddressSpace().addFolio(4, 2).redirtyForWritepage(wbc)
      expect(wbc.pagesSkipped).toBe(Number.MAX_SAFE_INTEGER)
    })
  })

  test('uptodate is the owner’s to change, and touches nothing else', () => {
    const mapping = new AddressSpace()
    const [folio] = addDirty(mapping, 3)
    putUnderWriteback(folio)
    folio.uptodate = false
    expect(folio.uptodate).toBe(false)
    expect(flags(folio)).toBe('dirty writeback')
    folio.uptodate = true
    expect(folio.uptodate).toBe(true)
    expect(flags(folio)).toBe('dirty writeback')
  })

  describe('marks of many folios', () => {
    /** More changes than any list of changes holds, before a mark is read. */
    const MANY = range(0, 999)

    test('all are there when somebody looks', () => {
      const mapping = new AddressSpace()
      const folios = add(mapping, ...MANY)
      for (const folio of folios) folio.markDirty()
      expect(marks(mapping).dirty).toEqual(MANY)
      for (const folio of folios) {
        folio.tryLock()
        folio.startWriteback(true)
      }
      expect(marks(mapping)).toEqual({ dirty: MANY, writeback: MANY, towrite: [] })
      for (const folio of folios) folio.endWriteback()
      expect(marks(mapping)).toEqual({ dirty: MANY, writeback: [], towrite: [] })
    })

    test('the last of several changes of one folio counts', () => {
      const mapping = new AddressSpace()
      const [folio, other] = add(mapping, 1, 2)
      for (let i = 0; i < 1000; i++) {
        folio.tryLock()
        folio.startWriteback()
        folio.endWriteback()
        folio.unlock()
        other.tryLock()
        other.startWriteback()
        other.unlock()
        other.markDirty()
        if (i < 999) other.endWriteback()
      }
      expect(marks(mapping)).toEqual({ dirty: [2], writeback: [2], towrite: [] })
      expect([flags(folio), flags(other)]).toEqual(['', 'dirty writeback'])
    })

    test('a folio that is removed takes its changes with it', () => {
      const mapping = new AddressSpace()
      const folios = addDirty(mapping, ...MANY)
      for (const folio of folios) if (folio.index % 2 === 0) mapping.removeFolio(folio)
      add(mapping, ...MANY.filter((index) => index % 2 === 0))
      expect(marks(mapping).dirty).toEqual(MANY.filter((index) => index % 2 === 1))
    })
  })

  describe('the handle of a removed folio', () => {
    function removed() {
      const mapping = new AddressSpace()
      const folio = mapping.addFolio(2 ** 33, 4)
      folio.uptodate = false
      folio.markDirty()
      mapping.removeFolio(folio)
      return { mapping, folio }
    }

    test('keeps answering what the folio was', () => {
      const { folio } = removed()
      expect(folio).toMatchObject({ index: 2 ** 33, order: 4, nrPages: 16, uptodate: false, mapping: null })
      expect(flags(folio)).toBe('')
    })

    test('refuses every change with ESTALE', () => {
      const { folio } = removed()
      const wbc = new WritebackControl()
      for (const change of [
        () => folio.tryLock(),
        () => folio.unlock(),
        () => folio.markDirty(),
        () => folio.startWriteback(),
        () => folio.endWriteback(),
        () => folio.redirtyForWritepage(wbc),
        () => {
          folio.uptodate = true
        },
      ]) {
        expectError(change, 'ESTALE', 'folio 8589934592 was removed from its mapping')
      }
      expect(wbc.pagesSkipped).toBe(0)
      expect(folio.uptodate).toBe(false)
    })

    test('is not the folio that stands in its place now', () => {
      const { mapping, folio } = removed()
      const next = mapping.addFolio(2 ** 33, 2)
      expect(next).not.toBe(folio)
      next.markDirty()
      next.tryLock()
      expect(flags(folio)).toBe('')
      expect(folio.order).toBe(4)
      expectError(() => folio.unlock(), 'ESTALE', /8589934592/)
      expect(flags(next)).toBe('locked dirty')
    })

    test('does not come to life where its memory is used again', () => {
      const { mapping, folio } = removed()
      const others = addDirty(mapping, ...range(0, 2000))
      for (const other of others) other.tryLock()
      expect(folio).toMatchObject({ index: 2 ** 33, order: 4, mapping: null })
      expect(flags(folio)).toBe('')
    })

    test('is ESTALE after close() too', () => {
      const { mapping, folio } = removed()
      mapping.close()
      expectError(() => folio.markDirty(), 'ESTALE', 'folio 8589934592 was removed from its mapping')
    })
  })

  describe('the handle of a folio in a closed mapping', () => {
    test('keeps answering what the folio was', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, [8, 3])
      putUnderWriteback(folio)
      folio.tryLock()
      mapping.close()
      new AddressSpace().addFolio(0)
      expect(folio).toMatchObject({ index: 8, order: 3, nrPages: 8, uptodate: true })
      expect(flags(folio)).toBe('locked dirty writeback')
      expect(folio.mapping).toBe(mapping)
    })

    test('refuses every change with EBADF, whatever the state or the argument', () => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, 8)
      mapping.close()
      const nonsense = 'yes' as unknown as boolean
      for (const change of [
        () => folio.tryLock(),
        () => folio.unlock(),
        () => folio.markDirty(),
        () => folio.startWriteback(nonsense),
        () => folio.endWriteback(),
        () => folio.redirtyForWritepage({} as never),
        () => {
          folio.uptodate = nonsense
        },
      ]) {
        expectError(change, 'EBADF', 'the mapping of folio 8 is closed')
      }
      expect(flags(folio)).toBe('dirty')
    })
  })
})
