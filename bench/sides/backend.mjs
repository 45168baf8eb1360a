// SPDX-License-Identifier: GPL-2.0-only
// This package: either backend.

import { checkSeen, fill, markDirty, openWarm } from './shape.mjs'

/** @param {import('../../lib/types.js').Folio} folio */
function write(folio) {
  folio.startWriteback()
  folio.unlock()
  folio.endWriteback()
}

/**
 * @param {'native' | 'js'} name
 * @param {import('./shape.mjs').Shape} shape
 * @returns {Promise<Record<string, import('./shape.mjs').Operation>>}
 */
export async function open(name, shape) {
  const backend = await import(`writeback-iter/${name}`)
  return openWarm((each) => build(backend, each), shape)
}

/**
 * @param {import('../../lib/types.js').Backend} backend
 * @param {import('./shape.mjs').Shape} shape
 * @returns {Record<string, import('./shape.mjs').Operation>}
 */
function build({ AddressSpace, WritebackControl, writebackIter }, shape) {
  const mapping = new AddressSpace()
  const { dirty, scattered } = fill(shape, (index, order) => mapping.addFolio(index, order))
  let seen = 0

  const control = () => new WritebackControl({ syncMode: 'all' })
  const clean = () => {
    if (mapping.tagged('dirty')) mapping.writeExtents(control(), () => {})
  }
  const soil = () => {
    for (const folio of dirty) folio.markDirty()
  }
  const soilScattered = () => {
    clean()
    for (const folio of scattered) folio.markDirty()
  }
  /** @param {import('../../lib/types.js').Folio} _folio */
  const callback = (_folio) => {
    seen++
  }
  const writePages = () => {
    seen = 0
    const result = mapping.writePages(control(), callback)
    if (result !== 0) throw new Error(`writePages returned ${result}`)
  }

  return {
    ...markDirty(dirty, clean, soil),
    writePages: {
      prepare: soil,
      run: () => {
        writePages()
        checkSeen(seen, dirty.length)
      },
    },
    writeExtents: {
      prepare: soil,
      run: () => {
        seen = 0
        mapping.writeExtents(control(), (extent) => {
          seen += extent.nrPages
        })
        checkSeen(seen, dirty.length * 2 ** shape.order)
      },
    },
    writebackIter: {
      prepare: soil,
      run: () => {
        const wbc = control()
        const error = { value: 0 }
        let folio = writebackIter(mapping, wbc, null, error)
        for (seen = 0; folio !== null; seen++) {
          write(folio)
          folio = writebackIter(mapping, wbc, folio, error)
        }
        checkSeen(seen, dirty.length)
      },
    },
    'for…of': {
      prepare: soil,
      run: () => {
        seen = 0
        for (const folio of mapping.writeback(control())) {
          write(folio)
          seen++
        }
        checkSeen(seen, dirty.length)
      },
    },
    // What a pass runs of its user's code, by itself: the callback of writePages, and the body of the loops.
    callback: {
      prepare: () => {},
      run: () => {
        seen = 0
        for (const folio of dirty) callback(folio)
        checkSeen(seen, dirty.length)
      },
    },
    body: {
      prepare: () => {
        clean()
        for (const folio of dirty) folio.tryLock()
      },
      run: () => {
        for (const folio of dirty) write(folio)
      },
    },
    scattered: {
      prepare: soilScattered,
      run: () => {
        writePages()
        checkSeen(seen, scattered.length)
      },
    },
  }
}
