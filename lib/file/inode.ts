// SPDX-License-Identifier: GPL-2.0-only
// What all handles of one file share: the descriptor, the page cache, the size and the error sequence.

import { loadBackend, selectBackend } from '../backend.js'
import { WritebackError } from '../errors.js'
import type { AddressSpace, Backend, Extent, Folio, WritebackControl } from '../types.js'
import { ErrorSequence } from './errseq.js'
import { errnoOf, type FileIO, readFully, retryInterrupted, writeFully } from './io.js'
import {
  countPages,
  PAGE_SHIFT,
  PAGE_SIZE,
  PageMemory,
  pageMask,
  WINDOW_PAGES,
  WINDOW_SIZE,
  type Window,
} from './page_memory.js'

/** The largest folio that a write makes: 2 MiB, the kernel's limit on x86-64 (a PMD). */
const MAX_FOLIO_ORDER = 9
/** One extent is one vectored write, of IOV_MAX buffers at most: a page is the least that a buffer holds. */
const EXTENT_PAGES = 1024

/** What the cache of a file did since it was opened, by all its handles. */
export interface CachedFileStats {
  /** Passes over the mapping: one an `fsync`, a `writeback` and the last `close`. */
  passes: number
  /** Folios that passes wrote back. */
  foliosWritten: number
  /** Pages that passes wrote back; of a large folio just those that differed from the file. */
  pagesWritten: number
  /** Vectored writes that the system took, short ones included. */
  deviceWrites: number
  /** Bytes that it took. */
  bytesWritten: number
}

const TABLE: unique symbol = Symbol.for('writeback-iter.inodes.1')
const shared = globalThis as typeof globalThis & { [TABLE]?: Map<string, Inode> }

/**
 * Open files by device and inode. All copies of this module in a thread have one table (two installed versions, a test runner
 * that resets modules): two caches of one file would lose each other's bytes. Its name has a number, to be raised when the public
 * members of Inode change, which are what the copies know of each other.
 */
const inodes: Map<string, Inode> = (shared[TABLE] ??= new Map())

export class Inode {
  readonly backend: Backend['backend']
  readonly wbErr = new ErrorSequence()
  size: number
  handles = 0
  dirtyPages = 0
  readonly stats: CachedFileStats = {
    passes: 0,
    foliosWritten: 0,
    pagesWritten: 0,
    deviceWrites: 0,
    bytesWritten: 0,
  }
  readonly #key: string
  readonly #io: FileIO
  readonly #fd: number
  readonly #mapping: AddressSpace
  readonly #WritebackControl: Backend['WritebackControl']
  readonly #memory = new PageMemory()
  /** The windows with unstable pages. Windows dropped since are still in here, with none. */
  #unstable: Window[] = []

  /**
   * The inode behind a path, shared with whoever has the file open; the caller is one more handle of it.
   * @throws `EBUSY` if the file is open on another backend: two caches of one file would not see each other's writes
   */
  static get(
    path: string,
    flags: number,
    mode: number,
    name: Backend['backend'] | undefined,
    io: FileIO,
  ): Inode {
    const backend = name === undefined ? selectBackend() : loadBackend(name)
    const fd = retryInterrupted(() => io.open(path, flags, mode))
    let keep = false
    try {
      const { key, size, regular } = io.stat(fd)
      if (!regular) throw new WritebackError('EINVAL', `${JSON.stringify(path)} is no regular file`)
      let inode = inodes.get(key)
      if (inode === undefined) {
        inode = new Inode(key, size, backend, io, fd)
        inodes.set(key, inode)
        keep = true
      } else if (name !== undefined && name !== inode.backend) {
        throw new WritebackError('EBUSY', `${JSON.stringify(path)} is open on the ${inode.backend} backend`)
      }
      inode.handles++
      return inode
    } finally {
      if (!keep) io.close(fd)
    }
  }

