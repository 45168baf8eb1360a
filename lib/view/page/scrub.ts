// SPDX-License-Identifier: GPL-2.0-only
// The picture under the slider: the activity over time, and lanes that show the passes of each task.

import type { Colours } from './colours.js'
import type { Timeline } from './timeline.js'

const DENSITY = 52
const LANE = 15
const MOST_LANES = 12

interface Lane {
  readonly label: string
  readonly passes: number[]
  /** Step in which the lane's last pass ends. */
  end: number
}

/** Puts the passes of one task into one lane, or into several lanes where they overlap. */
function lanesOf(timeline: Timeline): Lane[] {
  const lanes: Lane[] = []
  for (const [pass, { begin, end, pid, comm }] of timeline.data.passes.entries()) {
    const label = pid < 0 ? 'passes' : `${comm} ${pid}`
    let lane = lanes.find((lane) => lane.label === label && lane.end < begin)
    if (lane === undefined) lanes.push((lane = { label, passes: [], end: -1 }))
    lane.passes.push(pass)
    lane.end = end < 0 ? timeline.length : end
  }
  return lanes
}

export class Scrub {
  readonly #canvas: HTMLCanvasElement
  #timeline: Timeline
  #lanes: Lane[] = []
  #background: { image: ImageBitmap | HTMLCanvasElement; key: string } | null = null

  constructor(canvas: HTMLCanvasElement, timeline: Timeline) {
    this.#canvas = canvas
    this.#timeline = timeline
    this.show(timeline)
  }

  show(timeline: Timeline): void {
    this.#timeline = timeline
    this.#lanes = lanesOf(timeline)
    this.#background = null
    const lanes = Math.min(this.#lanes.length, MOST_LANES)
    this.#canvas.style.height = `${DENSITY + lanes * LANE + 4}px`
  }

  stepAt(event: MouseEvent): number {
    const { left, width } = this.#canvas.getBoundingClientRect()
    return Math.round(((event.clientX - left) / width) * this.#timeline.length)
  }

  /** The pass whose bar the mouse points at; null for none. */
  passAt(event: MouseEvent): number | null {
    const { top } = this.#canvas.getBoundingClientRect()
    const lane = this.#lanes[Math.floor((event.clientY - top - DENSITY) / LANE)]
    const step = this.stepAt(event)
    const found = lane?.passes.find((pass) => {
      const { begin, end } = this.#timeline.data.passes[pass]
      return begin <= step && (end < 0 || step <= end + 1)
    })
    return found ?? null
  }

  draw(colours: Colours): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas
    const ratio = devicePixelRatio
    const key = `${width} ${height} ${ratio} ${colours.bg}`
    if (this.#background?.key !== key) {
      const image = document.createElement('canvas')
      image.width = Math.round(width * ratio)
      image.height = Math.round(height * ratio)
      this.#drawAll(image.getContext('2d') as CanvasRenderingContext2D, width, ratio, colours)
      this.#background = { image, key }
      this.#canvas.width = image.width
      this.#canvas.height = image.height
    }
    const context = this.#canvas.getContext('2d') as CanvasRenderingContext2D
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height)
    context.drawImage(this.#background.image, 0, 0)
    const x =
      this.#timeline.length === 0 ? 0 : (this.#timeline.step / this.#timeline.length) * this.#canvas.width
    context.fillStyle = colours.accent
    context.fillRect(Math.min(x, this.#canvas.width - 2) - 1, 0, 2 * ratio, this.#canvas.height)
  }

  #drawAll(context: CanvasRenderingContext2D, width: number, ratio: number, colours: Colours): void {
    context.scale(ratio, ratio)
    this.#density(context, width, colours)
    const scale = width / Math.max(1, this.#timeline.length)
    context.fillStyle = colours.alarm
    for (const { broke } of this.#timeline.data.findings) {
      context.fillRect(Math.min((broke + 1) * scale, width) - 1, 0, 2, DENSITY)
    }
    context.font = '10px system-ui, sans-serif'
    context.textBaseline = 'middle'
    for (const [i, { label, passes }] of this.#lanes.slice(0, MOST_LANES).entries()) {
      const y = DENSITY + i * LANE
      for (const pass of passes) {
        const { begin, end, control } = this.#timeline.data.passes[pass]
        context.fillStyle = control.includes('sync=all') ? colours.writeback : colours.clean
        const x = begin * scale
        context.fillRect(
          x,
          y + 2,
          Math.max(1, ((end < 0 ? this.#timeline.length : end + 1) - begin) * scale),
          LANE - 4,
        )
      }
      context.lineWidth = 3
      context.strokeStyle = colours.bg
      context.fillStyle = colours.fg
      context.strokeText(label, 4, y + LANE / 2)
      context.fillText(label, 4, y + LANE / 2)
    }
  }

  /**
   * Draws how much was dirtied, written and waited for, per pixel: three rows of bars, each with its own
   * scale.
   */
  #density(context: CanvasRenderingContext2D, width: number, colours: Colours): void {
    const rows = [
      ['dirtied', colours.dirty],
      ['written', colours.writeback],
      ['waited', colours.towrite],
    ] as const
    const bins = rows.map(() => new Uint32Array(Math.max(1, Math.ceil(width / 2))))
    const { kind, length } = this.#timeline
    for (let step = 0; step < length; step++) {
      if (kind[step] < rows.length) bins[kind[step]][Math.floor((step / length) * bins[0].length)]++
    }
    const row = DENSITY / rows.length
    context.font = '10px system-ui, sans-serif'
    context.textBaseline = 'top'
    for (const [i, [label, colour]] of rows.entries()) {
      const most = bins[i].reduce((most, count) => Math.max(most, count), 1)
      context.fillStyle = colour
      for (const [bin, count] of bins[i].entries()) {
        const height = count === 0 ? 0 : Math.max(1, (count / most) * (row - 3))
        context.fillRect(bin * 2, (i + 1) * row - height - 1, 2, height)
      }
      context.lineWidth = 3
      context.strokeStyle = colours.bg
      context.strokeText(label, 4, i * row + 2)
      context.fillStyle = colours.fg
      context.fillText(label, 4, i * row + 2)
    }
  }
}
