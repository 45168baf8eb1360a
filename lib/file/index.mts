// SPDX-License-Identifier: GPL-2.0-only
// By name: of `export *` from a CommonJS module, `bun build` makes a program that does not start.
export { CachedFile, configure, WritebackError } from './index.js'
export type {
  BlockDevice,
  ByteRange,
  CachedFileOptions,
  CachedFileStats,
  CloseOptions,
  ConfigureOptions,
  DeviceOptions,
  ErrorCode,
  ReadStreamOptions,
  WriteStreamOptions,
} from './index.js'
