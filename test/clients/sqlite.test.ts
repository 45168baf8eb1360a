// SPDX-License-Identifier: GPL-2.0-only
// SQLite with its files behind CachedFile (docs/sqlite.md). The files are compared with those that Debian's
// sqlite3 makes from the same SQL on plain files. After a kill, Debian's sqlite3 checks the files.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { random } from '../../lib/cli/workload.js'
import { engines } from '../engines.js'

const root = join(__dirname, '../..')
const child = join(__dirname, 'sqlite_child.mjs')
const JOURNAL_MODES = ['delete', 'truncate', 'persist', 'memory', 'off', 'wal']
const PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]
/** Modes in which SQLite survives the end of its process at any moment. */
const SAFE_MODES = ['delete', 'truncate', 'persist', 'wal']
const KILLS = Number(process.env.WRITEBACK_ITER_KILLS ?? 3)

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-sqlite-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

/** Debian's own SQLite, on the file as it is. */
function sqlite3(path: string, sql: string): string {
  const { error, stdout, stderr } = spawnSync('sqlite3', [path], {
    input: sql,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  if (error) throw new Error(`sqlite3 does not run (apt-get install sqlite3): ${error.message}`)
  expect(stderr).toBe('')
  return stdout
}

/**
 * A program of SQL that inserts, updates, deletes, rolls back and vacuums. It leaves the same rows on any
 * file system.
 */
function program(mode: string, pageSize: number): string {
  const next = random(pageSize + mode.length)
  const below = (limit: number) => next() % limit
  const lines = [
    `pragma page_size = ${pageSize}; pragma locking_mode = exclusive; pragma journal_mode = ${mode}; pragma cache_size = 10; pragma synchronous = off;`,
    'create table t(id integer primary key, name text, data blob); create index by_name on t(name);',
  ]
  for (let i = 0; i < 20; i++) {
    const statements = Array.from({ length: 1 + below(8) }, () => {
      const id = below(200)
      const data = Buffer.alloc(below(below(8) === 0 ? 40_000 : 400), below(256)).toString('hex')
      switch (below(4)) {
        case 0:
          return `delete from t where id between ${id} and ${id + below(10)};`
        case 1:
          return `update t set name = name || '${below(1000)}' where id > ${id};`
        default:
          return `insert or replace into t values(${id}, 'n${below(50)}', x'${data}');`
      }
    })
    // Without a journal, the result of a rollback is undefined.
    const end = mode !== 'off' && below(5) === 0 ? 'rollback;' : 'commit;'
    lines.push('begin;', ...statements, end)
    if (below(15) === 0) lines.push('vacuum;')
  }
  return `${lines.join('\n')}\n`
}

test('docs/sqlite.md shows the VFS that is tested here', () => {
  const vfs = fs.readFileSync(join(__dirname, 'cached_vfs.mjs'), 'utf8')
  expect(fs.readFileSync(join(root, 'docs/sqlite.md'), 'utf8')).toContain(
    `\`\`\`js cached_vfs.mjs\n${vfs}\`\`\`\n`,
  )
})

describe.each(engines)('SQLite on CachedFile, $engine', ({ engine }) => {
  test.each(JOURNAL_MODES)(
    'journal_mode=%s, pages of 512 to 65536 bytes: the rows that sqlite3 has on plain files',
    (mode) => {
      const files = PAGE_SIZES.map((pageSize) => {
        const file = join(folder, `${mode}-${pageSize}`)
        fs.writeFileSync(file, program(mode, pageSize))
        return file
      })
      const { status, stderr } = spawnSync(process.execPath, [child, 'sql', engine, ...files], {
        encoding: 'utf8',
      })
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      for (const file of files) {
        expect(sqlite3(`${file}.db`, 'pragma integrity_check;')).toBe('ok\n')
        sqlite3(`${file}.plain`, fs.readFileSync(file, 'utf8'))
        expect(sqlite3(`${file}.db`, '.dump')).toBe(sqlite3(`${file}.plain`, '.dump'))
        expect(sqlite3(`${file}.db`, 'pragma page_size;')).toBe(sqlite3(`${file}.plain`, 'pragma page_size;'))
      }
    },
  )

  test.each(SAFE_MODES)(
    `journal_mode=%s: ${KILLS} kills, and every committed transaction is whole`,
    async (mode) => {
      const next = random(mode.length)
      const path = join(folder, 'killed.db')
      let committed = 0
      for (let kill = 0; kill < KILLS; kill++) {
        const pageSize = PAGE_SIZES[kill % PAGE_SIZES.length]
        if (kill % PAGE_SIZES.length === 0) {
          for (const name of fs.readdirSync(folder)) fs.rmSync(join(folder, name))
          committed = 0
        }
        const running = spawn(process.execPath, [child, 'transactions', engine, path, mode, `${pageSize}`])
        let stdout = ''
        let stderr = ''
        running.stdout.on('data', (chunk) => {
          stdout += chunk
        })
        running.stderr.on('data', (chunk) => {
          stderr += chunk
        })
        const closed = once(running, 'close')
        while (stdout === '' && running.exitCode === null) await delay(1)
        await delay(next() % 100)
        running.kill('SIGKILL')
        await closed
        expect(stderr).toBe('')
        committed = Math.max(committed, Number(stdout.trimEnd().split('\n').at(-1)))
        expect(sqlite3(path, 'pragma integrity_check;')).toBe('ok\n')
        const [last, torn] = sqlite3(
          path,
          'select max(n) from t; select count(*) from (select n from t group by n having count(*) <> 7);',
        ).split('\n')
        expect(Number(last)).toBeGreaterThanOrEqual(committed)
        expect(Number(last)).toBeLessThanOrEqual(committed + 1)
        expect(torn).toBe('0')
        committed = Number(last)
      }
    },
  )
})
