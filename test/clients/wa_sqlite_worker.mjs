// SPDX-License-Identifier: GPL-2.0-only
// SQLite on the VFS of docs/sqlite.md in a worker thread, as wa-sqlite's own tests use it: by Comlink.

import { workerData } from 'node:worker_threads'
import * as Comlink from 'comlink'
import { CachedVFS } from './cached_vfs.mjs'
import { loadSQLite } from './wa_sqlite.mjs'

const { port, engine, compiled } = workerData
const { sqlite3, module, vfs } = await loadSQLite((module) => new CachedVFS(module, { engine }), compiled)

/** SQLite's interface. Comlink has a `bind` of its own, so the tests say `bind$`. */
const methods = new Proxy(sqlite3, {
  get(target, name) {
    if (typeof name !== 'string') return undefined
    const method = name.replaceAll('$', '')
    return async (...values) => {
      const result = await target[method](...values)
      return method === 'statements' ? Comlink.proxy(result) : result
    }
  },
})

/** Lets a method fill a copy of a DataView of the other thread, and sends the copy before it returns. */
async function fillInt32(out, method) {
  const copy = new DataView(new ArrayBuffer(4))
  const result = method(copy)
  await out.setInt32(0, copy.getInt32(0, true), true)
  return result
}

/** The methods of the VFS that the tests call. */
const files = {
  jOpen: (name, id, flags, out) => fillInt32(out, (copy) => vfs.jOpen(name, id, flags, copy)),
  jAccess: (name, flags, out) => fillInt32(out, (copy) => vfs.jAccess(name, flags, copy)),
  jClose: (id) => vfs.jClose(id),
  jWrite: (id, bytes, position) => vfs.jWrite(id, bytes, position),
  jRead: async (id, into, position) => {
    const copy = new Uint8Array(await into.length).fill(0xff)
    const result = vfs.jRead(id, copy, position)
    await into.set(copy)
    return result
  },
}

Comlink.expose({ sqlite3: methods, module, vfs: files }, port)
