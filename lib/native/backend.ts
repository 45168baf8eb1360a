// SPDX-License-Identifier: GPL-2.0-only
// The public surface over the addon. Importing this does not throw where the addon does not load;
// lib/native/index.ts does.

import { makeBackend } from '../make_backend.js'
import type { PageCache } from '../page_cache.js'
import type * as api from '../types.js'
import {
  address_space_destroy,
  filemap_add_folio,
  filemap_add_folios,
  filemap_dirty_range,
  filemap_get_folio,
  filemap_get_folios_tag,
  filemap_remove_folio,
  folio_in_mapping,
  mapping_tagged,
  tag_pages_for_writeback,
} from './address_space.js'
import { is_folio, Folio as NativeFolio } from './folio.js'
import { NativeMapping } from './mapping.js'
import { NativePass } from './pass.js'
import { writePages } from './write_pages.js'

export { type ErrorCode, WritebackError } from '../errors.js'
export type * from '../types.js'

const pageCache: PageCache = {
  backend: 'native',
  address_space_init: (handle, pageShift) => new NativeMapping(pageCache, handle, pageShift),
  address_space_destroy,
  filemap_add_folio,
  filemap_add_folios,
  filemap_dirty_range,
  filemap_get_folio,
  filemap_remove_folio,
  filemap_get_folios_tag,
  mapping_tagged,
  tag_pages_for_writeback,
  is_folio,
  folio_in_mapping,
  newPass: (mapping: NativeMapping, control, owned) => new NativePass(mapping, control, owned),
  writePages,
}

const native = makeBackend(pageCache)

/** Which backend this is. */
export const backend = 'native'

/** struct address_space: a file's page cache; see {@link api.AddressSpace}. */
export const AddressSpace: api.AddressSpaceConstructor = native.AddressSpace
/** struct address_space: a file's page cache; see {@link api.AddressSpace}. */
export type AddressSpace = api.AddressSpace

/** struct folio, for `instanceof`; see {@link api.Folio}. */
export const Folio: api.FolioClass = NativeFolio
/** struct folio; see {@link api.Folio}. */
export type Folio = api.Folio

/** struct writeback_control: what a pass is to do; see {@link api.WritebackControl}. */
export const WritebackControl: api.WritebackControlConstructor = native.WritebackControl
/** struct writeback_control: what a pass is to do; see {@link api.WritebackControl}. */
export type WritebackControl = api.WritebackControl

/** writeback_iter, one to one; see {@link api.WritebackIter}. */
export const writebackIter: api.WritebackIter = native.writebackIter
/** write_cache_pages, the legacy wrapper; see {@link api.WriteCachePages}. */
export const writeCachePages: api.WriteCachePages = native.writeCachePages
/**
 * Returned by a `writeCachePages` callback: "unlock it yourself", which counts as no error. 0x80000, as in
 * the kernel.
 */
export const AOP_WRITEPAGE_ACTIVATE: number = native.AOP_WRITEPAGE_ACTIVATE
