// SPDX-License-Identifier: GPL-2.0-only
// One side of `run`, in its own process, so that its memory is cold and not shared with the other side. The
// parent sends the task. This process reports its progress, then its outcome. It ends if the parent ends.

import fs from 'node:fs'
import { WritebackError } from '../errors.js'
import { NO_STATS } from '../file/engine.js'
import { CachedFile, type CachedFileStats, configure } from '../file/index.js'
import type { Backend } from '../types.js'
import { replay, type Timing } from './replay_workload.js'
import { Operations, PlainFile, type Workload, WriteData } from './workload.js'

export type Side = 'plain' | Backend['backend']

export interface SideTask {
  readonly side: Side
  readonly files: Workload['files']
  /** The words of `Operations`. */
  readonly words: Float64Array
  /** The paths of the files of the workload. */
  readonly paths: readonly string[]
  /** See {@link limitDirty}; null for the engine's own limits. */
  readonly dirtyBackground: number | null
}

export interface SideOutcome extends Timing {
  /** The engine's statistics; null for plain writes. */
  readonly stats: CachedFileStats | null
  /** The process's peak memory, in bytes (maximum resident set size). */
  readonly peakMemory: number
}

export type SideMessage =
  | { readonly kind: 'operations'; readonly operations: number }
  | { readonly kind: 'outcome'; readonly outcome: SideOutcome }
  /** `explained`: whether the message alone tells the user the reason. */
  | { readonly kind: 'error'; readonly message: string; readonly explained: boolean }

const PAGE_SIZE = 4096
const LEAST_MEMORY = 4 * 2 ** 20
/** The dirty limit, above which writers are held back, as a multiple of the background limit. */
const DIRTY_RATIO = 3

/** Sets the limits of the engines, and the memory that the limits need. */
function limitDirty(dirtyBackground: number): void {
  const dirty = dirtyBackground * DIRTY_RATIO
  configure({ memory: Math.max(LEAST_MEMORY, dirty * 2), dirtyBackground, dirty })
}

async function run({ side, files, words, paths, dirtyBackground }: SideTask): Promise<SideOutcome> {
  const workload: Workload = { name: side, files, operations: new Operations(words), warnings: [] }
  const tick = (operations: number) => send({ kind: 'operations', operations })
  if (dirtyBackground !== null) limitDirty(dirtyBackground * PAGE_SIZE)
  const open =
    side === 'plain'
      ? paths.map((path) => new PlainFile(path))
      : paths.map((path) => CachedFile.openSync(path, { engine: side, flags: 'w+' }))
  const timing = await replay(workload, open, new WriteData(), tick)
  const stats = side === 'plain' ? null : addStats(open as CachedFile[])
  for (const file of open) file.closeSync()
  return { ...timing, stats, peakMemory: peakMemory() }
}

/** The peak memory of this process. On Linux, maxRSS would begin with the parent's value. */
function peakMemory(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024
  const status = fs.readFileSync('/proc/self/status', 'latin1')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

function addStats(files: readonly CachedFile[]): CachedFileStats {
  const sum = { ...NO_STATS }
  for (const { stats } of files) {
    for (const count of Object.keys(sum) as (keyof CachedFileStats)[]) sum[count] += stats[count]
  }
  return sum
}

function send(message: SideMessage): void {
  if (process.connected) process.send?.(message)
}

function explain(error: unknown): SideMessage {
  const explained = error instanceof WritebackError || (error instanceof Error && 'syscall' in error)
  const text =
    error instanceof Error ? (explained ? error.message : (error.stack ?? error.message)) : String(error)
  return { kind: 'error', message: text, explained }
}

// Without a parent, nothing needs the dirty pages. Kill the process, so that it does not write them back at
// exit.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.once('message', async (task: SideTask) => {
  send(await run(task).then((outcome): SideMessage => ({ kind: 'outcome', outcome }), explain))
})
