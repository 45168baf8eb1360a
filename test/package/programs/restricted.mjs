// SPDX-License-Identifier: GPL-2.0-only
// A program that may read and write its own folder, and not much else.
import assert from 'node:assert'
import { readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { AddressSpace, backend, WritebackControl } from 'writeback-iter'
import { CachedFile } from 'writeback-iter/file'
import * as js from 'writeback-iter/js'

const native = await import('writeback-iter/native').catch((error) => error)
assert.equal(native.code, backend === 'js' ? 'ELIBACC' : undefined)
assert.equal(js.backend, 'js')

const mapping = new AddressSpace()
mapping.addFolio(4).markDirty()
assert.equal(
  mapping.writePages(new WritebackControl(), (folio) => void assert.equal(folio.index, 4)),
  0,
)

const path = fileURLToPath(new URL('./data', import.meta.url))
const file = CachedFile.openSync(path)
file.writeSync(Buffer.from('bytes'), 0)
assert.equal(file.engine, backend)
file.closeSync()
assert.equal(readFileSync(path, 'utf8'), 'bytes')
rmSync(path)
console.log(`CHECKED ${JSON.stringify({ backend, traces: null, addon: null })}`)
