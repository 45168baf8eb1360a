// SPDX-License-Identifier: GPL-2.0-only
// wa-sqlite in Node.js, which does not fetch its WebAssembly module by itself.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import * as SQLite from '@journeyapps/wa-sqlite'
import SQLiteESMFactory from '@journeyapps/wa-sqlite/dist/wa-sqlite.mjs'

/** @returns {Promise<WebAssembly.Module>} */
export function compileSQLite() {
  const file = createRequire(import.meta.url).resolve('@journeyapps/wa-sqlite/dist/wa-sqlite.wasm')
  return WebAssembly.compile(readFileSync(file))
}

/**
 * @param {(module: object) => object} makeVFS
 * @param {WebAssembly.Module} [compiled]
 * @returns SQLite, whose files are those of the VFS; its module, and the VFS
 */
export async function loadSQLite(makeVFS, compiled) {
  const code = compiled ?? (await compileSQLite())
  const module = await SQLiteESMFactory({
    instantiateWasm: (imports, receive) => {
      WebAssembly.instantiate(code, imports).then((instance) => receive(instance, code))
    },
  })
  const sqlite3 = SQLite.Factory(module)
  const vfs = makeVFS(module)
  sqlite3.vfs_register(vfs, true)
  return { sqlite3, module, vfs }
}
