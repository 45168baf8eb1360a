// SPDX-License-Identifier: GPL-2.0-only
// The engine's own work, and what handles share: flusher, limits, memory, locks, the end of handles and
// processes.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CachedFile, configure } from '../lib/file/index.js'
import { engines, enginesAndForms } from './engines.js'
import { bytes, DEFAULT_LIMITS, expectBytes, limitFileSize, MIB, PAGE } from './file_helpers.js'

const root = join(__dirname, '..')
const entry = join(root, 'dist/file/index.js')
const folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-engine-'))
let path: string
let nr = 0
const opened: CachedFile[] = []

beforeEach(() => {
  path = join(folder, `file-${nr++}`)
  configure(DEFAULT_LIMITS)
})
afterEach(async () => {
  limitFileSize('unlimited')
  for (const file of opened.splice(0)) await file.close({ discard: true })
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

function open(engine: 'native' | 'js', options = {}, at = path): CachedFile {
  const file = CachedFile.openSync(at, { engine, ...options })
  opened.push(file)
  return file
}

/** MiB of random bytes: `bytes` is slow. */
const pool = bytes(8 * MIB)
const part = (length: number, at = 0) => pool.subarray(at, at + length)

const onDisk = (at = path) => new Uint8Array(fs.readFileSync(at))

/** Runs a program in a process of its own: `CachedFile`, `configure`, `fs`, `path`, `engine` are there. */
function program(engine: string, text: string, args: readonly string[] = []) {
  const prelude = `
    const { CachedFile, configure } = require(${JSON.stringify(entry)}), fs = require('node:fs')
    const path = ${JSON.stringify(path)}, engine = ${JSON.stringify(engine)};`
  return spawnSync(process.execPath, [...args, '-e', `${prelude}(async () => {${text}})()`], {
    encoding: 'utf8',
    timeout: 240_000,
  })
}

describe.each(engines)('the flusher, $engine', ({ engine }) => {
  test('writes above the background limit, and below it only what is old', async () => {
    configure({ dirtyBackground: 4 * MIB, dirtyExpire: 1_000_000 })
    const file = open(engine)
    await file.write(part(3 * MIB), 0)
    await sleep(300)
    expect(file.stats.pagesWritten).toBe(0)
    await file.write(part(2 * MIB), 3 * MIB)
    await expect.poll(() => file.stats.pagesWritten).toBeGreaterThan(0)
    configure({ dirtyBackground: 16 * MIB, dirtyExpire: 50, writebackInterval: 20 })
    await expect.poll(() => file.dirtyPages).toBe(0)
    expectBytes(onDisk().subarray(0, 3 * MIB), part(3 * MIB))
  })

  test('goes on with the other files where one was closed meanwhile', async () => {
    configure({ memory: 4 * MIB, dirty: MIB, dirtyBackground: 0 })
    for (let round = 0; round < 10; round++) {
      const files = Array.from({ length: 4 }, (_, i) => open(engine, { lock: false }, `${path}-${i}`))
      await Promise.all(files.map((file, i) => file.write(part(64 * PAGE, i), 0)))
      for (const file of files) file.closeSync()
      for (let i = 0; i < 4; i++) expectBytes(onDisk(`${path}-${i}`), part(64 * PAGE, i))
    }
  })

  test('a writer that is held back goes on where a truncate drops what was dirty', async () => {
    configure({ memory: 4 * MIB, dirty: 0, dirtyBackground: 0 })
    const file = open(engine)
    for (let round = 0; round < 300; round++) {
      await Promise.all([file.write(part(100 * PAGE), 0), file.truncate(0)])
    }
  })

  test('a file that cannot be written holds up no other', async () => {
    configure({ dirtyBackground: 0, dirty: 2 * MIB, memory: 8 * MIB })
    const bad = open(engine)
    limitFileSize(MIB)
    await bad.write(bytes(PAGE), 16 * MIB)
    const good = open(engine, {}, `${path}-good`)
    await good.write(part(MIB), 0)
    await expect.poll(() => good.dirtyPages).toBe(0)
    expect(bad.dirtyPages).toBe(1)
    await expect(bad.fsync()).rejects.toMatchObject({ code: 'EFBIG' })
    limitFileSize('unlimited')
    await bad.fsync()
    expect(bad.dirtyPages).toBe(0)
  })
})

describe.each(enginesAndForms)('memory and limits, $engine, $form', ({ engine, of }) => {
  test('writers are held back: what is dirty stays below the limit', async () => {
    const limits = { memory: 16 * MIB, dirtyBackground: 2 * MIB, dirty: 4 * MIB }
    configure(limits)
    const file = open(engine)
    const by = of(file)
    let most = 0
    for (let at = 0; at < 64 * MIB; at += 64 * 1024) {
      await by.write(part(64 * 1024), at)
      most = Math.max(most, file.dirtyPages)
      expect(file.cachedPages * PAGE).toBeLessThanOrEqual(limits.memory)
    }
    expect(most * PAGE).toBeLessThanOrEqual(limits.dirty + MIB)
    await by.fsync()
    const half = new Uint8Array(64 * 1024)
    for (let at = 0; at < 64 * MIB; at += MIB) {
      expect(await by.read(half, at)).toBe(half.length)
      expectBytes(half, part(64 * 1024))
    }
    expect(file.cachedPages * PAGE).toBeLessThanOrEqual(limits.memory)
  })

  test('truncate(0) and the last close give the memory back at once', async () => {
    const file = open(engine)
    const by = of(file)
    await by.write(part(8 * MIB), 0)
    expect(file.cachedPages).toBe(2048)
    await by.truncate(0)
    expect([file.cachedPages, file.dirtyPages]).toEqual([0, 0])
    await by.write(part(8 * MIB), 0)
    await by.fsync()
    await by.close()
    // A reference to the handle keeps no memory of the file.
    expect(() => file.cachedPages).toThrow('EBADF')
    configure({ memory: 4 * MIB, dirty: 2 * MIB, dirtyBackground: MIB })
  })

  test('writeback() goes on at the start of the file: 0 means that nothing is left', async () => {
    const file = open(engine)
    const by = of(file)
    await by.write(part(300 * PAGE), 0)
    let total = 0
    for (let n = -1; n !== 0; total += n) n = await by.writeback(70)
    expect([total, file.dirtyPages]).toEqual([300, 0])
    // writeback() begins in the middle, with dirty pages before that.
    await by.write(part(300 * PAGE), 0)
    expect(await by.writeback(200)).toBeGreaterThanOrEqual(200)
    await by.write(bytes(PAGE), 0)
    let n = -1
    while (n !== 0) n = await by.writeback(1000)
    expect(file.dirtyPages).toBe(0)
  })

  test('the close after it reports an error of writeback()', async () => {
    const file = open(engine)
    const by = of(file)
    await by.write(bytes(10), 0)
    limitFileSize(0)
    await expect(by.writeback()).rejects.toMatchObject({ code: 'EFBIG' })
    limitFileSize('unlimited')
    await expect(by.close()).rejects.toMatchObject({ code: 'EFBIG', syscall: 'close' })
    expectBytes(onDisk(), bytes(10)) // the page was written although the close threw
    await by.close()
  })
})

// AddressSanitizer keeps freed memory.
test.skipIf('ASAN_OPTIONS' in process.env).each(engines)(
  'memory of what is closed or cut off goes back to the system, $engine',
  ({ engine }) => {
    const { stdout, stderr } = program(
      engine,
      `
    const MIB = 2 ** 20
    const resident = () => Number(fs.readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096 / MIB
    configure({ memory: 256 * MIB, dirty: 256 * MIB, dirtyBackground: 256 * MIB, writebackInterval: 20 })
    // The native engine keeps free memory until it sees that no thread uses it.
    const settled = async () => {
      for (let i = 0; i < 200 && resident() - before > 20; i++) await new Promise((resolve) => setTimeout(resolve, 20))
      return resident()
    }
    const keep = [], data = Buffer.alloc(MIB, 1)
    const fill = (file) => { for (let at = 0; at < 64 * MIB; at += MIB) file.writeSync(data, at) }
    const first = CachedFile.openSync(path, { engine, lock: false })
    first.writeSync(data, 0)
    const before = resident()
    fill(first)
    const full = resident()
    first.truncateSync(0)
    const cut = await settled()
    const other = CachedFile.openSync(path + '-other', { engine, lock: false })
    keep.push(other)
    fill(other)
    other.closeSync({ discard: true })
    const closed = await settled()
    console.log(JSON.stringify({ full: full - before, cut: cut - before, closed: closed - before, keep: keep.length }))
    first.closeSync()`,
    )
    expect(stderr).toBe('')
    const { full, cut, closed } = JSON.parse(stdout)
    expect(full).toBeGreaterThan(55)
    expect(cut).toBeLessThan(20)
    expect(closed).toBeLessThan(20)
  },
)

describe.each(engines)('handles that nobody closed, $engine', ({ engine }) => {
  test('a forgotten handle keeps no later close from writing', () => {
    const forgotten = open(engine)
    forgotten.writeSync(bytes(PAGE), 0)
    const file = open(engine)
    file.writeSync(bytes(PAGE), 2 * PAGE)
    file.closeSync()
    expectBytes(onDisk().subarray(0, PAGE), bytes(PAGE))
    expectBytes(onDisk().subarray(2 * PAGE), bytes(PAGE))
  })

  test('a handle whose disposal failed is closed by another call', () => {
    const file = open(engine)
    file.writeSync(bytes(10), 0)
    limitFileSize(0)
    expect(() => file[Symbol.dispose]()).toThrow('EFBIG')
    limitFileSize('unlimited')
    expect(file.size).toBe(10)
    file.fsyncSync()
    file[Symbol.dispose]()
    expectBytes(onDisk(), bytes(10))
    expect(() => file.size).toThrow('EBADF')
  })

  test('a handle that is collected warns, is written back and lets the lock go', () => {
    const { stdout, stderr, status } = program(
      engine,
      `
      let warned = null
      process.on('warning', (warning) => { warned = warning })
      const forget = () => { CachedFile.openSync(path, { engine }).writeSync(Buffer.from('forgotten'), 0) }
      forget()
      for (let i = 0; i < 200 && (warned === null || fs.readFileSync(path, 'utf8') !== 'forgotten'); i++) {
        gc()
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      console.log(warned.name, warned.message === 'CachedFile ' + JSON.stringify(path) + ' was collected without close()')
      console.log(fs.readFileSync(path, 'utf8'))
      const file = await CachedFile.open(path, { engine: engine === 'js' ? undefined : 'js' })
      await file.close()`,
      ['--expose-gc', '--no-warnings'],
    )
    expect({ stdout, stderr, status }).toEqual({
      stdout: 'WritebackWarning true\nforgotten\n',
      stderr: '',
      status: 0,
    })
  })
})

describe.each(engines)('ends of a process, $engine', ({ engine }) => {
  test.each([
    ['the end of the program', '', 0],
    ['process.exit()', 'process.exit(3)', 3],
    ['an uncaught exception', "setImmediate(() => { throw new Error('on purpose') })", 1],
    ['an unhandled rejection', "Promise.reject(new Error('on purpose'))", 1],
  ])('%s keeps what was written', (_, end, expected) => {
    const { status } = program(
      engine,
      `const file = CachedFile.openSync(path, { engine }); file.writeSync(Buffer.alloc(100_000, 7), 0); ${end}`,
    )
    expect(status).toBe(expected)
    expectBytes(onDisk(), new Uint8Array(100_000).fill(7))
  })

  test('what cannot be written then is said, and the exit code is 1', () => {
    const { status, stderr } = program(
      engine,
      `
      const file = CachedFile.openSync(path, { engine })
      file.writeSync(Buffer.alloc(100_000, 7), 0)
      require('node:child_process').execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=10:'])`,
    )
    expect(stderr).toMatch(/^writeback-iter: .*EFBIG/)
    expect(stderr).toContain(path)
    expect(status).toBe(1)
  })
})

describe.each(engines)('the lock, $engine', ({ engine }) => {
  const elsewhere = (other: string, flags = 'r+') =>
    program(
      other,
      `try { CachedFile.openSync(path, { engine, flags: '${flags}' }).closeSync(); console.log('open') } catch (error) { console.log(error.code, error.message.includes(path)) }`,
    ).stdout.trim()

  test.each(engines)('another process, on $engine, gets EBUSY', async ({ engine: other }) => {
    const file = open(engine)
    expect(elsewhere(other)).toBe('EBUSY true')
    await file.close()
    expect(elsewhere(other)).toBe('open')
  })

  test('readers share it', async () => {
    fs.writeFileSync(path, 'x')
    const reader = open(engine, { flags: 'r' })
    expect(elsewhere(engine, 'r')).toBe('open')
    expect(elsewhere(engine)).toBe('EBUSY true')
    // A writer in this process makes the lock exclusive.
    const writer = await CachedFile.open(path, { engine })
    opened.push(writer)
    expect(elsewhere(engine, 'r')).toBe('EBUSY true')
    expect(reader.size).toBe(1)
  })

  test('lock: false does without', () => {
    open(engine, { lock: false })
    expect(elsewhere(engine)).toBe('open')
  })
})

describe.each(engines)('promises, $engine', ({ engine }) => {
  test('write has copied the bytes, and reads see every write called before', async () => {
    fs.writeFileSync(path, part(40 * PAGE))
    const file = open(engine)
    const expected = part(40 * PAGE).slice()
    const calls: Promise<unknown>[] = []
    for (let i = 0; i < 200; i++) {
      const data = part(1 + ((i * 997) % 9000), i * 1000).slice()
      const at = (i * 7919) % (30 * PAGE)
      expected.set(data, at)
      calls.push(file.write(data, at))
      data.fill(0)
    }
    const into = new Uint8Array(40 * PAGE)
    calls.push(file.read(into, 0))
    await Promise.all(calls)
    expectBytes(into, expected)
    const close = file.close()
    await expect(file.write(bytes(1), 0)).rejects.toMatchObject({ code: 'EBADF' })
    await close
    expectBytes(onDisk(), expected)
  })

  test('closeSync is EBUSY while calls are under way; close waits for them', async () => {
    const file = open(engine)
    file.writeSync(part(MIB), 0)
    const fsync = file.fsync()
    expect(() => file.closeSync()).toThrow('EBUSY')
    await file.close()
    await fsync
    expectBytes(onDisk(), part(MIB))
  })

  test('the event loop goes on during an fsync of 64 MiB', async () => {
    configure({ memory: 256 * MIB, dirty: 192 * MIB, dirtyBackground: 192 * MIB })
    const file = open(engine, { lock: false })
    const data = part(MIB)
    for (let at = 0; at < 64 * MIB; at += MIB) file.writeSync(data, at)
    let turns = 0
    let going = true
    const turn = () => {
      turns++
      if (going) setImmediate(turn)
    }
    turn()
    await file.fsync()
    going = false
    expect(turns).toBeGreaterThan(10)
  })

  test('streams', async () => {
    const data = part(3 * MIB + 77)
    const file = open(engine)
    const out = file.createWriteStream({ start: 1000, flush: true })
    for (let at = 0; at < data.length; at += 100_000) out.write(data.subarray(at, at + 100_000))
    out.end()
    await once(out, 'close')
    expectBytes(onDisk().subarray(1000), data)
    expect(() => file.size).toThrow('EBADF')
    const again = open(engine, { flags: 'r' })
    const chunks: Buffer[] = []
    for await (const chunk of again.createReadStream({ start: 1000, end: 2_000_999 })) chunks.push(chunk)
    expectBytes(new Uint8Array(Buffer.concat(chunks)), data.subarray(0, 2_000_000))
  })

  test('any view, and a number for each form of flags', async () => {
    const file = open(engine, { flags: fs.constants.O_RDWR | fs.constants.O_CREAT })
    await file.write(new Float64Array([1.5, 2.5]), 0)
    await file.write(new DataView(new Float64Array([3.5]).buffer), 16)
    const into = new Float64Array(3)
    expect(await file.read(into, 0)).toBe(24)
    expect([...into]).toEqual([1.5, 2.5, 3.5])
    await file.close()
    const reader = open(engine, { flags: 'r' })
    await expect(reader.write(bytes(1), 0)).rejects.toMatchObject({ code: 'EBADF' })
    const writer = open(engine, { flags: 'w' })
    await expect(writer.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'EBADF' })
    expect(reader.size).toBe(0)
  })

  test('a handle is no value: it cannot be cloned', () => {
    const file = open(engine)
    expect(() => structuredClone(file)).toThrow(expect.objectContaining({ name: 'DataCloneError' }))
  })

  test('stat counts what is not written yet', async () => {
    const file = open(engine)
    await file.write(bytes(10 * PAGE), 0)
    const stats = await file.stat()
    expect([stats.size, stats.blocks]).toEqual([10 * PAGE, 80])
    expect((await file.stat({ bigint: true })).size).toBe(BigInt(10 * PAGE))
    expect(file.statSync().isFile()).toBe(true)
  })

  test('deallocate makes zeros, in cache and file', async () => {
    const file = open(engine)
    await file.write(part(64 * PAGE), 0)
    await file.fsync()
    await file.write(bytes(PAGE, 3), 20 * PAGE)
    await file.deallocate({ start: 10 * PAGE + 5, end: 30 * PAGE + 6 })
    const expected = part(64 * PAGE).slice()
    expected.fill(0, 10 * PAGE + 5, 30 * PAGE + 7)
    const into = new Uint8Array(64 * PAGE)
    await file.read(into, 0)
    expectBytes(into, expected)
    await file.close()
    expectBytes(onDisk(), expected)
    if (engine === 'native') expect(fs.statSync(path).blocks).toBeLessThanOrEqual((64 - 19) * 8)
  })
})

describe.skipIf(!engines.some(({ engine }) => engine === 'native'))('threads', () => {
  const worker = (text: string) => `
    const { Worker } = require('node:worker_threads')
    const worker = new Worker(${JSON.stringify(`
      const { CachedFile, configure } = require(${JSON.stringify(entry)})
      const { workerData: path, parentPort } = require('node:worker_threads')
      ;(async () => {${text}})()`)}, { eval: true, workerData: path })
    const message = () => new Promise((resolve) => worker.once('message', resolve))`

  test('share the cache of a file', () => {
    const { stdout, stderr } = program(
      'native',
      `${worker(`
        const file = await CachedFile.open(path)
        const into = Buffer.alloc(5)
        await file.read(into, 0)
        await file.write(Buffer.from('worker'), 4096)
        parentPort.postMessage(into.toString())
        await file.close()`)}
      const file = await CachedFile.open(path)
      await file.write(Buffer.from('first'), 0)
      console.log(await message(), file.dirtyPages <= 2)
      const into = Buffer.alloc(6)
      file.readSync(into, 4096)
      console.log(into.toString())
      await file.close()`,
    )
    expect({ stdout, stderr }).toEqual({ stdout: 'first true\nworker\n', stderr: '' })
  })

  test('what another thread has configured stays', () => {
    const { stdout, stderr } = program(
      'native',
      `const file = await CachedFile.open(path)
      configure({ memory: 4 * 2 ** 20 })
      ${worker(`
        configure({ dirtyExpire: 1000 })
        const file = await CachedFile.open(path)
        configure({ dirty: 2 * 2 ** 20 })
        await file.close()
        parentPort.postMessage(0)`)}
      await message()
      try {
        configure({ dirtyBackground: 3 * 2 ** 20 })
      } catch (error) {
        console.log(error.message)
      }
      configure({ writebackInterval: 1000 })
      for (let i = 0; i < 16; i++) await file.write(Buffer.alloc(2 ** 20, 1), i * 2 ** 20)
      await file.fsync()
      console.log(file.cachedPages <= 1024, file.cachedPages > 256)
      await file.close()`,
    )
    const refused =
      'EINVAL: dirtyBackground is 3145728, dirty 2097152 and memory 4194304: none may be above the next'
    expect({ stdout, stderr }).toEqual({ stdout: `${refused}\ntrue true\n`, stderr: '' })
  })

  test('a worker that is terminated in the middle of its calls leaves the cache usable', () => {
    const { stdout, stderr } = program(
      'native',
      `configure({ memory: 8 * 2 ** 20, dirty: 4 * 2 ** 20, dirtyBackground: 2 ** 20 })
      const file = await CachedFile.open(path)
      for (let round = 0; round < 10; round++) {
        ${worker(`
          const file = await CachedFile.open(path)
          parentPort.postMessage('ready')
          for (;;) {
            const calls = []
            for (let i = 0; i < 64; i++) calls.push(file.write(Buffer.alloc(65536, 1), i * 65536))
            calls.push(file.fsync(), file.read(Buffer.alloc(100), 0))
            await Promise.all(calls)
          }`)}
        await message()
        await new Promise((resolve) => setTimeout(resolve, 5 * round))
        await worker.terminate()
        await file.write(Buffer.alloc(4096, 2), 0)
        await file.fsync()
        if (fs.readFileSync(path)[4095] !== 2) throw new Error('lost')
      }
      await file.close()
      console.log('usable')`,
    )
    expect({ stdout, stderr }).toEqual({ stdout: 'usable\n', stderr: '' })
  })
})

test.each(engines)('a child that runs on does not keep the lock, $engine', async ({ engine }) => {
  const file = open(engine)
  const child = spawn('sleep', ['30'], { stdio: 'ignore' })
  await file.close()
  const { stdout } = program(engine, 'CachedFile.openSync(path, { engine }).closeSync(); console.log("open")')
  expect(stdout).toBe('open\n')
  child.kill()
})
