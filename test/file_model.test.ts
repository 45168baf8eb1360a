// SPDX-License-Identifier: GPL-2.0-only
// A CachedFile against a plain file: random programs, compared byte for byte after every operation.

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PlainFile } from '../lib/cli/workload.js'
import { CachedFile, configure } from '../lib/file/index.js'
import { engines, forms } from './engines.js'
import { bytes, DEFAULT_LIMITS, expectBytes, MIB, PAGE } from './file_helpers.js'

const SIZE = 3 * MIB
const position = fc.oneof(
  fc.nat(SIZE),
  fc.nat(SIZE / PAGE).map((page) => page * PAGE),
  fc.nat(8 * PAGE), // places where operations overlap
)
const length = fc.oneof(
  fc.nat(200),
  fc.nat(3 * PAGE),
  fc.constant(PAGE),
  fc.nat(40).map((pages) => pages * PAGE),
  fc.nat(MIB),
)
/** Which form of the method is called. */
const form = fc.constantFrom(...forms.map(({ of }) => of))

const operation = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ op: fc.constant('write' as const), position, length, seed: fc.nat(), form }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('read' as const), position, length, form }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('truncate' as const), length: position, form }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('deallocate' as const), position, length, form }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('fsync' as const), form }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('range' as const), position, length, form }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('writeback' as const),
      pages: fc.integer({ min: 1, max: 300 }),
      form,
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('reopen' as const), form }) },
)

type Step = typeof operation extends fc.Arbitrary<infer T> ? T : never

/** A pool of random bytes is quicker than new ones for each write. */
const pool = bytes(2 * MIB)

let folder: string
beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-model-'))
})
afterAll(() => {
  configure(DEFAULT_LIMITS)
  fs.rmSync(folder, { recursive: true, force: true })
})

describe.each(engines)('$engine', ({ engine }) => {
  let n = 0

  /**
   * Runs a program on both files.
   * @param awaited - whether each operation is over before the next one is called
   */
  async function run(initial: number, operations: Step[], awaited: boolean) {
    const cachedPath = join(folder, `cached-${n}`)
    const plainPath = join(folder, `plain-${n++}`)
    fs.writeFileSync(cachedPath, pool.subarray(0, Math.min(initial, pool.length)))
    const plain = new PlainFile(plainPath)
    plain.writeSync(pool.subarray(0, Math.min(initial, pool.length)), 0)
    const open = () => CachedFile.open(cachedPath, { engine, lock: false })
    let file = await open()
    const onDisk = () => new Uint8Array(fs.readFileSync(cachedPath))
    const expected = () => new Uint8Array(fs.readFileSync(plainPath))
    /**
     * A blocking call of the TypeScript engine does not wait for a write of the flusher behind a new end of
     * the file.
     */
    const lateWrites = async (blocking: boolean) => {
      if (engine === 'js' && blocking) await expect.poll(() => onDisk().length).toBe(plain.size)
    }
    let under: Promise<unknown>[] = []
    const settle = async () => {
      await Promise.all(under)
      under = []
    }
    try {
      for (const step of operations) {
        // A blocking call cannot wait for asynchronous calls under way.
        const blocking = step.form !== forms[0].of
        if (awaited || blocking || step.op === 'reopen') await settle()
        const by = step.form(file)
        switch (step.op) {
          case 'write': {
            const at = step.seed % MIB
            const data = pool.slice(at, at + step.length)
            const written = by.write(data, step.position)
            // The caller may change the buffer at once.
            data.fill(0xee)
            plain.writeSync(pool.subarray(at, at + step.length), step.position)
            under.push(written.then((count) => expect(count).toBe(step.length)))
            break
          }
          case 'read': {
            const [a, b] = [new Uint8Array(step.length), new Uint8Array(step.length)]
            const count = plain.readSync(b, step.position)
            const read = by.read(a, step.position)
            // If the program does not wait, a later write may come before this one.
            const reading = read.then((got) => {
              if (!awaited && !blocking) return
              expect(got).toBe(count)
              expectBytes(a, b)
            })
            under.push(reading)
            break
          }
          case 'truncate':
            under.push(by.truncate(step.length))
            plain.truncateSync(step.length)
            break
          case 'deallocate': {
            const stop = Math.min(step.position + step.length + 1, plain.size)
            under.push(by.deallocate({ start: step.position, end: step.position + step.length }))
            if (stop > step.position) plain.writeSync(new Uint8Array(stop - step.position), step.position)
            break
          }
          case 'fsync':
            under.push(by.fsync())
            if (!awaited) break
            await settle()
            expect(file.dirtyPages).toBe(0)
            await lateWrites(blocking)
            expectBytes(onDisk(), expected())
            break
          case 'range': {
            const start = step.position
            const end = start + step.length
            under.push(by.fsync({ start, end }))
            if (!awaited) break
            await settle()
            // The file may end behind the last page written, where the cached file has a hole.
            const should = expected().subarray(start, end + 1)
            const actual = new Uint8Array(should.length)
            actual.set(onDisk().subarray(start, start + should.length))
            expectBytes(actual, should)
            break
          }
          case 'writeback':
            under.push(by.writeback(step.pages))
            break
          case 'reopen':
            await by.close()
            await lateWrites(blocking)
            expectBytes(onDisk(), expected())
            file = await open()
            break
        }
        if (awaited) {
          await settle()
          expect(file.size).toBe(plain.size)
        }
      }
      await settle()
      const into = new Uint8Array(file.size)
      expect(await file.read(into, 0)).toBe(file.size)
      expectBytes(into, expected())
      await file.close()
      expectBytes(onDisk(), expected())
    } finally {
      await Promise.allSettled(under)
      await file.close({ discard: true })
      plain.closeSync()
      fs.rmSync(plainPath)
      fs.rmSync(cachedPath)
    }
  }

  const program = fc.array(operation, { minLength: 1, maxLength: 40 })

  test.each([
    ['with memory for all of it', DEFAULT_LIMITS],
    ['with memory for a part', { memory: 4 * MIB, dirty: 2 * MIB, dirtyBackground: MIB }],
    ['with a flusher that always runs', { memory: 4 * MIB, dirty: 0, dirtyBackground: 0 }],
  ])('one operation after the other, %s', async (_, limits) => {
    configure(limits)
    await fc.assert(
      fc.asyncProperty(fc.nat(SIZE), program, (initial, operations) => run(initial, operations, true)),
      { numRuns: 100, seed: 1 },
    )
  })

  test.each([
    ['with memory for all of it', DEFAULT_LIMITS],
    ['with memory for a part', { memory: 4 * MIB, dirty: 2 * MIB, dirtyBackground: MIB }],
    ['with a flusher that always runs', { memory: 4 * MIB, dirty: 0, dirtyBackground: 0 }],
  ])('asynchronous calls that are not awaited, %s', async (_, limits) => {
    configure(limits)
    await fc.assert(
      fc.asyncProperty(fc.nat(SIZE), program, (initial, operations) => run(initial, operations, false)),
      { numRuns: 100, seed: 2 },
    )
  })
})
