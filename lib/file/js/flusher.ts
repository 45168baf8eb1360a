// SPDX-License-Identifier: GPL-2.0-only
// The flusher of a thread, and what holds writers back: fs/fs-writeback.c and balance_dirty_pages().
//
//     dirty pages   0 ......... background ......... dirty limit ......... memory
//     flusher         old pages  writes              writes
//     writers         go on      go on               are held back         wait for a frame

import type { Limits } from '../engine.js'
import { errno, systemError } from '../system_error.js'
import type { Inode } from './inode.js'
import { EXTENT_PAGES, PAGE_SIZE } from './page_pool.js'
import { runAsync, runSync, type Steps } from './steps.js'

/**
 * Pages of a file that the flusher writes before it turns to the next: the kernel's MAX_WRITEBACK_PAGES, 4
 * MiB.
 */
const WRITEBACK_PAGES = 1024
/** Writes under way at a time, if the user has not said: Node.js has as many threads for them. */
const WRITERS = 4
/** Frames under write are a quarter of the memory at most: a blocking call cannot wait for them. */
const WRITERS_SHARE = 4

interface Waiter {
  resolve(): void
  reject(error: unknown): void
}

export class Flusher {
  /** Pages dirty or under writeback, of all files. */
  #dirty = 0
  /** Pages that their storage may still lose. They are not reclaimed, so that they can be written again. */
  #unstable = 0
  #limits: Limits
  /** Files with dirty pages; the one whose turn is next is first. */
  readonly #dirtyInodes = new Set<Inode>()
  readonly #unstableInodes = new Set<Inode>()
  /** Files that could not be written, and why. They are left alone until the timer comes round. */
  readonly #failing = new Map<Inode, unknown>()
  #running = false
  /** A file got its first dirty page since the round under way began. */
  #newDirty = false
  #timer: NodeJS.Timeout | null = null
  /** Writes under way. */
  #writes = 0
  readonly #waitingToWrite: (() => void)[] = []
  #heldBack: (() => void)[] = []
  #waitingForFrames: Waiter[] = []

  constructor(limits: Limits) {
    this.#limits = limits
  }

  configure(limits: Limits): void {
    this.#limits = limits
    this.#stopTimer()
    this.#startTimer()
    this.#kick()
    this.#letGo()
  }

