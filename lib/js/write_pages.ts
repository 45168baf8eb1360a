// SPDX-License-Identifier: GPL-2.0-only

import type { WaitHook } from '../types.js'
import type { ControlState } from '../writeback_control.js'
import { beginPass, checkWritten, endPass, FAILED, nextFolio } from '../writeback_pass.js'
import type { Folio } from './folio.js'
import type { JsMapping } from './mapping.js'
import { folio_end_write } from './writeback_extent.js'

/** AddressSpace.writePages(), its arguments checked. */
export function writePages(
  mapping: JsMapping,
  control: ControlState,
  writepage: (folio: Folio) => number | void,
  onWait: WaitHook | undefined,
): number {
  const wbc = beginPass(mapping, control, true)
  let inHand: Folio | null = null
  try {
    for (let folio = nextFolio(wbc, onWait); folio !== null; folio = nextFolio(wbc, onWait)) {
      inHand = folio as Folio
      wbc.error = checkWritten(wbc, writepage(inHand))
      inHand = null
      folio_end_write(mapping, folio as Folio, wbc.error)
    }
    return wbc.error
  } finally {
    if (inHand !== null) folio_end_write(mapping, inHand, FAILED)
    endPass(wbc)
  }
}
