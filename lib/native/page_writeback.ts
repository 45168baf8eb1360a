// SPDX-License-Identifier: GPL-2.0-only
// The writeback iteration, over native/core/page_writeback.c. The common turn of writeback_iter(), which neither looks up
// a batch nor waits nor ends the pass, is taken here on the memory that the core uses: so a loop calls the core once a batch.

import { type Ahead, type ControlState, pageIndex } from '../writeback_control.js'
import { addon } from './addon.js'
import type { Folio } from './folio.js'
import { ChunkWord, NO_SLOT, Pass, PassMode, PassStatus, PG, Stretch } from './layout.js'
import { type PassBlock, passBlock } from './pass_block.js'
import type { Space } from './space.js'

/** A pass that was never finished leaves its block to the mapping when it is collected. */
const abandoned = new FinalizationRegistry<Lease>((lease) => lease.release())

/** Who has a block: the pass, until it is over or collected. */
class Lease {
  block: PassBlock | null

  constructor(space: Space, stretches: boolean) {
    this.block = passBlock(space, stretches)
  }

  release(): void {
    const { block } = this
    this.block = null
    if (block !== null) block.release()
  }
}

/** Where a pass stands. Range and modes were read of its control when it started. */
export class WritebackPass implements Ahead {
  readonly control: ControlState
  readonly space: Space
  readonly block: PassBlock
  readonly sync_all: boolean
  /** The folio returned last; null before the first. */
  folio: Folio | null = null
  /** Its slot and pages: it may have been removed since. */
  slot: number = NO_SLOT
  nr_pages = 0
  /** The kernel's *error. In: how the write of `folio` went; out, with null: the result. */
  error = 0
  /** The folio that the pass would have had to wait for; null mostly. */
  blocked: Folio | null = null
  /** What for: PG_locked or PG_writeback. */
  blocked_on = 0
  /** Whether a hook of the user's runs on behalf of this pass. */
  waiting = false
  /** How many folios of the stretch that was taken ahead are written. */
  done = 0
  /** Whether a loop of this library steps the pass, and ends it: nobody else does then. */
  readonly owned: boolean
  readonly #lease: Lease

  /** Throws ENOMEM with nothing changed. */
  constructor(space: Space, control: ControlState, owned: boolean, stretches: boolean) {
    const lease = new Lease(space, stretches)
    const block = lease.block as PassBlock
    let mode = 0
    this.control = control
    this.space = space
    this.block = block
    this.#lease = lease
    this.owned = owned
    this.sync_all = control.syncMode === 'all'
    if (this.sync_all) mode |= PassMode.SYNC_ALL
    if (control.taggedWritepages) mode |= PassMode.TAGGED
    if (control.rangeCyclic) mode |= PassMode.CYCLIC
    block.words[Pass.MODE] = mode
    block.doubles[Pass.START_F64] = pageIndex(control.rangeStart, space.pageShift)
    block.doubles[Pass.END_F64] = pageIndex(control.rangeEnd, space.pageShift)
    block.select()
    addon.beginPass()
    if (!owned) abandoned.register(this, lease)
  }

  /** From here on, until it settles, the stretch is ahead of what everybody else may see. */
  run_ahead(): void {
    this.space.ahead = this
    this.control.ahead = this
  }

  /** Nothing is ahead any more. After the call that saw to it, which may throw where the stack ends. */
  fall_back(): void {
    this.space.ahead = null
    this.control.ahead = null
  }

  /** Makes everything as it would be had the folios been taken one by one; native/core/writeback_ahead.c does it. */
  settle(): void {
    const { block, control } = this
    block.words[Pass.DONE] = this.done
    block.doubles[Pass.NR_TO_WRITE_F64] = control.nrToWrite
    block.name()
    addon.settleAhead()
    this.fall_back()
    control.nrToWrite = block.doubles[Pass.NR_TO_WRITE_F64]
  }

  /** Drops what the core holds for the pass. It is not stepped any more. */
  release(): void {
    this.#lease.release()
  }
}

/**
 * The next folio of a pass, locked and cleared for I/O; as writeback_iter() of native/core/page_writeback.c.
 *
 * Where it would have to wait, the result is null and `wbc.blocked` names the folio; the next call goes on there.
 * @param folio - the folio returned last, null to start
 */
export function writeback_iter(wbc: WritebackPass, folio: Folio | null): Folio | null {
  const { words } = wbc.block
  const i = words[Pass.BATCH_I]
  // A pass has no batch before it began.
  if (i === words[Pass.BATCH_NR] || folio === null || wbc.error !== 0 || wbc.blocked !== null) {
    return call_writeback_iter(wbc)
  }
  const slot = words[Pass.SLOTS + i]
  const chunk = wbc.space.chunks[slot >>> ChunkWord.SHIFT]
  const at = slot & ChunkWord.MASK
  const flags = chunk.words[at]
  const nr_to_write = wbc.control.nrToWrite - wbc.nr_pages
  // Not as folios mostly are that come next. A removed folio is not dirty.
  if (
    (flags & (PG.locked | PG.dirty | PG.writeback)) !== PG.dirty ||
    nr_to_write < (wbc.sync_all ? Number.MIN_SAFE_INTEGER : 1)
  ) {
    return call_writeback_iter(wbc)
  }
  chunk.words[at] = flags ^ (PG.locked | PG.dirty)
  words[Pass.BATCH_I] = i + 1
  wbc.control.nrToWrite = nr_to_write
  wbc.slot = slot
  wbc.nr_pages = 1 << ((flags & PG.order) >>> PG.ORDER_SHIFT)
  return chunk.folios[at]
}

function call_writeback_iter(wbc: WritebackPass): Folio | null {
  const { block } = wbc
  block.words[Pass.SLOT] = wbc.slot
  block.words[Pass.ERROR] = wbc.error
  block.doubles[Pass.NR_TO_WRITE_F64] = wbc.control.nrToWrite
  block.select()
  addon.writebackIter()
  pass_in(wbc)
  if (block.words[Pass.STATUS] !== PassStatus.FOLIO) return null
  wbc.slot = block.words[Pass.SLOT]
  const folio = wbc.space.folio(wbc.slot) as Folio
  wbc.nr_pages = folio.nrPages
  return folio
}

/**
 * writeback_iter(), and the folios behind the one it returns, as many as can be had at once: a stretch, in the pass's
 * stretch block. The stretch before, if nobody looked, is ended and handed back first; else the folio of `wbc.slot` is.
 * @returns how many runs of folios; 0 where writeback_iter() returns null
 */
export function writeback_iter_ahead(wbc: WritebackPass): number {
  const { block } = wbc
  block.words[Pass.SLOT] = wbc.slot
  block.words[Pass.ERROR] = wbc.error
  block.doubles[Pass.NR_TO_WRITE_F64] = wbc.control.nrToWrite
  block.name()
  addon.writebackIterAhead()
  wbc.fall_back()
  pass_in(wbc)
  if (block.words[Pass.STATUS] !== PassStatus.FOLIO) return 0
  return (block.stretchWords as Int32Array)[Stretch.NR_RUNS]
}

/** Reads what the core did with the pass. */
export function pass_in(wbc: WritebackPass): void {
  const { words, doubles } = wbc.block
  wbc.control.nrToWrite = doubles[Pass.NR_TO_WRITE_F64]
  wbc.error = words[Pass.ERROR]
  if (words[Pass.STATUS] === PassStatus.BLOCKED) {
    wbc.blocked = wbc.space.folio(words[Pass.SLOT])
    wbc.blocked_on = words[Pass.BLOCKED_ON]
  } else {
    wbc.blocked = null
  }
}
