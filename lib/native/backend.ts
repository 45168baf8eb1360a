// SPDX-License-Identifier: GPL-2.0-only
// The public surface over the addon: arguments in, call, result out. Importing this does not throw where the addon does not
// load; lib/native/index.ts does.

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
import { controlState } from '../writeback_control.js'
import { WritebackIterator } from '../writeback_iterator.js'
import { addon, doubles, words } from './addon.js'
import { checkFolio, Folio, detached, folio_detach, folio_flags, folio_slot, folio_space } from './folio.js'
import { ChunkWord, Control, Errno, NO_SLOT, PG } from './layout.js'
import { REMOVED, Space } from './space.js'
import {
  abandon,
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
export const backend = 'native'

/** The space of an open mapping; throws EINVAL for anything but a mapping of this backend, EBADF for a closed one. */
let openMapping: (mapping: unknown) => Space

/** The folios that bear the mark, found by batches as the iteration goes. */
function* folios(space: Space, mark: MarkNumber, start: number, end: number): Generator<Folio, undefined> {
  const fbatch: Folio[] = []
  let index = start
  for (;;) {
    check_open(space)
    words[Control.MAPPING] = space.id
    words[Control.MARK] = mark
    doubles[Control.START_F64] = index
    doubles[Control.END_F64] = end
    addon.getFoliosTag()
    index = doubles[Control.START_F64]
    fbatch.length = 0
    for (let i = 0; i < words[Control.COUNT]; i++) fbatch.push(space.folio(words[Control.SLOTS + i]) as Folio)
    if (fbatch.length === 0) return
    for (const folio of fbatch) {
      if (folio_space(folio) === space && space.open) yield folio
    }
  }
}

function wait(folio: api.Folio): Promise<void> {
  const space = folio_space(folio as Folio)
  if (!space.open) return Promise.resolve()
  space.waiters ??= new WaitTable()
  return space.waiters.wait(folio as Folio)
}

/** struct address_space; see {@link api.AddressSpace}. */
export class AddressSpace implements api.AddressSpace {
  readonly #space: Space

  static {
    openMapping = (mapping) => {
      if (typeof mapping !== 'object' || mapping === null || !(#space in mapping)) {
        throw invalid('mapping', mapping, 'an AddressSpace of this backend')
      }
      const space = mapping.#space
      check_open(space)
      return space
    }
  }

  constructor(options?: api.AddressSpaceOptions) {
    if (options !== undefined && (options === null || typeof options !== 'object')) {
      throw invalid('options', options, 'an object')
    }
    this.#space = new Space(this, checkPageShift(options?.pageShift))
  }

  get writebackIndex(): number {
    if (!this.#space.open) return this.#space.lastWritebackIndex
    words[Control.MAPPING] = this.#space.id
    addon.getWritebackIndex()
    return doubles[Control.VALUE_F64]
  }
  set writebackIndex(value: number) {
    check_open(this.#space)
    doubles[Control.VALUE_F64] = value === MAX_INDEX + 1 ? value : checkIndex('writebackIndex', value)
    words[Control.MAPPING] = this.#space.id
    addon.setWritebackIndex()
  }

  get nrPages(): number {
    if (!this.#space.open) return 0
    words[Control.MAPPING] = this.#space.id
    addon.getNrPages()
    return doubles[Control.VALUE_F64]
  }

  get pageShift(): number {
    return this.#space.pageShift
  }

  addFolio(index: number, order = 0): Folio {
    const space = this.#space
    check_open(space)
    const head = checkIndex('index', index)
    checkAligned(head, checkOrder(order))
    words[Control.MAPPING] = space.id
    words[Control.ORDER] = order
    doubles[Control.INDEX_F64] = head
    addon.addFolio()
    if (words[Control.STATUS] === -Errno.ENOSPC) {
      space.grow()
      addon.addFolio()
    }
    switch (words[Control.STATUS]) {
      case 0:
        break
      case -Errno.EEXIST:
        throw new WritebackError(
          'EEXIST',
          `a folio covers a page of ${head} to ${head + 2 ** order - 1} already`,
        )
      default:
        throw new WritebackError('ENOMEM', `no memory for folio ${head}`)
    }
    const slot = words[Control.SLOT]
    const chunk = space.chunks[slot >>> ChunkWord.SHIFT]
    chunk.setIndex(slot & ChunkWord.MASK, head)
    const folio = new Folio(chunk, slot & ChunkWord.MASK)
    chunk.folios[slot & ChunkWord.MASK] = folio
    return folio
  }

  getFolio(index: number): Folio | null {
    const space = this.#space
    check_open(space)
    doubles[Control.INDEX_F64] = checkIndex('index', index)
    words[Control.MAPPING] = space.id
    addon.getFolio()
    return words[Control.SLOT] === NO_SLOT ? null : space.folio(words[Control.SLOT])
  }

  removeFolio(folio: api.Folio): void {
    const space = this.#space
    check_open(space)
    const removed = checkFolio(folio)
    if (folio_space(removed) === REMOVED) throw detached(removed)
    if (folio_space(removed) !== space) {
      throw new WritebackError('EINVAL', `folio ${removed.index} is of another mapping`)
    }
    if ((folio_flags(removed) & (PG.locked | PG.writeback)) !== 0) {
      const state = removed.locked ? 'locked' : 'under writeback'
      throw new WritebackError('EBUSY', `folio ${removed.index} is ${state}`)
    }
    const slot = folio_slot(removed)
    space.gatherExtents()
    folio_detach(removed)
    space.chunks[slot >>> ChunkWord.SHIFT].folios[slot & ChunkWord.MASK] = null
    words[Control.MAPPING] = space.id
    words[Control.SLOT] = slot
    addon.removeFolio()
  }

  folios(mark?: api.Mark, start = 0, end = MAX_INDEX): IterableIterator<Folio> {
    check_open(this.#space)
    const number = mark === undefined ? PRESENT : checkMark(mark)
    return folios(this.#space, number, checkIndex('start', start), checkIndex('end', end))
  }

  tagged(mark: api.Mark): boolean {
    check_open(this.#space)
    words[Control.MARK] = checkMark(mark)
    words[Control.MAPPING] = this.#space.id
    addon.tagged()
    return words[Control.STATUS] !== 0
  }

  tagPagesForWriteback(start: number, end: number): void {
    check_open(this.#space)
    doubles[Control.START_F64] = checkIndex('start', start)
    doubles[Control.END_F64] = checkIndex('end', end)
    words[Control.MAPPING] = this.#space.id
    addon.tagPagesForWriteback()
  }

  writeback(wbc: api.WritebackControl, options?: api.WaitOptions): api.WritebackIterator {
    check_open(this.#space)
    const control = controlState(wbc)
    return new WritebackIterator(iteratorOps, this.#space, control, checkOnWait(options))
  }

  writePages(
    wbc: api.WritebackControl,
    writepage: (folio: api.Folio) => number | void,
    options?: api.WaitOptions,
  ): number {
    check_open(this.#space)
    const control = controlState(wbc)
    return write_pages(this.#space, control, checkCallback('writepage', writepage), checkOnWait(options))
  }

  writeExtents(
    wbc: api.WritebackControl,
    write: (extent: api.Extent) => number | void,
    options?: api.ExtentOptions,
  ): number {
    check_open(this.#space)
    const control = controlState(wbc)
    checkCallback('write', write)
    const onWait = checkOnWait(options)
    return write_extents(this.#space, control, write, checkMaxPages(options?.maxPages), onWait)
  }

  close(): void {
    this.#space.close()
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
