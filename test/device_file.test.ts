// SPDX-License-Identifier: GPL-2.0-only
// CachedFile over storage other than a file: slow, of fixed size, failing.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { type BlockDevice, CachedFile, configure } from '../lib/file/index.js'
import { bytes, DEFAULT_LIMITS, expectBytes, MIB, PAGE } from './file_helpers.js'

/** A device in memory. Each call takes some milliseconds, and may fail. */
class Memory implements BlockDevice {
  content: Uint8Array = new Uint8Array(0)
  calls = { read: 0, write: 0, flush: 0 }
  /** Calls under way now, and the most there were. */
  writing = 0
  most = 0
  /**
   * The outcomes of the next writes: an errno name, an error, or the number of bytes that the write takes.
   */
  faults: (string | Error | number)[] = []
  failFlush = false
  readonly delay: number

  constructor(delay = 0) {
    this.delay = delay
  }

  async #wait() {
    if (this.delay > 0) await sleep(this.delay)
  }

  async read(into: Uint8Array, position: number) {
    this.calls.read++
    await this.#wait()
    const part = this.content.subarray(position, position + into.length)
    into.set(part)
    return part.length
  }

  async write(buffers: readonly Uint8Array[], position: number) {
    this.calls.write++
    this.most = Math.max(this.most, ++this.writing)
    try {
      await this.#wait()
      const fault = this.faults.shift()
      if (fault instanceof Error) throw fault
      if (typeof fault === 'string') throw Object.assign(new Error(fault), { code: fault, errno: -5 })
      const all = new Uint8Array(Buffer.concat(buffers)).subarray(0, fault)
      if (position + all.length > this.content.length) {
        const longer = new Uint8Array(position + all.length)
        longer.set(this.content)
        this.content = longer
      }
      this.content.set(all, position)
      return fault === undefined ? undefined : all.length
    } finally {
      this.writing--
    }
  }

  async flush() {
    this.calls.flush++
    await this.#wait()
    if (this.failFlush) throw new Error('the device is gone')
  }

  async truncate(length: number) {
    const content = new Uint8Array(length)
    content.set(this.content.subarray(0, length))
    this.content = content
  }

  size() {
    return this.content.length
  }
}

/** The same device without truncate(). */
function fixed(memory: Memory): BlockDevice {
  return {
    read: (into, position) => memory.read(into, position),
    write: (buffers, position) => memory.write(buffers, position),
    flush: () => memory.flush(),
    size: () => memory.size(),
  }
}

afterEach(() => configure(DEFAULT_LIMITS))

test('reads, writes, grows and is cut as a file is', async () => {
  const device = new Memory()
  const file = await CachedFile.open({ device, name: 'in memory' })
  expect([file.engine, file.size]).toEqual(['js', 0])
  await file.write(bytes(10 * PAGE + 5), 100)
  expect(device.content.length).toBe(0)
  await file.fsync()
  expectBytes(device.content.subarray(100), bytes(10 * PAGE + 5))
  expect(device.calls).toEqual({ read: 0, write: 1, flush: 1 })
  await file.truncate(PAGE)
  expect(device.content.length).toBe(PAGE)
  await file.close()
  const again = await CachedFile.open({ device })
  const into = new Uint8Array(2 * PAGE)
  expect(await again.read(into, 0)).toBe(PAGE)
  expectBytes(into.subarray(100, PAGE), bytes(PAGE - 100))
  await again.close()
})

test('handles of one device share its cache', async () => {
  const device = new Memory()
  const [a, b] = await Promise.all([CachedFile.open({ device }), CachedFile.open({ device })])
  await a.write(bytes(10), 0)
  const into = new Uint8Array(10)
  expect(await b.read(into, 0)).toBe(10)
  await a.close()
  await b.close()
  expectBytes(device.content, bytes(10))
})

