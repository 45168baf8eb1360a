// SPDX-License-Identifier: GPL-2.0-only
// SQLite on files behind CachedFile, in a process of its own. Arguments: the command, the engine, and the
// command's own arguments.
//
//   sql ENGINE FILE...       runs the SQL of each FILE on a database FILE.db
//   transactions ENGINE DB JOURNAL_MODE PAGE_SIZE
//                            commits one transaction after the other, and prints the number of each that is
//                            committed

import fs from 'node:fs'
import { CachedVFS } from './cached_vfs.mjs'
import { loadSQLite } from './wa_sqlite.mjs'

/** Rows per transaction: enough to show a transaction of which only a part was applied. */
const ROWS = 7

const [work, engine, ...rest] = process.argv.slice(2)
const { sqlite3 } = await loadSQLite((module) => new CachedVFS(module, { engine }))

if (work === 'sql') {
  for (const file of rest) {
    const db = await sqlite3.open_v2(`${file}.db`)
    await sqlite3.exec(db, fs.readFileSync(file, 'utf8'))
    await sqlite3.close(db)
  }
} else {
  const [path, mode, pageSize] = rest
  const db = await sqlite3.open_v2(path)
  await sqlite3.exec(
    db,
    `pragma page_size = ${pageSize}; pragma locking_mode = exclusive; pragma journal_mode = ${mode};
     pragma synchronous = full; pragma cache_size = 20; create table if not exists t(n, i, b);`,
  )
  let n = 0
  await sqlite3.exec(db, 'select coalesce(max(n), 0) from t', ([last]) => {
    n = last
  })
  for (;;) {
    n++
    const rows = Array.from({ length: ROWS }, (_, i) => `(${n}, ${i}, zeroblob(${100 * ((n + i) % 40)}))`)
    await sqlite3.exec(
      db,
      `begin; insert into t values ${rows}; delete from t where n < ${n} - 50; commit; pragma shrink_memory;`,
    )
    fs.writeSync(1, `${n}\n`)
  }
}
