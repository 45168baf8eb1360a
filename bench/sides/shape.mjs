// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is measured: `folios` folios of 2^`order` pages, each `stride` times its own length behind the one
 * before; every `dirtyEvery`-th of them is dirty when a pass begins.
 * @typedef {{ folios: number, stride: number, order: number, dirtyEvery: number }} Shape
 */

/**
 * Work that is timed: `prepare` is not. `run` throws if it did not do what it should; a number that it
 * returns stands in for its time.
 * @typedef {{ prepare: () => void, run: () => number | void }} Operation
 * @typedef {{ prepare: () => void, run: () => Promise<number | void> }} AsyncOperation - timed to the end of its promise
 */

/** How many folios a sync finds in the row of scattered ones. */
export const SCATTERED = 16

/**
 * Calls `add` for the place of each folio, ascending.
 * @template T
 * @param {Shape} shape
 * @param {(index: number, order: number) => T} add
 * @returns {{ dirty: T[], scattered: T[] }} what it returned for those that are dirty, and for 16 all over
 * the file
 */
export function fill({ folios, stride, order, dirtyEvery }, add) {
  const dirty = []
  const scattered = []
  const pages = stride * 2 ** order
  const apart = Math.floor(folios / SCATTERED)
  for (let i = 0; i < folios; i++) {
    const folio = add(i * pages, order)
    if (i % dirtyEvery === 0) dirty.push(folio)
    if (i % apart === apart >> 1 && scattered.length < SCATTERED) scattered.push(folio)
  }
  return { dirty, scattered }
}

/**
 * @param {number} seen
 * @param {number} expected
 */
export function checkSeen(seen, expected) {
  if (seen !== expected) throw new Error(`${seen} folios instead of ${expected}`)
}

/**
 * The rows of markDirty, which are the same on each side that has folios.
 * @param {{ markDirty(): boolean }[]} dirty
 * @param {() => void} clean
 * @param {() => void} soil
 * @returns {Record<string, Operation>}
 */
export function markDirty(dirty, clean, soil) {
  return {
    'markDirty, newly dirty': {
      prepare: clean,
      run: () => {
        let seen = 0
        for (const folio of dirty) if (folio.markDirty()) seen++
        checkSeen(seen, dirty.length)
      },
    },
    'markDirty, already dirty': {
      prepare: soil,
      run: () => {
        let seen = 0
        for (const folio of dirty) if (!folio.markDirty()) seen++
        checkSeen(seen, dirty.length)
      },
    },
  }
}

const WARM_FOLIOS = 1_000
const WARM_RUNS = 200

/**
 * Opens a side over few folios first and runs its operations often there, so that they are compiled once for
 * good. A loop that only ever runs over many is compiled in the middle of it, and thrown away behind it, in
 * each run: that is the benchmark's doing, and nobody's who calls it from a program.
 * @template {Record<string, Operation>} T
 * @param {(shape: Shape) => T} build
 * @param {Shape} shape
 * @returns {T}
 */
export function openWarm(build, shape) {
  for (const { prepare, run } of Object.values(build({ ...shape, folios: WARM_FOLIOS }))) {
    for (let i = 0; i < WARM_RUNS; i++) {
      prepare()
      run()
    }
  }
  return build(shape)
}