test('a truncate that ends while a pass submits what it has gathered', async () => {
  configure({ writers: 1 })
  const memory = new Memory()
  const writes: (() => void)[] = []
  const truncates: (() => void)[] = []
  const held = (calls: (() => void)[]) => new Promise<void>((resolve) => calls.push(resolve))
  const device: BlockDevice = {
    read: (into, position) => memory.read(into, position),
    write: (buffers, position) => held(writes).then(() => memory.write(buffers, position)),
    flush: () => memory.flush(),
    truncate: (length) => held(truncates).then(() => memory.truncate(length)),
    size: () => memory.size(),
  }
  const file = await CachedFile.open({ device })
  const data = bytes(3 * MIB)
  await file.write(data, 0)
  // A write of a MiB is under way. The next one waits for it; a page of the third is gathered.
  const synced = file.fsync()
  await expect.poll(() => writes.length).toBe(1)
  const longer = file.truncate(4 * MIB)
  await expect.poll(() => truncates.length).toBe(1)
  // The pass meets the truncate, and submits that page, which waits for the second write.
  writes.shift()?.()
  await expect.poll(() => writes.length).toBe(1)
  truncates.shift()?.()
  await longer
  const letWritesGo = setInterval(() => writes.shift()?.(), 1)
  await synced
  clearInterval(letWritesGo)
  expectBytes(memory.content.subarray(0, data.length), data)
  await file.close()
})

test('a slow device: writes go side by side, and writers are held back', async () => {
  configure({ memory: 8 * MIB, dirtyBackground: MIB, dirty: 2 * MIB, writers: 4 })
  const device = new Memory(5)
  const file = await CachedFile.open({ device })
  const data = bytes(16 * MIB)
  let most = 0
  for (let at = 0; at < data.length; at += 64 * 1024) {
    await file.write(data.subarray(at, at + 64 * 1024), at)
    most = Math.max(most, file.dirtyPages)
  }
  await file.close()
  expect(most * PAGE).toBeLessThanOrEqual(3 * MIB)
  // One write takes an eighth of the memory, and a quarter of the memory may be under way.
  expect(device.most).toBe(2)
  expect(device.calls.write).toBeLessThan(200)
  expectBytes(device.content, data)
})

describe('a failing device', () => {
  test('its errors keep the pages dirty, and each handle reports them once', async () => {
    const device = new Memory()
    const file = await CachedFile.open({ device })
    const other = await CachedFile.open({ device })
    await file.write(bytes(5 * PAGE), 0)
    device.faults = ['EIO']
    await expect(file.fsync()).rejects.toMatchObject({ code: 'EIO' })
    expect(file.dirtyPages).toBe(5)
    device.faults = [new RangeError('of its own')]
    await expect(file.fsync()).rejects.toThrow('of its own')
    expect(file.dirtyPages).toBe(5)
    await file.writeback()
    expect(file.dirtyPages).toBe(0)
    await expect(other.close()).rejects.toMatchObject({ code: 'EIO' })
    await other.close()
    // The handle that made the call threw the device's error, and the error sequence records EIO.
    await expect(file.close()).rejects.toMatchObject({ code: 'EIO' })
    await file.close()
    expectBytes(device.content, bytes(5 * PAGE))
  })

  test('short writes go on, and one of nothing is EIO', async () => {
    const device = new Memory()
    const file = await CachedFile.open({ device })
    await file.write(bytes(5 * PAGE), 0)
    device.faults = [1, PAGE, 5000]
    await file.fsync()
    expectBytes(device.content, bytes(5 * PAGE))
    await file.write(bytes(PAGE, 2), 0)
    device.faults = [0]
    await expect(file.fsync()).rejects.toMatchObject({ code: 'EIO' })
    await file.fsync()
    await file.close()
    expectBytes(device.content.subarray(0, PAGE), bytes(PAGE, 2))
  })

  test('what a failed flush may have lost is written again', async () => {
    const device = new Memory()
    const file = await CachedFile.open({ device })
    await file.write(bytes(3 * PAGE), 0)
    device.failFlush = true
    await expect(file.fsync()).rejects.toThrow('the device is gone')
    expect(file.dirtyPages).toBe(3)
    device.failFlush = false
    device.content = new Uint8Array(0)
    await expect(file.close()).rejects.toMatchObject({ code: 'EIO' })
    await file.close()
    expectBytes(device.content, bytes(3 * PAGE))
  })

  test('nothing counts as stable that was written before a failed flush ended', async () => {
    const device = new Memory()
    const ends: { resolve: () => void; reject: (error: Error) => void }[] = []
    device.flush = () => new Promise<void>((resolve, reject) => void ends.push({ resolve, reject }))
    const file = await CachedFile.open({ device })
    await file.write(bytes(PAGE), 0)
    const first = file.fsync()
    await expect.poll(() => ends.length).toBe(1)
    await file.write(bytes(PAGE), PAGE)
    const second = file.fsync()
    await expect.poll(() => ends.length).toBe(2)
    // The system would give the error of either page to the flush that it asks first.
    ends[1].resolve()
    await second
    ends[0].reject(new Error('the device is gone'))
    await expect(first).rejects.toThrow('the device is gone')
    expect(file.dirtyPages).toBe(2)
    device.content = new Uint8Array(0)
    device.flush = async () => {}
    await expect(file.close()).rejects.toMatchObject({ code: 'EIO' })
    await file.close()
    expect(device.content.length).toBe(2 * PAGE)
  })

  test('a read that fails', async () => {
    const device = new Memory()
    device.content = bytes(2 * PAGE).slice()
    const file = await CachedFile.open({
      device: { ...fixed(device), read: () => Promise.reject(new Error('no such block')) },
    })
    await expect(file.read(new Uint8Array(10), 0)).rejects.toThrow('no such block')
    expect(file.cachedPages).toBe(0)
    await file.close()
  })

  test('numbers that can be none are EINVAL', async () => {
    const device = new Memory()
    await expect(CachedFile.open({ device: { ...fixed(device), size: () => -1 } })).rejects.toThrow(
      'EINVAL: size() is -1, expected bytes',
    )
    const file = await CachedFile.open({
      device: { ...fixed(device), size: () => PAGE, write: async () => 5000 },
    })
    await file.write(bytes(PAGE), 0)
    await expect(file.fsync()).rejects.toThrow('EINVAL: write() is 5000, expected bytes, at most 4096')
    await file.close({ discard: true })
  })
})

