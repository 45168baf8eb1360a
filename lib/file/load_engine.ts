// SPDX-License-Identifier: GPL-2.0-only
// The engines of this thread, which all copies of the module in it share: two caches of one file would not
// see each other's writes.

import { pick } from '../backend.js'
import { invalid } from '../errors.js'
import type { Engine } from './engine.js'
import { JsEngine } from './js/engine.js'
import { type Configured, type ConfigureOptions, merge, resolve } from './limits.js'
import { NativeEngine } from './native_engine.js'

interface Registry {
  configured: Configured
  native?: NativeEngine
  js?: JsEngine
  /** What files are opened on that name no engine. */
  selected?: Engine
}

/**
 * The number changes with the interface of the engines: copies that differ in it do not share, and the lock
 * keeps them apart.
 */
const KEY = Symbol.for('writeback-iter.file.3')

function registry(): Registry {
  const shared = globalThis as { [KEY]?: Registry }
  shared[KEY] ??= { configured: {} }
  return shared[KEY]
}

/** The engine for storage other than a file. */
export function deviceEngine(): JsEngine {
  const shared = registry()
  shared.js ??= new JsEngine(resolve(shared.configured))
  return shared.js
}

function load(name: 'native' | 'js'): Engine {
  const shared = registry()
  if (name === 'js') return deviceEngine()
  shared.native ??= new NativeEngine(shared.configured)
  return shared.native
}

/**
 * The engine of that name; without a name the one that `WRITEBACK_ITER_BACKEND` forces, or else the native
 * one if it loads, or else the TypeScript one.
 * @throws `EINVAL` for another name, or value of the variable; `ELIBACC` if the engine does not load
 */
export function loadEngine(name?: 'native' | 'js'): Engine {
  if (name === 'native' || name === 'js') return load(name)
  if (name !== undefined) throw invalid('engine', name, "'native' or 'js'")
  const shared = registry()
  shared.selected ??= pick('file engine', load)
  return shared.selected
}

/**
 * Sets how much memory the caches take and when they are written back: in this process on the native engine,
 * in this thread on the TypeScript engine. Takes effect at once.
 * @throws `EINVAL`, and then nothing has changed
 */
export function configure(options: ConfigureOptions): void {
  const shared = registry()
  const configured = merge(shared.configured, options)
  shared.native?.configure(options)
  shared.configured = configured
  shared.js?.configure(resolve(configured))
}
