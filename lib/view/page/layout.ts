// SPDX-License-Identifier: GPL-2.0-only
// Where the map shows each page. Each row has a power of two of pages, so every folio is a rectangle. Rows
// that never had a folio are folded.

import type { Timeline } from './timeline.js'

/** Least width of a page in pixels, per zoom level. Below 1, several pages share a pixel. */
const CELLS = [1 / 4096, 1 / 512, 1 / 64, 1 / 16, 1 / 4, 1, 2, 4, 8, 16, 32, 64]
const HEIGHTS = [3, 3, 3, 3, 3, 3, 4, 6, 10, 20, 34, 44]
export const ZOOMS = CELLS.length
/** Rows of a large folio that are shown. Its other rows are folded. */
const MOST_ROWS = 4
const FOLD = 12

export class Layout {
  readonly cell: number
  readonly rowHeight: number
  readonly pagesPerRow: number
  /** Number of each row that is shown: its first page divided by pagesPerRow. Ascending. */
  readonly rows: Float64Array
  readonly top: Float64Array
  readonly height: number
  /** The first and the last row of each folio, as positions in `rows`. */
  firstRow = new Uint32Array(0)
  lastRow = new Uint32Array(0)

  constructor(timeline: Timeline, zoom: number, width: number) {
    this.rowHeight = HEIGHTS[zoom]
    this.pagesPerRow = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, width) / CELLS[zoom])))
    this.cell = Math.min(2 * CELLS[zoom], Math.max(1, width - 2) / this.pagesPerRow)
    this.rows = this.#rows(timeline)
    this.top = new Float64Array(this.rows.length)
    let y = 0
    for (let row = 0; row < this.rows.length; row++) {
      const before = row === 0 ? -1 : this.rows[row - 1]
      if (this.rows[row] !== before + 1) y += FOLD
      this.top[row] = y
      y += this.rowHeight
    }
    this.height = y
  }

  /** Finds the rows of every folio. */
  place(timeline: Timeline): void {
    const count = timeline.index.length
    this.firstRow = new Uint32Array(count)
    this.lastRow = new Uint32Array(count)
    for (let folio = 0; folio < count; folio++) {
      this.firstRow[folio] = this.rowOf(timeline.index[folio])
      const last = timeline.index[folio] + timeline.pages[folio] - 1
      this.lastRow[folio] = timeline.pages[folio] === 1 ? this.firstRow[folio] : this.#rowBefore(last)
    }
  }

  #rows(timeline: Timeline): Float64Array {
    const rows = new Set<number>()
    let latest = -1
    for (let folio = 0; folio < timeline.index.length; folio++) {
      const first = Math.floor(timeline.index[folio] / this.pagesPerRow)
      const last = Math.floor((timeline.index[folio] + timeline.pages[folio] - 1) / this.pagesPerRow)
      if (first === latest && last === latest) continue
      for (let row = first; row <= Math.min(last, first + MOST_ROWS - 1); row++) rows.add(row)
      latest = last === first ? first : -1
    }
    return Float64Array.from(rows).sort()
  }

  /** The row that contains a page, or the first row after the page. */
  rowOf(page: number): number {
    const row = Math.floor(page / this.pagesPerRow)
    let [low, high] = [0, this.rows.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.rows[middle] < row) low = middle + 1
      else high = middle
    }
    return low
  }

  #rowBefore(page: number): number {
    const row = this.rowOf(page)
    return this.rows[row] === Math.floor(page / this.pagesPerRow) ? row : row - 1
  }

  xOf(page: number): number {
    return (page % this.pagesPerRow) * this.cell
  }

  /** The page at a position in the map; null for a fold, or for a position outside the rows. */
  pageAt(x: number, y: number): number | null {
    let row = this.top.findIndex((top) => y < top + this.rowHeight)
    if (row < 0 || y < this.top[row]) row = -1
    const column = Math.floor(x / this.cell)
    return row < 0 || x < 0 || column >= this.pagesPerRow ? null : this.rows[row] * this.pagesPerRow + column
  }

  /** The folds: the position of each, and how many pages it hides. */
  *folds(): Generator<{ y: number; pages: number }> {
    for (let row = 0; row < this.rows.length; row++) {
      const before = row === 0 ? -1 : this.rows[row - 1]
      const hidden = this.rows[row] - before - 1
      if (hidden > 0) yield { y: this.top[row] - FOLD, pages: hidden * this.pagesPerRow }
    }
  }
}
