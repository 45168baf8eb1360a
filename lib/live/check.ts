// SPDX-License-Identifier: GPL-2.0-only
// Checks a recording for breaches of the protocol.

import { Ledger, type PassRecord } from './ledger.js'
import type { Input } from './read.js'
import { type LiveEvent, LOST, UNRETURNED } from './recording.js'
import type { Undecided } from './replay.js'
import { type Breach, RULES, type Rule } from './rules.js'
import { eventsOfTrace, eventsOfTrace2 } from './trace_events.js'

/** A rule that was broken, with all the facts of the breach. */
export interface Finding {
  readonly rule: string
  /** `DEVICE:INODE`, with the address of the mapping if the recording has it. */
  readonly mapping: string
  /** Head index; null for a breach that concerns no folio. */
  readonly folio: number | null
  readonly pass: { readonly pid: number; readonly comm: string; readonly caller: string | null } | null
  /** Line numbers, from 1: where the breach began, and where the rule broke. */
  readonly began: number
  readonly broke: number
  readonly what: string
  /** What the kernel does after the breach. */
  readonly kernel: string
}

export interface Checked {
  readonly findings: readonly Finding[]
  readonly mappings: number
  readonly passes: number
  readonly folios: number
  /** What the recording lacks. If it lacks anything, that may have caused a finding. */
  readonly undecided: readonly Undecided[]
}

function described(pass: PassRecord | null): Finding['pass'] {
  return pass === null ? null : { pid: pass.pid, comm: pass.comm, caller: pass.caller }
}

function finding(rule: Rule, mapping: string, { index, pass, began, broke, what }: Breach): Finding {
  return {
    rule: rule.name,
    mapping,
    folio: index,
    pass: described(pass),
    began: began.line,
    broke: broke.line,
    what,
    kernel: rule.kernel,
  }
}

interface Mapping {
  readonly events: readonly LiveEvent[]
  readonly drained: boolean
  readonly rules: readonly Rule[]
}

function checkMapping({ events, drained, rules }: Mapping): Checked {
  const [first] = events
  const ledger = new Ledger(first.mapping, events)
  const findings: Finding[] = []
  for (const event of events) {
    for (const rule of rules) {
      const breach = rule.at?.(event, ledger)
      if (breach) findings.push(finding(rule, first.mapping, breach))
    }
    ledger.take(event)
  }
  const end = { last: events[events.length - 1], drained }
  for (const rule of rules) {
    for (const breach of rule.atEnd?.(ledger, end) ?? []) findings.push(finding(rule, first.mapping, breach))
  }
  findings.sort((a, b) => a.broke - b.broke)
  const folios = ledger.passes.reduce((sum, { returns }) => sum + returns, 0)
  const undecided = ledger.unreturned.count > 0 ? [{ what: UNRETURNED, ...ledger.unreturned }] : []
  return { findings, mappings: 1, passes: ledger.passes.length, folios, undecided }
}

function mappingsOf(input: Input): { mappings: Mapping[]; lost: number } {
  if (input.kind === 'trace') {
    const events = eventsOfTrace(input.trace)
    const rules = RULES.filter(({ traces }) => traces)
    return { mappings: events.length === 0 ? [] : [{ events, drained: false, rules }], lost: 0 }
  }
  const { mappings, header } = input.kind === 'trace2' ? eventsOfTrace2(input.trace) : input.recording
  return {
    mappings: [...mappings.values()].map((events) => ({ events, drained: header.drained, rules: RULES })),
    lost: header.lost ?? 0,
  }
}

/** Checks a recording, or a trace, mapping by mapping. */
export function check(input: Input): Checked {
  const { mappings, lost } = mappingsOf(input)
  const checked = mappings.map(checkMapping)
  const sum = (of: (one: Checked) => number) => checked.reduce((total, one) => total + of(one), 0)
  return {
    findings: checked.flatMap(({ findings }) => findings),
    mappings: checked.length,
    passes: sum(({ passes }) => passes),
    folios: sum(({ folios }) => folios),
    undecided: [
      ...(lost > 0 ? [{ what: LOST, count: lost, line: 1 }] : []),
      ...together(checked.flatMap(({ undecided }) => undecided)),
    ],
  }
}

/** Combines what several mappings lack, with one entry per cause. */
function together(all: readonly Undecided[]): Undecided[] {
  const byName = new Map<string, Undecided>()
  for (const one of all) {
    const known = byName.get(one.what)
    const line = Math.min(known?.line ?? one.line, one.line)
    byName.set(one.what, { what: one.what, count: (known?.count ?? 0) + one.count, line })
  }
  return [...byName.values()]
}
