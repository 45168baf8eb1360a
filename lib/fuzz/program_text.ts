// SPDX-License-Identifier: GPL-2.0-only
// Programs as text, one line per operation.

import { describe } from '../errors.js'
import {
  CONTROLS,
  ITERATORS,
  MAPPINGS,
  type Operation,
  operation,
  type Program,
  withBody,
} from './operation.js'
import { FORMS, formOf } from './operations/table.js'

export function operationArguments({ kind, a, b, c, d, e, f }: Operation): number[] {
  return [a, b, c, d, e, f].slice(0, formOf(kind).parameters.length)
}

/** A program as text, one line per operation. The body of an operation is indented below it. */
export function formatProgram(program: Program, indent = ''): string {
  let text = ''
  for (const op of program) {
    const { name, parameters } = formOf(op.kind)
    const args = operationArguments(op).map((value, i) => ` ${parameters[i]}=${value}`)
    text += `${indent}${name}${args.join('')}\n${formatProgram(op.body, `${indent}  `)}`
  }
  return text
}

/** The exclusive upper bound of the arguments of each name. */
const BOUNDS: ReadonlyMap<string, number> = new Map([
  ['mapping', MAPPINGS],
  ['control', CONTROLS],
  ['iterator', ITERATORS],
])

/** A line that is not an operation. */
export class ProgramError extends Error {
  readonly line: number

  constructor(line: number, problem: string) {
    super(problem)
    this.line = line
  }
}

function parseLine(text: string, line: number): { kind: string; args: number[] } {
  const [kind, ...args] = text.split(' ')
  const parameters = FORMS.find(({ name }) => name === kind)?.parameters
  if (parameters === undefined)
    throw new ProgramError(line, `operation is ${describe(kind)}, which is unknown`)
  if (args.length !== parameters.length) {
    throw new ProgramError(line, `${args.length} arguments, expected ${[kind, ...parameters].join(' ')}`)
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
 * Parses the text of a program that {@link formatProgram} made. Ignores empty lines and lines that begin with
 * #.
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
