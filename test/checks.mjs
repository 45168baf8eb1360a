// SPDX-License-Identifier: GPL-2.0-only
// npm run check -- NAME [ARGUMENTS]: runs one of the checks that take longer than the suite, or that need
// tools of their own. Without a name it lists them. The exit code is the check's, or 2 if no check has the
// name. README.md says what each check proves.

import { spawnSync } from 'node:child_process'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const vitest = (...args) => ['npx', 'vitest', 'run', '--config', 'test/vitest.config.mts', ...args]

/** By name: what the check does, its arguments, and its command, to which they are appended. */
export const checks = {
  asan: {
    does: 'the suite, on an addon with AddressSanitizer and UBSan',
    takes: "[vitest's]",
    command: ['node', 'test/asan.mjs'],
  },
  'bench-core': {
    does: 'the core, timed by itself',
    takes: 'FOLIOS STRIDE ORDER REPETITIONS',
    command: ['node', 'bench/core.mjs'],
  },
  'bench-kernel': {
    does: "the core, timed beside the kernel's own C",
    takes: '[--folios N] [--repetitions N]',
    command: ['node', 'test/kernel/run.mjs', 'bench'],
  },
  'bench-report': {
    does: "the benchmark's page and plots, from its figures",
    takes: 'FILE',
    command: ['node', 'bench/readme.mjs'],
  },
  'coverage-core': {
    does: 'lines and branches of native/core that the C tests reach: all, or it fails',
    takes: '',
    command: ['node', 'test/core/coverage.mjs'],
  },
  'coverage-js': {
    does: 'lines and branches of lib/js that the suite reaches: all, or it fails',
    takes: '',
    command: vitest('--coverage'),
  },
  'fuzz-core': {
    does: 'libFuzzer on the core, beside a naive model',
    takes: '[SECONDS]',
    command: ['node', 'test/fuzz/run.mjs'],
  },
  gauge: {
    does: 'instructions per folio of the core, against bench/gauge.json',
    takes: '[--update]',
    command: ['node', 'bench/gauge.mjs'],
  },
  kernel: {
    does: "the core beside the kernel's own C, live, on random operations",
    takes: '[--runs N] [--seed S]',
    command: ['node', 'test/kernel/run.mjs', 'test'],
  },
  life: {
    does: 'memory stays flat over 10^8 iterations; threads and passes that end early',
    takes: '',
    command: vitest('test/life.test.ts'),
    env: { WRITEBACK_ITER_ITERATIONS: '100000000' },
  },
  live: {
    does: 'boots a kernel under QEMU, records jobs there, replays and checks the recordings',
    takes: '[--keep FOLDER] [JOB...]',
    command: ['node', 'test/live/run.mjs'],
  },
  mutants: {
    does: 'small faults in the core, one at a time, which the C tests must notice',
    takes: '[--count N] [--seed S] [--only TEXT]',
    command: ['node', 'test/mutants/run.mjs'],
  },
  package: {
    does: 'the packed tarball, in every runtime and by every way to install it',
    takes: '[--quick]',
    command: ['node', 'test/package/run.mjs'],
  },
  tsan: {
    does: 'threads on one page cache and on files, under ThreadSanitizer',
    takes: '[SECONDS [SEED]]',
    command: ['node', 'test/core/run.mjs', 'tsan'],
  },
  valgrind: {
    does: "the C tests under valgrind's memcheck",
    takes: '',
    command: ['node', 'test/core/run.mjs', 'valgrind'],
  },
}

function list() {
  const lines = Object.entries(checks).map(
    ([name, { does, takes }]) => `  ${name.padEnd(14)} ${does}; ${takes}`,
  )
  return ['npm run check -- NAME [ARGUMENTS]', '', ...lines.map((line) => line.replace(/; $/, ''))].join('\n')
}

function run(name, args) {
  if (!Object.hasOwn(checks, name)) {
    console.error(
      `no check has the name ${JSON.stringify(name)}; there are: ${Object.keys(checks).join(', ')}`,
    )
    return 2
  }
  const [program, ...rest] = checks[name].command
  const { status, signal, error } = spawnSync(program, [...rest, ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...checks[name].env },
  })
  if (error !== undefined) throw error
  if (signal !== null) process.kill(process.pid, signal)
  return status
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [name, ...args] = process.argv.slice(2)
  if (name === undefined) console.log(list())
  else process.exitCode = run(name, args)
}
