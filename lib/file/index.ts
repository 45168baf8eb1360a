// SPDX-License-Identifier: GPL-2.0-only

/**
 * A write-back cached file on top of the page cache.
 *
 * @module writeback-iter/file
 */

export { type ErrorCode, WritebackError } from '../errors.js'
export { type ByteRange, CachedFile, type CachedFileOptions } from './cached_file.js'
export type { CachedFileStats } from './inode.js'
