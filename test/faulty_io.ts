// SPDX-License-Identifier: GPL-2.0-only

import { constants } from 'node:os'
import { type FileIO, nodeIO, systemError } from '../lib/file/io.js'

type Call = 'read' | 'writev' | 'fsync' | 'ftruncate'
/** An errno name that the call fails with, or the most bytes that it transfers. */
export type Fault = keyof typeof constants.errno | number

/** Real files, on which the n-th call of a kind goes wrong as asked for. */
export class FaultyIO implements FileIO {
  /** Calls made of each kind, those that failed included. */
  readonly calls = { read: 0, writev: 0, fsync: 0, ftruncate: 0 }
  /** Buffers that each writev was given. */
  readonly buffers: number[] = []
  readonly open = nodeIO.open
  readonly stat = nodeIO.stat
  readonly close = nodeIO.close
  #inject: (call: Call, n: number) => Fault | null = () => null

  /** From now on: counts from the start, and asks before each call what is to go wrong (`n` is 0 for the first). */
  inject(fault: (call: Call, n: number) => Fault | null): void {
    this.calls.read = this.calls.writev = this.calls.fsync = this.calls.ftruncate = 0
    this.buffers.length = 0
    this.#inject = fault
  }

  /** Just the n-th call of a kind goes wrong. */
  injectAt(call: Call, n: number, fault: Fault): void {
    this.inject((other, i) => (other === call && i === n ? fault : null))
  }

  heal(): void {
    this.inject(() => null)
  }

  read(fd: number, into: Uint8Array, position: number): number {
    return nodeIO.read(fd, into.subarray(0, this.#limit('read')), position)
  }

  writev(fd: number, buffers: Uint8Array[], position: number): number {
    this.buffers.push(buffers.length)
    let limit = this.#limit('writev')
    const taken: Uint8Array[] = []
    for (const buffer of buffers) {
      if (limit === 0) break
      taken.push(buffer.subarray(0, limit))
      limit -= Math.min(limit, buffer.length)
    }
    return nodeIO.writev(fd, taken, position)
  }

  fsync(fd: number): void {
    this.#limit('fsync')
    nodeIO.fsync(fd)
  }

  ftruncate(fd: number, length: number): void {
    this.#limit('ftruncate')
    nodeIO.ftruncate(fd, length)
  }

  /** Throws the fault of this call, or returns how many bytes it may transfer. */
  #limit(call: Call): number {
    const fault = this.#inject(call, this.calls[call]++)
    if (typeof fault === 'string') throw systemError(-constants.errno[fault], call, 'faulty')
    return fault ?? Number.POSITIVE_INFINITY
  }
}
