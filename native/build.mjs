// SPDX-License-Identifier: GPL-2.0-only
// Builds the addon with cmake-js where cmake and a compiler are there; else says in one line what that means.
// Options are passed on to cmake-js, e.g. --debug.

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

function works(command) {
  return (
    spawnSync(command, ['--version'], { stdio: 'ignore', shell: process.platform === 'win32' }).status === 0
  )
}

/** What is missing for a build, or null. */
function missing() {
  if (!works('cmake')) return 'cmake'
  // On Windows cmake finds the compiler by itself, and says so if it does not.
  if (process.platform === 'win32') return null
  if (!works('ninja') && !works('make')) return 'make or ninja'
  const compilers = [process.env.CXX, 'c++', 'g++', 'clang++'].filter(Boolean)
  return compilers.some(works) ? null : 'a C++ compiler'
}

const tool = missing()
if (tool !== null) {
  console.log(`writeback-iter: no ${tool} found, so the addon is not built; the TypeScript backend is used.`)
} else {
  const require = createRequire(import.meta.url)
  const cmakeJs = join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js')
  const args = [cmakeJs, 'compile', '--log-level', 'error', ...process.argv.slice(2)]
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  if (status !== 0) {
    console.error('writeback-iter: the addon does not build: see above, or run `npx cmake-js compile`.')
    process.exitCode = 1
  }
}
