// SPDX-License-Identifier: GPL-2.0-only
// The traces and recordings that a command line names.

import { readLines } from '../input/lines.js'
import { type Input, InputReader } from '../live/read.js'
import type { TraceLine } from '../trace/format.js'
import { CommandError } from './command_error.js'
import { findFiles, type Unreadable } from './find_files.js'

/** The description of an argument that takes traces and recordings. */
export const INPUT_ARGUMENT =
  'traces or recordings, also gzipped; of a folder, every *.trace and every recording *.txt below it, and their *.gz'

const TRACE = /\.trace(?:\.gz)?$/
const TRACE_OR_TEXT = /\.(?:trace|txt)(?:\.gz)?$/

/**
 * The files that the paths of a command line name: the paths themselves, or the inputs in the folders,
 * sorted.
 * @param unreadable - receives what cannot be read below the folders
 */
export async function findInputs(paths: readonly string[], unreadable: Unreadable[]): Promise<string[]> {
  const inputs: string[] = []
  for (const path of paths) {
    const before = inputs.length
    for (const file of findFiles(path, TRACE_OR_TEXT, unreadable)) {
      if (file === path || TRACE.test(file) || (await isRecording(file))) inputs.push(file)
    }
    if (inputs.length === before)
      throw new CommandError(`${path}: no *.trace, *.trace.gz or recording in this folder`)
  }
  return inputs
}

/** Ends the reading of a file as soon as its format is known. */
class Known extends Error {}

async function isRecording(file: string): Promise<boolean> {
  const reader = new InputReader(file)
  try {
    await readLines(file, (line) => {
      reader.push(line)
      if (reader.kind !== null) throw new Known()
    })
  } catch {
    // The file cannot be read, or it is a text of another format. The search skips such a file.
  }
  return reader.kind === 'recording'
}

/**
 * Reads a trace or a recording.
 * @param onTraceLine - receives the lines of a trace of format 1 as they are read, see {@link InputReader}
 * @throws {@link InputError} if the file is neither, and what {@link readLines} throws
 */
export async function readInputFile(
  file: string,
  onTraceLine: ((line: TraceLine) => void) | null = null,
  signal?: AbortSignal,
): Promise<Input> {
  const reader = new InputReader(file, onTraceLine)
  await readLines(file, (line) => reader.push(line), signal)
  return reader.end()
}
