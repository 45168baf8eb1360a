// SPDX-License-Identifier: GPL-2.0-only
// A user's empty folder, in which the package is installed and programs are run.

import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from './run_program.mjs'

export const TRACES = join(ROOT, 'test/fixtures/traces')
export const PROGRAMS = join(ROOT, 'test/package/programs')

export function makeUserFolder(home, name, manifest = {}) {
  const folder = join(home, name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, ...manifest }))
  cpSync(PROGRAMS, folder, { recursive: true })
  return folder
}

/** Runs one of the programs, which prints what it checked. */
export function runProgram(runtime, folder, program, options = {}) {
  const env = { ...runtime.env, ...options.env, TRACES }
  const { stdout, stderr } = run([...runtime.command, program], { cwd: folder, env })
  return { checked: parseChecked(stdout), stderr }
}

export function parseChecked(text) {
  return [...text.matchAll(/^CHECKED (.*)$/gm)].map((match) => JSON.parse(match[1]))
}

/** Replays the traces by the command line of the installed package. */
export function runCommandLine(runtime, folder, command = ['node_modules/writeback-iter/dist/cli/main.js']) {
  const args = [...runtime.command, ...command, 'replay', '--json', TRACES]
  const outcome = JSON.parse(run(args, { cwd: folder, env: runtime.env }).stdout)
  if (outcome.divergences.length > 0 || outcome.malformed.length > 0) throw new Error(JSON.stringify(outcome))
  return {
    checked: [{ backend: Object.keys(outcome.operations).join(), traces: outcome.traces }],
    stderr: '',
  }
}
