// SPDX-License-Identifier: GPL-2.0-only
// Passes with the user's code in them: wait hooks and callbacks. Such code may do anything to the mapping and to the
// control, so what it may have changed is looked at again after each call of it.

import { checkError, checkResult, type ErrorBox, setError } from '../arguments.js'
import { misuse, WritebackError } from '../errors.js'
import type * as api from '../types.js'
import { AOP_WRITEPAGE_ACTIVATE, type ControlState } from '../writeback_control.js'
import type { MappingState } from './address_space.js'
import {
  checkFolio,
  type Folio,
  folio_flags,
  folio_index,
  folio_mapping,
  folio_mark_dirty,
  folio_unlock,
  PG_locked,
  PG_writeback,
} from './folio.js'
import { WritebackPass, writeback_iter } from './page_writeback.js'
import {
  Extent,
  extent_end,
  folio_end_write,
  WritebackExtent,
  writeback_end_extent,
  writeback_get_extent,
} from './writeback_extent.js'

/** Any error: the callback threw. */
const FAILED = -1

/** Throws EBADF if the mapping was closed. */
export function check_open(mapping: MappingState): void {
  if (mapping.closed) throw new WritebackError('EBADF', 'the mapping is closed')
}

/** After a user's code: throws unless the pass still is the control's. */
function check_current(wbc: WritebackPass): void {
  check_open(wbc.mapping)
  if (wbc.control.pass !== wbc) {
    throw new WritebackError('EINVAL', 'another pass was started on this control')
  }
}

/** Hangs a new pass on the control. An unfinished one that hung there is released with that. */
function begin_pass(mapping: MappingState, control: ControlState, owned: boolean): WritebackPass {
  check_open(mapping)
  const wbc = new WritebackPass(mapping, control, owned)
  control.pass = wbc
  return wbc
}

/** Takes the pass off its control, where it still hangs there. */
function end_pass(wbc: WritebackPass): void {
  if (wbc.control.pass === wbc) wbc.control.pass = null
}

/** Lets the hook release what the pass is blocked on. Throws EDEADLK if it is still held then. */
function wait_on_blocked(wbc: WritebackPass, onWait: api.WaitHook | undefined): void {
  const blocked = wbc.blocked as Folio
  const reason = wbc.blocked_on === PG_locked ? 'lock' : 'writeback'
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
    throw new WritebackError(
      'EDEADLK',
      `the pass would wait for folio ${folio_index(blocked)}, which is ${held}`,
    )
  }
}

/** writeback_iter(), with the hook called where it is blocked. Takes the pass off its control at its end. */
function next_folio(wbc: WritebackPass, onWait: api.WaitHook | undefined): Folio | null {
  const last = wbc.folio
  const folio = writeback_iter(wbc.mapping, wbc, last)
  wbc.folio = folio
  return folio ?? end_or_wait(wbc, last, onWait)
}

/** writeback_iter() returned null. */
function end_or_wait(wbc: WritebackPass, last: Folio | null, onWait: api.WaitHook | undefined): Folio | null {
  let folio: Folio | null = null
  wbc.folio = last
  while (wbc.blocked !== null) {
    wait_on_blocked(wbc, onWait)
    folio = writeback_iter(wbc.mapping, wbc, last)
  }
  wbc.folio = folio
  if (folio === null) end_pass(wbc)
  return folio
}

/** Whether the pass was blocked when it was last called with this folio, so that calling it again goes on there. */
function can_resume(wbc: WritebackPass, mapping: MappingState, folio: unknown): boolean {
  return wbc.mapping === mapping && wbc.folio === folio && !wbc.waiting && !wbc.owned
}

/** writebackIter(), its arguments checked but for the folio: that is the one that the pass returned last, or refused. */
export function iterate(
  mapping: MappingState,
  control: ControlState,
  folio: api.Folio | null,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): Folio | null {
  const wbc = control.pass as WritebackPass | null
  if (folio === null || wbc === null || wbc.blocked !== null) {
    return start_or_resume(mapping, control, folio, error, onWait)
  }
  return hand_back(mapping, control, folio, error, onWait)
}

