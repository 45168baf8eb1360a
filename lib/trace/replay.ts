// SPDX-License-Identifier: GPL-2.0-only
// Executes the operations of a trace on a backend and tells each result as a trace does.

import { WritebackError } from '../errors.js'
import { InputError } from '../input/input_error.js'
import type { AddressSpace, Backend, Folio, Mark, WaitReason, WritebackControl } from '../types.js'
import type { Operation, Trace, TraceLine } from './format.js'

/**
 * An operation that makes no sense where it stands: it names no folio in the cache, or no pass is running.
 */
export class MisplacedOperation extends Error {}

/** The running pass: the `next` lines since a `begin`. */
interface Pass {
  readonly wbc: WritebackControl
  /** The folio returned last, which the next call hands back; null before the first. */
  folio: Folio | null
  done: boolean
}

/** A mapping that is driven by trace operations. */
export class Replayer {
  readonly #backend: Backend
  readonly mapping: AddressSpace
  /** The folios in the cache by head index; a `next` may still hand back one that was removed. */
  readonly #folios = new Map<number, Folio>()
  #pass: Pass | null = null
  #waits = ''

  constructor(backend: Backend) {
    this.#backend = backend
    this.mapping = new backend.AddressSpace()
  }

  close(): void {
    this.mapping.close()
  }

  /**
   * Executes an operation.
   * @returns the result as a trace line has it, empty where the operation has none; what the backend throws
   * is a result too: its code and message
   * @throws {@link MisplacedOperation}, with nothing done
   */
  execute(operation: Operation): string {
    this.#waits = ''
    const outcome = this.#outcome(operation)
    return this.#waits + outcome
  }

  #outcome(operation: Operation): string {
    try {
      return this.#apply(operation) ?? ''
    } catch (error) {
      if (error instanceof MisplacedOperation) throw error
      if (!(error instanceof WritebackError)) return String(error)
      return error.code === 'EEXIST' ? 'EEXIST' : error.message
    }
  }

  #apply(operation: Operation): string | void {
    switch (operation.name) {
      case 'add':
        this.#folios.set(operation.index, this.mapping.addFolio(operation.index, operation.order))
        return 'ok'
      case 'dirty':
        return bit(this.#folio(operation.index).markDirty())
      case 'remove':
        this.mapping.removeFolio(this.#folio(operation.index))
        this.#folios.delete(operation.index)
        return
      case 'lock':
        return bit(this.#folio(operation.index).tryLock())
      case 'unlock':
        return this.#folio(operation.index).unlock()
      case 'start':
        return this.#folio(operation.index).startWriteback(operation.keepWrite)
      case 'end':
        return this.#folio(operation.index).endWriteback()
      case 'redirty': {
        const { wbc } = this.#begunPass('redirty')
        return `${bit(this.#folio(operation.index).redirtyForWritepage(wbc))} skipped=${wbc.pagesSkipped}`
      }
      case 'tag':
        return this.mapping.tagPagesForWriteback(operation.start, operation.end)
      case 'begin':
        this.#pass = { wbc: new this.#backend.WritebackControl(operation), folio: null, done: false }
        return
      case 'next':
        return this.#next(operation.error)
      case 'marks':
        return `dirty:${this.#heads('dirty')} writeback:${this.#heads('writeback')} towrite:${this.#heads('towrite')}`
    }
  }

  #next(errorIn: number): string {
    const pass = this.#begunPass('next')
    if (pass.done) throw new MisplacedOperation('next after done, expected a begin first')
    const error = { value: errorIn }
    const folio = this.#backend.writebackIter(this.mapping, pass.wbc, pass.folio, error, {
      onWait: this.#release,
    })
    pass.folio = folio
    pass.done = folio === null
    const returned = folio === null ? `done ${error.value}` : `folio ${folio.index} ${folio.order}`
    return `${returned} nr=${pass.wbc.nrToWrite} wbindex=${this.mapping.writebackIndex}`
  }

  /** A wait ends at once, in that place: the folio is unlocked, or its writeback ends. */
  readonly #release = (folio: Folio, reason: WaitReason): void => {
    this.#waits += `wait ${reason} ${folio.index}; `
    if (reason === 'lock') folio.unlock()
    else folio.endWriteback()
  }

  #heads(mark: Mark): string {
    return Array.from(this.mapping.folios(mark), (folio) => folio.index).join()
  }

  #folio(index: number): Folio {
    const folio = this.#folios.get(index)
    if (folio === undefined) throw new MisplacedOperation(`no folio in the cache has the head index ${index}`)
    return folio
  }

  #begunPass(name: string): Pass {
    if (this.#pass === null) throw new MisplacedOperation(`${name} before the first begin`)
    return this.#pass
  }
}

function bit(value: boolean): string {
  return value ? '1' : '0'
}

export interface Divergence {
  /** Line number in the file, from 1. */
  readonly line: number
  readonly expected: string
  readonly got: string
}

/** A trace that is being replayed on a backend, on a mapping of its own, up to the first divergence. */
export class TraceReplay {
  readonly #file: string
  readonly #replayer: Replayer
  #operations = 0
  #divergence: Divergence | null = null

  /** @param file - what messages call the trace */
  constructor(file: string, backend: Backend) {
    this.#file = file
    this.#replayer = new Replayer(backend)
  }

  /** Operations executed; the one that diverged is the last. */
  get operations(): number {
    return this.#operations
  }

  get divergence(): Divergence | null {
    return this.#divergence
  }

  /**
   * Executes the next line and compares its result. Does nothing behind a divergence.
   * @throws {@link InputError} for an operation that makes no sense where it stands
   */
  step({ line, operation, result }: TraceLine): void {
    if (this.#divergence !== null) return
    const got = this.#execute(operation, line)
    this.#operations++
    if (got !== result) this.#divergence = { line, expected: result, got }
  }

  close(): void {
    this.#replayer.close()
  }

  #execute(operation: Operation, line: number): string {
    try {
      return this.#replayer.execute(operation)
    } catch (error) {
      if (error instanceof MisplacedOperation) throw new InputError(this.#file, line, error.message)
      throw error
    }
  }
}

/**
 * Replays a whole trace, up to the first divergence.
 * @throws {@link InputError} for an operation that makes no sense where it stands
 */
export function replay(trace: Trace, backend: Backend): Pick<TraceReplay, 'operations' | 'divergence'> {
  const { file, lines } = trace
  const running = new TraceReplay(file, backend)
  try {
    for (const line of lines) running.step(line)
    return { operations: running.operations, divergence: running.divergence }
  } finally {
    running.close()
  }
}
