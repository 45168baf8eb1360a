// SPDX-License-Identifier: GPL-2.0-only
// npm run check -- tsan [SECONDS [SEED]]: threads on one shared page cache, and on files of the engine, under
// ThreadSanitizer.
// npm run check -- valgrind: the C tests under valgrind's memcheck.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const INSTALL = 'apt-get install cmake g++ make valgrind'

const kinds = {
  tsan: {
    options: ['-DWB_TEST_SANITIZE=thread'],
    targets: ['test_stress', 'test_file_stress'],
    commands: (build, args) => [
      [join(build, 'test/core/test_stress'), ...args],
      [join(build, 'test/file/test_file_stress'), ...args],
    ],
  },
  valgrind: {
    options: [
      '-DWB_TEST_SANITIZE=',
      '-DWB_TEST_LAUNCHER=valgrind;--quiet;--error-exitcode=1;--leak-check=full;--fair-sched=yes',
    ],
    targets: ['all'],
    // The tests of the file engine are left out: they have threads and processes, and take minutes under
    // valgrind. AddressSanitizer checks them.
    commands: (build, args) => [
      ['ctest', '--test-dir', build, '--output-on-failure', '--exclude-regex', '^file_', ...args],
    ],
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
const { options, targets, commands } = kinds[name]
const build = join(root, 'build', name)
const passed =
  run('cmake', ['-S', root, '-B', build, '--log-level=WARNING', ...options]) &&
  run('cmake', ['--build', build, '--parallel', '2', '--target', ...targets]) &&
  commands(build, args).every(([program, ...rest]) => run(program, rest))
process.exitCode = passed ? 0 : 1
