// SPDX-License-Identifier: GPL-2.0-only

import { randomInt } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { ProgramError, parseProgram } from '../fuzz/program_text.js'
import { type Finding, type Outcome, supervise } from '../fuzz/supervise.js'
import { InputError } from '../input/input_error.js'
import { readLines } from '../input/lines.js'
import { printableLine } from '../input/printable.js'
import { colours } from './colours.js'
import { EXIT_INTERRUPTED, interruption } from './interrupt.js'
import { integer, jsonOption, namedBackends } from './options.js'
import { Progress } from './progress.js'

interface Options {
  readonly runs?: number
  readonly seed?: number
  readonly time?: number
  readonly ops: number
  readonly out: string
  readonly json?: boolean
}

const DEFAULT_RUNS = 10_000
const DEFAULT_OPERATIONS = 500
const MAX_OPERATIONS = 100_000
const MAX_SEED = 2 ** 32 - 1

export function fuzzCommand(): Command {
  return new Command('fuzz')
    .summary('run random programs on both backends, and compare')
    .description(
      'Runs random programs on the native and the TypeScript backend, and compares their results after every ' +
        'operation. The first program that differs, crashes or hangs is reduced and written to a file, and also as a ' +
        'trace for replay if a trace can express it.\n\n' +
        'Exit code: 0 no difference, 1 a difference, 2 wrong use, or the native backend does not load, 130 interrupted.',
    )
    .argument('[file]', 'runs this program, which an earlier run wrote')
    .option(
      '--runs <n>',
      `how many programs; default: ${DEFAULT_RUNS}, or as many as --time allows`,
      integer(1),
    )
    .option('--seed <n>', 'the same seed gives the same programs; default: random', integer(0, MAX_SEED))
    .option('--time <seconds>', 'how long to run', integer(1))
    .option('--ops <n>', 'operations per program', integer(1, MAX_OPERATIONS), DEFAULT_OPERATIONS)
    .option('--out <folder>', 'where to write a program that is found', '.')
    .addOption(jsonOption())
    .action(async (file: string | undefined, options: Options) => {
      namedBackends('both')
      const outcome = file === undefined ? await runCampaign(options) : await runFile(file, options)
      process.exitCode = outcome.interrupted ? EXIT_INTERRUPTED : outcome.finding === null ? 0 : 1
    })
}

async function runCampaign(options: Options): Promise<Outcome> {
  const { seed = randomInt(MAX_SEED + 1), time, ops, out } = options
  const runs = options.runs ?? (time === undefined ? DEFAULT_RUNS : Number.MAX_SAFE_INTEGER)
  const seconds = time ?? Number.MAX_SAFE_INTEGER
  const byTime = options.runs === undefined && time !== undefined
  const progress = new Progress(byTime ? 'seconds' : 'programs', byTime ? seconds : runs)
  const start = performance.now()
  const elapsed = () => (performance.now() - start) / 1000
  const rate = (operations: number) => Math.round(operations / elapsed())
  const outcome = await supervise(
    { campaign: { seed, runs, seconds, operations: ops } },
    (done, operations) =>
      progress.update(byTime ? Math.floor(elapsed()) : done, `${count(rate(operations))} operations/s`),
    interruption(),
  )
  progress.stop()
  const { operations, finding, interrupted } = outcome
  const figures = { seconds: Number(elapsed().toFixed(3)), operationsPerSecond: rate(operations) }
  const name = `fuzz-${seed}-${finding?.run ?? ''}`
  const files = finding === null ? null : write(out, name, `seed ${seed}, program ${finding.run}`, finding)
  if (options.json) {
    const { runs } = outcome
    console.log(JSON.stringify({ seed, runs, operations, ...figures, finding, files, interrupted }, null, 2))
    return outcome
  }
  if (finding !== null && files !== null) print(finding, files)
  console.log(
    `seed ${seed}: ${count(outcome.runs)} programs, ${count(operations)} operations on each backend, ` +
      `${count(figures.operationsPerSecond)} a second: ${result(outcome)}`,
  )
  return outcome
}

function result({ finding, interrupted }: Outcome): string {
  const found = finding === null ? colours.green('no difference') : colours.red(`a ${finding.kind}`)
  return interrupted ? `${found}, interrupted` : found
}

async function runFile(file: string, options: Options): Promise<Outcome> {
  const interrupted = interruption()
  let program = ''
  await readLines(
    file,
    (line) => {
      program += `${line}\n`
    },
    interrupted,
  )
  try {
    parseProgram(program)
  } catch (error) {
    if (error instanceof ProgramError) throw new InputError(file, error.line, error.message)
    throw error
  }
  const outcome = await supervise({ program }, () => {}, interrupted)
  const { finding } = outcome
  if (options.json) console.log(JSON.stringify({ finding, interrupted: outcome.interrupted }, null, 2))
  else if (finding === null) console.log(`${printableLine(file)}: ${result(outcome)}`)
  else print(finding, [file])
  return outcome
}

/** Writes the program, and the trace if there is one. */
function write(folder: string, name: string, origin: string, { program, trace }: Finding): string[] {
  mkdirSync(folder, { recursive: true })
  const files = [join(folder, `${name}.fuzz`)]
  writeFileSync(files[0], `# writeback-iter fuzz: ${origin}\n${program}`)
  if (trace !== null) {
    files.push(join(folder, `${name}.trace`))
    writeFileSync(files[1], trace)
  }
  return files
}

function print({ kind, program, logs }: Finding, [file, trace]: string[]): void {
  process.stdout.write(program)
  if (logs !== null) console.log(`native: ${logs[0]}\njs:     ${logs[1]}`)
  else console.log(`a ${kind}`)
  console.log(`to run it again: writeback-iter fuzz ${printableLine(file)}`)
  if (trace !== undefined)
    console.log(`as a trace:      writeback-iter replay --backend native ${printableLine(trace)}`)
}

function count(n: number): string {
  return n.toLocaleString('en-US')
}
