// SPDX-License-Identifier: GPL-2.0-only
// npm run check -- mutants [--count N] [--seed S] [--jobs J] [--only TEXT]: does the fast part of the suite
// notice a small fault in the core? Each mutant (mutate.mjs) is compiled, and the C tests are run on it until
// one fails (suite.mjs). Survivors must stand in survivors.json, with the reason why that is all right. Exit
// code 1 if one does not, or if fewer than 95 % of all are killed.

import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { Command } from 'commander'
import { mutate } from './mutate.mjs'
import { Bench, prepare, readCore } from './suite.mjs'
import { wholeNumber } from '../whole_number.mjs'

const SURVIVORS = new URL('survivors.json', import.meta.url)
const ENOUGH = 0.95
const NO_REASON = 'survived without a reason'

/** mulberry32 */
function random(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function sample(mutants, { count, seed }) {
  if (count === undefined) return mutants
  const next = random(seed)
  const shuffled = mutants
    .map((mutant) => ({ mutant, key: next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ mutant }) => mutant)
  return shuffled.slice(0, count)
}

/** @returns a map from mutants that may survive to the reasons why */
function readReasons() {
  const groups = JSON.parse(readFileSync(SURVIVORS, 'utf8'))
  return new Map(groups.flatMap(({ reason, mutants }) => mutants.map((name) => [name, reason])))
}

async function main(options) {
  const originals = readCore()
  const all = [...originals].flatMap(([file, text]) => mutate(file, text))
  const wanted = all.filter(({ name }) => options.only === undefined || name.includes(options.only))
  const mutants = sample(wanted, options)
  const reasons = readReasons()
  const verdicts = new Map()
  const queue = mutants[Symbol.iterator]()
  const begin = performance.now()
  await prepare(options.jobs)
  await Promise.all(
    Array.from({ length: options.jobs }, async (_, number) => {
      const bench = new Bench(number)
      for (const mutant of queue) {
        const verdict = await bench.judge(mutant, originals.get(mutant.file))
        verdicts.set(mutant, verdict)
        if (verdict !== 'survived') continue
        const { file, line, name } = mutant
        console.log(`${file}:${line}: ${name.slice(file.length + 2)}\n    ${reasons.get(name) ?? NO_REASON}`)
      }
    }),
  )
  const seconds = (performance.now() - begin) / 1000
  return report(mutants, verdicts, reasons, seconds, mutants.length === all.length)
}

/** @returns whether every survivor has a reason, and enough are killed if all mutants were tried */
function report(mutants, verdicts, reasons, seconds, isComplete) {
  const killers = new Map()
  for (const verdict of verdicts.values()) killers.set(verdict, (killers.get(verdict) ?? 0) + 1)
  const survivors = mutants.filter((mutant) => verdicts.get(mutant) === 'survived')
  const unexplained = survivors.filter(({ name }) => !reasons.has(name))
  const names = new Set(survivors.map(({ name }) => name))
  const explained = [...reasons.keys()]
  const judged = new Set(mutants.map(({ name }) => name))
  const outdated = explained.filter((name) => (isComplete || judged.has(name)) && !names.has(name))

  const counted = mutants.length - (killers.get('broken') ?? 0) - (killers.get('same') ?? 0)
  const killed = counted - survivors.length
  for (const [verdict, count] of [...killers].sort(([, a], [, b]) => b - a))
    console.log(`${`${count}`.padStart(6)} ${verdict}`)
  for (const name of outdated) console.log(`listed in survivors.json, but did not survive: ${name}`)
  console.log(
    `${mutants.length} mutants in ${seconds.toFixed(0)} s, ${counted} count: ${killed} killed ` +
      `(${((100 * killed) / counted).toFixed(1)} %), ${survivors.length} survived, ${unexplained.length} without a reason`,
  )
  return unexplained.length === 0 && (!isComplete || killed >= ENOUGH * counted)
}

const program = new Command('test/mutants/run.mjs')
  .description('Runs the C tests on mutants of the core')
  .option('--count <n>', 'only this many mutants, drawn by the seed (default: all)', wholeNumber(1))
  .option('--seed <n>', 'of the draw', wholeNumber(0), 1)
  .option('--jobs <n>', 'how many at a time', wholeNumber(1), 2)
  .option('--only <text>', 'only mutants whose name contains it, e.g. xarray.c')
  .parse()

try {
  process.exitCode = (await main(program.opts())) ? 0 : 1
} catch (error) {
  console.error(error.message)
  process.exitCode = 2
}
