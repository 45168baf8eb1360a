// SPDX-License-Identifier: GPL-2.0-only
// The process that crash.test.ts kills: crash_child.mjs FILE BACKEND DATA WRITES, the operations as JSON on
// stdin. The child makes WRITES device writes, and then kills itself in place of the next one, in the middle
// of a pass.
//
// Reports each operation by two bytes on stdout: '(' when it begins and ')' when it has returned. It writes
// them synchronously, so all reports are in the pipe, however the process ends. It does not close the file,
// so pages that are dirty at the end of the operations are lost.

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
