// SPDX-License-Identifier: GPL-2.0-only
// A pass as an iterator: for..of, leaving it early, for await.

import { setImmediate, setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Folio, WritebackIterator } from '../lib/types.js'
import { backends } from './backends.js'
import {
  addDirty,
  EIO,
  ENOSPC,
  expectError,
  fields,
  flags,
  indices,
  marks,
  PAGE,
  putUnderWriteback,
  range,
  snapshot,
  thrown,
  write,
} from './helpers.js'

// The iterator may be of the other backend: folios that the pass took ahead settle before the iterator
// begins.
describe.each(backends)('a control that a pass is on, $backend', ({ AddressSpace, WritebackControl }) => {
  test.each(backends)('an iterator of $backend begins on it', (other) => {
    const outer = new AddressSpace()
    const inner = new other.AddressSpace()
    for (let i = 0; i < 10; i++) {
      outer.addFolio(i).markDirty()
      inner.addFolio(i).markDirty()
    }
    const wbc = new WritebackControl({ nrToWrite: 4 })
    const iterator = inner.writeback(wbc)
    const written: number[] = []
    const seen: number[] = []
    expect(() =>
      outer.writePages(wbc, (folio) => {
        written.push(folio.index)
        if (written.length === 3) for (const folio of iterator) seen.push(folio.index)
      }),
    ).toThrow('another pass was started on this control')
    // Of four pages two were written; the third is in hand, and dirty again.
    expect([written, seen, wbc.nrToWrite]).toEqual([[0, 1, 2], [0, 1], 0])
    expect(Array.from(outer.folios('dirty'), (folio) => folio.index)).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
  })
})

