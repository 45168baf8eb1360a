// SPDX-License-Identifier: GPL-2.0-only
// Which backend to use. Both are imported: importing the native one never throws, it only may have not loaded.

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
  if (addonError !== null) {
    const [cause] = (addonError instanceof Error ? addonError.message : String(addonError)).split('\n')
    throw new Error(`the native backend does not load: ${cause}`, { cause: addonError })
  }
  return native
}

/**
 * The backend that `WRITEBACK_ITER_BACKEND` forces, or else the native one if it loads, or else the TypeScript one.
 * An empty variable counts as none.
 * @throws Error for another value, or if the forced backend does not load
 */
export function selectBackend(): Backend {
  const forced = process.env[VARIABLE]
  if (forced === 'native' || forced === 'js') return loadBackend(forced)
  if (forced !== undefined && forced !== '') throw invalid(VARIABLE, forced, 'native or js')
  return addonError === null ? native : js
}
