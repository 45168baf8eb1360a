// SPDX-License-Identifier: GPL-2.0-only
// What prebuildify calls in place of node-gyp, in the folder for the target's build: prebuild_one.mjs TARGET.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js')
const target = process.argv[2]
const out = join(process.cwd(), 'build')
const toolchain = join(root, 'native', 'platform', `${target}.cmake`)

const args = [
  'compile',
  '--log-level',
  'error',
  '--directory',
  root,
  '--out',
  out,
  '--arch',
  target.split('-')[1],
]
args.push('--CDWB_STANDALONE=ON')
// Visual Studio puts the addon there by itself.
if (process.platform === 'win32') args.push('--toolset', 'ClangCL')
else args.push(`--CDCMAKE_RUNTIME_OUTPUT_DIRECTORY=${join(out, 'Release')}`)
if (existsSync(toolchain)) args.push(`--CDCMAKE_TOOLCHAIN_FILE=${toolchain}`)
const { status, stdout } = spawnSync(process.execPath, [cmakeJs, ...args], {
  stdio: ['ignore', 'pipe', 'inherit'],
  encoding: 'utf8',
})
if (status !== 0) console.error(stdout)
process.exitCode = status ?? 1
