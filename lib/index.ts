// SPDX-License-Identifier: GPL-2.0-only

/**
 * The default entry: the native backend if it loads, else the TypeScript one; `backend` tells which. The
 * environment variable `WRITEBACK_ITER_BACKEND` (`native` or `js`) forces one: loading throws if that cannot
 * be had.
 *
 * @module writeback-iter
 */

import { selectBackend } from './backend.js'
import type * as api from './types.js'

export { type ErrorCode, WritebackError } from './errors.js'
export type * from './types.js'

const selected: api.Backend = selectBackend()

/** Which backend was picked when this was loaded. */
export const backend: 'native' | 'js' = selected.backend

/** struct address_space: a file's page cache, on the backend that was picked. */
export const AddressSpace: api.AddressSpaceConstructor = selected.AddressSpace
/** struct address_space: a file's page cache; see {@link api.AddressSpace}. */
export type AddressSpace = api.AddressSpace

/** struct writeback_control: what a pass is to do. */
export const WritebackControl: api.WritebackControlConstructor = selected.WritebackControl
/** struct writeback_control: what a pass is to do; see {@link api.WritebackControl}. */
export type WritebackControl = api.WritebackControl

/** writeback_iter, one to one; see {@link api.WritebackIter}. */
export const writebackIter: api.WritebackIter = selected.writebackIter
/** write_cache_pages, the legacy wrapper; see {@link api.WriteCachePages}. */
export const writeCachePages: api.WriteCachePages = selected.writeCachePages
/**
 * Returned by a `writeCachePages` callback: "unlock it yourself", which counts as no error. 0x80000, as in
 * the kernel.
 */
export const AOP_WRITEPAGE_ACTIVATE: number = selected.AOP_WRITEPAGE_ACTIVATE
