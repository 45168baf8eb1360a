// SPDX-License-Identifier: GPL-2.0-only
// What the page is given: per page cache the steps, and what each of them changed. The page itself knows no
// rule of writeback; it applies the changes, forwards and backwards.

/** Bits of a folio's state, flags first, then marks. 0: not in the cache. */
export const PRESENT = 1
export const LOCKED = 2
export const DIRTY = 4
export const WRITEBACK = 8
export const DIRTY_MARK = 16
export const WRITEBACK_MARK = 32
export const TOWRITE_MARK = 64

/** The columns of arrays called "differences" hold each number less the one before it, the first less 0. */
export interface MappingData {
  /** What the page calls it: of a recording `DEV:INO`, of a trace of format 1 the file. */
  readonly name: string
  /** A line per step, joined by line feeds. */
  readonly text: string
  /** Line number of each step in the file; differences. */
  readonly lines: readonly number[]
  /**
   * Of traces of format 2, else empty: per step the time (the recording's clock, differences), the task and
   * the caller.
   */
  readonly times: readonly number[]
  /** Number of a task in `tasks`; -1 for a step that follows from others. */
  readonly taskOf: readonly number[]
  /** Number of a name in `callers`; -1 for none. */
  readonly callerOf: readonly number[]
  readonly callers: readonly string[]

  /** Every folio that was ever added, in that order: its first page (differences) and its order. */
  readonly folioIndex: readonly number[]
  readonly folioOrder: readonly number[]
  /** How many folios each step changes. */
  readonly changes: readonly number[]
  /** Which (differences), and the state it has then. */
  readonly changeFolio: readonly number[]
  readonly changeState: readonly number[]

  readonly passes: readonly PassData[]
  readonly moments: MomentData
  /** Folios of each lookup of a pass, ascending. */
  readonly lookups: readonly (readonly number[])[]
  /** Where the results differ from those in the file; the last step of the mapping then. */
  readonly divergence: { readonly expected: string; readonly got: string; readonly backend: string } | null
  /** What `check` finds here, in the order of the steps in which a rule broke. */
  readonly findings: readonly FindingData[]
}

export interface FindingData {
  readonly rule: string
  /** First page of the folio; null for a breach that is of no folio. */
  readonly folio: number | null
  /**
   * The lines where it began, and where the rule broke; and their steps, from 0: of a line without one, the
   * next line's.
   */
  readonly lines: readonly [began: number, broke: number]
  readonly began: number
  readonly broke: number
  readonly what: string
  /** The pass: who ran it, and what called writeback_iter(); empty for none. */
  readonly who: string
  /** What the kernel does of it. */
  readonly kernel: string
}

export interface PassData {
  /** Step of the `begin`, from 0. */
  readonly begin: number
  /** Step in which it ended; -1 if it never did. */
  readonly end: number
  /** The writeback control as the `begin` line has it. */
  readonly control: string
  readonly pid: number
  readonly comm: string
}

/** The steps that are a pass's own, a column per property. */
export interface MomentData {
  /** Step, from 0; differences. */
  readonly step: readonly number[]
  readonly pass: readonly number[]
  /** Which lookup's batch the pass has; -1 for none. */
  readonly lookup: readonly number[]
  /** How many folios of that batch it has looked at. */
  readonly used: readonly number[]
  /** The first error of an integrity pass so far. */
  readonly savedError: readonly number[]
  /**
   * What one `next` of format 1 did, in order, `;` between: `tag COUNT`, `lookup COUNT FROM`, `stop`, `wait
   * lock|writeback I`, `skip I gone|clean|writeback`, `return I`, `done`. Empty for other steps.
   */
  readonly inside: readonly string[]
}

export interface PageData {
  readonly file: string
  readonly backend: string
  /** `# record: KEY VALUE` lines of a recording. */
  readonly fields: readonly (readonly [string, string])[]
  readonly tasks: readonly { readonly pid: number; readonly comm: string }[]
  readonly mappings: readonly MappingData[]
  /** What is shown first: a mapping, and how many of its steps are done. */
  readonly at: { readonly mapping: number; readonly step: number }
}
