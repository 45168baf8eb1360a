// SPDX-License-Identifier: GPL-2.0-only
// Passes with the user's code in them: wait hooks and callbacks. Such code may do anything to the mapping and
// to the control, so what it may have changed is looked at again after each call of it.

import { checkError, checkResult, type ErrorBox, setError } from './arguments.js'
import { invalid, misuse, WritebackError } from './errors.js'
import { type Extent, endExtent } from './extent.js'
import type { Mapping, Pass } from './page_cache.js'
import { reserveStack } from './stack.js'
import type * as api from './types.js'
import { AOP_WRITEPAGE_ACTIVATE, type ControlState } from './writeback_control.js'

/** Any error: the callback threw. */
export const FAILED = -1

/** Throws EBADF if the mapping was closed. */
export function checkOpen(mapping: Mapping): void {
  if (mapping.closed) throw new WritebackError('EBADF', 'the mapping is closed')
}

/** After the user's code: throws unless the pass still is the control's. */
export function checkCurrent(wbc: Pass): void {
  checkOpen(wbc.mapping)
  if (wbc.control.pass !== wbc) {
    throw new WritebackError('EINVAL', 'another pass was started on this control')
  }
}

/** The callback returned: its result as an error, if the pass may go on. */
export function checkWritten(wbc: Pass, result: number | void): number {
  checkCurrent(wbc)
  return checkResult(result)
}

/** Ends the unfinished pass on this control, if any. The loop that owns one ends it itself. */
export function abandon(control: ControlState): void {
  const wbc = control.pass
  control.pass = null
  if (wbc !== null && !wbc.owned) wbc.release()
}

/**
 * Hangs a new pass on the control. An unfinished one that hung there is released with that, but not before
 * there is memory for the new one.
 */
export function beginPass(mapping: Mapping, control: ControlState, owned: boolean): Pass {
  checkOpen(mapping)
  // For the loop that is the caller, too: nothing that it calls itself meets the end of the stack, whatever
  // callbacks do.
  reserveStack()
  const wbc = mapping.ops.newPass(mapping, control, owned)
  abandon(control)
  control.pass = wbc
  return wbc
}

/** Takes the pass off its control, where it still hangs there. */
export function endPass(wbc: Pass): void {
  if (wbc.control.pass === wbc) wbc.control.pass = null
  wbc.release()
}

/** Whether the folio still is what the pass is blocked on for. */
function isHeld(folio: api.Folio, reason: api.WaitReason): boolean {
  return reason === 'lock' ? folio.locked : folio.writeback
}

/** Lets the hook release what the pass is blocked on. Throws EDEADLK if it is still held then. */
export function waitOnBlocked(wbc: Pass, onWait: api.WaitHook | undefined): void {
  const folio = wbc.blocked as api.Folio
  const reason = wbc.blockedOn
  if (onWait !== undefined) {
    wbc.waiting = true
    try {
      onWait(folio, reason)
    } finally {
      wbc.waiting = false
    }
    checkCurrent(wbc)
  }
  if (isHeld(folio, reason)) {
    const held = reason === 'lock' ? 'locked' : 'under writeback'
    throw new WritebackError('EDEADLK', `the pass would wait for folio ${folio.index}, which is ${held}`)
  }
}

/** writeback_iter(), with the hook called where it is blocked. Takes the pass off its control at its end. */
export function nextFolio(wbc: Pass, onWait: api.WaitHook | undefined): api.Folio | null {
  const last = wbc.folio
  const folio = wbc.writeback_iter(last)
  wbc.folio = folio
  return folio ?? endOrWait(wbc, last, onWait)
}

/** writeback_iter() returned null. */
function endOrWait(wbc: Pass, last: api.Folio | null, onWait: api.WaitHook | undefined): api.Folio | null {
  let folio: api.Folio | null = null
  wbc.folio = last
  while (wbc.blocked !== null) {
    waitOnBlocked(wbc, onWait)
    folio = wbc.writeback_iter(last)
  }
  wbc.folio = folio
  if (folio === null) endPass(wbc)
  return folio
}

/**
 * Whether the pass was blocked when it was last called with this folio, so that calling it again goes on
 * there.
 */
function canResume(wbc: Pass, mapping: Mapping, folio: api.Folio | null): boolean {
  return wbc.blocked !== null && wbc.mapping === mapping && wbc.folio === folio && !wbc.waiting && !wbc.owned
}

/**
 * writebackIter(), its arguments checked but for the folio: that is the one that the pass returned last, or
 * refused.
 */
export function iterate(
  mapping: Mapping,
  control: ControlState,
  folio: api.Folio | null,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): api.Folio | null {
  const wbc = control.pass
  if (folio === null || wbc === null || wbc.blocked !== null) {
    return startOrResume(mapping, control, folio, error, onWait)
  }
  return handBack(mapping, control, folio, error, onWait)
}

