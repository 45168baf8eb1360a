// SPDX-License-Identifier: GPL-2.0-only
// What both backends have in common of a page cache, and the table of what each provides. The kernel's
// functions have the kernel's names, in lib/js as in native/core.

import { type MarkNumber, maxIndex } from './arguments.js'
import type { Extent } from './extent.js'
import type { FolioBatch } from './folio_batch.js'
import type * as api from './types.js'
import type { WaitTable } from './wait_table.js'
import type { ControlState } from './writeback_control.js'

/** struct address_space, as far as both backends have the same of it. */
export abstract class Mapping {
  /** The functions of its backend. */
  readonly ops: PageCache
  /** The object that users hold; null for the mapping that removed folios are in. */
  readonly handle: api.AddressSpace | null
  /** log2 of the page size; only byte ranges depend on it. */
  readonly pageShift: number
  /** The last page of the file that this may be the cache of. */
  readonly maxIndex: number
  /** Once closed, the tree is gone and what folios remember of it means nothing. */
  closed = false
  /** The passes that wait for a folio by promise; null while none does. */
  waiters: WaitTable | null = null
  /** Pages in the cache; 0 once closed. */
  abstract readonly nrpages: number
  /** Where a cyclic pass starts. It still answers once closed. */
  abstract writeback_index: number

  /** @param ops - null for the mapping that removed folios are in, which is never called for */
  constructor(ops: PageCache | null, handle: api.AddressSpace | null, pageShift: number) {
    this.ops = ops as PageCache
    this.handle = handle
    this.pageShift = pageShift
    this.maxIndex = maxIndex(pageShift)
  }
}

/**
 * The state of a pass, which the kernel keeps in struct writeback_control beside the public fields. The pass
 * read range and modes from its control when it started.
 */
export abstract class Pass {
  readonly control: ControlState
  readonly mapping: Mapping
  /** Whether a loop of this library steps the pass, and ends it: then no other code does. */
  readonly owned: boolean
  /** The folio returned last; null before the first. */
  folio: api.Folio | null = null
  /** The kernel's *error. In: how the write of the folio returned last went; out, with null: the result. */
  error = 0
  /** The folio that the pass would have had to wait for, which is still next; null if it is not blocked. */
  blocked: api.Folio | null = null
  /** What for. */
  blockedOn: api.WaitReason = 'lock'
  /** Whether a wait hook runs on behalf of this pass. */
  waiting = false

  constructor(mapping: Mapping, control: ControlState, owned: boolean) {
    this.mapping = mapping
    this.control = control
    this.owned = owned
  }

  /**
   * The next folio, locked and cleared for I/O; null at the end, with the result in `error`. Where it would
   * have to wait, the result is null and `blocked` names the folio; the next call, with the same folio, goes
   * on there.
   * @param folio - the folio returned last, null to start
   */
  abstract writeback_iter(folio: api.Folio | null): api.Folio | null
  /**
   * The next contiguous run of folios, made by newExtent(). It ends at a hole, where nr_to_write runs out,
   * and before a folio that is locked or under writeback: a pass never waits while it holds folios.
   * @param maxPages - the most pages it may have; a single larger folio is an extent of its own
   * @returns null at the end or where it would have to wait, as from writeback_iter(); `error` in counts as
   * that of the last folio of the extent before
   */
  abstract writeback_get_extent(maxPages: number): Extent | null
  /** The folios of the extent that was returned last. */
  abstract extentFolios(): readonly api.Folio[]
  /** That extent was written, or not: its folios are dirty again then. */
  abstract writeback_end_extent(error: number): void
  /** Lets go of what the pass holds. It is not stepped any more. */
  abstract release(): void
}

/**
 * What a backend provides: its functions are only ever given its own mappings, folios and passes. None of
 * them calls the user's code, but for the callback of `writePages`.
 */
export interface PageCache {
  readonly backend: 'native' | 'js'
  /**
   * An empty page cache.
   * @throws ENOMEM
   */
  address_space_init(handle: api.AddressSpace, pageShift: number): Mapping
  /** Drops an open page cache, dirty folios and all. The folios keep their flags. */
  address_space_destroy(mapping: Mapping): void
  /**
   * Adds a new folio: clean, up to date and unlocked.
   * @param index - its first page, a multiple of 2^order
   * @returns null if any of its pages is covered
   * @throws ENOMEM with nothing changed
   */
  filemap_add_folio(mapping: Mapping, index: number, order: number): api.Folio | null
  /**
   * Adds new folios side by side, all or none, and makes no object of them.
   * @param index - the first page of the first, a multiple of 2^order
   * @returns false if any of their pages is covered
   * @throws ENOMEM with nothing changed
   */
  filemap_add_folios(mapping: Mapping, index: number, count: number, order: number): boolean
  /**
   * folio_mark_dirty() for every folio that overlaps pages `start` to `end`, both included.
   * @returns how many became dirty
   */
  filemap_dirty_range(mapping: Mapping, start: number, end: number): number
  /** The folio that covers a page, or null. */
  filemap_get_folio(mapping: Mapping, index: number): api.Folio | null
  /**
   * Takes a folio of this mapping out, as truncation does: its dirty flag and all its marks go.
   * @returns false, with nothing done, while it is locked or under writeback
   */
  filemap_remove_folio(mapping: Mapping, folio: api.Folio): boolean
  /**
   * The next folios that have a mark, ascending.
   * @param start - the page to start at: a folio that covers it counts, wherever it begins
   * @param end - the last page a folio may begin at
   * @param fbatch - an empty batch, which gets up to FOLIO_BATCH_SIZE folios
   * @returns the next start: behind the last folio if the batch filled up, else behind `end`
   */
  filemap_get_folios_tag(
    mapping: Mapping,
    start: number,
    end: number,
    tag: MarkNumber,
    fbatch: FolioBatch<api.Folio>,
  ): number
  /** Whether any folio has the mark. */
  mapping_tagged(mapping: Mapping, tag: MarkNumber): boolean
  /** Sets TOWRITE on every folio that has DIRTY and overlaps pages `start` to `end`, both included. */
  tag_pages_for_writeback(mapping: Mapping, start: number, end: number): void
  /** Whether it is a folio of this backend, in a mapping or removed. */
  is_folio(value: unknown): value is api.Folio
  /** Whether the folio is in this page cache, which is open: the kernel's folio->mapping == mapping. */
  folio_in_mapping(folio: api.Folio, mapping: Mapping): boolean
  /**
   * A pass that has not begun.
   * @throws ENOMEM
   */
  newPass(mapping: Mapping, control: ControlState, owned: boolean): Pass
  /** AddressSpace.writePages(), its arguments checked. */
  writePages(
    mapping: Mapping,
    control: ControlState,
    writepage: (folio: api.Folio) => number | void,
    onWait: api.WaitHook | undefined,
  ): number
}
