// SPDX-License-Identifier: GPL-2.0-only
// What the package sets itself to reach, and what it reached.

import { BUILTIN, SHAPE_OPERATIONS, SHAPES, SQLITE, SQLITE_MODES, shapeOperation } from './scenarios.mjs'

/**
 * @typedef {import('./run.mjs').Results} Results
 * @typedef {import('./run.mjs').ResultRow} ResultRow
 */

/**
 * @typedef {object} Target
 * @property {string} what
 * @property {string} operation
 * @property {string} [label] - default 100,000 folios
 * @property {[string, string]} [sides] - how many times the second is as fast as the first
 * @property {string} [atMost] - instead: the side whose figure is to be at most the target
 * @property {string} [growth] - instead: the side whose figure at 10,000,000 folios is to be at most the
 * target's multiple
 *   of this one
 * @property {number} target
 * @property {number} stretch
 */

/** Shapes with short runs, where a call for each costs most. */
const SCATTERED_SHAPES = ['10 % at random', 'stride 8', 'order 9']

/**
 * @param {string} operation
 * @param {string} label
 * @returns {{ target: number, stretch: number }}
 */
function shapeTarget(operation, label) {
  if (operation === 'markDirty') return { target: 0.95, stretch: 1 }
  if (operation === 'writePages') {
    if (label === 'dense') return { target: 2.5, stretch: 3.5 }
    if (SCATTERED_SHAPES.includes(label)) return { target: 1.2, stretch: 1.5 }
  }
  if (operation === 'writeExtents') {
    if (label === 'dense') return { target: 5, stretch: 8 }
    if (SCATTERED_SHAPES.includes(label)) return { target: 1.3, stretch: 2 }
  }
  return { target: 1, stretch: 1.5 }
}

/** What programs do with files. @returns {Target[]} */
function fileTargets() {
  /** @param {string} label @param {number} target @param {number} stretch */
  const faster = (label, target, stretch, operation = 'files') => ({
    what: label,
    operation,
    label,
    sides: /** @type {[string, string]} */ (['fs', 'native']),
    target,
    stretch,
  })
  /** @param {string} label @param {string} operation @param {number} target @param {number} stretch */
  const atMost = (label, operation, target, stretch) => ({
    what: `${label}, ${operation === 'files' ? 'ms' : 'MiB more'}`,
    operation,
    label,
    atMost: 'native',
    target,
    stretch,
  })
  return [
    faster(BUILTIN, 2, 3),
    {
      what: `${BUILTIN}, TypeScript engine`,
      operation: 'files',
      label: BUILTIN,
      sides: ['fs', 'js'],
      target: 1,
      stretch: 1.3,
    },
    faster('65,536 random 4 KiB writes, fsync, first run', 2, 3),
    faster('1 GiB by 64 KiB, fsync, memory 64 MiB', 1, 1.5),
    faster('open, 4 KiB, fsync, close, unlink', 0.67, 0.91),
    ...SQLITE_MODES.map((mode) => ({
      ...faster(mode, 1, 1.5, SQLITE),
      what: `SQLite, ${mode}`,
    })),
    faster('50,000 random 4 KiB writes over 8 GiB', 0.67, 0.91, 'files: CPU'),
    faster('200,000 cached random 4 KiB reads of 256 MiB', 5, 10),
    faster('200,000 cached random 4 KiB reads of 1 MiB', 5, 10),
    atMost('1 GiB written, memory 64 MiB', 'files: memory', 96, 72),
    atMost('1 GiB read, memory 64 MiB', 'files: memory', 96, 72),
    atMost('longest stall in await fsync() of 256 MiB', 'files', 10, 2),
    {
      what: 'two worker threads that write one file, against one',
      operation: 'files: worker threads',
      label: '65,536 pages',
      sides: ['1', '2'],
      target: 1.5,
      stretch: 1.9,
    },
  ]
}

