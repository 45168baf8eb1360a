// SPDX-License-Identifier: GPL-2.0-only
// The data of the page: per page cache its steps, and what each step changed. The page itself has no rule of
// writeback. It applies the changes forwards and backwards.

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
  /** The name that the page shows: `DEV:INO` for a recording, the file for a trace of format 1. */
  readonly name: string
  /** A line per step, joined by line feeds. */
  readonly text: string
  /** Line number of each step in the file; differences. */
  readonly lines: readonly number[]
  /**
   * The time (the recording's clock, differences), the task and the caller of each step, for traces of format
   * 2. Empty for format 1.
   */
  readonly times: readonly number[]
  /** Index into `tasks`; -1 for a step that the conversion derived from others. */
  readonly taskOf: readonly number[]
  /** Index into `callers`; -1 for none. */
  readonly callerOf: readonly number[]
  readonly callers: readonly string[]

  /**
   * Every folio that was ever added, in the order of the additions: its first page (differences) and its
   * order.
   */
  readonly folioIndex: readonly number[]
  readonly folioOrder: readonly number[]
  /** How many folios each step changes. */
  readonly changes: readonly number[]
  /** Which folio each change is of (differences), and the folio's state after the change. */
  readonly changeFolio: readonly number[]
  readonly changeState: readonly number[]

  readonly passes: readonly PassData[]
  readonly moments: MomentData
  /** Folios of each lookup of a pass, ascending. */
  readonly lookups: readonly (readonly number[])[]
  /** The expected and the actual result of the mapping's last step, if they differ. */
  readonly divergence: { readonly expected: string; readonly got: string; readonly backend: string } | null
  /** What `check` finds in this mapping, in the order of the steps in which the rules broke. */
  readonly findings: readonly FindingData[]
}

export interface FindingData {
  readonly rule: string
  /** First page of the folio; null for a breach that concerns no folio. */
  readonly folio: number | null
  /**
   * The line where the breach began, the line where the rule broke, and the step of each, from 0. A line
   * without a step has the step of the next line that has one.
   */
  readonly lines: readonly [began: number, broke: number]
  readonly began: number
  readonly broke: number
  readonly what: string
  /** The pass: the task that ran it, and the function that called writeback_iter(); empty for none. */
  readonly who: string
  /** What the kernel does after the breach. */
  readonly kernel: string
}

export interface PassData {
  /** Step of the `begin`, from 0. */
  readonly begin: number
  /** Step in which the pass ended; -1 if it never ended. */
  readonly end: number
  /** The writeback control as the `begin` line has it. */
  readonly control: string
  readonly pid: number
  readonly comm: string
}

/** The steps that belong to a pass, one column per property. */
export interface MomentData {
  /** Step, from 0; differences. */
  readonly step: readonly number[]
  readonly pass: readonly number[]
  /** Number of the lookup that filled the pass's batch; -1 for none. */
  readonly lookup: readonly number[]
  /** How many folios of that batch the pass has looked at. */
  readonly used: readonly number[]
  /** The first error of an integrity pass so far. */
  readonly savedError: readonly number[]
  /**
   * What one `next` of format 1 did, in order, separated by `;`: `tag COUNT`, `lookup COUNT FROM`, `stop`,
   * `wait lock|writeback I`, `skip I gone|clean|writeback`, `return I`, `done`. Empty for other steps.
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
  /** What the page shows first: a mapping, and the number of its steps that are done. */
  readonly at: { readonly mapping: number; readonly step: number }
}