  private constructor(key: string, size: number, backend: Backend, io: FileIO, fd: number) {
    this.#key = key
    this.size = size
    this.backend = backend.backend
    this.#io = io
    this.#fd = fd
    this.#mapping = new backend.AddressSpace({ pageShift: PAGE_SHIFT })
    this.#WritebackControl = backend.WritebackControl
  }

  /** A handle goes; the last one takes the cache with it, whatever is in it. */
  put(): void {
    if (--this.handles > 0) return
    inodes.delete(this.#key)
    this.#mapping.close()
    this.#io.close(this.#fd)
  }

  /**
   * Copies bytes into the cache. Where it throws (a page could not be read, no memory), the bytes before are written
   * and those behind are not.
   */
  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    const end = position + bytes.length
    const wholeEnd = Math.floor(end / PAGE_SIZE)
    if (position % PAGE_SIZE !== 0) this.#fillPage(Math.floor(position / PAGE_SIZE), position, end)
    if (end % PAGE_SIZE !== 0) this.#fillPage(wholeEnd, position, end)
    for (let at = position; at < end; ) {
      const number = Math.floor(at / WINDOW_SIZE)
      const base = number * WINDOW_SIZE
      let stop = Math.min(end, base + WINDOW_SIZE)
      let window = this.#memory.get(number)
      // Where all is dirty already, the bytes are all that there is to do.
      if (window === undefined || (pageMask(at - base, stop - base) & ~window.dirty) !== 0) {
        const page = Math.floor(at / PAGE_SIZE)
        const folio = this.#mapping.getFolio(page) ?? this.#addFolio(page, wholeEnd)
        // From here on nothing fails: of a new folio every byte is written, if by later turns of the loop.
        folio.markDirty()
        stop = Math.min(stop, (folio.index + folio.nrPages) * PAGE_SIZE)
        window = this.#cached(number)
        const pages = pageMask(at - base, stop - base)
        this.dirtyPages += countPages(pages & ~window.dirty)
        window.dirty |= pages
      }
      const whole = stop - at === bytes.length
      window.bytes.set(whole ? bytes : bytes.subarray(at - position, stop - position), at - base)
      at = stop
      if (at > this.size) this.size = at
    }
  }

