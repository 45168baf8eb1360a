// SPDX-License-Identifier: GPL-2.0-only

import type { PassData } from './data.js'

/** A pass while the steps are read. */
export interface OpenPass {
  readonly number: number
  readonly syncAll: boolean
  lookup: number
  used: number
  savedError: number
}

/** The passes over one page cache, and the steps that belong to each. */
export class Moments {
  readonly passes: (PassData & { end: number })[] = []
  readonly lookups: number[][] = []
  readonly step: number[] = []
  readonly pass: number[] = []
  readonly lookup: number[] = []
  readonly used: number[] = []
  readonly savedError: number[] = []
  readonly inside: string[] = []

  begin(step: number, control: string, syncAll: boolean, who: { pid: number; comm: string }): OpenPass {
    const number = this.passes.push({ begin: step, end: -1, control, ...who }) - 1
    const pass = { number, syncAll, lookup: -1, used: 0, savedError: 0 }
    this.note(step, pass)
    return pass
  }

  /** The caller hands the last folio back with this error. */
  handBack(pass: OpenPass, error: number): void {
    if (pass.syncAll && pass.savedError === 0) pass.savedError = error
  }

  /** The pass fills its batch. */
  fill(pass: OpenPass, folios: number[]): void {
    pass.lookup = this.lookups.push(folios) - 1
    pass.used = 0
  }

  /** Records a step of the pass after the step is done. */
  note(step: number, pass: OpenPass, inside = ''): void {
    this.step.push(step)
    this.pass.push(pass.number)
    this.lookup.push(pass.lookup)
    this.used.push(pass.used)
    this.savedError.push(pass.savedError)
    this.inside.push(inside)
  }

  end(step: number, pass: OpenPass): void {
    this.passes[pass.number].end = step
  }
}
