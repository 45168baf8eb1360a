// SPDX-License-Identifier: GPL-2.0-only
// random-access-storage on CachedFile, as hypercore uses it.

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { random } from '../../lib/cli/workload.js'
import { engines } from '../engines.js'
import { CachedStorage } from './cached_storage.mjs'
import { whileOpenElsewhere } from './other_process.js'

type Callback<T = void> = (error: Error | null, result: T) => void

/** random-access-storage, which has no types. */
interface Storage {
  read(offset: number, size: number, done: Callback<Buffer>): void
  write(offset: number, data: Buffer, done: Callback): void
  del(offset: number, size: number, done: Callback): void
  truncate(offset: number, done: Callback): void
  stat(done: Callback<fs.Stats>): void
  open(done: Callback): void
  suspend(done: Callback): void
  close(done: Callback): void
  unlink(done: Callback): void
}

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-storage-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

describe.each(engines)('random-access-storage on CachedFile, $engine', ({ engine }) => {
  const path = (name = 'file') => join(folder, name)
  const make = (options: { writable?: boolean; lock?: boolean } = {}, name = 'file') => {
    const storage = new CachedStorage(path(name), { engine, ...options }) as unknown as Storage
    return {
      read: promisify(storage.read.bind(storage)),
      write: promisify(storage.write.bind(storage)),
      del: promisify(storage.del.bind(storage)),
      truncate: promisify(storage.truncate.bind(storage)),
      stat: promisify(storage.stat.bind(storage)),
      open: promisify(storage.open.bind(storage)),
      suspend: promisify(storage.suspend.bind(storage)),
      close: promisify(storage.close.bind(storage)),
      unlink: promisify(storage.unlink.bind(storage)),
    }
  }

  test('a read does not create the file; a write creates it, with its folder', async () => {
    const storage = make({}, 'new/folder/file')
    await expect(storage.read(0, 1)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(fs.readdirSync(folder)).toEqual([])
    await storage.write(3, Buffer.from('bytes'))
    expect(await storage.read(2, 3)).toEqual(Buffer.from('\0by'))
    await storage.close()
    expect(fs.readFileSync(path('new/folder/file'), 'latin1')).toBe('\0\0\0bytes')
    await expect(storage.read(0, 1)).rejects.toThrow('Closed')
    await storage.unlink()
    expect(fs.readdirSync(path('new/folder'))).toEqual([])
  })

  test('a read beyond the end is an error, and what is there can still be read', async () => {
    const storage = make()
    await storage.write(0, Buffer.from('abc'))
    await expect(storage.read(1, 3)).rejects.toMatchObject({ code: 'EPARTIALREAD' })
    await expect(storage.read(9, 1)).rejects.toMatchObject({ code: 'EPARTIALREAD' })
    expect(await storage.read(3, 0)).toEqual(Buffer.alloc(0))
    expect(await storage.read(1, 2)).toEqual(Buffer.from('bc'))
    await storage.close()
  })

  test('a storage that does not write refuses to, and does not create the file', async () => {
    await expect(make({ writable: false }).open()).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(make({ writable: false }).write(0, Buffer.from('x'))).rejects.toMatchObject({
      code: 'ENOENT',
    })
    fs.writeFileSync(path(), 'abc')
    const storage = make({ writable: false })
    expect(await storage.read(0, 3)).toEqual(Buffer.from('abc'))
    await expect(storage.write(0, Buffer.from('x'))).rejects.toMatchObject({ code: 'EBADF' })
    await expect(storage.truncate(0)).rejects.toMatchObject({ code: 'EBADF' })
    await storage.close()
    expect(fs.readFileSync(path(), 'latin1')).toBe('abc')
  })

  test('del frees blocks in the middle of the file, and keeps its size', async () => {
    const MIB = 2 ** 20
    const storage = make()
    await storage.write(0, Buffer.alloc(4 * MIB, 1))
    await storage.suspend()
    const { blocks } = await storage.stat()
    await storage.del(MIB + 10, MIB)
    const after = await storage.stat()
    expect(after.size).toBe(4 * MIB)
    // The TypeScript engine writes zeros.
    if (engine === 'native') expect(after.blocks).toBeLessThanOrEqual(blocks - (MIB - 8192) / 512)
    const expected = Buffer.alloc(4 * MIB, 1).fill(0, MIB + 10, 2 * MIB + 10)
    expect(expected.equals(await storage.read(0, 4 * MIB))).toBe(true)
    await storage.del(0, 0)
    await storage.del(3 * MIB, Number.POSITIVE_INFINITY)
    expect((await storage.stat()).size).toBe(3 * MIB)
    await storage.close()
    expect(expected.subarray(0, 3 * MIB).equals(fs.readFileSync(path()))).toBe(true)
  })

  test('random operations, with many reads and writes at a time, have the results of a buffer', async () => {
    const next = random(15)
    const below = (limit: number) => next() % limit
    const storage = make()
    let model = Buffer.alloc(0)
    const resize = (size: number) => {
      model = Buffer.concat([model.subarray(0, size), Buffer.alloc(Math.max(0, size - model.length))])
    }
    const write = async (offset: number, bytes: Buffer) => {
      resize(Math.max(model.length, offset + bytes.length))
      bytes.copy(model, offset)
      await storage.write(offset, bytes)
    }
    /** A read has the bytes of each write that was called before it. */
    const read = async (offset: number, size: number) => {
      const expected = Buffer.from(model.subarray(offset, offset + size))
      const whole = expected.length === size
      const result = await storage.read(offset, size).catch(({ code }) => code)
      expect(whole ? expected.equals(result) : result).toBe(whole || 'EPARTIALREAD')
    }
    for (let round = 0; round < 40; round++) {
      const writes = Array.from({ length: 12 }, () =>
        write(below(60_000), Buffer.alloc(1 + below(10_000), 1 + below(255))),
      )
      const reads = Array.from({ length: 12 }, () => read(below(60_000), 1 + below(10_000)))
      await Promise.all([...writes, ...reads])
      const offset = below(60_000)
      if (below(3) === 0) {
        resize(offset)
        await storage.truncate(offset)
      } else {
        const size = below(20_000)
        model.fill(0, Math.min(offset, model.length), Math.min(offset + size, model.length))
        await storage.del(offset, size)
      }
      if (below(4) === 0) await storage.suspend()
      expect((await storage.stat()).size).toBe(model.length)
    }
    await storage.close()
    expect(model.equals(fs.readFileSync(path()))).toBe(true)
  })

  test('a lock is shared by those that read, and of one that writes alone', async () => {
    fs.writeFileSync(path(), '')
    const [reader, another] = [make({ writable: false, lock: true }), make({ writable: false, lock: true })]
    const [writer, later] = [make({ lock: true }), make({ lock: true })]
    await reader.open()
    await another.open()
    await expect(writer.open()).rejects.toMatchObject({ code: 'ELOCKED' })
    await reader.close()
    await expect(writer.open()).rejects.toMatchObject({ code: 'ELOCKED' })
    await another.close()
    await writer.open()
    await expect(later.open()).rejects.toMatchObject({ code: 'ELOCKED' })
    await expect(make({ writable: false, lock: true }).open()).rejects.toMatchObject({ code: 'ELOCKED' })
    await writer.suspend()
    await later.open()
    await later.close()
    await writer.close()
  })

  test('a file that another process has open is locked', async () => {
    await whileOpenElsewhere(engine, [path()], () =>
      expect(make().open()).rejects.toMatchObject({ code: 'ELOCKED' }),
    )
    const storage = make()
    await storage.open()
    await storage.close()
  })
})
