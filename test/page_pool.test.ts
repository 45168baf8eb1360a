// SPDX-License-Identifier: GPL-2.0-only
// The memory of the TypeScript engine that is touched before it is used.

import fs from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Page, PagePool } from '../lib/file/js/page_pool.js'
import { MIB } from './file_helpers.js'

/** Frames of a chunk. */
const CHUNK = 256

describe.skipIf(process.platform === 'win32')('chunks are populated ahead', () => {
  /** The reads of zeros under way: the memory, and what ends the read. */
  let reads: { bytes: Uint8Array<ArrayBuffer>; end: () => void }[]
  beforeEach(() => {
    reads = []
    vi.spyOn(fs, 'read').mockImplementation(((
      fd: number,
      bytes: Uint8Array<ArrayBuffer>,
      ...rest: unknown[]
    ) => {
      expect(fs.readlinkSync(`/proc/self/fd/${fd}`)).toBe('/dev/zero')
      const end = rest.at(-1) as () => void
      reads.push({ bytes, end })
    }) as typeof fs.read)
  })
  afterEach(() => {
    for (const { end } of reads.splice(0)) end()
    vi.restoreAllMocks()
  })

  /** Takes frames, fewer if the pool has no more. */
  const take = (pool: PagePool, pages: number) => {
    const taken: Page[] = []
    for (let page = pool.take(); page !== null; page = taken.length < pages ? pool.take() : null) {
      taken.push(page)
    }
    return taken
  }
  const chunksOf = (pages: readonly Page[]) => new Set(pages.map(({ chunk }) => chunk.bytes))
  const endAll = () => {
    const ended = reads.splice(0)
    for (const { end } of ended) end()
    return ended.map(({ bytes }) => bytes)
  }

  test('and used only when no thread writes to them any more', () => {
    const pool = new PagePool(512 * MIB)
    const first = chunksOf(take(pool, 2 * CHUNK))
    expect(reads.length).toBe(2)
    const under = reads.map(({ bytes }) => bytes)
    for (const bytes of under) expect([bytes.length, first.has(bytes)]).toEqual([MIB, false])
    const more = chunksOf(take(pool, 2 * CHUNK))
    for (const bytes of under) expect(more.has(bytes)).toBe(false)
    expect(reads.length).toBe(4)
    const ready = endAll()
    const next = chunksOf(take(pool, 4 * CHUNK))
    expect(next).toEqual(new Set(ready))
  })

  test('as many as the cache has, 16 and a sixteenth of the budget at most', () => {
    const large = new PagePool(512 * MIB)
    take(large, 3 * CHUNK)
    expect(reads.length).toBe(3)
    take(large, 40 * CHUNK)
    expect(reads.length).toBe(16)
    endAll()
    const small = new PagePool(64 * MIB)
    const pages = take(small, 64 * CHUNK)
    expect(reads.length).toBe(3)
    // The budget includes them, and the bookkeeping of the pages.
    const all = Math.floor((64 * MIB) / (4096 + 512))
    expect(pages.length).toBe(all - 3 * CHUNK)
    endAll()
    expect(take(small, 64 * CHUNK).length).toBe(3 * CHUNK)
  })

  test('and given back with the pages of the cache', () => {
    const pool = new PagePool(512 * MIB)
    const pages = take(pool, 8 * CHUNK)
    const early = reads.splice(0, 4)
    for (const { end } of early) end()
    for (const page of pages) pool.give(page)
    const ready = [...early.map(({ bytes }) => bytes), ...endAll()]
    expect(ready.length).toBe(8)
    // The cache keeps its last chunk, and so one that is ready.
    expect(ready.filter(({ length }) => length > 0).length).toBe(1)
    pool.resize(4 * MIB)
    expect(take(pool, CHUNK).length).toBe(CHUNK)
  })

  test('unless there is no file of zeros', () => {
    vi.spyOn(fs, 'openSync').mockImplementation(() => {
      throw new Error('ENOENT')
    })
    const pool = new PagePool(64 * MIB)
    expect(take(pool, 3 * CHUNK).length).toBe(3 * CHUNK)
    expect(reads.length).toBe(0)
  })
})
