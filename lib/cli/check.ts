// SPDX-License-Identifier: GPL-2.0-only

import { Command } from 'commander'
import { InputError } from '../input/input_error.js'
import { printableLine } from '../input/printable.js'
import { type Checked, check, type Finding } from '../live/check.js'
import type { Undecided } from '../live/replay.js'
import { colours } from './colours.js'
import type { Unreadable } from './find_files.js'
import { findInputs, INPUT_ARGUMENT, readInputFile } from './input.js'
import { EXIT_INTERRUPTED, interruption } from './interrupt.js'
import { jsonOption } from './options.js'
import { Progress } from './progress.js'

export function checkCommand(): Command {
  return new Command('check')
    .summary('find breaches of the protocol in recordings')
    .description(
      'Finds the places in recordings and traces where a file system broke the protocol of writeback_iter. Each finding ' +
        'names the rule, the folio, the pass, the lines where the case began and where the rule was broken, and the ' +
        'consequence in the kernel. docs/check.md explains the rules.\n\n' +
        'Exit code: 0 no findings, 1 findings, 2 a malformed or unreadable file or wrong use, 130 interrupted.',
    )
    .argument('<file...>', INPUT_ARGUMENT)
    .addOption(jsonOption())
    .action(async (paths: string[], options: { readonly json?: boolean }) => {
      const unreadable: Unreadable[] = []
      const outcome = await checkAll(await findInputs(paths, unreadable), unreadable)
      if (options.json) console.log(JSON.stringify(outcome, null, 2))
      else print(outcome)
      process.exitCode = exitCode(outcome)
    })
}

interface Outcome {
  /** The number of files checked, without malformed files. */
  files: number
  mappings: number
  passes: number
  /** The number of folios that the passes received. */
  folios: number
  readonly findings: (Finding & { readonly file: string })[]
  /** What the recordings lack. */
  readonly undecided: (Undecided & { readonly file: string })[]
  readonly malformed: { readonly file: string; readonly line: number; readonly problem: string }[]
  /** Files, and folders below the named ones, that could not be read. */
  readonly unreadable: Unreadable[]
  interrupted: boolean
}

async function checkAll(files: readonly string[], unreadable: Unreadable[]): Promise<Outcome> {
  const interrupted = interruption()
  const outcome: Outcome = {
    files: 0,
    mappings: 0,
    passes: 0,
    folios: 0,
    findings: [],
    undecided: [],
    malformed: [],
    unreadable,
    interrupted: false,
  }
  const progress = new Progress('files', files.length)
  for (const [i, file] of files.entries()) {
    progress.update(i)
    try {
      add(outcome, file, check(await readInputFile(file, null, interrupted)))
    } catch (error) {
      if (interrupted.aborted && error === interrupted.reason) {
        outcome.interrupted = true
        break
      }
      if (error instanceof InputError) {
        outcome.malformed.push({ file, line: error.line, problem: error.problem })
      } else if (error instanceof Error && 'syscall' in error) {
        unreadable.push({ file, problem: error.message })
      } else {
        throw error
      }
    }
  }
  progress.stop()
  return outcome
}

function add(outcome: Outcome, file: string, checked: Checked): void {
  const { findings, mappings, passes, folios, undecided } = checked
  outcome.files++
  outcome.mappings += mappings
  outcome.passes += passes
  outcome.folios += folios
  for (const finding of findings) outcome.findings.push({ file, ...finding })
  for (const one of undecided) outcome.undecided.push({ file, ...one })
}

function exitCode({ interrupted, malformed, unreadable, findings }: Outcome): number {
  if (interrupted) return EXIT_INTERRUPTED
  if (malformed.length > 0 || unreadable.length > 0) return 2
  return findings.length > 0 ? 1 : 0
}

function printFinding({
  file,
  rule,
  mapping,
  folio,
  pass,
  began,
  broke,
  what,
  kernel,
}: Outcome['findings'][number]): void {
  const where = folio === null ? mapping : `folio ${folio} of ${mapping}`
  const place = `${printableLine(file)}:${broke}`
  console.log(`${place}: ${colours.red(rule)}: ${where}: ${printableLine(what)} (began at line ${began})`)
  if (pass !== null) {
    const caller = printableLine(pass.caller ?? 'an unknown function')
    console.log(`    pass: ${printableLine(pass.comm)} (pid ${pass.pid}), called by ${caller}`)
  }
  console.log(`    the kernel: ${kernel}`)
}

function print(outcome: Outcome): void {
  const { files, mappings, passes, folios, findings, undecided, malformed, unreadable, interrupted } = outcome
  for (const finding of findings) printFinding(finding)
  for (const { file, line, what, count } of undecided) {
    console.log(
      `${printableLine(file)}:${line}: undecided: ${what} (${count} times); a finding may come of that`,
    )
  }
  for (const { file, line, problem } of malformed) console.error(`${printableLine(file)}:${line}: ${problem}`)
  for (const { problem } of unreadable) console.error(printableLine(problem))
  const counts = `${files} files, ${mappings} mappings, ${passes} passes, ${folios} folios`
  const rest = [malformed.length > 0 ? `, ${malformed.length} malformed` : '']
  if (unreadable.length > 0) rest.push(`, ${unreadable.length} unreadable`)
  console.log(`${counts}, ${findings.length} findings${rest.join('')}`)
  if (interrupted) console.log(`interrupted after ${files + malformed.length} files`)
}
