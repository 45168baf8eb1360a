// SPDX-License-Identifier: GPL-2.0-only
// Compares the backends on this machine: the cost of each way to write the same dirty folios.

import { once } from 'node:events'
import { arch, availableParallelism, cpus, platform } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Command } from 'commander'
import type { Backend } from '../types.js'
import { PASSES, type SideOptions, type Times } from './bench_side.js'
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
      'Times an integrity pass over dirty folios of one page on both backends, by each method that writes them: ' +
        'nanoseconds per folio, the minimum of several interleaved runs.\n\n' +
        'Exit code: 0 done, 2 wrong use, 130 interrupted.',
    )
    .option('--folios <n>', 'dirty folios per pass', integer(1, MAX_FOLIOS), FOLIOS)
    .option('--runs <n>', 'runs; the fastest counts', integer(1), RUNS)
    .addOption(backendOption('both, interleaved'))
    .addOption(jsonOption())
    .action(async (options: Options) => {
      const outcome = await bench(options)
      if (options.json) console.log(JSON.stringify(outcome, null, 2))
      else print(outcome)
      if (outcome.interrupted) process.exitCode = EXIT_INTERRUPTED
    })
}

/** Nanoseconds per folio on each backend; absent until the backend's first run ends. */
type Figures = Partial<Record<Backend['backend'], number>>

interface Outcome {
  readonly node: string
  readonly machine: string
  readonly folios: number
  /** The number of runs that have ended. */
  runs: number
  readonly nanoseconds: Record<string, Figures>
  readonly nativeMissing: string | null
  interrupted: boolean
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
  const best = (what: string, side: Backend['backend'], value: number) => {
    outcome.nanoseconds[what] ??= {}
    const figures = outcome.nanoseconds[what]
    figures[side] = Math.min(figures[side] ?? Number.POSITIVE_INFINITY, value)
  }
  const sides = backends.map(({ backend }) => ({ backend, worker: startSide({ backend, folios }) }))
  const progress = new Progress('passes', runs * PASSES.length)
  try {
    for (; outcome.runs < runs; outcome.runs++) {
      for (const [i, name] of PASSES.entries()) {
        // One thread works while the other waits.
        for (const { backend, worker } of sides) {
          worker.postMessage(name)
          const [times] = (await once(worker, 'message', { signal: interrupted })) as [Times]
          best('markDirty', backend, times.markDirty)
          best(name, backend, times.pass)
        }
        progress.update(outcome.runs * PASSES.length + i + 1)
      }
    }
  } catch (error) {
    if (!interrupted.aborted) throw error
    outcome.interrupted = true
  } finally {
    progress.stop()
    await Promise.all(sides.map(({ worker }) => worker.terminate()))
  }
  return outcome
}

function startSide(workerData: SideOptions): Worker {
  return new Worker(join(__dirname, 'bench_side.js'), { workerData })
}

const WIDTH = 16
const CELL = 14

function print({ node, machine, folios, runs, nanoseconds, nativeMissing, interrupted }: Outcome): void {
  if (nativeMissing !== null) console.log(`TypeScript backend only: ${nativeMissing}`)
  console.log(`Node.js ${node}; ${machine}`)
  console.log(
    `${folios.toLocaleString('en-US')} dirty folios, nanoseconds per folio, the minimum of ${runs} interleaved runs\n`,
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
