// SPDX-License-Identifier: GPL-2.0-only
// The process in which alloc_failure.test.ts lets allocations fail: child.mjs BACKEND SHIM ADDON, with the
// shim (shim.c) preloaded. A program of calls runs twice: once without failures, and once with every
// allocation of every call failing first. Both runs must have the same results and states.
//
// Prints as JSON: which calls allocate and how often, and the places in the addon that allocations were made
// from.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [name, shim, addon] = process.argv.slice(2)
const require = createRequire(import.meta.url)
const {
  AOP_WRITEPAGE_ACTIVATE,
  AddressSpace,
  Folio,
  WritebackControl,
  WritebackError,
  writebackIter,
  writeCachePages,
} = require(`../../dist/${name}/index.js`)
const { CachedFile } = require('../../dist/file/index.js')

function dlopen(path) {
  const module = { exports: {} }
  process.dlopen(module, path)
  return module.exports
}

// The words of the shim's state.
const words = new Int32Array(dlopen(shim))
const KINDS = 0
const COUNTDOWN = 1
const FAILED = 3
const NR_SITES = 4
const SITES = 5
const OF_ADDON = 1

/** The number of folios in a chunk of the native backend: native/core/folio.h. */
const CHUNK_FOLIOS = 1012
const OF_BUFFERS = 2

const LAST = 2 ** 51 - 1
/** A number that no allocation reaches. */
const NEVER = 2 ** 30

/** Calls the function with its allocation of this number failing. */
function withFailure(number, call) {
  let result
  let error = null
  words[COUNTDOWN] = number
  words[FAILED] = 0
  words[KINDS] = OF_ADDON | OF_BUFFERS
  try {
    result = call()
  } catch (cause) {
    error = cause
  }
  words[KINDS] = 0
  return { result, error, failed: words[FAILED] !== 0 }
}

/** The visible state of mappings and controls. */
function stateOf(things) {
  return things.map((thing) => {
    if (thing instanceof WritebackControl) {
      const { nrToWrite, pagesSkipped, rangeStart, rangeEnd, syncMode, taggedWritepages, rangeCyclic } = thing
      return { nrToWrite, pagesSkipped, rangeStart, rangeEnd, syncMode, taggedWritepages, rangeCyclic }
    }
    if (!(thing instanceof AddressSpace)) return { ...thing }
    const flags = (folio) =>
      ['locked', 'dirty', 'writeback', 'uptodate'].filter((flag) => folio[flag]).join(' ')
    return {
      folios: Array.from(thing.folios(), (folio) => `${folio.index}/${folio.order} ${flags(folio)}`),
      marks: ['dirty', 'writeback', 'towrite'].map((mark) => [
        thing.tagged(mark),
        Array.from(thing.folios(mark), (folio) => folio.index),
      ]),
      nrPages: thing.nrPages,
      writebackIndex: thing.writebackIndex,
    }
  })
}

/** The part of a result that is compared. */
function plain(result) {
  if (result?.value instanceof Folio) return { ...result, value: plain(result.value) }
  if (result instanceof Folio) return `folio ${result.index}/${result.order}`
  if (Array.isArray(result)) return result.map(plain)
  return result instanceof AddressSpace ? 'mapping' : result
}

function dirtyAll(mapping) {
  for (const folio of mapping.folios()) folio.markDirty()
}

/** How often each kind of call failed for memory. */
const failures = new Map()

