// SPDX-License-Identifier: GPL-2.0-only
// Callbacks that look at anything, and change anything, in the middle of a pass by folios or by extents: each
// pass is made on both backends, by callbacks that do the same at random, and what they saw is compared.

import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import { loadBackend } from '../lib/backend.js'
import { WritebackError } from '../lib/errors.js'
import { Random } from '../lib/fuzz/random.js'
import type { AddressSpace as Mapping, Backend, Folio, WritebackControl as Control } from '../lib/types.js'
import { nativeMissing } from './backends.js'
import { BATCH, EIO, flags, marks, range } from './helpers.js'

const PASSES = 3

/** A mapping of some hundred folios, random: more dirty than clean, more contiguous than not, a few large. */
function populate(random: Random, mapping: Mapping): Folio[] {
  const folios: Folio[] = []
  const maxGap = random.pick([1, 1, 4, 70])
  const largest = random.pick([0, 0, 0, 3, 7])
  const dirtyOneIn = random.pick([1, 1, 2, 20])
  const nr = 1 + random.below(900)
  let index = random.below(100)
  while (folios.length < nr) {
    const order = largest !== 0 && random.oneIn(3) ? random.below(largest + 1) : 0
    index = Math.ceil(index / 2 ** order) * 2 ** order
    const folio = mapping.addFolio(index, order)
    folios.push(folio)
    if (dirtyOneIn === 1 || !random.oneIn(dirtyOneIn)) folio.markDirty()
    index += 2 ** order
    if (random.oneIn(10)) index += random.below(maxGap)
  }
  return folios
}

/** What a callback does beside writing; in most calls nothing. */
function meddle(random: Random, mapping: Mapping, wbc: Control, folios: Folio[], near: number): string {
  const folio = folios[Math.min(folios.length - 1, Math.max(0, near + random.below(140) - 20))]
  switch (random.below(9)) {
    case 0:
      return flags(folio)
    case 1:
    case 2:
      return `dirtied ${folio.mapping === null ? '' : folio.markDirty()}`
    case 3:
      return `left ${wbc.nrToWrite}`
    case 4:
      wbc.nrToWrite = random.below(300)
      return 'set nrToWrite'
    case 5:
      if (folio.mapping === null || folio.locked || folio.writeback) return 'busy'
      mapping.removeFolio(folio)
      if (random.oneIn(2)) mapping.addFolio(folio.index, folio.order).markDirty()
      return 'removed'
    case 6:
      return `${folio.mapping !== null && folio.tryLock()}`
    case 7:
      if (folio.mapping !== null && folio.locked && !folio.writeback) folio.unlock()
      return 'unlocked'
    default:
      return `${mapping.getFolio(folio.index)?.dirty} ${mapping.writebackIndex}`
  }
}

function run(seed: number, { AddressSpace, WritebackControl }: Backend): unknown[] {
  const random = new Random(seed, 1)
  const mapping = new AddressSpace()
  const folios = populate(random, mapping)
  const log: unknown[] = []
  const onWait = (folio: Folio) => {
    log.push(`waited for ${folio.index}`)
    folio.unlock()
  }
  for (let pass = 0; pass < PASSES; pass++) {
    const wbc = new WritebackControl({
      syncMode: random.pick(['all', 'none']),
      taggedWritepages: random.oneIn(4),
      rangeCyclic: random.oneIn(3),
    })
    if (random.oneIn(2)) wbc.nrToWrite = 1 + random.below(600)
    const meddleOneIn = random.pick([1, 20, 150, 2000])
    const place = new Map(folios.map((folio, i) => [folio, i]))
    const result = () => {
      if (!random.oneIn(meddleOneIn * 4)) return
      if (random.oneIn(3)) throw new RangeError('the device is gone')
      return -EIO
    }
    try {
      if (random.oneIn(2)) {
        const error = mapping.writePages(
          wbc,
          (folio) => {
            log.push(folio.index)
            if (random.oneIn(meddleOneIn))
              log.push(meddle(random, mapping, wbc, folios, place.get(folio) ?? 0))
            return result()
          },
          { onWait },
        )
        log.push(['pages', error])
      } else {
        const maxPages = random.pick([1, BATCH, 2 * BATCH, 256, 1024])
        const error = mapping.writeExtents(
          wbc,
          (extent) => {
            log.push(extent.index, extent.nrPages)
            if (random.oneIn(4)) log.push(extent.folios.length, extent.folios.at(-1)?.index)
            if (random.oneIn(Math.ceil(meddleOneIn / 20)))
              log.push(meddle(random, mapping, wbc, folios, place.get(extent.folios[0]) ?? 0))
            return result()
          },
          { onWait, maxPages },
        )
        log.push(['extents', error])
      }
    } catch (error) {
      if (!(error instanceof RangeError) && !(error instanceof WritebackError)) throw error
      log.push(error.message)
    }
    log.push(wbc.nrToWrite, wbc.pagesSkipped, mapping.writebackIndex, marks(mapping))
    log.push(folios.map((folio) => flags(folio)).join())
    for (const folio of folios) {
      if (folio.mapping === null) continue
      if (folio.locked) folio.unlock()
      if (!random.oneIn(3)) folio.markDirty()
    }
  }
  mapping.close()
  return log
}

describe.skipIf(nativeMissing !== null)('callbacks', () => {
  test.each(range(0, 29))('random passes, part %i', (part) => {
    for (let seed = part * 20; seed < part * 20 + 20; seed++) {
      const native = run(seed, loadBackend('native'))
      const js = run(seed, loadBackend('js'))
      const at = native.findIndex((entry, i) => !isDeepStrictEqual(entry, js[i]))
      // The first difference, with what came before it, instead of all that follows from it.
      if (at >= 0) expect(native.slice(at - 5, at + 1), `seed ${seed}`).toEqual(js.slice(at - 5, at + 1))
      expect(js.length).toBe(native.length)
    }
  })
})
