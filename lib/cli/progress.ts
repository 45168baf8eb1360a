// SPDX-License-Identifier: GPL-2.0-only

import { SingleBar } from 'cli-progress'

/** Shorter work shows no bar, in milliseconds. */
const PATIENCE = 2000

/** Columns that a bar takes; a shorter one says nothing. */
const MIN_BAR = 10
const MAX_BAR = 40
/** Columns for what stands beside bar and counts: ` | 99h59m left 123,456,789 operations/s `. */
const REST = 40

/**
 * A progress bar on stderr, if that is a terminal, once the work has taken two seconds. It leaves the
 * terminal's settings alone, so that the process may be killed at any time.
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
   * Tells how many are done. Redraws at most a few times a second; cheap enough for every thousandth of the
   * work.
   * @param note - shown behind, a speed for instance
   */
  update(done: number, note = ''): void {
    if (this.#bar === null) {
      if (!process.stderr.isTTY || performance.now() < this.#showFrom) return
      this.#bar = new SingleBar({
        ...this.#layout(process.stderr.columns || 80),
        stream: process.stderr,
        linewrap: true,
        clearOnComplete: true,
      })
      this.#bar.start(this.#total, done, { note })
      return
    }
    this.#bar.update(done, { note })
  }

  /**
   * What fits into one line of a terminal that has this many columns: a line that wraps is never taken away
   * again.
   */
  #layout(columns: number): { format: string; barsize?: number } {
    const counts = `{percentage}% | {value}/{total} ${this.#what}`
    const digits = String(this.#total).length
    const width = '100% | '.length + 2 * digits + '/ '.length + this.#what.length
    if (columns <= width) return { format: '{percentage}%' }
    const barsize = Math.min(MAX_BAR, columns - width - REST)
    if (barsize < MIN_BAR) return { format: counts }
    return { format: `{bar} ${counts} | {eta_formatted} left {note}`, barsize }
  }

  /** Takes the bar away. Before anything else is printed, and at the end. */
  stop(): void {
    this.#bar?.stop()
    this.#bar = null
  }
}
