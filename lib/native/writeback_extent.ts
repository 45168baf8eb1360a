// SPDX-License-Identifier: GPL-2.0-only
// Contiguous runs of folios for one write, over native/core/writeback_extent.c.

import type * as api from '../types.js'
import { addon } from './addon.js'
import { type Folio, wake } from './folio.js'
import { Pass, PassStatus, Stretch } from './layout.js'
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
    const doubles = wbc.block.stretchDoubles as Float64Array
    this.index = doubles[Stretch.INDEX_F64]
    this.nrPages = doubles[Stretch.NR_PAGES_F64]
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
  const words = wbc.block.stretchWords as Int32Array
  // Whose objects they are tells nothing of their state: nothing settles for this.
  wbc.block.name()
  addon.getExtentFolios()
  const folios: (Folio | null)[] = []
  const end = Stretch.RUNS + words[Stretch.NR_RUNS] * Stretch.RUN_SIZE
  for (let run = Stretch.RUNS; run < end; run += Stretch.RUN_SIZE) {
    for (let i = 0; i < words[run + 1]; i++) folios.push(wbc.space.folio(words[run] + i))
  }
  return folios
}

/**
 * The next contiguous run of folios to write; as writeback_get_extent_ahead() of native/core/writeback_extent.c.
 * @returns false when the pass is over or blocked; wbc.error in counts as that of the last folio of the extent
 */
export function writeback_get_extent(wbc: WritebackPass): boolean {
  const { block } = wbc
  block.words[Pass.ERROR] = wbc.error
  block.doubles[Pass.NR_TO_WRITE_F64] = wbc.control.nrToWrite
  block.name()
  addon.getExtent()
  wbc.fall_back()
  pass_in(wbc)
  return block.words[Pass.STATUS] === PassStatus.FOLIO
}

/** The extent, which was seen or not written, is ended: its folios are dirty again in case of an error. */
export function writeback_end_extent(wbc: WritebackPass, error: number): void {
  const folios = wbc.space.waiters === null ? NO_FOLIOS : extent_folios(wbc)
  wbc.block.words[Pass.ERROR] = error
  wbc.block.select()
  addon.endExtent()
  for (const folio of folios) {
    // One that was removed woke whoever waited for it then.
    if (folio !== null) wake(wbc.space, folio)
  }
}
