// SPDX-License-Identifier: GPL-2.0-only
// A gauge against regressions of the core: instructions per folio, which unlike time are the same in every
// run. Compares them with gauge.json, or records them there.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { build, ROOT, run } from './build.mjs'
import { compare, TOLERANCE } from './gauge_compare.mjs'

const FILE = join(ROOT, 'bench', 'gauge.json')

/** @returns {import('./gauge_compare.mjs').Gauge} */
function measure() {
  const program = build('bench_gauge')
  const [compiler, folios, ...operations] = run(program, [], '').stdout.trim().split('\n')
  /** @type {Record<string, number>} */
  const instructions = {}
  for (const operation of operations) {
    const { stderr } = run(
      'valgrind',
      ['--tool=callgrind', '--callgrind-out-file=/dev/null', '--toggle-collect=gauged', program, operation],
      'valgrind',
    )
    const collected = /Collected : (\d+)/.exec(stderr)
    if (collected === null || collected[1] === '0') throw new Error(`callgrind counted nothing:\n${stderr}`)
    instructions[operation] = Math.round((Number(collected[1]) / Number(folios)) * 100) / 100
  }
  return { compiler, instructions }
}

/** @param {{ update?: boolean }} options */
function gauge({ update }) {
  const measured = measure()
  if (update) {
    writeFileSync(FILE, `${JSON.stringify(measured, null, 2)}\n`)
    console.log(`recorded with ${measured.compiler}: ${JSON.stringify(measured.instructions)}`)
    return
  }
  console.log(`instructions per folio, ${measured.compiler}, at most ${TOLERANCE * 100} % more than recorded`)
  const { ok, lines } = compare(JSON.parse(readFileSync(FILE, 'utf8')), measured)
  console.log(lines.join('\n'))
  if (!ok) process.exitCode = 1
}

const program = new Command('gauge')
  .description("Compares the core's instructions per folio with those recorded in bench/gauge.json")
  .option('--update', 'record them instead')
  .action(gauge)

try {
  program.parse()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
