// SPDX-License-Identifier: GPL-2.0-only
// Which backend to use. Both are imported: importing the native one never throws, it only may have not loaded.

import { debuglog } from 'node:util'
import { invalid } from './errors.js'
import * as js from './js/index.js'
import { addonError } from './native/addon.js'
import * as native from './native/backend.js'
import type { Backend } from './types.js'

/** The environment variable that forces a backend. */
const VARIABLE = 'WRITEBACK_ITER_BACKEND'

/**
 * The backend of that name.
 * @throws Error that names the cause if the native addon did not load
 */
export function loadBackend(name: 'native' | 'js'): Backend {
  if (name === 'js') return js
  if (addonError !== null) throw new Error(notLoaded(), { cause: addonError })
  return native
}

/** That the native backend does not load, and why, in one line. */
function notLoaded(): string {
  const [cause] = (addonError instanceof Error ? addonError.message : String(addonError)).split('\n')
  return `the native backend does not load: ${cause}`
}

/**
 * The backend that `WRITEBACK_ITER_BACKEND` forces, or else the native one if it loads, or else the TypeScript one.
 * An empty variable counts as none. `NODE_DEBUG=writeback-iter` tells when and why it is not the native one.
 * @throws Error for another value, or if the forced backend does not load
 */
export function selectBackend(): Backend {
  const forced = process.env[VARIABLE]
  if (forced === 'native' || forced === 'js') return loadBackend(forced)
  if (forced !== undefined && forced !== '') throw invalid(VARIABLE, forced, 'native or js')
  if (addonError === null) return native
  debuglog('writeback-iter')('%s; the TypeScript backend is used', notLoaded())
  return js
}
