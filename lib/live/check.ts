// SPDX-License-Identifier: GPL-2.0-only
// Looks a recording over for breaches of the protocol.

import { Ledger, type PassRecord } from './ledger.js'
import type { Input } from './read.js'
import type { LiveEvent } from './recording.js'
import { type Breach, RULES, type Rule } from './rules.js'
import { eventsOfTrace, eventsOfTrace2 } from './trace_events.js'

/** A rule that was broken, and all that there is to know of it. */
export interface Finding {
  readonly rule: string
  /** `DEVICE:INODE`, with the address of the mapping where that is recorded. */
  readonly mapping: string
  /** Head index; null for a breach that is of no folio. */
  readonly folio: number | null
  readonly pass: { readonly pid: number; readonly comm: string; readonly caller: string | null } | null
  /** Line numbers of where it began and where it broke, from 1. */
  readonly began: number
  readonly broke: number
  readonly what: string
  /** What the kernel does of it. */
  readonly kernel: string
}

export interface Checked {
  readonly findings: readonly Finding[]
  readonly mappings: number
  readonly passes: number
  readonly folios: number
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
  return { findings, mappings: 1, passes: ledger.passes.length, folios }
}

function mappingsOf(input: Input): Mapping[] {
  if (input.kind === 'trace') {
    const events = eventsOfTrace(input.trace)
    return events.length === 0
      ? []
      : [{ events, drained: false, rules: RULES.filter(({ traces }) => traces) }]
  }
  const { mappings, header } = input.kind === 'trace2' ? eventsOfTrace2(input.trace) : input.recording
  return [...mappings.values()].map((events) => ({ events, drained: header.drained, rules: RULES }))
}

/** Checks a recording, or a trace, mapping by mapping. */
export function check(input: Input): Checked {
  const checked = mappingsOf(input).map(checkMapping)
  const sum = (of: (one: Checked) => number) => checked.reduce((total, one) => total + of(one), 0)
  return {
    findings: checked.flatMap(({ findings }) => findings),
    mappings: checked.length,
    passes: sum(({ passes }) => passes),
    folios: sum(({ folios }) => folios),
  }
}
