// SPDX-License-Identifier: GPL-2.0-only

import fs from 'node:fs'
import { setImmediate } from 'node:timers/promises'

/** Files are compared in pieces of this many bytes (1 MiB). */
export const PIECE = 2 ** 20

/**
 * A file up to this size (4 GiB) is compared as a whole. Of a larger file, only the written pieces are
 * compared.
 */
const WHOLE = 2 ** 32

/**
 * The first byte at which two files differ; null if none does. Of files up to 4 GiB, every byte is compared.
 * Of larger files, the sizes and the touched pieces are compared.
 *
 * @param touched - numbers of the pieces that may hold anything but zeros
 * @param tick - called several times a second; an error that it throws ends the comparison
 */
export async function firstDifference(
  a: string,
  b: string,
  touched: ReadonlySet<number>,
  tick: () => void,
): Promise<number | null> {
  const fds = [a, b].map((path) => fs.openSync(path, 'r'))
  try {
    const sizes = fds.map((fd) => fs.fstatSync(fd).size)
    const size = Math.max(...sizes)
    const pieces = size <= WHOLE ? allPieces(size) : [...touched].sort((x, y) => x - y)
    const buffers = fds.map(() => Buffer.alloc(PIECE))
    for (const piece of pieces) {
      const position = piece * PIECE
      const [x, y] = fds.map((fd, i) => buffers[i].subarray(0, readFully(fd, buffers[i], position)))
      if (!x.equals(y)) {
        let same = 0
        while (same < x.length && same < y.length && x[same] === y[same]) same++
        return position + same
      }
      await setImmediate()
      tick()
    }
    return sizes[0] === sizes[1] ? null : Math.min(...sizes)
  } finally {
    for (const fd of fds) fs.closeSync(fd)
  }
}

function* allPieces(size: number): Generator<number> {
  for (let piece = 0; piece * PIECE < size; piece++) yield piece
}

function readFully(fd: number, into: Uint8Array, position: number): number {
  let done = 0
  for (let n = -1; n !== 0 && done < into.length; done += n) {
    n = fs.readSync(fd, into, done, into.length - done, position + done)
  }
  return done
}