describe.each(backends)('iterator, $backend', ({ AddressSpace, WritebackControl, writebackIter }) => {
  const DONE = { value: undefined, done: true }

  function dirtyAt(...places: (number | readonly [number, number])[]) {
    const mapping = new AddressSpace()
    return { mapping, folios: addDirty(mapping, ...places) }
  }

  describe('for..of', () => {
    test('gives each dirty folio, locked and cleared for I/O', () => {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl()
      const seen: Folio[] = []
      const seenFlags = new Set<string>()
      for (const folio of mapping.writeback(wbc)) {
        seen.push(folio)
        seenFlags.add(flags(folio))
        write(folio)
      }
      expect(seen.every((folio, i) => folio === folios[i])).toBe(true)
      expect(seen).toHaveLength(100)
      expect([...seenFlags]).toEqual(['locked'])
      expect(wbc.nrToWrite).toBe(Number.MAX_SAFE_INTEGER - 100)
    })

    test('the pass starts at the first next()', () => {
      const { mapping } = dirtyAt(1)
      const wbc = new WritebackControl({ syncMode: 'all', rangeEnd: 0 })
      const iterator = mapping.writeback(wbc)
      expect(mapping.tagged('towrite')).toBe(false)
      addDirty(mapping, 2, 3)
      wbc.rangeEnd = 2 * PAGE
      const seen: number[] = []
      for (const folio of iterator) {
        seen.push(folio.index)
        write(folio)
      }
      expect(seen).toEqual([1, 2])
    })

    test('spread: the folios are the caller’s then', () => {
      const { mapping, folios } = dirtyAt(1, 2, 3)
      expect([...mapping.writeback(new WritebackControl())]).toEqual(folios)
      expect(folios.map(flags)).toEqual(['locked', 'locked', 'locked'])
    })

    test('it is its own iterator, and a done one stays done', () => {
      const { mapping } = dirtyAt(1, 2)
      const iterator = mapping.writeback(new WritebackControl())
      expect(iterator[Symbol.iterator]()).toBe(iterator)
      for (const folio of iterator) write(folio)
      addDirty(mapping, 5)
      expect(iterator.next()).toEqual(DONE)
      expect([...iterator]).toEqual([])
      expect(iterator.return()).toEqual(DONE)
      expect(marks(mapping).dirty).toEqual([5])
    })

    test('a loop on a clean mapping does nothing', () => {
      const mapping = new AddressSpace()
      const iterator = mapping.writeback(new WritebackControl())
      expect(iterator.next()).toEqual(DONE)
      expect(iterator.error).toBe(0)
    })
  })

  describe('error', () => {
    test('in: WB_SYNC_NONE stops at it; out: it is the result', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      const iterator = mapping.writeback(new WritebackControl())
      const seen: number[] = []
      for (const folio of iterator) {
        seen.push(folio.index)
        write(folio)
        if (folio.index === 3) iterator.error = -EIO
      }
      expect(seen).toEqual([0, 1, 2, 3])
      expect(iterator.error).toBe(-EIO)
    })

    test('WB_SYNC_ALL goes on; out: the first', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      const iterator = mapping.writeback(new WritebackControl({ syncMode: 'all' }))
      let seen = 0
      for (const folio of iterator) {
        seen++
        expect(iterator.error).toBe(0)
        write(folio)
        if (folio.index === 3) iterator.error = -ENOSPC
        if (folio.index === 5) iterator.error = -EIO
      }
      expect(seen).toBe(10)
      expect(iterator.error).toBe(-ENOSPC)
    })

    test('each folio starts without one', () => {
      const { mapping } = dirtyAt(0, 1, 2)
      const iterator = mapping.writeback(new WritebackControl())
      iterator.error = -EIO
      for (const folio of iterator) {
        expect(iterator.error).toBe(0)
        iterator.error = -EIO
        iterator.error = 0
        write(folio)
      }
      expect(iterator.error).toBe(0)
      expect(mapping.tagged('dirty')).toBe(false)
    })

    test.each([1, 0.5, Number.NaN, '0', null, -(2 ** 31) - 1])(
      '%s is EINVAL and changes nothing',
      (value) => {
        const { mapping } = dirtyAt(0, 1)
        const iterator = mapping.writeback(new WritebackControl({ syncMode: 'all' }))
        const folio = iterator.next().value as Folio
        write(folio)
        iterator.error = -EIO
        expectError(
          () => {
            iterator.error = value as number
          },
          'EINVAL',
          /error is .*, expected 0 or a negative errno/,
        )
        expect(iterator.error).toBe(-EIO)
        for (const other of iterator) write(other)
        expect(iterator.error).toBe(-EIO)
      },
    )
  })

  describe('leaving early', () => {
    /** Each way to leave a loop over the iterator with a folio in hand. */
    const ways: [string, (iterator: WritebackIterator, body: (folio: Folio) => void) => void][] = [
      [
        'break',
        (iterator, body) => {
          for (const folio of iterator) {
            body(folio)
            break
          }
        },
      ],
      [
        'return',
        (iterator, body) =>
          (() => {
            for (const folio of iterator) return body(folio)
          })(),
      ],
      [
        'throw',
        (iterator, body) => {
          const mine = new Error('mine')
          const loop = () => {
            for (const folio of iterator) {
              body(folio)
              throw mine
            }
          }
          expect(thrown(loop)).toBe(mine)
        },
      ],
      [
        'Symbol.dispose',
        (iterator, body) => {
          body(iterator.next().value)
          iterator[Symbol.dispose]()
        },
      ],
    ]

    test.each(ways)('%s: the folio in hand is dirty again and unlocked, nothing else changed', (_, leave) => {
      const { mapping } = dirtyAt(...range(0, 99))
      mapping.writebackIndex = 0
      const wbc = new WritebackControl({ rangeCyclic: true, nrToWrite: 50 })
      const before = [snapshot(mapping), fields(wbc)]
      leave(mapping.writeback(wbc), (folio) => expect(flags(folio)).toBe('locked'))
      expect([snapshot(mapping), fields(wbc)]).toEqual(before)
    })

    test.each(ways)('%s: the next pass writes all the rest', (_, leave) => {
      const { mapping, folios } = dirtyAt(...range(0, 99))
      leave(mapping.writeback(new WritebackControl()), () => {})
      expect(folios.every((folio) => flags(folio) === 'dirty')).toBe(true)
      let written = 0
      for (const folio of mapping.writeback(new WritebackControl({ syncMode: 'all' }))) {
        written++
        write(folio)
      }
      expect(written).toBe(100)
    })

    test.each([
      ['written', write, ''],
      ['unlocked', (folio: Folio) => folio.unlock(), ''],
      ['started', (folio: Folio) => folio.startWriteback(), 'locked writeback'],
      [
        'started and unlocked',
        (folio: Folio) => {
          folio.startWriteback()
          folio.unlock()
        },
        'writeback',
      ],
      ['dirty again', (folio: Folio) => folio.markDirty(), 'dirty'],
    ])('a folio in hand that is %s by then', (_, body, left) => {
      for (const [, leave] of ways) {
        const { mapping, folios } = dirtyAt(...range(0, 40))
        leave(mapping.writeback(new WritebackControl()), body)
        expect(flags(folios[0])).toBe(left)
        expect(folios.slice(1).every((folio) => flags(folio) === 'dirty')).toBe(true)
      }
    })

    test('a folio in hand that was removed', () => {
      for (const [, leave] of ways) {
        const { mapping, folios } = dirtyAt(0, 1)
        leave(mapping.writeback(new WritebackControl()), (folio) => {
          folio.unlock()
          mapping.removeFolio(folio)
          addDirty(mapping, 0)
        })
        expect(flags(folios[0])).toBe('')
        expect(marks(mapping).dirty).toEqual([0, 1])
      }
    })

    test('a folio in hand of a closed mapping', () => {
      for (const [, leave] of ways) {
        const { mapping, folios } = dirtyAt(0, 1)
        leave(mapping.writeback(new WritebackControl()), () => mapping.close())
        expect(flags(folios[0])).toBe('locked')
      }
    })

    test('in the middle: what was written before counts', () => {
      const { mapping } = dirtyAt(...range(0, 99))
      const wbc = new WritebackControl({ rangeCyclic: true, nrToWrite: 70 })
      for (const folio of mapping.writeback(wbc)) {
        if (folio.index === 40) break
        write(folio)
      }
      expect(wbc.nrToWrite).toBe(30)
      expect(mapping.writebackIndex).toBe(0)
      expect(marks(mapping).dirty).toEqual(range(40, 99))
      expect(indices(mapping.folios()).filter((index) => mapping.getFolio(index)?.locked)).toEqual([])
    })

    test('destructuring leaves early, too', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      const [first] = mapping.writeback(new WritebackControl())
      expect(first).toBe(folios[0])
      expect(flags(first)).toBe('dirty')
    })

    test('before the first next(): the iterator is done, no pass was begun', () => {
      const { mapping } = dirtyAt(0)
      const iterator = mapping.writeback(new WritebackControl({ syncMode: 'all' }))
      expect(iterator.return()).toEqual(DONE)
      expect(iterator.next()).toEqual(DONE)
      expect(marks(mapping)).toEqual({ dirty: [0], writeback: [], towrite: [] })
    })

    test('before the first next(): the pass of another on the control goes on', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      const wbc = new WritebackControl()
      const error = { value: 0 }
      const first = writebackIter(mapping, wbc, null, error) as Folio
      mapping.writeback(wbc).return()
      write(first)
      expect(writebackIter(mapping, wbc, first, error)).toBe(folios[1])
    })

    test('afterwards the iterator is done', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      const iterator = mapping.writeback(new WritebackControl())
      iterator.next()
      expect(iterator.return()).toEqual(DONE)
      folios[0].tryLock()
      expect(iterator.return()).toEqual(DONE)
      iterator[Symbol.dispose]()
      expect(iterator.next()).toEqual(DONE)
      expect(flags(folios[0])).toBe('locked dirty')
    })
  })

  describe('blocked', () => {
    test('next() throws EDEADLK, and another loop over the iterator goes on where it stood', () => {
      const { mapping, folios } = dirtyAt(...range(0, 5))
      folios[3].tryLock()
      const wbc = new WritebackControl({ syncMode: 'all', nrToWrite: 100 })
      const iterator = mapping.writeback(wbc)
      const seen: number[] = []
      const loop = () => {
        for (const folio of iterator) {
          seen.push(folio.index)
          write(folio)
          if (folio.index === 2) iterator.error = -EIO
        }
      }
      expectError(loop, 'EDEADLK', 'the pass would wait for folio 3, which is locked')
      expect(seen).toEqual([0, 1, 2])
      expectError(loop, 'EDEADLK', /folio 3/)
      folios[3].unlock()
      loop()
      expect(seen).toEqual(range(0, 5))
      expect(wbc.nrToWrite).toBe(94)
      expect(iterator.error).toBe(-EIO)
    })

    test('the hook may release', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[0].tryLock()
      putUnderWriteback(folios[2])
      const waits: string[] = []
      const iterator = mapping.writeback(new WritebackControl({ syncMode: 'all' }), {
        onWait: (folio, reason) => {
          waits.push(`${reason} ${folio.index}`)
          if (reason === 'lock') folio.unlock()
          else folio.endWriteback()
        },
      })
      let written = 0
      for (const folio of iterator) {
        written++
        write(folio)
      }
      expect(waits).toEqual(['lock 0', 'writeback 2'])
      expect(written).toBe(3)
    })

    test('what the hook throws goes on to the caller; the iterator can be taken up again', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      folios[1].tryLock()
      const mine = new Error('mine')
      const iterator = mapping.writeback(new WritebackControl(), {
        onWait: () => {
          throw mine
        },
      })
      write(iterator.next().value)
      expect(thrown(() => iterator.next())).toBe(mine)
      folios[1].unlock()
      expect(iterator.next()).toEqual({ value: folios[1], done: false })
    })

    test('leaving then releases the pass and leaves the folio that was handed back to the code that locked it since', () => {
      const { mapping, folios } = dirtyAt(0, 1)
      folios[1].tryLock()
      const iterator = mapping.writeback(new WritebackControl())
      write(iterator.next().value)
      expect(thrown(() => iterator.next())).toMatchObject({ code: 'EDEADLK' })
      folios[0].tryLock()
      iterator.return()
      expect(folios.map(flags)).toEqual(['locked', 'locked dirty'])
      expect(iterator.next()).toEqual(DONE)
    })

    test('a hook that closes the mapping: EBADF', () => {
      const { mapping, folios } = dirtyAt(0)
      folios[0].tryLock()
      const iterator = mapping.writeback(new WritebackControl(), { onWait: () => mapping.close() })
      expectError(() => iterator.next(), 'EBADF', 'the mapping is closed')
      expect(iterator.return()).toEqual(DONE)
    })

    test('a hook that leaves the iterator ends its pass', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[1].tryLock()
      const iterator: WritebackIterator = mapping.writeback(new WritebackControl(), {
        onWait: (folio) => {
          folio.unlock()
          iterator.return()
        },
      })
      write(iterator.next().value)
      expectError(() => iterator.next(), 'EINVAL', 'another pass was started on this control')
      expect(iterator.next()).toEqual(DONE)
      expect(folios.map(flags)).toEqual(['', 'dirty', 'dirty'])
    })
  })

  describe('one control', () => {
    test('another iterator’s pass ends this one; its folio in hand is given back', () => {
      const { mapping, folios } = dirtyAt(...range(0, 9))
      const wbc = new WritebackControl()
      const one = mapping.writeback(wbc)
      one.next()
      const two = mapping.writeback(new WritebackControl({ rangeStart: 5 * PAGE }))
      expect(two.next().value).toBe(folios[5])
      wbc.rangeStart = 6 * PAGE
      const three = mapping.writeback(wbc)
      expect(three.next().value).toBe(folios[6])
      expectError(() => one.next(), 'EINVAL', 'another pass was started on this control')
      expect(flags(folios[0])).toBe('dirty')
      expect(one.next()).toEqual(DONE)
      write(folios[6])
      expect(three.next().value).toBe(folios[7])
      write(folios[7])
      write(folios[5])
      expect(two.next().value).toBe(folios[8])
    })

    test('so does a pass by writebackIter or writePages', () => {
      for (const other of ['writebackIter', 'writePages']) {
        const { mapping, folios } = dirtyAt(0, 1, 2)
        const wbc = new WritebackControl()
        const iterator = mapping.writeback(wbc)
        write(iterator.next().value)
        if (other === 'writePages') expect(mapping.writePages(wbc, () => 0)).toBe(0)
        else writebackIter(mapping, wbc, null, { value: 0 })
        expectError(() => iterator.next(), 'EINVAL', 'another pass was started on this control')
        expect(flags(folios[0])).toBe('')
      }
    })

    test('an iterator that is left does not end the pass of another', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      const wbc = new WritebackControl()
      const iterator = mapping.writeback(wbc)
      iterator.next()
      const error = { value: 0 }
      write(folios[0])
      const folio = writebackIter(mapping, wbc, null, error)
      expect(folio).toBe(folios[1])
      iterator.return()
      write(folios[1])
      expect(writebackIter(mapping, wbc, folio, error)).toBe(folios[2])
    })

    test('a new iterator starts a new pass, also where the one before was blocked at its first folio', () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[0].tryLock()
      const wbc = new WritebackControl()
      expect(thrown(() => mapping.writeback(wbc).next())).toMatchObject({ code: 'EDEADLK' })
      wbc.rangeStart = PAGE
      expect(mapping.writeback(wbc).next().value).toBe(folios[1])
    })

    test('one iterator may follow another', () => {
      const { mapping } = dirtyAt(...range(0, 9))
      const wbc = new WritebackControl({ rangeCyclic: true, nrToWrite: 3 })
      const seen: number[][] = []
      for (let i = 0; i < 5; i++) {
        wbc.nrToWrite = 3
        const round: number[] = []
        for (const folio of mapping.writeback(wbc)) {
          round.push(folio.index)
          write(folio)
        }
        seen.push(round)
      }
      expect(seen).toEqual([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9], []])
    })
  })

  test('the mapping closed in the body: next() is EBADF', () => {
    const { mapping } = dirtyAt(0, 1)
    const loop = () => {
      for (const _ of mapping.writeback(new WritebackControl())) mapping.close()
    }
    expectError(loop, 'EBADF', 'the mapping is closed')
  })

  test('abandoned iterators are in nobody’s way', () => {
    const { mapping, folios } = dirtyAt(...range(0, 99))
    for (let i = 0; i < 20; i++) write(mapping.writeback(new WritebackControl()).next().value)
    let written = 0
    for (const folio of mapping.writeback(new WritebackControl())) {
      written++
      write(folio)
    }
    expect(written).toBe(80)
    for (const folio of folios) mapping.removeFolio(folio)
  })

  describe('for await', () => {
    /** Writes each folio of the loop, and returns which ones it wrote. */
    async function writeAll(iterator: WritebackIterator, seen: number[] = []): Promise<number[]> {
      for await (const folio of iterator) {
        seen.push(folio.index)
        write(folio)
      }
      return seen
    }

    test('gives each dirty folio', async () => {
      const { mapping } = dirtyAt(...range(0, 99))
      expect(await writeAll(mapping.writeback(new WritebackControl()))).toEqual(range(0, 99))
      expect(mapping.tagged('dirty')).toBe(false)
    })

    test('waits for a lock, and goes on when it is released', async () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[1].tryLock()
      const wbc = new WritebackControl({ nrToWrite: 100 })
      const seen: number[] = []
      const loop = writeAll(mapping.writeback(wbc), seen)
      await setTimeout(5)
      expect(seen).toEqual([0])
      expect(folios.map(flags)).toEqual(['', 'locked dirty', 'dirty'])
      folios[1].unlock()
      expect(await loop).toEqual([0, 1, 2])
      expect(wbc.nrToWrite).toBe(97)
    })

    test('waits for writeback, without the lock, and goes on when it ends', async () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      putUnderWriteback(folios[1])
      const seen: number[] = []
      const loop = writeAll(mapping.writeback(new WritebackControl({ syncMode: 'all' })), seen)
      await setTimeout(5)
      expect(seen).toEqual([0])
      expect(flags(folios[1])).toBe('dirty writeback')
      folios[1].endWriteback()
      expect(await loop).toEqual([0, 1, 2])
    })

    test('it sleeps: nobody looks at the folio before it is woken', async () => {
      const { mapping, folios } = dirtyAt(0)
      folios[0].tryLock()
      let asked = 0
      const loop = writeAll(
        mapping.writeback(new WritebackControl(), {
          onWait: () => {
            asked++
          },
        }),
      )
      for (let i = 0; i < 10; i++) await setImmediate()
      expect(asked).toBe(1)
      folios[0].unlock()
      expect(await loop).toEqual([0])
      expect(asked).toBe(1)
    })

    test('woken in vain, it waits again', async () => {
      const { mapping, folios } = dirtyAt(0)
      putUnderWriteback(folios[0])
      const seen: number[] = []
      const loop = writeAll(mapping.writeback(new WritebackControl({ syncMode: 'all' })), seen)
      await setImmediate()
      folios[0].tryLock()
      folios[0].endWriteback()
      await setImmediate()
      expect(seen).toEqual([])
      folios[0].unlock()
      expect(await loop).toEqual([0])
    })

    test('a folio that is removed meanwhile is passed over', async () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[1].tryLock()
      const loop = writeAll(mapping.writeback(new WritebackControl()))
      await setImmediate()
      folios[1].unlock()
      mapping.removeFolio(folios[1])
      expect(await loop).toEqual([0, 2])
    })

    test('close() wakes it: EBADF', async () => {
      const { mapping, folios } = dirtyAt(0, 1)
      folios[1].tryLock()
      const loop = writeAll(mapping.writeback(new WritebackControl()))
      await setImmediate()
      mapping.close()
      await expect(loop).rejects.toMatchObject({ code: 'EBADF' })
    })

    test('several loops wait for one folio; each gets its turn or finds it written', async () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[0].tryLock()
      const loops = range(1, 3).map(() =>
        writeAll(mapping.writeback(new WritebackControl({ syncMode: 'all' }))),
      )
      await setImmediate()
      folios[0].unlock()
      const seen = (await Promise.all(loops)).flat()
      expect(seen.toSorted()).toEqual([0, 1, 2])
    })

    test('loops that wait for different folios: one is woken, the other sleeps on', async () => {
      const { mapping, folios } = dirtyAt(0, 5)
      const early: number[] = []
      for (const folio of folios) folio.tryLock()
      const first = writeAll(mapping.writeback(new WritebackControl()), early)
      const second = writeAll(mapping.writeback(new WritebackControl({ rangeStart: 5 * PAGE })))
      await setImmediate()
      folios[1].unlock()
      expect(await second).toEqual([5])
      expect(early).toEqual([])
      folios[0].unlock()
      expect(await first).toEqual([0])
    })

    test('what is written and ended by a library pass wakes too', async () => {
      const { mapping, folios } = dirtyAt(0)
      let woken: Promise<number[]> | undefined
      mapping.writePages(new WritebackControl(), () => {
        woken = writeAll(mapping.writeback(new WritebackControl({ syncMode: 'all' })))
      })
      expect(flags(folios[0])).toBe('')
      expect(await woken).toEqual([])
    })

    test('what an extent’s end unlocks wakes too', async () => {
      const { mapping, folios } = dirtyAt(0, 1)
      let woken: Promise<number[]> | undefined
      mapping.writeExtents(new WritebackControl(), () => {
        woken = writeAll(mapping.writeback(new WritebackControl({ syncMode: 'all' })))
      })
      expect(folios.map(flags)).toEqual(['', ''])
      expect(await woken).toEqual([])
    })

    test('the hook is asked first: where it releases, nobody sleeps', async () => {
      const { mapping, folios } = dirtyAt(0)
      folios[0].tryLock()
      const iterator = mapping.writeback(new WritebackControl(), { onWait: (folio) => folio.unlock() })
      expect(await writeAll(iterator)).toEqual([0])
    })

    test('what the hook throws ends the loop; what was handed back is not touched', async () => {
      const { mapping, folios } = dirtyAt(0, 1)
      folios[1].tryLock()
      const mine = new Error('mine')
      const iterator = mapping.writeback(new WritebackControl(), {
        onWait: () => {
          folios[0].tryLock()
          throw mine
        },
      })
      await expect(writeAll(iterator)).rejects.toBe(mine)
      expect(folios.map(flags)).toEqual(['locked', 'locked dirty'])
      expect(iterator.next()).toEqual(DONE)
    })

    test('an EDEADLK of the hook’s own is not waited for', async () => {
      const { mapping, folios } = dirtyAt(0, 9)
      folios[0].tryLock()
      folios[1].tryLock()
      const iterator = mapping.writeback(new WritebackControl(), {
        onWait: () => {
          mapping.writePages(new WritebackControl({ rangeStart: 9 * PAGE }), () => 0)
        },
      })
      await expect(writeAll(iterator)).rejects.toThrow('the pass would wait for folio 9, which is locked')
    })

    test.each(['break', 'throw'])('%s loses nothing', async (how) => {
      const { mapping, folios } = dirtyAt(...range(0, 40))
      const loop = async () => {
        for await (const folio of mapping.writeback(new WritebackControl())) {
          if (folio.index === 3) {
            if (how === 'break') break
            throw new Error('mine')
          }
          await setImmediate()
          write(folio)
        }
      }
      if (how === 'break') await loop()
      else await expect(loop()).rejects.toThrow('mine')
      expect(marks(mapping).dirty).toEqual(range(3, 40))
      expect(folios.filter((folio) => folio.locked)).toEqual([])
    })

    test('error in and out', async () => {
      const { mapping } = dirtyAt(0, 1, 2)
      const iterator = mapping.writeback(new WritebackControl({ syncMode: 'all' }))
      let nr = 0
      for await (const folio of iterator) {
        write(folio)
        iterator.error = nr++ === 0 ? -EIO : 0
      }
      expect(nr).toBe(3)
      expect(iterator.error).toBe(-EIO)
    })

    test('a synchronous loop that was blocked may be taken up by for await', async () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      folios[1].tryLock()
      const iterator = mapping.writeback(new WritebackControl())
      const seen: number[] = []
      expect(
        thrown(() => {
          for (const folio of iterator) {
            seen.push(folio.index)
            write(folio)
          }
        }),
      ).toMatchObject({ code: 'EDEADLK' })
      const loop = writeAll(iterator, seen)
      folios[1].unlock()
      expect(await loop).toEqual([0, 1, 2])
    })
  })
})
