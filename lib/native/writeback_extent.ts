// SPDX-License-Identifier: GPL-2.0-only
// Contiguous runs of folios for one write, over native/core/writeback_extent.c. An extent of one folio out of
// the batch is taken and ended here, without a call.

import { type Extent, newExtent } from '../extent.js'
import { folio_wake } from '../wait_table.js'
import { addon, doubles, words } from './addon.js'
import { can_lock_for_io, type Folio, folio_end_write, nr_pages_of } from './folio.js'
import { ChunkWord, Control, PassWord, PG } from './layout.js'
import { pass_in, pass_out } from './page_writeback.js'
import type { NativePass } from './pass.js'

const NO_FOLIOS: readonly Folio[] = Object.freeze([])

/** The folios of the extent in hand. */
export function extentFolios(wbc: NativePass): readonly Folio[] {
  const { mapping } = wbc
  if (wbc.single) return [mapping.folio(wbc.slot)]
  const folios: Folio[] = []
  const nr = wbc.block.words[PassWord.EXTENT_FOLIOS]
  while (folios.length < nr) {
    doubles[Control.START_F64] = folios.length
    wbc.block.select()
    addon.getExtentFolios()
    for (let i = 0; i < words[Control.COUNT]; i++) folios.push(mapping.folio(words[Control.SLOTS + i]))
  }
  return folios
}

/**
 * The next contiguous run of folios to write; as writeback_get_extent() of native/core/writeback_extent.c.
 */
export function writeback_get_extent(wbc: NativePass, maxPages: number): Extent | null {
  return get_single(wbc, maxPages) ?? call_get_extent(wbc, maxPages)
}

/** The next folio of the batch, if it is an extent by itself and can be taken at once. */
function get_single(wbc: NativePass, maxPages: number): Extent | null {
  const { block } = wbc
  const i = block.words[PassWord.BATCH_I]
  const nr = block.words[PassWord.BATCH_NR]
  if (i === nr || wbc.error !== 0 || wbc.blocked !== null) return null
  const slot = block.words[PassWord.SLOTS + i]
  const chunk = wbc.mapping.chunks[slot >>> ChunkWord.SHIFT]
  const at = slot & ChunkWord.MASK
  const flags = chunk.words[at]
  const index = block.doubles[PassWord.INDICES_F64 + i]
  const nr_pages = nr_pages_of(flags)
  // Behind the last of a batch another may follow.
  if (
    nr_pages < maxPages &&
    (i + 1 === nr || block.doubles[PassWord.INDICES_F64 + i + 1] === index + nr_pages)
  )
    return null
  const nr_to_write = wbc.control.nrToWrite - wbc.nr_pages
  if (!can_lock_for_io(flags) || nr_to_write < wbc.least_nr_to_write) return null
  const extent = newExtent(wbc, index, nr_pages, 1)
  chunk.words[at] = flags ^ (PG.locked | PG.dirty)
  block.words[PassWord.BATCH_I] = i + 1
  wbc.control.nrToWrite = nr_to_write
  wbc.slot = slot
  wbc.nr_pages = nr_pages
  wbc.single = true
  return extent
}

function call_get_extent(wbc: NativePass, maxPages: number): Extent | null {
  const { block } = wbc
  block.words[PassWord.MAX_PAGES] = maxPages
  pass_out(wbc)
  addon.getExtent()
  if (!pass_in(wbc)) return null
  wbc.single = false
  return newExtent(
    wbc,
    block.doubles[PassWord.EXTENT_INDEX_F64],
    block.doubles[PassWord.EXTENT_PAGES_F64],
    block.words[PassWord.EXTENT_FOLIOS],
  )
}

/** The extent in hand is ended: its folios are dirty again in case of an error. */
export function writeback_end_extent(wbc: NativePass, error: number): void {
  const { block, mapping, slot } = wbc
  if (mapping.closed) return
  if (wbc.single) {
    folio_end_write(mapping, mapping.chunks[slot >>> ChunkWord.SHIFT], slot & ChunkWord.MASK, error)
    return
  }
  const waited = mapping.waiters === null ? NO_FOLIOS : extentFolios(wbc)
  for (const folio of waited) folio_wake(mapping, folio)
  block.words[PassWord.ERROR] = error
  block.select()
  addon.endExtent()
}
