// SPDX-License-Identifier: GPL-2.0-only
// The entry `writeback-iter/native`: the native backend or an error that names why it does not load.

import { loadBackend } from '../backend.js'

loadBackend('native')

export * from './backend.js'
