// SPDX-License-Identifier: GPL-2.0-only
// Loaded before a sample of the documentation: makes its n-th write go wrong, and reports at the end whether
// a page was lost.
//
// FAILING_WRITE is n, from 1; 0 for none. FAILING_WRITE_KIND is EIO, or 'short' for a write that takes half
// of its bytes. FAILING_WRITE_REPORT is the file that gets { writes, wrong }: how many writes there were, and
// what is wrong at the end.
//
// Writes are the calls of node:fs, and the callbacks of writePages and writeExtents that make no such calls.

const fs = require('node:fs')
const { AddressSpace: NativeOrJs } = require('writeback-iter')
const js = require('writeback-iter/js')

const { FAILING_WRITE, FAILING_WRITE_KIND, FAILING_WRITE_REPORT } = process.env
const failing = Number(FAILING_WRITE)
const PAGE = 4096
const ENOSPC = -28

let writes = 0
/** Pages whose last write failed. */
const unwritten = new Set()
const wrong = []

function error() {
  return Object.assign(new Error('EIO: i/o error, write'), { errno: -5, code: 'EIO', syscall: 'write' })
}

/** Counts a write of `length` bytes; how many of them are to be tried. Throws if it is to fail. */
function begin(position, length) {
  writes++
  for (let page = Math.floor(position / PAGE); page * PAGE < position + length; page++) {
    if (writes === failing) unwritten.add(page)
    else unwritten.delete(page)
  }
  if (writes !== failing) return length
  if (FAILING_WRITE_KIND === 'EIO') throw error()
  return length >> 1
}

function cut(buffers, length) {
  return [Buffer.concat(buffers).subarray(0, length)]
}

const { writeSync, writevSync } = fs
fs.writeSync = (fd, buffer, offset, length, position) =>
  writeSync(fd, buffer, offset, begin(position, length), position)
fs.writevSync = (fd, buffers, position) => {
  const length = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const tried = begin(position, length)
  return writevSync(fd, tried === length ? buffers : cut(buffers, tried), position)
}

const { open } = fs.promises
let patched = false
fs.promises.open = async (...args) => {
  const handle = await open(...args)
  const prototype = Object.getPrototypeOf(handle)
  if (!patched) {
    patched = true
    const { write } = prototype
    prototype.write = async function (buffer, offset, length, position) {
      return write.call(this, buffer, offset, begin(position, length), position)
    }
  }
  return handle
}

/** The mappings of the program. */
const mappings = new Set()
for (const { prototype } of new Set([NativeOrJs, js.AddressSpace])) {
  const { addFolio, writePages, writeExtents } = prototype
  prototype.addFolio = function (...args) {
    mappings.add(this)
    return addFolio.apply(this, args)
  }
  /** Makes the callback count as a write of its folio or extent if it makes none itself. */
  const asWrite = (callback) => (what) => {
    const before = writes
    const result = callback(what)
    const length = what.nrPages * PAGE
    if (writes === before && begin(what.index * PAGE, length) < length) return ENOSPC
    return result
  }
  prototype.writePages = function (wbc, callback, ...rest) {
    return writePages.call(this, wbc, asWrite(callback), ...rest)
  }
  prototype.writeExtents = function (wbc, callback, ...rest) {
    return writeExtents.call(this, wbc, asWrite(callback), ...rest)
  }
}

/** A closed mapping has none. */
function foliosOf(mapping) {
  try {
    return [...mapping.folios()]
  } catch {
    return []
  }
}

process.on('unhandledRejection', (reason) => {
  wrong.push(`nobody waits for a promise that is rejected: ${reason}`)
})
process.on('exit', () => {
  for (const mapping of mappings) {
    for (const folio of foliosOf(mapping)) {
      for (const state of ['locked', 'writeback']) {
        if (folio[state] && writes >= failing) wrong.push(`folio ${folio.index} is left: ${state}`)
      }
      if (!folio.dirty) continue
      for (let page = 0; page < folio.nrPages; page++) unwritten.delete(folio.index + page)
    }
  }
  for (const page of unwritten) wrong.push(`page ${page} is neither written nor dirty`)
  fs.writeFileSync(FAILING_WRITE_REPORT, JSON.stringify({ writes, wrong }))
})
