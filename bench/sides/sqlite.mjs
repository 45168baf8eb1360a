// SPDX-License-Identifier: GPL-2.0-only
// SQLite, by the VFS of docs/sqlite.md, on CachedFile and on plain files: transactions of one connection,
// which stays open from run to run.

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlainFile } from './plain_file.mjs'
import { randomNumbers } from './random.mjs'

/** Rows of the table before the transactions: more bytes than SQLite's own cache has (2 MB). */
const ROWS = 20_000
const TRANSACTIONS = 400
/** Statements of each kind in a transaction. */
const INSERTS = 2
const UPDATES = 2
const SELECTS = 3
/** Characters of a row's text. */
const TEXT = 200
const SQLITE_ROW = 100

/**
 * A prepared statement: runs with these values, and returns the rows.
 * @typedef {(...values: (number | string)[]) => Promise<(number | string)[][]>} Statement
 */

/**
 * @param {any} sqlite3
 * @param {number} db
 * @param {string} sql
 * @returns {Promise<Statement>}
 */
async function prepare(sqlite3, db, sql) {
  const { value: statement } = await sqlite3.statements(db, sql, { unscoped: true }).next()
  return async (...values) => {
    sqlite3.bind_collection(statement, values)
    const rows = []
    while ((await sqlite3.step(statement)) === SQLITE_ROW) rows.push(sqlite3.row(statement))
    await sqlite3.reset(statement)
    return rows
  }
}

/**
 * @param {string} name - 'fs', or an engine of a CachedFile
 * @param {{ scale: number }} shape - by how much the work is smaller
 * @returns {Promise<Record<string, import('./shape.mjs').AsyncOperation>>}
 */
export async function open(name, { scale }) {
  // The page of the documentation has no types.
  const clients = new URL('../../test/clients/', import.meta.url)
  const { CachedVFS } = await import(`${clients}cached_vfs.mjs`)
  const { loadSQLite } = await import(`${clients}wa_sqlite.mjs`)
  const { sqlite3 } = await loadSQLite((/** @type {object} */ module) => {
    const vfs = new CachedVFS(module, { engine: name })
    if (name === 'fs') {
      vfs.openFile = (/** @type {string} */ path, /** @type {{ flags: number }} */ { flags }) =>
        new PlainFile(path, flags)
    }
    return vfs
  })
  const directory = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-bench-'))
  process.on('exit', () => fs.rmSync(directory, { recursive: true }))
  const path = join(directory, 'database')
  const rows = Math.ceil(ROWS / scale)
  const transactions = Math.ceil(TRANSACTIONS / scale)
  const text = 'writeback'.repeat(TEXT).slice(0, TEXT)

  const sql = {
    begin: 'begin',
    insert: 'insert into t values(null, ?, ?)',
    update: 'update t set text = ?2 where id = ?1',
    select: 'select id, text from t where key = ?',
    commit: 'commit',
  }

  /** @param {string} journal @param {string} synchronous */
  const connect = async (journal, synchronous) => {
    const db = await sqlite3.open_v2(path)
    // The VFS has no shared memory, which WAL needs for more than one connection.
    const locking = journal === 'wal' ? 'exclusive' : 'normal'
    await sqlite3.exec(
      db,
      `pragma locking_mode = ${locking}; pragma journal_mode = ${journal}; pragma synchronous = ${synchronous};
       create table t(id integer primary key, key int, text); create index by_key on t(key);
       with recursive n(i) as (select 1 union all select i + 1 from n where i < ${rows})
         insert into t select i, i * 7919 % ${rows}, '${text}' from n;`,
    )
    const statements = Object.entries(sql).map(async ([name, text]) => [
      name,
      await prepare(sqlite3, db, text),
    ])
    return /** @type {Record<keyof typeof sql, Statement>} */ (
      Object.fromEntries(await Promise.all(statements))
    )
  }

  /** @param {string} journal @param {string} synchronous */
  const work = (journal, synchronous) => {
    /** @type {Record<keyof typeof sql, Statement> | undefined} */
    let connection
    return {
      prepare: () => {},
      run: async () => {
        connection ??= await connect(journal, synchronous)
        const { begin, insert, update, select, commit } = connection
        const numbers = randomNumbers(transactions * (INSERTS + UPDATES + SELECTS), rows)
        let at = 0
        let found = 0
        const start = performance.now()
        for (let i = 0; i < transactions; i++) {
          await begin()
          for (let k = 0; k < INSERTS; k++) await insert(rows + numbers[at++], text)
          for (let k = 0; k < UPDATES; k++) await update(1 + numbers[at++], `${i}${text}`)
          for (let k = 0; k < SELECTS; k++) found += (await select(numbers[at++])).length
          await commit()
        }
        const milliseconds = performance.now() - start
        if (found !== transactions * SELECTS) {
          throw new Error(`${found} rows found instead of ${transactions * SELECTS}`)
        }
        return (milliseconds * 1000) / transactions
      },
    }
  }
  return {
    'DELETE, FULL': work('delete', 'full'),
    'DELETE, NORMAL': work('delete', 'normal'),
    'WAL, FULL': work('wal', 'full'),
    'WAL, NORMAL': work('wal', 'normal'),
  }
}
