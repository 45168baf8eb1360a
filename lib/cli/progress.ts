// SPDX-License-Identifier: GPL-2.0-only

import { SingleBar } from 'cli-progress'

/** Shorter work shows no bar, in milliseconds. */
const PATIENCE = 2000

/**
 * A progress bar on stderr, if that is a terminal, once the work has taken two seconds. It leaves the terminal's
 * settings alone, so that the process may be killed at any time.
 */
export class Progress {
  readonly #what: string
  readonly #total: number
  readonly #showFrom = performance.now() + PATIENCE
  #bar: SingleBar | null = null

  /**
   * @param what - what is counted, as in "12/42 traces"
   * @param total - how many there are to do
   */
  constructor(what: string, total: number) {
    this.#what = what
    this.#total = total
  }

  /**
   * So many are done. Redraws at most a few times a second; cheap enough for every thousandth of the work.
   * @param note - shown behind, a speed for instance
   */
  update(done: number, note = ''): void {
    if (this.#bar === null) {
      if (!process.stderr.isTTY || performance.now() < this.#showFrom) return
      this.#bar = new SingleBar({
        format: `{bar} {percentage}% | {value}/{total} ${this.#what} | {eta_formatted} left {note}`,
        stream: process.stderr,
        linewrap: true,
        clearOnComplete: true,
      })
      this.#bar.start(this.#total, done, { note })
      return
    }
    this.#bar.update(done, { note })
  }

  /** Takes the bar away. Before anything else is printed, and at the end. */
  stop(): void {
    this.#bar?.stop()
    this.#bar = null
  }
}
