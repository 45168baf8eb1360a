// SPDX-License-Identifier: GPL-2.0-only
// Contiguous runs of folios for one write, over native/core/writeback_extent.c.

import type * as api from '../types.js'
import { addon } from './addon.js'
import { type Folio, wake } from './folio.js'
import { ExtentBlock, Pass, PassStatus } from './layout.js'
import { pass_in, type WritebackPass } from './page_writeback.js'

const NO_FOLIOS: readonly Folio[] = Object.freeze([])

/** The callback is over: the view has no folios any more. */
export let extent_end: (extent: Extent) => void

/** What the callback sees of an extent: the objects of its folios are gathered only if asked for, or before one goes. */
export class Extent implements api.Extent {
  readonly index: number
  readonly nrPages: number
  #wbc: WritebackPass | null
  #folios: readonly Folio[] | null = null

  static {
    extent_end = (extent) => {
      extent.#wbc?.space.extents.pop()
      extent.#wbc = null
      extent.#folios = NO_FOLIOS
    }
  }

  constructor(wbc: WritebackPass) {
    const doubles = wbc.block.extentDoubles as Float64Array
    this.index = doubles[ExtentBlock.INDEX_F64]
    this.nrPages = doubles[ExtentBlock.NR_PAGES_F64]
    this.#wbc = wbc
    wbc.space.extents.push(this)
  }

  /** While the callback runs, none is null: they are gathered before one is removed. */
  get folios(): readonly Folio[] {
    if (this.#folios === null) this.#folios = extent_folios(this.#wbc as WritebackPass) as Folio[]
    return this.#folios
  }
}

/** null stands for a folio that was removed since. */
function extent_folios(wbc: WritebackPass): (Folio | null)[] {
  const words = wbc.block.extentWords as Int32Array
  const folios: (Folio | null)[] = []
  for (let i = 0; i < words[ExtentBlock.NR_FOLIOS]; i++) {
    folios.push(wbc.space.folios[words[ExtentBlock.SLOTS + i]])
  }
  return folios
}

/**
 * The next contiguous run of folios to write; as writeback_get_extent() of native/core/writeback_extent.c.
 * @param max_pages - the most pages it may have; a single larger folio is an extent of its own
 * @returns false when the pass is over or blocked; wbc.error in counts as that of the last folio of the extent
 */
export function writeback_get_extent(wbc: WritebackPass, max_pages: number): boolean {
  const { block } = wbc
  block.words[Pass.MAX_PAGES] = max_pages
  block.words[Pass.ERROR] = wbc.error
  block.doubles[Pass.NR_TO_WRITE_F64] = wbc.control.nrToWrite
  block.select()
  addon.getExtent()
  pass_in(wbc)
  return block.words[Pass.STATUS] === PassStatus.FOLIO
}

/** The extent was written, or not: its folios are dirty again then. */
export function writeback_end_extent(wbc: WritebackPass, error: number): void {
  wbc.block.words[Pass.ERROR] = error
  wbc.block.select()
  addon.endExtent()
  if (wbc.space.waiters === null) return
  for (const folio of extent_folios(wbc)) {
    // One that was removed woke whoever waited for it then.
    if (folio !== null) wake(wbc.space, folio)
  }
}
