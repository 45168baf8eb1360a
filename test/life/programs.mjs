// SPDX-License-Identifier: GPL-2.0-only
// What life.test.ts runs in processes of their own: node --expose-gc programs.mjs PROGRAM BACKEND [ARGUMENT].
// A program that finds something wrong throws.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { getHeapStatistics } from 'node:v8'
import vm from 'node:vm'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const require = createRequire(import.meta.url)
const [program, name, argument] = isMainThread ? process.argv.slice(2) : workerData
const entry = fileURLToPath(new URL(`../../dist/${name}/index.js`, import.meta.url))
const backend = require(entry)
const { AddressSpace, WritebackControl, writebackIter, writeCachePages } = backend

const MIB = 2 ** 20
/** AddressSanitizer delays the reuse of freed memory, and reports leaks by itself. */
const RESIDENT_IS_MEASURED = !('ASAN_OPTIONS' in process.env)

/** Counts the collected objects. Kept here, since a registry that is itself collected calls no callback. */
let registry

/** A mapping with `count` dirty folios. */
function dirtyMapping(count, mapping = new AddressSpace()) {
  for (let i = 0; i < count; i++) mapping.addFolio(i).markDirty()
  return mapping
}

function write(folio) {
  folio.startWriteback()
  folio.unlock()
  folio.endWriteback()
}

/** Every way to iterate: calls `body` with each dirty folio, which is written then. */
const ways = {
  writebackIter(mapping, body) {
    const wbc = new WritebackControl()
    const error = { value: 0 }
    let folio = null
    while ((folio = writebackIter(mapping, wbc, folio, error)) !== null) {
      body(folio)
      write(folio)
    }
  },
  forOf(mapping, body) {
    for (const folio of mapping.writeback(new WritebackControl({ syncMode: 'all' }))) {
      body(folio)
      write(folio)
    }
  },
  writePages(mapping, body) {
    mapping.writePages(new WritebackControl(), body)
  },
  writeExtents(mapping, body) {
    mapping.writeExtents(new WritebackControl({ syncMode: 'all' }), (extent) => {
      // A removal during the loop moves the folios of the array.
      for (const folio of extent.folios) body(folio)
    })
  },
  writeCachePages(mapping, body) {
    writeCachePages(mapping, new WritebackControl({ taggedWritepages: true }), (folio) => {
      body(folio)
      write(folio)
    })
  },
  folios(mapping, body) {
    for (const folio of mapping.folios('dirty')) {
      folio.tryLock()
      body(folio)
      write(folio)
    }
  },
}

/** Collects what is garbage, and lets the finalizers run. */
async function collectGarbage() {
  for (let i = 0; i < 3; i++) {
    gc()
    await nextTurn()
  }
}

/**
 * Memory in MiB: the live objects on V8's heap, and the resident memory outside that heap, which is the
 * addon's. Neither has the pages that V8 keeps for its own heap: it doubles its young generation at any time.
 */
function memoryInUse() {
  const { used_heap_size, total_physical_size } = getHeapStatistics()
  return { heap: used_heap_size / MIB, native: (process.memoryUsage.rss() - total_physical_size) / MIB }
}

/**
 * Collects garbage until `done` says so, ten times at most: V8 frees in threads and tasks of its own, which a
 * busy machine runs late. Returns what `done` said last.
 */
async function collectUntil(done) {
  for (let i = 0; i < 10 && !done(); i++) {
    await collectGarbage()
    await sleep(50)
  }
  return done()
}

/**
 * Runs `round`, and throws if memory has grown between the rounds to warm up and the end: V8's by 1 MiB,
 * which is several times its noise, or the addon's by `native` MiB.
 */
async function assertFlat(what, round, { warmUp, rounds, native }) {
  const limits = RESIDENT_IS_MEASURED ? { heap: 1, native } : { heap: 1 }
  for (let i = 0; i < warmUp; i++) await round()
  let least = Infinity
  await collectUntil(() => {
    const last = least
    least = memoryInUse().heap
    return least > last - 0.1
  })
  const before = memoryInUse()
  for (let i = 0; i < rounds; i++) await round()
  const after = memoryInUse()
  const flat = await collectUntil(() => {
    Object.assign(after, memoryInUse())
    return Object.keys(limits).every((kind) => after[kind] - before[kind] < limits[kind])
  })
  assert(
    flat,
    `${what}, in MiB: ${JSON.stringify(before)}, then ${JSON.stringify(after)}; limits ${JSON.stringify(limits)}`,
  )
}

