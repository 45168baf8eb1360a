// SPDX-License-Identifier: GPL-2.0-only
// Builds the addon for this machine into build/, where it is taken before a prebuilt one:
//
//   npm run build:native                                      here
//   npm explore writeback-iter -- npm run build:native        in a project that has the package installed
//
// --if-possible: where a tool is missing, that is said in one line, and is no failure. Other options go on to
// cmake-js, e.g. --debug.

import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)

function works(command) {
  return (
    spawnSync(command, ['--version'], { stdio: 'ignore', shell: process.platform === 'win32' }).status === 0
  )
}

/** The file of an installed package, or null. */
function resolve(file) {
  try {
    return require.resolve(file)
  } catch {
    return null
  }
}

const cmakeJs = resolve('cmake-js/bin/cmake-js')

/** What is missing for a build, or null. */
function missing() {
  if (cmakeJs === null || resolve('node-addon-api') === null) {
    return 'cmake-js or node-addon-api (npm install --save-dev cmake-js node-addon-api)'
  }
  if (!works('cmake')) return 'cmake'
  // On Windows cmake finds the compiler by itself, and says so if it does not.
  if (process.platform === 'win32') return null
  if (!works('ninja') && !works('make')) return 'make or ninja'
  const compilers = [process.env.CXX, 'c++', 'g++', 'clang++'].filter(Boolean)
  return compilers.some(works) ? null : 'a C++ compiler'
}

/** Whether build/ was configured for this CMAKE_BUILD_TYPE. */
function configuredFor(type) {
  try {
    return new RegExp(`^CMAKE_BUILD_TYPE:\\w+=${type}$`, 'm').test(
      readFileSync(join(root, 'build/CMakeCache.txt'), 'utf8'),
    )
  } catch {
    return false
  }
}

const options = process.argv.slice(2).filter((option) => option !== '--if-possible')
const tool = missing()
if (tool !== null) {
  console.error(`writeback-iter: the addon is not built: no ${tool}`)
  if (!process.argv.includes('--if-possible')) process.exitCode = 1
} else {
  // The core is written for GCC and Clang.
  if (process.platform === 'win32') options.push('--toolset', 'ClangCL')
  const cmake = (command) => {
    const args = [cmakeJs, command, '--log-level', 'error', ...options]
    const stdio = ['ignore', 'pipe', 'inherit']
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, stdio, encoding: 'utf8' })
    // What the compiler has to say comes by this way, too, with much that is of no interest otherwise.
    if (status !== 0) console.error(stdout)
    return status
  }
  const other = options.includes('--debug') ? 'Release' : 'Debug'
  let status = 0
  if (configuredFor(other)) {
    // cmake-js keeps what build/ was configured for, and of two addons the release is loaded.
    rmSync(join(root, 'build', other), { recursive: true, force: true })
    status = cmake('configure')
  }
  if (status === 0) status = cmake('compile')
  if (status !== 0) {
    console.error('writeback-iter: the addon does not build: see above, or run `npx cmake-js compile`.')
    process.exitCode = 1
  }
}
