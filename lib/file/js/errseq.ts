// SPDX-License-Identifier: GPL-2.0-only
// errseq_t (the kernel's lib/errseq.c): the last error of a file, and whether a handle has seen it, in one
// number.
//
// Bits 0 to 11 are the errno, bit 12 says that a handle saw it, the rest counts. The counter moves only when
// an error comes after one that was seen: while no handle has seen it, a newer error may take its place
// without a new count.

const MAX_ERRNO = 4095
const SEEN = 2 ** 12
const COUNT = 2 ** 13

const errnoBits = (value: number) => value % SEEN
const isSeen = (value: number) => Math.floor(value / SEEN) % 2 === 1

/**
 * The error sequence of one file; each handle keeps a cursor, a value that `sample` or `checkAndAdvance`
 * gave.
 */
export class ErrorSequence {
  // A number and no int32: 40 bits of counter do not wrap around within the life of a process.
  #value = 0

  /** errseq_set: records a negative errno. */
  set(errno: number): void {
    if (!Number.isInteger(errno) || errno >= 0 || errno < -MAX_ERRNO) throw new RangeError(`errno ${errno}`)
    const count = this.#value - (this.#value % COUNT)
    this.#value = count + -errno + (isSeen(this.#value) ? COUNT : 0)
  }

  /** errseq_sample: the cursor of a new handle. It will see an error that no handle has seen yet. */
  sample(): number {
    return isSeen(this.#value) ? this.#value : 0
  }

  /**
   * errseq_check_and_advance: what happened since `cursor`.
   * @returns the negative errno, 0 if there is nothing new, and the cursor to keep
   */
  checkAndAdvance(cursor: number): { errno: number; cursor: number } {
    if (this.#value === cursor) return { errno: 0, cursor }
    if (!isSeen(this.#value)) this.#value += SEEN
    return { errno: -errnoBits(this.#value), cursor: this.#value }
  }
}
