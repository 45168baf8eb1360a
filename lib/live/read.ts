// SPDX-License-Identifier: GPL-2.0-only
// Reads what replay and check take: traces of both formats and recordings, told apart by how they begin.

import { parseTrace, type Trace } from '../trace/format.js'
import { HEADER2, type Trace2, Trace2Reader } from '../trace/format2.js'
import { isRecordingLine, type Recording, RecordingReader } from './recording.js'

export type Input =
  | { readonly kind: 'trace'; readonly trace: Trace }
  | { readonly kind: 'trace2'; readonly trace: Trace2 }
  | { readonly kind: 'recording'; readonly recording: Recording }

/** Whether a text is a recording: it begins with tracefs's header, the recorder's, or an event. */
export function beginsAsRecording(text: string): boolean {
  if (/^# (?:tracer: |record: )/.test(text)) return true
  return isRecordingLine(/^[^#\n].*/m.exec(text)?.[0] ?? '')
}

/**
 * Reads a whole file's text.
 * @param file - what messages call it
 * @throws {@link TraceError} for the first line that is not of its format
 */
export function readInput(file: string, text: string): Input {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  if (lines[0] === HEADER2) return { kind: 'trace2', trace: readAll(new Trace2Reader(file), lines) }
  if (beginsAsRecording(text))
    return { kind: 'recording', recording: readAll(new RecordingReader(file), lines) }
  return { kind: 'trace', trace: parseTrace(file, text) }
}

interface Reader<T> {
  push(line: string): void
  end(): T
}

function readAll<T>(reader: Reader<T>, lines: readonly string[]): T {
  for (const line of lines) reader.push(line)
  return reader.end()
}