/** Runs the program. Returns the result of every step, and the state after it. */
function run(failing) {
  const steps = []
  /** The objects whose state is compared before and after each call. */
  const things = []

  /** Makes a call of the program. The call changes no other state, so it may be repeated. */
  function step(what, call) {
    let done
    for (;;) {
      const before = stateOf(things)
      done = withFailure(failing ? step.number++ : NEVER, call)
      if (!done.failed) break
      assert.ok(done.error instanceof WritebackError, `${what}: ${done.error?.stack ?? 'no error'}`)
      assert.equal(done.error.code, 'ENOMEM', what)
      assert.match(done.error.message, /^ENOMEM: no memory/, what)
      assert.deepEqual(stateOf(things), before, what)
      failures.set(what, (failures.get(what) ?? 0) + 1)
    }
    step.number = 0
    if (done.error !== null && !(done.error instanceof WritebackError)) throw done.error
    if (failing && !failures.has(what)) failures.set(what, 0)
    if (done.result instanceof AddressSpace) things.push(done.result)
    steps.push({ what, result: plain(done.result), error: done.error?.message, state: stateOf(things) })
    return done.result
  }
  step.number = 0

  const control = (init) => {
    const wbc = step('new WritebackControl', () => new WritebackControl(init))
    things.push(wbc)
    return wbc
  }
  const mapping = (nrFolios) => {
    const made = dirtyMapping(nrFolios)
    things.push(made)
    return made
  }

  // Mappings: the first one, and others while it is open.
  const first = step('new AddressSpace', () => new AddressSpace())
  const second = step('new AddressSpace', () => new AddressSpace({ pageShift: 16 }))

  // Folios: the first one, every level of the tree, large ones, and those that are refused.
  for (const [index, order] of [
    [0, 0],
    [1, 0],
    [64, 0],
    [LAST, 0],
    [LAST - 63, 0],
    [2 ** 30, 0],
    [2 ** 20, 18],
    [2 ** 40, 9],
    [2 ** 40, 0],
    [0, 18],
  ]) {
    step('addFolio', () => first.addFolio(index, order))
  }

  // Calls that need no memory. The program dirties more folios than the list of deferred marks holds.
  const many = step('new AddressSpace', () => new AddressSpace())
  const folios = Array.from({ length: 260 }, (_, i) => {
    const add = () => many.addFolio(i * 64)
    return i < 120 ? step('addFolio', add) : add()
  })
  step('markDirty', () => folios.map((folio) => folio.markDirty()))
  step('getFolio', () => [many.getFolio(64), many.getFolio(65)])
  step('folios', () => [...many.folios(), ...many.folios('dirty', 5, 1000)])
  step('tagPagesForWriteback', () => many.tagPagesForWriteback(64, 640))
  step('tagged', () => many.tagged('towrite'))
  step('tryLock', () => folios[5].tryLock())
  step('startWriteback', () => folios[5].startWriteback(true))
  step('unlock', () => folios[5].unlock())
  step('endWriteback', () => folios[5].endWriteback())
  step('removeFolio', () => many.removeFolio(folios[6]))
  step('addFolio', () => many.addFolio(6 * 64))

  // Memory for more chunks of folios, and the list of chunks. The other additions take too long to be checked
  // one by one.
  const large = new AddressSpace()
  for (let index = 0; index <= 8 * CHUNK_FOLIOS; index++) {
    const add = () => large.addFolio(index)
    if (index % CHUNK_FOLIOS === 0) step('addFolio, of many', add)
    else add()
  }

  // Passes by writebackIter, several at a time, and folios that are added meanwhile.
  const error = { value: 0 }
  dirtyAll(first)
  const wbc = control({ syncMode: 'all' })
  let last = step('writebackIter', () => writebackIter(first, wbc, null, error))
  for (let i = 0; last !== null; i++) {
    const folio = last
    const other = control({ nrToWrite: 5 })
    step('writebackIter', () => writebackIter(many, other, null, error))
    step('addFolio in a pass', () => first.addFolio(2 ** (33 + i)))
    folio.startWriteback()
    folio.unlock()
    folio.endWriteback()
    last = step('writebackIter', () => writebackIter(first, wbc, folio, error))
  }

  // Iterators.
  const iterated = mapping(40)
  const iterator = iterated.writeback(control())
  for (let i = 0; ; i++) {
    const { value } = step('next', () => iterator.next())
    if (value === undefined) break
    step('addFolio in a pass', () => iterated.addFolio(2 ** 20 * (i + 1)))
    step('folios', () => [...iterated.folios('dirty')])
    step('getFolio', () => iterated.getFolio(i))
    if (i === 5) step('return', () => iterator.return())
  }

  // One callback per folio. Each callback sees the changes of the one before.
  const written = mapping(40)
  const byFolio = control({ syncMode: 'all' })
  step('writePages', () =>
    written.writePages(byFolio, ({ index }) => {
      if (index % 4 === 0) step('addFolio in a pass', () => written.addFolio(2 ** 20 * (index + 1)))
      if (index % 4 === 1) step('folios', () => [...written.folios()])
      if (index === 10) step('removeFolio', () => written.removeFolio(written.getFolio(12)))
      if (index === 20) {
        const inner = control({ nrToWrite: 7 })
        step('writePages in a pass', () => written.writePages(inner, () => {}))
      }
      if (index === 37) return -5
    }),
  )

  // One callback per extent, and a pass within one.
  const extents = mapping(40)
  const byExtent = control()
  step('writeExtents', () =>
    extents.writeExtents(
      byExtent,
      (extent) => {
        step('extent.folios', () => extent.folios)
        step('addFolio in a pass', () => extents.addFolio(2 ** 20 * (extent.index + 1)))
        if (extent.index === 8) {
          const inner = control()
          step('removeFolio', () => extents.removeFolio(extents.getFolio(30)))
          step('writeExtents in a pass', () =>
            extents.writeExtents(inner, (view) => void step('extent.folios', () => view.folios)),
          )
        }
      },
      { maxPages: 8 },
    ),
  )
  const legacy = mapping(5)
  const byCall = control()
  step('writeCachePages', () =>
    writeCachePages(legacy, byCall, (folio) => {
      step('addFolio in a pass', () => legacy.addFolio(2 ** 20 * (folio.index + 1)))
      return AOP_WRITEPAGE_ACTIVATE
    }),
  )

  while (things.length > 0) {
    const thing = things.pop()
    if (thing instanceof AddressSpace) step('close', () => thing.close())
  }
  step('addFolio', () => second.addFolio(0))
  return steps
}

/** A mapping with `nrFolios` dirty folios. */
function dirtyMapping(nrFolios) {
  const mapping = new AddressSpace()
  for (let index = 0; index < nrFolios; index++) mapping.addFolio(index).markDirty()
  return mapping
}

