// SPDX-License-Identifier: GPL-2.0-only
// The process in which the fuzzer runs its programs. The parent also detects a crash or a hang of this
// process. The process reads its task from stdin, and reports its progress as lines of JSON on descriptor 3.

import { readFileSync, writeSync } from 'node:fs'
import { loadBackend } from '../backend.js'
import { type CampaignOptions, campaign, minimize } from './campaign.js'
import { type Backends, compare } from './compare.js'
import type { Program } from './operation.js'
import { formatProgram, parseProgram } from './program_text.js'
import { diverges, toTraces } from './trace.js'

/** The task: a campaign, or one program or one trace as text. */
export type Task =
  | { readonly campaign: CampaignOptions }
  | { readonly program: string }
  | { readonly trace: string }

export type Message =
  /**
   * A run begins, or the process shrinks its program. `operations` is the number of operations executed and
   * compared so far.
   */
  | { readonly type: 'run'; readonly run: number; readonly operations: number }
  /** A program differs. The last such message counts. */
  | { readonly type: 'difference'; readonly run: number; readonly program: string }
  /** The last message about the program. */
  | { readonly type: 'done'; readonly logs: readonly [string, string] | null; readonly trace: string | null }

const DESCRIPTOR = 3

function send(message: Message): void {
  writeSync(DESCRIPTOR, `${JSON.stringify(message)}\n`)
}

async function runCampaign(backends: Backends, options: CampaignOptions): Promise<Program | null> {
  let operations = 0
  const failure = await campaign(backends, options, (run, tally) => {
    operations = tally.operations
    send({ type: 'run', run, operations })
  })
  if (failure === null) return null
  const { run } = failure
  let smallest = failure.program
  const found = (program: Program) => {
    smallest = program
    send({ type: 'difference', run, program: formatProgram(program) })
  }
  found(failure.program)
  const fails = async (program: Program) => {
    send({ type: 'run', run, operations })
    return (await compare(program, backends)) !== null
  }
  await minimize(failure.program, fails, found)
  return smallest
}

async function main(): Promise<void> {
  const task: Task = JSON.parse(readFileSync(0, 'utf8'))
  const native = loadBackend('native')
  const js = loadBackend('js')
  if ('trace' in task) {
    send({ type: 'done', logs: null, trace: diverges(task.trace, native) ? task.trace : null })
    return
  }
  const program =
    'campaign' in task ? await runCampaign([native, js], task.campaign) : parseProgram(task.program)
  const difference = program === null ? null : await compare(program, [native, js], undefined, true)
  if (program === null || difference === null) {
    send({ type: 'done', logs: null, trace: null })
    return
  }
  const trace = toTraces(program, js).find((trace) => diverges(trace, native)) ?? null
  send({ type: 'done', logs: difference.logs, trace })
}

void main()
