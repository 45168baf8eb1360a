// SPDX-License-Identifier: GPL-2.0-only
// Functions that the tests of the public surface share.

import { expect } from 'vitest'
import { type ErrorCode, WritebackError } from '../lib/errors.js'
import type { AddressSpace, Backend, Folio, Mark, WaitOptions, WritebackControl } from '../lib/types.js'

export const MAX_INDEX = 2 ** 51 - 1
/** Bytes per page, where the mapping does not say otherwise. */
export const PAGE = 4096
/** The most folios that a lookup finds. */
export const BATCH = 31
export const EIO = 5
export const ENOSPC = 28

/** The numbers from `first` to `last`, both included. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}

/** Adds folios at these places: an index, or an index and an order. */
export function add(mapping: AddressSpace, ...places: (number | readonly [number, number])[]): Folio[] {
  return places.map((place) => {
    const [index, order] = typeof place === 'number' ? [place, 0] : place
    return mapping.addFolio(index, order)
  })
}

/** As `add`, dirty. */
export function addDirty(mapping: AddressSpace, ...places: (number | readonly [number, number])[]): Folio[] {
  const folios = add(mapping, ...places)
  for (const folio of folios) folio.markDirty()
  return folios
}

export function indices(folios: Iterable<Folio>): number[] {
  return Array.from(folios, (folio) => folio.index)
}

/** By mark: the first pages of the folios that have the mark. */
export function marks(mapping: AddressSpace): Record<Mark, number[]> {
  return {
    dirty: indices(mapping.folios('dirty')),
    writeback: indices(mapping.folios('writeback')),
    towrite: indices(mapping.folios('towrite')),
  }
}

/** The flags that are set, without uptodate: '', 'locked', 'locked dirty' … */
export function flags(folio: Folio): string {
  return (['locked', 'dirty', 'writeback'] as const).filter((flag) => folio[flag]).join(' ')
}

/** The minimum that a file system does with a folio that a pass returned. */
export function write(folio: Folio): void {
  folio.startWriteback()
  folio.unlock()
  folio.endWriteback()
}

/** Starts a write that ends later. */
export function startAndUnlock(folio: Folio): void {
  folio.startWriteback()
  folio.unlock()
}

/** Puts a dirty folio under writeback as another task would; it stays dirty. */
export function putUnderWriteback(folio: Folio): void {
  folio.tryLock()
  folio.startWriteback()
  folio.unlock()
}

/**
 * A whole pass by writebackIter: which folios it returned, and its result. What `body` returns is the folio's
 * error.
 */
export function pass(
  { writebackIter }: Backend,
  mapping: AddressSpace,
  wbc: WritebackControl,
  body: (folio: Folio) => number | void = write,
  options?: WaitOptions,
): { written: number[]; error: number } {
  const error = { value: 0 }
  const written: number[] = []
  for (
    let folio = writebackIter(mapping, wbc, null, error, options);
    folio !== null;
    folio = writebackIter(mapping, wbc, folio, error, options)
  ) {
    written.push(folio.index)
    error.value = body(folio) ?? 0
  }
  return { written, error: error.value }
}

/** The visible state of a control. */
export function fields(wbc: WritebackControl): Record<string, unknown> {
  const { nrToWrite, pagesSkipped, rangeStart, rangeEnd, syncMode, taggedWritepages, rangeCyclic } = wbc
  return { nrToWrite, pagesSkipped, rangeStart, rangeEnd, syncMode, taggedWritepages, rangeCyclic }
}

/** The visible state of a mapping: every folio with its flags, the marks, the counters. */
export function snapshot(mapping: AddressSpace): Record<string, unknown> {
  return {
    folios: Array.from(
      mapping.folios(),
      (folio) => `${folio.index}/${folio.order} ${flags(folio)}${folio.uptodate ? ' uptodate' : ''}`,
    ),
    marks: marks(mapping),
    tagged: [mapping.tagged('dirty'), mapping.tagged('writeback'), mapping.tagged('towrite')],
    nrPages: mapping.nrPages,
    writebackIndex: mapping.writebackIndex,
  }
}

/** What the call throws. */
export function thrown(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

/** The call throws a WritebackError of this code whose message is, or contains, this text. */
export function expectError(call: () => unknown, code: ErrorCode, message: string | RegExp): void {
  const error = thrown(call)
  expect(error).toBeInstanceOf(WritebackError)
  expect(error).toMatchObject({ name: 'WritebackError', code })
  const text = (error as WritebackError).message
  if (typeof message === 'string') expect(text).toBe(`${code}: ${message}`)
  else expect(text).toMatch(message)
}
