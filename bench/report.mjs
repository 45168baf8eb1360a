// SPDX-License-Identifier: GPL-2.0-only
// Results as tables, for the terminal and for README.md.

import { PARTED, SHAPE_OPERATIONS, SHAPES, shapeOperation } from './scenarios.mjs'
import { verdicts } from './targets.mjs'

/**
 * @typedef {import('./run.mjs').Results} Results
 * @typedef {import('./run.mjs').ResultRow} ResultRow
 * @typedef {{ operation: string, label: string, unit: string, sides: Record<string, { min: number }> }} TableRow
 * @typedef {{ title: string, head: string[], lines: string[][] }} Table
 */

/** @param {number} figure */
function format(figure) {
  return figure >= 1000
    ? Math.round(figure).toLocaleString('en-US')
    : figure.toFixed(figure >= 100 ? 0 : figure >= 10 ? 1 : 2)
}

/**
 * What a folio costs that is dirtied once and written once: some sides take their time at the one, some at
 * the other.
 */
const BOTH = 'markDirty, newly dirty + writePages'

/**
 * @param {ResultRow[]} rows
 * @returns {TableRow[]}
 */
function sums(rows) {
  return rows.flatMap(({ operation, label, unit, sides }) => {
    const other = rows.find((row) => row.operation === 'writePages' && row.label === label)
    if (operation !== 'markDirty, newly dirty' || other === undefined) return []
    const both = Object.keys(sides).map((side) => [side, { min: sides[side].min + other.sides[side].min }])
    return [{ operation: BOTH, label, unit, sides: Object.fromEntries(both) }]
  })
}

/**
 * @param {Results} results
 * @returns {Table[]} the ratio of the backends in each shape
 */
function shapesTables({ rows }) {
  const lines = Object.keys(SHAPES).flatMap((label) => {
    const ratios = SHAPE_OPERATIONS.map((operation) => {
      const row = rows.find((row) => row.label === label && row.operation === shapeOperation(operation))
      return row === undefined ? '–' : (row.sides.js.min / row.sides.native.min).toFixed(2)
    })
    return ratios.every((ratio) => ratio === '–') ? [] : [[label, ...ratios]]
  })
  if (lines.length === 0) return []
  return [{ title: 'shapes: time of js / time of native', head: ['', ...SHAPE_OPERATIONS], lines }]
}

/**
 * @param {Results} results
 * @returns {Table[]} one an operation: the least of all runs, a side a column
 */
function operationTables({ rows }) {
  /** @type {TableRow[]} */
  const shown = [...rows.filter(({ label }) => label !== 'parts'), ...sums(rows)]
  const operations = [...new Set(shown.map(({ operation }) => operation))]
  return operations.map((operation) => {
    const own = shown.filter((row) => row.operation === operation)
    const sides = [...new Set(own.flatMap((row) => Object.keys(row.sides)))]
    const compared = sides.includes('js') && sides.includes('native')
    const lines = own.map((row) => {
      const figures = sides.map((side) => (row.sides[side] ? format(row.sides[side].min) : '–'))
      const ratio = compared ? [`${(row.sides.js.min / row.sides.native.min).toFixed(2)} ×`] : []
      return [row.label, ...figures, ...ratio]
    })
    return {
      title: `${operation} (${own[0].unit})`,
      head: ['', ...sides, ...(compared ? ['js / native'] : [])],
      lines,
    }
  })
}

/** What the time of a pass is taken apart into. */
export const PARTS = ['crossing', 'core', 'TypeScript', 'callback or body']

/**
 * Where the time of a native pass goes, in nanoseconds per folio: the calls, at what an empty one takes; what
 * the addon takes beyond that; the user's code, as by itself; and the TypeScript between them, which is the
 * rest.
 * @param {Results} results
 * @returns {{ operation: string, calls: number, parts: number[] }[]} as PARTS
 */
export function timeParts({ rows }) {
  /** @param {string} operation */
  const find = (operation) => rows.find((row) => row.label === 'parts' && row.operation === operation)?.sides
  const empty = find('empty call')?.addon.min
  if (empty === undefined) return []
  return Object.entries(PARTED).flatMap(([operation, code]) => {
    const pass = find(operation)
    const calls = find(`${operation}: calls`)?.addon.min
    const user = code === null ? undefined : find(code)
    if (pass === undefined || calls === undefined || (code !== null && user === undefined)) return []
    const crossing = calls * empty
    // The core learns of the body's marks within the pass's own calls.
    const own = user === undefined ? 0 : user.native.min - (user.addon?.min ?? 0)
    return [
      {
        operation,
        calls,
        parts: [crossing, pass.addon.min - crossing, pass.native.min - pass.addon.min - own, own],
      },
    ]
  })
}

/** @param {Results} results @returns {Table[]} */
function partsTables(results) {
  const lines = timeParts(results).map(({ operation, calls, parts }) => [
    operation,
    calls.toFixed(4),
    ...parts.map(format),
  ])
  if (lines.length === 0) return []
  const head = ['', 'calls of the addon', ...PARTS]
  return [{ title: 'where the time of a native pass goes (ns per folio)', head, lines }]
}

/** @param {Results} results @returns {Table[]} */
export function tables(results) {
  const targets = verdicts(results)
  const head = ['', 'measured', 'ratio or figure', 'target', 'stretch', 'reached']
  return [
    ...shapesTables(results),
    ...operationTables(results),
    ...partsTables(results),
    ...(targets.length > 0 ? [{ title: 'targets', head, lines: targets }] : []),
  ]
}

/** @param {Results} results */
export function heading({ machine, runs, quick }) {
  return [
    `${machine.cpu}, ${machine.cores} cores (${machine.architecture}), load ${machine.load}`,
    `Node.js ${machine.node}, V8 ${machine.v8}, ${machine.os}, addon by ${machine.compiler}`,
    `the least of ${runs} runs, all sides in turn${quick ? '; --quick: figures of no worth' : ''}`,
  ]
}

/** @param {Table} table */
export function text({ title, head, lines }) {
  const all = [head, ...lines]
  const widths = head.map((_, column) => Math.max(...all.map((line) => line[column].length)))
  const rendered = all.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
      .join('  '),
  )
  return `${title}\n${rendered.join('\n')}\n`
}

/** @param {Table} table */
export function markdown({ title, head, lines }) {
  /** @param {string[]} cells */
  const row = (cells) => `| ${cells.join(' | ')} |`
  const rule = row(head.map((_, column) => (column === 0 ? '---' : '---:')))
  return `**${title}**\n\n${row(head)}\n${rule}\n${lines.map(row).join('\n')}\n`
}
