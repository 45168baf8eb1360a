// SPDX-License-Identifier: GPL-2.0-only
// Draws the folios of a page cache.

import * as bits from '../data.js'
import { type Colours, pixel, SUMMARIES, summary } from './colours.js'
import { Layout, ZOOMS } from './layout.js'
import type { Timeline } from './timeline.js'
import { number } from './words.js'

/**
 * The least width of a page at which a folio is a box with flags and marks. Below it, a folio is an area of
 * one colour.
 */
const BOXES = 8
const LETTERS = 16
const INDICES = 40
/** The map is as high as its rows, between two limits: one in pixels, and one as a part of the window. */
const LEAST_HEIGHT = 160
const MOST_HEIGHT = 0.56
const BORDERS = 2

/** The rank of each state's summary, from 1. Where two folios share a pixel, the higher rank is drawn. */
const RANKS = Uint8Array.from({ length: 128 }, (_, state) => SUMMARIES.indexOf(summary(state)) + 1)

export class PageMap {
  readonly #canvas: HTMLCanvasElement
  readonly #context: CanvasRenderingContext2D
  readonly #scroller: HTMLElement
  readonly #extent: HTMLElement
  #timeline: Timeline
  #layout: Layout
  /** The zoom level; null for the largest at which all rows are in view. */
  #zoom: number | null = null
  #shown = 0
  /** The page that the user points at or typed in; null for none. */
  selected: number | null = null
  /** First page of the folio of the current finding; null for none. */
  finding: number | null = null
  /** The folios that the pass's batch still holds, which the map marks. */
  batch: readonly number[] = []

  constructor(canvas: HTMLCanvasElement, scroller: HTMLElement, extent: HTMLElement, timeline: Timeline) {
    const context = canvas.getContext('2d')
    if (context === null) throw new Error('this browser has no canvas')
    this.#canvas = canvas
    this.#context = context
    this.#scroller = scroller
    this.#extent = extent
    this.#timeline = timeline
    this.#layout = this.#fit()
    this.#layout.place(timeline)
  }

  /** The zoom level that is shown; 0 is the smallest. */
  get zoom(): number {
    return this.#shown
  }

  show(timeline: Timeline): void {
    this.#timeline = timeline
    this.#zoom = null
    this.selected = null
    this.relayout()
    this.#scroller.scrollTop = 0
  }

  /** Zooms in (1) or out (-1) around the same pages, or shows all pages (0). */
  setZoom(by: -1 | 0 | 1): void {
    const middle = this.#layout.pageAt(0, this.#scroller.scrollTop + 1)
    this.#zoom = by === 0 ? null : Math.max(0, Math.min(ZOOMS - 1, this.#shown + by))
    this.relayout()
    const page = this.selected ?? middle
    if (page !== null && by !== 0) this.reveal(page)
  }

  relayout(): void {
    this.#layout = this.#zoom === null ? this.#fit() : this.#at(this.#zoom)
    this.#layout.place(this.#timeline)
    this.#extent.style.height = `${Math.max(this.#layout.height, 1)}px`
    this.#scroller.style.height = `${Math.min(this.#most, Math.max(LEAST_HEIGHT, this.#layout.height)) + BORDERS}px`
  }

