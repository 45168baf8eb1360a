// SPDX-License-Identifier: GPL-2.0-only
// Passes with the user's code in them: wait hooks and callbacks. Such code may do anything to the mapping and to the
// control, so what it may have changed is looked at again after each call of it.

import { checkError, checkResult, type ErrorBox, setError } from '../arguments.js'
import { misuse, WritebackError } from '../errors.js'
import type * as api from '../types.js'
import { AOP_WRITEPAGE_ACTIVATE, type ControlState } from '../writeback_control.js'
import { checkFolio, type Folio, folio_flags, folio_space, wake } from './folio.js'
import { ChunkWord, NO_SLOT, Pass, PG, Stretch } from './layout.js'
import { WritebackPass, writeback_iter, writeback_iter_ahead } from './page_writeback.js'
import type { Space } from './space.js'
import { Extent, extent_end, writeback_end_extent, writeback_get_extent } from './writeback_extent.js'

/** Any error: the callback threw. */
const FAILED = -1

/** Throws EBADF if the mapping was closed. What comes next may look at anything. */
export function check_open(space: Space): void {
  if (space.ahead !== null) settle_open(space)
}

function settle_open(space: Space): void {
  if (!space.open) throw new WritebackError('EBADF', 'the mapping is closed')
  space.settle()
}

/** After a user's code: throws unless the pass still is the control's. */
function check_current(wbc: WritebackPass): void {
  check_open(wbc.space)
  if (wbc.control.pass !== wbc) {
    throw new WritebackError('EINVAL', 'another pass was started on this control')
  }
}

/** Ends the unfinished pass on this control, if any. The loop that owns one ends it itself. */
export function abandon(control: ControlState): void {
  const wbc = control.pass
  control.pass = null
  if (wbc instanceof WritebackPass && !wbc.owned) wbc.release()
}

/**
 * Hangs a new pass on the control. An unfinished one that hung there is released with that, but not before there is memory
 * for the new one.
 */
function begin_pass(space: Space, control: ControlState, owned: boolean, stretches = false): WritebackPass {
  check_open(space)
  const wbc = new WritebackPass(space, control, owned, stretches)
  abandon(control)
  control.pass = wbc
  return wbc
}

/** Takes the pass off its control, where it still hangs there. */
function end_pass(wbc: WritebackPass): void {
  if (wbc.control.pass === wbc) wbc.control.pass = null
  wbc.release()
}

/** Lets the hook release what the pass is blocked on. Throws EDEADLK if it is still held then. */
function wait_on_blocked(wbc: WritebackPass, onWait: api.WaitHook | undefined): void {
  const blocked = wbc.blocked as Folio
  const reason = wbc.blocked_on === PG.locked ? 'lock' : 'writeback'
  if (onWait !== undefined) {
    wbc.waiting = true
    try {
      onWait(blocked, reason)
    } finally {
      wbc.waiting = false
    }
    check_current(wbc)
  }
  if ((folio_flags(blocked) & wbc.blocked_on) !== 0) {
    const held = reason === 'lock' ? 'locked' : 'under writeback'
    throw new WritebackError('EDEADLK', `the pass would wait for folio ${blocked.index}, which is ${held}`)
  }
}

/** writeback_iter(), with the hook called where it is blocked. Takes the pass off its control at its end. */
function next_folio(wbc: WritebackPass, onWait: api.WaitHook | undefined): Folio | null {
  const last = wbc.folio
  const folio = writeback_iter(wbc, last)
  wbc.folio = folio
  return folio ?? end_or_wait(wbc, last, onWait)
}

/** writeback_iter() returned null. */
function end_or_wait(wbc: WritebackPass, last: Folio | null, onWait: api.WaitHook | undefined): Folio | null {
  let folio: Folio | null = null
  wbc.folio = last
  while (wbc.blocked !== null) {
    wait_on_blocked(wbc, onWait)
    folio = writeback_iter(wbc, last)
  }
  wbc.folio = folio
  if (folio === null) end_pass(wbc)
  return folio
}

/** Whether the pass was blocked when it was last called with this folio, so that calling it again goes on there. */
function can_resume(wbc: WritebackPass, space: Space, folio: unknown): boolean {
  return wbc.space === space && wbc.folio === folio && !wbc.waiting && !wbc.owned
}

/** writebackIter(), its arguments checked but for the folio: that is the one that the pass returned last, or refused. */
export function iterate(
  space: Space,
  control: ControlState,
  folio: api.Folio | null,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): Folio | null {
  const wbc = control.pass as WritebackPass | null
  if (folio === null || wbc === null || wbc.blocked !== null) {
    return start_or_resume(space, control, folio, error, onWait)
  }
  return hand_back(space, control, folio, error, onWait)
}

