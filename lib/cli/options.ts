// SPDX-License-Identifier: GPL-2.0-only
// Options that commands share, and the parsers of their values.

import { InvalidArgumentError, Option } from 'commander'
import { loadBackend, selectBackend } from '../backend.js'
import { loadEngine } from '../file/load_engine.js'
import type { Backend } from '../types.js'
import { CommandError } from './command_error.js'

export type BackendOption = Backend['backend'] | 'both'

/** --json, which every command has. It prints one object on stdout, and nothing else. */
export function jsonOption(): Option {
  return new Option('--json', 'print the outcome as JSON')
}

/** --backend, the same for every command that runs on either backend. */
export function backendOption(fallback: string): Option {
  return new Option('--backend <name>', `default: ${fallback}`).choices(['native', 'js', 'both'])
}

/** Parses a decimal integer; anything else is wrong use. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value
    const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`
    throw new InvalidArgumentError(`Expected an integer ${range}.`)
  }
}

/** Backends to run on. */
export interface Backends {
  readonly backends: Backend[]
  /**
   * Why the native backend is missing, although no option excluded it; null if it is present or was excluded.
   */
  readonly nativeMissing: string | null
}

/** The backends that `--backend` names. Throws a {@link CommandError} if one does not load. */
export function namedBackends(name: BackendOption): Backend[] {
  return explained(() => (name === 'both' ? [loadBackend('native'), loadBackend('js')] : [loadBackend(name)]))
}

/** The backend that the package's default entry picks. */
export function pickedBackend(): Backend {
  return explained(selectBackend)
}

/**
 * The backends that `--backend` or the environment names; otherwise both, or only js if native does not load.
 */
export function allBackends(name: BackendOption | undefined): Backends {
  if (name !== undefined) return { backends: namedBackends(name), nativeMissing: null }
  if (process.env.WRITEBACK_ITER_BACKEND) return { backends: [pickedBackend()], nativeMissing: null }
  try {
    return { backends: [loadBackend('native'), loadBackend('js')], nativeMissing: null }
  } catch (error) {
    return { backends: [loadBackend('js')], nativeMissing: (error as Error).message }
  }
}

/**
 * The file engines that `--backend` or the environment names; otherwise both, or only js if native does not
 * load.
 */
export function allEngines(name: BackendOption | undefined): {
  readonly engines: Backend['backend'][]
  readonly nativeMissing: string | null
} {
  const named = name ?? (process.env.WRITEBACK_ITER_BACKEND ? pickedBackend().backend : undefined)
  if (named === 'js') return { engines: ['js'], nativeMissing: null }
  try {
    loadEngine('native')
    return { engines: named === 'native' ? ['native'] : ['native', 'js'], nativeMissing: null }
  } catch (error) {
    if (named !== undefined) throw new CommandError((error as Error).message, { cause: error })
    return { engines: ['js'], nativeMissing: (error as Error).message }
  }
}

function explained<T>(load: () => T): T {
  try {
    return load()
  } catch (error) {
    throw new CommandError((error as Error).message, { cause: error })
  }
}
