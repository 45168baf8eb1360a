// SPDX-License-Identifier: GPL-2.0-only
// A program as a trace that `replay` takes. Format 1 knows one mapping, one pass at a time, and waits that are released at
// once, so not every program can be said in it: what cannot is left out, and the replay tells whether the rest suffices.

import { MAX_ORDER, maxIndex } from '../arguments.js'
import { InputError } from '../input/input_error.js'
import { formatLine, HEADER, parseTrace, type Operation as TraceOperation } from '../trace/format.js'
import { MisplacedOperation, Replayer, replay } from '../trace/replay.js'
import type {
  AddressSpace,
  Backend,
  Folio,
  WaitReason,
  WritebackControl,
  WritebackIterator,
} from '../types.js'
import { foreignOf } from './compare.js'
import { Action, Kind, MAPPINGS, type Operation, type Program } from './operation.js'
import { advance, MARKS, World, write } from './world.js'

class Translator {
  readonly #reference: Backend
  readonly #world: World
  readonly #operations: TraceOperation[] = []
  /** The control of the pass that the trace is in. */
  #wbc: WritebackControl | null = null
  /** The iterators whose pass has begun. */
  readonly #begun = new Set<WritebackIterator>()
  /** The mapping that the trace is about. */
  readonly #mapping: number

  constructor(reference: Backend, mapping: number) {
    this.#reference = reference
    this.#mapping = mapping
    this.#world = new World(reference, foreignOf(reference), false)
  }

  translate(program: Program): TraceOperation[] {
    const mapping = this.#world.mapping(this.#mapping)
    for (const op of program) {
      // There is nothing in a trace to close a mapping, nor another behind it.
      if (this.#world.mappings[this.#mapping] !== mapping || isClosed(mapping)) break
      this.#translate(op)
    }
    this.#operations.push({ name: 'marks' })
    this.#world.close()
    return this.#operations
  }

  /** Says what the operation is about to do, and has the world do it. */
  #translate(op: Operation): void {
    switch (op.kind) {
      case Kind.add:
        this.#add(op.c, op.d)
        break
      case Kind.fill:
        for (let i = 0; i < op.e; i++) {
          const index = op.c + i * op.d
          this.#add(index, 0)
          if (op.f !== 0) this.#operations.push({ name: 'dirty', index })
        }
        break
      case Kind.addFolios:
        this.#addFolios(op.b, op.c, op.d)
        break
      case Kind.dirtyRange:
        this.#dirtyRange(op.b, op.c)
        break
      case Kind.tag: {
        const [start, end] = [op.b, op.c]
        if (Math.max(start, end) <= this.#maxIndex()) this.#operations.push({ name: 'tag', start, end })
        break
      }
      case Kind.check:
        this.#operations.push({ name: 'marks' })
        break
      case Kind.iter:
        this.#iter(op)
        break
      case Kind.each:
        this.#each(op)
        break
      case Kind.next:
        this.#next(op)
        break
      // A trace knows no time between its lines.
      case Kind.writePagesAsync:
      case Kind.writeExtentsAsync:
      case Kind.settle:
      case Kind.abort:
        return
      case Kind.forOf:
      case Kind.writePages:
      case Kind.writeExtents:
      case Kind.writeCachePages:
        this.#wholePass(this.#world.controls[op.b])
        return
      default:
        this.#ofFolio(op)
    }
    this.#world.run(op)
  }

  #maxIndex(): number {
    return maxIndex(this.#world.mapping(this.#mapping).pageShift)
  }

  #add(index: number, order: number): void {
    if (index <= this.#maxIndex() && order <= MAX_ORDER && index % 2 ** order === 0) {
      this.#operations.push({ name: 'add', index, order })
    }
  }

  /** All or none. */
  #addFolios(index: number, count: number, order: number): void {
    const pages = 2 ** order
    const last = index + count * pages - 1
    if (count === 0 || last > this.#maxIndex()) return
    for (const _ of this.#world.mapping(this.#mapping).folios(undefined, index, last)) return
    for (let next = index; next <= last; next += pages) this.#add(next, order)
  }

  #dirtyRange(start: number, end: number): void {
    if (Math.max(start, end) > this.#maxIndex()) return
    for (const { index } of this.#world.mapping(this.#mapping).folios(undefined, start, end)) {
      this.#operations.push({ name: 'dirty', index })
    }
  }

  #each(op: Operation): void {
    for (const folio of this.#world.mapping(this.#mapping).folios(MARKS[op.b])) {
      const recorded = this.#recorded(folio)
      if (op.c === Action.markDirty) recorded.markDirty()
      else if (op.c === Action.advance) advance(recorded)
      else if (op.c === Action.write) write(recorded, false)
      else recorded.tryLock()
    }
  }

