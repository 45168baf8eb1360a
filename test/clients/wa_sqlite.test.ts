// SPDX-License-Identifier: GPL-2.0-only
// wa-sqlite's own tests, which its package has, on the VFS of docs/sqlite.md. They are written for Jasmine in
// a browser, and reach SQLite in a worker by Comlink.

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MessageChannel, Worker } from 'node:worker_threads'
import * as Comlink from 'comlink'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { engines } from '../engines.js'
import { compileSQLite } from './wa_sqlite.mjs'

/** The files of the package's tests. `sql_0005` is not among them: it opens several connections at a time. */
const SUITES = [
  'vfs_xAccess',
  'vfs_xOpen',
  'vfs_xClose',
  'vfs_xRead',
  'vfs_xWrite',
  'sql_0001',
  'sql_0002',
  'sql_0003',
  'sql_0004',
  'api_exec',
  'api_misc',
  'api_statements',
]

/** What the tests take of Jasmine. */
Object.assign(globalThis, {
  describe,
  it: test,
  beforeEach,
  afterEach,
  expect,
  expectAsync: (promise: Promise<unknown>) => ({
    toBeResolvedTo: (value: unknown) => expect(promise).resolves.toEqual(value),
    toBeRejectedWithError: (message: RegExp) => expect(promise).rejects.toThrow(message),
  }),
})
expect.extend({ toBeTrue: (value) => ({ pass: value === true, message: () => `${value} is not true` }) })

let compiled: WebAssembly.Module

interface Instance {
  readonly [Comlink.releaseProxy]: () => void
}

/** What the tests call a context: makes instances of SQLite, each in a worker. */
class Context {
  readonly #engine: 'native' | 'js'
  readonly #workers = new Map<Instance, Worker>()

  constructor(engine: 'native' | 'js') {
    this.#engine = engine
  }

  /** @param reset - whether the files of earlier instances are to be deleted */
  async create({ reset = true } = {}): Promise<Instance> {
    if (reset) for (const name of fs.readdirSync('.')) fs.rmSync(name)
    const { port1, port2 } = new MessageChannel()
    const worker = new Worker(join(__dirname, 'wa_sqlite_worker.mjs'), {
      workerData: { port: port2, engine: this.#engine, compiled },
      transferList: [port2],
    })
    const instance = Comlink.wrap(port1 as unknown as Comlink.Endpoint) as Instance
    this.#workers.set(instance, worker)
    return instance
  }

  /** Ends a worker at once, in the middle of a transaction too. */
  async destroy(instance: Instance): Promise<void> {
    instance[Comlink.releaseProxy]()
    await this.#workers.get(instance)?.terminate()
  }
}

describe.each(engines)("wa-sqlite's tests, $engine", async ({ engine }) => {
  const before = process.cwd()
  let folder: string
  // The tests give their files names without a folder.
  beforeAll(async () => {
    compiled = await compileSQLite()
    folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-wa-sqlite-'))
    process.chdir(folder)
  })
  afterAll(() => {
    process.chdir(before)
    fs.rmSync(folder, { recursive: true })
  })

  const context = new Context(engine)
  for (const name of SUITES) (await import(`@journeyapps/wa-sqlite/test/${name}.js`))[name](context)
})
