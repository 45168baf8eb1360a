// SPDX-License-Identifier: GPL-2.0-only
// A workload, done: its operations one after the other, and how long they took.

import { setImmediate } from 'node:timers/promises'
import { PIECE } from './compare_files.js'
import type { Workload, WorkloadFile, WriteData } from './workload.js'

/** Milliseconds of synchronous work before signals and timers have their turn. */
const SLICE = 50

export interface Timing {
  readonly seconds: number
  /**
   * Of them, writing pages back before an fsync. Plain writes leave that to the system, which does it within
   * fsync.
   */
  readonly writebackSeconds: number
  /** Of them, in fsync. */
  readonly fsyncSeconds: number
}

/** Numbers of the pieces (PIECE bytes each) that the workload writes to, of each file. */
export function touchedPieces({ files, operations }: Workload): Set<number>[] {
  const touched = files.map(() => new Set<number>())
  for (const { kind, file, offset, length } of operations) {
    if (kind === 'write') touch(touched[file], offset, length)
  }
  return touched
}

function touch(pieces: Set<number>, offset: number, length: number): void {
  for (let at = offset - (offset % PIECE); at < offset + length; at += PIECE) pieces.add(at / PIECE)
}

/**
 * Runs the workload over its files, all of them synced at the end. What is dirty at an fsync is written back
 * first, so that the two are timed apart.
 * @param tick - called several times a second with the number of operations done; ends the work if it throws
 */
export async function replay(
  workload: Workload,
  files: readonly WorkloadFile[],
  data: WriteData,
  tick: (done: number) => void,
): Promise<Timing> {
  const touched = workload.files.map(() => new Set<number>())
  let into = new Uint8Array(0)
  let writes = 0
  let writebackTime = 0
  let fsyncTime = 0
  const fsync = (file: WorkloadFile) => {
    const start = performance.now()
    file.writebackSync(Number.MAX_SAFE_INTEGER)
    const written = performance.now()
    file.fsyncSync()
    writebackTime += written - start
    fsyncTime += performance.now() - written
  }

  const start = performance.now()
  for (const [i, { size }] of workload.files.entries()) files[i].truncateSync(size)
  let yielded = start
  let done = 0
  for (const { kind, file: number, offset, length } of workload.operations) {
    const file = files[number]
    switch (kind) {
      case 'write':
        file.writeSync(data.get(writes++, length), offset)
        touch(touched[number], offset, length)
        break
      case 'trim':
        trim(file, offset, length, touched[number])
        break
      case 'read':
        if (into.length < length) into = new Uint8Array(length)
        file.readSync(into.subarray(0, length), offset)
        break
      case 'sync':
        fsync(file)
        break
    }
    if (++done % 64 === 0 && performance.now() - yielded > SLICE) {
      await setImmediate()
      tick(done)
      yielded = performance.now()
    }
  }
  for (const file of files) fsync(file)
  return {
    seconds: (performance.now() - start) / 1000,
    writebackSeconds: writebackTime / 1000,
    fsyncSeconds: fsyncTime / 1000,
  }
}

/**
 * What fio's trim does to a regular file (FALLOC_FL_PUNCH_HOLE, keeping the size): the tail of the file is
 * cut off and left a hole, and what was written elsewhere becomes zeros. What was never written is a hole
 * already.
 */
function trim(file: WorkloadFile, offset: number, length: number, touched: ReadonlySet<number>): void {
  const { size } = file
  if (offset >= size) return
  if (offset + length >= size) {
    file.truncateSync(offset)
    file.truncateSync(size)
    return
  }
  const end = offset + length
  for (const piece of piecesBetween(offset, end, touched)) {
    const from = Math.max(offset, piece * PIECE)
    file.writeSync(new Uint8Array(Math.min(end, (piece + 1) * PIECE) - from), from)
  }
}

/** The touched pieces in a range of bytes; walks whichever is shorter, the range or the set. */
function piecesBetween(start: number, end: number, touched: ReadonlySet<number>): number[] {
  const first = Math.floor(start / PIECE)
  const last = Math.floor((end - 1) / PIECE)
  if (last - first >= touched.size) return [...touched].filter((piece) => piece >= first && piece <= last)
  return Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((piece) => touched.has(piece))
}
