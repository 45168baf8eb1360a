// SPDX-License-Identifier: GPL-2.0-only
// Steps of a folio's life. Each step is done only if the folio's state calls for it.

import type { Folio } from '../types.js'

/** Writes a folio of a pass as a file system does: start, unlock and end, without those already done. */
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
