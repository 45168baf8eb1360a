// SPDX-License-Identifier: GPL-2.0-only
// Which backend to use. Both are imported; the addon is loaded when the native one is asked for.

import { debuglog } from 'node:util'
import { invalid } from './errors.js'
import * as js from './js/index.js'
import { loadAddon } from './native/addon.js'
import * as native from './native/backend.js'
import type { Backend } from './types.js'

/** The environment variable that forces a backend. */
const VARIABLE = 'WRITEBACK_ITER_BACKEND'

/**
 * The backend of that name.
 * @throws `ELIBACC` if the native addon does not load
 */
export function loadBackend(name: 'native' | 'js'): Backend {
  if (name === 'js') return js
  loadAddon()
  return native
}

let selected: Backend | null = null

/**
 * The backend that `WRITEBACK_ITER_BACKEND` forces, or else the native one if it loads, or else the
 * TypeScript one. It is picked at the first call. An empty variable counts as none.
 * `NODE_DEBUG=writeback-iter` tells when and why it is not the native one.
 * @throws `EINVAL` for another value; `ELIBACC` if the forced backend does not load
 */
export function selectBackend(): Backend {
  selected ??= pick('backend', loadBackend)
  return selected
}

/**
 * Of what exists natively and in TypeScript, the one that `WRITEBACK_ITER_BACKEND` forces, or else the native
 * one if it loads.
 * @param what - for the message of `NODE_DEBUG=writeback-iter`
 * @throws `EINVAL`, `ELIBACC` as `selectBackend`
 */
export function pick<T>(what: string, load: (name: 'native' | 'js') => T): T {
  const forced = forcedBackend()
  if (forced === 'native' || forced === 'js') return load(forced)
  if (forced !== undefined && forced !== '') throw invalid(VARIABLE, forced, 'native or js')
  try {
    return load('native')
  } catch (error) {
    debuglog('writeback-iter')('%s; the TypeScript %s is used', (error as Error).message, what)
    return load('js')
  }
}

/**
 * The variable's value. Deno denies it to programs that may not read the environment: then nothing is forced.
 */
function forcedBackend(): string | undefined {
  try {
    return process.env[VARIABLE]
  } catch {
    return undefined
  }
}