  /** Copies bytes out: from the cache what is in it, the rest from the file. `end` is not behind the file's end. */
  read(into: Uint8Array, position: number, end: number): void {
    for (let at = position; at < end; ) {
      const page = Math.floor(at / PAGE_SIZE)
      const folio = this.#mapping.getFolio(page)
      let stop: number
      if (folio !== null) {
        stop = Math.min(end, (folio.index + folio.nrPages) * PAGE_SIZE)
        this.#copyOut(into, at - position, at, stop)
      } else {
        stop = Math.min(end, this.#nextCached(page, Math.ceil(end / PAGE_SIZE)) * PAGE_SIZE)
        readFully(this.#io, this.#fd, into.subarray(at - position, stop - position), at)
      }
      at = stop
    }
  }

  /**
   * Sets the size. The file comes first: if it refuses, nothing has changed. After it nothing can fail, and what was
   * dirty behind the new end is gone, so it cannot come back when the file grows again.
   */
  truncate(length: number): void {
    retryInterrupted(() => this.#io.ftruncate(this.#fd, length))
    if (length < this.size) this.#dropPagesFrom(length)
    this.size = length
  }

  /**
   * WB_SYNC_ALL over bytes `start` to `end`, both included.
   * @returns 0 or the first error as a negative errno; what failed is dirty still, and the error is in `wbErr`
   */
  sync(start: number, end: number): number {
    return this.#pass(new this.#WritebackControl({ syncMode: 'all', rangeStart: start, rangeEnd: end }))
  }

  /** As `sync`, then the descriptor's fsync, unless writing failed already. */
  fsync(start: number, end: number): number {
    const error = this.sync(start, end)
    if (error !== 0) return error
    try {
      retryInterrupted(() => this.#io.fsync(this.#fd))
    } catch (thrown) {
      // The system may have dropped what it could not write, and would not say so a second time.
      this.#redirtyUnstable()
      return this.#record(thrown)
    }
    for (const window of this.#unstable) window.unstable = 0
    this.#unstable = []
    return 0
  }

  /** WB_SYNC_NONE, cyclic, as the kernel's flusher threads do it; an error is left in `wbErr` for the next fsync. */
  writeback(nrToWrite: number): void {
    this.#pass(new this.#WritebackControl({ nrToWrite, rangeCyclic: true }))
  }

  #pass(wbc: WritebackControl): number {
    this.stats.passes++
    return this.#mapping.writeExtents(wbc, this.#writeExtent, { maxPages: EXTENT_PAGES })
  }

  /**
   * Writes the dirty pages of an extent: one vectored write if they are contiguous, as they are but for large folios
   * with clean pages in them. A write that fails half-way leaves the whole extent dirty; to write it again changes
   * nothing.
   */
  readonly #writeExtent = (extent: Extent): number => {
    const first = extent.index
    const end = first + extent.nrPages
    try {
      for (let page = first; page < end; ) page = this.#writeRun(page, end)
    } catch (thrown) {
      return this.#record(thrown)
    }
    this.stats.foliosWritten += extent.folios.length
    this.#clean(first, end)
    return 0
  }

  /** Writes the first run of dirty pages from `page` on, up to page `end`. Returns the page behind it. */
  #writeRun(page: number, end: number): number {
    const buffers: Uint8Array[] = []
    let start = 0
    while (page < end) {
      const window = this.#cached(Math.floor(page / WINDOW_PAGES))
      const slot = page - window.number * WINDOW_PAGES
      const limit = Math.min(WINDOW_PAGES, slot + end - page)
      let stop = slot
      if ((window.dirty >>> slot) & 1) {
        while (stop < limit && (window.dirty >>> stop) & 1) stop++
        if (buffers.length === 0) start = page
        // The last page reaches beyond the file's end; the file must not.
        const bytes = Math.min(stop * PAGE_SIZE, this.size - window.number * WINDOW_SIZE)
        buffers.push(window.bytes.subarray(slot * PAGE_SIZE, bytes))
      } else {
        if (buffers.length > 0) break
        while (stop < limit && !((window.dirty >>> stop) & 1)) stop++
      }
      page += stop - slot
    }
    writeFully(this.#io, this.#fd, buffers, start * PAGE_SIZE, this.#countWrite)
    return page
  }

  readonly #countWrite = (bytes: number): void => {
    this.stats.deviceWrites++
    this.stats.bytesWritten += bytes
  }

  /** The pages from `first` to `end` (not included) are in the file now. */
  #clean(first: number, end: number): void {
    const endByte = end * PAGE_SIZE
    for (let at = first * PAGE_SIZE; at < endByte; ) {
      const window = this.#cached(Math.floor(at / WINDOW_SIZE))
      const base = window.number * WINDOW_SIZE
      const stop = Math.min(endByte, base + WINDOW_SIZE)
      const written = window.dirty & pageMask(at - base, stop - base)
      if (window.unstable === 0 && written !== 0) this.#unstable.push(window)
      window.unstable |= written
      window.dirty &= ~written
      const pages = countPages(written)
      this.stats.pagesWritten += pages
      this.dirtyPages -= pages
      at = stop
    }
  }

  #redirtyUnstable(): void {
    for (const window of this.#unstable) {
      for (let slot = 0; slot < WINDOW_PAGES; slot++) {
        if (!((window.unstable >>> slot) & 1)) continue
        const folio = this.#mapping.getFolio(window.number * WINDOW_PAGES + slot)
        folio?.markDirty()
      }
      this.dirtyPages += countPages(window.unstable & ~window.dirty)
      window.dirty |= window.unstable
      window.unstable = 0
    }
    this.#unstable = []
  }

