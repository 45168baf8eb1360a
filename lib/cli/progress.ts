// SPDX-License-Identifier: GPL-2.0-only

import { SingleBar } from 'cli-progress'

/** Work that takes less than this, in milliseconds, shows no bar. */
const PATIENCE = 2000

/** The least width of a bar, in columns; a shorter bar is not useful. */
const MIN_BAR = 10
const MAX_BAR = 40
/** Columns for the text beside the bar and the counts: ` | 99h59m left 123,456,789 operations/s `. */
const REST = 40

/**
 * A progress bar on stderr, if stderr is a terminal. It appears after two seconds of work. It does not change
 * the terminal's settings, so the process may be killed at any time.
 */
export class Progress {
  readonly #what: string
  readonly #total: number
  readonly #showFrom = performance.now() + PATIENCE
  #bar: SingleBar | null = null

  /**
   * @param what - the name of what is counted, as in "12/42 traces"
   * @param total - the number to do
   */
  constructor(what: string, total: number) {
    this.#what = what
    this.#total = total
  }

  /**
   * Sets the number that are done. Redraws at most a few times a second, so a caller may call it once per
   * thousandth of the work.
   * @param note - text after the counts, for instance a speed
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
   * The layout that fits into one line of a terminal with this many columns. The bar cannot erase a line that
   * wraps.
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

  /** Removes the bar. Call this before other output, and at the end. */
  stop(): void {
    this.#bar?.stop()
    this.#bar = null
  }
}