test('a device without truncate() has a fixed size', async () => {
  const memory = new Memory()
  memory.content = new Uint8Array(4 * PAGE)
  const file = await CachedFile.open({ device: fixed(memory) })
  expect(file.size).toBe(4 * PAGE)
  await file.write(bytes(PAGE), 3 * PAGE)
  await expect(file.write(bytes(PAGE), 3 * PAGE + 1)).rejects.toMatchObject({ code: 'ENOSPC' })
  await expect(file.truncate(PAGE)).rejects.toMatchObject({ code: 'EINVAL' })
  expect(file.size).toBe(4 * PAGE)
  await file.close()
  expectBytes(memory.content.subarray(3 * PAGE), bytes(PAGE))
})

test('it has no blocking calls', async () => {
  const file = await CachedFile.open({ device: new Memory(), name: 'slow' })
  for (const call of [
    () => file.readSync(new Uint8Array(1), 0),
    () => file.writeSync(new Uint8Array(1), 0),
    () => file.fsyncSync(),
    () => file.fdatasyncSync(),
    () => file.writebackSync(),
    () => file.truncateSync(0),
    () => file.deallocateSync(),
    () => file.statSync(),
    () => file.closeSync(),
  ]) {
    expect(call).toThrow('EINVAL: "slow" is a device: it has no blocking calls')
  }
  await expect(file.stat()).rejects.toThrow('no blocking calls')
  await file.close()
})

test.each([
  [{ device: null }, 'EINVAL: device.read is undefined, expected a function'],
  [{ device: {} }, 'EINVAL: device.read is undefined, expected a function'],
  [{ device: { ...fixed(new Memory()), truncate: 5 } }, 'EINVAL: device.truncate is 5, expected a function'],
  [{ device: fixed(new Memory()), name: 5 }, 'EINVAL: name is 5, expected a string'],
])('%o is refused', async (options, message) => {
  await expect(CachedFile.open(options as never)).rejects.toThrow(message)
})
