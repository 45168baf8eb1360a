// SPDX-License-Identifier: GPL-2.0-only

import { DIRTY, TOWRITE, WRITEBACK } from '../arguments.js'
import { Mapping } from '../page_cache.js'
import { XArray } from './xarray.js'

const PAGECACHE_TAG_DIRTY = DIRTY
const PAGECACHE_TAG_WRITEBACK = WRITEBACK
const PAGECACHE_TAG_TOWRITE = TOWRITE

export { PAGECACHE_TAG_DIRTY, PAGECACHE_TAG_TOWRITE, PAGECACHE_TAG_WRITEBACK }

/** struct address_space. */
export class JsMapping extends Mapping {
  /** Folio by page index. */
  i_pages = new XArray()
  nrpages = 0
  writeback_index = 0
}

/**
 * The mapping of folios that were removed from theirs: a closed one, so that one look tells whether a folio
 * may be changed.
 */
export const REMOVED = new JsMapping(null, null, 0)
REMOVED.closed = true
