// SPDX-License-Identifier: GPL-2.0-only
// The public surface over a backend's table of functions: arguments are checked here, so that both refuse the
// same with the same words.

import {
  checkAligned,
  checkAsyncOptions,
  checkCallback,
  checkCount,
  checkErrorBox,
  checkIndex,
  checkMark,
  checkMaxPages,
  checkOnWait,
  checkOrder,
  checkPageShift,
  type MarkNumber,
  PRESENT,
} from './arguments.js'
import { writeExtentsAsync, writePagesAsync } from './async_pass.js'
import { detached, invalid, notCloneable, WritebackError } from './errors.js'
import { FolioBatch, folio_batch_next, folio_batch_release } from './folio_batch.js'
import { INSPECT, type InspectArguments, inspectAs } from './inspect.js'
import type { Mapping, PageCache } from './page_cache.js'
import type * as api from './types.js'
import { AOP_WRITEPAGE_ACTIVATE, controlState, WritebackControl } from './writeback_control.js'
import { newIterator } from './writeback_iterator.js'
import { checkFolio, checkOpen, iterate, writeCachePages, writeExtents } from './writeback_pass.js'

const MARKS = ['dirty', 'writeback', 'towrite'] as const

/** The folios that have the mark, found by batches as the iteration goes. */
function* folios(
  mapping: Mapping,
  mark: MarkNumber,
  start: number,
  end: number,
): Generator<api.Folio, undefined> {
  const { ops } = mapping
  const fbatch = new FolioBatch<api.Folio>()
  let index = start
  for (;;) {
    checkOpen(mapping)
    folio_batch_release(fbatch)
    index = ops.filemap_get_folios_tag(mapping, index, end, mark, fbatch)
    if (fbatch.nr === 0) return
    for (let folio = folio_batch_next(fbatch); folio !== null; folio = folio_batch_next(fbatch)) {
      if (ops.folio_in_mapping(folio, mapping)) yield folio
    }
  }
}

