// SPDX-License-Identifier: GPL-2.0-only
// The traces and recordings that a command line names.

import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { constants, gunzipSync } from 'node:zlib'
import { beginsAsRecording, type Input, readInput } from '../live/read.js'
import { TraceError } from '../trace/format.js'
import { CommandError } from './command_error.js'

/** What an argument that takes them says of itself. */
export const INPUT_ARGUMENT =
  'traces or recordings, also gzipped; of a folder, every *.trace and every recording *.txt below it, and their *.gz'

const TRACE = /\.trace(?:\.gz)?$/
const TEXT = /\.txt(?:\.gz)?$/
/** The header of a recording is within its first bytes. */
const HEAD_BYTES = 4096

function head(file: string): string {
  const bytes = Buffer.alloc(HEAD_BYTES)
  const fd = openSync(file, 'r')
  try {
    const read = bytes.subarray(0, readSync(fd, bytes))
    // The rest of the file is missing, which is as well for its beginning.
    return (isGzipped(read) ? gunzipSync(read, { finishFlush: constants.Z_SYNC_FLUSH }) : read).toString()
  } finally {
    closeSync(fd)
  }
}

function isGzipped(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

/** The files that a path of the command line means: itself, or those in the folder, sorted. */
export function findInputs(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  const files = readdirSync(path, { encoding: 'utf8', recursive: true })
    .sort()
    .map((name) => join(path, name))
    .filter((file) => TRACE.test(file) || TEXT.test(file))
    .filter((file) => statSync(file).isFile())
    .filter((file) => TRACE.test(file) || beginsAsRecording(head(file)))
  if (files.length === 0)
    throw new CommandError(`${path}: no *.trace, *.trace.gz or recording in this folder`)
  return files
}

/**
 * Reads a trace or a recording.
 * @throws {@link TraceError} if it is neither
 */
export function readInputFile(file: string): Input {
  const bytes = readFileSync(file)
  return readInput(file, isGzipped(bytes) ? gunzip(file, bytes) : bytes.toString())
}

function gunzip(file: string, bytes: Buffer): string {
  try {
    return gunzipSync(bytes).toString()
  } catch (error) {
    throw new TraceError(file, 1, `gzip: ${(error as Error).message}`)
  }
}
