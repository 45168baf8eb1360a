// SPDX-License-Identifier: GPL-2.0-only
// The process that crash.test.ts kills: crash_child.mjs FILE BACKEND DATA WRITES, the operations as JSON on
// stdin. After WRITES device writes, in the middle of a pass, it kills itself where the next one would be.
//
// Reports each operation by two bytes on stdout, '(' when it begins and ')' when it has returned. They are
// written synchronously: what was reported is in the pipe, however the process ends. The file is not closed,
// so what is dirty at the end of the operations is lost.

import fs from 'node:fs'
import { CachedFile } from '../dist/file/index.js'

const [path, engine, dataPath, writes] = process.argv.slice(2)
const data = fs.readFileSync(dataPath)
const operations = JSON.parse(fs.readFileSync(0, 'utf8'))
let writesLeft = Number(writes)
const { writevSync } = fs
fs.writevSync = (...args) => {
  if (writesLeft-- === 0) process.kill(process.pid, 'SIGKILL')
  return writevSync(...args)
}
const file = CachedFile.openSync(path, { engine, lock: false })

for (const { kind, position, length, from, pages, start, end } of operations) {
  fs.writeSync(1, '(')
  if (kind === 'write') file.writeSync(data.subarray(from, from + length), position)
  else if (kind === 'truncate') file.truncateSync(length)
  else if (kind === 'writeback') file.writebackSync(pages)
  else file.fsyncSync({ start, end })
  fs.writeSync(1, ')')
}