/** The backend that works by these functions. */
export function makeBackend(ops: PageCache): api.Backend {
  /**
   * The state of an open mapping; throws EINVAL for anything but a mapping of this backend, EBADF for a
   * closed one.
   */
  let openMapping: (mapping: unknown) => Mapping

  /** struct address_space; see {@link api.AddressSpace}. */
  class AddressSpace implements api.AddressSpace {
    /** See {@link notCloneable}. */
    readonly notCloneable = notCloneable
    readonly #mapping: Mapping

    static {
      openMapping = (mapping) => {
        if (typeof mapping !== 'object' || mapping === null || !(#mapping in mapping)) {
          throw invalid('mapping', mapping, 'an AddressSpace of this backend')
        }
        const state = mapping.#mapping
        checkOpen(state)
        return state
      }
    }

    constructor(options?: api.AddressSpaceOptions) {
      if (options !== undefined && (options === null || typeof options !== 'object')) {
        throw invalid('options', options, 'an object')
      }
      this.#mapping = ops.address_space_init(this, checkPageShift(options?.pageShift))
    }

    get writebackIndex(): number {
      return this.#mapping.writeback_index
    }
    set writebackIndex(value: number) {
      checkOpen(this.#mapping)
      const { maxIndex } = this.#mapping
      this.#mapping.writeback_index =
        value === maxIndex + 1 ? value : checkIndex('writebackIndex', value, maxIndex)
    }

    get nrPages(): number {
      return this.#mapping.nrpages
    }

    get pageShift(): number {
      return this.#mapping.pageShift
    }

    addFolio(index: number, order = 0): api.Folio {
      checkOpen(this.#mapping)
      const head = checkIndex('index', index, this.#mapping.maxIndex)
      const checkedOrder = checkOrder(order)
      checkAligned(head, checkedOrder)
      const folio = ops.filemap_add_folio(this.#mapping, head, checkedOrder)
      if (folio === null) {
        const last = head + 2 ** checkedOrder - 1
        throw new WritebackError('EEXIST', `a folio covers a page of ${head} to ${last} already`)
      }
      return folio
    }

    addFolios(index: number, count: number, order = 0): void {
      checkOpen(this.#mapping)
      const { maxIndex } = this.#mapping
      const head = checkIndex('index', index, maxIndex)
      const checkedOrder = checkOrder(order)
      checkAligned(head, checkedOrder)
      const last = head + checkCount(count, head, checkedOrder, maxIndex) * 2 ** checkedOrder - 1
      if (!ops.filemap_add_folios(this.#mapping, head, count, checkedOrder)) {
        throw new WritebackError('EEXIST', `a folio covers a page of ${head} to ${last} already`)
      }
    }

    dirtyRange(start: number, end: number): number {
      checkOpen(this.#mapping)
      const { maxIndex } = this.#mapping
      const first = checkIndex('start', start, maxIndex)
      return ops.filemap_dirty_range(this.#mapping, first, checkIndex('end', end, maxIndex))
    }

    getFolio(index: number): api.Folio | null {
      checkOpen(this.#mapping)
      return ops.filemap_get_folio(this.#mapping, checkIndex('index', index, this.#mapping.maxIndex))
    }

    removeFolio(folio: api.Folio): void {
      const mapping = this.#mapping
      checkOpen(mapping)
      const removed = checkFolio(mapping, folio)
      if (removed.mapping === null) throw detached(removed)
      if (!ops.folio_in_mapping(removed, mapping)) {
        throw new WritebackError('EINVAL', `folio ${removed.index} is of another mapping`)
      }
      if (!ops.filemap_remove_folio(mapping, removed)) {
        const state = removed.locked ? 'locked' : 'under writeback'
        throw new WritebackError('EBUSY', `folio ${removed.index} is ${state}`)
      }
    }

    folios(mark?: api.Mark, start = 0, end = this.#mapping.maxIndex): IterableIterator<api.Folio> {
      checkOpen(this.#mapping)
      const number = mark === undefined ? PRESENT : checkMark(mark)
      const { maxIndex } = this.#mapping
      const first = checkIndex('start', start, maxIndex)
      return folios(this.#mapping, number, first, checkIndex('end', end, maxIndex))
    }

    tagged(mark: api.Mark): boolean {
      checkOpen(this.#mapping)
      return ops.mapping_tagged(this.#mapping, checkMark(mark))
    }

    tagPagesForWriteback(start: number, end: number): void {
      checkOpen(this.#mapping)
      const { maxIndex } = this.#mapping
      const first = checkIndex('start', start, maxIndex)
      ops.tag_pages_for_writeback(this.#mapping, first, checkIndex('end', end, maxIndex))
    }

    writeback(wbc: api.WritebackControl, options?: api.WaitOptions): api.WritebackIterator {
      checkOpen(this.#mapping)
      const control = controlState(wbc)
      return newIterator(this.#mapping, control, checkOnWait(options))
    }

    writePages(
      wbc: api.WritebackControl,
      writepage: (folio: api.Folio) => number | void,
      options?: api.WaitOptions,
    ): number {
      checkOpen(this.#mapping)
      const control = controlState(wbc)
      checkCallback('writepage', writepage)
      return ops.writePages(this.#mapping, control, writepage, checkOnWait(options))
    }

    writeExtents(
      wbc: api.WritebackControl,
      write: (extent: api.Extent) => number | void,
      options?: api.ExtentOptions,
    ): number {
      checkOpen(this.#mapping)
      const control = controlState(wbc)
      checkCallback('write', write)
      const onWait = checkOnWait(options)
      return writeExtents(this.#mapping, control, write, checkMaxPages(options?.maxPages), onWait)
    }

    async writePagesAsync(
      wbc: api.WritebackControl,
      writepage: (folio: api.Folio) => api.AsyncResult,
      options?: api.AsyncOptions,
    ): Promise<number> {
      checkOpen(this.#mapping)
      const control = controlState(wbc)
      checkCallback('writepage', writepage)
      return writePagesAsync(this.#mapping, control, writepage, checkAsyncOptions(options))
    }

    async writeExtentsAsync(
      wbc: api.WritebackControl,
      write: (extent: api.Extent) => api.AsyncResult,
      options?: api.AsyncExtentOptions,
    ): Promise<number> {
      checkOpen(this.#mapping)
      const control = controlState(wbc)
      checkCallback('write', write)
      const limits = checkAsyncOptions(options)
      return writeExtentsAsync(this.#mapping, control, write, checkMaxPages(options?.maxPages), limits)
    }

    close(): void {
      if (!this.#mapping.closed) ops.address_space_destroy(this.#mapping)
    }

    [INSPECT](...args: InspectArguments): string {
      const { nrPages, writebackIndex, pageShift } = this
      const { closed } = this.#mapping
      const marks = closed ? [] : MARKS.filter((mark) => this.tagged(mark))
      return inspectAs('AddressSpace', { nrPages, marks, writebackIndex, pageShift, closed }, args)
    }

    /** As `close()`: for `using`. */
    [Symbol.dispose](): void {
      this.close()
    }
  }

  function writebackIter(
    mapping: api.AddressSpace,
    wbc: api.WritebackControl,
    folio: api.Folio | null,
    error: { value: number },
    options?: api.WaitOptions,
  ): api.Folio | null {
    const open = openMapping(mapping)
    const control = controlState(wbc)
    if (options !== undefined || typeof error !== 'object' || error === null) {
      return iterate(open, control, folio, error, checkRest(open, folio, error, options))
    }
    return iterate(open, control, folio, error, undefined)
  }

  return {
    backend: ops.backend,
    AddressSpace,
    WritebackControl,
    writebackIter,
    writeCachePages(mapping, wbc, writepage, options) {
      const open = openMapping(mapping)
      const control = controlState(wbc)
      checkCallback('writepage', writepage)
      return writeCachePages(open, control, (folio) => writepage(folio, wbc), checkOnWait(options))
    },
    AOP_WRITEPAGE_ACTIVATE,
  }
}

/** What writebackIter() leaves unchecked on the fast path. */
function checkRest(
  mapping: Mapping,
  folio: unknown,
  error: unknown,
  options: api.WaitOptions | undefined,
): api.WaitHook | undefined {
  if (folio !== null) checkFolio(mapping, folio)
  checkErrorBox(error)
  return checkOnWait(options)
}
