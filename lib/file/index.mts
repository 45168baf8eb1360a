// SPDX-License-Identifier: GPL-2.0-only
// By name: of `export *` from a CommonJS module, `bun build` makes a program that does not start.

export type { ByteRange, CachedFileOptions, CachedFileStats, ErrorCode } from './index.js'
export { CachedFile, WritebackError } from './index.js'
