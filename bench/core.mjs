// SPDX-License-Identifier: GPL-2.0-only
// Builds core.c and runs it with the arguments given.

import { spawnSync } from 'node:child_process'
import { build } from './build.mjs'

try {
  const { status } = spawnSync(build('bench_core'), process.argv.slice(2), { stdio: 'inherit' })
  process.exitCode = status ?? 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
