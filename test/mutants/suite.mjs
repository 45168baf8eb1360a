// SPDX-License-Identifier: GPL-2.0-only
// The fast part of the suite, built on a core that changes by one line at a time.
//
// Twice: plain, which is quick and enough for most mutants, and as the C tests are built, under ASan and
// UBSan. Both have assertions. The core is a shared library, so that a mutant costs the compilation of what
// it changes and one link. Programs that include a changed header are built anew too.

import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WORK = join(ROOT, 'build', 'mutants')
const CORE = 'native/core'

const FLAGS = [
  ...['-std=c11', '-D_POSIX_C_SOURCE=200809L', '-w', '-fPIC', '-pthread', '-g0'],
  `-I${join(ROOT, 'test/core')}`,
]
const RELEASE = ['-O2', '-DNDEBUG']

/** @returns the files in a directory, in order */
function filesIn(directory, pattern = /./) {
  return readdirSync(join(ROOT, directory))
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => join(directory, name))
}

/** @returns a map from the core's files to their text */
export function readCore() {
  return new Map(filesIn(CORE, /\.[ch]$/).map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]))
}

/** The sources of each program, beside host.c and the core, and its arguments. The cheapest comes first. */
const PROGRAMS = [
  ...[
    'folio_pool',
    'xarray_walk',
    'address_space',
    'page_writeback',
    'writeback_extent',
    'truncated_last',
    'alloc_failure',
  ].map((name) => ({ name, sources: [`test/core/${name}.c`], args: [] })),
  {
    name: 'fuzz_corpus',
    sources: ['test/fuzz/replay.c', 'test/fuzz/core_fuzzer.c', 'test/fuzz/model.c'],
    args: filesIn('test/fuzz/corpus'),
  },
  { name: 'xarray', sources: ['test/core/xarray.c'], args: ['1', '4000'] },
  {
    name: 'golden_traces',
    sources: ['test/core/replay.c'],
    args: filesIn('test/fixtures/traces', /\.trace\.gz$/),
  },
]
/** Runs for a fixed time on every machine. */
const SHARED = { name: 'shared', sources: ['test/core/shared.c'], args: [] }

const SANITIZED = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
/**
 * `limit`: a bound on a program's memory, as mutants may allocate without end. A sanitizer's address space
 * cannot be bounded.
 */
const BUILDS = [
  { name: 'plain', flags: ['-O0'], programs: PROGRAMS, limit: 'ulimit -v 4000000' },
  { name: 'sanitized', flags: ['-O0', ...SANITIZED], programs: [...PROGRAMS, SHARED], limit: ':' },
].map((build) => ({ ...build, original: join(WORK, build.name) }))

/**
 * Runs a program.
 *
 * @param milliseconds after which it is killed; 0: never
 * @returns its exit status, null if a signal ended it; whether that was for the time it took; and what it
 * wrote
 */
function run(command, args, milliseconds = 0, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: milliseconds,
      killSignal: 'SIGKILL',
    })
    const begin = performance.now()
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      if (said.length < 4000) said += text
    })
    child.on('error', (error) =>
      reject(error.code === 'ENOENT' ? new Error(`${command} is missing: apt-get install gcc`) : error),
    )
    child.on('close', (status) => {
      const isLate = status === null && milliseconds !== 0 && performance.now() - begin >= milliseconds
      resolve({ status, isLate, said })
    })
  })
}

/** @returns which files of the core the source includes, itself included */
function includesOf(source) {
  const args = ['-MM', ...FLAGS, `-I${join(ROOT, CORE)}`, join(ROOT, source)]
  const { status, stdout, stderr, error } = spawnSync('gcc', args, { encoding: 'utf8' })
  if (error !== undefined) throw new Error(`${error.message}: apt-get install gcc`)
  if (status !== 0) throw new Error(stderr)
  return stdout
    .split(/[\s\\]+/)
    .map((file) => relative(ROOT, file))
    .filter((file) => file.startsWith(`${CORE}/`))
}

const asUnit = (source) => ({ name: source.replaceAll('/', '_'), source, includes: includesOf(source) })
const UNITS = filesIn(CORE, /\.c$/).map(asUnit)
const HOST = 'test/core/host.c'
const TESTS = [HOST, ...[...PROGRAMS, SHARED].flatMap(({ sources }) => sources)].map(asUnit)

/** The sources of a program, beside the core. */
const partsOf = ({ sources }) => TESTS.filter(({ source }) => source === HOST || sources.includes(source))

/** @returns whether the source compiles, against this copy of the core */
async function compile({ name, source }, core, output, flags) {
  const file = source.startsWith(CORE) ? join(core, basename(source)) : join(ROOT, source)
  const object = join(output, `${name}.o`)
  return (await run('gcc', [...FLAGS, ...flags, `-I${core}`, '-c', file, '-o', object])).status === 0
}

