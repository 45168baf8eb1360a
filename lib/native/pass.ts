// SPDX-License-Identifier: GPL-2.0-only

import type { Extent } from '../extent.js'
import { Pass } from '../page_cache.js'
import { type Ahead, type ControlState, pageIndex } from '../writeback_control.js'
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

  constructor(mapping: NativeMapping, stretches: boolean) {
    this.block = passBlock(mapping, stretches)
  }

  release(): void {
    const { block } = this
    this.block = null
    if (block !== null) block.release()
  }
}

/** Where a pass stands. Range and modes were read of its control when it started. */
export class NativePass extends Pass implements Ahead {
  declare readonly mapping: NativeMapping
  declare folio: Folio | null
  readonly block: PassBlock
  readonly sync_all: boolean
  /** Slot and pages of the folio returned last: it may have been removed since. */
  slot: number = NO_SLOT
  nr_pages = 0
  /** How many folios of the stretch that was taken ahead are written. */
  done = 0
  readonly #lease: Lease

  /** Throws ENOMEM with nothing changed. */
  constructor(mapping: NativeMapping, control: ControlState, owned: boolean) {
    super(mapping, control, owned)
    const lease = new Lease(mapping, owned)
    const block = lease.block as PassBlock
    let mode = 0
    this.block = block
    this.#lease = lease
    this.sync_all = control.syncMode === 'all'
    if (this.sync_all) mode |= PassMode.SYNC_ALL
    if (control.taggedWritepages) mode |= PassMode.TAGGED
    if (control.rangeCyclic) mode |= PassMode.CYCLIC
    block.words[PassWord.MODE] = mode
    block.doubles[PassWord.START_F64] = pageIndex(control.rangeStart, mapping.pageShift)
    block.doubles[PassWord.END_F64] = pageIndex(control.rangeEnd, mapping.pageShift)
    block.select()
    addon.beginPass()
    if (!owned) abandoned.register(this, lease)
  }

  writeback_iter(folio: Folio | null): Folio | null {
    return writeback_iter(this, folio)
  }

  writeback_get_extent(maxPages: number): Extent | null {
    return writeback_get_extent(this, maxPages)
  }

  extentFolios(): Folio[] {
    return extentFolios(this)
  }

  writeback_end_extent(error: number): void {
    writeback_end_extent(this, error)
  }

  /** From here on, until it settles, the stretch is ahead of what everybody else may see. */
  run_ahead(): void {
    this.mapping.ahead = this
    this.control.ahead = this
  }

  /** Nothing is ahead any more. After the call that saw to it, which may throw where the stack ends. */
  fall_back(): void {
    this.mapping.ahead = null
    this.control.ahead = null
  }

  /** Makes everything as it would be had the folios been taken one by one; native/core/writeback_ahead.c does it. */
  settle(): void {
    const { block, control } = this
    block.words[PassWord.DONE] = this.done
    block.doubles[PassWord.NR_TO_WRITE_F64] = control.nrToWrite
    block.name()
    addon.settleAhead()
    this.fall_back()
    control.nrToWrite = block.doubles[PassWord.NR_TO_WRITE_F64]
  }

  /** Drops what the core holds for the pass. It is not stepped any more. */
  release(): void {
    // Still ahead: the call that was to end what was taken threw, where the stack ends.
    if (this.mapping.ahead === this) {
      this.settle()
      this.block.words[PassWord.ERROR] = -1
      this.block.select()
      addon.endExtent()
    }
    this.#lease.release()
  }
}
