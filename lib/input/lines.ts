// SPDX-License-Identifier: GPL-2.0-only
// Text files line by line, whatever their size: traces, recordings and fio's logs may be larger than the
// longest string.

import { constants, promises as fs } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { StringDecoder } from 'node:string_decoder'
import { createGunzip } from 'node:zlib'
import { InputError } from './input_error.js'

/**
 * A line takes at most this many UTF-16 units (16 Mi): a file without line feeds must not fill the memory.
 */
export const MAX_LINE = 2 ** 24

/** A gzip member begins with these bytes (RFC 1952). */
const GZIP = Buffer.from([0x1f, 0x8b])

/**
 * Takes one line, without its line end.
 * @param number - its number in the file, from 1
 * @param ended - whether a line feed ends it: the last line of a file that was cut off has none
 */
export type OnLine = (text: string, number: number, ended: boolean) => void

/**
 * Reads a regular file line by line, as UTF-8. A file that begins with gzip's magic number is gunzipped; a
 * byte order mark, and a carriage return before a line feed, are dropped.
 *
 * @param onLine - called with each line; what it throws ends the reading and goes to the caller
 * @param signal - ends the reading: the promise rejects with its reason
 * @throws an error with `code` and `path` where the file cannot be opened or read, and where it is not a
 * regular file (`ENOTSUP`: reading a FIFO or a device might never end); {@link InputError} for a line that is
 * too long, and for a gzip stream that is damaged
 */
export async function readLines(path: string, onLine: OnLine, signal?: AbortSignal): Promise<void> {
  // Opening a FIFO would wait for a writer.
  const handle = await fs.open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  const splitter = new LineSplitter(path, onLine)
  try {
    if (!(await handle.stat()).isFile()) throw notRegular(path)
    const magic = Buffer.alloc(GZIP.length)
    await handle.read(magic, 0, magic.length, 0)
    const bytes = handle.createReadStream({ start: 0, highWaterMark: 2 ** 18, autoClose: false })
    const sink = async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) splitter.push(chunk)
    }
    if (magic.equals(GZIP)) await pipeline(bytes, createGunzip({ chunkSize: 2 ** 18 }), sink, { signal })
    else await pipeline(bytes, sink, { signal })
    splitter.end()
  } catch (error) {
    // Node.js hides the reason behind an AbortError of its own.
    signal?.throwIfAborted()
    throw isZlibError(error) ? splitter.damaged(error) : error
  } finally {
    await handle.close()
  }
}

function isZlibError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')
}

function notRegular(path: string): Error {
  const message = `ENOTSUP: not a regular file, open '${path}'`
  return Object.assign(new Error(message), { code: 'ENOTSUP', syscall: 'open', path })
}

/** Cuts a stream of bytes into lines. */
class LineSplitter {
  readonly #path: string
  readonly #onLine: OnLine
  readonly #decoder = new StringDecoder('utf8')
  /** What came behind the last line feed. */
  #rest = ''
  #number = 0

  constructor(path: string, onLine: OnLine) {
    this.#path = path
    this.#onLine = onLine
  }

  push(chunk: Buffer): void {
    const text = this.#decoder.write(chunk)
    let start = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      this.#line(this.#rest + text.slice(start, end), true)
      this.#rest = ''
      start = end + 1
    }
    this.#rest += text.slice(start)
    this.#checkLength(this.#rest)
  }

  end(): void {
    const rest = this.#rest + this.#decoder.end()
    if (rest !== '') this.#line(rest, false)
  }

  /** What to throw where gzip's stream ends or goes wrong behind the last line. */
  damaged(error: Error): InputError {
    return new InputError(this.#path, this.#number + 1, `gzip: ${error.message}`, { cause: error })
  }

  #line(text: string, ended: boolean): void {
    this.#checkLength(text)
    this.#number++
    const from = this.#number === 1 && text.startsWith('\ufeff') ? 1 : 0
    const to = text.endsWith('\r') ? text.length - 1 : text.length
    this.#onLine(text.slice(from, to), this.#number, ended)
  }

  #checkLength(text: string): void {
    if (text.length <= MAX_LINE) return
    throw new InputError(this.#path, this.#number + 1, `line is longer than ${MAX_LINE} characters`)
  }
}
