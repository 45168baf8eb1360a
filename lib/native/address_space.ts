// SPDX-License-Identifier: GPL-2.0-only
// The page cache of one file, over native/core/address_space.c.

import type { MarkNumber } from '../arguments.js'
import { WritebackError } from '../errors.js'
import type { FolioBatch } from '../folio_batch.js'
import { reserveStack } from '../stack.js'
import { addon, doubles, words } from './addon.js'
import { type Folio, folio_flags, folio_mapping, folio_slot } from './folio.js'
import { grow } from './grow.js'
import { ChunkWord, Control, Errno, NO_SLOT, PG } from './layout.js'
import type { NativeMapping } from './mapping.js'

export function address_space_destroy(mapping: NativeMapping): void {
  mapping.close()
}

export function filemap_add_folio(mapping: NativeMapping, index: number, order: number): Folio | null {
  words[Control.MAPPING] = mapping.id
  words[Control.ORDER] = order
  doubles[Control.INDEX_F64] = index
  addon.addFolio()
  while (words[Control.STATUS] === -Errno.ENOSPC) {
    grow(mapping, 1, order)
    addon.addFolio()
  }
  if (words[Control.STATUS] === -Errno.EEXIST) return null
  if (words[Control.STATUS] !== 0) throw new WritebackError('ENOMEM', `no memory for folio ${index}`)
  return mapping.folio(words[Control.SLOT])
}

export function filemap_add_folios(
  mapping: NativeMapping,
  index: number,
  count: number,
  order: number,
): boolean {
  words[Control.MAPPING] = mapping.id
  words[Control.ORDER] = order
  doubles[Control.INDEX_F64] = index
  doubles[Control.VALUE_F64] = count
  addon.addFolios()
  while (words[Control.STATUS] === -Errno.ENOSPC) {
    grow(mapping, count, order)
    doubles[Control.VALUE_F64] = count
    addon.addFolios()
  }
  if (words[Control.STATUS] === -Errno.EEXIST) return false
  if (words[Control.STATUS] !== 0)
    throw new WritebackError('ENOMEM', `no memory for ${count} folios at ${index}`)
  return true
}

export function filemap_dirty_range(mapping: NativeMapping, start: number, end: number): number {
  words[Control.MAPPING] = mapping.id
  doubles[Control.START_F64] = start
  doubles[Control.END_F64] = end
  addon.dirtyRange()
  return doubles[Control.VALUE_F64]
}

export function filemap_get_folio(mapping: NativeMapping, index: number): Folio | null {
  doubles[Control.INDEX_F64] = index
  words[Control.MAPPING] = mapping.id
  addon.getFolio()
  return words[Control.SLOT] === NO_SLOT ? null : mapping.folio(words[Control.SLOT])
}

export function filemap_remove_folio(mapping: NativeMapping, folio: Folio): boolean {
  if ((folio_flags(folio) & (PG.locked | PG.writeback)) !== 0) return false
  reserveStack()
  const slot = folio_slot(folio)
  const chunk = mapping.chunks[slot >>> ChunkWord.SHIFT]
  chunk.detach(slot & ChunkWord.MASK)
  words[Control.MAPPING] = mapping.id
  words[Control.SLOT] = slot
  addon.removeFolio()
  // The slot is another's from now on, unless a pass still has the folio.
  if (chunk.words[slot & ChunkWord.MASK] >>> PG.REFCOUNT_SHIFT === 0) mapping.removed.delete(slot)
  else mapping.removed.set(slot, folio)
  return true
}

export function filemap_get_folios_tag(
  mapping: NativeMapping,
  start: number,
  end: number,
  tag: MarkNumber,
  fbatch: FolioBatch<Folio>,
): number {
  words[Control.MAPPING] = mapping.id
  words[Control.MARK] = tag
  doubles[Control.START_F64] = start
  doubles[Control.END_F64] = end
  addon.getFoliosTag()
  const nr = words[Control.COUNT]
  for (let i = 0; i < nr; i++) fbatch.folios[i] = mapping.folio(words[Control.SLOTS + i])
  fbatch.nr = nr
  return doubles[Control.START_F64]
}

export function mapping_tagged(mapping: NativeMapping, tag: MarkNumber): boolean {
  words[Control.MARK] = tag
  words[Control.MAPPING] = mapping.id
  addon.tagged()
  return words[Control.STATUS] !== 0
}

export function tag_pages_for_writeback(mapping: NativeMapping, start: number, end: number): void {
  doubles[Control.START_F64] = start
  doubles[Control.END_F64] = end
  words[Control.MAPPING] = mapping.id
  addon.tagPagesForWriteback()
}

export function folio_in_mapping(folio: Folio, mapping: NativeMapping): boolean {
  return folio_mapping(folio) === mapping && !mapping.closed
}