/** A worker that runs another of the programs. */
function startWorker(program, argument) {
  return new Worker(new URL(import.meta.url), { workerData: [program, name, argument] })
}

const programs = {
  /** Garbage is collected in mid-pass, and only the iteration refers to its objects. */
  async collectInMidIteration() {
    for (const [way, iterate] of Object.entries(ways)) {
      let count = 0
      iterate(dirtyMapping(500), (folio) => {
        if (count++ % 50 === 0) gc()
        assert.equal(folio.mapping.getFolio(folio.index), folio)
        assert.equal(folio.locked, true)
      })
      assert.equal(count, 500, way)
    }
    const iterator = dirtyMapping(500).writeback(new WritebackControl())
    const lister = dirtyMapping(500).folios()
    const folio = dirtyMapping(500).getFolio(7)
    await collectGarbage()
    let count = 0
    for (const folio of iterator) {
      if (count++ % 100 === 0) await collectGarbage()
      write(folio)
    }
    for (const folio of lister) {
      if (count++ % 100 === 0) await collectGarbage()
      assert.equal(folio.dirty, true)
    }
    assert.equal(count, 1000)
    assert.equal(folio.mapping.getFolio(7), folio)
    folio.mapping.close()
    await collectGarbage()
    assert.equal(folio.index, 7)
    assert.equal(folio.dirty, true)
  },

  /** Passes that the program never ends leave nothing behind. */
  async abandonPasses() {
    const mapping = dirtyMapping(200)
    const collected = { passes: 0, iterators: 0 }
    registry = new FinalizationRegistry((kind) => collected[kind]++)
    const round = async () => {
      for (let i = 0; i < 500; i++) {
        const wbc = new WritebackControl()
        const folio = writebackIter(mapping, wbc, null, { value: 0 })
        write(folio)
        folio.markDirty()
        registry.register(wbc, 'passes')
        const iterator = mapping.writeback(new WritebackControl())
        const { value } = iterator.next()
        write(value)
        value.markDirty()
        registry.register(iterator, 'iterators')
      }
      await collectGarbage()
    }
    await assertFlat('abandoned passes', round, { warmUp: 5, rounds: 20, native: 4 })
    const all = () => collected.passes > 24 * 500 && collected.iterators > 24 * 500
    assert(await collectUntil(all), JSON.stringify(collected))
    // The folios of the batches can be removed and added again.
    for (const folio of mapping.folios()) mapping.removeFolio(folio)
    assert.equal(mapping.nrPages, 0)
    dirtyMapping(200, mapping)
    ways.writePages(mapping, () => {})
    assert.equal(mapping.tagged('dirty'), false)
  },

  /** Mappings that the program never closes are closed when they are collected, before memory runs out. */
  async abandonMappings() {
    let collected = 0
    registry = new FinalizationRegistry(() => collected++)
    const round = async () => {
      for (let i = 0; i < 200; i++) {
        const mapping = dirtyMapping(100)
        registry.register(mapping)
        // Every second mapping is in mid-pass.
        if (i % 2 === 0) writebackIter(mapping, new WritebackControl(), null, { value: 0 })
      }
      await nextTurn()
    }
    // A round takes some 5 MiB, so a leak of one mapping in four shows; memory that malloc() keeps back does
    // not.
    await assertFlat('abandoned mappings', round, { warmUp: 60, rounds: 60, native: 64 })
    assert(await collectUntil(() => collected > 119 * 200), `${collected} were collected`)
  },

  /** Very many mappings at once. */
  async manyMappings() {
    const round = () => {
      const mappings = []
      for (let i = 0; i < 20_000; i++) {
        const mapping = new AddressSpace()
        mapping.writebackIndex = i
        mappings.push(mapping)
      }
      mappings[500].addFolio(5).markDirty()
      for (let i = 0; i < mappings.length; i += 3) mappings[i].close()
      for (const [i, mapping] of mappings.entries()) assert.equal(mapping.writebackIndex, i)
      assert.equal(mappings[500].nrPages, 1)
      for (const mapping of mappings) mapping.close()
    }
    await assertFlat('many mappings', round, { warmUp: 10, rounds: 10, native: 24 })
  },

  /**
   * Mappings that are closed one after another: close() itself frees them, not a later turn of the event
   * loop.
   */
  closeAtOnce() {
    const closeMany = (count) => {
      for (let i = 0; i < count; i++) new AddressSpace().close()
    }
    closeMany(100_000)
    const before = process.memoryUsage.rss()
    closeMany(1_000_000)
    const grown = (process.memoryUsage.rss() - before) / MIB
    if (RESIDENT_IS_MEASURED) assert(grown < 64, `${grown.toFixed(1)} MiB more`)
  },

  /** As many iterations as the argument says, in memory that stays flat. */
  async iterateForLong() {
    const FOLIOS = 10_000
    const mapping = dirtyMapping(FOLIOS)
    const names = Object.keys(ways)
    let turn = 0
    let iterations = 0
    const round = () => {
      // A tenth of the folios is replaced each time.
      for (let i = turn % 10; i < FOLIOS; i += 10) {
        mapping.removeFolio(mapping.getFolio(i))
        mapping.addFolio(i)
      }
      for (const folio of mapping.folios()) folio.markDirty()
      ways[names[turn++ % names.length]](mapping, () => {
        iterations++
      })
    }
    const rounds = Number(argument) / FOLIOS
    const warmUp = Math.round(rounds / 3)
    await assertFlat('iterations', round, { warmUp, rounds: rounds - warmUp, native: 4 })
    assert.equal(iterations, Number(argument))
  },

  /**
   * As many passes as the argument says, left in every way, in memory that stays flat. Each has folios of its
   * own, which are removed afterwards: a reference that a pass forgets keeps the memory of one.
   */
  async leavePasses() {
    // More folios than a batch has.
    const FOLIOS = 40
    const mapping = new AddressSpace()
    const mine = new Error('mine')
    const fail = () => {
      throw mine
    }
    const leave = (init, pass) => {
      dirtyMapping(FOLIOS, mapping)
      pass(new WritebackControl(init))
      for (let index = 0; index < FOLIOS; index++) {
        const folio = mapping.getFolio(index)
        if (folio === null) continue
        if (folio.writeback) folio.endWriteback()
        if (folio.locked) folio.unlock()
        mapping.removeFolio(folio)
      }
    }
    const thrown = (pass) => {
      try {
        pass()
      } catch (error) {
        if (error === mine) return
        throw error
      }
      assert.fail('it did not throw')
    }
    const exits = {
      'to the end': (wbc) => mapping.writePages(wbc, () => {}),
      'to the end, by extents': (wbc) => mapping.writeExtents(wbc, () => {}),
      'end of the budget': (wbc) => mapping.writePages(wbc, () => void (wbc.nrToWrite = 0)),
      'an errno': (wbc) => mapping.writePages(wbc, () => -5),
      'an errno, by extents': (wbc) => mapping.writeExtents(wbc, () => -5),
      'a throw': (wbc) => thrown(() => mapping.writePages(wbc, fail)),
      'a throw, by extents': (wbc) => thrown(() => mapping.writeExtents(wbc, fail)),
      'a throw, its extent looked at': (wbc) =>
        thrown(() =>
          mapping.writeExtents(wbc, (extent) => {
            assert.equal(extent.folios.length, FOLIOS)
            fail()
          }),
        ),
      'a folio that goes meanwhile': (wbc) =>
        mapping.writePages(wbc, (folio) => {
          folio.unlock()
          mapping.removeFolio(folio)
        }),
      'a break': (wbc) => {
        for (const _ of mapping.writeback(wbc)) break
      },
      'a throw in for…of': (wbc) =>
        thrown(() => {
          for (const _ of mapping.writeback(wbc)) fail()
        }),
      'a folio that is locked': (wbc) => {
        mapping.getFolio(1).tryLock()
        try {
          mapping.writePages(wbc, () => {})
          assert.fail('it did not throw')
        } catch (error) {
          assert.equal(error.code, 'EDEADLK')
        }
      },
    }
    for (const [exit, pass] of Object.entries(exits)) {
      for (const syncMode of ['all', 'none']) {
        if (exit === 'a folio that is locked' && syncMode === 'none') continue
        const passes = Math.round(Number(argument) / Object.keys(exits).length / 2 / 5)
        const round = () => {
          for (let i = 0; i < passes; i++) leave({ syncMode }, pass)
        }
        await assertFlat(`${exit}, ${syncMode}`, round, { warmUp: 1, rounds: 4, native: 1 })
      }
    }
  },

  /** Per round, 16 threads load the addon, use it and end. */
  async workers() {
    for (let round = 0; round < 3; round++) {
      const workers = Array.from({ length: 16 }, (_, i) => startWorker('useAll', i))
      const exits = await Promise.all(workers.map((worker) => once(worker, 'exit')))
      assert.deepEqual(exits.flat(), new Array(16).fill(0))
    }
  },

  /** In a worker: uses everything, and leaves half of the objects open. */
  useAll() {
    for (const iterate of Object.values(ways)) {
      const mapping = dirtyMapping(300)
      let count = 0
      iterate(mapping, () => {
        count++
      })
      assert.equal(count, 300)
      if (argument % 2 === 0) mapping.close()
    }
    writebackIter(dirtyMapping(100), new WritebackControl(), null, { value: 0 })
  },

  /** Threads are terminated in the middle of a pass. */
  async terminateWorkers() {
    for (const way of Object.keys(ways)) {
      const workers = Array.from({ length: 5 }, () => startWorker('useForever', way))
      await Promise.all(workers.map((worker) => once(worker, 'message')))
      for (const worker of workers) {
        await sleep(3)
        assert.equal(await worker.terminate(), 1)
      }
    }
  },

  /** In a worker: iterates in one way until it is terminated. */
  useForever() {
    const mapping = dirtyMapping(1000)
    parentPort.postMessage('ready')
    for (;;) {
      dirtyMapping(50)
      ways[argument](mapping, (folio) => {
        if (folio.index % 100 === 0) gc()
      })
      for (const folio of mapping.folios()) folio.markDirty()
    }
  },

  /** A worker ends itself in a callback. */
  async exitWorkers() {
    for (const way of Object.keys(ways)) {
      assert.deepEqual(await once(startWorker('exitInPass', way), 'exit'), [7])
    }
  },

  /** The process, or the worker, ends in a callback, with open mappings and passes. */
  exitInPass() {
    const open = Array.from({ length: 100 }, () => dirtyMapping(40))
    writebackIter(open[0], new WritebackControl(), null, { value: 0 })
    open[1].writeback(new WritebackControl()).next()
    process.on('exit', () => {
      // The addon works until the process ends.
      assert.equal(open[2].nrPages, 40)
      ways.writePages(open[2], () => {})
      open[3].close()
    })
    ways[argument](dirtyMapping(100), (folio) => {
      if (folio.index === 50) process.exit(7)
    })
  },

  /** An uncaught exception passes through a pass. */
  throwInPass() {
    ways[argument](dirtyMapping(100), (folio) => {
      if (folio.index === 50) throw new Error('out of a pass')
    })
  },

  /** The mapping is closed in mid-pass, in every way, and its memory is freed. */
  async closeInPass() {
    const round = async () => {
      for (const iterate of Object.values(ways)) {
        const mapping = dirtyMapping(200)
        let last = null
        const closeAt50 = (folio) => {
          last = folio
          if (folio.index === 50) mapping.close()
        }
        assert.throws(() => iterate(mapping, closeAt50), { name: 'WritebackError', code: 'EBADF' })
        gc()
        assert.throws(() => last.markDirty(), { code: 'EBADF' })
        assert.equal(mapping.nrPages, 0)
        mapping.close()
      }
    }
    await assertFlat('closed in a pass', round, { warmUp: 10, rounds: 30, native: 4 })
  },

  /** The modules are loaded more than once, and each copy is on its own. */
  async loadTwice() {
    const copies = [backend]
    for (let i = 0; i < 10; i++) {
      for (const file of Object.keys(require.cache)) if (file.includes('/dist/')) delete require.cache[file]
      copies.push(require(entry))
    }
    await checkCopies(copies)
  },

  /** Each context has a copy of its own. */
  async contexts() {
    const copies = [backend, ...Array.from({ length: 10 }, () => loadInNewContext(entry))]
    assert.notEqual(copies[1].AddressSpace.constructor, Function)
    await checkCopies(copies)
    copies.length = 0
    for (let i = 0; i < 20; i++) {
      loadInNewContext(entry)
      await collectGarbage()
    }
  },

  /**
   * Passes within passes until the stack is full: the mappings work afterwards, whichever call was cut short.
   */
  overflowStack() {
    for (const [way, iterate] of Object.entries(ways)) {
      const mappings = []
      const nest = () => {
        const mapping = dirtyMapping(5)
        mappings.push(mapping)
        iterate(mapping, nest)
      }
      assert.throws(nest, RangeError)
      assert(mappings.length > 100, way)
      for (const mapping of mappings) {
        // The last mapping may not have all its folios.
        for (let i = 0; i < 5; i++) if (mapping.getFolio(i) === null) mapping.addFolio(i)
        for (const folio of mapping.folios()) {
          if (folio.writeback) folio.endWriteback()
          if (folio.locked) folio.unlock()
          folio.markDirty()
        }
        let count = 0
        iterate(mapping, () => {
          count++
        })
        assert.equal(count, 5, way)
        assert.equal(mapping.nrPages, 5, way)
        for (const mark of ['writeback', 'towrite']) assert.equal(mapping.tagged(mark), false, way)
        // Folios that no pass took are still dirty after they are written.
        assert.equal(mapping.tagged('dirty'), way === 'folios', way)
      }
    }
  },

  /**
   * Garbage is collected in the middle of a pass that awaits, and only the writes under way refer to the
   * pass.
   */
  async collectInAsyncPass() {
    for (const method of asyncWays) {
      let written = 0
      const mapping = dirtyMapping(200)
      const wbc = new WritebackControl({ syncMode: 'all' })
      // The event loop has the promise: no object of the program refers to the pass.
      const write = async () => {
        await nextTurn()
        if (written++ % 50 === 0) gc()
      }
      const result = await mapping[method](wbc, write, { concurrency: 7, maxPages: 1 })
      assert.deepEqual(
        [result, written, mapping.tagged('dirty'), mapping.tagged('writeback')],
        [0, 200, false, false],
      )
    }
  },

  /** As many writes as the argument says, of passes that await, in memory that stays flat. */
  async awaitForLong() {
    const FOLIOS = 10_000
    const mapping = dirtyMapping(FOLIOS)
    const { signal } = new AbortController()
    let turn = 0
    let writes = 0
    const round = async () => {
      for (const folio of mapping.folios()) folio.markDirty()
      const write = async () => {
        writes++
      }
      const wbc = new WritebackControl({ syncMode: 'all' })
      await mapping[asyncWays[turn++ % 2]](wbc, write, { signal, maxPages: 1 })
    }
    const rounds = Number(argument) / FOLIOS
    const warmUp = Math.round(rounds / 3)
    await assertFlat('writes', round, { warmUp, rounds: rounds - warmUp, native: 4 })
    assert.equal(writes, Number(argument))
  },

  /**
   * Passes that end early, in every way, leave nothing behind, even with a folio that is never unlocked or
   * with a signal.
   */
  async endAsyncPasses() {
    const mapping = dirtyMapping(3)
    const folios = [...mapping.folios()]
    folios[2].tryLock()
    const failing = [
      async () => -5,
      async () => Promise.reject(new Error('mine')),
      () => {
        throw new Error('mine')
      },
    ]
    // Node.js frees its own signals late.
    const listeners = new Set()
    const signal = {
      aborted: false,
      reason: 'aborted',
      addEventListener: (_, listener) => listeners.add(listener),
      removeEventListener: (_, listener) => listeners.delete(listener),
    }
    const round = async () => {
      for (let i = 0; i < 2000; i++) {
        const pass = (init) =>
          mapping[asyncWays[i % 2]](new WritebackControl(init), failing[i % 3], { signal })
        await pass({ rangeEnd: 4096 }).catch(() => 0)
        // The pass waits for the locked folio until it is aborted.
        const blocked = pass({ syncMode: 'all', rangeStart: 2 * 4096 })
        await undefined
        for (const abort of listeners) abort()
        await assert.rejects(blocked, (reason) => reason === 'aborted')
        assert.equal(listeners.size, 0)
      }
      assert.deepEqual(
        folios.map(({ dirty }) => dirty),
        [true, true, true],
      )
    }
    await assertFlat('passes that end early', round, { warmUp: 3, rounds: 10, native: 4 })
  },

  /** A process that ends while writes are under way. */
  async exitInAsyncPass() {
    process.on('exit', () => assert.equal(process.exitCode, 7))
    for (const method of asyncWays) {
      void dirtyMapping(100)[method](new WritebackControl(), () => sleep(100_000), { maxPages: 1 })
    }
    await nextTurn()
    process.exit(7)
  },

  /** Passes that begin near the end of the stack: each one completes or does nothing. */
  async overflowStackAsync() {
    process.removeAllListeners('unhandledRejection')
    process.on('unhandledRejection', () => {})
    for (const method of asyncWays) {
      for (let frame = 1; frame < 40; frame += 3) {
        const mapping = dirtyMapping(5)
        const promises = []
        const dive = (...values) => {
          try {
            dive(...values)
          } catch {
            if (promises.length < 20) promises.push(mapping[method](new WritebackControl(), async () => {}))
            throw new RangeError('up')
          }
        }
        assert.throws(() => dive(...new Array(frame).fill(0)), RangeError)
        for (const { reason } of await Promise.allSettled(promises))
          assert(reason === undefined || reason instanceof RangeError)
        const states = Array.from(mapping.folios(), ({ dirty, locked, writeback }) => [
          dirty,
          locked,
          writeback,
        ])
        for (const state of states) assert.deepEqual(state, states[0])
        assert.deepEqual(states[0].slice(1), [false, false])
        assert.equal(mapping.tagged('dirty'), states[0][0])
        assert.equal(await mapping[method](new WritebackControl({ syncMode: 'all' }), async () => {}), 0)
        assert.deepEqual(
          [mapping.tagged('dirty'), mapping.tagged('writeback'), mapping.tagged('towrite')],
          [false, false, false],
        )
      }
    }
  },
}

