// SPDX-License-Identifier: GPL-2.0-only
// The benchmark: measures, prints tables, writes JSON.

import { writeFileSync } from 'node:fs'
import { Command } from 'commander'
import { build } from './build.mjs'
import { machine } from './machine.mjs'
import { coreSide, freshSide, measure, openSide, programSide } from './measure.mjs'
import { heading, tables, text } from './report.mjs'
import { scenarios } from './scenarios.mjs'

/**
 * @typedef {import('./scenarios.mjs').Scenario} Scenario
 * @typedef {import('./scenarios.mjs').Row} Row
 * @typedef {import('./measure.mjs').Side} Side
 * @typedef {import('./measure.mjs').Task} Task
 * @typedef {{ operation: string, label: string, shape: object, unit: string, sides: Record<string, import('./measure.mjs').Figures> }} ResultRow
 * @typedef {{ machine: import('./machine.mjs').Machine, date: string, quick: boolean, runs: number, rows: ResultRow[] }} Results
 */

/**
 * Measures the rows of a scenario.
 * @param {Scenario} scenario
 * @param {Row[]} rows - those that are wanted
 * @param {string} core - the program of core.c
 * @returns {Promise<ResultRow[]>}
 */
async function measureScenario({ label, modules, shape, flags, fresh, runs, warmup }, rows, core) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.sides)))]
  /** @type {Map<string, Side>} */
  const sides = new Map()
  /** A task a side and operation, which several rows may show. @type {Map<string, Task>} */
  const tasks = new Map()
  try {
    for (const name of names) {
      const open = () => openSide(modules[name], name === 'addon' ? 'native' : name, shape, flags)
      const isCore = modules[name] === 'core'
      const side = isCore
        ? coreSide(core, /** @type {import('./sides/shape.mjs').Shape} */ (shape))
        : modules[name] === 'program'
          ? programSide(open)
          : fresh
            ? freshSide(open)
            : await open()
      sides.set(name, side)
    }
    for (const row of rows) {
      for (const [name, operation] of Object.entries(row.sides)) {
        const side = /** @type {Side} */ (sides.get(name))
        tasks.set(`${name} ${operation}`, { side, operation, repeat: row.repeat, scale: row.scale })
      }
    }
    const figures = await measure([...tasks.values()], { runs, warmup })
    const byTask = new Map([...tasks.keys()].map((key, i) => [key, figures[i]]))
    return rows.map(({ operation, unit, sides }) => ({
      operation,
      label,
      shape,
      unit,
      sides: Object.fromEntries(
        Object.entries(sides).map(([name, own]) => [
          name,
          /** @type {import('./measure.mjs').Figures} */ (byTask.get(`${name} ${own}`)),
        ]),
      ),
    }))
  } finally {
    for (const side of sides.values()) side.close()
  }
}

/** @param {{ json?: string, filter: string, quick: boolean }} options */
async function bench({ json, filter, quick }) {
  const core = build('bench_core')
  const all = scenarios(quick)
  /** @type {Results} */
  const results = { machine: machine(), date: new Date().toISOString(), quick, runs: all[0].runs, rows: [] }
  for (const scenario of all) {
    const rows = scenario.rows.filter(({ operation }) => `${operation}, ${scenario.label}`.includes(filter))
    if (rows.length === 0) continue
    const begin = performance.now()
    results.rows.push(...(await measureScenario(scenario, rows, core)))
    console.error(`measured: ${scenario.label} (${((performance.now() - begin) / 1000).toFixed(0)} s)`)
  }
  if (results.rows.length === 0) throw new Error(`no row has ${JSON.stringify(filter)} in its name`)
  console.log(`${heading(results).join('\n')}\n`)
  for (const table of tables(results)) console.log(text(table))
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, null, 2)}\n`)
}

const program = new Command('bench')
  .description('Measures the passes of each side in turn: nanoseconds per folio')
  .option('--json <file>', 'write the figures there, too')
  .option('--filter <text>', 'only rows with this in their name, e.g. "writePages, stride 64"', '')
  .option('--quick', 'a little of everything, to see that it works', false)
  .action(bench)

try {
  await program.parseAsync()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
