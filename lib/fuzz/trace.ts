// SPDX-License-Identifier: GPL-2.0-only
// Translates a program to a trace that `replay` takes. Format 1 has one mapping, one pass at a time, and
// waits that are released at once, so it cannot express every program. The translation omits what format 1
// cannot express; a replay of the result then shows whether it still fails.

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

/** Collects the lines of the trace from the operations. */
export class Translator {
  readonly #reference: Backend
  readonly world: World
  readonly #operations: TraceOperation[] = []
  /** The control of the current pass of the trace. */
  #wbc: WritebackControl | null = null
  /** The iterators whose pass has begun. */
  readonly #begun = new Set<WritebackIterator>()
  /** The number of the mapping that the trace describes. */
  readonly #mapping: number

  constructor(reference: Backend, mapping: number) {
    this.#reference = reference
    this.#mapping = mapping
    this.world = new World(reference, foreignOf(reference), false)
  }

  translate(program: Program): TraceOperation[] {
    const mapping = this.mapping()
    for (const op of program) {
      // A trace can neither close a mapping nor continue with another one.
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

  /** The mapping that the trace describes. */
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

  /** Whether this control belongs to the current pass of the trace. */
  isOfPass(control: number): boolean {
    return this.world.controls[control] === this.#wbc
  }

  /** A stand-in for a folio. It changes its own flags, and adds each change to the trace. */
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

/**
 * The lines of the operations with the results of this backend, without operations that the backend refuses.
 */
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

/** Whether the format has such a line. It has none for a call that fails. */
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
 * Translates a program to one trace per mapping, as far as the format can express it.
 * @param reference - the backend whose results the trace expects
 */
export function toTraces(program: Program, reference: Backend): string[] {
  return Array.from({ length: MAPPINGS }, (_, mapping) => {
    const operations = new Translator(reference, mapping).translate(program)
    return [HEADER, ...lines(operations, reference), ''].join('\n')
  })
}

/** Whether the backend's results differ from those in the trace. */
export function diverges(text: string, backend: Backend): boolean {
  try {
    return replay(parseTrace('', text), backend).divergence !== null
  } catch (error) {
    // The remaining lines are not valid without those that were removed.
    if (error instanceof InputError) return false
    throw error
  }
}
