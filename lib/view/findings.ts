// SPDX-License-Identifier: GPL-2.0-only
// Assigns what `check` finds to the steps that come from its lines.

import type { Finding } from '../live/check.js'
import type { FindingData, MappingData } from './data.js'

/** The step that comes from each line. A line without a step has the step of the next line that has one. */
class StepsOfLines {
  /** Lines, ascending, and the first step of each. */
  readonly #lines: readonly (readonly [number, number])[]
  readonly #last: number

  constructor({ lines }: MappingData) {
    const steps = new Map<number, number>()
    let line = 0
    for (const [step, difference] of lines.entries()) {
      line += difference
      if (!steps.has(line)) steps.set(line, step)
    }
    this.#lines = [...steps].sort(([a], [b]) => a - b)
    this.#last = lines.length - 1
  }

  of(line: number): number {
    let [low, high] = [0, this.#lines.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#lines[middle][0] < line) low = middle + 1
      else high = middle
    }
    return this.#lines[low]?.[1] ?? this.#last
  }
}

function findingData(
  { rule, folio, pass, began, broke, what, kernel }: Finding,
  steps: StepsOfLines,
): FindingData {
  const who =
    pass === null ? '' : `${pass.comm} ${pass.pid}, called by ${pass.caller ?? 'an unknown function'}`
  return {
    rule,
    folio,
    lines: [began, broke],
    began: steps.of(began),
    broke: steps.of(broke),
    what,
    who,
    kernel,
  }
}

/** A mapping with its findings. A mapping without steps gets none, since the page shows findings at steps. */
export function withFindings(mapping: MappingData, findings: readonly Finding[]): MappingData {
  if (findings.length === 0 || mapping.lines.length === 0) return mapping
  const steps = new StepsOfLines(mapping)
  const data = findings.map((finding) => findingData(finding, steps))
  return { ...mapping, findings: data.sort((a, b) => a.broke - b.broke) }
}
