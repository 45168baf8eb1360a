// SPDX-License-Identifier: GPL-2.0-only
// Replays a trace and records what each step changed.

import { MAX_INDEX } from '../arguments.js'
import type { MappingData, PageData } from './data.js'
import type { FolioStates } from './folio_states.js'
import type { Moments } from './moments.js'

/** Each number less the one before it. */
export function differences(numbers: readonly number[]): number[] {
  return numbers.map((number, i) => number - (i === 0 ? 0 : numbers[i - 1]))
}

export const LAST_PAGE = MAX_INDEX

/** What the timelines of both formats have in common. */
export interface Columns {
  readonly text: string[]
  readonly lines: number[]
  readonly times: number[]
  readonly taskOf: number[]
  readonly callerOf: number[]
  readonly callers: string[]
}

export function emptyColumns(): Columns {
  return { text: [], lines: [], times: [], taskOf: [], callerOf: [], callers: [] }
}

export function mappingData(
  name: string,
  columns: Columns,
  states: FolioStates,
  moments: Moments,
  divergence: MappingData['divergence'],
): MappingData {
  const { pass, lookup, used, savedError, inside } = moments
  return {
    name,
    text: columns.text.join('\n'),
    lines: differences(columns.lines),
    times: differences(columns.times),
    taskOf: columns.taskOf,
    callerOf: columns.callerOf,
    callers: columns.callers,
    folioIndex: differences(states.index),
    folioOrder: states.order,
    changes: states.changes,
    changeFolio: differences(states.changed),
    changeState: states.changedTo,
    passes: moments.passes,
    moments: { step: differences(moments.step), pass, lookup, used, savedError, inside },
    lookups: moments.lookups,
    divergence,
    findings: [],
  }
}

/**
 * The mapping and the step that the page opens at: the given line, else the first divergence, else the first
 * finding, else the begin of the longest mapping.
 * @returns null if no step comes from that line
 */
export function whereToBegin(mappings: readonly MappingData[], line: number | null): PageData['at'] | null {
  if (line !== null) {
    for (const [mapping, { lines }] of mappings.entries()) {
      let at = 0
      for (const [step, difference] of lines.entries()) {
        at += difference
        if (at === line) return { mapping, step: step + 1 }
      }
    }
    return null
  }
  const diverged = mappings.findIndex(({ divergence }) => divergence !== null)
  if (diverged >= 0) return { mapping: diverged, step: mappings[diverged].lines.length }
  const found = mappings.findIndex(({ findings }) => findings.length > 0)
  if (found >= 0) return { mapping: found, step: mappings[found].findings[0].broke + 1 }
  const most = mappings.reduce(
    (best, { lines }, i) => (lines.length > mappings[best].lines.length ? i : best),
    0,
  )
  return { mapping: most, step: 0 }
}
