// SPDX-License-Identifier: GPL-2.0-only

import { printableLine } from './printable.js'

/**
 * A file that is not of the format it should be of: the message is `FILE:LINE: ` and what is wrong, safe to
 * print.
 */
export class InputError extends Error {
  /** The file, as the user named it. */
  readonly file: string
  /** Line number in the file, from 1. */
  readonly line: number
  /** What is wrong, without the place. */
  readonly problem: string

  constructor(file: string, line: number, problem: string, options?: ErrorOptions) {
    const text = printableLine(problem)
    super(`${printableLine(file)}:${line}: ${text}`, options)
    this.name = 'InputError'
    this.file = file
    this.line = line
    this.problem = text
  }
}
