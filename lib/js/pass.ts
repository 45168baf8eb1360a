// SPDX-License-Identifier: GPL-2.0-only

import type { Extent } from '../extent.js'
import { FolioBatch } from '../folio_batch.js'
import { Pass } from '../page_cache.js'
import { type ControlState, pageIndex } from '../writeback_control.js'
import type { Folio } from './folio.js'
import type { JsMapping } from './mapping.js'
import { writeback_iter } from './page_writeback.js'
import {
  extentFolios,
  type WritebackExtent,
  writeback_end_extent,
  writeback_get_extent,
} from './writeback_extent.js'

/** What the kernel keeps in struct writeback_control beside the public fields. */
export class JsPass extends Pass {
  declare readonly mapping: JsMapping
  readonly syncAll: boolean
  readonly taggedWritepages: boolean
  readonly rangeCyclic: boolean
  /** First and last page of the range. */
  readonly rangeStart: number
  readonly rangeEnd: number
  /** Folios found but not returned yet. */
  readonly fbatch = new FolioBatch<Folio>()
  /** Where the next lookup starts. */
  index = 0
  /** First error of a WB_SYNC_ALL pass. */
  saved_err = 0
  /** The extent that was returned last; null before the first. */
  extent: WritebackExtent | null = null

  constructor(mapping: JsMapping, control: ControlState, owned: boolean) {
    super(mapping, control, owned)
    this.syncAll = control.syncMode === 'all'
    this.taggedWritepages = control.taggedWritepages
    this.rangeCyclic = control.rangeCyclic
    this.rangeStart = pageIndex(control.rangeStart, mapping.pageShift)
    this.rangeEnd = pageIndex(control.rangeEnd, mapping.pageShift)
  }

  writeback_iter(folio: Folio | null): Folio | null {
    return writeback_iter(this, folio)
  }

  writeback_get_extent(maxPages: number): Extent | null {
    return writeback_get_extent(this, maxPages)
  }

  extentFolios(): readonly Folio[] {
    return extentFolios(this)
  }

  writeback_end_extent(error: number): void {
    writeback_end_extent(this, error)
  }

  /** What it holds goes with it. */
  release(): void {}
}
