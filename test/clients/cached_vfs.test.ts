// SPDX-License-Identifier: GPL-2.0-only
// What SQLite requires of a VFS (https://www.sqlite.org/c3ref/io_methods.html), of that in docs/sqlite.md.

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as VFS from '@journeyapps/wa-sqlite/src/VFS.js'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { engines } from '../engines.js'
import { CachedVFS } from './cached_vfs.mjs'
import { whileOpenElsewhere } from './other_process.js'

const CREATE = VFS.SQLITE_OPEN_CREATE | VFS.SQLITE_OPEN_READWRITE
const DATABASE = CREATE | VFS.SQLITE_OPEN_MAIN_DB
const JOURNAL = CREATE | VFS.SQLITE_OPEN_MAIN_JOURNAL
const TEMPORARY = CREATE | VFS.SQLITE_OPEN_TEMP_DB | VFS.SQLITE_OPEN_EXCLUSIVE | VFS.SQLITE_OPEN_DELETEONCLOSE
const FILE = 1

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-vfs-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  fs.rmSync(folder, { recursive: true })
})

/** The VFS, which has no types. */
interface TestedVFS {
  openFile(path: string, options: object): object
  jOpen(name: string | null, id: number, flags: number, outFlags: DataView): number
  jClose(id: number): number
  jRead(id: number, into: Uint8Array, position: number): number
  jWrite(id: number, bytes: Uint8Array, position: number): number
  jTruncate(id: number, length: number): number
  jSync(id: number, flags: number): number
  jFileSize(id: number, size: DataView): number
  jDelete(name: string, syncDirectory: number): number
  jAccess(name: string, flags: number, result: DataView): number
}

function makeVFS(engine: 'native' | 'js'): TestedVFS {
  const make = CachedVFS as unknown as new (module: object, options: object) => TestedVFS
  return new make({}, { engine })
}

/** A number that a method of the VFS puts out. */
function out() {
  return new DataView(new ArrayBuffer(8))
}

/** Counts the fsyncs of folders. */
function countFolderSyncs(): { count: number } {
  const syncs = { count: 0 }
  const { fsyncSync } = fs
  vi.spyOn(fs, 'fsyncSync').mockImplementation((fd) => {
    if (fs.fstatSync(fd).isDirectory()) syncs.count++
    fsyncSync(fd)
  })
  return syncs
}

