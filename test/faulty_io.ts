// SPDX-License-Identifier: GPL-2.0-only

import fs from 'node:fs'
import { constants } from 'node:os'
import { systemError } from '../lib/file/system_error.js'

type Call = 'read' | 'writev' | 'fsync' | 'ftruncate'
/** An errno name that the call fails with, or the most bytes that it transfers. */
export type Fault = keyof typeof constants.errno | number

type Done = (error: Error | null, count?: number) => void

/**
 * Real files on which the n-th call of a kind goes wrong as asked for. The object replaces the calls of
 * `node:fs` that the TypeScript engine makes, in both forms, from its creation until `restore`.
 */
export class FaultyIO {
  /** Calls made of each kind, those that failed included. */
  readonly calls = { read: 0, writev: 0, fsync: 0, ftruncate: 0 }
  /** Buffers that each writev was given. */
  readonly buffers: number[] = []
  readonly #real = { ...fs }
  readonly #faulty: object
  #inject: (call: Call, n: number) => Fault | null = () => null

  constructor() {
    const real = this.#real
    const cut = (buffers: Uint8Array[], most: number) => {
      const taken: Uint8Array[] = []
      for (let i = 0, limit = most; i < buffers.length && limit > 0; i++) {
        taken.push(buffers[i].subarray(0, limit))
        limit -= Math.min(limit, buffers[i].length)
      }
      return taken
    }
    const take = (call: Call, buffers: Uint8Array[]) => {
      if (call === 'writev') this.buffers.push(buffers.length)
      return cut(buffers, this.#limit(call))
    }
    /** Reports an exception of the call as its asynchronous form does. */
    const later = (done: Done, call: () => void) => {
      try {
        call()
      } catch (error) {
        setImmediate(done, error as Error)
      }
    }
    this.#faulty = {
      readvSync: (fd: number, buffers: Uint8Array[], position: number) =>
        real.readvSync(fd, take('read', buffers), position),
      readv: (fd: number, buffers: Uint8Array[], position: number, done: Done) =>
        later(done, () => real.readv(fd, take('read', buffers), position, done)),
      writevSync: (fd: number, buffers: Uint8Array[], position: number) => {
        const taken = take('writev', buffers)
        return taken.length === 0 ? 0 : real.writevSync(fd, taken, position)
      },
      writev: (fd: number, buffers: Uint8Array[], position: number, done: Done) =>
        later(done, () => {
          const taken = take('writev', buffers)
          if (taken.length === 0) setImmediate(done, null, 0)
          else real.writev(fd, taken, position, done)
        }),
      ...this.#counted('fsync', 'fsync'),
      ...this.#counted('fdatasync', 'fsync'),
      ftruncateSync: (fd: number, length: number) => {
        this.#limit('ftruncate')
        real.ftruncateSync(fd, length)
      },
      ftruncate: (fd: number, length: number, done: Done) =>
        later(done, () => {
          this.#limit('ftruncate')
          real.ftruncate(fd, length, done)
        }),
    }
    Object.assign(fs, this.#faulty)
  }

  #counted(name: 'fsync' | 'fdatasync', call: Call) {
    const real = this.#real
    return {
      [`${name}Sync`]: (fd: number) => {
        this.#limit(call)
        real[`${name}Sync`](fd)
      },
      [name]: (fd: number, done: Done) => {
        try {
          this.#limit(call)
          real[name](fd, done)
        } catch (error) {
          setImmediate(done, error as Error)
        }
      },
    }
  }

  restore(): void {
    for (const name of Object.keys(this.#faulty) as (keyof typeof fs)[]) {
      Object.assign(fs, { [name]: this.#real[name] })
    }
  }

  /**
   * From now on: counts from the start, and asks before each call what is to go wrong (`n` is 0 for the
   * first).
   */
  inject(fault: (call: Call, n: number) => Fault | null): void {
    this.calls.read = this.calls.writev = this.calls.fsync = this.calls.ftruncate = 0
    this.buffers.length = 0
    this.#inject = fault
  }

  /** Makes only the n-th call of a kind go wrong. */
  injectAt(call: Call, n: number, fault: Fault): void {
    this.inject((other, i) => (other === call && i === n ? fault : null))
  }

  heal(): void {
    this.inject(() => null)
  }

  /** Throws the fault of this call, or returns how many bytes it may transfer. */
  #limit(call: Call): number {
    const fault = this.#inject(call, this.calls[call]++)
    if (typeof fault === 'string') throw systemError(-constants.errno[fault], call, 'faulty')
    return fault ?? Number.POSITIVE_INFINITY
  }
}
