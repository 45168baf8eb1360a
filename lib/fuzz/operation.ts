// SPDX-License-Identifier: GPL-2.0-only
// What the fuzzer does to a backend: programs of operations, and their text.

import { describe } from '../errors.js'

/**
 * The operations. They name mappings, controls, iterators and folio handles by number, each number a place that is always
 * there, so that a program still makes sense when any operation is taken out of it.
 */
export const enum Kind {
  add,
  fill,
  addFolios,
  dirtyRange,
  get,
  remove,
  tag,
  tagged,
  list,
  each,
  setWritebackIndex,
  counters,
  open,
  close,
  check,
  wrong,
  tryLock,
  unlock,
  markDirty,
  startWriteback,
  endWriteback,
  redirty,
  setUptodate,
  write,
  advance,
  control,
  assign,
  iter,
  iterator,
  next,
  return,
  forOf,
  writePages,
  writeExtents,
  writeCachePages,
  writePagesAsync,
  writeExtentsAsync,
  settle,
  abort,
  extent,
  give,
  throw,
  break,
}

/** The names of the operations and of their arguments, in the order of {@link Kind}. */
export const FORMS: readonly (readonly [name: string, ...parameters: string[]])[] = [
  ['add', 'mapping', 'handle', 'index', 'order'],
  ['fill', 'mapping', 'handle', 'index', 'stride', 'count', 'dirty'],
  ['addFolios', 'mapping', 'index', 'count', 'order'],
  ['dirtyRange', 'mapping', 'start', 'end'],
  ['get', 'mapping', 'handle', 'index'],
  ['remove', 'mapping', 'handle', 'forget'],
  ['tag', 'mapping', 'start', 'end'],
  ['tagged', 'mapping', 'mark'],
  ['list', 'mapping', 'mark', 'start', 'end'],
  ['each', 'mapping', 'mark', 'action'],
  ['setWritebackIndex', 'mapping', 'value'],
  ['counters', 'mapping'],
  ['open', 'mapping', 'pageShift', 'forget'],
  ['close', 'mapping'],
  ['check'],
  ['wrong', 'which', 'mapping', 'handle', 'control'],
  ['tryLock', 'handle'],
  ['unlock', 'handle'],
  ['markDirty', 'handle'],
  ['startWriteback', 'handle', 'keepWrite'],
  ['endWriteback', 'handle'],
  ['redirty', 'handle', 'control'],
  ['setUptodate', 'handle', 'value'],
  ['write', 'handle', 'keepWrite'],
  ['advance', 'handle'],
  ['control', 'control', 'mode', 'nrToWrite', 'start', 'end'],
  ['assign', 'control', 'field', 'value'],
  ['iter', 'mapping', 'control', 'folio', 'error', 'hook'],
  ['iterator', 'mapping', 'control', 'iterator', 'hook'],
  ['next', 'iterator', 'error'],
  ['return', 'iterator'],
  ['forOf', 'mapping', 'control', 'hook'],
  ['writePages', 'mapping', 'control', 'hook'],
  ['writeExtents', 'mapping', 'control', 'hook', 'maxPages'],
  ['writeCachePages', 'mapping', 'control', 'hook'],
  ['writePagesAsync', 'mapping', 'control', 'concurrency'],
  ['writeExtentsAsync', 'mapping', 'control', 'concurrency', 'maxPages'],
  ['settle', 'nth', 'result'],
  ['abort', 'nth'],
  ['extent', 'nth'],
  ['give', 'result'],
  ['throw'],
  ['break'],
]

/** How many there are of each. */
export const MAPPINGS = 2
export const CONTROLS = 3
export const ITERATORS = 2
export const HANDLES = 48
/** The handle of the folio that a pass, a callback, a hook or an iteration had last. */
export const HAND = HANDLES

/** Arguments of `iter` beside handles: the folio that the pass returned last, as is right; and null, to start. */
export const RIGHT = -1
export const NULL = -2

/** Bits of the mode of `control`. The last ones move an end of the range off the page's first byte. */
export const enum Mode {
  syncAll = 1,
  tagged = 2,
  cyclic = 4,
  lastByteOfStart = 8,
  firstByteOfEnd = 16,
}

