// SPDX-License-Identifier: GPL-2.0-only
// The memory of all cached pages of a thread: frames of 4 KiB, bounded by the budget and used again.
//
// A frame comes from a chunk of 1 MiB. Neighbours of a chunk are handed out in a row, so a run of pages that
// was written in order is one buffer of a vectored write. A chunk of which no frame is in use goes back to
// the system, at once: it is a resizable buffer, which gives up its memory without waiting for the garbage
// collector.
//
// While the cache grows, chunks are populated ahead of use: as many as it has, up to MOST_AHEAD, and up to a
// sixteenth of the budget. That is what a program has less of while it does not return to the event loop,
// which reports that a chunk is ready.

import { WritebackError } from '../../errors.js'
import type { Folio } from '../../types.js'
import { Populator } from './populate.js'

export const PAGE_SHIFT = 12
export const PAGE_SIZE = 2 ** PAGE_SHIFT
/** The most pages of one write to the storage, or one read from it: 1 MiB, as much as a chunk. */
export const EXTENT_PAGES = 256
const CHUNK_PAGES = EXTENT_PAGES
/**
 * What a cached page takes beside its bytes: frame, view, folio, and entries of the tree and the map.
 * Measured.
 */
const PAGE_OVERHEAD = 512
/** Chunks that are populated before they are used, at most. */
const MOST_AHEAD = 16
const AHEAD_SHARE = 16
/** Frames that one sweep of the clock takes back, so that runs of neighbours come free together. */
const RECLAIM_BATCH = 32

/** The file that a page belongs to. */
export interface PageOwner {
  /** The last flush that made pages stable; 0 if there was none. */
  readonly stableEpoch: number
  /** Takes a page out of the cache that `reclaimable` says can go. */
  evict(page: Page): void
}

/** A page that was used so often stays when the clock's hand passes; one that was used once goes. */
const ACTIVE = 2

/** A frame, and what page of what file it holds. */
export class Page {
  readonly chunk: Chunk
  readonly slot: number
  #bytes: Uint8Array<ArrayBuffer> | null = null
  owner: PageOwner | null = null
  index = 0
  folio: Folio | null = null
  /** How often the page was used since it came in, up to {@link ACTIVE}; the clock's hand takes one. */
  uses = 0
  /** Writes of this frame to the storage under way. It stays the frame of its page until they end. */
  pins = 0
  /** The write that ends the folio's writeback; null if it is not under writeback. */
  writer: object | null = null
  /** The read that fills it; null once its bytes are valid. */
  reading: object | null = null
  /**
   * The flush of the file that makes it stable, counted from 1, or a later one: the first that began after
   * the page was written. Until then the storage may lose the page (NFS calls it unstable). 0 if the storage
   * has it, or has nothing of it.
   */
  epoch = 0

  constructor(chunk: Chunk, slot: number) {
    this.chunk = chunk
    this.slot = slot
  }

  /** Its bytes alone. Made when first asked for, because writes and most write-back do without. */
  get bytes(): Uint8Array<ArrayBuffer> {
    this.#bytes ??= new Uint8Array(this.chunk.buffer, this.slot * PAGE_SIZE, PAGE_SIZE)
    return this.#bytes
  }

  markUsed(): void {
    if (this.uses < ACTIVE) this.uses++
  }

  /** Nothing is lost if it goes. */
  get reclaimable(): boolean {
    return (
      this.owner !== null &&
      this.pins === 0 &&
      this.reading === null &&
      this.epoch <= this.owner.stableEpoch &&
      this.folio !== null &&
      !this.folio.dirty
    )
  }
}

class Chunk {
  readonly buffer: ArrayBuffer
  /** The bytes of all its frames. */
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly pages: Page[]
  /** Frames that hold a page. */
  used = 0

  constructor() {
    const size = CHUNK_PAGES * PAGE_SIZE
    try {
      this.buffer = new ArrayBuffer(size, { maxByteLength: size })
    } catch {
      throw new WritebackError('ENOMEM', `no memory for ${size} bytes of page data`)
    }
    this.bytes = new Uint8Array(this.buffer, 0, size)
    this.pages = Array.from({ length: CHUNK_PAGES }, (_, slot) => new Page(this, slot))
  }
}

