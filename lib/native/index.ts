// SPDX-License-Identifier: GPL-2.0-only

/**
 * The native backend: the kernel's functions in C, as an addon. Importing it throws an error that names the cause where the
 * addon does not load.
 *
 * @module writeback-iter/native
 */

import { loadBackend } from '../backend.js'

loadBackend('native')

export * from './backend.js'
