// SPDX-License-Identifier: GPL-2.0-only
// What the types promise for any TypeScript from 5.0 on. run.mjs compiles it with each version, without
// skipLibCheck and without @types/node, with `lib` es2020 only, under `strict` and
// `exactOptionalPropertyTypes`.
import {
  type AddressSpace,
  AOP_WRITEPAGE_ACTIVATE,
  AddressSpace as Mapping,
  WritebackControl,
  type WritebackControlInit,
  WritebackError,
  type WritebackIterator,
  writebackIter,
  writeCachePages,
} from 'writeback-iter'
import * as js from 'writeback-iter/js'
import * as native from 'writeback-iter/native'

export function sync(mapping: AddressSpace, rangeEnd?: number): number {
  // Options that a caller may leave out are passed on as they are.
  const init: WritebackControlInit = { syncMode: 'all', rangeEnd }
  const wbc = new WritebackControl(init)
  const iterator: WritebackIterator = mapping.writeback(wbc, { onWait: undefined })
  for (const folio of iterator) folio.unlock()
  const error = { value: 0 }
  for (let folio = writebackIter(mapping, wbc, null, error); folio !== null; ) {
    folio = writebackIter(mapping, wbc, folio, error)
  }
  writeCachePages(mapping, wbc, () => AOP_WRITEPAGE_ACTIVATE)
  return mapping.writeExtents(wbc, (extent) => (extent.nrPages > 1 ? -5 : undefined), { maxPages: undefined })
}

export async function wait(mapping: AddressSpace): Promise<void> {
  for await (const folio of mapping.writeback(new WritebackControl())) folio.unlock()
}

export function isFolio(value: object): boolean {
  return value instanceof js.Folio || value instanceof native.Folio
}

export const backends: ['js', 'native'] = [js.backend, native.backend]
export const pages: number = new Mapping({ pageShift: undefined }).addFolio(0).nrPages
export const own: WritebackError = new WritebackError('EINVAL', 'as a test wants it', { cause: pages })

// @ts-expect-error an error has a code
export const codeless = new WritebackError('boom')
// @ts-expect-error a folio is made by addFolio
export const made = new js.Folio()
// @ts-expect-error there is no such mark
export const mark = (mapping: AddressSpace) => mapping.tagged('present')
