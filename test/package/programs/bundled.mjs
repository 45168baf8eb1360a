// SPDX-License-Identifier: GPL-2.0-only
// Tests the entry points in a bundled program, and prints a line. The program has only those files of the
// package that the bundler took.

import assert from 'node:assert'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The file from which the system says that an addon was loaded. */
function addonPath() {
  return readFileSync('/proc/self/maps', 'utf8').match(/\/\S*\.node$/m)?.[0] ?? null
}

export function checkBundled({ main, js, CachedFile }) {
  for (const { AddressSpace, WritebackControl, WritebackError } of [main, js]) {
    const mapping = new AddressSpace()
    mapping.addFolio(4, 2).markDirty()
    let pages = 0
    mapping.writePages(new WritebackControl({ syncMode: 'all' }), (folio) => {
      pages += folio.nrPages
    })
    assert.equal(pages, 4)
    assert.throws(() => mapping.addFolio(4), WritebackError)
    mapping.close()
  }

  const folder = mkdtempSync(join(tmpdir(), 'writeback-iter-bundled-'))
  try {
    const file = CachedFile.openSync(join(folder, 'file'))
    file.writeSync(Buffer.from('bytes'), 5000)
    file.fsyncSync()
    assert.equal(file.engine, main.backend)
    file.closeSync()
    assert.equal(readFileSync(join(folder, 'file'), 'utf8').slice(5000), 'bytes')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return `CHECKED ${JSON.stringify({ backend: main.backend, traces: null, addon: addonPath() })}`
}
