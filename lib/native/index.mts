// SPDX-License-Identifier: GPL-2.0-only
// The error is thrown here and not by an import of index.js: in Node.js 20 that one ends the process even
// where it is caught.

import { loadAddon } from './addon.js'

loadAddon()

export type { ErrorCode } from '../errors.js'
export type * from '../types.js'
export {
  AddressSpace,
  AOP_WRITEPAGE_ACTIVATE,
  backend,
  Folio,
  WritebackControl,
  WritebackError,
  writebackIter,
  writeCachePages,
} from './backend.js'
