// SPDX-License-Identifier: GPL-2.0-only
// Builds the programs in C, and says what is missing where that fails.

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const BUILD = join(ROOT, 'build', 'bench')

/**
 * Runs a program to its end.
 * @param {string} program
 * @param {string[]} args
 * @param {string} packages - what to install where the program is missing
 * @returns {{ stdout: string, stderr: string }}
 */
export function run(program, args, packages) {
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  if (error !== undefined && 'code' in error && error.code === 'ENOENT') {
    throw new Error(`${program} is missing: apt-get install ${packages}`)
  }
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${stdout}${stderr}${program} ended with ${signal ?? `status ${status}`}`)
  return { stdout, stderr }
}

/**
 * Builds a program of this directory, with the optimisation that the addon is built with.
 * @param {'bench_core' | 'bench_gauge'} target
 * @returns {string} its path
 */
export function build(target) {
  const packages = 'cmake g++ make'
  run('cmake', ['-S', '.', '-B', BUILD, '-DCMAKE_BUILD_TYPE=Release'], packages)
  run('cmake', ['--build', BUILD, '--target', target], packages)
  return join(BUILD, target)
}
