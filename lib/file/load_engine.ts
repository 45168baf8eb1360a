// SPDX-License-Identifier: GPL-2.0-only
// The engines of this thread, which all copies of the module in it share: two caches of one file would not see each
// other's writes.

import { invalid, WritebackError } from '../errors.js'
import type { Engine } from './engine.js'
import { JsEngine } from './js/engine.js'
import { type Configured, type ConfigureOptions, merge, resolve } from './limits.js'

interface Registry {
  configured: Configured
  js?: Engine
}

/** The number changes with the interface `Engine`: copies that differ in it do not share, and the lock keeps them apart. */
const KEY = Symbol.for('writeback-iter/file/1')

function registry(): Registry {
  const shared = globalThis as { [KEY]?: Registry }
  shared[KEY] ??= { configured: {} }
  return shared[KEY]
}

/**
 * The engine of that name, or the one for this process.
 * @throws `ELIBACC` if it does not load
 */
export function loadEngine(name: 'native' | 'js' | undefined): Engine {
  if (name !== undefined && name !== 'native' && name !== 'js')
    throw invalid('engine', name, "'native' or 'js'")
  if (name === 'native') throw new WritebackError('ELIBACC', 'there is no native file engine yet')
  const shared = registry()
  shared.js ??= new JsEngine(resolve(shared.configured))
  return shared.js
}

/**
 * Sets how much memory the caches take and when they are written back: in this process on the native engine, in this
 * thread on the TypeScript engine. Takes effect at once.
 * @throws `EINVAL`, and then nothing has changed
 */
export function configure(options: ConfigureOptions): void {
  const shared = registry()
  shared.configured = merge(shared.configured, options)
  shared.js?.configure(resolve(shared.configured))
}
