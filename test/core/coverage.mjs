// SPDX-License-Identifier: GPL-2.0-only
// npm run check -- coverage-core: which lines and branches of native/core the C tests reach, by gcov. Exit
// code 1 and the places, unless it is all of them. Built without assertions; a function of a header counts as
// the sum of its copies.

import { spawnSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const build = join(root, 'build', 'coverage')
const core = join('native', 'core')

function run(command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, CC: 'gcc' },
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  if (error?.code === 'ENOENT') throw new Error(`${command} is missing: apt-get install cmake gcc make`)
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${stdout}${stderr}${command} ended with status ${status}`)
  return stdout
}

function files(extension) {
  return readdirSync(build, { recursive: true })
    .filter((name) => name.endsWith(extension))
    .map((name) => join(build, name))
}

/**
 * @returns of each file of the core a map from line to the count of each branch on it, and under `line` that
 * of the line itself
 */
function countLines() {
  const counts = new Map()
  const reports = run('gcov', ['--json-format', '--stdout', '--branch-probabilities', ...files('.gcda')])
  for (const report of reports.split('\n').filter((line) => line !== '')) {
    const { current_working_directory: directory, files: sources } = JSON.parse(report)
    for (const source of sources) {
      const name = relative(root, resolve(directory, source.file))
      if (!name.startsWith(core)) continue
      if (!counts.has(name)) counts.set(name, new Map())
      for (const line of source.lines) add(counts.get(name), line)
    }
  }
  return counts
}

function add(lines, { line_number: number, count, branches }) {
  const sum = lines.get(number) ?? { line: 0, branches: branches.map(() => 0) }
  if (sum.branches.length !== branches.length) throw new Error(`line ${number} has branches that differ`)
  sum.line += count
  for (const [i, branch] of branches.entries()) sum.branches[i] += branch.count
  lines.set(number, sum)
}

const width = 34

function report(counts) {
  const total = { lines: 0, linesReached: 0, branches: 0, branchesReached: 0 }
  const missed = []
  const share = (part, whole) => `${part}/${whole}`.padStart(12)
  console.log(`${''.padEnd(width)}${'lines'.padStart(12)}${'branches'.padStart(12)}`)
  for (const [name, lines] of [...counts].sort()) {
    const sum = { lines: 0, linesReached: 0, branches: 0, branchesReached: 0 }
    for (const [number, { line, branches }] of [...lines].sort(([a], [b]) => a - b)) {
      sum.lines++
      sum.branches += branches.length
      if (line === 0) missed.push(`${name}:${number}: never reached`)
      else sum.linesReached++
      for (const [i, count] of branches.entries()) {
        if (count !== 0) sum.branchesReached++
        else if (line !== 0)
          missed.push(`${name}:${number}: branch ${i + 1} of ${branches.length} never taken`)
      }
    }
    for (const key of Object.keys(sum)) total[key] += sum[key]
    console.log(
      name.padEnd(width) + share(sum.linesReached, sum.lines) + share(sum.branchesReached, sum.branches),
    )
  }
  console.log(
    ''.padEnd(width) + share(total.linesReached, total.lines) + share(total.branchesReached, total.branches),
  )
  for (const place of missed) console.error(place)
  return missed.length === 0 && total.lines !== 0
}

try {
  run('cmake', ['-S', '.', '-B', build, '-DWB_TEST_COVERAGE=ON', '-DWB_TEST_SANITIZE='])
  run('cmake', ['--build', build, '--parallel', '2'])
  for (const file of files('.gcda')) rmSync(file)
  run('ctest', ['--test-dir', build, '--output-on-failure', '--parallel', '2', '--exclude-regex', '^file_'])
  process.exitCode = report(countLines()) ? 0 : 1
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
