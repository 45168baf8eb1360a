// SPDX-License-Identifier: GPL-2.0-only
// The page cache of one file. After mm/filemap.c and mm/page-writeback.c of Linux 6.12.

import { FOLIO_BATCH_SIZE, type MarkNumber } from '../arguments.js'
import type { FolioBatch } from '../folio_batch.js'
import { reserveStack } from '../stack.js'
import { folio_wake } from '../wait_table.js'
import {
  type Folio,
  folio_alloc,
  folio_attach,
  folio_change_flags,
  folio_detach,
  folio_flags,
  folio_mapping,
  folio_mark_dirty,
  folio_next_index,
  folio_nr_pages,
  folio_order,
  folio_slot,
  PG_dirty,
  PG_locked,
  PG_writeback,
} from './folio.js'
import type { JsMapping } from './mapping.js'
import {
  XA_PRESENT,
  XArray,
  xa_load,
  xa_marked,
  xas_entry,
  xas_erase,
  xas_extract_marked,
  xas_find_marked,
  xas_insert,
  xas_next_marked,
} from './xarray.js'

/** The end of a range that has none; beyond every page index. */
export const ULONG_MAX = Number.MAX_SAFE_INTEGER

/** Drops the page cache, dirty folios and all. The folios keep their flags. */
export function address_space_destroy(mapping: JsMapping): void {
  const { waiters } = mapping
  const empty = new XArray()
  if (waiters !== null) waiters.wakeAll()
  mapping.closed = true
  mapping.i_pages = empty
  mapping.nrpages = 0
  mapping.waiters = null
}

/**
 * Adds a new folio: clean, up to date and unlocked.
 * @param index - its first page, a multiple of 2^order
 * @returns null if any of its pages is covered
 * @throws ENOMEM with nothing changed
 */
export function filemap_add_folio(mapping: JsMapping, index: number, order: number): Folio | null {
  reserveStack()
  const folio = folio_alloc(index, order)
  const slot = xas_insert(mapping.i_pages, index, order, folio)
  if (slot === 0) return null
  folio_attach(folio, mapping, slot)
  mapping.nrpages += folio_nr_pages(folio)
  return folio
}

/**
 * Adds new folios side by side, all or none.
 * @param index - the first page of the first, a multiple of 2^order
 * @returns false if any of their pages is covered
 * @throws ENOMEM with nothing changed
 */
export function filemap_add_folios(mapping: JsMapping, index: number, count: number, order: number): boolean {
  const pages = 2 ** order
  const end = index + count * pages
  if (xas_find_marked(mapping.i_pages, index, end - 1, XA_PRESENT) !== 0) return false
  let next = index
  try {
    for (; next < end; next += pages) filemap_add_folio(mapping, next, order)
  } finally {
    if (next !== end) {
      for (let added = index; added < next; added += pages) {
        filemap_remove_folio(mapping, xa_load(mapping.i_pages, added) as Folio)
      }
    }
  }
  return true
}

/**
 * folio_mark_dirty() for every folio that overlaps pages `start` to `end`, both included.
 * @returns how many became dirty
 */
export function filemap_dirty_range(mapping: JsMapping, start: number, end: number): number {
  const xa = mapping.i_pages
  let dirtied = 0
  reserveStack()
  let slot = xas_find_marked(xa, start, end, XA_PRESENT)
  while (slot !== 0) {
    if (folio_mark_dirty(xas_entry(xa, slot))) dirtied++
    slot = xas_next_marked(xa, slot, end, XA_PRESENT)
  }
  return dirtied
}

/** The folio that covers a page, or null. */
export function filemap_get_folio(mapping: JsMapping, index: number): Folio | null {
  return xa_load(mapping.i_pages, index)
}

/**
 * Takes a folio of this mapping out, as truncation does: its dirty flag and all its marks go.
 * @returns false, with nothing done, while it is locked or under writeback
 */
export function filemap_remove_folio(mapping: JsMapping, folio: Folio): boolean {
  if ((folio_flags(folio) & (PG_locked | PG_writeback)) !== 0) return false
  reserveStack()
  folio_change_flags(folio, 0, PG_dirty)
  xas_erase(mapping.i_pages, folio_slot(folio), folio_order(folio))
  mapping.nrpages -= folio_nr_pages(folio)
  folio_detach(folio)
  folio_wake(mapping, folio)
  return true
}

/** Whether the folio is in this page cache, which is open: the kernel's folio->mapping == mapping. */
export function folio_in_mapping(folio: Folio, mapping: JsMapping): boolean {
  return folio_mapping(folio) === mapping && !mapping.closed
}

/** Whether any folio has the mark. */
export function mapping_tagged(mapping: JsMapping, tag: MarkNumber): boolean {
  return xa_marked(mapping.i_pages, tag)
}

/**
 * The next folios that have a mark, ascending.
 * @param start - the page to start at: a folio that covers it counts, wherever it begins
 * @param end - the last page a folio may begin at
 * @param fbatch - an empty batch, which gets up to FOLIO_BATCH_SIZE folios
 * @returns the next start: behind the last folio if the batch filled up, else behind `end`
 */
export function filemap_get_folios_tag(
  mapping: JsMapping,
  start: number,
  end: number,
  tag: MarkNumber,
  fbatch: FolioBatch<Folio>,
): number {
  const { folios } = fbatch
  const nr = xas_extract_marked(mapping.i_pages, start, end, tag, folios, FOLIO_BATCH_SIZE)
  let next = end === ULONG_MAX ? ULONG_MAX : end + 1
  if (nr === FOLIO_BATCH_SIZE) next = folio_next_index(folios[FOLIO_BATCH_SIZE - 1] as Folio)
  fbatch.nr = nr
  return next
}
