// SPDX-License-Identifier: GPL-2.0-only

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..')
/** The folder of files that may stay from one run to the next. */
export const BUILD = join(ROOT, 'build/package')

/** A user's environment, without the variables of an npm that runs this and without our own. */
function userEnvironment() {
  const ours =
    /^(npm_(?!config_(registry|userconfig|cafile)$)|NODE_(DEBUG|OPTIONS|ENV|PATH)$|WRITEBACK_ITER_|INIT_CWD$|LIBC$|PREBUILDS_ONLY$|CI$)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)))
}

/**
 * Runs a program to its end, quietly; or with its output going to a file descriptor.
 * @returns its stdout and stderr
 * @throws unless it succeeds: an Error with all it said
 */
export function run([command, ...args], { cwd, env = {}, output = 'pipe', timeout = 300_000 } = {}) {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...userEnvironment(), ...env },
    encoding: 'utf8',
    stdio: ['ignore', output, output],
    maxBuffer: 2 ** 26,
    timeout,
    // npm is a script on Windows.
    shell: process.platform === 'win32',
  })
  if (result.error) throw result.error
  if (result.status !== 0) {
    const end = result.signal ?? `status ${result.status}`
    throw new Error(`${[command, ...args].join(' ')}: ${end}\n${result.stdout ?? ''}${result.stderr ?? ''}`)
  }
  return result
}

export const npm = (args, options) => run(['npm', ...args], options)
