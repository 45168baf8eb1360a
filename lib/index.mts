// SPDX-License-Identifier: GPL-2.0-only

export type { ErrorCode } from './errors.js'
export {
  AddressSpace,
  AOP_WRITEPAGE_ACTIVATE,
  backend,
  WritebackControl,
  WritebackError,
  writebackIter,
  writeCachePages,
} from './index.js'
export type * from './types.js'
