// SPDX-License-Identifier: GPL-2.0-only
// What file systems do around writeback_iter() to write runs of folios at once, in one place.

import { type Extent, newExtent } from '../extent.js'
import { subtractPages } from '../writeback_control.js'
import { folio_in_mapping } from './address_space.js'
import {
  type Folio,
  folio_end_sync_write,
  folio_end_writeback,
  folio_flags,
  folio_index,
  folio_mark_dirty,
  folio_nr_pages,
  folio_slot,
  folio_trylock_for_io,
  folio_unlock,
  folio_unlock_after_io,
  PG_locked,
  PG_writeback,
} from './folio.js'
import { type JsMapping, PAGECACHE_TAG_DIRTY, PAGECACHE_TAG_TOWRITE } from './mapping.js'
import { writeback_fill_batch, writeback_iter } from './page_writeback.js'
import type { JsPass } from './pass.js'
import { xas_clear_marks } from './xarray.js'

/** Folios that are locked, cleared for I/O and contiguous. */
export class WritebackExtent {
  /** First page. */
  index = 0
  nr_pages = 0
  nr_folios = 0
  /** The first `nr_folios` are the extent's; the rest is left over from longer ones. */
  readonly folios: Folio[] = []
}

function extent_add(extent: WritebackExtent, folio: Folio): void {
  extent.folios[extent.nr_folios++] = folio
  extent.nr_pages += folio_nr_pages(folio)
}

/**
 * Takes what writeback_iter() would return next, the folios before handed back without error, as long as that
 * continues the extent, at once and without a wait.
 */
function extent_extend(wbc: JsPass, extent: WritebackExtent, maxPages: number): void {
  const { control, fbatch, mapping } = wbc
  let last_nr = extent.nr_pages
  while (extent.nr_pages < maxPages) {
    const nr_to_write = subtractPages(control.nrToWrite, last_nr)
    if (!wbc.syncAll && nr_to_write <= 0) return
    if (fbatch.i === fbatch.nr && !writeback_fill_batch(mapping, wbc)) return
    const next = fbatch.folios[fbatch.i] as Folio
    last_nr = folio_nr_pages(next)
    if (folio_index(next) !== extent.index + extent.nr_pages || extent.nr_pages + last_nr > maxPages) return
    if (!folio_trylock_for_io(mapping, next)) return
    control.nrToWrite = nr_to_write
    fbatch.i++
    extent_add(extent, next)
  }
}

/**
 * The next contiguous run of folios to write, with up to `maxPages` pages; null when the pass is over or
 * blocked.
 */
export function writeback_get_extent(wbc: JsPass, maxPages: number): Extent | null {
  const extent = (wbc.extent ??= new WritebackExtent())
  const last = extent.nr_folios === 0 ? null : extent.folios[extent.nr_folios - 1]
  const folio = writeback_iter(wbc, last)
  if (folio === null) return null
  extent.index = folio_index(folio)
  extent.nr_pages = 0
  extent.nr_folios = 0
  extent_add(extent, folio)
  extent_extend(wbc, extent, maxPages)
  return newExtent(wbc, extent.index, extent.nr_pages, extent.nr_folios)
}

/** The folios of the extent that was taken last. */
export function extentFolios(wbc: JsPass): readonly Folio[] {
  const extent = wbc.extent as WritebackExtent
  return extent.folios.slice(0, extent.nr_folios)
}

/**
 * The folio was written, or not. Code that unlocked or removed it meanwhile has taken it over; a folio that
 * is still locked is the pass's, and does not stay under writeback, which no code would end.
 */
export function folio_end_write(mapping: JsMapping, folio: Folio, error: number): void {
  if (!folio_in_mapping(folio, mapping)) return
  if (error === 0 && folio_end_sync_write(folio)) return
  const flags = folio_flags(folio)
  if (error !== 0) folio_mark_dirty(folio)
  if ((flags & PG_locked) === 0) return
  folio_unlock(folio)
  if ((flags & PG_writeback) !== 0) folio_end_writeback(folio)
}

/** The folios' write is down: they lose their marks. `bits` are slots of the word that holds this one. */
function clear_written(mapping: JsMapping, slot: number, bits: number): void {
  xas_clear_marks(mapping.i_pages, slot, bits, PAGECACHE_TAG_DIRTY)
  xas_clear_marks(mapping.i_pages, slot, bits, PAGECACHE_TAG_TOWRITE)
}

/** folio_end_write() without error for a run of folios: neighbours lose their marks a word at a time. */
function end_all_written(mapping: JsMapping, extent: WritebackExtent): void {
  let slot = 0
  let bits = 0
  for (let i = 0; i < extent.nr_folios; i++) {
    const folio = extent.folios[i]
    if (!folio_unlock_after_io(mapping, folio)) {
      folio_end_write(mapping, folio, 0)
      continue
    }
    const next = folio_slot(folio)
    if (next >> 5 !== slot >> 5) {
      clear_written(mapping, slot, bits)
      bits = 0
    }
    slot = next
    bits |= 1 << slot
  }
  clear_written(mapping, slot, bits)
}

/** The extent was written, or not: its folios are dirty again then. */
export function writeback_end_extent(wbc: JsPass, error: number): void {
  const { mapping } = wbc
  const extent = wbc.extent as WritebackExtent
  if (error === 0 && mapping.waiters === null) {
    end_all_written(mapping, extent)
    return
  }
  for (let i = 0; i < extent.nr_folios; i++) folio_end_write(mapping, extent.folios[i], error)
}
