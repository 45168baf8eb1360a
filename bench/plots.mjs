// SPDX-License-Identifier: GPL-2.0-only
// Results as SVG.

import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { PARTS, timeParts } from './report.mjs'

/** @typedef {import('./run.mjs').Results} Results */

const { document } = parseHTML('<!doctype html><html></html>')

/** The same colour for a side in all plots. */
const SIDES = {
  core: '#4d4d4d',
  native: '#0072b2',
  js: '#e69f00',
  plain: '#009e73',
  'Map + sort': '#cc79a7',
  'sorted-btree': '#d55e00',
  typedfastbitset: '#56b4e9',
}

/** Operations that have a plot over the size, and its file. */
const OVER_SIZE = {
  writePages: 'write-pages',
  writeExtents: 'write-extents',
  writebackIter: 'writeback-iter',
  'for…of': 'for-of',
  'markDirty, newly dirty': 'mark-dirty',
}

const PART_COLOURS = ['#d55e00', '#0072b2', '#e69f00', '#009e73']

const PLOT_HEIGHT = 400
const LABEL_HEIGHT = 16

/** @param {object} options @returns {string} */
function svg(options) {
  const plot = Plot.plot({
    document,
    width: 720,
    marginRight: 110,
    style: { background: 'white', color: 'black', fontSize: '12px', fontFamily: 'sans-serif' },
    ...options,
  })
  plot.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  return `${plot.outerHTML}\n`
}

/** @typedef {{ side: string, nanoseconds: number, folios: number }} Point */

/**
 * Where the names of the sides go: beside their last points, but far enough apart to be read.
 * @param {Point[]} points
 * @returns {Point[]}
 */
function labels(points) {
  const nanoseconds = points.map((point) => point.nanoseconds)
  const range = Math.max(...nanoseconds) / Math.min(...nanoseconds)
  const apart = range ** (LABEL_HEIGHT / (PLOT_HEIGHT - 50))
  const last = [...new Map(points.map((point) => [point.side, point])).values()]
  let least = 0
  return last
    .sort((a, b) => a.nanoseconds - b.nanoseconds)
    .map((point) => {
      const y = Math.max(point.nanoseconds, least)
      least = y * apart
      return { ...point, nanoseconds: y }
    })
}

/** @param {Results} results @param {string} operation */
function overSize({ rows }, operation) {
  const points = rows
    .filter((row) => row.operation === operation && row.label.endsWith(' folios'))
    .flatMap(({ shape, sides }) =>
      Object.entries(sides).map(([side, { min }]) => ({
        side,
        nanoseconds: min,
        folios: /** @type {import('./sides/shape.mjs').Shape} */ (shape).folios,
      })),
    )
  if (points.length === 0) return null
  return svg({
    height: PLOT_HEIGHT,
    grid: true,
    x: { type: 'log', label: 'folios', tickFormat: '~s' },
    y: { type: 'log', label: `${operation}: ns per folio`, tickFormat: '~r' },
    color: { domain: Object.keys(SIDES), range: Object.values(SIDES) },
    marks: [
      Plot.line(points, { x: 'folios', y: 'nanoseconds', z: 'side', stroke: 'side', marker: 'circle' }),
      Plot.text(labels(points), {
        x: 'folios',
        y: 'nanoseconds',
        text: 'side',
        fill: 'side',
        dx: 10,
        textAnchor: 'start',
      }),
    ],
  })
}

/** @param {Results} results */
function whereTimeGoes(results) {
  const pieces = timeParts(results).flatMap(({ operation, parts }) =>
    // What is less than nothing is noise.
    parts.map((nanoseconds, i) => ({ operation, part: PARTS[i], nanoseconds: Math.max(0, nanoseconds) })),
  )
  if (pieces.length === 0) return null
  return svg({
    height: 260,
    marginLeft: 110,
    marginRight: 150,
    x: { label: 'native: ns per folio', grid: true },
    y: { label: null, domain: [...new Set(pieces.map(({ operation }) => operation))] },
    color: { domain: PARTS, range: PART_COLOURS },
    marks: [
      Plot.barX(pieces, { x: 'nanoseconds', y: 'operation', fill: 'part', order: PARTS }),
      ...PARTS.map((part, i) =>
        Plot.text([part], {
          frameAnchor: 'top-right',
          text: [part],
          fill: PART_COLOURS[i],
          dx: 12,
          dy: 10 + i * 18,
          textAnchor: 'start',
        }),
      ),
    ],
  })
}

/**
 * @param {Results} results
 * @returns {Record<string, string>} SVG by file name; none of what these results have no figures for
 */
export function plots(results) {
  const drawn = [
    ...Object.entries(OVER_SIZE).map(([operation, name]) => [name, overSize(results, operation)]),
    ['where-time-goes', whereTimeGoes(results)],
  ]
  return Object.fromEntries(drawn.flatMap(([name, plot]) => (plot === null ? [] : [[`${name}.svg`, plot]])))
}
