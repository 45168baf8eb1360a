// SPDX-License-Identifier: GPL-2.0-only

/**
 * A file behind a write-back cache.
 *
 * @module writeback-iter/file
 */

export { type ErrorCode, WritebackError } from '../errors.js'
export {
  type ByteRange,
  CachedFile,
  type CachedFileOptions,
  type CloseOptions,
  type DeviceOptions,
} from './cached_file.js'
export type { CachedFileStats } from './engine.js'
export type { BlockDevice } from './js/device.js'
export type { ConfigureOptions } from './limits.js'
export { configure } from './load_engine.js'
export type { ReadStreamOptions, WriteStreamOptions } from './streams.js'
