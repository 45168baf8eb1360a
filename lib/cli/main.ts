#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only
// Exit codes: 0 success; 1 a finding (a divergence, a difference); 2 wrong use, malformed input, or a
// failure; 130 interrupted.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Command, CommanderError } from 'commander'
import { InputError } from '../input/input_error.js'
import { printable } from '../input/printable.js'
import { benchCommand } from './bench.js'
import { checkCommand } from './check.js'
import { colours } from './colours.js'
import { CommandError } from './command_error.js'
import { convertCommand } from './convert.js'
import { fuzzCommand } from './fuzz.js'
import { recordCommand } from './record.js'
import { replayCommand } from './replay.js'
import { runCommand } from './run.js'
import { viewCommand } from './view.js'

function version(): string {
  return JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')).version
}

function createProgram(): Command {
  const program = new Command('writeback-iter')
    .description("Linux's writeback_iter() for Node.js: run it, replay it, compare the backends.")
    .version(version(), '-v, --version')
    .configureHelp({ styleTitle: colours.bold })
    .configureOutput({ outputError: (text, write) => write(printable(text)) })
    .showHelpAfterError('(--help tells what there is)')
    .addHelpText(
      'after',
      '\nExit code: 0 success, 1 a finding, 2 wrong use or a failure, 130 interrupted.\n' +
        'Environment: NO_COLOR, FORCE_COLOR, WRITEBACK_ITER_BACKEND=native|js.',
    )
    .exitOverride()
  for (const command of [
    runCommand(),
    recordCommand(),
    replayCommand(),
    checkCommand(),
    viewCommand(),
    convertCommand(),
    fuzzCommand(),
    benchCommand(),
  ]) {
    program.addCommand(command.copyInheritedSettings(program))
  }
  return program
}

/**
 * Prints what a command threw, and returns the exit code. The output has the stack if the user did not cause
 * the error.
 */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // commander has printed it
  if (error instanceof InputError) {
    console.error(error.message)
    return 2
  }
  const explained = error instanceof CommandError || (error instanceof Error && 'syscall' in error)
  console.error(printable(explained ? `writeback-iter: ${error.message}` : inspect(error)))
  return 2
}

/** Handles output that cannot be written. A reader that closes the pipe early (head) is not a failure. */
function onOutputError(error: NodeJS.ErrnoException): void {
  process.exit(error.code === 'EPIPE' ? undefined : report(error))
}

process.stdout.on('error', onOutputError)
process.stderr.on('error', onOutputError)
createProgram()
  .parseAsync()
  .catch((error: unknown) => {
    process.exitCode = report(error)
  })
