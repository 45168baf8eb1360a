// SPDX-License-Identifier: GPL-2.0-only
// The bytes of the cached pages.
//
// Memory comes in windows of 16 pages at their natural places: the page of index i lies in window i / 16, whichever
// folio it belongs to. So neighbours in the file are neighbours in memory, and one buffer of a vectored write takes
// up to a window. A window is address space first: the system commits the pages of it that are touched.

import { WritebackError } from '../errors.js'

export const PAGE_SHIFT = 12
export const PAGE_SIZE = 2 ** PAGE_SHIFT
export const WINDOW_PAGES = 16
export const WINDOW_SIZE = WINDOW_PAGES * PAGE_SIZE
const SLAB_SIZE = 16 * WINDOW_SIZE

/** Number of bits set in a mask of pages. */
export function countPages(mask: number): number {
  let count = 0
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++
  return count
}

/** The pages of a window that the bytes from `start` to `end` (not included, both within the window) touch. */
export function pageMask(start: number, end: number): number {
  return (1 << ((end + PAGE_SIZE - 1) >> PAGE_SHIFT)) - (1 << (start >> PAGE_SHIFT))
}

/** 16 pages of the file from page `16 * number` on, and per page the two bits that a folio is too coarse for. */
export class Window {
  readonly number: number
  readonly bytes: Uint8Array<ArrayBuffer>
  /**
   * Pages that differ from the file. A folio is dirty if any of its pages is, so a small write into a large folio does
   * not write all of it back (the kernel's iomap keeps the same bits in its folio state).
   */
  dirty = 0
  /** Pages written to the file since its last successful fsync, which the system may still lose (NFS calls it unstable). */
  unstable = 0

  constructor(number: number, bytes: Uint8Array<ArrayBuffer>) {
    this.number = number
    this.bytes = bytes
  }
}

/** The windows of one file, allocated by slabs and recycled. What a window holds where no page is cached is undefined. */
export class PageMemory {
  readonly #windows = new Map<number, Window>()
  readonly #free: Uint8Array<ArrayBuffer>[] = []

  get(number: number): Window | undefined {
    return this.#windows.get(number)
  }

  /** The window of this number, made if it is not there; throws `ENOMEM`. */
  make(number: number): Window {
    const found = this.#windows.get(number)
    if (found !== undefined) return found
    const window = new Window(number, this.#free.pop() ?? this.#carve())
    this.#windows.set(number, window)
    return window
  }

  /** Every window from this number on, in no order. */
  *from(number: number): IterableIterator<Window> {
    for (const window of this.#windows.values()) if (window.number >= number) yield window
  }

  drop(window: Window): void {
    this.#windows.delete(window.number)
    this.#free.push(window.bytes)
  }

  #carve(): Uint8Array<ArrayBuffer> {
    const slab = allocate(SLAB_SIZE)
    for (let at = SLAB_SIZE - WINDOW_SIZE; at > 0; at -= WINDOW_SIZE) {
      this.#free.push(new Uint8Array(slab, at, WINDOW_SIZE))
    }
    return new Uint8Array(slab, 0, WINDOW_SIZE)
  }
}

function allocate(size: number): ArrayBuffer {
  try {
    return new ArrayBuffer(size)
  } catch {
    throw new WritebackError('ENOMEM', `no memory for ${size} bytes of page data`)
  }
}
