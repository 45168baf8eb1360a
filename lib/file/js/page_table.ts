// SPDX-License-Identifier: GPL-2.0-only
// The cached pages of a file by their index.
//
// Every write and every step of a pass looks a page up. In one Map of all pages each lookup is a miss of the
// processor's cache. So neighbours share a leaf, and the leaf that was used last is looked at first.

import type { Page } from './page_pool.js'

/** Pages of a leaf: few, because a page without cached neighbours has a leaf to itself. */
const LEAF_PAGES = 32

interface Leaf {
  /** The index of its first page, divided by LEAF_PAGES. */
  readonly number: number
  readonly pages: (Page | undefined)[]
  used: number
}

const newLeaf = (number: number): Leaf => ({
  number,
  pages: new Array<Page | undefined>(LEAF_PAGES).fill(undefined),
  used: 0,
})

export class PageTable {
  readonly #leaves = new Map<number, Leaf>()
  #last = newLeaf(-1)
  #size = 0

  get size(): number {
    return this.#size
  }

  get(index: number): Page | undefined {
    const number = Math.floor(index / LEAF_PAGES)
    let leaf = this.#last
    if (leaf.number !== number) {
      const found = this.#leaves.get(number)
      if (found === undefined) return undefined
      leaf = found
      this.#last = leaf
    }
    return leaf.pages[index - number * LEAF_PAGES]
  }

  has(index: number): boolean {
    return this.get(index) !== undefined
  }

  /** Adds a page; none has this index. */
  add(index: number, page: Page): void {
    const number = Math.floor(index / LEAF_PAGES)
    let leaf = this.#last.number === number ? this.#last : this.#leaves.get(number)
    if (leaf === undefined) {
      leaf = newLeaf(number)
      this.#leaves.set(number, leaf)
    }
    this.#last = leaf
    leaf.pages[index - number * LEAF_PAGES] = page
    leaf.used++
    this.#size++
  }

  /** Removes the page with this index; there is one. */
  delete(index: number): void {
    const number = Math.floor(index / LEAF_PAGES)
    const leaf = this.#leaves.get(number) as Leaf
    leaf.pages[index - number * LEAF_PAGES] = undefined
    this.#size--
    if (--leaf.used > 0) return
    this.#leaves.delete(number)
    if (this.#last === leaf) this.#last = newLeaf(-1)
  }

  /** All pages; they may be deleted on the way. */
  *[Symbol.iterator](): Generator<Page> {
    for (const { pages } of this.#leaves.values()) {
      for (const page of pages) if (page !== undefined) yield page
    }
  }
}
