// SPDX-License-Identifier: GPL-2.0-only
// A handful of folios (the kernel's include/linux/pagevec.h). Its references are JavaScript's own.

import { FOLIO_BATCH_SIZE } from './arguments.js'

const NO_FOLIOS: readonly null[] = new Array<null>(FOLIO_BATCH_SIZE).fill(null)

/** struct folio_batch: folios looked up together. */
export class FolioBatch<F> {
  /** How many there are. */
  nr = 0
  /** Which one folio_batch_next() returns next. */
  i = 0
  readonly folios: (F | null)[] = NO_FOLIOS.slice()
}

/** Empties it. The references go as they are overwritten, or with the batch. */
export function folio_batch_release(fbatch: FolioBatch<unknown>): void {
  fbatch.nr = 0
  fbatch.i = 0
}

/** The next folio, null behind the last. */
export function folio_batch_next<F>(fbatch: FolioBatch<F>): F | null {
  if (fbatch.i === fbatch.nr) return null
  return fbatch.folios[fbatch.i++]
}
