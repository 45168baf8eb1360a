// SPDX-License-Identifier: GPL-2.0-only
// Contiguous runs of folios for one write, over native/core/writeback_extent.c.

import { type Extent, newExtent } from '../extent.js'
import { folio_wake } from '../wait_table.js'
import { addon } from './addon.js'
import type { Folio } from './folio.js'
import { PassStatus, PassWord, Stretch } from './layout.js'
import { pass_in } from './page_writeback.js'
import type { NativePass } from './pass.js'

const NO_FOLIOS: readonly Folio[] = Object.freeze([])

/** The folios of the extent; while its callback runs none is missing: they are gathered before one is removed. */
export function extentFolios(wbc: NativePass): Folio[] {
  const words = wbc.block.stretchWords as Int32Array
  // Whose objects they are tells nothing of their state: nothing settles for this.
  wbc.block.name()
  addon.getExtentFolios()
  const folios: Folio[] = []
  const end = Stretch.RUNS + words[Stretch.NR_RUNS] * Stretch.RUN_SIZE
  for (let run = Stretch.RUNS; run < end; run += Stretch.RUN_SIZE) {
    for (let i = 0; i < words[run + 1]; i++) folios.push(wbc.mapping.folio(words[run] + i) as Folio)
  }
  return folios
}

/** The next contiguous run of folios to write; as writeback_get_extent_ahead() of native/core/writeback_extent.c. */
export function writeback_get_extent(wbc: NativePass, maxPages: number): Extent | null {
  const { block, mapping } = wbc
  block.words[PassWord.MAX_PAGES] = maxPages
  block.words[PassWord.ERROR] = wbc.error
  block.doubles[PassWord.NR_TO_WRITE_F64] = wbc.control.nrToWrite
  block.name()
  addon.getExtent()
  wbc.fall_back()
  pass_in(wbc)
  if (block.words[PassWord.STATUS] !== PassStatus.FOLIO) return null
  const doubles = block.stretchDoubles as Float64Array
  const extent = newExtent(wbc, doubles[Stretch.INDEX_F64], doubles[Stretch.NR_PAGES_F64])
  mapping.extents.push(extent)
  wbc.run_ahead()
  return extent
}

/** The extent, which was seen or not written, is ended: its folios are dirty again in case of an error. */
export function writeback_end_extent(wbc: NativePass, error: number): void {
  const { block, mapping } = wbc
  mapping.extents.pop()
  if (mapping.closed) return
  if (mapping.ahead === wbc) {
    // Nobody looked: the next call ends it.
    if (error === 0) return
    mapping.settle()
  }
  const folios = mapping.waiters === null ? NO_FOLIOS : extentFolios(wbc)
  block.words[PassWord.ERROR] = error
  block.select()
  addon.endExtent()
  for (const folio of folios) {
    // One that was removed woke whoever waited for it then.
    if (folio !== null) folio_wake(mapping, folio)
  }
}
