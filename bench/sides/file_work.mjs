// SPDX-License-Identifier: GPL-2.0-only
// What programs do with files, by `fs`, by CachedFile, and, where that is the limit, by the device alone: the
// same bytes by fio, directly, 1 MiB at a time. Each measurement has a process of its own.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { CachedFile, configure } from 'writeback-iter/file'
import { PlainFile } from './plain_file.mjs'
import { randomNumbers } from './random.mjs'

// What `npm start` runs.
const load = createRequire(import.meta.url)
/** @type {import('../../lib/cli/replay_workload.js')} */
const { replay } = load('../../dist/cli/replay_workload.js')
/** @type {import('../../lib/cli/workload.js')} */
const workload = load('../../dist/cli/workload.js')

const PAGE = 4096
const MIB = 2 ** 20
/** Bytes of one write of those that are sequential. */
const PIECE = 64 * 1024
/** Memory for the work that has less of it than the file has bytes. */
const SMALL_MEMORY = 64 * MIB
/** The file that is written sparsely. */
const SPARSE_SIZE = 8 * 2 ** 30

/** Milliseconds that fio takes to write a file directly. @param {string} path @param {number} bytes */
function writeByDevice(path, bytes) {
  const options = ['--name=limit', '--direct=1', '--rw=write', '--bs=1m', '--ioengine=libaio', '--iodepth=32']
  const { stdout, error, status } = spawnSync(
    'fio',
    [...options, `--filename=${path}`, `--size=${bytes}`, '--end_fsync=1', '--output-format=json'],
    { encoding: 'utf8' },
  )
  if (error) throw new Error(`fio does not run (apt-get install fio): ${error.message}`)
  if (status !== 0) throw new Error(`fio ended with ${status}: ${stdout}`)
  return JSON.parse(stdout).jobs[0].write.runtime
}

/** Memory that is read as a file is: no cache is faster than its copies. @param {number} bytes */
function openMemory(bytes) {
  const memory = Buffer.alloc(bytes, 1)
  return {
    /** @param {Uint8Array} into @param {number} position */
    readSync: (into, position) => into.set(memory.subarray(position, position + into.length)),
  }
}

/** The most memory that the process had, in MiB. */
function peakMemory() {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/self/status', 'latin1'))?.[1]) / 1024
}

/**
 * Threads write to one file, or, without a path, copy the same bytes into memory: no cache is faster.
 * @param {string | null} path @param {number} threads @param {number} pages - of all threads together
 */
async function writeByWorkers(path, threads, pages) {
  const memory = path === null ? new SharedArrayBuffer(pages * PAGE) : null
  const program = `
    const { parentPort, workerData: { path, memory, first, pages } } = require('node:worker_threads')
    const open = (CachedFile) => {
      if (path !== null) return CachedFile.openSync(path, { engine: 'native' })
      const bytes = Buffer.from(memory)
      return { writeSync: (page, position) => bytes.set(page, position), closeSync: () => {} }
    }
    import('writeback-iter/file').then(({ CachedFile }) => {
      const file = open(CachedFile)
      const page = Buffer.alloc(${PAGE}, 1)
      const write = () => {
        for (let i = first; i < first + pages; i++) file.writeSync(page, i * ${PAGE})
      }
      parentPort.once('message', () => {
        write()
        parentPort.postMessage('done')
        file.closeSync({ discard: true })
      })
      // The memory is warm.
      write()
      parentPort.postMessage('ready')
    })`
  const each = pages / threads
  const workers = Array.from(
    { length: threads },
    (_, i) => new Worker(program, { eval: true, workerData: { path, memory, first: i * each, pages: each } }),
  )
  const all = () =>
    Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
  await all()
  const begin = performance.now()
  for (const worker of workers) worker.postMessage('go')
  await all()
  const milliseconds = performance.now() - begin
  await Promise.all(workers.map((worker) => worker.terminate()))
  return milliseconds
}

/**
 * @param {string} name - 'fs', an engine of a CachedFile, 'device', 'memory', or a number of threads
 * @param {{ scale: number }} shape - by how much the work is smaller
 * @returns {Record<string, import('./shape.mjs').Operation | import('./shape.mjs').AsyncOperation>}
 */
