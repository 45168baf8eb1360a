// SPDX-License-Identifier: GPL-2.0-only
// Makes the device work while the engine writes.
//
// The system keeps written pages in its own cache until a flush. So that the device does not stand idle while
// the next pages are copied, the engine flushes what it has written so far, on a thread of Node.js. The flush
// that the program asked for finds less to do.
//
// The flush goes through an open file description of its own. The system reports an error of its write-back
// once per open file description, and the program's own flush is to see it.

import fs from 'node:fs'

/** Bytes written after which a flush starts. */
const START = 8 * 2 ** 20
/** Flushes under way at a time, so that Node.js keeps threads for other work. */
const MOST = 2

export class BackgroundFlush {
  /** Bytes written since the last flush began. */
  #unflushed = 0
  #fd: number | null = null
  /** The system does not open a file by its descriptor. */
  #refused = process.platform !== 'linux'
  #underWay = 0
  #closing = false

  /** @param fd - of the file that these bytes were written to */
  written(fd: number, bytes: number): void {
    this.#unflushed += bytes
    if (this.#unflushed < START || this.#underWay === MOST || !this.#open(fd)) return
    this.#unflushed = 0
    this.#underWay++
    fs.fdatasync(this.#fd as number, () => {
      this.#underWay--
      if (this.#closing) this.close()
    })
  }

  /** The program flushes the file. */
  flushed(): void {
    this.#unflushed = 0
  }

  #open(fd: number): boolean {
    if (this.#fd !== null) return true
    if (this.#refused) return false
    try {
      // By way of the descriptor: another file may have the path by now.
      this.#fd = fs.openSync(`/proc/self/fd/${fd}`, 'r+')
    } catch {
      this.#refused = true
    }
    return !this.#refused
  }

  /** Closes the descriptor as soon as no flush uses it. */
  close(): void {
    this.#closing = true
    if (this.#underWay > 0 || this.#fd === null) return
    fs.closeSync(this.#fd)
    this.#fd = null
  }
}
