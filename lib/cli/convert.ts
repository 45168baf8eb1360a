// SPDX-License-Identifier: GPL-2.0-only

import { once } from 'node:events'
import { Command } from 'commander'
import { printableLine } from '../input/printable.js'
import { convertRecording } from '../live/replay.js'
import { toRecording } from '../live/to_recording.js'
import { formatTrace2 } from '../trace/format2.js'
import { CommandError } from './command_error.js'
import { readInputFile } from './input.js'

export function convertCommand(): Command {
  return new Command('convert')
    .summary('convert a recording to a trace of format 2, and back')
    .description(
      'Writes a recording to stdout as a trace of format 2, in an order that explains every return, or a trace of ' +
        'format 2 as a recording. Cases that the recording does not decide are listed on stderr.\n\n' +
        'Exit code: 0 done, 2 malformed input or wrong use.',
    )
    .argument('<file>', 'a recording or a trace of format 2, also gzipped')
    .action(async (file: string) => {
      for (const line of await convertFile(file)) {
        if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain')
      }
    })
}

async function convertFile(file: string): Promise<Iterable<string>> {
  const input = await readInputFile(file)
  switch (input.kind) {
    case 'trace':
      throw new CommandError(`${file}: format 1 has neither tasks nor times, so it cannot be converted`)
    case 'trace2':
      return toRecording(input.trace)
    case 'recording': {
      const { trace, undecided } = convertRecording(input.recording)
      for (const { what, count, line } of undecided)
        console.error(`${printableLine(file)}:${line}: ${what} (${count} times)`)
      return formatTrace2(trace)
    }
  }
}
