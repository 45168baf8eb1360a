// SPDX-License-Identifier: GPL-2.0-only
// The table of results: one row per program that was run, or per check that was made.

import { readdirSync } from 'node:fs'
import { TRACES } from './user_folder.mjs'

const COLUMNS = ['install', 'runtime', 'program', 'backend', 'traces', 'result']

export class Report {
  #rows = []

  /** The rows that failed. */
  get failures() {
    return this.#rows.filter((row) => row.problem !== null).length
  }

  get passes() {
    return this.#rows.length - this.failures
  }

  /**
   * Runs the action and adds its row.
   * @param what install, runtime and program
   * @param expected the backend, and where the addon comes from, if that is asked for; how many traces were
   * replayed, null for
   *   none; how many times it is checked
   * @param action returns { checked }, or nothing where there is no program to run
   */
  add(what, expected, action) {
    const row = { ...what, backend: '', traces: '', problem: null }
    const start = performance.now()
    try {
      const checked = action()?.checked ?? []
      if (expected !== null) {
        row.backend = [...new Set(checked.map((each) => each.backend))].join()
        row.traces = checked.map((each) => each.traces).join('+')
        row.problem = difference(checked, expected)
      }
    } catch (error) {
      row.problem = error.message
    }
    row.result = row.problem === null ? 'ok' : 'FAILED'
    this.#rows.push(row)
    const name = [row.install, row.runtime, row.program].filter(Boolean).join(', ')
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    console.log(
      `${row.result.padEnd(6)} ${name} (${seconds} s)${row.problem === null ? '' : `\n${indent(row.problem)}`}`,
    )
  }

  print() {
    const widths = COLUMNS.map((name) =>
      Math.max(name.length, ...this.#rows.map((row) => String(row[name] ?? '').length)),
    )
    const line = (cells) => `| ${cells.map((cell, i) => String(cell ?? '').padEnd(widths[i])).join(' | ')} |`
    console.log(`\n${line(COLUMNS)}`)
    console.log(line(widths.map((width) => '-'.repeat(width))))
    for (const row of this.#rows) console.log(line(COLUMNS.map((name) => row[name])))
  }
}

const NR_TRACES = readdirSync(TRACES).length

/** The difference between the checks and the expected ones; null if there is none. */
function difference(checked, { backend, addon, traces = NR_TRACES, times = 1 }) {
  if (checked.length !== times) return `${checked.length} checks of ${times}`
  for (const each of checked) {
    if (each.backend !== backend) return `backend ${each.backend}, not ${backend}`
    if (each.traces !== traces) return `${each.traces} traces of ${traces}`
    if (addon !== undefined && each.addon !== addon) return `addon ${each.addon}, not ${addon}`
  }
  return null
}

function indent(text) {
  return text.trimEnd().replace(/^/gm, '    ')
}
