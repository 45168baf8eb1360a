// SPDX-License-Identifier: GPL-2.0-only
// What is done to a folio in several steps, as far as it is due.

import type { Folio } from '../types.js'

/** What a file system does with a folio of a pass: whatever is left of start, unlock and end. */
export function write(folio: Folio, keepWrite: boolean): void {
  if (folio.locked && !folio.writeback) folio.startWriteback(keepWrite)
  if (folio.locked) folio.unlock()
  if (folio.writeback) folio.endWriteback()
}

/** The next step of a folio's life: dirty, locked, under writeback, unlocked, written. */
export function advance(folio: Folio): void {
  if (folio.writeback) {
    if (folio.locked) folio.unlock()
    else folio.endWriteback()
  } else if (folio.locked) {
    folio.startWriteback()
  } else if (folio.dirty) {
    folio.tryLock()
  } else {
    folio.markDirty()
  }
}
