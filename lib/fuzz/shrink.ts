// SPDX-License-Identifier: GPL-2.0-only

import { type Operation, operation, type Program, withBody } from './operation.js'
import { operationArguments } from './program_text.js'

/** Whether a program still fails. */
type Test = (program: Program) => Promise<boolean>

/** Removes ever smaller runs of operations as long as the rest still fails (delta debugging). */
async function removeRuns(program: Program, fails: Test): Promise<Program> {
  for (let size = Math.ceil(program.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let end = program.length; end > 0; end -= size) {
      const rest = [...program.slice(0, Math.max(0, end - size)), ...program.slice(end)]
      if (await fails(rest)) program = rest
    }
  }
  return program
}

/** Values above this are only halved. */
const SMALL = 64

/** Simpler values than this one, the simplest first. */
function simpler(value: number): number[] {
  if (value === 0) return []
  const values = [0, Math.trunc(value / 2)]
  if (Math.abs(value) <= SMALL) values.push(value - Math.sign(value))
  return values
}

async function simplifyArguments(
  op: Operation,
  fails: (op: Operation) => Promise<boolean>,
): Promise<Operation> {
  for (let i = 0; i < operationArguments(op).length; i++) {
    let values = simpler(operationArguments(op)[i])
    while (values.length > 0) {
      const [value, ...others] = values
      const args = operationArguments(op).with(i, value)
      const candidate = withBody(operation(op.kind, ...args), op.body)
      if (await fails(candidate)) {
        op = candidate
        values = simpler(value)
      } else {
        values = others
      }
    }
  }
  return op
}

async function shrinkOnce(program: Program, fails: Test): Promise<Program> {
  program = await removeRuns(program, fails)
  for (let i = 0; i < program.length; i++) {
    const replaced = (...ops: Operation[]) => [...program.slice(0, i), ...ops, ...program.slice(i + 1)]
    if (program[i].body.length > 0) {
      const { body } = program[i]
      if (await fails(replaced(...body))) {
        program = replaced(...body)
        continue
      }
      const smaller = await shrinkOnce(body, (body) => fails(replaced(withBody(program[i], body))))
      program = replaced(withBody(program[i], smaller))
    }
    program = replaced(await simplifyArguments(program[i], (op) => fails(replaced(op))))
  }
  return program
}

/**
 * Looks for a smaller program that fails too.
 * @param fails - whether a program fails; it throws to end the search
 * @param found - called with each smaller program that fails
 */
export async function shrink(
  program: Program,
  fails: Test,
  found: (program: Program) => void,
): Promise<void> {
  const test = async (candidate: Program) => {
    if (!(await fails(candidate))) return false
    found(candidate)
    return true
  }
  for (let before = ''; before !== JSON.stringify(program); ) {
    before = JSON.stringify(program)
    program = await shrinkOnce(program, test)
  }
}
