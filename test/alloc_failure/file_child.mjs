// SPDX-License-Identifier: GPL-2.0-only
// The process in which alloc_failure.test.ts lets allocations of the file engine's calls fail: file_child.mjs
// SHIM FOLDER, with the shim preloaded. Prints as JSON how often each call failed with ENOMEM.
// test/file/faults.c tests the allocations of the engine's threads.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [shim, folder] = process.argv.slice(2)
const module = { exports: {} }
process.dlopen(module, shim)
const words = new Int32Array(module.exports)
const [KINDS, COUNTDOWN, FAILED, OF_ADDON] = [0, 1, 3, 1]
const ENOMEM = -12
const MIB = 2 ** 20

const failures = {}

/** Makes the call with its first allocation failing, then with its second, until none fails. */
function each(what, call, failed = (result) => result === ENOMEM) {
  failures[what] ??= 0
  for (let number = 0; ; number++) {
    words[COUNTDOWN] = number
    words[FAILED] = 0
    words[KINDS] = OF_ADDON
    const result = call()
    words[KINDS] = 0
    if (words[FAILED] === 0) return result
    assert.ok(failed(result), `${what}, allocation ${number}: ${result}`)
    failures[what]++
  }
}

const { createFileEngine } = createRequire(import.meta.url)('../../binding.js')()
const calls = each('createFileEngine', createFileEngine, (result) => result === undefined)
assert.equal(calls.configure(0, 0, 8 * MIB, MIB, 2 * MIB, 30000, 0, 4), 0)
const path = join(folder, 'file')
const fd = fs.openSync(path, 'w+')
const file = each('open', () => calls.open(fd, path, true, 1, 1))
each('write', () => calls.write(file, Buffer.alloc(10), 0))
assert.equal(await each('write, held back', () => calls.write(file, Buffer.alloc(3 * MIB, 1), 0)), 3 * MIB)
assert.equal(await each('fsync', () => calls.fsync(file, 0, MIB, true)), 0)
fs.writeFileSync(`${path}2`, 'to read')
const fd2 = fs.openSync(`${path}2`, 'r')
// The second open() does not repeat the allocations that the first one made for all files.
const other = each('open', () => calls.open(fd2, path, false, 1, 1))
assert.equal(await each('read', () => calls.read(other, Buffer.alloc(9), 0)), 7)
assert.equal(await each('close', () => calls.close(file, 0, 0, false)), 0)
console.log(JSON.stringify(failures))
