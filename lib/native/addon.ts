// SPDX-License-Identifier: GPL-2.0-only
// The addon. Importing this does not load it: a process that only uses the TypeScript backend never has it.

import { WritebackError } from '../errors.js'
import { Control, LAYOUT_VERSION } from './layout.js'

/**
 * The addon's calls. Those without parameters take them from the control block, and leave their results
 * there.
 */
export interface Addon {
  closeMapping(): void
  addFolio(): void
  addFolios(): void
  dirtyRange(): void
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
  makeExtent(): void
  getExtent(): void
  getExtentFolios(): void
  endExtent(): void
  releasePass(): void
  openMapping(pageShift: number): number
  addChunk(slab: ArrayBuffer, number: number): void
  openPass(pass: ArrayBuffer): void
  giveNodes(nodes: ArrayBuffer, max: number): void
}

interface AddonModule {
  readonly layoutVersion: number | undefined
  create(control: ArrayBuffer): Addon | undefined
  createFileEngine?(): object | undefined
}

function load(): void {
  const loadBinding: () => AddonModule = require('../../binding.js')
  const module = loadBinding()
  if (module.layoutVersion !== LAYOUT_VERSION) {
    throw new Error('the addon was built from other sources: run `npm run build:native`')
  }
  const control = new ArrayBuffer(Control.BYTES)
  const created = module.create(control)
  if (created === undefined) throw new Error('out of memory')
  addon = created
  createFileEngine = module.createFileEngine
  words = new Int32Array(control)
  doubles = new Float64Array(control)
}

/** The control block, as signed words and as doubles. Empty until the addon is loaded. */
export let words = new Int32Array(0)
export let doubles = new Float64Array(0)

/**
 * The addon. Nobody calls it before `loadAddon()` has returned: `loadBackend()` and the native entry see to
 * that.
 */
export let addon = null as unknown as Addon

/** Makes what lib/file/native_engine.ts calls; undefined where the addon has no file engine. */
export let createFileEngine: AddonModule['createFileEngine']

let outcome: 'loaded' | WritebackError | null = null

/**
 * Loads the addon at the first call. What keeps it out once keeps it out for good.
 * @throws `ELIBACC`, with what the system or the runtime said as its cause
 */
export function loadAddon(): void {
  if (outcome === null) outcome = tryLoad()
  if (outcome !== 'loaded') throw outcome
}

function tryLoad(): 'loaded' | WritebackError {
  try {
    load()
    return 'loaded'
  } catch (cause) {
    const [line] = (cause instanceof Error ? cause.message : String(cause)).split('\n')
    return new WritebackError('ELIBACC', `the native backend does not load: ${line}`, { cause })
  }
}