/** What `each` does to every folio of a mapping that bears a mark. */
export const enum Action {
  markDirty,
  advance,
  write,
  lock,
}

/** What is passed as `onWait`. */
export const enum Hook {
  /** Nothing. */
  none,
  /** One that releases what is waited for. */
  release,
  /** One that does nothing. */
  hold,
  /** One that runs a turn of the body, then releases what is still held. */
  body,
  /** One that runs a turn of the body and no more. */
  bodyOnly,
}

export interface Operation {
  readonly kind: Kind
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
  readonly e: number
  readonly f: number
  /**
   * What callbacks, hooks and loops do: each turn takes operations from here up to the next that ends a turn (give,
   * throw, break), or all that are left. Turns behind the last do the usual: write the folio, release what is waited for, leave
   * the write of a pass that awaits under way.
   */
  readonly body: readonly Operation[]
}

export type Program = readonly Operation[]

const NO_BODY: readonly Operation[] = []

export function operation(kind: Kind, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): Operation {
  return { kind, a, b, c, d, e, f, body: NO_BODY }
}

export function withBody(op: Operation, body: readonly Operation[]): Operation {
  const { kind, a, b, c, d, e, f } = op
  return { kind, a, b, c, d, e, f, body }
}

/** How many operations a program has, those in bodies included. */
export function countOperations(program: Program): number {
  let count = 0
  for (const { body } of program) count += 1 + countOperations(body)
  return count
}

export function operationArguments({ kind, a, b, c, d, e, f }: Operation): number[] {
  return [a, b, c, d, e, f].slice(0, FORMS[kind].length - 1)
}

/** A program, a line an operation, its body indented below. */
export function formatProgram(program: Program, indent = ''): string {
  let text = ''
  for (const op of program) {
    const [name, ...parameters] = FORMS[op.kind]
    const args = operationArguments(op).map((value, i) => ` ${parameters[i]}=${value}`)
    text += `${indent}${name}${args.join('')}\n${formatProgram(op.body, `${indent}  `)}`
  }
  return text
}

/** What an argument of this name is less than. */
const BOUNDS: ReadonlyMap<string, number> = new Map([
  ['mapping', MAPPINGS],
  ['control', CONTROLS],
  ['iterator', ITERATORS],
])

/** A line that is no operation. */
export class ProgramError extends Error {
  readonly line: number

  constructor(line: number, problem: string) {
    super(problem)
    this.line = line
  }
}

function parseLine(text: string, line: number): { kind: Kind; args: number[] } {
  const [name, ...args] = text.split(' ')
  const kind = FORMS.findIndex((form) => form[0] === name) as Kind
  if (kind < 0) throw new ProgramError(line, `operation is ${describe(name)}, which is unknown`)
  const parameters = FORMS[kind].slice(1)
  if (args.length !== parameters.length) {
    throw new ProgramError(line, `${args.length} arguments, expected ${FORMS[kind].join(' ')}`)
  }
  const values = args.map((arg, i) => {
    const value = Number(arg.slice(parameters[i].length + 1))
    if (arg !== `${parameters[i]}=${value}` || !Number.isSafeInteger(value)) {
      throw new ProgramError(line, `argument is ${describe(arg)}, expected ${parameters[i]}= and an integer`)
    }
    const bound = BOUNDS.get(parameters[i])
    if (bound !== undefined && (value < 0 || value >= bound)) {
      throw new ProgramError(line, `${parameters[i]} is ${value}, expected 0 to ${bound - 1}`)
    }
    return value
  })
  return { kind, args: values }
}

/**
 * The program of a text that {@link formatProgram} made; empty lines and those that begin with # are left out.
 * @throws {@link ProgramError}
 */
export function parseProgram(text: string): Program {
  const program: Operation[] = []
  /** The bodies that a line may belong to, by its indent. */
  let levels = [program]
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue
    const trimmed = line.trimStart()
    const level = (line.length - trimmed.length) / 2
    if (levels[level] === undefined) throw new ProgramError(i + 1, 'wrong indent')
    const { kind, args } = parseLine(trimmed, i + 1)
    const body: Operation[] = []
    const [a, b, c, d, e, f] = args
    levels[level].push(withBody(operation(kind, a, b, c, d, e, f), body))
    levels = [...levels.slice(0, level + 1), body]
  }
  return program
}