  /** The number of dirty pages of a file changed by `pages`. */
  countDirty(inode: Inode, pages: number): void {
    if (inode.dirtyPages === pages) {
      inode.dirtiedAt = performance.now()
      this.#dirtyInodes.add(inode)
      this.#newDirty = true
      this.#startTimer()
    }
    this.#dirty += pages
    if (inode.dirtyPages > 0) return
    this.#dirtyInodes.delete(inode)
    this.#failing.delete(inode)
    if (this.#dirtyInodes.size === 0) this.#stopTimer()
  }

  /** The number of pages of a file that its storage may still lose changed by `pages`. */
  countUnstable(inode: Inode, pages: number): void {
    this.#unstable += pages
    if (inode.unstablePages > 0) this.#unstableInodes.add(inode)
    else this.#unstableInodes.delete(inode)
  }

  // Old pages

  #startTimer(): void {
    const { writebackInterval } = this.#limits
    if (this.#timer !== null || writebackInterval === 0 || this.#dirtyInodes.size === 0) return
    this.#timer = setInterval(() => this.#writeOld(), writebackInterval).unref()
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #writeOld(): void {
    this.#failing.clear()
    const now = performance.now()
    for (const inode of this.#dirtyInodes) {
      if (now - inode.dirtiedAt < this.#limits.dirtyExpire || inode.truncating !== null) continue
      inode.dirtiedAt = now
      void this.#attempt(inode, inode.writeback(inode.dirtyPages))
    }
    this.#kick()
  }

  // Above the background limit, or if a call needs a frame

  get #tooMuch(): boolean {
    const background = this.#limits.dirtyBackground / PAGE_SIZE
    return this.#waitingForFrames.length > 0 || this.#dirty > background || this.#unstable > background
  }

  #kick(): void {
    if (!this.#running && this.#tooMuch) void this.#run()
  }

  async #run(): Promise<void> {
    this.#running = true
    let progress = true
    while ((progress || this.#newDirty) && this.#tooMuch) {
      this.#newDirty = false
      progress = await this.#round()
    }
    this.#running = false
    // Pages that cannot be written hold no call back: the error is recorded, and the memory is bounded all
    // the same.
    this.#letGo(true)
    const waiting = this.#waitingForFrames.splice(0)
    for (const { reject } of waiting) reject(this.#whyNot())
  }

  /**
   * A turn for each dirty file, and then what was written is made stable. Returns whether anything came of
   * it.
   */
  async #round(): Promise<boolean> {
    let progress = 0
    for (const inode of [...this.#dirtyInodes]) {
      if (!this.#tooMuch) return true
      // It may have been closed, or written back, while others had their turn.
      if (!this.#dirtyInodes.has(inode) || this.#failing.has(inode) || inode.truncating !== null) continue
      progress += await this.#attempt(inode, inode.writeback(WRITEBACK_PAGES))
      // Its next turn comes after all others'.
      if (this.#dirtyInodes.delete(inode)) this.#dirtyInodes.add(inode)
    }
    for (const inode of [...this.#unstableInodes]) {
      if (!this.#tooMuch) return true
      if (!this.#unstableInodes.has(inode) || this.#failing.has(inode)) continue
      progress += await this.#attempt(inode, inode.flush(true))
      for (const { resolve } of this.#waitingForFrames.splice(0)) resolve()
    }
    return progress > 0
  }

  /** Returns what the operation does, 0 if it fails: the error is in the file's error sequence. */
  async #attempt(inode: Inode, steps: Steps<number>): Promise<number> {
    inode.get()
    try {
      return await runAsync(steps)
    } catch (error) {
      this.#failing.set(inode, error)
      return 0
    } finally {
      inode.put(false)
    }
  }

  #attemptSync(inode: Inode, steps: Steps<number>): number {
    try {
      return runSync(steps)
    } catch (error) {
      this.#failing.set(inode, error)
      return 0
    }
  }

  /** Why no page can be taken back. */
  #whyNot(): unknown {
    for (const error of this.#failing.values()) return error
    return systemError(errno('ENOMEM'), 'cache', '')
  }

  // Writers and readers that have to wait

  /** After an asynchronous write: null, or a promise that is pending while too much is dirty. */
  balance(): Promise<void> | null {
    this.#kick()
    if (this.#dirty <= this.#limits.dirty / PAGE_SIZE || !this.#running) return null
    return new Promise((resolve) => this.#heldBack.push(resolve))
  }

  /** After a blocking write, which writes back itself what is too much, its own file first. */
  balanceSync(own: Inode): void {
    this.#kick()
    while (this.#dirty > this.#limits.dirty / PAGE_SIZE) {
      const inode = this.#pick(this.#dirtyInodes, own)
      if (inode === null || this.#attemptSync(inode, inode.writeback(WRITEBACK_PAGES)) === 0) return
    }
  }

  #letGo(all = false): void {
    if (!all && this.#dirty > this.#limits.dirty / PAGE_SIZE) return
    for (const resolve of this.#heldBack.splice(0)) resolve()
  }

  /** Waits until some page has become reclaimable; rejects if none can. */
  makeRoom(): Promise<void> {
    const room = new Promise<void>((resolve, reject) => this.#waitingForFrames.push({ resolve, reject }))
    this.#kick()
    return room
  }

  makeRoomSync(own: Inode): void {
    const dirty = this.#pick(this.#dirtyInodes, own)
    let progress = dirty === null ? 0 : this.#attemptSync(dirty, dirty.writeback(WRITEBACK_PAGES))
    const unstable = this.#pick(this.#unstableInodes, own)
    if (unstable !== null) progress += this.#attemptSync(unstable, unstable.flush(true))
    if (progress === 0) throw this.#whyNot()
  }

  /** One of these files that a blocking call can write, this one if it is among them. */
  #pick(inodes: ReadonlySet<Inode>, own: Inode): Inode | null {
    const able = (inode: Inode) =>
      !this.#failing.has(inode) && inode.truncating === null && inode.storage.blocking
    if (inodes.has(own) && able(own)) return own
    for (const inode of inodes) if (able(inode)) return inode
    return null
  }

  // Writes under way

  /** Starts a write as soon as the others leave room for it. */
  async startWrite(write: () => Promise<void>): Promise<void> {
    const { writers = WRITERS, memory } = this.#limits
    const most = Math.min(writers, memory / WRITERS_SHARE / (EXTENT_PAGES * PAGE_SIZE))
    while (this.#writes >= Math.max(1, Math.floor(most))) {
      await new Promise<void>((resolve) => this.#waitingToWrite.push(resolve))
    }
    this.#writes++
    void write().finally(() => {
      this.#writes--
      this.#waitingToWrite.shift()?.()
      this.#letGo()
    })
  }
}
