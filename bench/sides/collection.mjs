// SPDX-License-Identifier: GPL-2.0-only
// What people keep dirty pages in instead: a collection of those that are dirty, which a flush takes in order
// and empties. Such a collection knows of one state only: no page under writeback or dirtied again while it
// is written, no tagging, no lock.

import BTreeModule from 'sorted-btree'
import { TypedFastBitSet } from 'typedfastbitset'
import { checkSeen, fill, openWarm } from './shape.mjs'

const { default: BTree } = BTreeModule

/** @typedef {{ index: number, number: number }} Page */

/**
 * Each: `add` makes a page dirty and tells whether it was clean; `flush` calls back for each that is,
 * ascending.
 * @type {Record<string, (pages: Page[]) => { add: (page: Page) => boolean, flush: (write: (page: Page) => void) => void }>}
 */
const collections = {
  'Map + sort': () => {
    /** @type {Map<number, Page>} */
    const dirty = new Map()
    return {
      add: (page) => {
        if (dirty.has(page.index)) return false
        dirty.set(page.index, page)
        return true
      },
      flush: (write) => {
        for (const index of Float64Array.from(dirty.keys()).sort())
          write(/** @type {Page} */ (dirty.get(index)))
        dirty.clear()
      },
    }
  },
  'sorted-btree': () => {
    const dirty = new BTree(/** @type {[number, Page][]} */ ([]), (a, b) => a - b)
    return {
      add: (page) => dirty.set(page.index, page),
      flush: (write) => {
        dirty.forEachPair((_index, page) => write(page))
        dirty.clear()
      },
    }
  },
  typedfastbitset: (pages) => {
    const dirty = new TypedFastBitSet()
    return {
      // Not checkedAdd(), which loses what it adds where the set has to grow.
      add: ({ number }) => {
        if (dirty.has(number)) return false
        dirty.add(number)
        return true
      },
      flush: (write) => {
        dirty.forEach((number) => {
          write(pages[number])
        })
        dirty.clear()
      },
    }
  },
}

/**
 * @param {string} name
 * @param {import('./shape.mjs').Shape} shape
 * @returns {Record<string, import('./shape.mjs').Operation>}
 */
export function open(name, shape) {
  return openWarm((each) => build(name, each), shape)
}

/**
 * @param {string} name
 * @param {import('./shape.mjs').Shape} shape
 * @returns {Record<string, import('./shape.mjs').Operation>}
 */
function build(name, shape) {
  /** @type {Page[]} */
  const pages = []
  const { dirty } = fill(shape, (index) => {
    const page = { index, number: pages.length }
    pages.push(page)
    return page
  })
  const { add, flush } = collections[name](pages)
  let seen = 0

  const write = () => {
    seen++
  }
  const clean = () => flush(write)
  const soil = () => {
    for (const page of dirty) add(page)
  }

  return {
    'markDirty, newly dirty': {
      prepare: clean,
      run: () => {
        seen = 0
        for (const page of dirty) if (add(page)) seen++
        checkSeen(seen, dirty.length)
      },
    },
    'markDirty, already dirty': {
      prepare: soil,
      run: () => {
        seen = 0
        for (const page of dirty) if (!add(page)) seen++
        checkSeen(seen, dirty.length)
      },
    },
    writePages: {
      prepare: soil,
      run: () => {
        seen = 0
        flush(write)
        checkSeen(seen, dirty.length)
      },
    },
  }
}
