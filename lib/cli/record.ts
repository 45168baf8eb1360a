// SPDX-License-Identifier: GPL-2.0-only

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { CommandError } from './command_error.js'
import { EXIT_INTERRUPTED } from './interrupt.js'

/** The recorder: what this command runs, and what `--script` prints for machines without Node.js. */
const SCRIPT = join(__dirname, '../../lib/live/record.sh')

interface Options {
  readonly for?: string
  readonly dev?: string
  readonly file?: string
  readonly out?: string
  readonly dropCaches?: boolean
  readonly unlock?: boolean
  readonly buffer?: string
  readonly script?: boolean
}

export function recordCommand(): Command {
  return new Command('record')
    .summary("record a live kernel's page cache (Linux, root)")
    .description(
      'Records what the running kernel does to its page caches, by tracefs, until Ctrl-C, for replay and check. Needs root ' +
        'and Linux 6.9 or later with fprobe events and BTF. It installs nothing, and removes its events at the end.\n\n' +
        'Exit code: 0 recorded, 1 recorded but events were lost, 2 wrong use or not possible here, 130 interrupted before it began.',
    )
    .option('--for <seconds>', 'stop after this time')
    .option('--dev <major:minor>', 'record the files of this device')
    .option('--file <path>', 'record this file, which may be a block device')
    .option(
      '--out <file>',
      'where to write the recording; gzipped if it ends in .gz (default: "recording.txt")',
    )
    .option(
      '--drop-caches',
      'first drop clean pages from the page cache, so that the recording sees folios added',
    )
    .option('--unlock', 'also record unlocks of folios')
    .option('--buffer <mib>', 'memory for the events of all processors together (default: 256)')
    .option('--script', 'print the recorder as a shell script, for machines without Node.js')
    .action(async (options: Options) => {
      if (options.script) process.stdout.write(readFileSync(SCRIPT))
      else process.exitCode = await record(argumentsOf(options))
    })
}

function argumentsOf(options: Options): string[] {
  const valued = ['for', 'dev', 'file', 'out', 'buffer'] as const
  return [
    ...valued.flatMap((name) => (options[name] === undefined ? [] : [`--${name}`, options[name]])),
    ...(options.dropCaches ? ['--drop-caches'] : []),
    ...(options.unlock ? ['--unlock'] : []),
  ]
}

/** Runs the script. Ctrl-C also reaches the script, which then stops recording, writes the file and ends. */
async function record(args: readonly string[]): Promise<number> {
  if (process.platform !== 'linux') {
    throw new CommandError(
      `record needs Linux, this is ${process.platform} (--script prints what to run there)`,
    )
  }
  const env = { ...process.env, RECORD_NAME: 'writeback-iter record' }
  const child = spawn('sh', [SCRIPT, ...args], { stdio: 'inherit', env })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // A terminal signals the whole group; a supervisor signals only this process.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? EXIT_INTERRUPTED))
  })
}