/** @param directoryOf gives the directory of a unit's object */
async function link(build, output, units, directoryOf, options) {
  const objects = units.map((unit) => join(directoryOf(unit), `${unit.name}.o`))
  const { status, said } = await run('gcc', [
    ...build.flags,
    '-pthread',
    ...objects,
    ...options,
    '-o',
    output,
  ])
  if (status !== 0) throw new Error(said)
}

function linkCore(build, directory, directoryOf) {
  const options = ['-shared', '-Wl,-soname,libcore.so']
  return link(build, join(directory, 'libcore.so'), UNITS, directoryOf, options)
}

function linkProgram(build, directory, program, directoryOf) {
  const options = [`-L${build.original}`, '-lcore']
  return link(build, join(directory, program.name), partsOf(program), directoryOf, options)
}

/** @param core the directory of the libcore.so that the program runs on */
function runProgram(build, directory, { name, args }, core, milliseconds) {
  const command = `${build.limit} && exec "$0" "$@"`
  return run('sh', ['-c', command, join(directory, name), ...args], milliseconds, {
    LD_LIBRARY_PATH: core,
    ASAN_OPTIONS: 'hard_rss_limit_mb=2000:allocator_may_return_null=1',
  })
}

/**
 * Builds the unchanged sources and runs the tests, since a suite that fails without a mutant kills none.
 * Records the time of each program.
 */
async function prepareBuild(build, jobs) {
  const { original, programs } = build
  mkdirSync(original, { recursive: true })
  const queue = [...UNITS, ...TESTS][Symbol.iterator]()
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      for (const unit of queue) {
        if (!(await compile(unit, join(ROOT, CORE), original, build.flags)))
          throw new Error(`${unit.source} does not compile`)
      }
    }),
  )
  await linkCore(build, original, () => original)
  build.milliseconds = new Map()
  for (const program of programs) {
    await linkProgram(build, original, program, () => original)
    const begin = performance.now()
    const { status, said } = await runProgram(build, original, program, original)
    if (status !== 0) throw new Error(`${program.name} fails without a mutant\n${said}`)
    build.milliseconds.set(program, performance.now() - begin)
  }
}

export async function prepare(jobs) {
  rmSync(WORK, { recursive: true, force: true })
  for (const build of BUILDS) await prepareBuild(build, jobs)
}

/** A copy of the core that is changed, and its build. Can be used after prepare(). */
export class Bench {
  constructor(number) {
    this.directory = join(WORK, `${number}`)
    this.core = join(this.directory, 'core')
    mkdirSync(this.directory)
    cpSync(join(ROOT, CORE), this.core, { recursive: true })
  }

  /**
   * @param mutant of mutate()
   * @param original the text of its file
   * @returns `broken` if it does not compile, `same` if it is the same code, `survived`, or the test that
   * killed it
   */
  async judge(mutant, original) {
    const file = join(this.core, basename(mutant.file))
    writeFileSync(file, mutant.text)
    try {
      for (const build of BUILDS) {
        const killer = await this.findKiller(mutant, build)
        if (killer !== undefined) return killer
      }
      return (await this.isSameCode(mutant, original)) ? 'same' : 'survived'
    } finally {
      writeFileSync(file, original)
    }
  }

  async findKiller(mutant, build) {
    const isChanged = ({ includes }) => includes.includes(mutant.file)
    const directoryOf = (unit) => (isChanged(unit) ? this.directory : build.original)
    for (const unit of UNITS.filter(isChanged)) {
      if (!(await compile(unit, this.core, this.directory, build.flags))) return 'broken'
    }
    await linkCore(build, this.directory, directoryOf)
    const compiled = new Set()
    for (const program of build.programs) {
      const changed = partsOf(program).filter(isChanged)
      for (const part of changed.filter((part) => !compiled.has(part))) {
        // The core compiled, so a static_assert of the test found the mutant.
        if (!(await compile(part, this.core, this.directory, build.flags))) return program.name
        compiled.add(part)
      }
      const directory = changed.length > 0 ? this.directory : build.original
      if (changed.length > 0) await linkProgram(build, directory, program, directoryOf)
      // More than the time on a busy machine.
      const limit = 4000 + Math.ceil(10 * build.milliseconds.get(program))
      const { status, isLate } = await runProgram(build, directory, program, this.directory, limit)
      if (status !== 0) return isLate ? `${program.name}, endless` : program.name
    }
    return undefined
  }

  /** Whether mutant and original give the same machine code, with the options of a release. */
  async isSameCode(mutant, original) {
    const units = UNITS.filter(({ includes }) => includes.includes(mutant.file))
    const code = []
    for (const text of [original, mutant.text]) {
      writeFileSync(join(this.core, basename(mutant.file)), text)
      for (const unit of units) await compile(unit, this.core, this.directory, RELEASE)
      code.push(units.map(({ name }) => readFileSync(join(this.directory, `${name}.o`), 'latin1')))
    }
    return code[0].every((object, i) => object === code[1][i])
  }
}
