// SPDX-License-Identifier: GPL-2.0-only
// One side of the benchmark: a thread of its own for each backend, because code that has seen the objects of
// both is compiled for both, and slower than in a program that uses one. Told the name of a pass, it times it
// once.

import { parentPort, workerData } from 'node:worker_threads'
import { loadBackend } from '../backend.js'
import type { Backend, Folio } from '../types.js'

export interface SideOptions {
  readonly backend: Backend['backend']
  readonly folios: number
}

/** The ways to write everything that is dirty, as they are in a program of a user's. */
export const PASSES = ['writePages', 'writeExtents', 'writebackIter', 'for…of'] as const
export type PassName = (typeof PASSES)[number]

/** What one pass took, in nanoseconds per folio. */
export interface Times {
  /** To dirty the folios, before it. */
  readonly markDirty: number
  readonly pass: number
}

/** A folio that was written: the least that a file system does with it. */
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
      // The native backend may not have told its tree of the last ones yet.
      mapping.tagged('dirty')
    })
    const pass = time(passes[name])
    if (mapping.tagged('dirty')) throw new Error(`${name} on ${backend} left something dirty`)
    return { markDirty, pass }
  }
}

let timePass: ((name: PassName) => Times) | null = null
parentPort?.on('message', (name: PassName) => {
  // Not before, so that the parent gets the error if it fails.
  timePass ??= createSide(workerData)
  parentPort?.postMessage(timePass(name))
})
