// SPDX-License-Identifier: GPL-2.0-only
// A program as a trace that `replay` takes. Format 1 knows one mapping, one pass at a time, and waits that
// are released at once, so not every program can be said in it: what cannot is left out, and the replay tells
// whether the rest suffices.

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
import { write } from './folio_steps.js'
import { MAPPINGS, type Program } from './operation.js'
import { formOf } from './operations/table.js'
import { World } from './world.js'

/** What an operation of the table says its lines to. */
export class Translator {
  readonly #reference: Backend
  readonly world: World
  readonly #operations: TraceOperation[] = []
  /** The control of the pass that the trace is in. */
  #wbc: WritebackControl | null = null
  /** The iterators whose pass has begun. */
  readonly #begun = new Set<WritebackIterator>()
  /** The number of the mapping that the trace is about. */
  readonly #mapping: number

  constructor(reference: Backend, mapping: number) {
    this.#reference = reference
    this.#mapping = mapping
    this.world = new World(reference, foreignOf(reference), false)
  }

  translate(program: Program): TraceOperation[] {
    const mapping = this.mapping()
    for (const op of program) {
      // There is nothing in a trace to close a mapping, nor another behind it.
      if (this.world.mappings[this.#mapping] !== mapping || isClosed(mapping)) break
      if (formOf(op.kind).trace?.(this, op) !== false) this.world.run(op)
    }
    this.#operations.push({ name: 'marks' })
    this.world.close()
    return this.#operations
  }

  say(operation: TraceOperation): void {
    this.#operations.push(operation)
  }

  /** The mapping that the trace is about. */
  mapping(): AddressSpace {
    return this.world.mapping(this.#mapping)
  }

  maxIndex(): number {
    return maxIndex(this.mapping().pageShift)
  }

  add(index: number, order: number): void {
    if (index <= this.maxIndex() && order <= MAX_ORDER && index % 2 ** order === 0) {
      this.say({ name: 'add', index, order })
    }
  }

  onFolio(handle: number, say: (folio: Folio) => void): void {
    const folio = this.world.folio(handle)
    if (folio !== null) say(folio)
  }

  /** Whether this control is that of the pass that the trace is in. */
  isOfPass(control: number): boolean {
    return this.world.controls[control] === this.#wbc
  }

  /** A stand-in for a folio that changes flags of its own and says what is done to it. */
  recorded(folio: Folio): Folio {
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

  begin(wbc: WritebackControl): void {
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

  nextOf(iterator: WritebackIterator, wbc: WritebackControl, error: number): void {
    if (!this.#begun.has(iterator)) this.begin(wbc)
    this.#begun.add(iterator)
    this.say({ name: 'next', error: Math.min(error, 0) })
  }

  /** A pass in which every folio is written. */
  wholePass(control: number): void {
    const mapping = this.mapping()
    const wbc = this.world.controls[control]
    const error = { value: 0 }
    const release = (folio: Folio, reason: WaitReason) => {
      if (reason === 'lock') folio.unlock()
      else folio.endWriteback()
    }
    this.begin(wbc)
    let folio: Folio | null = null
    do {
      this.#operations.push({ name: 'next', error: 0 })
      folio = this.#reference.writebackIter(mapping, wbc, folio, error, { onWait: release })
      if (folio !== null) {
        write(this.recorded(folio), false)
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