/** The frames of a thread. */
export class PagePool {
  #limit: number
  #chunks: Chunk[] = []
  /** Frames that hold no page; the last one is handed out first. */
  #free: Page[] = []
  readonly #populator = new Populator()
  /** Populated, and not in use. */
  readonly #ready: Chunk[] = []
  /** Chunks that are being populated. */
  #populating = 0
  /** Where the clock's hand is: a frame, counted through all chunks. */
  #hand = 0

  constructor(memory: number) {
    this.#limit = pagesOf(memory)
  }

  /** Sets the budget. A smaller one takes clean pages back at once, and the others as they become clean. */
  resize(memory: number): void {
    this.#limit = pagesOf(memory)
    this.trim()
  }

  /** Frames in use. */
  get used(): number {
    return this.#chunks.length * CHUNK_PAGES - this.#free.length
  }

  get #full(): boolean {
    return this.used + this.#populating * CHUNK_PAGES >= this.#limit
  }

  /**
   * A frame that the caller uses from now on: a free one, or that of a page that can go.
   * @returns null if the budget is used up by pages that cannot
   */
  take(): Page | null {
    if (this.#free.length === 0 || this.#full) {
      if (this.#full) this.#sweep()
      else this.#grow()
    }
    if (this.#full) return null
    const page = this.#free.pop() as Page
    page.chunk.used++
    return page
  }

  /** The frame holds no page any more. */
  give(page: Page): void {
    page.owner = null
    page.folio = null
    page.reading = null
    page.uses = 0
    this.#free.push(page)
    // The last chunk stays: a program that opens and closes one small file after the other would make it each
    // time.
    if (--page.chunk.used === 0 && this.#chunks.length > 1) this.#release(page.chunk)
  }

  /** Takes pages back until the budget holds them, as far as they can go. */
  trim(): void {
    while (this.used > this.#limit && this.#sweep() > 0);
    this.#trimReady()
  }

  #grow(): void {
    const chunk = this.#ready.pop() ?? new Chunk()
    this.#chunks.push(chunk)
    for (let slot = CHUNK_PAGES - 1; slot >= 0; slot--) this.#free.push(chunk.pages[slot])
    this.#populateAhead()
  }

  /** How many more chunks may be ready than now. */
  get #mayPopulate(): number {
    const ahead = this.#ready.length + this.#populating
    const budget = Math.floor(this.#limit / CHUNK_PAGES)
    const most = Math.min(MOST_AHEAD, Math.floor(budget / AHEAD_SHARE))
    return Math.min(most, this.#chunks.length, budget - this.#chunks.length) - ahead
  }

  #populateAhead(): void {
    for (let more = this.#mayPopulate; more > 0; more--) {
      let chunk: Chunk
      try {
        chunk = new Chunk()
      } catch {
        return
      }
      const started = this.#populator.start(chunk.bytes, () => {
        this.#populating--
        this.#ready.push(chunk)
        this.#trimReady()
      })
      if (!started) return
      this.#populating++
    }
  }

  /** Gives back chunks that are ready for a cache that does not need them any more. */
  #trimReady(): void {
    while (this.#ready.length > 0 && this.#mayPopulate < 0) (this.#ready.pop() as Chunk).buffer.resize(0)
  }

  #release(chunk: Chunk): void {
    this.#chunks.splice(this.#chunks.indexOf(chunk), 1)
    this.#free = this.#free.filter((page) => page.chunk !== chunk)
    chunk.buffer.resize(0)
    this.#trimReady()
  }

  /**
   * The clock: a page that was used again since the hand last went by stays. Returns how many it took back.
   */
  #sweep(): number {
    const total = this.#chunks.length * CHUNK_PAGES
    const taken: Page[] = []
    for (let i = 0; i < 2 * total && taken.length < RECLAIM_BATCH; i++) {
      if (this.#hand >= total) this.#hand = 0
      const page = this.#chunks[Math.floor(this.#hand / CHUNK_PAGES)].pages[this.#hand % CHUNK_PAGES]
      this.#hand++
      if (!page.reclaimable) continue
      if (page.uses === ACTIVE) page.uses = ACTIVE - 1
      else if (!taken.includes(page)) taken.push(page)
    }
    // The first one is to be on top of the free ones, so that neighbours are handed out in order.
    for (const page of taken.reverse()) (page.owner as PageOwner).evict(page)
    return taken.length
  }
}

/** A budget of less than a chunk would be one in which nothing moves. */
function pagesOf(memory: number): number {
  return Math.max(CHUNK_PAGES, Math.floor(memory / (PAGE_SIZE + PAGE_OVERHEAD)))
}
