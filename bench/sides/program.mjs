// SPDX-License-Identifier: GPL-2.0-only
// A whole program that uses this package: it dirties its folios and writes them back by each kind of pass in
// turn, so that its code has seen all of them. Its callbacks read what a callback needs to know what to
// write: `index` and `nrPages`.

import { checkSeen } from './shape.mjs'

/**
 * `folios` folios of 2^`order` pages. Behind every `run` of them is a gap of `gap` folios; one in `oneIn` of
 * them is dirtied, picked at random.
 * @typedef {{ folios: number, order: number, run: number, gap: number, oneIn: number, rounds: number }} ProgramShape
 */

/** Picks of a fixed seed: every process dirties the same folios. */
function picker() {
  let state = 1
  /** @param {number} oneIn */
  return (oneIn) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state < 2 ** 32 / oneIn
  }
}

/**
 * Runs the program.
 * @param {import('../../lib/types.js').Backend} backend
 * @param {ProgramShape} shape
 * @returns {Map<string, number>} by operation, the milliseconds that the shortest of all rounds took
 */
export function runProgram({ AddressSpace, WritebackControl }, { folios, order, run, gap, oneIn, rounds }) {
  const mapping = new AddressSpace()
  const pick = picker()
  /** @type {import('../../lib/types.js').Folio[]} */
  const dirty = []
  let pages = 0
  for (let i = 0; i < folios; i++) {
    const folio = mapping.addFolio((i + Math.floor(i / run) * gap) * 2 ** order, order)
    if (!pick(oneIn)) continue
    dirty.push(folio)
    pages += folio.nrPages
  }
  const indices = dirty.reduce((sum, folio) => sum + folio.index, 0)
  const control = () => new WritebackControl({ syncMode: 'all' })

  let seenPages = 0
  let seenIndices = 0
  /** @type {Record<string, () => void>} */
  const operations = {
    writePages() {
      mapping.writePages(control(), (folio) => {
        seenPages += folio.nrPages
        seenIndices += folio.index
      })
      checkSeen(seenIndices, indices)
    },
    writeExtents() {
      mapping.writeExtents(control(), (extent) => {
        seenPages += extent.nrPages
        seenIndices += extent.index
      })
    },
    'for…of'() {
      for (const folio of mapping.writeback(control())) {
        folio.startWriteback()
        seenPages += folio.nrPages
        seenIndices += folio.index
        folio.unlock()
        folio.endWriteback()
      }
      checkSeen(seenIndices, indices)
    },
  }

  const least = new Map()
  /** @param {string} operation @param {() => void} work */
  const timed = (operation, work) => {
    const begin = performance.now()
    work()
    least.set(operation, Math.min(least.get(operation) ?? Infinity, performance.now() - begin))
  }
  const markDirty = () => {
    for (const folio of dirty) folio.markDirty()
  }
  for (let round = 0; round < rounds; round++) {
    for (const [operation, pass] of Object.entries(operations)) {
      timed('markDirty', markDirty)
      seenPages = 0
      seenIndices = 0
      timed(operation, pass)
      checkSeen(seenPages, pages)
      if (mapping.tagged('dirty')) throw new Error(`${operation} left folios dirty`)
    }
  }
  return least
}

/**
 * @param {string} name
 * @param {ProgramShape} shape
 * @returns {Promise<Record<string, import('./shape.mjs').Operation>>}
 */
export async function open(name, shape) {
  const least = runProgram(await import(`writeback-iter/${name}`), shape)
  return Object.fromEntries(
    [...least].map(([operation, time]) => [operation, { prepare() {}, run: () => time }]),
  )
}
