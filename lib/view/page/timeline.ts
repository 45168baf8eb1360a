// SPDX-License-Identifier: GPL-2.0-only
// A page cache's steps, and the state of its folios after any number of them.

import * as bits from '../data.js'

function summed(differences: readonly number[]): Float64Array {
  const numbers = new Float64Array(differences.length)
  let number = 0
  for (let i = 0; i < differences.length; i++) numbers[i] = number += differences[i]
  return numbers
}

/** The kinds of steps, for the density picture. */
export const KINDS = ['dirtied', 'written', 'waited', 'other'] as const
const KIND_OF: Record<string, number> = { dirty: 0, redirty: 0, start: 1, wait: 2 }

/** The state of a pass that the page shows at a step. */
export interface Moment {
  readonly step: number
  readonly lookup: readonly number[]
  readonly used: number
  readonly savedError: number
  readonly inside: string
}

export class Timeline {
  readonly data: bits.MappingData
  readonly length: number
  readonly text: readonly string[]
  readonly line: Float64Array
  readonly time: Float64Array
  readonly kind: Uint8Array
  /** First page, number of pages and state of each folio. */
  readonly index: Float64Array
  readonly pages: Float64Array
  readonly state: Uint8Array
  /** The changes of step s are changeFrom[s] to changeFrom[s + 1] - 1. */
  readonly changeFrom: Uint32Array
  readonly changeFolio: Uint32Array
  readonly changeTo: Uint8Array
  readonly changeWas: Uint8Array
  /** The moments of each pass, by number. */
  readonly passMoments: number[][]
  readonly momentStep: Float64Array
  /** How many steps are done. */
  step = 0
  dirtyPages = 0
  writebackPages = 0
  cachedPages = 0

  constructor(data: bits.MappingData) {
    this.data = data
    this.text = data.text === '' ? [] : data.text.split('\n')
    this.length = this.text.length
    this.line = summed(data.lines)
    this.time = summed(data.times)
    this.kind = new Uint8Array(this.length)
    for (let step = 0; step < this.length; step++) this.kind[step] = kindOf(this.text[step])
    this.index = summed(data.folioIndex)
    this.pages = Float64Array.from(data.folioOrder, (order) => 2 ** order)
    this.state = new Uint8Array(this.index.length)
    this.changeFrom = new Uint32Array(this.length + 1)
    for (let step = 0; step < this.length; step++) {
      this.changeFrom[step + 1] = this.changeFrom[step] + data.changes[step]
    }
    this.changeFolio = new Uint32Array(summed(data.changeFolio))
    this.changeTo = new Uint8Array(data.changeState)
    this.changeWas = new Uint8Array(this.changeTo.length)
    const state = new Uint8Array(this.state.length)
    for (let i = 0; i < this.changeTo.length; i++) {
      this.changeWas[i] = state[this.changeFolio[i]]
      state[this.changeFolio[i]] = this.changeTo[i]
    }
    this.momentStep = summed(data.moments.step)
    this.passMoments = data.passes.map(() => [])
    const { pass } = data.moments
    for (let moment = 0; moment < pass.length; moment++) this.passMoments[pass[moment]].push(moment)
  }

  /** Gives the folios their states after `step` steps. */
  go(step: number): void {
    const to = Math.max(0, Math.min(step, this.length))
    const [from, end] = [this.changeFrom[this.step], this.changeFrom[to]]
    for (let i = from; i < end; i++) this.#set(this.changeFolio[i], this.changeTo[i])
    for (let i = from - 1; i >= end; i--) this.#set(this.changeFolio[i], this.changeWas[i])
    this.step = to
  }