  get #most(): number {
    return Math.round(Math.max(LEAST_HEIGHT, innerHeight * MOST_HEIGHT))
  }

  #at(zoom: number): Layout {
    this.#shown = zoom
    return new Layout(this.#timeline, zoom, this.#scroller.clientWidth)
  }

  #fit(): Layout {
    for (let zoom = ZOOMS - 2; zoom > 0; zoom--) {
      const layout = this.#at(zoom)
      if (layout.height <= this.#most) return layout
    }
    return this.#at(0)
  }

  /** Scrolls to a page. */
  reveal(page: number): void {
    const row = Math.min(this.#layout.rowOf(page), this.#layout.rows.length - 1)
    if (row < 0) return
    const y = this.#layout.top[row]
    const { scrollTop, clientHeight } = this.#scroller
    if (y < scrollTop || y + this.#layout.rowHeight > scrollTop + clientHeight) {
      this.#scroller.scrollTop = y - clientHeight / 2
    }
  }

  pageAt(event: MouseEvent): number | null {
    const box = this.#canvas.getBoundingClientRect()
    return this.#layout.pageAt(event.clientX - box.left, event.clientY - box.top + this.#scroller.scrollTop)
  }

  draw(colours: Colours): void {
    const ratio = devicePixelRatio
    const [width, height] = [this.#scroller.clientWidth, this.#scroller.clientHeight]
    if (
      this.#canvas.width !== Math.round(width * ratio) ||
      this.#canvas.height !== Math.round(height * ratio)
    ) {
      this.#canvas.width = Math.round(width * ratio)
      this.#canvas.height = Math.round(height * ratio)
      this.#canvas.style.width = `${width}px`
      this.#canvas.style.height = `${height}px`
    }
    const context = this.#context
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height)
    if (this.#layout.cell < BOXES) this.#areas(colours, ratio)
    context.setTransform(ratio, 0, 0, ratio, 0, -this.#scroller.scrollTop * ratio)
    if (this.#layout.cell >= BOXES) this.#boxes(colours)
    this.#folds(colours)
    this.#marks(colours)
  }

  /** The rectangle of a folio in the map, in CSS pixels. */
  #place(folio: number): { x: number; y: number; w: number; h: number } {
    const { cell, pagesPerRow, top, firstRow, lastRow, rowHeight } = this.#layout
    const pages = Math.min(this.#timeline.pages[folio], pagesPerRow)
    const y = top[firstRow[folio]]
    return {
      x: this.#layout.xOf(this.#timeline.index[folio]),
      y,
      w: Math.max(1, pages * cell),
      h: top[lastRow[folio]] + rowHeight - y,
    }
  }

  *#inView(): Generator<number> {
    const { top, firstRow, lastRow, rowHeight } = this.#layout
    const { scrollTop, clientHeight } = this.#scroller
    const { state } = this.#timeline
    for (let folio = 0; folio < state.length; folio++) {
      if (state[folio] === 0) continue
      if (top[lastRow[folio]] + rowHeight < scrollTop || top[firstRow[folio]] > scrollTop + clientHeight)
        continue
      yield folio
    }
  }

  /**
   * Draws folios as areas of one colour. Where several share a pixel, the most important state is drawn. This
   * is the page's hot loop: at each step it runs over every folio in the cache, of which there may be a
   * hundred thousand.
   */
  #areas(colours: Colours, ratio: number): void {
    const { width, height } = this.#canvas
    const image = this.#context.createImageData(width, height)
    const pixels = new Int32Array(image.data.buffer)
    const ranks = new Uint8Array(pixels.length)
    const words = Int32Array.from(SUMMARIES, (name) => pixel(colours[name]))
    const { index, pages, state } = this.#timeline
    const { cell, top, firstRow, lastRow, pagesPerRow, rowHeight } = this.#layout
    const { scrollTop } = this.#scroller
    const gap = rowHeight > 3 ? 1 : 0
    for (let folio = 0; folio < state.length; folio++) {
      if (state[folio] === 0) continue
      const from = Math.max(0, Math.round((top[firstRow[folio]] - scrollTop) * ratio))
      const to = Math.min(height, Math.round((top[lastRow[folio]] + rowHeight - gap - scrollTop) * ratio))
      if (from >= to) continue
      const x = (index[folio] % pagesPerRow) * cell
      const left = Math.floor(x * ratio)
      const right = Math.min(width, Math.ceil((x + Math.min(pages[folio], pagesPerRow) * cell) * ratio))
      const rank = RANKS[state[folio]]
      const word = words[rank - 1]
      for (let row = from * width; row < to * width; row += width) {
        for (let at = row + left; at < row + right; at++) {
          if (rank < ranks[at]) continue
          pixels[at] = word
          ranks[at] = rank
        }
      }
    }
    this.#context.putImageData(image, 0, 0)
  }

  #boxes(colours: Colours): void {
    for (const folio of this.#inView()) this.#box(folio, colours)
  }

  /** Draws a box, with the flags above and the marks below. */
  #box(folio: number, colours: Colours): void {
    const context = this.#context
    const state = this.#timeline.state[folio]
    const { cell } = this.#layout
    const place = this.#place(folio)
    const [x, y, w, h] = [place.x + 0.5, place.y + 0.5, place.w - 1.5, place.h - 1.5]
    const strip = Math.max(3, Math.round(Math.min(h, this.#layout.rowHeight) * 0.3))
    const [dirty, writeback] = [(state & bits.DIRTY) !== 0, (state & bits.WRITEBACK) !== 0]
    context.fillStyle = dirty ? colours.dirty : writeback ? colours.writeback : colours.clean
    context.fillRect(x, y, w, h - strip)
    if (dirty && writeback) {
      context.fillStyle = colours.writeback
      context.beginPath()
      context.moveTo(x + w, y)
      context.lineTo(x + w, y + h - strip)
      context.lineTo(x, y + h - strip)
      context.fill()
    }
    const marks = [
      [bits.DIRTY_MARK, colours.dirty, 'd'],
      [bits.TOWRITE_MARK, colours.towrite, 't'],
      [bits.WRITEBACK_MARK, colours.writeback, 'w'],
    ] as const
    context.font = `${Math.max(8, strip - 1)}px ui-monospace, monospace`
    context.textAlign = 'center'
    context.textBaseline = 'middle'
    for (const [i, [bit, colour, letter]] of marks.entries()) {
      if ((state & bit) === 0) continue
      context.fillStyle = colour
      context.fillRect(x + (i * w) / 3, y + h - strip, w / 3, strip)
      if (cell < LETTERS || strip < 9) continue
      context.fillStyle = bit === bits.WRITEBACK_MARK ? colours.inverse : colours.ink
      context.fillText(letter, x + ((i + 0.5) * w) / 3, y + h - strip / 2 + 0.5)
    }
    const locked = (state & bits.LOCKED) !== 0
    context.strokeStyle = locked ? colours.locked : colours.line
    context.lineWidth = locked ? 2 : 1
    context.strokeRect(locked ? x + 0.5 : x, locked ? y + 0.5 : y, locked ? w - 1 : w, locked ? h - 1 : h)
    if (cell < LETTERS) return
    const letters = `${locked ? 'L' : ''}${dirty ? 'D' : ''}${writeback ? 'W' : ''}`
    context.fillStyle = dirty ? colours.ink : writeback ? colours.inverse : colours.fg
    context.font = `bold ${Math.min(12, Math.floor(cell * 0.5))}px ui-monospace, monospace`
    const middle = y + (h - strip) / 2 + 0.5
    const index = String(this.#timeline.index[folio])
    if (cell < INDICES || context.measureText(`LDW${index}`).width > w - 8) {
      context.fillText(letters, x + w / 2, middle, w - 4)
      return
    }
    context.textAlign = 'left'
    context.fillText(letters, x + 4, middle)
    context.font = '10px ui-monospace, monospace'
    context.textAlign = 'right'
    context.fillText(index, x + w - 4, middle)
  }

  #folds(colours: Colours): void {
    const context = this.#context
    const { scrollTop, clientHeight, clientWidth } = this.#scroller
    const width = Math.min(clientWidth, this.#layout.pagesPerRow * this.#layout.cell)
    context.fillStyle = colours.dim
    context.strokeStyle = colours.line
    context.lineWidth = 1
    context.font = '10px ui-monospace, monospace'
    context.textAlign = 'left'
    context.textBaseline = 'middle'
    for (const { y, pages } of this.#layout.folds()) {
      if (y + 12 < scrollTop || y > scrollTop + clientHeight) continue
      context.setLineDash([3, 3])
      context.beginPath()
      context.moveTo(0, y + 5.5)
      context.lineTo(width, y + 5.5)
      context.stroke()
      context.setLineDash([])
      const text = ` ${number(pages)} pages that were never in the cache `
      context.fillStyle = colours.bg
      context.fillRect(10, y, context.measureText(text).width, 11)
      context.fillStyle = colours.dim
      context.fillText(text, 10, y + 6)
    }
  }

  /**
   * Draws frames around what the last step changed, the rest of the batch (dashed), the selected page, and
   * the finding's folio.
   */
  #marks(colours: Colours): void {
    const context = this.#context
    const { step, changeFrom, changeFolio, state } = this.#timeline
    const frame = (folio: number, dash: number[], width: number) => {
      context.setLineDash(dash)
      this.#frame(this.#place(folio), width)
      context.setLineDash([])
    }
    context.strokeStyle = colours.accent
    for (const folio of this.batch) if (state[folio] !== 0) frame(folio, [3, 2], 1.5)
    if (step > 0 && changeFrom[step] - changeFrom[step - 1] <= 64) {
      for (let i = changeFrom[step - 1]; i < changeFrom[step]; i++) frame(changeFolio[i], [], 2.5)
    }
    if (this.selected !== null) {
      context.strokeStyle = colours.fg
      this.#framePage(this.selected, 1.5)
    }
    if (this.finding === null) return
    context.strokeStyle = colours.alarm
    const folio = this.#timeline.folioAt(this.finding)
    if (folio >= 0) frame(folio, [], 3)
    else this.#framePage(this.finding, 3)
  }

  #framePage(page: number, width: number): void {
    const { rows, top, pagesPerRow, cell, rowHeight } = this.#layout
    const row = this.#layout.rowOf(page)
    if (rows[row] !== Math.floor(page / pagesPerRow)) return
    this.#frame({ x: this.#layout.xOf(page), y: top[row], w: cell, h: rowHeight }, width)
  }

  /** Draws a frame around a rectangle, clipped to the map. */
  #frame({ x, y, w, h }: { x: number; y: number; w: number; h: number }, width: number): void {
    const [left, top] = [Math.max(x - 0.5, width / 2), Math.max(y - 0.5, width / 2)]
    this.#context.lineWidth = width
    this.#context.strokeRect(left, top, x + Math.max(w, 3) - left, y + Math.max(h, 3) - top)
  }
}