function start_or_resume(
  space: Space,
  control: ControlState,
  folio: api.Folio | null,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): Folio | null {
  const wbc = control.pass as WritebackPass | null
  if (wbc !== null && wbc.blocked !== null && can_resume(wbc, space, folio)) {
    check_open(space)
    return step(wbc, error, onWait)
  }
  if (folio !== null) return hand_back(space, control, folio, error, onWait)
  setError(error, 0)
  return step(begin_pass(space, control, false), error, onWait)
}

/** Takes the folio back, and steps. `error` is the user's, and may have a getter: it runs before anything is looked at. */
function hand_back(
  space: Space,
  control: ControlState,
  folio: api.Folio,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): Folio | null {
  const { value } = error
  const last = value === 0 ? 0 : checkError(value)
  const wbc = control.pass as WritebackPass | null
  check_open(space)
  if (wbc === null || wbc.folio !== folio || wbc.space !== space || wbc.blocked !== null || wbc.owned) {
    throw misuse(checkFolio(folio), 'is not what this pass returned last')
  }
  wbc.error = last
  return step(wbc, error, onWait)
}

/** The first step of a new pass: an unfinished one on this control is dropped, and never taken up. */
export function start(
  space: Space,
  control: ControlState,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): Folio | null {
  const wbc = begin_pass(space, control, false)
  setError(error, 0)
  return step(wbc, error, onWait)
}

function step(wbc: WritebackPass, error: ErrorBox, onWait: api.WaitHook | undefined): Folio | null {
  return next_folio(wbc, onWait) ?? report(wbc, error)
}

/** The pass is over: what it came to. */
function report(wbc: WritebackPass, error: ErrorBox): null {
  setError(error, wbc.error)
  return null
}

/** What the iterator does at an early exit: nothing is lost of a folio that was not written. */
export function give_back(folio: Folio): void {
  if (!folio_space(folio).open) return
  if ((folio_flags(folio) & (PG.locked | PG.writeback)) !== PG.locked) return
  folio.markDirty()
  folio.unlock()
}

/**
 * The folio of this slot was written, or not. Who unlocked or removed it meanwhile has taken it over; a folio that is still
 * locked is the pass's, and does not stay under writeback, which nobody would end.
 */
function folio_end_write(space: Space, slot: number, folio: Folio, error: number): void {
  if (!space.open) return
  const chunk = space.chunks[slot >>> ChunkWord.SHIFT]
  const at = slot & ChunkWord.MASK
  if (chunk.folios[at] !== folio) return
  const flags = chunk.words[at]
  if (error !== 0) {
    folio.markDirty()
    if ((flags & PG.locked) === 0) return
    folio.unlock()
    if ((flags & PG.writeback) !== 0) folio.endWriteback()
  } else if ((flags & (PG.locked | PG.dirty | PG.writeback)) === PG.locked) {
    // Start of writeback, unlock and end of it at once: the WRITEBACK mark would be set and cleared again.
    chunk.words[at] = (flags & ~(PG.locked | PG.set_dirty)) | PG.clear_dirty | PG.clear_towrite
    if ((flags & PG.deferred) === 0) chunk.note(at)
    wake(space, folio)
  } else if ((flags & PG.locked) !== 0) {
    if ((flags & PG.writeback) === 0) folio.startWriteback()
    folio.unlock()
    folio.endWriteback()
  }
}

/** The next stretch of folios, with the hook called where the pass is blocked. Takes the pass off its control at its end. */
function next_stretch(wbc: WritebackPass, onWait: api.WaitHook | undefined): number {
  let nr = writeback_iter_ahead(wbc)
  while (wbc.blocked !== null) {
    wait_on_blocked(wbc, onWait)
    nr = writeback_iter_ahead(wbc)
  }
  if (nr === 0) end_pass(wbc)
  return nr
}

