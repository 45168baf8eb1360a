// SPDX-License-Identifier: GPL-2.0-only

import type { AddressSpace, Folio, Mark } from '../types.js'
import * as bits from './data.js'

/** The state of each folio that was ever in the cache, and what each step changed. */
export class FolioStates {
  readonly index: number[] = []
  readonly order: number[] = []
  readonly state: number[] = []
  /** How many folios each step changed, which folios, and the state of each after the change. */
  readonly changes: number[] = []
  readonly changed: number[] = []
  readonly changedTo: number[] = []
  readonly #mapping: AddressSpace
  /** Position in `changed` of each folio's last change. */
  readonly #lastChange: number[] = []
  /** Position in `changed` of the step's first change. */
  #begin = 0
  /** The folio in the cache that begins at a page. */
  readonly #present = new Map<number, number>()

  constructor(mapping: AddressSpace) {
    this.#mapping = mapping
  }

  /** The number of the folio in the cache that begins at this page; -1 for none. */
  at(index: number): number {
    return this.#present.get(index) ?? -1
  }

  begin(): void {
    this.changes.push(0)
    this.#begin = this.changed.length
  }

  /** Records the new state of the folio that begins at this page. */
  note(index: number): void {
    const folio = this.#mapping.getFolio(index)
    let known = this.at(index)
    const here = folio !== null && folio.index === index
    if (known >= 0 && (!here || folio.order !== this.order[known])) {
      this.#set(known, 0)
      this.#present.delete(index)
      known = -1
    }
    if (!here) return
    if (known < 0) {
      known = this.index.push(index) - 1
      this.order.push(folio.order)
      this.state.push(0)
      this.#lastChange.push(-1)
      this.#present.set(index, known)
    }
    this.#set(known, this.#read(folio))
  }

  /** Records which folios in this range have received TOWRITE. Returns their number. */
  noteTagged(start: number, end: number): number {
    let count = 0
    if (start > end) return count
    for (const { index } of this.#mapping.folios('towrite', start, end)) {
      const folio = this.at(index)
      if ((this.state[folio] & bits.TOWRITE_MARK) !== 0) continue
      this.#set(folio, this.state[folio] | bits.TOWRITE_MARK)
      count++
    }
    return count
  }

  #read(folio: Folio): number {
    const has = (mark: Mark, bit: number) =>
      this.#mapping.folios(mark, folio.index, folio.index).next().done ? 0 : bit
    return (
      bits.PRESENT |
      (folio.locked ? bits.LOCKED : 0) |
      (folio.dirty ? bits.DIRTY : 0) |
      (folio.writeback ? bits.WRITEBACK : 0) |
      has('dirty', bits.DIRTY_MARK) |
      has('writeback', bits.WRITEBACK_MARK) |
      has('towrite', bits.TOWRITE_MARK)
    )
  }

  #set(folio: number, state: number): void {
    if (this.state[folio] === state) return
    this.state[folio] = state
    const last = this.#lastChange[folio]
    if (last >= this.#begin) {
      this.changedTo[last] = state
      return
    }
    this.#lastChange[folio] = this.changed.length
    this.changes[this.changes.length - 1]++
    this.changed.push(folio)
    this.changedTo.push(state)
  }
}
