// SPDX-License-Identifier: GPL-2.0-only
// The samples of docs/devices.md against real servers, which are killed in the middle of a sync.

import fs from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backends } from './backends.js'
import { type Program, programs } from './samples.js'
import { HttpServer, missingServers, PostgresServer } from './servers.js'

const root = join(__dirname, '..')
const missing = missingServers()
if (missing.length > 0 && process.env.CI) throw new Error(`apt-get install ${missing.join(' ')}`)

/** The interface of both samples. */
interface Pages {
  requests: number
  readonly dirty: number[]
  create(): Promise<void>
  write(index: number, bytes: Uint8Array): void
  read(index: number): Promise<Buffer | undefined>
  sync(signal?: AbortSignal): Promise<void>
}
type PagesClass = new (where: unknown) => Pages

const PAGE = 4096
const NR_PAGES = 1024
const NR_WRITES = 20_000

let folder: string
beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-devices-'))
  fs.mkdirSync(join(folder, 'node_modules'))
  fs.symlinkSync(root, join(folder, 'node_modules/writeback-iter'))
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

/** The class of this name of the page, on a backend. */
function sample(name: string, backend: string): PagesClass {
  const isSample = ({ text }: Program) => text.includes(`class ${name} `)
  const { text } = programs('docs/devices.md').find(isSample) as Program
  const source = text.replace("from 'writeback-iter'", `from 'writeback-iter/${backend}'`)
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS }
  const file = join(folder, `${name}-${backend}.cjs`)
  fs.writeFileSync(file, ts.transpileModule(source, { compilerOptions }).outputText)
  return createRequire(file)(file)[name]
}

/** A page of bytes that no other write has. */
function bytes(index: number, version: number): Buffer {
  return Buffer.alloc(PAGE, `page ${index} version ${version} `)
}

/** Numbers from 0 to below `end`, the same in each run. */
function* numbers(end: number): Generator<number, never> {
  for (let seed = 1; ; ) {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
    yield Math.floor((seed / 0x80000000) * end)
  }
}

/** Writes all pages: random ones, and runs of neighbours. Returns what every page has then. */
function fill(pages: Pages): Map<number, Buffer> {
  const contents = new Map<number, Buffer>()
  const random = numbers(NR_PAGES)
  const write = (index: number, version: number) => {
    const page = bytes(index, version)
    pages.write(index, page)
    contents.set(index, page)
  }
  for (let i = 0; i < NR_WRITES / 2; i++) write(random.next().value, i)
  for (let i = NR_WRITES / 2; i < NR_WRITES; i++) write(i % NR_PAGES, i)
  return contents
}

async function expectStored(stored: Pages, contents: Map<number, Buffer>): Promise<void> {
  const rest = [...contents]
  const compare = async () => {
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      const [index, page] = next
      const bytes = await stored.read(index)
      if (!page.equals(bytes as Buffer)) expect(bytes?.toString(), `page ${index}`).toBe(page.toString())
    }
  }
  await Promise.all([compare(), compare(), compare(), compare()])
}

/**
 * Resolves as soon as this many requests have begun, at the latest when the turn that began the last of them
 * is over.
 */
function requested(pages: Pages, count: number): Promise<void> {
  let { requests } = pages
  return new Promise((resolve) => {
    Object.defineProperty(pages, 'requests', {
      get: () => requests,
      set(value: number) {
        requests = value
        if (value >= count) resolve()
      },
    })
  })
}

async function elapsed(call: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await call()
  return performance.now() - start
}