/** A pass that needs no room for stretches. */
function writeAll(mapping, wbc) {
  for (const folio of mapping.writeback(wbc)) {
    folio.startWriteback()
    folio.unlock()
    folio.endWriteback()
  }
}

/** A new pass without memory leaves the unfinished pass on its control, which goes on. */
function checkUnfinished(begin, hadPass) {
  const mapping = dirtyMapping(40)
  const wbc = new WritebackControl()
  const error = { value: 0 }
  if (hadPass) {
    writeAll(mapping, wbc)
    dirtyAll(mapping)
    // The block of memory of that pass is the next one's, and that of this one is free.
    const other = writebackIter(mapping, new WritebackControl({ rangeStart: 4096 * 39 }), null, error)
    assert.equal(other.index, 39)
    writeAll(mapping, new WritebackControl({ rangeEnd: 0 }))
    mapping.getFolio(0).markDirty()
  }
  const folio = writebackIter(mapping, wbc, null, error)
  if (hadPass) writeAll(mapping, new WritebackControl({ rangeStart: 4096 * 30, rangeEnd: 4096 * 30 }))
  const before = stateOf([mapping, wbc])
  const attempt = withFailure(0, () => begin(mapping, wbc))
  assert.ok(attempt.failed)
  assert.equal(attempt.error?.code, 'ENOMEM')
  assert.deepEqual(stateOf([mapping, wbc]), before)
  assert.equal(writebackIter(mapping, wbc, folio, error).index, 1)
}

/** As an asynchronous iterator, too, a pass that did not begin can begin again. */
async function checkAsync() {
  const mapping = dirtyMapping(40)
  const iterator = mapping.writeback(new WritebackControl())
  const attempt = withFailure(0, () => iterator[Symbol.asyncIterator]().next())
  assert.ok(attempt.failed)
  await assert.rejects(attempt.result, { name: 'WritebackError', code: 'ENOMEM' })
  let count = 0
  for await (const folio of iterator) {
    folio.startWriteback()
    folio.unlock()
    folio.endWriteback()
    count++
  }
  assert.equal(count, 40)
}

/** What importing the package calls. */
function checkCreate() {
  const module = dlopen(addon)
  const control = new ArrayBuffer(256)
  let number = 0
  for (;;) {
    const { result, error, failed } = withFailure(number++, () => module.create(control))
    assert.equal(error, null)
    assert.equal(typeof result, failed ? 'undefined' : 'object')
    if (!failed) break
  }
  assert.equal(number, 2)
}

/**
 * A file on the TypeScript engine: a call that failed with ENOMEM has lost no data. Returns how many calls
 * failed.
 */
function checkFile() {
  const folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-alloc-'))
  const path = join(folder, 'file')
  const data = Buffer.alloc(100_000, 7)
  const read = Buffer.alloc(200_000)
  let file = null
  let count = 0
  fs.writeFileSync(path, Buffer.alloc(300_000, 1))
  const step = (call) => {
    const look = () => (file === null ? null : [file.size, file.dirtyPages])
    for (let number = 0; ; number++, count++) {
      const before = look()
      const { result, error, failed } = withFailure(number, call)
      if (!failed) {
        assert.equal(error, null)
        return result
      }
      assert.equal(error?.code, 'ENOMEM')
      assert.deepEqual(look(), before)
    }
  }
  file = step(() => CachedFile.openSync(path, { engine: 'js', lock: false }))
  step(() => file.writeSync(data, 12_345))
  step(() => file.readSync(read, 0))
  step(() => file.fsyncSync())
  step(() => file.writeSync(data, 5_000_000))
  step(() => file.writebackSync(100))
  step(() => file.truncateSync(60_001))
  step(() => file.writeSync(data, 500))
  step(() => file.closeSync())
  assert.ok(fs.readFileSync(path).equals(Buffer.concat([Buffer.alloc(500, 1), data])))
  fs.rmSync(folder, { recursive: true })
  return count
}

async function main() {
  if (name === 'native') {
    checkCreate()
    checkUnfinished((mapping, wbc) => writebackIter(mapping, wbc, null, { value: 0 }), false)
    checkUnfinished((mapping, wbc) => mapping.writeback(wbc).next(), false)
    checkUnfinished((mapping, wbc) => mapping.writePages(wbc, assert.fail), false)
    checkUnfinished((mapping, wbc) => mapping.writeExtents(wbc, assert.fail), false)
    checkUnfinished((mapping, wbc) => mapping.writeExtents(wbc, assert.fail), true)
    checkUnfinished((mapping, wbc) => writeCachePages(mapping, wbc, assert.fail), false)
    await checkAsync()
  }
  const fileFailures = name === 'js' ? checkFile() : 0
  const expected = run(false)
  const found = run(true)
  assert.equal(found.length, expected.length)
  for (let i = 0; i < found.length; i++) assert.deepEqual(found[i], expected[i], found[i].what)
  const sites = Array.from(words.subarray(SITES, SITES + words[NR_SITES]))
  console.log(JSON.stringify({ failures: Object.fromEntries(failures), fileFailures, sites }))
}

await main()