function startOrResume(
  mapping: Mapping,
  control: ControlState,
  folio: api.Folio | null,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): api.Folio | null {
  const wbc = control.pass
  if (wbc !== null && canResume(wbc, mapping, folio)) {
    checkOpen(mapping)
    return step(wbc, error, onWait)
  }
  if (folio !== null) return handBack(mapping, control, folio, error, onWait)
  setError(error, 0)
  return step(beginPass(mapping, control, false), error, onWait)
}

/**
 * Takes the folio back, and steps. `error` is the user's, and may have a getter: it runs before anything is
 * looked at.
 */
function handBack(
  mapping: Mapping,
  control: ControlState,
  folio: api.Folio,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): api.Folio | null {
  const { value } = error
  const last = value === 0 ? 0 : checkError(value)
  const wbc = control.pass
  checkOpen(mapping)
  if (wbc === null || wbc.folio !== folio || wbc.mapping !== mapping || wbc.blocked !== null || wbc.owned) {
    throw misuse(checkFolio(mapping, folio), 'is not what this pass returned last')
  }
  wbc.error = last
  // As step() does. A call more, and V8 does not inline this loop into its caller's.
  return nextFolio(wbc, onWait) ?? report(wbc, error)
}

/** The first step of a new pass: an unfinished one on this control is dropped, and never taken up. */
export function start(
  mapping: Mapping,
  control: ControlState,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): api.Folio | null {
  const wbc = beginPass(mapping, control, false)
  setError(error, 0)
  return step(wbc, error, onWait)
}

function step(wbc: Pass, error: ErrorBox, onWait: api.WaitHook | undefined): api.Folio | null {
  return nextFolio(wbc, onWait) ?? report(wbc, error)
}

/** The pass is over: what it came to. */
function report(wbc: Pass, error: ErrorBox): null {
  setError(error, wbc.error)
  return null
}

export function checkFolio(mapping: Mapping, value: unknown): api.Folio {
  if (!mapping.ops.is_folio(value)) throw invalid('folio', value, 'a Folio of this backend')
  return value
}

/** What an early exit does with the folio in hand: nothing is lost of one that was not written. */
export function giveBack(mapping: Mapping, folio: api.Folio): void {
  if (!mapping.ops.folio_in_mapping(folio, mapping) || !folio.locked || folio.writeback) return
  folio.markDirty()
  folio.unlock()
}

/** writeCachePages(), its arguments checked. */
export function writeCachePages(
  mapping: Mapping,
  control: ControlState,
  writepage: (folio: api.Folio) => number | void,
  onWait: api.WaitHook | undefined,
): number {
  const wbc = beginPass(mapping, control, true)
  let inHand: api.Folio | null = null
  try {
    for (let folio = nextFolio(wbc, onWait); folio !== null; folio = nextFolio(wbc, onWait)) {
      inHand = folio
      const result = writepage(folio)
      if (result === AOP_WRITEPAGE_ACTIVATE) {
        checkCurrent(wbc)
        folio.unlock()
        wbc.error = 0
      } else {
        wbc.error = checkWritten(wbc, result)
      }
      inHand = null
    }
    return wbc.error
  } finally {
    if (inHand !== null) giveBack(mapping, inHand)
    endPass(wbc)
  }
}

/**
 * writeback_get_extent(), with the hook called where it is blocked. Takes the pass off its control at its
 * end.
 */
function nextExtent(wbc: Pass, maxPages: number, onWait: api.WaitHook | undefined): Extent | null {
  let extent = wbc.writeback_get_extent(maxPages)
  while (wbc.blocked !== null) {
    waitOnBlocked(wbc, onWait)
    extent = wbc.writeback_get_extent(maxPages)
  }
  if (extent === null) endPass(wbc)
  return extent
}

/** AddressSpace.writeExtents(), its arguments checked. */
export function writeExtents(
  mapping: Mapping,
  control: ControlState,
  write: (extent: api.Extent) => number | void,
  maxPages: number,
  onWait: api.WaitHook | undefined,
): number {
  const wbc = beginPass(mapping, control, true)
  let inHand: Extent | null = null
  try {
    for (;;) {
      const extent = nextExtent(wbc, maxPages, onWait)
      if (extent === null) return wbc.error
      inHand = extent
      const result = write(extent)
      endExtent(extent)
      wbc.error = checkWritten(wbc, result)
      inHand = null
      wbc.writeback_end_extent(wbc.error)
    }
  } finally {
    if (inHand !== null) {
      endExtent(inHand)
      wbc.writeback_end_extent(FAILED)
    }
    endPass(wbc)
  }
}
