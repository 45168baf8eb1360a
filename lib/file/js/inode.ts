// SPDX-License-Identifier: GPL-2.0-only
// The page cache of one file: what all its handles in this thread share.
//
// A page of the cache is, at every moment between two waits of an operation,
//
//     reading a read fills its frame; a write or a truncation detaches the page first, and the read's bytes
//     are dropped clean as in the storage; unstable until the storage was flushed, and then it can be
//     reclaimed dirty differs from the storage writeback a write of its frame is under way; dirty again if it
//     was written meanwhile
//
// Writes to a file are done from the frames themselves. So a frame with a write under way (`pins`) stays the
// frame of its page until the write ends, whatever happens to the page: a later write of the same page comes
// from the same memory, and whichever of the two the system does last, it puts down bytes that are not older.
//
// A blocking call cannot wait for a write under way, whose end is reported to the event loop. It takes the
// pages over (`#takeOver`): they are dirty again, and it writes them itself.

import { AddressSpace, WritebackControl } from '../../js/index.js'
import type { Folio } from '../../types.js'
import { type CachedFileStats, NO_STATS } from '../engine.js'
import { errno, errnoOf, systemError } from '../system_error.js'
import { ErrorSequence } from './errseq.js'
import type { Flusher } from './flusher.js'
import { Latch } from './latch.js'
import { EXTENT_PAGES, PAGE_SHIFT, PAGE_SIZE, type Page, type PageOwner, type PagePool } from './page_pool.js'
import { PageTable } from './page_table.js'
import { runAsync, runSync, type Steps, waitFor } from './steps.js'
import { readFully, type Storage, uninterrupted, writeFully } from './storage.js'

export const LAST_BYTE = Number.MAX_SAFE_INTEGER
const LAST_INDEX = Math.floor(LAST_BYTE / PAGE_SIZE)

/** One write to the storage, from when its first folio is started until it has ended. */
class WriteRequest {
  readonly pages: Page[] = []
  readonly ended = new Latch()
  /** A blocking call has taken pages of it over. */
  takenOver = false
  error = 0
  /** What the storage threw. */
  thrown: unknown

  get first(): number {
    return this.pages[0].index
  }

  /** Whether it has pages between these, both included. */
  overlaps(first: number, last: number): boolean {
    return this.first <= last && this.first + this.pages.length > first
  }
}

const pageOf = (position: number) => Math.floor(position / PAGE_SIZE)

/** The bytes of pages in a row, `length` of them; frames that are neighbours in memory make one buffer. */
function buffersOf(pages: readonly Page[], length: number): Uint8Array[] {
  const buffers: Uint8Array[] = []
  let rest = length
  for (let i = 0; i < pages.length && rest > 0; ) {
    const { chunk, slot } = pages[i]
    let count = 1
    while (
      i + count < pages.length &&
      pages[i + count].chunk === chunk &&
      pages[i + count].slot === slot + count
    ) {
      count++
    }
    const bytes = Math.min(count * PAGE_SIZE, rest)
    buffers.push(new Uint8Array(chunk.buffer, slot * PAGE_SIZE, bytes))
    rest -= bytes
    i += count
  }
  return buffers
}

export class Inode implements PageOwner {
  readonly path: string
  readonly storage: Storage
  readonly wbErr = new ErrorSequence()
  readonly stats: CachedFileStats = { ...NO_STATS }
  size: number
  handles = 0
  /** Pages dirty or under writeback. */
  dirtyPages = 0
  /** Pages that the storage may still lose. */
  unstablePages = 0
  /** When a page was first dirtied since all was clean, or since the flusher last wrote out what was old. */
  dirtiedAt = 0
  /** The last handle gave up what was dirty. */
  discarded = false
  /** A truncate under way, of which a blocking call cannot know on which side of it it comes. */
  truncating: number | null = null
  /** Ends with the last asynchronous change that was called and has not ended; null if there is none. */
  changes: Promise<void> | null = null

