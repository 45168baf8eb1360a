// SPDX-License-Identifier: GPL-2.0-only

import fs from 'node:fs'
import { promisify } from 'node:util'

const fsync = promisify(fs.fsync)

/** A file by system calls, with the methods of a CachedFile. */
export class PlainFile {
  #fd

  /** @param {string} path @param {string | number} flags */
  constructor(path, flags) {
    this.#fd = fs.openSync(path, flags)
  }

  get size() {
    return fs.fstatSync(this.#fd).size
  }

  /** @param {Uint8Array} into @param {number} position */
  readSync(into, position) {
    return fs.readSync(this.#fd, into, 0, into.length, position)
  }

  /** @param {Uint8Array} bytes @param {number} position */
  writeSync(bytes, position) {
    const count = fs.writeSync(this.#fd, bytes, 0, bytes.length, position)
    if (count < bytes.length) throw new Error(`${count} bytes written instead of ${bytes.length}`)
    return count
  }

  /** @param {number} length */
  truncateSync(length) {
    fs.ftruncateSync(this.#fd, length)
  }

  /** Does nothing: the system has all the data. */
  writebackSync() {
    return 0
  }

  fsyncSync() {
    fs.fsyncSync(this.#fd)
  }

  fsync() {
    return fsync(this.#fd)
  }

  fdatasyncSync() {
    fs.fdatasyncSync(this.#fd)
  }

  closeSync() {
    fs.closeSync(this.#fd)
  }
}
