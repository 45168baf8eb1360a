// SPDX-License-Identifier: GPL-2.0-only
// A typed program. run.mjs copies it as .mts, .cts or .ts, compiles it without skipLibCheck, and runs what
// comes out.

import type {
  AddressSpace,
  Extent,
  Folio,
  WaitReason,
  WritebackControl,
  WritebackIterator,
} from 'writeback-iter'
import * as main from 'writeback-iter'
import * as file from 'writeback-iter/file'
import * as js from 'writeback-iter/js'
import * as native from 'writeback-iter/native'
import { check } from './checks.cjs'

export function write(mapping: AddressSpace, wbc: WritebackControl): number {
  const options = { onWait: (folio: Folio, _reason: WaitReason): void => folio.unlock() }
  const iterator: WritebackIterator = mapping.writeback(wbc, options)
  for (const folio of iterator) folio.unlock()
  return mapping.writeExtents(wbc, (extent: Extent) => (extent.nrPages > 1 ? -5 : undefined))
}

// @ts-expect-error there is no such mark
export const wrong = (mapping: AddressSpace) => mapping.tagged('present')

const backends: [string, 'js', 'native'] = [main.backend, js.backend, native.backend]
if (backends.length === 3) check({ main, js, native, file })