  readonly #pool: PagePool
  readonly #flusher: Flusher
  readonly #mapping = new AddressSpace({ pageShift: PAGE_SHIFT })
  readonly #pages = new PageTable()
  readonly #requests = new Set<WriteRequest>()
  /** What {@link Page.epoch} is of a page that is written now: one more than flushes have begun. */
  #epoch = 1
  stableEpoch = 0
  /** How many pages the storage may still lose, by their epoch. */
  readonly #unstable = new Map<number, number>()
  #truncated = new Latch()
  readonly #onUnused: () => void

  /** @param onUnused - called once: no handle is left, and nothing to be written */
  constructor(
    path: string,
    storage: Storage,
    size: number,
    pool: PagePool,
    flusher: Flusher,
    onUnused: () => void,
  ) {
    this.path = path
    this.storage = storage
    this.size = size
    this.#pool = pool
    this.#flusher = flusher
    this.#onUnused = onUnused
  }

  get cachedPages(): number {
    return this.#pages.size
  }

  /** Another handle, or another operation without a handle. */
  get(): void {
    this.handles++
  }

  /**
   * A handle goes. The last one takes the cache with it once nothing is dirty any more; if `discard`, at
   * once.
   */
  put(discard: boolean): void {
    this.handles--
    if (this.handles === 0 && discard) {
      this.discarded = true
      for (const page of this.#pages) if (page.pins === 0) this.#drop(page)
    }
    this.#finish()
  }

  #finish(): void {
    if (this.handles > 0 || this.#requests.size > 0) return
    if (this.dirtyPages > 0 && !this.discarded) return
    for (const page of this.#pages) this.#drop(page)
    this.#mapping.close()
    this.storage.close()
    this.#onUnused()
  }

  /**
   * The process ends: writes back what it can without the event loop.
   * @throws why it cannot
   */
  exit(): void {
    if (this.truncating !== null) runSync(this.truncate(this.truncating))
    if (this.dirtyPages > 0) runSync(this.sync(0, LAST_BYTE))
  }

  // Pages

  /**
   * Makes a frame the page at `index`, which is not cached; its bytes are the caller's to fill. Null: none is
   * free.
   */
  #add(index: number): Page | null {
    const page = this.#pool.take()
    if (page === null) return null
    try {
      page.folio = this.#mapping.addFolio(index)
    } catch (error) {
      this.#pool.give(page)
      throw error
    }
    page.owner = this
    page.index = index
    this.#pages.add(index, page)
    return page
  }

  /** Takes a page out of the cache, whatever is in it. Its frame is free unless a read still fills it. */
  #drop(page: Page): void {
    const folio = page.folio as Folio
    if (folio.dirty) this.#countDirty(-1)
    this.#noteLost(page)
    this.#mapping.removeFolio(folio)
    this.#pages.delete(page.index)
    if (page.reading === null) this.#pool.give(page)
    else page.owner = null
  }

  evict(page: Page): void {
    this.#drop(page)
  }

