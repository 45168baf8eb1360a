// SPDX-License-Identifier: GPL-2.0-only
// The default entry: the native backend if it loads, else the TypeScript one; `backend` tells which.

import { selectBackend } from './backend.js'
import type * as api from './types.js'

export { type ErrorCode, WritebackError } from './errors.js'
export type * from './types.js'

const selected: api.Backend = selectBackend()

/** Which backend this is. */
export const backend: 'native' | 'js' = selected.backend

export const AddressSpace: api.AddressSpaceConstructor = selected.AddressSpace
export type AddressSpace = api.AddressSpace

export const WritebackControl: api.WritebackControlConstructor = selected.WritebackControl
export type WritebackControl = api.WritebackControl

export const writebackIter: api.WritebackIter = selected.writebackIter
export const writeCachePages: api.WriteCachePages = selected.writeCachePages
export const AOP_WRITEPAGE_ACTIVATE: number = selected.AOP_WRITEPAGE_ACTIVATE
