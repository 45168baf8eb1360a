// SPDX-License-Identifier: GPL-2.0-only
// node test/live/table.mjs FILE...: a table of the contents of recordings, and of the results of replay on
// both backends and of check.

import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'

const main = join(import.meta.dirname, '../../dist/cli/main.js')

/** The output of a command with --json, and its time. */
function json(...args) {
  const start = performance.now()
  const { stdout, stderr } = spawnSync(process.execPath, [main, ...args], { maxBuffer: 2 ** 28 })
  if (stdout.length === 0) throw new Error(`${args.join(' ')}: ${stderr}`)
  return { ...JSON.parse(stdout), seconds: (performance.now() - start) / 1000 }
}

/** Replays and checks a recording: returns its row, and the values that decide whether it is correct. */
export function measure(file) {
  const replayed = json('replay', '--json', '--backend', 'both', file)
  const checked = json('check', '--json', file)
  const malformed = replayed.malformed.map(({ line, problem }) => `${file}:${line}: ${problem}`)
  if (malformed.length > 0) throw new Error(malformed.join())
  const [recording] = replayed.recordings
  const rules = [...new Set(checked.findings.map(({ rule }) => rule))]
  const cells = [
    basename(file).replace(/\.txt\.gz$/, ''),
    (statSync(file).size / 1024).toFixed(),
    recording.mappings,
    recording.passes,
    recording.concurrent,
    recording.folios,
    replayed.operations.native + replayed.operations.js,
    replayed.divergences.length,
    rules.length === 0 ? 'none' : `${checked.findings.length} (${rules.join(', ')})`,
    recording.undecided.map(({ what, count }) => `${what} (${count})`).join('; '),
    replayed.seconds.toFixed(1),
  ]
  return {
    row: `| ${cells.join(' | ')} |`,
    divergences: replayed.divergences.length,
    rules,
    lost: recording.undecided.some(({ what }) => /lost|return of writeback_iter/.test(what)),
  }
}

export const HEAD = [
  '| recording | KiB gzipped | mappings | passes | concurrent | folios returned | operations, both backends | divergences | findings | undecided | seconds |',
  '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
]

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log([...HEAD, ...process.argv.slice(2).map((file) => measure(file).row)].join('\n'))
}
