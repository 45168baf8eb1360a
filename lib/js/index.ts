// SPDX-License-Identifier: GPL-2.0-only

/**
 * The pure TypeScript backend, which runs everywhere and means the same.
 *
 * @module writeback-iter/js
 */

import {
  checkAligned,
  checkCallback,
  checkErrorBox,
  checkIndex,
  checkMark,
  checkMaxPages,
  checkOnWait,
  checkOrder,
  checkPageShift,
  MAX_INDEX,
  type MarkNumber,
  PRESENT,
} from '../arguments.js'
import { invalid, WritebackError } from '../errors.js'
import type * as api from '../types.js'
import { WaitTable } from '../wait_table.js'
import { type ControlState, controlState } from '../writeback_control.js'
import { WritebackIterator } from '../writeback_iterator.js'
import {
  address_space_destroy,
  filemap_add_folio,
  filemap_get_folio,
  filemap_get_folios_tag,
  filemap_remove_folio,
  folio_in_mapping,
  MappingState,
  mapping_tagged,
  REMOVED,
} from './address_space.js'
import { checkFolio, detached, type Folio, folio_mapping } from './folio.js'
import { FolioBatch, folio_batch_next, folio_batch_release } from './folio_batch.js'
import { tag_pages_for_writeback } from './page_writeback.js'
import {
  check_open,
  give_back,
  iterate,
  start,
  write_cache_pages,
  write_extents,
  write_pages,
} from './writeback_pass.js'

export { type ErrorCode, WritebackError } from '../errors.js'
export type * from '../types.js'
export { AOP_WRITEPAGE_ACTIVATE, WritebackControl } from '../writeback_control.js'
export { Folio } from './folio.js'

/** Which backend this is. */
export const backend = 'js'

/** The state of an open mapping; throws EINVAL for anything but a mapping of this backend, EBADF for a closed one. */
let openMapping: (mapping: unknown) => MappingState

/** The folios that bear the mark, found by batches as the iteration goes. */
function* folios(
  mapping: MappingState,
  mark: MarkNumber,
  start: number,
  end: number,
): Generator<Folio, undefined> {
  const fbatch = new FolioBatch()
  let index = start
  for (;;) {
    check_open(mapping)
    folio_batch_release(fbatch)
    index = filemap_get_folios_tag(mapping, index, end, mark, fbatch)
    if (fbatch.nr === 0) return
    for (let folio = folio_batch_next(fbatch); folio !== null; folio = folio_batch_next(fbatch)) {
      if (folio_in_mapping(folio, mapping)) yield folio
    }
  }
}

function wait(folio: api.Folio): Promise<void> {
  // A folio that a pass is blocked on is in its open mapping.
  const mapping = folio_mapping(folio as Folio)
  mapping.waiters ??= new WaitTable()
  return mapping.waiters.wait(folio as Folio)
}

function abandon(control: ControlState): void {
  control.pass = null
}

/** struct address_space; see {@link api.AddressSpace}. */
export class AddressSpace implements api.AddressSpace {
  readonly #mapping: MappingState

