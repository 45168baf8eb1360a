// SPDX-License-Identifier: GPL-2.0-only

import { WritebackError } from './errors.js'
import { INSPECT, type InspectArguments, inspectAs } from './inspect.js'
import type { Pass } from './page_cache.js'
import type * as api from './types.js'

const NO_FOLIOS: readonly api.Folio[] = Object.freeze([])

/** The extent that a pass just took. */
export let newExtent: (wbc: Pass, index: number, nrPages: number, nrFolios: number) => Extent
/** The callback has returned: empties the extent. */
export let endExtent: (extent: Extent) => void

/** Only code in this file has it, so only a pass makes an extent. */
const NEW = Symbol('newExtent')

/** The extent as the callback sees it: its folios are gathered at their first use. */
export class Extent implements api.Extent {
  readonly index: number
  readonly nrPages: number
  readonly nrFolios: number
  /** Null after the callback. */
  #wbc: Pass | null
  #folios: readonly api.Folio[] | null = null

  static {
    newExtent = (wbc, index, nrPages, nrFolios) => new Extent(NEW, wbc, index, nrPages, nrFolios)
    endExtent = (extent) => {
      extent.#wbc = null
      extent.#folios = NO_FOLIOS
    }
  }

  private constructor(made: symbol, wbc: Pass, index: number, nrPages: number, nrFolios: number) {
    if (made !== NEW) throw new WritebackError('EINVAL', 'an Extent is made by writeExtents')
    this.index = index
    this.nrPages = nrPages
    this.nrFolios = nrFolios
    this.#wbc = wbc
  }

  get folios(): readonly api.Folio[] {
    if (this.#folios === null) {
      const wbc = this.#wbc as Pass
      if (wbc.mapping.closed) return NO_FOLIOS
      this.#folios = wbc.extentFolios()
    }
    return this.#folios
  }

  [INSPECT](...args: InspectArguments): string {
    const { index, nrPages } = this
    return inspectAs('Extent', { index, nrPages }, args)
  }
}
