// SPDX-License-Identifier: GPL-2.0-only
// One side of the benchmark. Each backend runs in its own thread, because code that has seen objects of both
// backends is compiled for both, and is slower than in a program that uses one. The parent sends the name of
// a pass, and this side times that pass once.

import { parentPort, workerData } from 'node:worker_threads'
import { loadBackend } from '../backend.js'
import type { Backend, Folio } from '../types.js'

export interface SideOptions {
  readonly backend: Backend['backend']
  readonly folios: number
}

/** The ways to write everything that is dirty, as a user's program would. */
export const PASSES = ['writePages', 'writeExtents', 'writebackIter', 'for…of'] as const
export type PassName = (typeof PASSES)[number]

/** The duration of one pass, in nanoseconds per folio. */
export interface Times {
  /** The time to dirty the folios before the pass. */
  readonly markDirty: number
  readonly pass: number
}

/** Writes a folio with the least work that a file system does. */
function write(folio: Folio): void {
  folio.startWriteback()
  folio.unlock()
  folio.endWriteback()
}

function createSide({ backend, folios: count }: SideOptions): (name: PassName) => Times {
  const { AddressSpace, WritebackControl, writebackIter } = loadBackend(backend)
  const mapping = new AddressSpace()
  const folios = Array.from({ length: count }, (_, index) => mapping.addFolio(index))
  const control = () => new WritebackControl({ syncMode: 'all' })
  const passes: Record<PassName, () => void> = {
    writePages() {
      mapping.writePages(control(), () => {})
    },
    writeExtents() {
      mapping.writeExtents(control(), () => {})
    },
    writebackIter() {
      const wbc = control()
      const error = { value: 0 }
      let folio: Folio | null = null
      while ((folio = writebackIter(mapping, wbc, folio, error)) !== null) write(folio)
    },
    'for…of'() {
      for (const folio of mapping.writeback(control())) write(folio)
    },
  }
  const time = (work: () => void) => {
    const start = process.hrtime.bigint()
    work()
    return Number(process.hrtime.bigint() - start) / count
  }
  return (name) => {
    const markDirty = time(() => {
      for (const folio of folios) folio.markDirty()
      // The native backend may not have applied the last folios to its tree yet. This query makes it do so.
      mapping.tagged('dirty')
    })
    const pass = time(passes[name])
    if (mapping.tagged('dirty')) throw new Error(`${name} on ${backend} left something dirty`)
    return { markDirty, pass }
  }
}

let timePass: ((name: PassName) => Times) | null = null
parentPort?.on('message', (name: PassName) => {
  // Create the side only here, so that the parent receives the error if the creation fails.
  timePass ??= createSide(workerData)
  parentPort?.postMessage(timePass(name))
})
