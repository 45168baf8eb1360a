// SPDX-License-Identifier: GPL-2.0-only
// Passes that await: writePagesAsync and writeExtentsAsync.

import { getEventListeners } from 'node:events'
import { setImmediate, setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AsyncOptions, AsyncResult, Extent, Folio, SyncMode, WritebackControl } from '../lib/types.js'
import { backends } from './backends.js'
import {
  add,
  addDirty,
  EIO,
  ENOSPC,
  fields,
  flags,
  indices,
  marks,
  PAGE,
  range,
  snapshot,
  write,
} from './helpers.js'

/** A promise that the test settles. */
class Deferred {
  resolve!: (result: number | void) => void
  reject!: (reason: unknown) => void
  readonly promise = new Promise<number | void>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })
}

/** Resolves when every promise that can go on has gone on. */
const quiet = () => setImmediate()

/** The reason with which a promise rejects. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it did not reject')
}

describe.each(backends)('passes that await, $backend', (backend) => {
  const { AddressSpace, WritebackControl, writebackIter } = backend
  const CLEAN = { dirty: [], writeback: [], towrite: [] }

  function dirtyAt(...places: (number | readonly [number, number])[]) {
    const mapping = new AddressSpace()
    return { mapping, folios: addDirty(mapping, ...places) }
  }
  type Mapping = InstanceType<typeof AddressSpace>

  /** Each form, with a callback for each folio. */
  type Form = (
    mapping: Mapping,
    wbc: WritebackControl,
    writepage: (folio: Folio) => AsyncResult,
    options?: AsyncOptions,
  ) => Promise<number>
  const pages: Form = (mapping, wbc, writepage, options) => mapping.writePagesAsync(wbc, writepage, options)
  const forms: [string, Form][] = [
    ['writePagesAsync', pages],
    [
      'writeExtentsAsync',
      (mapping, wbc, writepage, options) =>
        mapping.writeExtentsAsync(wbc, ({ folios }) => writepage(folios[0]), { ...options, maxPages: 1 }),
    ],
  ]
  const modes: SyncMode[] = ['none', 'all']
  const syncAll = () => new WritebackControl({ syncMode: 'all' })

  /** A pass whose writes are settled one by one, by the test. */
  function begin(
    form: Form,
    mapping: Mapping,
    wbc: WritebackControl,
    options?: AsyncOptions,
    during?: (folio: Folio) => void,
  ) {
    const started: number[] = []
    const writes = new Map<number, Deferred>()
    const promise = form(
      mapping,
      wbc,
      (folio) => {
        started.push(folio.index)
        during?.(folio)
        const deferred = new Deferred()
        writes.set(folio.index, deferred)
        return deferred.promise
      },
      options,
    )
    // A pass that is to reject may do so before the test looks.
    promise.catch(() => {})
    const at = (index: number) => writes.get(index) as Deferred
    return { promise, started, at }
  }

  describe.each(forms)('%s', (_, form) => {
    test.each(modes)('%s: writes every folio, ascending, and returns 0', async (syncMode) => {
      const { mapping } = dirtyAt(...range(0, 99), [128, 3])
      const wbc = new WritebackControl({ syncMode, nrToWrite: 1000 })
      const seen: number[] = []
      const result = await form(mapping, wbc, async (folio) => {
        seen.push(folio.index)
        await setTimeout(Math.random() * 5)
      })
      expect(result).toBe(0)
      expect(seen).toEqual([...range(0, 99), 128])
      expect(marks(mapping)).toEqual(CLEAN)
      expect(Array.from(mapping.folios(), flags).join('')).toBe('')
      expect(wbc.nrToWrite).toBe(1000 - 108)
    })

    test('a folio is locked for its callback, then under writeback and unlocked until its promise settles', async () => {
      const { mapping, folios } = dirtyAt(3)
      const seen: string[] = []
      const { promise, at } = begin(form, mapping, syncAll(), {}, (folio) => seen.push(flags(folio)))
      expect(flags(folios[0])).toBe('dirty')
      await quiet()
      expect(seen).toEqual(['locked'])
      expect(flags(folios[0])).toBe('writeback')
      expect(marks(mapping)).toEqual({ dirty: [], writeback: [3], towrite: [] })
      at(3).resolve(0)
      expect(flags(folios[0])).toBe('writeback')
      expect(await promise).toBe(0)
      expect(flags(folios[0])).toBe('')
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('a folio that is dirtied while it is written is written once more by the next pass', async () => {
      const { mapping, folios } = dirtyAt(0, 1)
      const { promise, at, started } = begin(form, mapping, syncAll())
      await quiet()
      expect(folios[0].markDirty()).toBe(true)
      expect(marks(mapping)).toEqual({ dirty: [0], writeback: [0, 1], towrite: [] })
      at(1).resolve()
      at(0).resolve()
      expect(await promise).toBe(0)
      expect(started).toEqual([0, 1])
      expect(folios.map(flags)).toEqual(['dirty', ''])
      expect(await form(mapping, syncAll(), async () => 0)).toBe(0)
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('a folio that is dirtied by its callback, under the lock, too', async () => {
      const { mapping, folios } = dirtyAt(0)
      expect(await form(mapping, syncAll(), async (folio) => void folio.markDirty())).toBe(0)
      expect(flags(folios[0])).toBe('dirty')
      expect(marks(mapping)).toEqual({ dirty: [0], writeback: [], towrite: [] })
    })

    test.each([undefined, 1, 2, 7, 1000])(
      'concurrency %s: that many at once, and no more',
      async (concurrency) => {
        const { mapping } = dirtyAt(...range(0, 99))
        let underWay = 0
        let most = 0
        await form(
          mapping,
          syncAll(),
          async () => {
            most = Math.max(most, ++underWay)
            await setTimeout(Math.random() * 3)
            underWay--
          },
          { concurrency },
        )
        expect(most).toBe(Math.min(concurrency ?? 16, 100))
      },
    )

    test('the next is started as soon as any is over', async () => {
      const { mapping } = dirtyAt(...range(0, 9))
      const { promise, started, at } = begin(form, mapping, syncAll(), { concurrency: 3 })
      await quiet()
      expect(started).toEqual([0, 1, 2])
      at(1).resolve()
      await quiet()
      expect(started).toEqual([0, 1, 2, 3])
      expect(flags(mapping.getFolio(1) as Folio)).toBe('')
      expect(flags(mapping.getFolio(0) as Folio)).toBe('writeback')
      at(3).resolve()
      at(0).resolve()
      await quiet()
      expect(started).toEqual(range(0, 5))
      for (let i = 0; i < 10; i++) {
        if (i !== 1 && i !== 3 && i !== 0) at(i).resolve()
        await quiet()
      }
      expect(await promise).toBe(0)
    })

    test('a callback that returns its result, not a promise', async () => {
      const { mapping } = dirtyAt(...range(0, 40))
      const results = [undefined, 0, -EIO, -0]
      expect(await form(mapping, syncAll(), ({ index }) => results[index % 4])).toBe(-EIO)
      expect(marks(mapping)).toEqual({
        dirty: range(0, 40).filter((i) => i % 4 === 2),
        writeback: [],
        towrite: [],
      })
    })

    test('any thenable will do', async () => {
      const { mapping } = dirtyAt(0, 1, 2)
      const thenable = {
        // biome-ignore lint/suspicious/noThenProperty: that is what is tested
        then: (resolve: (value: number) => void) => resolve(-ENOSPC),
      }
      const result = await form(mapping, syncAll(), ({ index }) => (index === 1 ? (thenable as never) : 0))
      expect(result).toBe(-ENOSPC)
      expect(marks(mapping).dirty).toEqual([1])
    })

    test('nothing dirty: 0, and no callback', async () => {
      const mapping = new AddressSpace()
      add(mapping, 0, 1)
      expect(await form(mapping, syncAll(), () => expect.unreachable())).toBe(0)
    })

    test('as writePages: ranges, cyclic passes, nrToWrite', async () => {
      const inits = [
        { rangeStart: 10 * PAGE, rangeEnd: 19 * PAGE },
        { rangeCyclic: true, nrToWrite: 7 },
        { rangeCyclic: true, nrToWrite: 7 },
        { nrToWrite: 1 },
        { nrToWrite: -5 },
        { taggedWritepages: true, nrToWrite: 20 },
        { syncMode: 'all' as const, nrToWrite: 1 },
      ]
      const sync = dirtyAt(...range(0, 99), [128, 4])
      const async = dirtyAt(...range(0, 99), [128, 4])
      for (const init of inits) {
        const controls = [new WritebackControl(init), new WritebackControl(init)]
        const seen: number[][] = [[], []]
        sync.mapping.writePages(controls[0], ({ index }) => void seen[0].push(index))
        await form(async.mapping, controls[1], async ({ index }) => void seen[1].push(index))
        expect(seen[1]).toEqual(seen[0])
        expect(fields(controls[1])).toEqual(fields(controls[0]))
        expect(snapshot(async.mapping)).toEqual(snapshot(sync.mapping))
      }
      expect(async.mapping.tagged('dirty')).toBe(false)
    })

    test('nrToWrite set to 0 by a callback ends a none pass behind its folio, and no all pass', async () => {
      for (const syncMode of modes) {
        const { mapping } = dirtyAt(...range(0, 9))
        const wbc = new WritebackControl({ syncMode })
        const seen: number[] = []
        const result = await form(mapping, wbc, async ({ index }) => {
          seen.push(index)
          if (index === 4) wbc.nrToWrite = 0
        })
        expect(result).toBe(0)
        expect(seen).toEqual(syncMode === 'none' ? range(0, 4) : range(0, 9))
      }
    })

    test('a folio that its callback declines is dirty, and unlocked', async () => {
      const { mapping, folios } = dirtyAt(0, 1, 2)
      const wbc = syncAll()
      const result = await form(mapping, wbc, async (folio) => {
        if (folio.index !== 1) return
        folio.redirtyForWritepage(wbc)
        folio.unlock()
      })
      expect(result).toBe(0)
      expect(folios.map(flags)).toEqual(['', 'dirty', ''])
      expect(wbc.pagesSkipped).toBe(1)
    })

    test('a folio that its callback started: the pass unlocks and ends it', async () => {
      const { mapping, folios } = dirtyAt(0, 1)
      await form(mapping, syncAll(), async (folio) => folio.startWriteback())
      expect(folios.map(flags)).toEqual(['', ''])
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('a folio that its callback wrote to the end', async () => {
      const { mapping } = dirtyAt(...range(0, 40))
      await form(mapping, syncAll(), async (folio) => write(folio))
      expect(marks(mapping)).toEqual(CLEAN)
    })

    describe('errors', () => {
      test('all: goes on, and the result is that of the first folio, whichever write is over first', async () => {
        const { mapping, folios } = dirtyAt(...range(0, 9))
        const { promise, at } = begin(form, mapping, syncAll())
        await quiet()
        at(7).resolve(-EIO)
        at(3).resolve(-ENOSPC)
        await quiet()
        expect([flags(folios[7]), flags(folios[3])]).toEqual(['dirty', 'dirty'])
        at(5).resolve(-EIO)
        for (const i of [0, 1, 2, 4, 6, 8, 9]) at(i).resolve()
        expect(await promise).toBe(-ENOSPC)
        expect(marks(mapping)).toEqual({ dirty: [3, 5, 7], writeback: [], towrite: [] })
      })

      test('none: starts nothing more, and waits for what is under way', async () => {
        const { mapping } = dirtyAt(...range(0, 9))
        const wbc = new WritebackControl({ rangeCyclic: true })
        const { promise, at, started } = begin(form, mapping, wbc, { concurrency: 4 })
        await quiet()
        at(2).resolve(-EIO)
        await quiet()
        expect(started).toEqual([0, 1, 2, 3])
        at(0).resolve()
        at(3).resolve()
        await quiet()
        let over = false
        void promise.then(() => {
          over = true
        })
        await quiet()
        expect(over).toBe(false)
        at(1).resolve(-ENOSPC)
        expect(await promise).toBe(-ENOSPC)
        expect(marks(mapping)).toEqual({ dirty: [1, 2, ...range(4, 9)], writeback: [], towrite: [] })
        // A cyclic pass goes on behind the folio that it started last.
        expect(mapping.writebackIndex).toBe(4)
      })

      test.each(modes)('%s, a rejection at every point: what is under way is awaited', async (syncMode) => {
        for (let bad = 0; bad < 10; bad++) {
          const { mapping, folios } = dirtyAt(...range(0, 9))
          const wbc = new WritebackControl({ syncMode })
          const { promise, at, started } = begin(form, mapping, wbc, { concurrency: 3 })
          const mine = new Error('mine')
          for (let i = 0; i < bad; i++) {
            await quiet()
            at(i).resolve()
          }
          await quiet()
          at(bad).reject(mine)
          await quiet()
          const last = Math.min(bad + 2, 9)
          expect(started).toEqual(range(0, last))
          for (let i = bad + 1; i <= last; i++) {
            expect(flags(folios[i])).toBe('writeback')
            at(i).resolve()
            await quiet()
          }
          expect(await rejection(promise)).toBe(mine)
          expect(marks(mapping)).toMatchObject({ dirty: [bad, ...range(last + 1, 9)], writeback: [] })
          expect(folios.filter(({ locked }) => locked)).toEqual([])
          expect(await form(mapping, syncAll(), async () => {})).toBe(0)
          expect(marks(mapping)).toEqual(CLEAN)
        }
      })

      test('the pass rejects with the first rejection; the others are not unhandled', async () => {
        const { mapping } = dirtyAt(...range(0, 9))
        const { promise, at } = begin(form, mapping, syncAll())
        await quiet()
        at(4).reject('four')
        await quiet()
        at(1).reject('one')
        for (const i of [0, 2, 3, 5, 6, 7, 8, 9]) at(i).resolve(-EIO)
        expect(await rejection(promise)).toBe('four')
        expect(marks(mapping).dirty).toEqual(range(0, 9))
      })

      test.each([undefined, null, 0])('it rejects with %s', async (reason) => {
        const { mapping } = dirtyAt(0)
        expect(await rejection(form(mapping, syncAll(), () => Promise.reject(reason)))).toBe(reason)
        expect(marks(mapping).dirty).toEqual([0])
      })

      test('a callback that throws', async () => {
        const { mapping, folios } = dirtyAt(...range(0, 9))
        const mine = new Error('mine')
        const promise = form(mapping, syncAll(), (folio) => {
          if (folio.index === 4) throw mine
          return setTimeout(folio.index === 2 ? 5 : 0, 0)
        })
        expect(await rejection(promise)).toBe(mine)
        expect(folios.map(flags)).toEqual(range(0, 9).map((i) => (i < 4 ? '' : 'dirty')))
      })

      test.each([1, 0.5, Number.NaN, 'x', null, {}, -(2 ** 31) - 1])('a promise of %s', async (value) => {
        const { mapping, folios } = dirtyAt(0, 1)
        const promise = form(mapping, syncAll(), async () => value as number)
        expect(await rejection(promise)).toMatchObject({
          code: 'EINVAL',
          message: expect.stringContaining("the callback's result is"),
        })
        expect(folios.map(flags)).toEqual(['dirty', 'dirty'])
      })

      test('a promise whose properties throw', async () => {
        const { mapping, folios } = dirtyAt(0)
        const promise = Promise.resolve(0)
        Object.defineProperty(promise, 'constructor', {
          get() {
            throw new Error('mine')
          },
        })
        expect(await rejection(form(mapping, syncAll(), () => promise))).toMatchObject({ message: 'mine' })
        expect(folios.map(flags)).toEqual(['dirty'])
      })
    })

    describe('abort', () => {
      test('before it begins: nothing happens', async () => {
        const { mapping } = dirtyAt(0, 1)
        const wbc = syncAll()
        const before = [snapshot(mapping), fields(wbc)]
        const signal = AbortSignal.abort('reason')
        expect(await rejection(form(mapping, wbc, () => expect.unreachable(), { signal }))).toBe('reason')
        expect([snapshot(mapping), fields(wbc)]).toEqual(before)
      })

      test('right after the call: no callback', async () => {
        const { mapping } = dirtyAt(0, 1)
        const controller = new AbortController()
        const promise = form(mapping, syncAll(), () => expect.unreachable(), { signal: controller.signal })
        controller.abort('reason')
        expect(await rejection(promise)).toBe('reason')
        expect(marks(mapping).dirty).toEqual([0, 1])
      })

      test.each(modes)(
        '%s, at every start: what is under way is awaited, the rest stays dirty',
        async (syncMode) => {
          for (let stop = 0; stop < 10; stop++) {
            const { mapping, folios } = dirtyAt(...range(0, 9))
            const controller = new AbortController()
            const { signal } = controller
            const wbc = new WritebackControl({ syncMode })
            const { promise, at, started } = begin(
              form,
              mapping,
              wbc,
              { concurrency: 3, signal },
              (folio) => {
                if (folio.index === stop) controller.abort(stop)
              },
            )
            for (let i = 0; i < stop - 2; i++) {
              await quiet()
              at(i).resolve()
            }
            await quiet()
            expect(started).toEqual(range(0, stop))
            for (let i = Math.max(stop - 2, 0); i <= stop; i++) {
              expect(flags(folios[i])).toBe('writeback')
              at(i).resolve(i === stop ? -EIO : 0)
              await quiet()
            }
            expect(await rejection(promise)).toBe(stop)
            expect(marks(mapping)).toMatchObject({ dirty: range(stop, 9), writeback: [] })
            expect(getEventListeners(signal, 'abort')).toEqual([])
          }
        },
      )

      test('while the last writes are under way: they are awaited', async () => {
        const { mapping } = dirtyAt(0, 1)
        const controller = new AbortController()
        const { promise, at } = begin(form, mapping, syncAll(), { signal: controller.signal })
        await quiet()
        at(0).resolve()
        await quiet()
        controller.abort('reason')
        await quiet()
        expect(marks(mapping).writeback).toEqual([1])
        at(1).resolve()
        expect(await rejection(promise)).toBe('reason')
        expect(marks(mapping)).toEqual(CLEAN)
      })

      test.each(['lock', 'writeback'])('while it waits for %s: it waits no more', async (reason) => {
        const { mapping, folios } = dirtyAt(0, 1)
        folios[1].tryLock()
        if (reason === 'writeback') {
          folios[1].startWriteback()
          folios[1].unlock()
        }
        const before = flags(folios[1])
        const controller = new AbortController()
        const promise = form(mapping, syncAll(), async () => {}, { signal: controller.signal })
        await setTimeout(5)
        controller.abort('reason')
        expect(await rejection(promise)).toBe('reason')
        expect(folios.map(flags)).toEqual(['', before])
      })

      test('a write that rejects because of it: the reason is the signal’s', async () => {
        const { mapping } = dirtyAt(...range(0, 99))
        const signal = AbortSignal.timeout(10)
        const write = () => setTimeout(1000, 0, { signal })
        const promise = form(mapping, syncAll(), write, { signal, concurrency: 4 })
        expect(await rejection(promise)).toBe(signal.reason)
        expect(marks(mapping)).toMatchObject({ dirty: range(0, 99), writeback: [] })
      })

      test('after a rejection: the pass rejects with it', async () => {
        const { mapping } = dirtyAt(0, 1)
        const controller = new AbortController()
        const { promise, at } = begin(form, mapping, syncAll(), { signal: controller.signal })
        await quiet()
        at(0).reject('mine')
        await quiet()
        controller.abort('reason')
        at(1).resolve()
        expect(await rejection(promise)).toBe('mine')
      })

      test('no listener is left behind, however the pass ends', async () => {
        const { signal } = new AbortController()
        for (const how of [0, -EIO, 'x']) {
          const { mapping } = dirtyAt(0, 1)
          await form(mapping, syncAll(), async () => how as number, { signal }).catch(() => {})
          expect(getEventListeners(signal, 'abort')).toEqual([])
        }
      })
    })

    describe('what happens in between', () => {
      test('a folio under way is not removed: EBUSY', async () => {
        const { mapping, folios } = dirtyAt(0, 1)
        const { promise, at } = begin(form, mapping, syncAll())
        await quiet()
        expect(() => mapping.removeFolio(folios[0])).toThrow('EBUSY: folio 0 is under writeback')
        at(0).resolve()
        await quiet()
        mapping.removeFolio(folios[0])
        at(1).resolve()
        expect(await promise).toBe(0)
        expect(indices(mapping.folios())).toEqual([1])
      })

      test('a truncation of what was not started: it is left out', async () => {
        const { mapping, folios } = dirtyAt(...range(0, 9))
        const { promise, at, started } = begin(form, mapping, syncAll(), { concurrency: 2 })
        await quiet()
        for (const folio of folios.slice(2, 9)) mapping.removeFolio(folio)
        addDirty(mapping, 5) // the pass did not look this one up, and it was not dirty when the pass began
        at(0).resolve()
        at(1).resolve(-EIO)
        await quiet()
        expect(started).toEqual([0, 1, 9])
        at(9).resolve()
        expect(await promise).toBe(-EIO)
        expect(marks(mapping)).toEqual({ dirty: [1, 5], writeback: [], towrite: [] })
      })

      test('a callback that unlocks and removes its folio', async () => {
        for (const result of [0, -EIO]) {
          const { mapping, folios } = dirtyAt(0, 1)
          const promise = form(mapping, syncAll(), async (folio) => {
            if (folio.index === 1) return
            folio.unlock()
            mapping.removeFolio(folio)
            addDirty(mapping, 0)
            return result
          })
          expect(await promise).toBe(result)
          expect(flags(folios[0])).toBe('')
          expect(marks(mapping)).toMatchObject({ dirty: [0], writeback: [] })
        }
      })

      test('the mapping is closed by a callback, or while writes are under way: EBADF, once those are over', async () => {
        for (const byCallback of [true, false]) {
          const { mapping, folios } = dirtyAt(...range(0, 9))
          const during = ({ index }: Folio) => {
            if (byCallback && index === 1) mapping.close()
          }
          const { promise, at, started } = begin(form, mapping, syncAll(), { concurrency: 2 }, during)
          await quiet()
          if (!byCallback) mapping.close()
          let over = false
          void promise.catch(() => {
            over = true
          })
          at(0).resolve(-EIO)
          await quiet()
          expect([started, over]).toEqual([[0, 1], false])
          at(1).reject(new Error('nobody needs it'))
          expect(await rejection(promise)).toMatchObject({
            code: 'EBADF',
            message: 'EBADF: the mapping is closed',
          })
          expect(folios[0].mapping).toBe(mapping)
          // The folio is as it was when the mapping was closed.
          expect(flags(folios[1])).toBe(byCallback ? 'locked' : 'writeback')
        }
      })

      test('the mapping is closed when all is started: EBADF', async () => {
        const { mapping } = dirtyAt(0)
        const { promise, at } = begin(form, mapping, syncAll())
        await quiet()
        mapping.close()
        at(0).resolve()
        expect(await rejection(promise)).toMatchObject({ code: 'EBADF' })
      })

      test('a folio whose writeback somebody else ended', async () => {
        const { mapping, folios } = dirtyAt(0, 1)
        const { promise, at } = begin(form, mapping, syncAll())
        await quiet()
        folios[0].endWriteback()
        at(0).resolve(-EIO)
        at(1).resolve()
        expect(await promise).toBe(-EIO)
        expect(folios.map(flags)).toEqual(['dirty', ''])
      })

      test('the mapping is closed while it waits for a lock: EBADF', async () => {
        const { mapping, folios } = dirtyAt(0)
        folios[0].tryLock()
        const promise = form(mapping, syncAll(), () => expect.unreachable())
        await quiet()
        mapping.close()
        expect(await rejection(promise)).toMatchObject({ code: 'EBADF' })
      })

      test('another pass on the control: EINVAL, and nothing is lost', async () => {
        const { mapping, folios } = dirtyAt(...range(0, 9))
        const wbc = new WritebackControl()
        const { promise, at } = begin(form, mapping, wbc, { concurrency: 2 })
        await quiet()
        const other = writebackIter(mapping, wbc, null, { value: 0 }) as Folio
        expect(other).toBe(folios[2])
        at(0).resolve()
        await quiet()
        at(1).resolve()
        expect(await rejection(promise)).toMatchObject({
          code: 'EINVAL',
          message: 'EINVAL: another pass was started on this control',
        })
        write(other)
        expect(writebackIter(mapping, wbc, other, { value: 0 })).toBe(folios[3])
        expect(marks(mapping).writeback).toEqual([])
      })

      test('a second sync waits by promise for what the first has under way, and writes it after that', async () => {
        const { mapping, folios } = dirtyAt(0, 1, 2)
        const first = begin(form, mapping, syncAll())
        await quiet()
        folios[1].markDirty()
        const second = begin(form, mapping, syncAll())
        const background = begin(form, mapping, new WritebackControl())
        await quiet()
        expect(second.started).toEqual([])
        expect(await background.promise).toBe(0)
        expect(background.started).toEqual([])
        first.at(0).resolve()
        first.at(2).resolve()
        await quiet()
        expect(second.started).toEqual([])
        first.at(1).resolve()
        await quiet()
        expect(await first.promise).toBe(0)
        expect(second.started).toEqual([1])
        second.at(1).resolve()
        expect(await second.promise).toBe(0)
        expect(marks(mapping)).toEqual(CLEAN)
      })

      test('a synchronous sync meets one under way: EDEADLK, and its hook may wait', async () => {
        const { mapping, folios } = dirtyAt(0)
        const { promise, at } = begin(form, mapping, syncAll())
        await quiet()
        folios[0].markDirty()
        expect(() => mapping.writePages(syncAll(), () => {})).toThrow('EDEADLK')
        at(0).resolve()
        await promise
        expect(mapping.writePages(syncAll(), () => {})).toBe(0)
      })

      test.each(modes)(
        '%s: waits by promise for a lock, and goes on with what it then finds',
        async (syncMode) => {
          const { mapping, folios } = dirtyAt(0, 1, 2, 3)
          folios[1].tryLock()
          folios[2].tryLock()
          const { promise, at, started } = begin(form, mapping, new WritebackControl({ syncMode }))
          await quiet()
          expect(started).toEqual([0])
          folios[1].unlock()
          await quiet()
          expect(started).toEqual([0, 1])
          at(0).resolve()
          await quiet()
          folios[2].unlock()
          mapping.removeFolio(folios[2])
          await quiet()
          expect(started).toEqual([0, 1, 3])
          at(1).resolve()
          at(3).resolve()
          expect(await promise).toBe(0)
          expect(marks(mapping)).toEqual(CLEAN)
        },
      )

      test('a rejection while it waits for a lock ends it', async () => {
        const { mapping, folios } = dirtyAt(0, 1)
        folios[1].tryLock()
        const { promise, at } = begin(form, mapping, syncAll())
        await quiet()
        at(0).reject('mine')
        expect(await rejection(promise)).toBe('mine')
        expect(folios.map(flags)).toEqual(['dirty', 'locked dirty'])
      })

      test('an errno while a none pass waits for a lock ends it', async () => {
        const { mapping, folios } = dirtyAt(0, 1)
        folios[1].tryLock()
        const { promise, at } = begin(form, mapping, new WritebackControl())
        await quiet()
        at(0).resolve(-EIO)
        expect(await promise).toBe(-EIO)
        expect(folios.map(flags)).toEqual(['dirty', 'locked dirty'])
      })

      // The pass takes the folio and writes it, or does not take it, however many turns lie between the two
      // events.
      test('an errno and the unlock that a none pass waits for, at once', async () => {
        for (let turns = 0; turns < 10; turns++) {
          const { mapping, folios } = dirtyAt(0, 1, 2)
          folios[1].tryLock()
          const { promise, at, started } = begin(form, mapping, new WritebackControl())
          await quiet()
          at(0).resolve(-EIO)
          for (let i = 0; i < turns; i++) await undefined
          folios[1].unlock()
          await quiet()
          for (const index of started.slice(1)) at(index).resolve()
          expect(await promise).toBe(-EIO)
          const states = ['dirty', ...range(1, 2).map((i) => (started.includes(i) ? '' : 'dirty'))]
          expect(folios.map(flags)).toEqual(states)
        }
      })

      test('a callback that runs passes of its own', async () => {
        const { mapping, folios } = dirtyAt(...range(0, 9))
        const result = await form(mapping, new WritebackControl(), async ({ index }) => {
          if (index === 2) mapping.writePages(new WritebackControl({ rangeStart: 5 * PAGE }), () => {})
        })
        expect(result).toBe(0)
        expect(new Set(folios.map(flags))).toEqual(new Set(['']))
      })
    })

    test.each([
      [{ concurrency: 0 }, 'concurrency is 0, expected a safe integer from 1'],
      [{ concurrency: 1.5 }, 'concurrency is 1.5, expected a safe integer from 1'],
      [{ concurrency: Number.POSITIVE_INFINITY }, 'concurrency is Infinity, expected a safe integer from 1'],
      [{ concurrency: '4' }, 'concurrency is "4", expected a safe integer from 1'],
      [{ signal: {} }, 'signal is an object, expected an AbortSignal'],
      [{ signal: null }, 'signal is null, expected an AbortSignal'],
      [{ signal: true }, 'signal is true, expected an AbortSignal'],
    ])('%o is refused, and nothing changes', async (options, message) => {
      const { mapping } = dirtyAt(0)
      const wbc = syncAll()
      const before = [snapshot(mapping), fields(wbc)]
      const error = await rejection(form(mapping, wbc, () => expect.unreachable(), options as AsyncOptions))
      expect(error).toMatchObject({ name: 'WritebackError', code: 'EINVAL', message: `EINVAL: ${message}` })
      expect([snapshot(mapping), fields(wbc)]).toEqual(before)
    })
  })

  test('other wrong arguments reject, too', async () => {
    const { mapping } = dirtyAt(0)
    const wbc = syncAll()
    const before = [snapshot(mapping), fields(wbc)]
    const written = async () => {}
    for (const refused of [
      mapping.writePagesAsync({} as never, written),
      mapping.writePagesAsync(wbc, 5 as never),
      mapping.writePagesAsync(wbc, written, null as never),
      mapping.writeExtentsAsync({} as never, written),
      mapping.writeExtentsAsync(wbc, null as never),
      mapping.writeExtentsAsync(wbc, written, 7 as never),
      mapping.writeExtentsAsync(wbc, written, { maxPages: 0 }),
    ]) {
      expect(await rejection(refused)).toMatchObject({ name: 'WritebackError', code: 'EINVAL' })
    }
    expect([snapshot(mapping), fields(wbc)]).toEqual(before)
    mapping.close()
    expect(await rejection(mapping.writePagesAsync(wbc, written))).toMatchObject({ code: 'EBADF' })
    expect(await rejection(mapping.writeExtentsAsync(wbc, written))).toMatchObject({ code: 'EBADF' })
  })

  describe('extents', () => {
    test('are contiguous runs, with their folios until the promise settles', async () => {
      const { mapping } = dirtyAt(0, 1, [2, 1], 7, 8, 300)
      const extents: Extent[] = []
      const seen: [number, number, number[]][] = []
      const deferred = new Deferred()
      const promise = mapping.writeExtentsAsync(syncAll(), async (extent) => {
        extents.push(extent)
        await deferred.promise
        seen.push([extent.index, extent.nrPages, indices(extent.folios)])
      })
      await quiet()
      expect(marks(mapping).writeback).toEqual([0, 1, 2, 7, 8, 300])
      deferred.resolve()
      expect(await promise).toBe(0)
      expect(seen).toEqual([
        [0, 4, [0, 1, 2]],
        [7, 2, [7, 8]],
        [300, 1, [300]],
      ])
      expect(extents.map(({ folios }) => folios.length)).toEqual([0, 0, 0])
      expect(marks(mapping)).toEqual(CLEAN)
    })

    test('as writeExtents: the same runs, with every maxPages', async () => {
      const places = [...range(0, 300), [512, 9], ...range(1100, 1130)] as (number | [number, number])[]
      for (const maxPages of [undefined, 1, 10, 1024]) {
        const sync = dirtyAt(...places)
        const async = dirtyAt(...places)
        const seen: string[][] = [[], []]
        const see = (i: number) => (extent: Extent) => void seen[i].push(`${extent.index}+${extent.nrPages}`)
        sync.mapping.writeExtents(syncAll(), see(0), { maxPages })
        await async.mapping.writeExtentsAsync(syncAll(), async (extent) => see(1)(extent), { maxPages })
        expect(seen[1]).toEqual(seen[0])
      }
    })

    test('an error is that of every folio', async () => {
      const { mapping } = dirtyAt(...range(0, 39))
      const result = await mapping.writeExtentsAsync(
        syncAll(),
        async ({ index }) => {
          await setTimeout(10 - index / 4)
          return index === 10 ? -EIO : index === 30 ? -ENOSPC : 0
        },
        { maxPages: 10 },
      )
      expect(result).toBe(-EIO)
      expect(marks(mapping)).toEqual({
        dirty: [...range(10, 19), ...range(30, 39)],
        writeback: [],
        towrite: [],
      })
    })

    test('some folios that the callback unlocked, started or removed', async () => {
      for (const result of [0, -EIO]) {
        const { mapping, folios } = dirtyAt(...range(0, 4))
        await mapping.writeExtentsAsync(syncAll(), async ({ folios }) => {
          folios[1].unlock()
          folios[2].startWriteback()
          folios[3].unlock()
          mapping.removeFolio(folios[3])
          await quiet()
          expect(folios.map(flags)).toEqual(['writeback', '', 'writeback', '', 'writeback'])
          return result
        })
        const left = result === 0 ? '' : 'dirty'
        expect(folios.map(flags)).toEqual([left, left, left, '', left])
        expect(marks(mapping).writeback).toEqual([])
      }
    })
  })

  // Writes complete in random order with random outcomes, while folios are dirtied and the pass may be
  // aborted. The test compares the state of every folio with the documentation.
  test('any order of completions, and any outcome', async () => {
    type Outcome = 'written' | 'errno' | 'rejects' | 'throws' | 'at once'
    const outcomes = fc.array(
      fc.record({
        outcome: fc.oneof(
          { weight: 10, arbitrary: fc.constant<Outcome>('written') },
          { weight: 2, arbitrary: fc.constant<Outcome>('errno') },
          { weight: 1, arbitrary: fc.constantFrom<Outcome>('rejects', 'throws', 'at once') },
        ),
        gap: fc.constantFrom(0, 0, 0, 1, 40),
        dirtied: fc.boolean(),
      }),
      { maxLength: 30 },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        outcomes,
        fc.constantFrom<SyncMode>('none', 'all'),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 3 }),
        fc.option(fc.nat(20), { nil: null }),
        async (s, plan, syncMode, concurrency, maxPages, abortAt) => {
          const mapping = new AddressSpace()
          let next = 0
          const folios = plan.map(({ gap }) => {
            next += gap
            const folio = mapping.addFolio(next++)
            folio.markDirty()
            return folio
          })
          const at = new Map(folios.map((folio, i) => [folio, i]))
          const controller = new AbortController()
          const started: number[] = []
          const dirty = new Set(folios.keys())
          const failed: { first: number; errno: number }[] = []
          let ended: unknown = null
          let underWay = 0
          let events = 0
          const event = () => {
            if (events++ === abortAt) {
              ended ??= 'aborted'
              controller.abort('aborted')
            }
          }

          const promise = mapping.writeExtentsAsync(
            new WritebackControl({ syncMode }),
            (extent) => {
              const own = extent.folios.map((folio) => at.get(folio) as number)
              const { outcome } = plan[own[0]]
              expect(ended).toBeNull()
              if (syncMode === 'none') expect(failed).toEqual([])
              expect(++underWay).toBeLessThanOrEqual(concurrency)
              expect(own[0]).toBe(started.length)
              expect(own).toEqual(range(own[0], own[own.length - 1]))
              started.push(...own)
              for (const i of own) dirty.delete(i)
              const settle = (result: Outcome): number => {
                underWay--
                for (const i of own) if (result !== 'written') dirty.add(i)
                if (result === 'errno') failed.push({ first: own[0], errno: -1 - own[0] })
                // The pass sees the signal at once, and the rejection in a later microtask.
                event()
                if (result === 'errno') return -1 - own[0]
                if (result === 'written') return 0
                ended ??= outcome
                throw outcome
              }
              if (outcome === 'throws') settle(outcome)
              if (outcome === 'at once') {
                settle('written')
                return 0
              }
              return s.schedule(Promise.resolve()).then(() => {
                for (const i of own) {
                  expect(folios[i].writeback).toBe(true)
                  if (plan[i].dirtied && folios[i].markDirty()) dirty.add(i)
                }
                return settle(outcome)
              })
            },
            { concurrency, maxPages, signal: controller.signal },
          )
          const outcome = await s.waitFor(
            promise.then(
              (result) => ({ result }),
              (reason) => ({ reason }),
            ),
          )
          failed.sort((a, b) => a.first - b.first)
          if (ended !== null) expect(outcome).toEqual({ reason: ended })
          else expect(outcome).toEqual({ result: failed[0]?.errno ?? 0 })
          if (ended === null && (syncMode === 'all' || failed.length === 0)) {
            expect(started).toEqual([...folios.keys()])
          }
          expect(folios.flatMap((folio, i) => (folio.dirty ? [i] : []))).toEqual(
            [...dirty].sort((a, b) => a - b),
          )
          expect(marks(mapping)).toMatchObject({
            dirty: [...dirty].sort((a, b) => a - b).map((i) => folios[i].index),
            writeback: [],
          })
          expect(folios.some(({ locked, writeback }) => locked || writeback)).toBe(false)
        },
      ),
      { numRuns: 500 },
    )
  })
})
