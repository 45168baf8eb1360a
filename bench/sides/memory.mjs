// SPDX-License-Identifier: GPL-2.0-only
// The cost of a cached dirty page: the growth of the process, over the pages. Each process measures once: it
// would use memory that it freed before again, unseen.

import { PlainCache } from '../plain.mjs'
import { fill } from './shape.mjs'

/**
 * With `bulk`, as a file system dirties a large write: no folio gets an object.
 * @param {string} name
 * @param {import('./shape.mjs').Shape & { bulk?: boolean }} shape
 * @returns {Promise<{ marked: () => boolean, adding?: number, dirtying?: number }>} the times are in
 *   milliseconds
 */
async function build(name, shape) {
  if (name === 'plain') {
    const cache = new PlainCache()
    fill(shape, (index, order) => cache.add(index, order).markDirty())
    return { marked: () => cache.marked('dirty').length > 0 }
  }
  const { AddressSpace } = await import(`writeback-iter/${name}`)
  const mapping = new AddressSpace()
  if (shape.bulk) {
    const times = [performance.now()]
    mapping.addFolios(0, shape.folios)
    times.push(performance.now())
    mapping.dirtyRange(0, shape.folios - 1)
    times.push(performance.now())
    return {
      marked: () => mapping.tagged('dirty'),
      adding: times[1] - times[0],
      dirtying: times[2] - times[1],
    }
  }
  fill(shape, (index, order) => mapping.addFolio(index, order).markDirty())
  return { marked: () => mapping.tagged('dirty') }
}

function resident() {
  gc?.()
  gc?.()
  return process.memoryUsage.rss()
}

/**
 * @param {string} name
 * @param {import('./shape.mjs').Shape & { bulk?: boolean }} shape
 * @returns {Promise<Record<string, import('./shape.mjs').Operation>>}
 */
export async function open(name, shape) {
  // Code is compiled and loaded, and the heap has its size.
  await build(name, { ...shape, folios: 20_000 })
  const before = resident()
  const cache = await build(name, shape)
  const grown = resident() - before
  return {
    memory: {
      prepare: () => {},
      run: () => {
        if (!cache.marked()) throw new Error('nothing is dirty')
        return grown
      },
    },
    adding: { prepare: () => {}, run: () => cache.adding },
    dirtying: { prepare: () => {}, run: () => cache.dirtying },
  }
}