  #set(folio: number, state: number): void {
    const [was, pages] = [this.state[folio], this.pages[folio]]
    const change = (bit: number) => (((state & bit) !== 0 ? 1 : 0) - ((was & bit) !== 0 ? 1 : 0)) * pages
    this.dirtyPages += change(bits.DIRTY)
    this.writebackPages += change(bits.WRITEBACK)
    this.cachedPages += change(bits.PRESENT)
    this.state[folio] = state
  }

  /** The folio in the cache that covers a page; -1 for none. */
  folioAt(page: number): number {
    for (let folio = 0; folio < this.index.length; folio++) {
      if (this.state[folio] !== 0 && this.covers(folio, page)) return folio
    }
    return -1
  }

  covers(folio: number, page: number): boolean {
    return page >= this.index[folio] && page < this.index[folio] + this.pages[folio]
  }

  /** The steps done so far that changed a page, the last one first. */
  history(page: number, most: number): { step: number; folio: number; was: number; to: number }[] {
    const here = new Uint8Array(this.index.length)
    for (let folio = 0; folio < here.length; folio++) here[folio] = this.covers(folio, page) ? 1 : 0
    const found: { step: number; folio: number; was: number; to: number }[] = []
    for (let step = this.step - 1; step >= 0 && found.length < most; step--) {
      for (let i = this.changeFrom[step + 1] - 1; i >= this.changeFrom[step]; i--) {
        const folio = this.changeFolio[i]
        if (here[folio] !== 0) found.push({ step, folio, was: this.changeWas[i], to: this.changeTo[i] })
      }
    }
    return found
  }

  /** The pass of the last step, or else the pass that ran last; -1 before the first. */
  get currentPass(): number {
    const moment = this.#behind(this.momentStep, this.step) - 1
    return moment < 0 ? -1 : this.data.moments.pass[moment]
  }

  /** The state of a pass after the steps done; null before it begins. */
  moment(pass: number): Moment | null {
    const steps = this.passMoments[pass]
    let [low, high] = [0, steps.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.momentStep[steps[middle]] < this.step) low = middle + 1
      else high = middle
    }
    return low === 0 ? null : this.#moment(steps[low - 1])
  }

  #moment(moment: number): Moment {
    const { lookup, used, savedError, inside } = this.data.moments
    return {
      step: this.momentStep[moment],
      lookup: lookup[moment] < 0 ? [] : this.data.lookups[lookup[moment]],
      used: used[moment],
      savedError: savedError[moment],
      inside: inside[moment],
    }
  }

  /** The steps of the pass's current or latest call of writeback_iter, from `begin` or `call` to `next`. */
  callOf(pass: number): number[] {
    const steps = this.passMoments[pass].map((moment) => this.momentStep[moment])
    let at = steps.length - 1
    while (at > 0 && steps[at] >= this.step) at--
    let from = at
    while (from > 0 && !/^(?:begin|call) /.test(this.text[steps[from]])) from--
    let to = at
    while (to + 1 < steps.length && !/^(?:begin|call) /.test(this.text[steps[to + 1]])) to++
    return steps.slice(from, to + 1)
  }

  /** The first step that comes from this line or a later one; the last step if there is none. */
  stepOfLine(line: number): number {
    let best = -1
    for (let step = 0; step < this.length; step++) {
      if (this.line[step] >= line && (best < 0 || this.line[step] < this.line[best])) best = step
    }
    return best < 0 ? this.length : best + 1
  }

  /**
   * The beginning of the pass before or after the current one, as a number of steps done; null if there is
   * none.
   */
  passBeside(direction: -1 | 1): number | null {
    const begins = this.data.passes.map(({ begin }) => begin + 1)
    const found =
      direction > 0
        ? begins.find((begin) => begin > this.step)
        : begins.findLast((begin) => begin < this.step)
    return found ?? null
  }

  /** Whether a finding's rule broke in the last step, or the finding began in it. */
  showsFinding(found: number): boolean {
    const finding = this.data.findings[found]
    return finding !== undefined && (finding.broke + 1 === this.step || finding.began + 1 === this.step)
  }

  /** The finding whose rule broke in the last step, else a finding that began in it; -1 for none. */
  findingAt(): number {
    const { findings } = this.data
    const broke = findings.findIndex(({ broke }) => broke + 1 === this.step)
    return broke >= 0 ? broke : findings.findIndex(({ began }) => began + 1 === this.step)
  }

  /** The finding before or after `found`, or before or after this step if `found` is -1; -1 for none. */
  findingBeside(found: number, direction: -1 | 1): number {
    const { findings } = this.data
    if (found >= 0) return Math.max(0, Math.min(found + direction, findings.length - 1))
    return direction > 0
      ? findings.findIndex(({ broke }) => broke + 1 > this.step)
      : findings.findLastIndex(({ broke }) => broke + 1 < this.step)
  }

  /** How many numbers of an ascending column are below `limit`. */
  #behind(column: Float64Array, limit: number): number {
    let [low, high] = [0, column.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (column[middle] < limit) low = middle + 1
      else high = middle
    }
    return low
  }
}

function kindOf(text: string): number {
  if (text.startsWith('next ') && text.includes('= wait ')) return 2
  const space = text.indexOf(' ')
  return KIND_OF[space < 0 ? text : text.slice(0, space)] ?? 3
}
