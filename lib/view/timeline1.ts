// SPDX-License-Identifier: GPL-2.0-only

import { FOLIO_BATCH_SIZE } from '../arguments.js'
import { InputError } from '../input/input_error.js'
import { formatLine, type Operation, type TraceLine } from '../trace/format.js'
import { MisplacedOperation, Replayer } from '../trace/replay.js'
import type { Backend } from '../types.js'
import * as bits from './data.js'
import { FolioStates } from './folio_states.js'
import { Moments, type OpenPass } from './moments.js'
import { type Columns, emptyColumns, LAST_PAGE, mappingData } from './timeline.js'

type Begin = Extract<Operation, { readonly name: 'begin' }>

/** The state of the running pass, as far as the public surface shows it. */
interface Followed extends OpenPass {
  readonly byTowrite: boolean
  /** Where the next lookup begins, and the last page of the range. */
  position: number
  readonly end: number
  begun: boolean
}

const RETURNED = /^(?:folio (\d+) \d+|done -?\d+) nr=(-?\d+) /

/** A trace of format 1, replayed line by line on a backend, up to the first divergence. */
export class Timeline1 {
  readonly #file: string
  readonly #backend: Backend
  readonly #replayer: Replayer
  readonly #states: FolioStates
  readonly #moments = new Moments()
  readonly #columns: Columns = emptyColumns()
  #pass: Followed | null = null
  #divergence: bits.MappingData['divergence'] = null

  /** @param file - the name of the trace in messages and in the page */
  constructor(file: string, backend: Backend) {
    this.#file = file
    this.#backend = backend
    this.#replayer = new Replayer(backend)
    this.#states = new FolioStates(this.#replayer.mapping)
  }

  /**
   * Executes the next line. Does nothing after a divergence.
   * @throws {@link InputError} for an operation that is not valid at this place
   */
  step({ line, operation, result }: TraceLine): void {
    if (this.#divergence !== null) return
    let got: string
    try {
      got = this.#replayer.execute(operation)
    } catch (error) {
      if (error instanceof MisplacedOperation) throw new InputError(this.#file, line, error.message)
      throw error
    }
    const step = this.#columns.text.push(formatLine(operation, got)) - 1
    this.#columns.lines.push(line)
    this.#states.begin()
    this.#note(step, operation, got)
    if (got !== result) {
      this.#divergence = { expected: result, got, backend: this.#backend.backend }
    }
  }

  end(): bits.MappingData {
    return mappingData(this.#file, this.#columns, this.#states, this.#moments, this.#divergence)
  }

  close(): void {
    this.#replayer.close()
  }

  #note(step: number, operation: Operation, got: string): void {
    switch (operation.name) {
      case 'begin':
        this.#pass = this.#begin(step, operation, formatLine(operation, '').slice('begin '.length))
        return
      case 'next':
        if (this.#pass !== null) this.#next(step, this.#pass, operation.error, got)
        return
      case 'tag':
        this.#states.noteTagged(operation.start, operation.end)
        return
      case 'marks':
        return
      case 'redirty':
        this.#states.note(operation.index)
        if (this.#pass !== null) this.#moments.note(step, this.#pass)
        return
      default:
        this.#states.note(operation.index)
    }
  }

  #begin(
    step: number,
    { syncMode, taggedWritepages, rangeCyclic, ...range }: Begin,
    control: string,
  ): Followed {
    const syncAll = syncMode === 'all'
    const pass = this.#moments.begin(step, control, syncAll, { pid: -1, comm: '' })
    const page = (offset: bigint) => Number(offset >> 12n)
    return Object.assign(pass, {
      byTowrite: syncAll || taggedWritepages,
      position: rangeCyclic ? this.#replayer.mapping.writebackIndex : page(range.rangeStart),
      end: rangeCyclic ? LAST_PAGE : Math.min(page(range.rangeEnd), LAST_PAGE),
      begun: false,
    })
  }

  /**
   * Records one call of writeback_iter(), and what the call did. Nothing else ran during the call, so the
   * states after it show what it found and why it skipped a folio. The call clears the dirty flag of the
   * folio that it returns, and sets TOWRITE before its first lookup. It changes nothing else except the
   * folios that it waited for.
   */
  #next(step: number, pass: Followed, errorIn: number, got: string): void {
    const inside: string[] = []
    const waits = [...got.matchAll(/wait (lock|writeback) (\d+); /g)]
    const result = RETURNED.exec(got.slice(waits.reduce((length, [text]) => length + text.length, 0)))
    const returned = result?.[1] === undefined ? -1 : this.#states.at(Number(result[1]))
    this.#moments.handBack(pass, errorIn)

    const first = !pass.begun
    pass.begun = true
    if (first && pass.byTowrite) inside.push(`tag ${this.#states.noteTagged(pass.position, pass.end)}`)
    for (const [, , index] of waits) this.#states.note(Number(index))
    if (returned >= 0) this.#states.note(this.#states.index[returned])

    const stopped = !first && !pass.syncAll && (errorIn !== 0 || Number(result?.[2]) <= 0)
    if (stopped) inside.push('stop')
    else this.#look(pass, returned, waits, inside)
    inside.push(returned >= 0 ? `return ${this.#states.index[returned]}` : 'done')
    if (returned < 0) this.#moments.end(step, pass)
    this.#moments.note(step, pass, inside.join(';'))
  }

  /**
   * Records which folios one call looked at, up to the folio that it returned, or to the end of the range
   * (-1).
   */
  #look(pass: Followed, returned: number, waits: readonly RegExpExecArray[], inside: string[]): void {
    const { index, state } = this.#states
    for (;;) {
      const batch = pass.lookup < 0 ? [] : this.#moments.lookups[pass.lookup]
      while (pass.used < batch.length) {
        const folio = batch[pass.used++]
        for (const [, reason, at] of waits) {
          if (Number(at) === index[folio]) inside.push(`wait ${reason} ${at}`)
        }
        if (folio === returned) return
        const why = state[folio] === 0 ? 'gone' : (state[folio] & bits.DIRTY) === 0 ? 'clean' : 'writeback'
        inside.push(`skip ${index[folio]} ${why}`)
      }
      const found = this.#lookup(pass)
      if (found === 0) return
      inside.push(`lookup ${found} ${pass.byTowrite ? 'towrite' : 'dirty'}`)
    }
  }

  #lookup(pass: Followed): number {
    const found: number[] = []
    const mark = pass.byTowrite ? 'towrite' : 'dirty'
    let behind = pass.end + 1
    if (pass.position <= pass.end) {
      for (const folio of this.#replayer.mapping.folios(mark, pass.position, pass.end)) {
        if (found.push(this.#states.at(folio.index)) < FOLIO_BATCH_SIZE) continue
        behind = folio.index + folio.nrPages
        break
      }
    }
    pass.position = behind
    this.#moments.fill(pass, found)
    return found.length
  }
}