  /** Keeps an I/O error for every handle to see. Anything else is no result of I/O and goes on to the caller. */
  #record(thrown: unknown): number {
    const errno = errnoOf(thrown)
    if (errno === 0) throw thrown
    this.wbErr.set(errno)
    return errno
  }

  /**
   * Makes a page that the bytes `start` to `end` will overwrite in part ready for it: cached, with the bytes of the
   * file around them, zeros behind its end. Reads it only if there are any.
   */
  #fillPage(page: number, start: number, end: number): void {
    const window = this.#memory.make(Math.floor(page / WINDOW_PAGES))
    const slot = page - window.number * WINDOW_PAGES
    // A dirty page is a cached one; asking the window saves most writes the walk through the tree.
    if ((window.dirty >>> slot) & 1 || this.#mapping.getFolio(page) !== null) return
    const pageStart = page * PAGE_SIZE
    const valid = Math.min(PAGE_SIZE, Math.max(0, this.size - pageStart))
    const offset = slot * PAGE_SIZE
    const bytes = window.bytes.subarray(offset, offset + PAGE_SIZE)
    if (valid > 0 && (start > pageStart || end < pageStart + valid)) {
      readFully(this.#io, this.#fd, bytes.subarray(0, valid), pageStart)
      bytes.fill(0, valid)
    } else {
      bytes.fill(0)
    }
    this.#mapping.addFolio(page)
  }

  /** A folio for pages from `page` on that will all be overwritten: the largest that ends at `endPage` and fits. */
  #addFolio(page: number, endPage: number): Folio {
    const limit = endPage - page > 1 ? this.#nextCached(page, endPage) : endPage
    let order = 0
    while (order < MAX_FOLIO_ORDER && page % 2 ** (order + 1) === 0 && page + 2 ** (order + 1) <= limit) {
      order++
    }
    const lastWindow = Math.floor((page + 2 ** order - 1) / WINDOW_PAGES)
    for (let number = Math.floor(page / WINDOW_PAGES); number <= lastWindow; number++) {
      this.#memory.make(number)
    }
    return this.#mapping.addFolio(page, order)
  }

  /** The first cached page behind `page`, which is not, and before `endPage`; else `endPage`. */
  #nextCached(page: number, endPage: number): number {
    for (const folio of this.#mapping.folios(undefined, page, endPage - 1)) return folio.index
    return endPage
  }

  #copyOut(into: Uint8Array, to: number, at: number, end: number): void {
    while (at < end) {
      const window = this.#cached(Math.floor(at / WINDOW_SIZE))
      const offset = at - window.number * WINDOW_SIZE
      const n = Math.min(WINDOW_SIZE - offset, end - at)
      into.set(window.bytes.subarray(offset, offset + n), to)
      to += n
      at += n
    }
  }

  /** The window of a page that is in the cache. */
  #cached(number: number): Window {
    const window = this.#memory.get(number)
    if (window === undefined) throw new Error(`no memory for cached pages of window ${number}`)
    return window
  }

  /** Drops every folio wholly behind the end and zeroes what is behind it in the folio that straddles it. */
  #dropPagesFrom(length: number): void {
    const firstGone = Math.ceil(length / PAGE_SIZE)
    let keepEnd = firstGone
    for (const folio of this.#mapping.folios(undefined, firstGone)) {
      if (folio.index < firstGone) keepEnd = folio.index + folio.nrPages
      else this.#mapping.removeFolio(folio)
    }
    for (const window of this.#memory.from(Math.floor(length / WINDOW_SIZE))) {
      const base = window.number * WINDOW_SIZE
      const gone = -1 << Math.max(0, firstGone - window.number * WINDOW_PAGES)
      this.dirtyPages -= countPages(window.dirty & gone)
      window.dirty &= ~gone
      window.unstable &= ~gone
      if (window.number * WINDOW_PAGES >= keepEnd) this.#memory.drop(window)
      else window.bytes.fill(0, Math.max(0, length - base))
    }
  }
}
