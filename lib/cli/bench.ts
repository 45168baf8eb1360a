// SPDX-License-Identifier: GPL-2.0-only
// One backend against the other on this machine: what each way to write the same dirty folios costs.

import { arch, availableParallelism, cpus, platform } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { Command } from 'commander'
import type { AddressSpace, Backend, Folio } from '../types.js'
import { colours } from './colours.js'
import { EXIT_INTERRUPTED, interruption } from './interrupt.js'
import { allBackends, type BackendOption, backendOption, integer, jsonOption } from './options.js'
import { Progress } from './progress.js'

interface Options {
  readonly folios: number
  readonly runs: number
  readonly backend?: BackendOption
  readonly json?: boolean
}

const FOLIOS = 100_000
const MAX_FOLIOS = 10_000_000
const RUNS = 20

export function benchCommand(): Command {
  return new Command('bench')
    .summary('time one backend against the other')
    .description(
      'Times a data-integrity pass over dirty single-page folios on both backends, by each way there is to write ' +
        'them: nanoseconds a folio, the minimum of several interleaved runs.\n\n' +
        'Exit code: 0 done, 2 wrong use, 130 interrupted.',
    )
    .option('--folios <n>', 'dirty folios a pass', integer(1, MAX_FOLIOS), FOLIOS)
    .option('--runs <n>', 'runs, of which the fastest counts', integer(1), RUNS)
    .addOption(backendOption('both, one beside the other'))
    .addOption(jsonOption())
    .action(async (options: Options) => {
      const outcome = await bench(options)
      if (options.json) console.log(JSON.stringify(outcome, null, 2))
      else print(outcome)
      if (outcome.interrupted) process.exitCode = EXIT_INTERRUPTED
    })
}

/** A folio that was written: the least that a file system does with it. */
function write(folio: Folio): void {
  folio.startWriteback()
  folio.unlock()
  folio.endWriteback()
}

type Pass = (backend: Backend, mapping: AddressSpace) => void

/** The ways to write everything that is dirty. */
const PASSES: ReadonlyMap<string, Pass> = new Map<string, Pass>([
  [
    'writePages',
    ({ WritebackControl }, mapping) => {
      mapping.writePages(new WritebackControl({ syncMode: 'all' }), () => {})
    },
  ],
  [
    'writeExtents',
    ({ WritebackControl }, mapping) => {
      mapping.writeExtents(new WritebackControl({ syncMode: 'all' }), () => {})
    },
  ],
  [
    'writebackIter',
    ({ WritebackControl, writebackIter }, mapping) => {
      const wbc = new WritebackControl({ syncMode: 'all' })
      const error = { value: 0 }
      let folio: Folio | null = null
      while ((folio = writebackIter(mapping, wbc, folio, error)) !== null) write(folio)
    },
  ],
  [
    'for…of',
    ({ WritebackControl }, mapping) => {
      for (const folio of mapping.writeback(new WritebackControl({ syncMode: 'all' }))) write(folio)
    },
  ],
])

/** Nanoseconds a folio on each backend; none before its first run is over. */
type Figures = Partial<Record<Backend['backend'], number>>

interface Outcome {
  readonly node: string
  readonly machine: string
  readonly folios: number
  /** Runs that are over. */
  runs: number
  readonly nanoseconds: Record<string, Figures>
  readonly nativeMissing: string | null
  interrupted: boolean
}

/** A backend with a mapping full of clean folios. */
interface Side {
  readonly backend: Backend
  readonly mapping: AddressSpace
  readonly folios: readonly Folio[]
}

async function bench({ folios, runs, backend }: Options): Promise<Outcome> {
  const { backends, nativeMissing } = allBackends(backend)
  const interrupted = interruption()
  const outcome: Outcome = {
    node: process.version,
    machine: `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${availableParallelism()} cores, ${platform()}-${arch()}`,
    folios,
    runs: 0,
    nanoseconds: { markDirty: {} },
    nativeMissing,
    interrupted: false,
  }
  const sides = backends.map((backend) => addFolios(backend, folios))
  const progress = new Progress('passes', runs * PASSES.size)
  try {
    for (; outcome.runs < runs; outcome.runs++) {
      let passes = outcome.runs * PASSES.size
      for (const [name, pass] of PASSES) {
        for (const side of sides) {
          timePass(side, name, pass, outcome.nanoseconds)
          // Signals have their turn.
          await setImmediate()
          if (interrupted.aborted) {
            outcome.interrupted = true
            return outcome
          }
        }
        progress.update(++passes)
      }
    }
    return outcome
  } finally {
    progress.stop()
    for (const { mapping } of sides) mapping.close()
  }
}

function addFolios(backend: Backend, count: number): Side {
  const mapping = new backend.AddressSpace()
  return { backend, mapping, folios: Array.from({ length: count }, (_, index) => mapping.addFolio(index)) }
}

function timePass(
  { backend, mapping, folios }: Side,
  name: string,
  pass: Pass,
  into: Record<string, Figures>,
): void {
  const time = (what: string, work: () => void) => {
    const start = process.hrtime.bigint()
    work()
    const nanoseconds = Number(process.hrtime.bigint() - start) / folios.length
    into[what] ??= {}
    into[what][backend.backend] = Math.min(
      into[what][backend.backend] ?? Number.POSITIVE_INFINITY,
      nanoseconds,
    )
  }
  time('markDirty', () => {
    for (const folio of folios) folio.markDirty()
    // The native backend may not have told its tree of the last ones yet.
    mapping.tagged('dirty')
  })
  time(name, () => pass(backend, mapping))
  if (mapping.tagged('dirty')) throw new Error(`${name} on ${backend.backend} left something dirty`)
}

const WIDTH = 16
const CELL = 14

function print({ node, machine, folios, runs, nanoseconds, nativeMissing, interrupted }: Outcome): void {
  if (nativeMissing !== null) console.log(`TypeScript backend only: ${nativeMissing}`)
  console.log(`Node.js ${node}; ${machine}`)
  console.log(
    `${folios.toLocaleString('en-US')} dirty folios, nanoseconds a folio, the minimum of ${runs} interleaved runs\n`,
  )
  const cells = (...texts: string[]) => texts.map((text) => text.padStart(CELL)).join('')
  const sides = (['native', 'js'] as const).filter((side) => nanoseconds.markDirty[side] !== undefined)
  const ratio = sides.length === 2
  console.log(colours.bold(''.padEnd(WIDTH) + cells(...sides, ...(ratio ? ['js / native'] : []))))
  for (const [what, figures] of Object.entries(nanoseconds)) {
    const values = sides.map((side) => figures[side]?.toFixed(1) ?? '-')
    const { native, js } = figures
    const times = native === undefined || js === undefined ? '-' : (js / native).toFixed(2)
    console.log(what.padEnd(WIDTH) + cells(...values, ...(ratio ? [times] : [])))
  }
  if (interrupted) console.log('\ninterrupted')
}
