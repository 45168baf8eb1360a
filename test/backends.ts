// SPDX-License-Identifier: GPL-2.0-only
// The backends that the suite runs on, for describe.each: both, or only js where the addon is not built. In
// CI (environment variable CI) a missing addon fails, so that a green run there always covers both.

import { loadBackend } from '../lib/backend.js'
import type { Backend } from '../lib/types.js'

/** Why there is no native backend; null if there is one. */
export let nativeMissing: string | null = null

export const backends: Backend[] = [loadBackend('js')]
try {
  backends.unshift(loadBackend('native'))
} catch (error) {
  if (process.env.CI) throw error
  nativeMissing = (error as Error).message
}
