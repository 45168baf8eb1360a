// SPDX-License-Identifier: GPL-2.0-only
// The file engines that the suite runs on, for describe.each, and the forms of their methods.

import type { ByteRange, CachedFile, CloseOptions } from '../lib/file/cached_file.js'
import { loadEngine } from '../lib/file/load_engine.js'

/** Why there is no native engine; null if there is one. */
export let nativeEngineMissing: string | null = null

export const engines: { engine: 'native' | 'js' }[] = [{ engine: 'js' }]
try {
  loadEngine('native')
  engines.unshift({ engine: 'native' })
} catch (error) {
  nativeEngineMissing = (error as Error).message
}

/**
 * A file by one form of its methods. The blocking form, too, gives promises, so that one test serves both.
 */
export interface Form {
  read(into: NodeJS.ArrayBufferView, position: number): Promise<number>
  write(bytes: NodeJS.ArrayBufferView, position: number): Promise<number>
  fsync(range?: ByteRange): Promise<void>
  fdatasync(range?: ByteRange): Promise<void>
  writeback(nrToWrite?: number): Promise<number>
  truncate(length: number): Promise<void>
  deallocate(range?: ByteRange): Promise<void>
  close(options?: CloseOptions): Promise<void>
}

const blocking = (file: CachedFile): Form => ({
  read: async (into, position) => file.readSync(into, position),
  write: async (bytes, position) => file.writeSync(bytes, position),
  fsync: async (range) => file.fsyncSync(range),
  fdatasync: async (range) => file.fdatasyncSync(range),
  writeback: async (nrToWrite) => file.writebackSync(nrToWrite),
  truncate: async (length) => file.truncateSync(length),
  deallocate: async (range) => file.deallocateSync(range),
  close: async (options) => file.closeSync(options),
})

export const forms: { form: string; of: (file: CachedFile) => Form }[] = [
  { form: 'promises', of: (file) => file },
  { form: 'blocking', of: blocking },
]

/** Every engine in every form. */
export const enginesAndForms = engines.flatMap((engine) => forms.map((form) => ({ ...engine, ...form })))
