// SPDX-License-Identifier: GPL-2.0-only
// Passes that await: what a write costs whose promise resolves at once, and how many go through a device that
// is slow.

import { setTimeout } from 'node:timers/promises'
import { checkSeen } from './shape.mjs'

/** How long a write takes on the slow device, in milliseconds. */
const LATENCY = 5

/**
 * @param {string} name - a backend, or 'await each': one write after the other
 * @param {{ folios: number, writes: number }} shape - folios with a gap between them, and writes to the slow
 * device
 * @returns {Promise<Record<string, import('./shape.mjs').AsyncOperation>>}
 */
export async function open(name, { folios, writes }) {
  const { AddressSpace, WritebackControl } = await import(
    `writeback-iter/${name === 'await each' ? 'js' : name}`
  )
  /** @param {number} count */
  const build = (count) => {
    const mapping = new AddressSpace()
    const all = Array.from({ length: count }, (_, i) => mapping.addFolio(2 * i))
    const soil = () => {
      for (const folio of all) folio.markDirty()
    }
    /** @param {'writePagesAsync' | 'writeExtentsAsync'} method @param {() => Promise<void>} write */
    const pass = async (method, write) => {
      let seen = 0
      const result = await mapping[method](new WritebackControl({ syncMode: 'all' }), () => {
        seen++
        return write()
      })
      if (result !== 0) throw new Error(`${method} returned ${result}`)
      checkSeen(seen, count)
    }
    const atOnce = async () => {}
    const slow = () => setTimeout(LATENCY)
    return {
      writePagesAsync: { prepare: soil, run: () => pass('writePagesAsync', atOnce) },
      writeExtentsAsync: { prepare: soil, run: () => pass('writeExtentsAsync', atOnce) },
      slow: { prepare: soil, run: () => pass('writeExtentsAsync', slow) },
      'await each': {
        prepare: soil,
        run: async () => {
          for (const _ of all) await slow()
        },
      },
    }
  }
  const warm = build(1000)
  for (let i = 0; i < 200 && name !== 'await each'; i++) {
    for (const { prepare, run } of [warm.writePagesAsync, warm.writeExtentsAsync]) {
      prepare()
      await run()
    }
  }
  const { slow, 'await each': each } = build(writes)
  return { ...build(folios), slow, 'await each': each }
}