describe.each(engines)('the VFS of docs/sqlite.md, $engine', ({ engine }) => {
  const vfs = makeVFS(engine)
  const path = (name = 'file') => join(folder, name)

  function open(flags: number, name: string | null = path(), id = FILE): number {
    const outFlags = out()
    const result = vfs.jOpen(name, id, flags, outFlags)
    if (result === VFS.SQLITE_OK) expect(outFlags.getInt32(0, true)).toBe(flags)
    return result
  }
  function size(): number {
    const view = out()
    expect(vfs.jFileSize(FILE, view)).toBe(VFS.SQLITE_OK)
    return Number(view.getBigInt64(0, true))
  }
  function read(length: number, position: number) {
    const into = new Uint8Array(length).fill(0xff)
    return { result: vfs.jRead(FILE, into, position), bytes: [...into] }
  }
  function access(name: string): number {
    const view = out()
    expect(vfs.jAccess(path(name), VFS.SQLITE_ACCESS_EXISTS, view)).toBe(VFS.SQLITE_OK)
    return view.getInt32(0, true)
  }

  test('xOpen creates and reads as its flags say', () => {
    expect(open(VFS.SQLITE_OPEN_READWRITE)).toBe(VFS.SQLITE_CANTOPEN)
    expect(open(VFS.SQLITE_OPEN_READONLY)).toBe(VFS.SQLITE_CANTOPEN)
    expect(access('file')).toBe(0)
    expect(open(DATABASE)).toBe(VFS.SQLITE_OK)
    expect(vfs.jClose(FILE)).toBe(VFS.SQLITE_OK)
    expect(open(DATABASE | VFS.SQLITE_OPEN_EXCLUSIVE)).toBe(VFS.SQLITE_CANTOPEN)
    expect(open(DATABASE, folder)).toBe(VFS.SQLITE_CANTOPEN)

    fs.writeFileSync(path(), 'read')
    expect(open(VFS.SQLITE_OPEN_READONLY | VFS.SQLITE_OPEN_MAIN_DB)).toBe(VFS.SQLITE_OK)
    expect(read(4, 0)).toEqual({ result: VFS.SQLITE_OK, bytes: [...Buffer.from('read')] })
    expect(vfs.jWrite(FILE, Buffer.from('x'), 0)).toBe(VFS.SQLITE_IOERR_WRITE)
    expect(vfs.jTruncate(FILE, 0)).toBe(VFS.SQLITE_IOERR_TRUNCATE)
    expect(vfs.jClose(FILE)).toBe(VFS.SQLITE_OK)
    expect(fs.readFileSync(path(), 'utf8')).toBe('read')
  })

  test('xRead fills what the file does not have with zeros', () => {
    open(DATABASE)
    expect(read(3, 0)).toEqual({ result: VFS.SQLITE_IOERR_SHORT_READ, bytes: [0, 0, 0] })
    expect(vfs.jWrite(FILE, Uint8Array.of(1, 2, 3), 5000)).toBe(VFS.SQLITE_OK)
    expect(read(4, 4998)).toEqual({ result: VFS.SQLITE_OK, bytes: [0, 0, 1, 2] })
    expect(read(4, 5002)).toEqual({ result: VFS.SQLITE_IOERR_SHORT_READ, bytes: [3, 0, 0, 0] })
    expect(read(4, 9000)).toEqual({ result: VFS.SQLITE_IOERR_SHORT_READ, bytes: [0, 0, 0, 0] })
    vfs.jClose(FILE)
  })

  test('xTruncate and xFileSize are of the file with what is not written back', () => {
    open(DATABASE)
    expect(size()).toBe(0)
    vfs.jWrite(FILE, new Uint8Array(9000).fill(7), 0)
    expect(size()).toBe(9000)
    expect(vfs.jTruncate(FILE, 10)).toBe(VFS.SQLITE_OK)
    expect(size()).toBe(10)
    expect(vfs.jTruncate(FILE, 20)).toBe(VFS.SQLITE_OK)
    expect(read(12, 8)).toEqual({ result: VFS.SQLITE_OK, bytes: [7, 7, ...Array(10).fill(0)] })
    vfs.jClose(FILE)
    expect(fs.statSync(path()).size).toBe(20)
  })

  test('xSync puts the data into the file, and the name of a new journal into its folder, once', () => {
    const syncs = countFolderSyncs()
    for (const [flags, synced] of [
      [DATABASE, 0],
      [JOURNAL, 1],
    ]) {
      syncs.count = 0
      open(flags, path(`${flags}`))
      vfs.jWrite(FILE, Uint8Array.of(1), 0)
      expect(vfs.jSync(FILE, VFS.SQLITE_SYNC_NORMAL)).toBe(VFS.SQLITE_OK)
      expect([...fs.readFileSync(path(`${flags}`))]).toEqual([1])
      vfs.jWrite(FILE, Uint8Array.of(2), 1)
      expect(vfs.jSync(FILE, VFS.SQLITE_SYNC_NORMAL | VFS.SQLITE_SYNC_DATAONLY)).toBe(VFS.SQLITE_OK)
      expect([...fs.readFileSync(path(`${flags}`))]).toEqual([1, 2])
      expect(syncs.count).toBe(synced)
      vfs.jClose(FILE)
    }
  })

  test('xDelete deletes, syncs the folder if asked, and says if there is no such file', () => {
    const syncs = countFolderSyncs()
    for (const syncDirectory of [0, 1]) {
      fs.writeFileSync(path(), '')
      expect(access('file')).toBe(1)
      expect(vfs.jDelete(path(), syncDirectory)).toBe(VFS.SQLITE_OK)
      expect(access('file')).toBe(0)
      expect(syncs.count).toBe(syncDirectory)
    }
    expect(vfs.jDelete(path(), 0)).toBe(VFS.SQLITE_IOERR_DELETE_NOENT)
    expect(vfs.jDelete(folder, 0)).toBe(VFS.SQLITE_IOERR_DELETE)
  })

  test('temporary files have names of their own, and are deleted when they are closed', () => {
    const before = new Set(fs.readdirSync(tmpdir()))
    const made = () => fs.readdirSync(tmpdir()).filter((name) => /^sqlite-/.test(name) && !before.has(name))
    // Two threads may have the same number for a file: it is an address in the memory of their SQLite.
    const other = makeVFS(engine)
    expect(open(TEMPORARY, null)).toBe(VFS.SQLITE_OK)
    expect(other.jOpen(null, FILE, TEMPORARY, out())).toBe(VFS.SQLITE_OK)
    vfs.jWrite(FILE, Uint8Array.of(1), 0)
    expect(other.jRead(FILE, new Uint8Array(1), 0)).toBe(VFS.SQLITE_IOERR_SHORT_READ)
    expect(made()).toHaveLength(2)
    expect(vfs.jClose(FILE)).toBe(VFS.SQLITE_OK)
    expect(other.jClose(FILE)).toBe(VFS.SQLITE_OK)
    expect(made()).toHaveLength(0)
  })

  test('another process keeps xOpen of a database out: SQLITE_BUSY', async () => {
    await whileOpenElsewhere(engine, [path(), path('file-journal')], () => {
      expect(open(DATABASE)).toBe(VFS.SQLITE_BUSY)
      // A journal needs no lock: only the connection to its database opens it.
      expect(open(JOURNAL, path('file-journal'))).toBe(VFS.SQLITE_OK)
      vfs.jClose(FILE)
    })
    expect(open(DATABASE)).toBe(VFS.SQLITE_OK)
    vfs.jClose(FILE)
  })

  test.each([
    [
      'EIO',
      VFS.SQLITE_IOERR_READ,
      VFS.SQLITE_IOERR_WRITE,
      VFS.SQLITE_IOERR_TRUNCATE,
      VFS.SQLITE_IOERR_FSYNC,
      VFS.SQLITE_IOERR_CLOSE,
    ],
    ['ENOSPC', VFS.SQLITE_FULL, VFS.SQLITE_FULL, VFS.SQLITE_FULL, VFS.SQLITE_FULL, VFS.SQLITE_FULL],
  ])('an error of the file is a code of SQLite: %s', (code, onRead, onWrite, onTruncate, onSync, onClose) => {
    const fail = () => {
      throw Object.assign(new Error(code), { code })
    }
    const failing = makeVFS(engine)
    failing.openFile = () => ({
      readSync: fail,
      writeSync: fail,
      truncateSync: fail,
      fsyncSync: fail,
      fdatasyncSync: fail,
      closeSync: fail,
    })
    expect(failing.jOpen(path(), FILE, DATABASE, out())).toBe(VFS.SQLITE_OK)
    expect(failing.jRead(FILE, new Uint8Array(1), 0)).toBe(onRead)
    expect(failing.jWrite(FILE, new Uint8Array(1), 0)).toBe(onWrite)
    expect(failing.jTruncate(FILE, 0)).toBe(onTruncate)
    expect(failing.jSync(FILE, VFS.SQLITE_SYNC_FULL)).toBe(onSync)
    expect(failing.jSync(FILE, VFS.SQLITE_SYNC_DATAONLY)).toBe(onSync)
    expect(failing.jClose(FILE)).toBe(onClose)
  })
})
