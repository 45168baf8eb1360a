// SPDX-License-Identifier: GPL-2.0-only
// `using`, for TypeScript from 5.2 on with `esnext.disposable` among its `lib`.
import { AddressSpace, WritebackControl } from 'writeback-iter'

export function pages(): number {
  using mapping = new AddressSpace()
  using iterator: Disposable = mapping.writeback(new WritebackControl())
  return iterator === undefined ? 0 : mapping.nrPages
}