export function open(name, { scale }) {
  const directory = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-bench-'))
  process.on('exit', () => fs.rmSync(directory, { recursive: true }))
  const path = join(directory, 'file')
  const page = Buffer.alloc(PAGE, 'writeback')
  const piece = Buffer.alloc(PIECE, 'writeback')
  const into = Buffer.alloc(PIECE)
  /** @param {string} flags */
  const openFile = (flags) =>
    name === 'fs'
      ? new PlainFile(path, flags)
      : CachedFile.openSync(path, { engine: /** @type {'native' | 'js'} */ (name), flags })
  /** The file, of zeros that are on the device. @param {number} bytes */
  const fill = (bytes) => {
    const file = new PlainFile(path, 'w')
    for (let at = 0; at < bytes; at += PIECE) file.writeSync(piece, at)
    file.fsyncSync()
    file.closeSync()
  }
  const pages = 65_536 / scale
  const gibibyte = 2 ** 30 / scale
  const random = randomNumbers(50_000 / scale, SPARSE_SIZE / PAGE)
  const nothing = () => {}

  /** @param {number} bytes */
  const writeInOrder = (bytes) => {
    const file = openFile('w+')
    for (let at = 0; at < bytes; at += PIECE) file.writeSync(piece, at)
    file.fsyncSync()
    file.closeSync()
  }

  /** Cached pages in random order. @param {number} pages */
  const reads = (pages) => ({
    prepare: () => fill(pages * PAGE),
    run: () => {
      const file = name === 'memory' ? openMemory(pages * PAGE) : openFile('r')
      for (let at = 0; at < pages * PAGE; at += PIECE) file.readSync(into, at)
      const order = randomNumbers(200_000 / scale, pages)
      const buffer = into.subarray(0, PAGE)
      const begin = performance.now()
      for (const number of order) file.readSync(buffer, number * PAGE)
      return performance.now() - begin
    },
  })

  return {
    builtin: {
      prepare: nothing,
      run: async () => {
        const work = workload.builtinWorkload()
        const { words, length } = work.operations
        const operations = new workload.Operations(words.subarray(0, 4 * Math.floor(length / scale)))
        const files = [openFile('w+')]
        const { seconds } = await replay({ ...work, operations }, files, new workload.WriteData(), nothing)
        return seconds * 1000
      },
    },
    first: {
      prepare: () => fill(pages * PAGE),
      run: () => {
        if (name === 'device') return writeByDevice(path, pages * PAGE)
        const begin = performance.now()
        const file = openFile('r+')
        for (const number of randomNumbers(pages, pages)) file.writeSync(page, number * PAGE)
        file.fsyncSync()
        return performance.now() - begin
      },
    },
    sequential: {
      prepare: () => configure({ memory: SMALL_MEMORY }),
      run: () => (name === 'device' ? writeByDevice(path, gibibyte) : writeInOrder(gibibyte)),
    },
    create: {
      prepare: nothing,
      run: () => {
        const file = openFile('w+')
        file.writeSync(page, 0)
        file.fsyncSync()
        file.closeSync()
        fs.unlinkSync(path)
      },
    },
    sparse: {
      prepare: nothing,
      run: () => {
        const before = process.cpuUsage()
        const file = openFile('w+')
        for (const number of random) file.writeSync(page, number * PAGE)
        file.fsyncSync()
        const { user, system } = process.cpuUsage(before)
        file.closeSync()
        return (user + system) / 1000
      },
    },
    reads: reads(pages),
    'reads of 1 MiB': reads(MIB / PAGE),
    'memory, written': {
      prepare: () => configure({ memory: SMALL_MEMORY }),
      run: () => {
        const before = peakMemory()
        writeInOrder(gibibyte)
        return peakMemory() - before
      },
    },
    'memory, read': {
      prepare: () => {
        configure({ memory: SMALL_MEMORY })
        fill(gibibyte)
      },
      run: () => {
        const before = peakMemory()
        const file = openFile('r')
        for (let at = 0; at < gibibyte; at += PIECE) file.readSync(into, at)
        return peakMemory() - before
      },
    },
    stall: {
      prepare: () => configure({ memory: 512 * MIB, dirtyBackground: 300 * MIB, dirty: 300 * MIB }),
      run: async () => {
        const file = openFile('w+')
        for (let at = 0; at < pages * PAGE; at += PIECE) file.writeSync(piece, at)
        let synced = false
        const sync = file.fsync().finally(() => {
          synced = true
        })
        let longest = 0
        for (let last = performance.now(); !synced; ) {
          await setImmediate()
          const now = performance.now()
          longest = Math.max(longest, now - last)
          last = now
        }
        await sync
        return longest
      },
    },
    threads: {
      prepare: () => {
        fs.writeFileSync(path, '')
        configure({ memory: 512 * MIB, dirtyBackground: 300 * MIB, dirty: 300 * MIB })
      },
      run: () => writeByWorkers(path, Number(name), pages),
    },
    copies: {
      prepare: nothing,
      run: () => writeByWorkers(null, Number(name), pages),
    },
  }
}
