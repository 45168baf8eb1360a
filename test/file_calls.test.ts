// SPDX-License-Identifier: GPL-2.0-only
// The addon's half of the file engine: handles, promises in call order, and environments that end.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { nativeMissing } from './backends.js'

const binding = join(__dirname, '..', 'binding.js')
const directory = fs.mkdtempSync(join(tmpdir(), 'file-calls-'))
afterAll(() => fs.rmSync(directory, { recursive: true }))

/** The start of every program: 8 MiB of memory, and `open` for a new file. */
const PRELUDE = `
  const assert = require('node:assert'), fs = require('node:fs'), worker = require('node:worker_threads')
  const calls = require(${JSON.stringify(binding)})().createFileEngine()
  const MIB = 2 ** 20, END = Number.MAX_SAFE_INTEGER
  // A worker calls it after the main thread, so its call has no effect.
  calls.configure(0, 0, 8 * MIB, MIB, 4 * MIB, 30000, 5000, 4)
  const path = worker.workerData ?? process.argv[1]
  const open = (flags = 'w+') => {
    const fd = fs.openSync(path, flags)
    const file = calls.open(fd, path, flags !== 'r', 1, 2)
    fs.closeSync(fd)
    return file
  }
`

let nr = 0

/** Runs a program in a process of its own; its file must have these bytes afterwards. */
function run(program: string): Buffer {
  const path = join(directory, `${nr++}`)
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    ['-e', `${PRELUDE};(async () => {${program}})()`, path],
    { encoding: 'utf8', timeout: 240_000 },
  )
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  return fs.readFileSync(path)
}

describe.skipIf(nativeMissing !== null || process.platform !== 'linux')(
  'the calls of the file engine',
  () => {
    test('give numbers where nothing has to be waited for, and else promises', () => {
      const bytes = run(`
      const file = open()
      assert.equal(calls.write(file, Buffer.from('first'), 0), 5)
      assert.equal(calls.read(file, Buffer.alloc(9), 0), 5)
      assert.equal(await calls.fsync(file, 0, END, true), 0)
      assert.equal(await calls.truncate(file, 3), 0)
      assert.equal(calls.size(file), 3)
      assert.equal(await calls.close(file, 0, 0, false), 0)
      const again = open('r+'), into = Buffer.alloc(9)
      const read = calls.read(again, into, 0)
      assert(read instanceof Promise)
      assert.equal(await read, 3)
      assert.equal(into.toString('latin1', 0, 3), 'fir')
      assert.equal(calls.read(again, into, 0), 3)
      assert.equal(calls.closeSync(again, false), 0)
    `)
      expect(bytes.toString()).toBe('fir')
    })

    test('refuse wrong handles and arguments', () => {
      run(`
      const file = open()
      for (const handle of [-1, 1, 99, 0.5, 2 ** 40, NaN, '0', null, undefined, {}]) {
        assert.equal(calls.write(handle, Buffer.alloc(1), 0), -9)
        assert.equal(calls.size(handle), -9)
        assert.equal(calls.fsync(handle, 0, 1, true), -9)
      }
      for (const bytes of [null, 'x', new Uint16Array(1), new ArrayBuffer(1)]) {
        assert.equal(calls.write(file, bytes, 0), -22)
        assert.equal(calls.readSync(file, bytes, 0), -22)
      }
      assert.equal(calls.open(9999, path, true, 1, 1), -9)
      assert.equal(calls.open(fs.openSync('/', 'r'), '/', false, 1, 1), -22)
      calls.closeSync(file, false)
      assert.equal(calls.closeSync(file, false), -9)
    `)
    })

    test('take writes in the order of their calls, and have copied the bytes', () => {
      const bytes = run(`
      const file = open(), buffer = Buffer.alloc(3 * MIB), wait = []
      for (let i = 1; i <= 40; i++) {
        buffer.fill(i)
        wait.push(calls.write(file, buffer, (i % 3) * MIB))
        const into = Buffer.alloc(1)
        // A read that has to wait may see later writes, too.
        wait.push(Promise.resolve(calls.read(file, into, (i % 3) * MIB)).then(() => assert(into[0] >= i)))
      }
      buffer.fill(0)
      assert(wait.some((each) => each instanceof Promise), 'nobody was held back')
      for (const each of await Promise.all(wait)) assert(each === 3 * MIB || each === undefined)
      assert.equal(await calls.close(file, 0, 0, false), 0)
    `)
      expect(bytes.length).toBe(5 * 2 ** 20)
      expect([bytes[0], bytes[2 ** 20], bytes[4 * 2 ** 20]]).toEqual([39, 40, 38])
    })

    test('give -EINVAL where the array of a read was detached meanwhile', () => {
      run(`
      calls.closeSync(open(), false)
      fs.writeFileSync(path, Buffer.alloc(MIB, 1))
      const file = open('r+'), into = new Uint8Array(MIB)
      const read = calls.read(file, into, 0)
      structuredClone(into.buffer, { transfer: [into.buffer] })
      assert.equal(await read, -22)
      calls.closeSync(file, false)
    `)
    })

    test('a process that ends with open files has written them', () => {
      for (const end of ['', 'process.exit(0)', 'calls.fsync(file, 0, END, false); process.exit(0)']) {
        const bytes = run(`const file = open(); calls.writeSync(file, Buffer.alloc(3 * MIB, 7), 5); ${end}`)
        expect(bytes.length).toBe(3 * 2 ** 20 + 5)
        expect(bytes[3 * 2 ** 20]).toBe(7)
      }
    })

    test('a worker that is terminated in the middle of a call leaves the cache usable', () => {
      const bytes = run(`
      const program = ${JSON.stringify(PRELUDE)} + \`
        const file = open('r+'), bytes = Buffer.alloc(MIB, 3)
        worker.parentPort.postMessage('open')
        for (let i = 0; ; i = (i + 1) % 16) {
          calls.writeSync(file, bytes, i * MIB)
          calls.fsync(file, 0, END, true)
          if (i % 4 === 0) calls.fsyncSync(file, 0, END, true)
        }\`
      const file = open()
      for (let round = 0; round < 5; round++) {
        const thread = new worker.Worker(program, { eval: true, workerData: path })
        await new Promise((resolve, reject) => { thread.once('message', resolve); thread.once('error', reject) })
        await new Promise((resolve) => setTimeout(resolve, 20))
        await thread.terminate()
        assert.equal(calls.writeSync(file, Buffer.from('main'), 0), 4)
        assert.equal(await calls.fsync(file, 0, END, true), 0)
      }
      assert.equal(calls.closeSync(file, false), 0)
      assert.equal(calls.closeSync(open('r+'), false), 0)
    `)
      expect(bytes.toString('latin1', 0, 4)).toBe('main')
    })

    test('two threads share the cache of a file', () => {
      run(`
      const file = open()
      calls.writeSync(file, Buffer.from('from main'), 0)
      const program = ${JSON.stringify(PRELUDE)} + \`
        const file = open('r+'), into = Buffer.alloc(9)
        assert.equal(calls.readSync(file, into, 0), 9)
        assert.equal(into.toString(), 'from main')
        calls.writeSync(file, Buffer.from('worker'), 0)\`
      const thread = new worker.Worker(program, { eval: true, workerData: path })
      await new Promise((resolve, reject) => { thread.once('exit', resolve); thread.once('error', reject) })
      const into = Buffer.alloc(9)
      assert.equal(calls.readSync(file, into, 0), 9)
      assert.equal(into.toString(), 'workerain')
      calls.closeSync(file, true)
    `)
    })
  },
)
