// SPDX-License-Identifier: GPL-2.0-only

import type { Extent } from '../extent.js'
import { Pass } from '../page_cache.js'
import { type ControlState, pageIndex } from '../writeback_control.js'
import { addon } from './addon.js'
import type { Folio } from './folio.js'
import { NO_SLOT, PassMode, PassWord } from './layout.js'
import type { NativeMapping } from './mapping.js'
import { writeback_iter } from './page_writeback.js'
import { type PassBlock, passBlock } from './pass_block.js'
import { extentFolios, writeback_end_extent, writeback_get_extent } from './writeback_extent.js'

/** A pass that was never finished leaves its block to the mapping when it is collected. */
const abandoned = new FinalizationRegistry<Lease>((lease) => lease.release())

/** Keeps a block for its pass, until the pass is over or collected. */
class Lease {
  block: PassBlock | null

  constructor(mapping: NativeMapping, extents: boolean) {
    this.block = passBlock(mapping, extents)
  }

  release(): void {
    const { block } = this
    this.block = null
    if (block !== null) block.release()
  }
}

/** The state of a pass, which read range and modes from its control when it started. */
export class NativePass extends Pass {
  declare readonly mapping: NativeMapping
  declare folio: Folio | null
  readonly block: PassBlock
  /** With less of the budget left, the pass ends instead of taking another folio. */
  readonly least_nr_to_write: number
  /** Slot and pages of the folio returned last: it may have been removed since. */
  slot: number = NO_SLOT
  nr_pages = 0
  /** Whether the extent in hand is the folio of `slot` alone, which the core does not hold as an extent. */
  single = false
  readonly #lease: Lease

  /** Throws ENOMEM with nothing changed. */
  constructor(mapping: NativeMapping, control: ControlState, owned: boolean) {
    super(mapping, control, owned)
    const lease = new Lease(mapping, owned)
    const block = lease.block as PassBlock
    let mode = 0
    this.block = block
    this.#lease = lease
    const sync_all = control.syncMode === 'all'
    this.least_nr_to_write = sync_all ? Number.MIN_SAFE_INTEGER : 1
    if (sync_all) mode |= PassMode.SYNC_ALL
    if (control.taggedWritepages) mode |= PassMode.TAGGED
    if (control.rangeCyclic) mode |= PassMode.CYCLIC
    block.words[PassWord.MODE] = mode
    block.doubles[PassWord.START_F64] = pageIndex(control.rangeStart, mapping.pageShift)
    block.doubles[PassWord.END_F64] = pageIndex(control.rangeEnd, mapping.pageShift)
    block.select()
    addon.beginPass()
    if (!owned) abandoned.register(this, lease)
  }

  writeback_iter(): Folio | null {
    return writeback_iter(this)
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

  /** Drops what the core holds for the pass. It is not stepped any more. */
  release(): void {
    this.#lease.release()
  }
}