  static {
    openMapping = (mapping) => {
      if (typeof mapping !== 'object' || mapping === null || !(#mapping in mapping)) {
        throw invalid('mapping', mapping, 'an AddressSpace of this backend')
      }
      const state = mapping.#mapping
      check_open(state)
      return state
    }
  }

  constructor(options?: api.AddressSpaceOptions) {
    if (options !== undefined && (options === null || typeof options !== 'object')) {
      throw invalid('options', options, 'an object')
    }
    this.#mapping = new MappingState(this, checkPageShift(options?.pageShift))
  }

  get writebackIndex(): number {
    return this.#mapping.writeback_index
  }
  set writebackIndex(value: number) {
    check_open(this.#mapping)
    this.#mapping.writeback_index = value === MAX_INDEX + 1 ? value : checkIndex('writebackIndex', value)
  }

  get nrPages(): number {
    return this.#mapping.nrpages
  }

  get pageShift(): number {
    return this.#mapping.page_shift
  }

  addFolio(index: number, order = 0): Folio {
    check_open(this.#mapping)
    const head = checkIndex('index', index)
    const checkedOrder = checkOrder(order)
    checkAligned(head, checkedOrder)
    const folio = filemap_add_folio(this.#mapping, head, checkedOrder)
    if (folio === null) {
      const last = head + 2 ** checkedOrder - 1
      throw new WritebackError('EEXIST', `a folio covers a page of ${head} to ${last} already`)
    }
    return folio
  }

  getFolio(index: number): Folio | null {
    check_open(this.#mapping)
    return filemap_get_folio(this.#mapping, checkIndex('index', index))
  }

  removeFolio(folio: api.Folio): void {
    check_open(this.#mapping)
    const removed = checkFolio(folio)
    const mapping = folio_mapping(removed)
    if (mapping === REMOVED) throw detached(removed)
    if (mapping !== this.#mapping) {
      throw new WritebackError('EINVAL', `folio ${folio.index} is of another mapping`)
    }
    if (!filemap_remove_folio(mapping, removed)) {
      const state = folio.locked ? 'locked' : 'under writeback'
      throw new WritebackError('EBUSY', `folio ${folio.index} is ${state}`)
    }
  }

  folios(mark?: api.Mark, start = 0, end = MAX_INDEX): IterableIterator<Folio> {
    check_open(this.#mapping)
    const number = mark === undefined ? PRESENT : checkMark(mark)
    return folios(this.#mapping, number, checkIndex('start', start), checkIndex('end', end))
  }

  tagged(mark: api.Mark): boolean {
    check_open(this.#mapping)
    return mapping_tagged(this.#mapping, checkMark(mark))
  }

  tagPagesForWriteback(start: number, end: number): void {
    check_open(this.#mapping)
    tag_pages_for_writeback(this.#mapping, checkIndex('start', start), checkIndex('end', end))
  }

  writeback(wbc: api.WritebackControl, options?: api.WaitOptions): api.WritebackIterator {
    check_open(this.#mapping)
    const control = controlState(wbc)
    return new WritebackIterator(iteratorOps, this.#mapping, control, checkOnWait(options))
  }

  writePages(
    wbc: api.WritebackControl,
    writepage: (folio: api.Folio) => number | void,
    options?: api.WaitOptions,
  ): number {
    check_open(this.#mapping)
    const control = controlState(wbc)
    return write_pages(this.#mapping, control, checkCallback('writepage', writepage), checkOnWait(options))
  }

  writeExtents(
    wbc: api.WritebackControl,
    write: (extent: api.Extent) => number | void,
    options?: api.ExtentOptions,
  ): number {
    check_open(this.#mapping)
    const control = controlState(wbc)
    checkCallback('write', write)
    const onWait = checkOnWait(options)
    return write_extents(this.#mapping, control, write, checkMaxPages(options?.maxPages), onWait)
  }

  close(): void {
    if (!this.#mapping.closed) address_space_destroy(this.#mapping)
  }

  /** As `close()`: for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }
}

/** writeback_iter; see {@link api.WritebackIter}. */
export function writebackIter(
  mapping: api.AddressSpace,
  wbc: api.WritebackControl,
  folio: api.Folio | null,
  error: { value: number },
  options?: api.WaitOptions,
): Folio | null {
  const open = openMapping(mapping)
  const control = controlState(wbc)
  if (options !== undefined || typeof error !== 'object' || error === null) {
    return iterate(open, control, folio, error, checkRest(folio, error, options))
  }
  return iterate(open, control, folio, error, undefined)
}

/** What writebackIter() leaves unchecked where it mostly goes well. */
function checkRest(
  folio: unknown,
  error: unknown,
  options: api.WaitOptions | undefined,
): api.WaitHook | undefined {
  if (folio !== null) checkFolio(folio)
  checkErrorBox(error)
  return checkOnWait(options)
}

/** write_cache_pages; see {@link api.WriteCachePages}. */
export function writeCachePages(
  mapping: api.AddressSpace,
  wbc: api.WritebackControl,
  writepage: (folio: api.Folio, wbc: api.WritebackControl) => number | void,
  options?: api.WaitOptions,
): number {
  const open = openMapping(mapping)
  const control = controlState(wbc)
  checkCallback('writepage', writepage)
  return write_cache_pages(open, control, (folio) => writepage(folio, wbc), checkOnWait(options))
}

const iteratorOps = {
  iterate,
  start,
  abandon,
  giveBack: (folio: api.Folio) => give_back(folio as Folio),
  wait,
}