/** The tests that every device has to pass. */
function itWorks(
  name: string,
  server: () => PostgresServer | HttpServer,
  /** Where the pages of a test are. */
  place: (test: string) => Promise<unknown>,
) {
  describe.each(backends.map(({ backend }) => backend))('%s', (backend) => {
    let Class: PagesClass
    beforeAll(() => {
      Class = sample(name, backend)
    })

    test('a sync writes every page, in few requests', async () => {
      const where = await place(`${backend}_sync`)
      const pages = new Class(where)
      await pages.create()
      const contents = fill(pages)
      pages.requests = 0
      const together = await elapsed(() => pages.sync())
      const { requests } = pages
      expect(pages.dirty).toEqual([])
      await expectStored(new Class(where), contents)
      expect(requests).toBe(NR_PAGES / 64)

      // For comparison: one request per page, each awaited. A quarter of the pages is enough.
      const some = [...contents].slice(0, NR_PAGES / 4)
      const each = await elapsed(async () => {
        for (const [index, page] of some) {
          pages.write(index, page)
          await pages.sync()
        }
      })
      expect(pages.requests - requests).toBe(some.length)
      console.info(
        `${name}, ${backend}: ${NR_WRITES} writes to ${NR_PAGES} pages took ${requests} requests, ` +
          `${together.toFixed(0)} ms; a request per page ${(each * 4).toFixed(0)} ms`,
      )
    })

    test('the server is killed in the middle of a sync, and nothing is lost', async () => {
      const where = await place(`${backend}_kill`)
      const pages = new Class(where)
      await pages.create()
      const contents = fill(pages)
      // Every other page, so that each is a request of its own.
      await pages.sync()
      const half = [...contents.keys()].filter((index) => index % 2 === 0)
      for (const index of half) {
        const page = bytes(index, NR_WRITES)
        pages.write(index, page)
        contents.set(index, page)
      }
      pages.requests = 0
      const sync = pages.sync()
      sync.catch(() => {})
      await requested(pages, half.length / 2)
      await server().kill()
      await expect(sync).rejects.toThrow()
      const { requests } = pages
      expect(requests).toBeLessThan(half.length)
      // The written pages are clean, and the others are dirty.
      expect(pages.dirty.length).toBeGreaterThanOrEqual(half.length - requests)
      expect(pages.dirty.length).toBeLessThan(half.length)

      // The server is still down, so the sync fails again, and no data is lost. Pages written meanwhile go
      // with the rest.
      await expect(pages.sync()).rejects.toThrow()
      for (const index of [0, 1, 2, NR_PAGES + 7]) {
        const page = bytes(index, NR_WRITES + 1)
        pages.write(index, page)
        contents.set(index, page)
      }
      const dirty = pages.dirty.length
      await server().start()
      pages.requests = 0
      await pages.sync()
      expect(pages.dirty).toEqual([])
      expect(pages.requests).toBeLessThanOrEqual(dirty)
      await expectStored(new Class(where), contents)
    })

    test('an aborted sync leaves the rest dirty, and can be taken up', async () => {
      const where = await place(`${backend}_abort`)
      const pages = new Class(where)
      await pages.create()
      const contents = fill(pages)
      const controller = new AbortController()
      const sync = pages.sync(controller.signal)
      await requested(pages, 1)
      controller.abort()
      await expect(sync).rejects.toThrow(/abort/)
      expect(pages.dirty.length).toBeGreaterThan(0)
      await pages.sync()
      await expectStored(new Class(where), contents)
    })
  })
}

describe.skipIf(missing.includes('postgresql'))('PostgreSQL', () => {
  let server: PostgresServer
  const pools: pg.Pool[] = []
  beforeAll(async () => {
    server = new PostgresServer()
    await server.start()
  })
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()))
    await server?.stop()
  })

  itWorks(
    'TablePages',
    () => server,
    async (test) => {
      // Each test has a schema, which its connections use by their search_path.
      const pool = new pg.Pool({ ...server.connection, max: 8, options: `-c search_path=${test}` })
      pools.push(pool)
      await pool.query(`CREATE SCHEMA ${test}`)
      return pool
    },
  )
})

describe.skipIf(missing.some((name) => name.startsWith('lighttpd')))('HTTP', () => {
  let server: HttpServer
  beforeAll(async () => {
    server = new HttpServer()
    await server.start()
  })
  afterAll(() => server?.stop())

  itWorks(
    'HttpPages',
    () => server,
    async (test) => server.url(test),
  )
})
