// SPDX-License-Identifier: GPL-2.0-only
// The page cache of one file. After mm/filemap.c and mm/page-writeback.c of Linux 6.12.

import { DIRTY, FOLIO_BATCH_SIZE, type MarkNumber, TOWRITE, WRITEBACK } from '../arguments.js'
import type * as api from '../types.js'
import type { WaitTable } from '../wait_table.js'
import {
  type Folio,
  folio_alloc,
  folio_attach,
  folio_change_flags,
  folio_detach,
  folio_flags,
  folio_mapping,
  folio_next_index,
  folio_nr_pages,
  folio_order,
  folio_slot,
  folio_wake,
  PG_dirty,
  PG_locked,
  PG_writeback,
} from './folio.js'
import type { FolioBatch } from './folio_batch.js'
import { XArray, xa_load, xa_marked, xas_erase, xas_extract_marked, xas_insert } from './xarray.js'

/** The end of a range that has none; beyond every page index. */
export const ULONG_MAX = Number.MAX_SAFE_INTEGER

const PAGECACHE_TAG_DIRTY = DIRTY
const PAGECACHE_TAG_WRITEBACK = WRITEBACK
const PAGECACHE_TAG_TOWRITE = TOWRITE
export { PAGECACHE_TAG_DIRTY, PAGECACHE_TAG_TOWRITE, PAGECACHE_TAG_WRITEBACK }

/** struct address_space. */
export class MappingState {
  /** Folio by page index. */
  i_pages = new XArray()
  /** Pages in the cache. */
  nrpages = 0
  /** Where a cyclic pass starts. */
  writeback_index = 0
  /** log2 of the page size; only byte ranges depend on it. */
  readonly page_shift: number
  /** Once closed, the tree is gone and what folios remember of it means nothing. */
  closed = false
  /** Who waits for a folio by promise; null while nobody does. */
  waiters: WaitTable<Folio> | null = null
  /** The object that users hold; null for REMOVED. */
  readonly handle: api.AddressSpace | null

  constructor(handle: api.AddressSpace | null, page_shift: number) {
    this.handle = handle
    this.page_shift = page_shift
  }
}

/** The mapping of folios that were removed from theirs: a closed one, so that one look tells whether a folio may be changed. */
export const REMOVED = new MappingState(null, 0)
REMOVED.closed = true

/** Drops the page cache, dirty folios and all. The folios keep their flags. */
export function address_space_destroy(mapping: MappingState): void {
  const { waiters } = mapping
  mapping.closed = true
  mapping.i_pages = new XArray()
  mapping.nrpages = 0
  mapping.waiters = null
  if (waiters !== null) waiters.wakeAll()
}

/**
 * Adds a new folio: clean, up to date and unlocked.
 * @param index - its first page, a multiple of 2^order
 * @returns null if any of its pages is covered
 * @throws ENOMEM with nothing changed
 */
export function filemap_add_folio(mapping: MappingState, index: number, order: number): Folio | null {
  const folio = folio_alloc(index, order)
  const slot = xas_insert(mapping.i_pages, index, order, folio)
  if (slot === 0) return null
  folio_attach(folio, mapping, slot)
  mapping.nrpages += folio_nr_pages(folio)
  return folio
}

/** The folio that covers a page, or null. */
export function filemap_get_folio(mapping: MappingState, index: number): Folio | null {
  return xa_load(mapping.i_pages, index)
}

/**
 * Takes a folio of this mapping out, as truncation does: its dirty flag and all its marks go.
 * @returns false, with nothing done, while it is locked or under writeback
 */
export function filemap_remove_folio(mapping: MappingState, folio: Folio): boolean {
  if ((folio_flags(folio) & (PG_locked | PG_writeback)) !== 0) return false
  folio_change_flags(folio, 0, PG_dirty)
  xas_erase(mapping.i_pages, folio_slot(folio), folio_order(folio))
  mapping.nrpages -= folio_nr_pages(folio)
  folio_detach(folio)
  folio_wake(mapping, folio)
  return true
}

/** Whether the folio is in this page cache, which is open: the kernel's folio->mapping == mapping. */
export function folio_in_mapping(folio: Folio, mapping: MappingState): boolean {
  return folio_mapping(folio) === mapping && !mapping.closed
}

/** Whether any folio bears the mark. */
export function mapping_tagged(mapping: MappingState, tag: MarkNumber): boolean {
  return xa_marked(mapping.i_pages, tag)
}

/**
 * The next folios that bear a mark, ascending.
 * @param start - the page to start at: a folio that covers it counts, wherever it begins
 * @param end - the last page a folio may begin at
 * @param fbatch - an empty batch, which gets up to FOLIO_BATCH_SIZE folios
 * @returns the next start: behind the last folio if the batch filled up, else behind `end`
 */
export function filemap_get_folios_tag(
  mapping: MappingState,
  start: number,
  end: number,
  tag: MarkNumber,
  fbatch: FolioBatch,
): number {
  const { folios } = fbatch
  fbatch.nr = xas_extract_marked(mapping.i_pages, start, end, tag, folios, FOLIO_BATCH_SIZE)
  if (fbatch.nr === FOLIO_BATCH_SIZE) return folio_next_index(folios[FOLIO_BATCH_SIZE - 1] as Folio)
  return end === ULONG_MAX ? ULONG_MAX : end + 1
}
