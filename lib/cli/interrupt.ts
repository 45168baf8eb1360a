// SPDX-License-Identifier: GPL-2.0-only

/** The exit code of a command that was interrupted: 128 and the number of SIGINT, as shells have it. */
export const EXIT_INTERRUPTED = 130

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Aborted by SIGINT (Ctrl-C), SIGTERM or SIGHUP, none of which ends the process from now on: the work looks
 * at it several times a second, cleans up and tells how far it came. A second one changes nothing, because
 * npm passes on what the terminal has sent to the whole process group already.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController()
  for (const signal of SIGNALS) process.on(signal, () => controller.abort())
  return controller.signal
}