/** The passes that await. */
const asyncWays = ['writePagesAsync', 'writeExtentsAsync']

/**
 * Copies of the modules work side by side, in turns, and each treats the objects of another copy as foreign.
 */
async function checkCopies(copies) {
  const mappings = copies.map((copy) => dirtyMapping(100, new copy.AddressSpace()))
  const controls = copies.map((copy) => new copy.WritebackControl())
  const errors = copies.map(() => ({ value: 0 }))
  const last = copies.map(() => null)
  for (let turn = 0; turn <= 100; turn++) {
    for (const [i, copy] of copies.entries()) {
      last[i] = copy.writebackIter(mappings[i], controls[i], last[i], errors[i])
      if (turn < 100) assert.equal(last[i].index, turn)
      else assert.equal(last[i], null)
      if (last[i] !== null) write(last[i])
    }
    if (turn % 20 === 0) await collectGarbage()
  }
  const [first, second] = copies
  assert.notEqual(first.AddressSpace, second.AddressSpace)
  const isForeign = { name: 'WritebackError', code: 'EINVAL' }
  assert.throws(() => second.writebackIter(mappings[0], controls[1], null, { value: 0 }), isForeign)
  assert.throws(() => second.writebackIter(mappings[1], controls[0], null, { value: 0 }), isForeign)
  assert.throws(() => mappings[1].removeFolio(mappings[0].getFolio(0)), isForeign)
  for (const mapping of mappings.slice(1)) mapping.close()
}

/** A CommonJS module and all below it, with the globals of a new context. */
function loadInNewContext(file) {
  const context = vm.createContext({ process, structuredClone, setTimeout, console })
  const modules = new Map()
  const load = (file) => {
    if (modules.has(file)) return modules.get(file).exports
    const module = { exports: {} }
    modules.set(file, module)
    const outer = createRequire(file)
    const inner = (id) => {
      if (!id.startsWith('.') && id !== 'node-gyp-build') return outer(id)
      return load(outer.resolve(id))
    }
    const parameters = ['module', 'exports', 'require', '__dirname', '__filename']
    const source = readFileSync(file, 'utf8')
    // node-gyp-build requires the addon with its own require.
    if (file.includes('node-gyp-build')) return outer(file)
    const wrapper = vm.compileFunction(source, parameters, { filename: file, parsingContext: context })
    wrapper(module, module.exports, inner, dirname(file), file)
    return module.exports
  }
  return load(file)
}

process.on('unhandledRejection', (error) => {
  throw error
})
Promise.resolve(programs[program]())