/** @type {Target[]} */
export const TARGETS = [
  ...Object.keys(SHAPES).flatMap((label) =>
    SHAPE_OPERATIONS.map((operation) => ({
      what: `${operation}, ${label}`,
      operation: shapeOperation(operation),
      label,
      sides: /** @type {[string, string]} */ (['js', 'native']),
      ...shapeTarget(operation, label),
    })),
  ),
  {
    what: 'memory of a cached dirty page, bytes',
    operation: 'memory of a cached dirty page',
    label: '1,000,000 pages',
    atMost: 'native',
    target: 68,
    stretch: 40,
  },
  {
    what: 'memory of a page dirtied in bulk, bytes',
    operation: 'memory of a cached dirty page',
    label: '1,000,000 pages in bulk',
    atMost: 'native',
    target: 24,
    stretch: 20,
  },
  {
    what: 'dirtyRange, ns per page',
    operation: 'dirtyRange',
    label: '1,000,000 pages in bulk',
    atMost: 'native',
    target: 3,
    stretch: 2,
  },
  {
    what: 'writePages, 10,000,000 folios against 100,000',
    operation: 'writePages',
    growth: 'native',
    target: 2,
    stretch: 1.3,
  },
  {
    what: 'sync of 16 dirty folios among 10,000,000, µs',
    operation: 'sync of 16 dirty folios among 10,000,000',
    label: '10,000,000 folios',
    atMost: 'native',
    target: 20,
    stretch: 5,
  },
  ...['native', 'js'].map((side) => ({
    what: `writeExtentsAsync, resolved at once, ${side}, ns per extent`,
    operation: 'writeExtentsAsync',
    label: 'resolved at once',
    atMost: side,
    target: 1000,
    stretch: 400,
  })),
  {
    what: 'writeExtentsAsync, resolved at once',
    operation: 'writeExtentsAsync',
    label: 'resolved at once',
    sides: ['js', 'native'],
    target: 1,
    stretch: 1.5,
  },
  {
    what: 'a slow device, against awaiting each write',
    operation: 'a slow device',
    label: '5 ms per write, 16 at once',
    sides: ['await each', 'native'],
    target: 14,
    stretch: 15.5,
  },
  ...fileTargets(),
  {
    what: 'CachedFile against fs.writeSync',
    operation: 'CachedFile: 4 KiB random writes, then fsync',
    label: '262,144 KiB',
    sides: ['fs.writeSync', 'native'],
    target: 2.5,
    stretch: 4,
  },
  {
    what: 'CachedFile of the TypeScript engine against fs.writeSync',
    operation: 'CachedFile: 4 KiB random writes, then fsync',
    label: '262,144 KiB',
    sides: ['fs.writeSync', 'js'],
    target: 1,
    stretch: 1.3,
  },
]

/**
 * @param {Results} results
 * @returns {string[][]} a line a target that these results can answer: what, the sides' figures, the ratio or
 * figure, the targets, and a verdict
 */
export function verdicts({ rows }) {
  /** @param {string} operation @param {string} label @param {string} side */
  const least = (operation, label, side) =>
    rows.find((row) => row.operation === operation && row.label === label)?.sides[side]?.min

  return TARGETS.flatMap((entry) => {
    const { what, operation, label = '100,000 folios', sides, atMost, growth, target, stretch } = entry
    if (sides !== undefined) {
      const [slow, fast] = sides.map((side) => least(operation, label, side))
      if (slow === undefined || fast === undefined) return []
      const ratio = slow / fast
      const verdict = ratio >= stretch ? 'stretch' : ratio >= target ? 'yes' : 'no'
      const named = `${sides[0]} ${slow.toFixed(1)}, ${sides[1]} ${fast.toFixed(1)}`
      return [[what, named, `${ratio.toFixed(2)} ×`, `≥ ${target} ×`, `${stretch} ×`, verdict]]
    }
    const side = /** @type {string} */ (atMost ?? growth)
    const figure = least(operation, growth === undefined ? label : '10,000,000 folios', side)
    const base = growth === undefined ? 1 : least(operation, label, side)
    if (figure === undefined || base === undefined) return []
    const value = figure / base
    const verdict = value <= stretch ? 'stretch' : value <= target ? 'yes' : 'no'
    const named = growth === undefined ? side : `${side} ${base.toFixed(1)}, ${figure.toFixed(1)}`
    const times = growth === undefined ? '' : ' ×'
    return [
      [what, named, `${value.toFixed(2)}${times}`, `≤ ${target}${times}`, `${stretch}${times}`, verdict],
    ]
  })
}
