// SPDX-License-Identifier: GPL-2.0-only

/** The exit code of an interrupted command: 128 plus the number of SIGINT, as in shells. */
export const EXIT_INTERRUPTED = 130

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * A signal that SIGINT (Ctrl-C), SIGTERM or SIGHUP aborts. From now on none of these ends the process. The
 * command checks the signal several times a second, cleans up, and reports how far it came. A second signal
 * changes nothing, because npm forwards the signal that the terminal has already sent to the whole process
 * group.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController()
  for (const signal of SIGNALS) process.on(signal, () => controller.abort())
  return controller.signal
}
