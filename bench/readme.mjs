// SPDX-License-Identifier: GPL-2.0-only
// Puts the results of a run into README.md, between its markers, and draws its plots.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { ROOT } from './build.mjs'
import { plots } from './plots.mjs'
import { heading, markdown, tables } from './report.mjs'

const README = join(ROOT, 'bench', 'README.md')
const PLOTS = join(ROOT, 'bench', 'plots')
const FIGURES = /(<!-- figures -->\n).*(<!-- end of figures -->)/s

/** @param {string} file - what `npm run bench -- --json FILE` wrote */
function report(file) {
  /** @type {import('./run.mjs').Results} */
  const results = JSON.parse(readFileSync(file, 'utf8'))
  if (results.quick) throw new Error(`${file} is of a --quick run, whose figures are of no worth`)
  const lines = heading(results).map((line) => `- ${line}`)
  const figures = [`${lines.join('\n')}\n`, ...tables(results).map(markdown)].join('\n')

  const readme = readFileSync(README, 'utf8')
  if (!FIGURES.test(readme)) throw new Error(`${README} has no markers for the figures`)
  writeFileSync(
    README,
    readme.replace(FIGURES, (_, begin, end) => `${begin}\n${figures}\n${end}`),
  )
  mkdirSync(PLOTS, { recursive: true })
  for (const [name, svg] of Object.entries(plots(results))) writeFileSync(join(PLOTS, name), svg)
}

const program = new Command('bench-report')
  .description('Puts the results of a run into bench/README.md and bench/plots')
  .argument('<file>', 'what `npm run bench -- --json <file>` wrote')
  .action(report)

try {
  program.parse()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
