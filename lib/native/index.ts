// SPDX-License-Identifier: GPL-2.0-only

/**
 * The native backend: the kernel's functions in C, as an addon. Importing it throws `ELIBACC`, with the
 * cause, where the addon does not load.
 *
 * @module writeback-iter/native
 */

import type * as api from '../types.js'
import { loadAddon } from './addon.js'
import * as native from './backend.js'

loadAddon()

export * from './backend.js'

/**
 * writeback_iter, one to one; see {@link api.WritebackIter}.
 *
 * Not by `export *`, which compiles to a lookup by name in a call: once per folio if a program says
 * `native.writebackIter`.
 */
export const writebackIter: api.WritebackIter = native.writebackIter
