// SPDX-License-Identifier: GPL-2.0-only
// Storage other than a file.

import { describe, invalid, WritebackError } from '../../errors.js'
import { errno, systemError } from '../system_error.js'
import type { Wait } from './steps.js'
import type { Storage } from './storage.js'

/**
 * Storage behind a {@link CachedFile} instead of a file: a block device, a table, an object store. The cache
 * makes several calls at a time (`writers` of {@link ConfigureOptions}), but never two writes of the same
 * page.
 *
 * A rejection counts as an I/O error of a file does: the pages stay dirty, and `fsync` and `close` report it
 * once per handle.
 */
export interface BlockDevice {
  /**
   * Reads bytes into `into`, which is the cache's own memory.
   * @param position - a byte offset, a multiple of 4096
   * @returns bytes read; 0 only at the end of the device
   */
  read(into: Uint8Array, position: number): Promise<number>
  /**
   * Writes the buffers one after the other. They are the cache's own memory, valid until the promise settles.
   * If the program writes to a page before that, its bytes may change during the call; the page is then
   * dirty, and is written again.
   * @param position - a byte offset, a multiple of 4096
   * @returns the number of bytes written, if fewer than all; the cache then writes the rest
   */
  write(buffers: readonly Uint8Array[], position: number): Promise<number | void>
  /** Makes durable all writes that have resolved. */
  flush(): Promise<void>
  /** Sets the length. Without it, the length is fixed: a write beyond the end throws `ENOSPC`. */
  truncate?(length: number): Promise<void>
  /** The length in bytes. */
  size(): number | Promise<number>
}

/** @throws `EINVAL` */
export function checkDevice(device: BlockDevice): void {
  for (const name of ['read', 'write', 'flush', 'size'] as const) {
    if (typeof device?.[name] !== 'function') throw invalid(`device.${name}`, device?.[name], 'a function')
  }
  const { truncate } = device
  if (truncate !== undefined && typeof truncate !== 'function') {
    throw invalid('device.truncate', truncate, 'a function')
  }
}

/** Checks a number of bytes that a device returned. */
function checkCount(what: string, count: unknown, most: number): number {
  if (!Number.isSafeInteger(count) || (count as number) < 0 || (count as number) > most) {
    throw new WritebackError('EINVAL', `${what} is ${describe(count)}, expected bytes, at most ${most}`)
  }
  return count as number
}

/** @internal */
export class DeviceStorage implements Storage {
  readonly fd = -1
  readonly blocking = false
  readonly #device: BlockDevice
  /** The length of the device, which only the cache changes. */
  #size = 0

  constructor(device: BlockDevice) {
    this.#device = device
  }

  /** Reads the length of the device; to be called first. */
  async open(): Promise<number> {
    this.#size = checkCount('size()', await this.#device.size(), Number.MAX_SAFE_INTEGER)
    return this.#size
  }

  get maxSize(): number {
    return this.#device.truncate === undefined ? this.#size : Number.MAX_SAFE_INTEGER
  }

  read(buffers: Uint8Array[], position: number): Wait<number> {
    return this.#wait(async () => {
      const [into] = buffers
      return checkCount('read()', await this.#device.read(into, position), into.length)
    })
  }

  write(buffers: Uint8Array[], position: number): Wait<number> {
    return this.#wait(async () => {
      const all = buffers.reduce((sum, { length }) => sum + length, 0)
      return checkCount('write()', (await this.#device.write([...buffers], position)) ?? all, all)
    })
  }

  flush(): Wait<void> {
    return this.#wait(async () => void (await this.#device.flush()))
  }

  truncate(length: number): Wait<void> {
    return this.#wait(async () => {
      if (this.#device.truncate !== undefined) await this.#device.truncate(length)
      else if (length !== this.#size)
        throw systemError(errno('EINVAL'), 'ftruncate', 'a device of fixed size')
    })
  }

  close(): void {}

  #wait<T>(call: () => Promise<T>): Wait<T> {
    return {
      sync() {
        throw new WritebackError('EINVAL', 'a device has no blocking calls')
      },
      async: call,
    }
  }
}
