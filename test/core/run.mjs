// SPDX-License-Identifier: GPL-2.0-only
// npm run test:tsan -- [SECONDS [SEED]]: threads on one shared page cache, under ThreadSanitizer.
// npm run test:valgrind: the C tests under valgrind's memcheck.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const INSTALL = 'apt-get install cmake g++ make valgrind'

const kinds = {
  tsan: {
    options: ['-DWB_TEST_SANITIZE=thread'],
    target: 'test_stress',
    command: (build, args) => [join(build, 'test/core/test_stress'), ...args],
  },
  valgrind: {
    options: [
      '-DWB_TEST_SANITIZE=',
      '-DWB_TEST_LAUNCHER=valgrind;--quiet;--error-exitcode=1;--leak-check=full;--fair-sched=yes',
    ],
    target: 'all',
    command: (build, args) => ['ctest', '--test-dir', build, '--output-on-failure', ...args],
  },
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (error !== undefined) console.error(`${error.message}: ${INSTALL}`)
  else if (status !== 0 && command === 'cmake')
    console.error(`the C tests do not build; they need: ${INSTALL}`)
  return status === 0
}

const [name, ...args] = process.argv.slice(2)
const { options, target, command } = kinds[name]
const build = join(root, 'build', name)
const [program, ...rest] = command(build, args)
const passed =
  run('cmake', ['-S', root, '-B', build, '--log-level=WARNING', ...options]) &&
  run('cmake', ['--build', build, '--parallel', '2', '--target', target]) &&
  run(program, rest)
process.exitCode = passed ? 0 : 1