  #ofFolio(op: Operation): void {
    const folio = this.#world.folio(op.kind === Kind.remove ? op.b : op.a)
    if (folio === null) return
    const { index } = folio
    switch (op.kind) {
      case Kind.remove:
        this.#operations.push({ name: 'remove', index })
        break
      case Kind.tryLock:
        this.#operations.push({ name: 'lock', index })
        break
      case Kind.unlock:
        this.#operations.push({ name: 'unlock', index })
        break
      case Kind.markDirty:
        this.#operations.push({ name: 'dirty', index })
        break
      case Kind.startWriteback:
        this.#operations.push({ name: 'start', index, keepWrite: op.b !== 0 })
        break
      case Kind.endWriteback:
        this.#operations.push({ name: 'end', index })
        break
      case Kind.redirty:
        // Without a pass, nobody asks for pages_skipped.
        this.#operations.push({ name: this.#world.controls[op.b] === this.#wbc ? 'redirty' : 'dirty', index })
        break
      case Kind.write:
        write(this.#recorded(folio), op.b !== 0)
        break
      case Kind.advance:
        advance(this.#recorded(folio))
    }
  }

  /** A stand-in for a folio that changes flags of its own and says what is done to it. */
  #recorded(folio: Folio): Folio {
    const { index, locked, dirty, writeback } = folio
    const operations = this.#operations
    const flags = {
      locked,
      dirty,
      writeback,
      tryLock() {
        operations.push({ name: 'lock', index })
      },
      unlock() {
        flags.locked = false
        operations.push({ name: 'unlock', index })
      },
      markDirty() {
        operations.push({ name: 'dirty', index })
      },
      startWriteback(keepWrite = false) {
        flags.writeback = true
        operations.push({ name: 'start', index, keepWrite })
      },
      endWriteback() {
        flags.writeback = false
        operations.push({ name: 'end', index })
      },
    }
    return flags as unknown as Folio
  }

  #begin(wbc: WritebackControl): void {
    this.#wbc = wbc
    const { syncMode, taggedWritepages, rangeCyclic, nrToWrite } = wbc
    this.#operations.push({
      name: 'begin',
      syncMode,
      taggedWritepages,
      rangeCyclic,
      rangeStart: BigInt(wbc.rangeStart),
      rangeEnd: BigInt(wbc.rangeEnd),
      nrToWrite,
    })
  }

  #iter(op: Operation): void {
    const starts = this.#world.argumentOfIter(op) === null
    if (starts) this.#begin(this.#world.controls[op.b])
    this.#operations.push({ name: 'next', error: starts ? 0 : Math.min(op.d, 0) })
  }

  #next(op: Operation): void {
    const iterator = this.#world.iterators[op.a]
    if (iterator === null) return
    if (!this.#begun.has(iterator)) this.#begin(this.#world.iteratorControls[op.a])
    this.#begun.add(iterator)
    this.#operations.push({ name: 'next', error: Math.min(op.b, 0) })
  }

  /** A pass in which every folio is written. */
  #wholePass(wbc: WritebackControl): void {
    const mapping = this.#world.mapping(this.#mapping)
    const error = { value: 0 }
    const release = (folio: Folio, reason: WaitReason) => {
      if (reason === 'lock') folio.unlock()
      else folio.endWriteback()
    }
    this.#begin(wbc)
    let folio: Folio | null = null
    do {
      this.#operations.push({ name: 'next', error: 0 })
      folio = this.#reference.writebackIter(mapping, wbc, folio, error, { onWait: release })
      if (folio !== null) {
        write(this.#recorded(folio), false)
        write(folio, false)
      }
    } while (folio !== null)
  }
}

function isClosed(mapping: AddressSpace): boolean {
  try {
    mapping.getFolio(0)
    return false
  } catch {
    return true
  }
}

/** The lines of the operations with the results of this backend; without those that it refuses. */
function* lines(operations: readonly TraceOperation[], reference: Backend): Generator<string> {
  const replayer = new Replayer(reference)
  try {
    for (const operation of operations) {
      let line: string
      try {
        line = formatLine(operation, replayer.execute(operation))
      } catch (error) {
        if (error instanceof MisplacedOperation) continue
        throw error
      }
      if (isLine(line)) yield line
    }
  } finally {
    replayer.close()
  }
}

/** Whether the format has such a line: it has none for a call that fails. */
function isLine(line: string): boolean {
  try {
    parseTrace('', `${HEADER}\n${line}\n`)
    return true
  } catch (error) {
    if (error instanceof InputError) return false
    throw error
  }
}

/**
 * The program as a trace, as far as the format can say it: a trace each mapping.
 * @param reference - the backend whose results it expects
 */
export function toTraces(program: Program, reference: Backend): string[] {
  return Array.from({ length: MAPPINGS }, (_, mapping) => {
    const operations = new Translator(reference, mapping).translate(program)
    return [HEADER, ...lines(operations, reference), ''].join('\n')
  })
}

/** Whether the backend's results are others than those of the trace. */
export function diverges(text: string, backend: Backend): boolean {
  try {
    return replay(parseTrace('', text), backend).divergence !== null
  } catch (error) {
    // What is left made no sense without the rest.
    if (error instanceof InputError) return false
    throw error
  }
}
