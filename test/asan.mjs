// SPDX-License-Identifier: GPL-2.0-only
// npm run check -- asan [ARGUMENTS]: the vitest suite on an addon built with AddressSanitizer and
// UndefinedBehaviorSanitizer, and with the core's assertions. Arguments are vitest's, e.g. test/life.test.ts.
//
// It runs in a copy of the sources under build/asan, so that the addon in use stays as it is. Node.js itself
// is not instrumented: the sanitizer is preloaded, and reports go to files. Only leaks of the addon's
// allocations count, since Node.js does not free everything at exit.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const copy = join(root, 'build', 'asan')
const reports = join(copy, 'reports')

/** What the build and the tests need; some tests read pages of docs/, or the workflows. */
const SOURCES = ['lib', 'native', 'test', 'docs', '.github', 'CMakeLists.txt', 'binding.js', 'package.json']

function fail(message) {
  console.error(message)
  process.exit(1)
}

function run(command, args, env = {}) {
  const { status, signal, error } = spawnSync(command, args, {
    cwd: copy,
    env: { ...process.env, ...env },
    stdio: 'inherit',
  })
  if (error !== undefined) fail(`${error.message}: apt-get install cmake g++ make`)
  return signal === null && status === 0
}

/** The sanitizer's library, from the compiler that builds the addon. */
function sanitizerLibrary() {
  const { stdout, error } = spawnSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' })
  const library = stdout?.trim()
  if (error !== undefined || !existsSync(library)) fail('no libasan.so of g++: apt-get install g++')
  return library
}

/** A copy of the present sources; files built earlier stay while they are up to date. */
function copySources() {
  mkdirSync(copy, { recursive: true })
  for (const name of [...SOURCES, 'dist']) {
    rmSync(join(copy, name), { recursive: true, force: true })
    if (name !== 'dist')
      cpSync(join(root, name), join(copy, name), { recursive: true, preserveTimestamps: true })
  }
  if (!existsSync(join(copy, 'node_modules')))
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports)
}

/**
 * Whether memory was leaked that the addon asked for: the caller of the allocator is the first frame behind
 * the sanitizer.
 */
function isLeakOfAddon(text) {
  const frames = text.split('\n').filter((line) => /^\s*#\d/.test(line))
  const caller = frames.find((frame) => !/libsanitizer|libasan/.test(frame)) ?? ''
  return /leak of/.test(text) && /\/native\/|node-addon-api|writeback_iter\.node/.test(caller)
}

/** The paragraphs of a report that concern the addon. */
function findings(report) {
  if (/ERROR: AddressSanitizer|runtime error:/.test(report)) return [report]
  return report.split('\n\n').filter(isLeakOfAddon)
}

const library = sanitizerLibrary()
copySources()
const bin = join(root, 'node_modules', '.bin')
// Without NDEBUG: with assertions.
const build = [
  'compile',
  '--log-level',
  'error',
  '--CDWB_SANITIZE=address,undefined',
  '--CDCMAKE_C_FLAGS_RELEASE=-O1',
]
if (!run(join(bin, 'tsc'), ['-p', 'lib']) || !run(join(bin, 'cmake-js'), build, { CC: 'gcc', CXX: 'g++' })) {
  fail('the build failed')
}

const log = join(reports, 'report')
// Each process checks for leaks at its end. The C tests have sanitizers of their own, and the shim that makes
// allocations fail would replace the sanitizer's functions. The copy has neither the pages nor the benchmark,
// which do not concern the addon.
const without = ['core', 'alloc_failure', 'docs', 'bench', 'gauge'].map((name) => `test/${name}.test.ts`)
const excluded = without.flatMap((file) => ['--exclude', file])
const passed = run(
  join(bin, 'vitest'),
  ['run', '--config', 'test/vitest.config.mts', ...excluded, ...process.argv.slice(2)],
  {
    LD_PRELOAD: library,
    WRITEBACK_ITER_ITERATIONS: '300000',
    ASAN_OPTIONS: `abort_on_error=1:detect_leaks=1:log_path=${log}`,
    LSAN_OPTIONS: `exitcode=0:report_objects=0:log_path=${log}`,
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${log}`,
  },
)
let found = 0
for (const name of readdirSync(reports)) {
  for (const text of findings(readFileSync(join(reports, name), 'utf8'))) {
    console.error(`${basename(name)}:\n${text}\n`)
    found++
  }
}
console.log(`${readdirSync(reports).length} reports, ${found} of the addon`)
process.exitCode = passed && found === 0 ? 0 : 1
