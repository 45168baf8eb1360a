// SPDX-License-Identifier: GPL-2.0-only
// The TypeScript engine: the files of one thread, over node:fs.

import fs from 'node:fs'
import { WritebackError } from '../../errors.js'
import { plainBytes } from '../bytes.js'
import type { CachedFileStats, Engine, EngineFile, EngineOptions, Limits, Result } from '../engine.js'
import { errno, errnoOf, noRegularFile } from '../system_error.js'
import { type BlockDevice, DeviceStorage } from './device.js'
import { Flusher } from './flusher.js'
import { Inode, LAST_BYTE } from './inode.js'
import { Latch } from './latch.js'
import { flock } from './lock.js'
import { PAGE_SIZE, PagePool } from './page_pool.js'
import { runAsync, runSync, type Steps, waitFor } from './steps.js'
import { FileStorage, type Storage } from './storage.js'

/**
 * Pages: readahead starts with the first number, and doubles up to the second while a handle reads
 * sequentially.
 */
const FIRST_READAHEAD = 8
const MOST_READAHEAD = 128

/** A file that is open in this thread. */
interface OpenFile {
  readonly inode: Inode
  readonly storage: FileStorage
  writable: boolean
  lock: 'none' | 'shared' | 'exclusive'
}

export class JsEngine implements Engine {
  readonly name = 'js'
  readonly #pool: PagePool
  readonly #flusher: Flusher
  /** All that is open, files and devices. */
  readonly #inodes = new Set<Inode>()
  /** Open files by device and inode number. */
  readonly #files = new Map<string, OpenFile>()
  /** Open devices. */
  readonly #devices = new Map<BlockDevice, Promise<Inode>>()
  /** Those that an asynchronous open is about to add, or to lock. */
  readonly #opening = new Map<string, Latch>()

  constructor(limits: Limits) {
    this.#pool = new PagePool(limits.memory)
    this.#flusher = new Flusher(limits)
  }

  configure(limits: Limits): void {
    this.#pool.resize(limits.memory)
    this.#flusher.configure(limits)
  }

