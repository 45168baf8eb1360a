// SPDX-License-Identifier: GPL-2.0-only
// A file that is overwritten in random order, page by page, and made durable.

import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CachedFile } from 'writeback-iter/file'
import { randomNumbers } from './random.mjs'

const PAGE = 4096

/**
 * The numbers below `count` in an order that is random, and the same in every process.
 * @param {number} count
 */
function shuffled(count) {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  const random = randomNumbers(count, 2 ** 32)
  for (let i = count - 1; i > 0; i--) {
    const j = random[count - 1 - i] % (i + 1)
    const swapped = order[i]
    order[i] = order[j]
    order[j] = swapped
  }
  return order
}

/**
 * @param {string} name - 'fs.writeSync', or the engine of a CachedFile
 * @param {{ pages: number }} shape
 * @returns {Record<string, import('./shape.mjs').Operation>}
 */
export function open(name, { pages }) {
  const directory = mkdtempSync(join(tmpdir(), 'writeback-iter-bench-'))
  process.on('exit', () => rmSync(directory, { recursive: true }))
  const path = join(directory, 'file')
  writeFileSync(path, Buffer.alloc(pages * PAGE), { flush: true })
  const order = shuffled(pages)
  const page = Buffer.alloc(PAGE, 'writeback')

  if (name === 'fs.writeSync') {
    const fd = openSync(path, 'r+')
    process.on('exit', () => closeSync(fd))
    return {
      file: {
        prepare: () => {},
        run: () => {
          for (const number of order) writeSync(fd, page, 0, PAGE, number * PAGE)
          fsyncSync(fd)
        },
      },
    }
  }
  const file = CachedFile.openSync(path, { engine: /** @type {'native' | 'js'} */ (name) })
  return {
    file: {
      prepare: () => {},
      run: () => {
        const before = file.stats.pagesWritten
        for (const number of order) file.writeSync(page, number * PAGE)
        file.fsyncSync()
        const written = file.stats.pagesWritten - before
        // A page that the flusher wrote while it was written to is written once more.
        if (written < pages) throw new Error(`${written} pages written instead of ${pages}`)
      },
    },
  }
}
