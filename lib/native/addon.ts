// SPDX-License-Identifier: GPL-2.0-only
// The addon, if it loads: importing this never throws, so that the default entry can fall back.

import { join } from 'node:path'
import nodeGypBuild from 'node-gyp-build'
import { Control, LAYOUT_VERSION } from './layout.js'

/** What holds an open mapping: it is closed when this is collected. */
export type MappingHandle = { readonly mappingHandle: unique symbol }

/** The addon's calls. Those without parameters take them from the control block, and leave their results there. */
export interface Addon {
  addFolio(): void
  getFolio(): void
  removeFolio(): void
  getFoliosTag(): void
  tagged(): void
  tagPagesForWriteback(): void
  getNrPages(): void
  getWritebackIndex(): void
  setWritebackIndex(): void
  beginPass(): void
  writebackIter(): void
  writebackIterAhead(): void
  settleAhead(): void
  getExtent(): void
  getExtentFolios(): void
  endExtent(): void
  releasePass(): void
  openMapping(deferred: ArrayBuffer, pageShift: number): MappingHandle | undefined
  closeMapping(handle: MappingHandle): void
  addChunk(slab: ArrayBuffer, number: number): void
  openPass(pass: ArrayBuffer): void
  openStretch(stretch: ArrayBuffer): void
}

interface AddonModule {
  readonly layoutVersion: number | undefined
  create(control: ArrayBuffer): Addon | undefined
}

function load(control: ArrayBuffer): Addon {
  const module = nodeGypBuild<AddonModule>(join(__dirname, '..', '..'))
  if (module.layoutVersion !== LAYOUT_VERSION) {
    throw new Error('the addon was built from other sources: run `npm run build:native`')
  }
  const created = module.create(control)
  if (created === undefined) throw new Error('out of memory')
  return created
}

let control = new ArrayBuffer(0)
let loaded: Addon | null = null
let error: unknown = null
try {
  control = new ArrayBuffer(Control.BYTES)
  loaded = load(control)
} catch (cause) {
  error = cause
}

/** The control block, as signed words and as doubles. */
export const words = new Int32Array(control)
export const doubles = new Float64Array(control)

/** Why the addon did not load; null if it did. */
export const addonError: unknown = error

/** The addon. Nobody calls it unless `addonError` is null: the entries see to that. */
export const addon = loaded as Addon
