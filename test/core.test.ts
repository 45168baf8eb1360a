// SPDX-License-Identifier: GPL-2.0-only
// The core's own tests, in C: built and run by CMake and CTest as native/README.md says, under
// AddressSanitizer.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { nativeMissing } from './backends.js'

const root = join(__dirname, '..')
const build = join(root, 'build', 'core')

function run(command: string, args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  if (error !== undefined) throw new Error(`${error.message}: apt-get install cmake g++ make`)
  expect(status, `${command} ${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0)
  return stdout
}

// Without a compiler there is neither an addon nor a C test; backends.ts says so, and fails in CI.
test.skipIf(nativeMissing !== null)('the C tests pass', () => {
  run('cmake', ['-S', '.', '-B', build])
  run('cmake', ['--build', build, '--parallel', '2'])
  expect(run('ctest', ['--test-dir', build, '--output-on-failure'])).toMatch('100% tests passed')
})
