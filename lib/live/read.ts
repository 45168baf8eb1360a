// SPDX-License-Identifier: GPL-2.0-only
// Reads the files that replay and check take: traces of both formats, and recordings. The first lines of a
// file tell which of them it is.

import { HEADER, type Trace, type TraceLine, TraceParser } from '../trace/format.js'
import { HEADER2, type Trace2, Trace2Reader } from '../trace/format2.js'
import { isRecordingLine, type Recording, RecordingReader } from './recording.js'

export type Input =
  | { readonly kind: 'trace'; readonly trace: Trace }
  | { readonly kind: 'trace2'; readonly trace: Trace2 }
  | { readonly kind: 'recording'; readonly recording: Recording }

const RECORDING_HEADER = /^# (?:tracer: |record: )/

/** A recording may begin with comments. The reader looks at this many of their lines. */
const MAX_COMMENTS = 1000

/** Reads a file of any of the formats, line by line. */
export class InputReader {
  readonly #file: string
  readonly #onTraceLine: ((line: TraceLine) => void) | null
  /** The lines before the line that identifies the format. */
  #comments: string[] = []
  #reader: { push(line: string): void; end(): Input } | null = null

  /**
   * @param file - the name of the file in messages
   * @param onTraceLine - takes each line of a trace of format 1 at once; the trace that `end` returns then
   * has no lines
   */
  constructor(file: string, onTraceLine: ((line: TraceLine) => void) | null = null) {
    this.#file = file
    this.#onTraceLine = onTraceLine
  }

  /** The format of the file; null until a line identifies it. */
  get kind(): Input['kind'] | null {
    return this.#reader === null ? null : this.#kind
  }
  #kind: Input['kind'] = 'trace'

  /** @throws {@link InputError} for a line that is not of the file's format */
  push(line: string): void {
    if (this.#reader !== null) {
      this.#reader.push(line)
      return
    }
    this.#comments.push(line)
    const kind = kindOf(line, this.#comments.length)
    if (kind !== null) this.#begin(kind)
  }

  /** @throws {@link InputError} for a file that ends too soon */
  end(): Input {
    const reader = this.#reader ?? this.#begin('trace')
    return reader.end()
  }

  #begin(kind: Input['kind']): { push(line: string): void; end(): Input } {
    const reader = this.#open(kind)
    for (const line of this.#comments) reader.push(line)
    this.#comments = []
    this.#kind = kind
    this.#reader = reader
    return reader
  }

  #open(kind: Input['kind']): { push(line: string): void; end(): Input } {
    const file = this.#file
    switch (kind) {
      case 'trace':
        return new WholeTrace(file, this.#onTraceLine)
      case 'trace2': {
        const reader = new Trace2Reader(file)
        return { push: (line) => reader.push(line), end: () => ({ kind, trace: reader.end() }) }
      }
      case 'recording': {
        const reader = new RecordingReader(file)
        return { push: (line) => reader.push(line), end: () => ({ kind, recording: reader.end() }) }
      }
    }
  }
}

/** The format of the file by its line `number`, after only comments; null if the next line decides. */
function kindOf(line: string, number: number): Input['kind'] | null {
  if (number === 1 && line === HEADER) return 'trace'
  if (number === 1 && line === HEADER2) return 'trace2'
  if (RECORDING_HEADER.test(line) || isRecordingLine(line)) return 'recording'
  return (line === '' || line.startsWith('#')) && number < MAX_COMMENTS ? null : 'trace'
}

class WholeTrace {
  readonly #file: string
  readonly #parser: TraceParser
  readonly #lines: TraceLine[] = []
  readonly #onLine: (line: TraceLine) => void
  #number = 0

  constructor(file: string, onLine: ((line: TraceLine) => void) | null) {
    this.#file = file
    this.#parser = new TraceParser(file)
    this.#onLine = onLine ?? ((line) => this.#lines.push(line))
  }

  push(text: string): void {
    const line = this.#parser.line(text, ++this.#number)
    if (line !== null) this.#onLine(line)
  }

  end(): Input {
    this.#parser.end()
    return { kind: 'trace', trace: { file: this.#file, lines: this.#lines } }
  }
}
