// SPDX-License-Identifier: GPL-2.0-only
// The pass of plain.mjs.

import { PlainCache, PlainControl } from '../plain.mjs'
import { checkSeen, fill, markDirty, openWarm } from './shape.mjs'

/**
 * @param {string} _name
 * @param {import('./shape.mjs').Shape} shape
 * @returns {Record<string, import('./shape.mjs').Operation>}
 */
export function open(_name, shape) {
  return openWarm(build, shape)
}

/**
 * @param {import('./shape.mjs').Shape} shape
 * @returns {Record<string, import('./shape.mjs').Operation>}
 */
function build(shape) {
  const cache = new PlainCache()
  const { dirty, scattered } = fill(shape, (index, order) => cache.add(index, order))
  let seen = 0

  const control = () => new PlainControl({ syncAll: true })
  const writePages = () => {
    seen = 0
    cache.writePages(control(), () => {
      seen++
    })
  }
  const soil = () => {
    for (const folio of dirty) folio.markDirty()
  }

  return {
    ...markDirty(dirty, writePages, soil),
    writePages: {
      prepare: soil,
      run: () => {
        writePages()
        checkSeen(seen, dirty.length)
      },
    },
    writebackIter: {
      prepare: soil,
      run: () => {
        const wbc = control()
        let folio = cache.writebackIter(wbc, null)
        for (seen = 0; folio !== null; seen++) {
          folio.startWriteback()
          folio.unlock()
          folio.endWriteback()
          folio = cache.writebackIter(wbc, folio)
        }
        checkSeen(seen, dirty.length)
      },
    },
    scattered: {
      prepare: () => {
        writePages()
        for (const folio of scattered) folio.markDirty()
      },
      run: () => {
        writePages()
        checkSeen(seen, scattered.length)
      },
    },
  }
}
