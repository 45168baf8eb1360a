// SPDX-License-Identifier: GPL-2.0-only
// random-access-storage, which hypercore and hyperbee store their data in, on CachedFile.

import { constants } from 'node:fs'
import fs from 'node:fs/promises'
import { dirname } from 'node:path'
import RandomAccessStorage from 'random-access-storage'
import { CachedFile } from 'writeback-iter/file'

/**
 * The files that storages of this thread have locked, by device and inode number: how many share the lock, or
 * Infinity for one that has it alone. The lock of CachedFile is of the process, whose handles share a cache.
 */
const locks = new Map()

/** A file as random-access-storage. */
export class CachedStorage extends RandomAccessStorage {
  #path
  #engine
  #writable
  #lock
  #file = null
  /** What it has locked. */
  #locked = null

  /**
   * @param {string} path - its folder is made when it is written first
   * @param {{ engine?: 'native' | 'js', writable?: boolean, lock?: boolean }} [options] - `lock`: a
   * storage that writes the file keeps all others out; one that only reads it, those that write
   */
  constructor(path, { engine, writable = true, lock = false } = {}) {
    super()
    this.#path = path
    this.#engine = engine
    this.#writable = writable
    this.#lock = lock
  }

  _open(request) {
    answer(request, async () => {
      // random-access-storage opens once more when the first write comes.
      const create = this.writing && this.#writable
      if (create) await fs.mkdir(dirname(this.#path), { recursive: true })
      const flags =
        (this.#writable ? constants.O_RDWR : constants.O_RDONLY) | (create ? constants.O_CREAT : 0)
      const file = await CachedFile.open(this.#path, { flags, engine: this.#engine }).catch((error) => {
        throw error.code === 'EBUSY' ? lockedError(this.#path, error) : error
      })
      try {
        if (this.#lock) await this.#takeLock(file)
      } catch (error) {
        await file.close()
        throw error
      }
      this.#file = file
    })
  }

  async #takeLock(file) {
    const { dev, ino } = await file.stat()
    const key = `${dev}:${ino}`
    const held = locks.get(key) ?? 0
    if (held === Infinity || (this.#writable && held > 0)) throw lockedError(this.#path)
    locks.set(key, this.#writable ? Infinity : held + 1)
    this.#locked = key
  }

  #dropLock() {
    const held = locks.get(this.#locked)
    if (held === Infinity || held === 1) locks.delete(this.#locked)
    else if (held !== undefined) locks.set(this.#locked, held - 1)
    this.#locked = null
  }

  _read(request) {
    answer(request, async () => {
      const bytes = Buffer.allocUnsafe(request.size)
      const length = await this.#file.read(bytes, request.offset)
      if (length === request.size) return bytes
      const message = `could not satisfy length: ${length} of ${request.size} bytes at ${request.offset}`
      throw Object.assign(new Error(message), { code: 'EPARTIALREAD', path: this.#path })
    })
  }

  _write(request) {
    answer(request, () => this.#file.write(request.data, request.offset).then(() => undefined))
  }

  _del(request) {
    const { offset, size } = request
    if (offset + size === Infinity) this._truncate(request)
    else if (size === 0) answer(request, async () => {})
    else answer(request, () => this.#file.deallocate({ start: offset, end: offset + size - 1 }))
  }

  _truncate(request) {
    answer(request, () => this.#file.truncate(request.offset))
  }

  _stat(request) {
    answer(request, () => this.#file.stat())
  }

  _close(request) {
    answer(request, async () => {
      await this.#file.close()
      this.#file = null
      this.#dropLock()
    })
  }

  _unlink(request) {
    answer(request, () => fs.rm(this.#path, { force: true }))
  }
}

/** Answers a request of random-access-storage by the result of the work, or by its error. */
function answer(request, work) {
  work().then(
    (result) => request.callback(null, result),
    (error) => request.callback(error),
  )
}

function lockedError(path, cause) {
  return Object.assign(new Error(`${path} is locked`, { cause }), { code: 'ELOCKED', path })
}
