// SPDX-License-Identifier: GPL-2.0-only
// Runs a workload: executes its operations one after the other, and times them.

import { setImmediate } from 'node:timers/promises'
import { PIECE } from './compare_files.js'
import type { Workload, WorkloadFile, WriteData } from './workload.js'

/** Milliseconds of synchronous work, after which signals and timers are handled. */
const SLICE = 50

export interface Timing {
  readonly seconds: number
  /**
   * The part spent writing pages back before an fsync. With plain writes, the system does this within fsync.
   */
  readonly writebackSeconds: number
  /** The part spent in fsync. */
  readonly fsyncSeconds: number
}

/** The numbers of the pieces (PIECE bytes each) of each file that the workload writes to. */
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
 * Runs the workload on its files, and syncs all of them at the end. Before each fsync, dirty pages are
 * written back, so that the write-back and the fsync are timed separately.
 * @param tick - called several times a second with the number of operations done; an error that it throws
 * ends the work
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
 * Does what fio's trim does to a regular file (FALLOC_FL_PUNCH_HOLE, keeping the size). The tail of the file
 * is cut off and becomes a hole. Data elsewhere is overwritten with zeros. A range that was never written is
 * already a hole.
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

/** The touched pieces in a range of bytes. Walks the range or the set, of which it takes the shorter. */
function piecesBetween(start: number, end: number, touched: ReadonlySet<number>): number[] {
  const first = Math.floor(start / PIECE)
  const last = Math.floor((end - 1) / PIECE)
  if (last - first >= touched.size) return [...touched].filter((piece) => piece >= first && piece <= last)
  return Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((piece) => touched.has(piece))
}
