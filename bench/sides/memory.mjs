// SPDX-License-Identifier: GPL-2.0-only
// What a cached dirty page costs: how much the process grew, whatever for, over the pages. One measurement a
// process: memory that was used and freed before would be used again unseen.

import { PlainCache } from '../plain.mjs'
import { fill } from './shape.mjs'

/**
 * @param {string} name
 * @param {import('./shape.mjs').Shape} shape
 * @returns {Promise<{ marked: () => boolean }>}
 */
async function build(name, shape) {
  if (name === 'plain') {
    const cache = new PlainCache()
    fill(shape, (index, order) => cache.add(index, order).markDirty())
    return { marked: () => cache.marked('dirty').length > 0 }
  }
  const { AddressSpace } = await import(`writeback-iter/${name}`)
  const mapping = new AddressSpace()
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
 * @param {import('./shape.mjs').Shape} shape
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
  }
}
