// SPDX-License-Identifier: GPL-2.0-only
// Every program tests its entry points by this: a smoke test of each, and the golden traces in the folder
// TRACES. It prints one line, `CHECKED {…}`, which run.mjs reads, and throws on any failure.

const assert = require('node:assert')
const { mkdtempSync, readdirSync, readFileSync, rmSync } = require('node:fs')
const { createRequire } = require('node:module')
const { tmpdir } = require('node:os')
const { dirname, join } = require('node:path')
const { isMainThread } = require('node:worker_threads')
const { gunzipSync } = require('node:zlib')

// Resolves as a file of the program's folder does, also if this file is part of a bundle elsewhere.
const userRequire = createRequire(join(process.cwd(), 'package.json'))
const root = dirname(userRequire.resolve('writeback-iter/package.json'))

/** One pass by each way of iterating, over three folios. */
function checkBackend(m, name) {
  assert.equal(m.backend, name)
  using(new m.AddressSpace(), (mapping) => {
    const dirty = () => {
      for (const index of [0, 1, 4])
        (mapping.getFolio(index) ?? mapping.addFolio(index, index / 2)).markDirty()
    }
    mapping.addFolio(1)
    const wbc = () => new m.WritebackControl({ syncMode: 'all' })
    const finish = (folio) => {
      folio.startWriteback()
      folio.unlock()
      folio.endWriteback()
    }
    const ways = {
      writebackIter(seen) {
        const control = wbc()
        const error = { value: 0 }
        let folio = null
        while ((folio = m.writebackIter(mapping, control, folio, error)) !== null) {
          finish(folio)
          seen.push(folio.index)
        }
        assert.equal(error.value, 0)
      },
      'for of'(seen) {
        for (const folio of mapping.writeback(wbc())) {
          finish(folio)
          seen.push(folio.index)
        }
      },
      writePages(seen) {
        assert.equal(
          mapping.writePages(wbc(), (folio) => void seen.push(folio.index)),
          0,
        )
      },
      writeExtents(seen) {
        const each = (extent) => void seen.push(...extent.folios.map((folio) => folio.index))
        assert.equal(mapping.writeExtents(wbc(), each), 0)
      },
      writeCachePages(seen) {
        const each = (folio) => {
          finish(folio)
          seen.push(folio.index)
        }
        assert.equal(m.writeCachePages(mapping, wbc(), each), 0)
      },
    }
    for (const [way, pass] of Object.entries(ways)) {
      dirty()
      const seen = []
      pass(seen)
      assert.deepEqual(seen, [0, 1, 4], way)
      assert.equal(mapping.tagged('dirty'), false, way)
    }
    assert.throws(
      () => mapping.addFolio(1),
      (error) => error instanceof m.WritebackError && error.code === 'EEXIST',
    )
  })
}

function using(mapping, body) {
  try {
    body(mapping)
  } finally {
    mapping.close()
  }
}

function checkFile({ CachedFile }) {
  const folder = mkdtempSync(join(tmpdir(), 'writeback-iter-file-'))
  try {
    const path = join(folder, 'file')
    const bytes = Buffer.alloc(20_000, 'writeback')
    const file = CachedFile.openSync(path)
    file.writeSync(bytes, 5000)
    file.fsyncSync()
    file.closeSync()
    assert.deepEqual(readFileSync(path).subarray(5000), bytes)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Replays every trace; returns the number of traces. */
function replayTraces(m) {
  const { parseTrace } = userRequire(join(root, 'dist/trace/format.js'))
  const { replay } = userRequire(join(root, 'dist/trace/replay.js'))
  const names = readdirSync(process.env.TRACES)
  for (const name of names) {
    const trace = parseTrace(name, gunzipSync(readFileSync(join(process.env.TRACES, name))).toString())
    assert.equal(replay(trace, m).divergence, null, name)
  }
  return names.length
}

/** The file in the package from which the addon was loaded; null for a runtime that does not tell. */
function addonPath() {
  const file = Object.keys(userRequire.cache ?? {}).find((name) => name.endsWith('.node'))
  return file === undefined ? null : file.slice(root.length + 1).replaceAll('\\', '/')
}

/**
 * Checks the entry points: the modules as they were loaded, `native` an error where that one does not load.
 */
exports.check = ({ main, js, native, file }) => {
  assert.equal(userRequire('writeback-iter/package.json').name, 'writeback-iter')
  assert.equal(native instanceof Error ? 'js' : 'native', main.backend)
  if (native instanceof Error) assert.match(native.message, /^ELIBACC: the native backend does not load: \S/)
  else checkBackend(native, 'native')
  checkBackend(main, main.backend)
  checkBackend(js, 'js')
  checkFile(file)
  const traces = replayTraces(main)
  const outcome = {
    backend: main.backend,
    traces,
    addon: addonPath(),
    thread: isMainThread ? 'main' : 'worker',
  }
  console.log(`CHECKED ${JSON.stringify(outcome)}`)
}