/** AddressSpace.writePages(), its arguments checked. */
export function write_pages(
  space: Space,
  control: ControlState,
  writepage: (folio: Folio) => number | void,
  onWait: api.WaitHook | undefined,
): number {
  const wbc = begin_pass(space, control, true, true)
  const stretch = wbc.block.stretchWords as Int32Array
  const { words } = wbc.block
  // Replaced only when the mapping is closed.
  const { chunks } = space
  let in_hand: Folio | null = null
  let slot = NO_SLOT
  words[Pass.MAX_PAGES] = 0
  try {
    for (;;) {
      const nr_runs = next_stretch(wbc, onWait)
      if (nr_runs === 0) return wbc.error

      const end = Stretch.RUNS + nr_runs * Stretch.RUN_SIZE
      let result: number | void = 0
      let unseen = true
      let done = 0
      wbc.run_ahead()
      for (let run = Stretch.RUNS; run < end && unseen; run += Stretch.RUN_SIZE) {
        const first = stretch[run]
        const behind = first + stretch[run + 1]
        const { folios } = chunks[first >>> ChunkWord.SHIFT]
        for (let next = first; next < behind && unseen; next++) {
          wbc.done = done++
          slot = next
          in_hand = folios[next & ChunkWord.MASK] as Folio
          result = writepage(in_hand)
          unseen = (result === undefined || result === 0) && space.ahead === wbc
        }
      }
      if (unseen) {
        in_hand = null
        continue
      }

      // Somebody looked, or the write failed. Now the rest of the batch is written folio by folio.
      space.settle()
      const seen = in_hand as Folio | null as Folio
      wbc.folio = seen
      wbc.slot = slot
      wbc.nr_pages = seen.nrPages
      wbc.error = check_written(wbc, result)
      in_hand = null
      folio_end_write(space, slot, seen, wbc.error)
      while (words[Pass.BATCH_I] < words[Pass.BATCH_NR]) {
        const folio = next_folio(wbc, onWait)
        if (folio === null) return wbc.error
        slot = wbc.slot
        in_hand = folio
        result = writepage(folio)
        wbc.error = check_written(wbc, result)
        in_hand = null
        folio_end_write(space, slot, folio, wbc.error)
      }
    }
  } finally {
    // Still ahead: the call that was to end the stretch threw, where the stack ends.
    if (space.ahead === wbc) in_hand = space.folio(slot)
    if (in_hand !== null) {
      space.settle()
      folio_end_write(space, slot, in_hand, FAILED)
    }
    end_pass(wbc)
  }
}

/** The callback returned, and nothing is ahead: its result as an error, if the pass may go on. */
function check_written(wbc: WritebackPass, result: number | void): number {
  check_current(wbc)
  return checkResult(result)
}

/** The next extent, with the hook called where the pass is blocked. Takes the pass off its control at its end. */
function next_extent(wbc: WritebackPass, onWait: api.WaitHook | undefined): boolean {
  let found = writeback_get_extent(wbc)
  while (wbc.blocked !== null) {
    wait_on_blocked(wbc, onWait)
    found = writeback_get_extent(wbc)
  }
  if (!found) end_pass(wbc)
  return found
}

/** AddressSpace.writeExtents(), its arguments checked. */
export function write_extents(
  space: Space,
  control: ControlState,
  write: (extent: api.Extent) => number | void,
  max_pages: number,
  onWait: api.WaitHook | undefined,
): number {
  const wbc = begin_pass(space, control, true, true)
  let in_hand = false
  wbc.block.words[Pass.MAX_PAGES] = max_pages
  try {
    while (next_extent(wbc, onWait)) {
      in_hand = true
      wbc.run_ahead()
      const result = write_extent(wbc, write)
      // As it mostly goes: the next call ends it.
      if ((result === undefined || result === 0) && space.ahead === wbc) {
        in_hand = false
        continue
      }
      wbc.error = check_written(wbc, result)
      in_hand = false
      writeback_end_extent(wbc, wbc.error)
    }
    return wbc.error
  } finally {
    if ((in_hand || space.ahead === wbc) && space.open) {
      space.settle()
      writeback_end_extent(wbc, FAILED)
    }
    end_pass(wbc)
  }
}

function write_extent(wbc: WritebackPass, write: (extent: api.Extent) => number | void): number | void {
  const view = new Extent(wbc)
  try {
    return write(view)
  } finally {
    extent_end(view)
  }
}

/** writeCachePages(), its arguments checked. */
export function write_cache_pages(
  space: Space,
  control: ControlState,
  writepage: (folio: Folio) => number | void,
  onWait: api.WaitHook | undefined,
): number {
  const wbc = begin_pass(space, control, true)
  let in_hand: Folio | null = null
  try {
    for (let folio = next_folio(wbc, onWait); folio !== null; folio = next_folio(wbc, onWait)) {
      in_hand = folio
      const result = writepage(folio)
      check_current(wbc)
      if (result === AOP_WRITEPAGE_ACTIVATE) {
        folio.unlock()
        wbc.error = 0
      } else {
        wbc.error = checkResult(result)
      }
      in_hand = null
    }
    return wbc.error
  } finally {
    if (in_hand !== null) give_back(in_hand)
    end_pass(wbc)
  }
}
