// SPDX-License-Identifier: GPL-2.0-only
// One pass (tag, iterate, callback, start, unlock, end) over dense single-page folios, both backends in turn in one
// process: the minimum of several interleaved runs, in nanoseconds a folio.

import * as js from 'writeback-iter/js'
import * as native from 'writeback-iter/native'

const FOLIOS = 100_000
const RUNS = 30

const passes = {
  writePages: ({ WritebackControl }, mapping) => {
    mapping.writePages(new WritebackControl({ syncMode: 'all' }), () => {})
  },
  writeExtents: ({ WritebackControl }, mapping) => {
    mapping.writeExtents(new WritebackControl({ syncMode: 'all' }), () => {})
  },
  writebackIter: ({ WritebackControl, writebackIter }, mapping) => {
    const wbc = new WritebackControl({ syncMode: 'all' })
    const error = { value: 0 }
    for (let folio = null; (folio = writebackIter(mapping, wbc, folio, error)) !== null; ) {
      folio.startWriteback()
      folio.unlock()
      folio.endWriteback()
    }
  },
  'for…of': ({ WritebackControl }, mapping) => {
    for (const folio of mapping.writeback(new WritebackControl({ syncMode: 'all' }))) {
      folio.startWriteback()
      folio.unlock()
      folio.endWriteback()
    }
  },
}

const sides = [native, js].map((backend) => {
  const mapping = new backend.AddressSpace()
  const folios = Array.from({ length: FOLIOS }, (_, index) => mapping.addFolio(index))
  return { backend, mapping, folios }
})

const best = new Map()
for (let run = 0; run < RUNS; run++) {
  for (const [name, pass] of Object.entries(passes)) {
    for (const { backend, mapping, folios } of sides) {
      for (const folio of folios) folio.markDirty()
      const start = process.hrtime.bigint()
      pass(backend, mapping)
      const nanoseconds = Number(process.hrtime.bigint() - start) / FOLIOS
      if (mapping.tagged('dirty')) throw new Error(`${name} left something dirty`)
      const key = `${name} ${backend.backend}`
      best.set(key, Math.min(best.get(key) ?? Number.POSITIVE_INFINITY, nanoseconds))
    }
  }
}

console.log(
  `${FOLIOS} dense folios, one pass, ns a folio (minimum of ${RUNS} interleaved runs), Node ${process.version}`,
)
console.log(`${'pass'.padEnd(16)}${'native'.padStart(10)}${'js'.padStart(10)}${'js / native'.padStart(14)}`)
for (const name of Object.keys(passes)) {
  const [a, b] = ['native', 'js'].map((side) => best.get(`${name} ${side}`))
  console.log(
    `${name.padEnd(16)}${a.toFixed(1).padStart(10)}${b.toFixed(1).padStart(10)}${(b / a).toFixed(2).padStart(14)}`,
  )
}