  open(fd: number, options: EngineOptions): Promise<EngineFile | Result> {
    return runAsync(this.#open(fd, options))
  }

  openSync(fd: number, options: EngineOptions): EngineFile | Result {
    return runSync(this.#open(fd, options))
  }

  *#open(fd: number, options: EngineOptions): Steps<EngineFile | Result> {
    let taken = false
    try {
      if (options.direct === true) {
        throw new WritebackError('EINVAL', 'direct is true, which the TypeScript engine cannot do')
      }
      const stat = fs.fstatSync(fd, { bigint: true })
      if (!stat.isFile()) throw noRegularFile(options.path)
      const key = `${stat.dev}:${stat.ino}`
      for (let other = this.#opening.get(key); other !== undefined; other = this.#opening.get(key)) {
        const { opened } = other
        const going = yield* waitFor({ sync: () => false, async: () => opened.then(() => true) })
        if (!going) return errno('EBUSY')
      }
      const opening = new Latch()
      this.#opening.set(key, opening)
      try {
        const found = this.#files.get(key)
        found?.inode.get()
        if (found !== undefined) found.inode.discarded = false
        const wanted = options.writable ? 'exclusive' : 'shared'
        const had = found?.lock ?? 'none'
        let lock = had
        if (options.lock !== false && had !== 'exclusive' && had !== wanted) {
          const error = yield* waitFor(flock(found?.storage.lockFd ?? fd, options.writable))
          if (error === 0) lock = wanted
          else if (error === errno('EBUSY') || options.lock === true) {
            found?.inode.put(false)
            return error
          }
        }
        const file = found ?? this.#add(key, fd, Number(stat.size), options)
        taken = found === undefined
        file.lock = lock
        if (options.writable && !file.writable) {
          file.storage.replace(fd)
          file.writable = true
          taken = true
        }
        return new JsFile(file.inode, this.#flusher)
      } finally {
        this.#opening.delete(key)
        opening.open()
      }
    } catch (error) {
      return numberOf(error)
    } finally {
      if (!taken) fs.closeSync(fd)
    }
  }

  /** A file that no handle of this thread has open; the caller is its first. */
  #add(key: string, fd: number, size: number, { path, writable }: EngineOptions): OpenFile {
    const storage = new FileStorage(fd)
    const inode = this.#addInode(path, storage, size, () => this.#files.delete(key))
    inode.get()
    const file: OpenFile = { inode, storage, writable, lock: 'none' }
    this.#files.set(key, file)
    return file
  }

  #addInode(path: string, storage: Storage, size: number, forget: () => void): Inode {
    const inode = new Inode(path, storage, size, this.#pool, this.#flusher, () => {
      forget()
      this.#inodes.delete(inode)
      if (this.#inodes.size === 0) process.off('exit', this.#exit)
    })
    if (this.#inodes.size === 0) process.on('exit', this.#exit)
    this.#inodes.add(inode)
    return inode
  }

  /** Opens storage other than a file. All handles of one device share its cache. */
  async openDevice(device: BlockDevice, name: string): Promise<EngineFile> {
    let opening = this.#devices.get(device)
    if (opening === undefined) {
      const storage = new DeviceStorage(device)
      const forget = () => this.#devices.delete(device)
      opening = storage.open().then((size) => this.#addInode(name, storage, size, forget))
      this.#devices.set(device, opening)
      opening.catch(forget)
    }
    const inode = await opening
    // The last handle may have gone meanwhile.
    if (this.#devices.get(device) !== opening) return this.openDevice(device, name)
    inode.get()
    inode.discarded = false
    return new JsFile(inode, this.#flusher)
  }

  /** The process ends on its own, by `process.exit()` for one: what was written is to survive it. */
  readonly #exit = (): void => {
    for (const inode of this.#inodes) {
      const lost = inode.dirtyPages
      try {
        inode.exit()
      } catch (error) {
        // Nothing that waits for the event loop would be seen any more.
        fs.writeSync(2, `writeback-iter: ${JSON.stringify(inode.path)}: ${lost} pages are lost: ${error}\n`)
        process.exitCode ||= 1
      }
    }
  }
}

/** A handle. */
class JsFile implements EngineFile {
  readonly blocking: boolean
  readonly #inode: Inode
  readonly #flusher: Flusher
  /** How far it has seen the file's error sequence. */
  #wbErr: number
  /**
   * Readahead (file_ra_state): the page behind the last read, how many to read ahead, and up to where that
   * was done.
   */
  #nextPage = -1
  #ahead = 0
  #aheadEnd = 0

  /** Takes over a count of the inode's handles. */
  constructor(inode: Inode, flusher: Flusher) {
    this.blocking = inode.storage.fd >= 0
    this.#inode = inode
    this.#flusher = flusher
    this.#wbErr = inode.wbErr.sample()
  }

  get fd(): number {
    return this.#inode.storage.fd
  }

  get size(): number {
    return this.#inode.size
  }

  get dirtyPages(): number {
    return this.#inode.dirtyPages
  }

  get cachedPages(): number {
    return this.#inode.cachedPages
  }

  get stats(): CachedFileStats {
    return { ...this.#inode.stats }
  }

  read(view: Uint8Array, position: number): Result | Promise<Result> {
    const into = plainBytes(view)
    const inode = this.#inode
    this.#follow(into.length, position)
    if (inode.changes === null) {
      const done = inode.readNow(into, position)
      if (done === into.length || position + done >= inode.size) {
        this.#readAhead()
        return done
      }
    }
    return this.#readSlowly(into, position)
  }

  async #readSlowly(into: Uint8Array, position: number): Promise<Result> {
    await this.#inode.changes
    return startNumbered(this.#inode.read(into, position, this.#ahead))
  }

  readSync(view: Uint8Array, position: number): Result {
    const into = plainBytes(view)
    const inode = this.#inode
    this.#follow(into.length, position)
    const done = inode.readNow(into, position)
    if (done === into.length || position + done >= inode.size) return done
    return runNumbered(inode.read(into, position, this.#ahead))
  }

  /** Notes a read: one that goes on where the last one ended makes the window larger, any other closes it. */
  #follow(length: number, position: number): void {
    const first = Math.floor(position / PAGE_SIZE)
    if (first === this.#nextPage || first === this.#nextPage - 1) {
      this.#ahead = Math.min(MOST_READAHEAD, Math.max(FIRST_READAHEAD, this.#ahead * 2))
    } else {
      this.#ahead = position === 0 ? FIRST_READAHEAD : 0
      this.#aheadEnd = 0
    }
    this.#nextPage = Math.ceil((position + length) / PAGE_SIZE)
  }

  /** Reads the next window while the caller works on this one. */
  #readAhead(): void {
    if (this.#ahead === 0 || this.#nextPage + this.#ahead / 2 < this.#aheadEnd) return
    const first = Math.max(this.#nextPage, this.#aheadEnd)
    this.#aheadEnd = first + this.#ahead
    void this.#inode.readAhead(first, this.#ahead)
  }

  write(view: Uint8Array, position: number): Result | Promise<Result> {
    const bytes = plainBytes(view)
    const inode = this.#inode
    if (position + bytes.length > inode.storage.maxSize) return errno('ENOSPC')
    const done = inode.changes === null ? inode.writeNow(bytes, position) : 0
    if (done < bytes.length) {
      const rest = bytes.slice(done)
      return this.#change(() => inode.write(rest, position + done)).then(async (error) => {
        await this.#flusher.balance()
        return error !== 0 ? error : bytes.length
      })
    }
    const held = this.#flusher.balance()
    return held === null ? done : held.then(() => done)
  }

  writeSync(view: Uint8Array, position: number): Result {
    const bytes = plainBytes(view)
    if (this.#inode.truncating !== null) return errno('EBUSY')
    const done = this.#inode.writeNow(bytes, position)
    if (done < bytes.length) {
      const error = runNumbered(this.#inode.write(bytes.subarray(done), position + done))
      if (error !== 0) return error
    }
    this.#flusher.balanceSync(this.#inode)
    return bytes.length
  }

  async fsync(start: number, end: number, dataOnly: boolean): Promise<Result> {
    await this.#inode.changes
    return this.#report(await startNumbered(this.#inode.fsync(start, end, dataOnly)))
  }

  fsyncSync(start: number, end: number, dataOnly: boolean): Result {
    if (this.#inode.truncating !== null) return errno('EBUSY')
    return this.#report(runNumbered(this.#inode.fsync(start, end, dataOnly)))
  }

  async writeback(nrToWrite: number): Promise<Result> {
    await this.#inode.changes
    return startNumbered(this.#inode.writeback(nrToWrite))
  }

  writebackSync(nrToWrite: number): Result {
    if (this.#inode.truncating !== null) return errno('EBUSY')
    return runNumbered(this.#inode.writeback(nrToWrite))
  }

  truncate(length: number): Promise<Result> {
    return this.#change(() => this.#inode.truncate(length))
  }

  truncateSync(length: number): Result {
    if (this.#inode.truncating !== null) return errno('EBUSY')
    return runNumbered(this.#inode.truncate(length))
  }

  async deallocate(start: number, end: number): Promise<Result> {
    const error = await this.#change(() => this.#inode.deallocate(start, end))
    await this.#flusher.balance()
    return error
  }

  deallocateSync(start: number, end: number): Result {
    if (this.#inode.truncating !== null) return errno('EBUSY')
    const error = runNumbered(this.#inode.deallocate(start, end))
    this.#flusher.balanceSync(this.#inode)
    return error
  }

  async close(discard: boolean): Promise<Result> {
    if (!discard) {
      await this.#inode.changes
      const error = this.#report(await startNumbered(this.#inode.sync(0, LAST_BYTE)))
      if (error !== 0) return error
    }
    this.#inode.put(discard)
    return 0
  }

  closeSync(discard: boolean): Result {
    if (!discard) {
      if (this.#inode.truncating !== null) return errno('EBUSY')
      const error = this.#report(runNumbered(this.#inode.sync(0, LAST_BYTE)))
      if (error !== 0) return error
    }
    this.#inode.put(discard)
    return 0
  }

  release(): void {
    const inode = this.#inode
    void runAsync(inode.sync(0, LAST_BYTE))
      .catch((error) => process.emitWarning(`${JSON.stringify(inode.path)} is not written back: ${error}`))
      .finally(() => inode.put(false))
  }

  /**
   * file_check_and_advance_wb_err: the error of this call, or else one that happened since this handle looked
   * last.
   */
  #report(error: Result): Result {
    const { errno, cursor } = this.#inode.wbErr.checkAndAdvance(this.#wbErr)
    this.#wbErr = cursor
    return error !== 0 ? error : errno
  }

  /** Runs an asynchronous change of the file after those that were called before. */
  #change(start: () => Steps<void>): Promise<Result> {
    const inode = this.#inode
    const before = inode.changes
    const change = before === null ? startNumbered(start()) : before.then(() => startNumbered(start()))
    const nothing = () => {
      if (inode.changes === ended) inode.changes = null
    }
    const ended: Promise<void> = change.then(nothing, nothing)
    inode.changes = ended
    return change
  }
}

/** The number of the system's error; throws any other error again. */
function numberOf(error: unknown): Result {
  const number = errnoOf(error)
  if (number === 0) throw error
  return number
}

/** Runs an operation to its end. Returns its result, 0 if it has none, or the number of its error. */
function runNumbered(steps: Steps<number | void>): Result {
  try {
    return runSync(steps) ?? 0
  } catch (error) {
    return numberOf(error)
  }
}

/** As `runNumbered`, by promise. */
function startNumbered(steps: Steps<number | void>): Promise<Result> {
  return runAsync(steps).then((result) => result ?? 0, numberOf)
}
