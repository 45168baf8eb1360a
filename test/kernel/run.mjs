// SPDX-License-Identifier: GPL-2.0-only
// The kernel's own code beside the core: prepares the kernel's source, builds, and runs the comparison or the
// benchmark.

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { extract } from './extract.mjs'
import { wholeNumber } from '../whole_number.mjs'

const HERE = dirname(fileURLToPath(import.meta.url))
const BUILD = resolve(HERE, '../../build/kernel')

/** Runs a program; throws unless it succeeds. The output of a quiet program is shown only then. */
function run(program, args, quiet = false) {
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, {
    stdio: quiet ? 'pipe' : 'inherit',
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  if (error?.code === 'ENOENT') throw new Error(`${program} is missing: apt-get install cmake gcc make`)
  if (error) throw error
  if (status !== 0) {
    const said = quiet ? `${stdout}${stderr}` : ''
    throw new Error(`${said}${program} ended with ${signal ?? `status ${status}`}`)
  }
}

/** @returns the directory with the programs, and the kernel's version */
function build(options) {
  const version = extract(BUILD, options.kernel && resolve(options.kernel))
  const directory = join(BUILD, options.sanitize ? 'sanitize' : 'release')
  const sanitize = options.sanitize ? '-fsanitize=address,undefined -fno-sanitize-recover=all' : ''
  run('cmake', ['-S', HERE, '-B', directory, `-DKERNEL_DIR=${BUILD}`, `-DSANITIZE=${sanitize}`], true)
  run('cmake', ['--build', directory, '--parallel'], true)
  return { directory, version }
}

function compare(options) {
  const { directory, version } = build(options)
  const driver = join(directory, 'driver')
  if (options.replay) {
    console.log(`Linux ${version} and the core, by traces`)
    run(driver, ['replay', ...options.replay])
  } else if (options.write) {
    mkdirSync(options.write, { recursive: true })
    run(driver, ['write', `${options.count}`, `${options.seed}`, options.write])
  } else {
    console.log(`Linux ${version} beside the core: ${options.runs} runs, seed ${options.seed}`)
    mkdirSync(options.out, { recursive: true })
    run(driver, ['fuzz', `${options.runs}`, `${options.seed}`, options.out])
  }
}

function bench(options) {
  const { directory, version } = build(options)
  console.log(`Linux ${version}'s own C beside the core, ${cpus()[0]?.model.trim()}`)
  console.log(
    `nanoseconds per folio, ${options.folios} folios, shortest of ${options.repetitions} turns; ratio: kernel / core`,
  )
  run(join(directory, 'bench'), [`${options.folios}`, `${options.repetitions}`])
}

const program = new Command('test/kernel/run.mjs').description(
  "The kernel's own writeback code beside the core",
)
const kernelOption = [
  '--kernel <path>',
  'a Linux 6.12 source tree (default: the Debian package linux-source-6.12)',
]

program
  .command('test')
  .description(
    'the same random operations on both, every result and mark compared; exit code 1 on a divergence',
  )
  .option('--runs <n>', 'how many runs, of some thousand operations each', wholeNumber(1), 200)
  .option('--seed <n>', 'of all runs', wholeNumber(0), Math.floor(Math.random() * 2 ** 32))
  .option('--out <directory>', 'where the trace of a divergence goes', BUILD)
  .option('--replay <file...>', 'replay traces on both sides instead')
  .option('--write <directory>', 'write golden traces there from the kernel instead')
  .option('--count <n>', 'how many traces to write', wholeNumber(1), 10)
  .option('--sanitize', 'build with ASan and UBSan')
  .option(...kernelOption)
  .action(compare)

program
  .command('bench')
  .description("times the kernel's C and the core in one run")
  .option('--folios <n>', 'folios in the page cache', wholeNumber(1), 100_000)
  .option('--repetitions <n>', 'turns of each side', wholeNumber(1), 21)
  .option(...kernelOption)
  .action(bench)

try {
  program.parse()
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