function start_or_resume(
  mapping: MappingState,
  control: ControlState,
  folio: api.Folio | null,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): Folio | null {
  const wbc = control.pass as WritebackPass | null
  if (wbc !== null && wbc.blocked !== null && can_resume(wbc, mapping, folio)) {
    check_open(mapping)
    return step(wbc, error, onWait)
  }
  if (folio !== null) return hand_back(mapping, control, folio, error, onWait)
  setError(error, 0)
  return step(begin_pass(mapping, control, false), error, onWait)
}

/** Takes the folio back, and steps. `error` is the user's, and may have a getter: it runs before anything is looked at. */
function hand_back(
  mapping: MappingState,
  control: ControlState,
  folio: api.Folio,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): Folio | null {
  const { value } = error
  const last = value === 0 ? 0 : checkError(value)
  const wbc = control.pass as WritebackPass | null
  check_open(mapping)
  if (wbc === null || wbc.folio !== folio || wbc.mapping !== mapping || wbc.blocked !== null || wbc.owned) {
    throw misuse(checkFolio(folio), 'is not what this pass returned last')
  }
  wbc.error = last
  return step(wbc, error, onWait)
}

/** The first step of a new pass: an unfinished one on this control is dropped, and never taken up. */
export function start(
  mapping: MappingState,
  control: ControlState,
  error: ErrorBox,
  onWait: api.WaitHook | undefined,
): Folio | null {
  const wbc = begin_pass(mapping, control, false)
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
  if (folio_mapping(folio).closed) return
  if ((folio_flags(folio) & (PG_locked | PG_writeback)) !== PG_locked) return
  folio_mark_dirty(folio)
  folio_unlock(folio)
}

/** AddressSpace.writePages(), its arguments checked. */
export function write_pages(
  mapping: MappingState,
  control: ControlState,
  writepage: (folio: Folio) => number | void,
  onWait: api.WaitHook | undefined,
): number {
  const wbc = begin_pass(mapping, control, true)
  let in_hand: Folio | null = null
  try {
    for (let folio = next_folio(wbc, onWait); folio !== null; folio = next_folio(wbc, onWait)) {
      in_hand = folio
      const result = writepage(folio)
      check_current(wbc)
      wbc.error = checkResult(result)
      in_hand = null
      folio_end_write(mapping, folio, wbc.error)
    }
    return wbc.error
  } finally {
    if (in_hand !== null) folio_end_write(mapping, in_hand, FAILED)
    end_pass(wbc)
  }
}

/** The next extent, with the hook called where the pass is blocked. Takes the pass off its control at its end. */
function next_extent(
  wbc: WritebackPass,
  extent: WritebackExtent,
  max_pages: number,
  onWait: api.WaitHook | undefined,
): boolean {
  let found = writeback_get_extent(wbc.mapping, wbc, extent, max_pages)
  while (wbc.blocked !== null) {
    wait_on_blocked(wbc, onWait)
    found = writeback_get_extent(wbc.mapping, wbc, extent, max_pages)
  }
  if (!found) end_pass(wbc)
  return found
}

/** AddressSpace.writeExtents(), its arguments checked. */
export function write_extents(
  mapping: MappingState,
  control: ControlState,
  write: (extent: api.Extent) => number | void,
  max_pages: number,
  onWait: api.WaitHook | undefined,
): number {
  const wbc = begin_pass(mapping, control, true)
  const extent = new WritebackExtent()
  let in_hand = false
  try {
    while (next_extent(wbc, extent, max_pages, onWait)) {
      in_hand = true
      const result = write_extent(extent, write)
      check_current(wbc)
      wbc.error = checkResult(result)
      in_hand = false
      writeback_end_extent(mapping, extent, wbc.error)
    }
    return wbc.error
  } finally {
    if (in_hand) writeback_end_extent(mapping, extent, FAILED)
    end_pass(wbc)
  }
}

function write_extent(extent: WritebackExtent, write: (extent: api.Extent) => number | void): number | void {
  const view = new Extent(extent)
  try {
    return write(view)
  } finally {
    extent_end(view)
  }
}

/** writeCachePages(), its arguments checked. */
export function write_cache_pages(
  mapping: MappingState,
  control: ControlState,
  writepage: (folio: Folio) => number | void,
  onWait: api.WaitHook | undefined,
): number {
  const wbc = begin_pass(mapping, control, true)
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