  #countDirty(pages: number): void {
    this.dirtyPages += pages
    this.#flusher.countDirty(this, pages)
  }

  /** The number of pages of this epoch that the storage may still lose changed by `pages`. */
  #countUnstable(epoch: number, pages: number): void {
    const all = (this.#unstable.get(epoch) ?? 0) + pages
    if (all > 0) this.#unstable.set(epoch, all)
    else this.#unstable.delete(epoch)
    this.unstablePages += pages
    this.#flusher.countUnstable(this, pages)
  }

  /** What the storage has of the page counts no more. */
  #noteLost(page: Page): void {
    if (page.epoch > this.stableEpoch) this.#countUnstable(page.epoch, -1)
    page.epoch = 0
  }

  /** The storage loses none of the pages up to this epoch. Returns for how many that is new. */
  #noteStable(epoch: number): number {
    let stable = 0
    for (const [other, pages] of this.#unstable) {
      if (other > epoch) continue
      this.#countUnstable(other, -pages)
      stable += pages
    }
    this.stableEpoch = Math.max(this.stableEpoch, epoch)
    return stable
  }

  #markDirty(page: Page): void {
    const folio = page.folio as Folio
    if (folio.markDirty() && page.writer === null) this.#countDirty(1)
  }

  // Reading and writing

  /**
   * Copies bytes that are cached, from `position` up to the first page that is not.
   * @returns how many
   */
  readNow(into: Uint8Array, position: number): number {
    const end = Math.min(position + into.length, this.size)
    let at = position
    while (at < end) {
      const index = pageOf(at)
      const page = this.#pages.get(index)
      if (page === undefined || page.reading !== null) break
      page.markUsed()
      const offset = at - index * PAGE_SIZE
      const n = Math.min(PAGE_SIZE - offset, end - at)
      into.set(n === PAGE_SIZE ? page.bytes : page.bytes.subarray(offset, offset + n), at - position)
      at += n
    }
    return at - position
  }

  /**
   * Reads as far as the file goes.
   * @param ahead - pages to read beyond, if the storage is asked at all
   * @returns bytes read
   */
  *read(into: Uint8Array, position: number, ahead: number): Steps<number> {
    let done = 0
    for (;;) {
      done += this.readNow(into.subarray(done), position + done)
      const end = Math.min(position + into.length, this.size)
      if (position + done >= end) return done
      yield* this.#fill(pageOf(position + done), pageOf(end - 1) + ahead)
    }
  }

  /** Reads pages ahead of a reader. What goes wrong, the reader will meet itself. */
  async readAhead(first: number, pages: number): Promise<void> {
    const last = Math.min(first + pages - 1, pageOf(this.size - 1))
    if (this.size === 0 || first > last || this.#pages.has(first)) return
    try {
      await runAsync(this.#fill(first, last))
    } catch {}
  }

  /**
   * One step on the way to a cached page `first`: waits for the read that fills it, or for a frame, or reads
   * it, with pages behind it up to `last` that are not cached, in one read.
   */
  *#fill(first: number, last: number): Steps<void> {
    const busy = this.#pages.get(first)
    if (busy !== undefined) {
      if (busy.reading === null) return
      const { opened } = busy.reading as Latch
      yield* waitFor({ sync: () => this.#drop(busy), async: () => opened })
      return
    }
    const end = Math.min(last, pageOf(this.size - 1), first + EXTENT_PAGES - 1)
    const reading = new Latch()
    const run: Page[] = []
    for (let index = first; index <= end && !this.#pages.has(index); index++) {
      const page = this.#add(index)
      if (page === null) break
      page.reading = reading
      run.push(page)
    }
    if (run.length === 0) {
      yield* this.#waitForFrame()
      return
    }
    let valid = 0
    try {
      const buffers = buffersOf(run, Math.min(run.length * PAGE_SIZE, this.size - first * PAGE_SIZE))
      valid = yield* readFully(this.storage, buffers, first * PAGE_SIZE, this.stats)
    } catch (error) {
      for (const page of run) if (page.owner === this) this.#drop(page)
      throw error
    } finally {
      for (const page of run) {
        page.reading = null
        if (page.owner === null) this.#pool.give(page)
      }
      reading.open()
    }
    // Behind the end of the storage the file is a hole.
    for (let i = Math.floor(valid / PAGE_SIZE); i < run.length; i++) {
      if (run[i].owner === this && run[i].index === first + i) {
        run[i].bytes.fill(0, Math.max(0, valid - i * PAGE_SIZE))
      }
    }
  }

  #waitForFrame(): Steps<void> {
    return waitFor({
      sync: () => this.#flusher.makeRoomSync(this),
      async: () => this.#flusher.makeRoom(),
    })
  }

  /** Whether bytes of the file in this page stay that a write of `n` bytes at `offset` does not overwrite. */
  #keepsBytes(index: number, offset: number, n: number): boolean {
    const valid = Math.min(PAGE_SIZE, this.size - index * PAGE_SIZE)
    return valid > 0 && (offset > 0 || n < valid)
  }

  /**
   * Copies bytes into the cache, up to the first page that has to be read before, or for which no frame is
   * free.
   * @returns how many
   */
  writeNow(bytes: Uint8Array, position: number): number {
    const end = position + bytes.length
    let at = position
    while (at < end) {
      const index = pageOf(at)
      const offset = at - index * PAGE_SIZE
      const n = Math.min(PAGE_SIZE - offset, end - at)
      let page = this.#pages.get(index)
      if (page === undefined || page.reading !== null) {
        if (n < PAGE_SIZE && this.#keepsBytes(index, offset, n)) break
        if (page !== undefined) this.#drop(page)
        const added = this.#add(index)
        if (added === null) break
        page = added
        if (n < PAGE_SIZE) page.bytes.fill(0)
      }
      page.markUsed()
      const part = n === bytes.length ? bytes : bytes.subarray(at - position, at - position + n)
      page.chunk.bytes.set(part, page.slot * PAGE_SIZE + offset)
      this.#markDirty(page)
      at += n
      if (at > this.size) this.size = at
    }
    return at - position
  }

  *write(bytes: Uint8Array, position: number): Steps<void> {
    for (let done = 0; ; ) {
      done += this.writeNow(bytes.subarray(done), position + done)
      if (done === bytes.length) return
      const index = pageOf(position + done)
      const offset = position + done - index * PAGE_SIZE
      const n = Math.min(PAGE_SIZE - offset, bytes.length - done)
      if (n < PAGE_SIZE && this.#keepsBytes(index, offset, n)) yield* this.#fill(index, index)
      else yield* this.#waitForFrame()
    }
  }

  // Write-back

  /** Starts writeback of a folio that a pass returned, as part of the request. */
  #startWriteback(folio: Folio, request: WriteRequest): void {
    const page = this.#pages.get(folio.index) as Page
    folio.startWriteback()
    folio.unlock()
    page.pins++
    page.writer = request
    request.pages.push(page)
  }

  /**
   * One pass over the mapping. Each contiguous run of its folios is one write, of EXTENT_PAGES at most.
   * @returns its writes; when it returns some may still be under way
   */
  *#pass(wbc: WritebackControl): Steps<WriteRequest[]> {
    this.stats.passes++
    const requests: WriteRequest[] = []
    const iterator = this.#mapping.writeback(wbc)
    let request: WriteRequest | null = null
    try {
      for (;;) {
        while (this.truncating !== null) {
          // Of this truncate: once the request is submitted it may be over, and the latch be that of the
          // next.
          const { opened } = this.#truncated
          if (request !== null) yield* this.#submit(request)
          request = null
          yield* waitFor({ sync: () => this.#refuse(), async: () => opened })
        }
        let folio: Folio | null
        try {
          const step = iterator.next()
          folio = step.done ? null : step.value
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EDEADLK') throw error
          if (request !== null) yield* this.#submit(request)
          request = null
          yield* this.#waitForWriteback(0, LAST_INDEX)
          continue
        }
        let whole: WriteRequest | null = null
        if (request !== null) {
          const { pages, first } = request
          if (folio?.index !== first + pages.length || pages.length === EXTENT_PAGES) {
            whole = request
            request = null
          }
        }
        if (folio !== null) {
          if (request === null) {
            request = new WriteRequest()
            requests.push(request)
            this.#startWriteback(folio, request)
            this.#requests.add(request)
          } else {
            this.#startWriteback(folio, request)
          }
        }
        if (whole !== null) {
          yield* this.#submit(whole)
          if (whole.error !== 0) {
            iterator.error = whole.error
            if (wbc.syncMode === 'none' && request !== null) {
              this.#giveBack(request)
              request = null
            }
          }
        }
        if (folio === null) return requests
      }
    } finally {
      iterator.return()
    }
  }

  /** A blocking call cannot wait for a truncate that is under way; its caller looks before it begins. */
  #refuse(): never {
    throw systemError(errno('EBUSY'), 'write', this.path)
  }

  /** Ends a request that is not to be written after all. */
  #giveBack(request: WriteRequest): void {
    this.#requests.delete(request)
    for (const page of request.pages) {
      const folio = page.folio as Folio
      page.pins--
      if (page.writer !== request) continue
      page.writer = null
      folio.endWriteback()
      folio.markDirty()
    }
    request.ended.open()
  }

  /** Starts the write of a request: when a writer is free, or, blocking, at once and to its end. */
  #submit(request: WriteRequest): Steps<void> {
    return waitFor({
      sync: () => runSync(this.#writeOut(request)),
      async: () => this.#flusher.startWrite(() => runAsync(this.#writeOut(request))),
    })
  }

  *#writeOut(request: WriteRequest): Steps<void> {
    try {
      // Read now: the file may have been truncated since the pages were started.
      const start = request.first * PAGE_SIZE
      const length = Math.min(request.pages.length * PAGE_SIZE, this.size - start)
      if (length > 0 && !request.takenOver) {
        yield* writeFully(this.storage, buffersOf(request.pages, length), start, this.stats)
      }
    } catch (thrown) {
      request.error = this.#record(thrown)
      request.thrown = thrown
    }
    this.#endWriteback(request)
  }

  #endWriteback(request: WriteRequest): void {
    this.#requests.delete(request)
    let clean = 0
    let written = 0
    for (const page of request.pages) {
      page.pins--
      if (page.writer !== request) {
        if (page.pins === 0) this.#afterTakeOver(page)
        continue
      }
      const folio = page.folio as Folio
      page.writer = null
      folio.endWriteback()
      if (request.error !== 0) {
        folio.markDirty()
        continue
      }
      if (!folio.dirty) clean++
      this.#noteLost(page)
      page.epoch = this.#epoch
      written++
    }
    if (written > 0) this.#countUnstable(this.#epoch, written)
    if (clean > 0) this.#countDirty(-clean)
    this.stats.foliosWritten += written
    this.stats.pagesWritten += written
    const end = (request.first + request.pages.length) * PAGE_SIZE
    if (request.takenOver && end > this.size) {
      // It may have put bytes behind an end that a truncate set meanwhile.
      try {
        runSync(uninterrupted(() => this.storage.truncate(this.size)))
      } catch (thrown) {
        this.#record(thrown)
      }
    }
    request.ended.open()
    this.#finish()
  }

  /** A write has ended of a page that was taken over from it: what the file has there now is not known. */
  #afterTakeOver(page: Page): void {
    if (page.index * PAGE_SIZE >= this.size) this.#drop(page)
    else this.#markDirty(page)
  }

  /** Keeps an error for every handle to see. */
  #record(thrown: unknown): number {
    const error = errnoOf(thrown) || errno('EIO')
    this.wbErr.set(error)
    return error
  }

  /** Pages from `first` to `last` with a write under way are dirty again, and under writeback no more. */
  #takeOver(first: number, last: number): void {
    for (const request of this.#requests) {
      if (!request.overlaps(first, last)) continue
      request.takenOver = true
      for (const page of request.pages) {
        const folio = page.folio as Folio
        if (page.writer === request) {
          folio.endWriteback()
          folio.markDirty()
          page.writer = null
        } else {
          this.#markDirty(page)
        }
      }
    }
  }

  /** filemap_fdatawait_range. A blocking call has nothing to wait for: it took over what was under way. */
  #waitForWriteback(first: number, last: number): Steps<void> {
    return waitFor({
      sync: () => {},
      async: async () => {
        for (const request of [...this.#requests]) {
          if (request.overlaps(first, last)) await request.ended.opened
        }
      },
    })
  }

  /** Writes back what is dirty between two bytes, both included (WB_SYNC_ALL), and waits for it. */
  *sync(start: number, end: number): Steps<void> {
    const [first, last] = [pageOf(start), pageOf(end)]
    yield* waitFor({ sync: () => this.#takeOver(first, last), async: async () => {} })
    const wbc = new WritebackControl({ syncMode: 'all', rangeStart: start, rangeEnd: end })
    const requests = yield* this.#pass(wbc)
    yield* this.#waitForWriteback(first, last)
    for (const { error, thrown } of requests) if (error !== 0) throw thrown
  }

  /** vfs_fsync_range */
  *fsync(start: number, end: number, dataOnly: boolean): Steps<void> {
    yield* this.sync(start, end)
    yield* this.flush(dataOnly)
  }

  /**
   * Has the storage put down what it has. If it does not, all that was written since the last time is dirty
   * again: the system may have dropped it, and would not say so a second time.
   * @returns how many pages are stable now that were not
   */
  *flush(dataOnly: boolean): Steps<number> {
    const epoch = this.#epoch++
    const stableBefore = this.stableEpoch
    try {
      yield* uninterrupted(() => this.storage.flush(dataOnly))
      return this.#noteStable(epoch)
    } catch (thrown) {
      this.#record(thrown)
      // Another flush that has succeeded meanwhile does not count: the system reports an error once.
      for (const page of this.#pages) {
        if (page.epoch <= stableBefore) continue
        this.#noteLost(page)
        this.#markDirty(page)
      }
      throw thrown
    }
  }

  /**
   * WB_SYNC_NONE, cyclic, about this many pages; at the end of the file it continues from the start.
   * @returns pages written
   */
  *writeback(nrToWrite: number): Steps<number> {
    const wbc = new WritebackControl({ nrToWrite, rangeCyclic: true })
    const requests = yield* this.#pass(wbc)
    // A cyclic pass ends at the end of the file.
    const failed = requests.some(({ error }) => error !== 0)
    if (wbc.nrToWrite > 0 && !failed && this.#mapping.tagged('dirty')) {
      requests.push(...(yield* this.#pass(wbc)))
    }
    yield* waitFor({
      sync: () => {},
      async: async () => {
        for (const { ended } of requests) await ended.opened
      },
    })
    let written = 0
    for (const { error, thrown, pages } of requests) {
      if (error !== 0) throw thrown
      written += pages.length
    }
    return written
  }

  // Size

  /**
   * Sets the size. The storage comes first: if it refuses, nothing has changed. After it nothing can fail,
   * and what was dirty behind the new end is gone, so it cannot come back when the file grows again.
   */
  *truncate(length: number): Steps<void> {
    const first = pageOf(length)
    this.truncating = length
    try {
      // No pass starts a write while `truncating` is set; what is under way would come out behind the new
      // end.
      yield* waitFor({
        sync: () => length < this.size && this.#takeOver(first, LAST_INDEX),
        async: async () => {
          for (const request of this.#requests) {
            if (request.overlaps(first, LAST_INDEX)) await request.ended.opened
          }
        },
      })
      yield* uninterrupted(() => this.storage.truncate(length))
      if (length < this.size) this.#dropFrom(length)
      this.size = length
    } finally {
      this.truncating = null
      const truncated = this.#truncated
      this.#truncated = new Latch()
      truncated.open()
    }
  }

  /** Drops every page behind the end, and zeroes what is behind it in the page that straddles it. */
  #dropFrom(length: number): void {
    const firstGone = Math.ceil(length / PAGE_SIZE)
    for (const folio of this.#mapping.folios(undefined, firstGone)) {
      const page = this.#pages.get(folio.index) as Page
      // A write under way keeps its frame, to be dropped when it ends.
      if (page.pins > 0) page.bytes.fill(0)
      else this.#drop(page)
    }
    const last = this.#pages.get(pageOf(length))
    if (last === undefined || length % PAGE_SIZE === 0) return
    if (last.reading !== null) this.#drop(last)
    else last.bytes.fill(0, length % PAGE_SIZE)
  }

  /** Makes bytes zeros, both ends included; what is behind the end of the file stays nothing. */
  *deallocate(start: number, end: number): Steps<void> {
    const zeros = Buffer.alloc(PAGE_SIZE)
    const stored = new Uint8Array(EXTENT_PAGES * PAGE_SIZE)
    for (let at = start; at <= end && at < this.size; ) {
      const n = Math.min(end + 1, this.size) - at
      const offset = at % PAGE_SIZE
      const whole = Math.min(EXTENT_PAGES, pageOf(n)) * PAGE_SIZE
      if (offset !== 0 || whole === 0) {
        const part = Math.min(PAGE_SIZE - offset, n)
        yield* this.write(zeros.subarray(0, part), at)
        at += part
        continue
      }
      const read = yield* readFully(this.storage, [stored.subarray(0, whole)], at, this.stats)
      stored.fill(0, read)
      for (let i = 0; i < whole && at < this.size; i += PAGE_SIZE, at += PAGE_SIZE) {
        // A page that is zeros in the storage, in a hole for one, is not written.
        if (this.#pages.has(pageOf(at)) || zeros.compare(stored.subarray(i, i + PAGE_SIZE)) !== 0) {
          yield* this.write(zeros.subarray(0, Math.min(PAGE_SIZE, this.size - at)), at)
        }
      }
    }
  }
}
