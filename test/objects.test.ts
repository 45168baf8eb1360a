// SPDX-License-Identifier: GPL-2.0-only
// The objects that the API returns, as objects: a program cannot make one that the library trusts, and cannot
// clone one. console.log() prints the state of each.

import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { MessageChannel } from 'node:worker_threads'
import { afterAll, describe, expect, test } from 'vitest'
import { WritebackError } from '../lib/errors.js'
import { CachedFile } from '../lib/file/index.js'
import * as js from '../lib/js/index.js'
import * as native from '../lib/native/backend.js'
import type { Backend, Extent } from '../lib/types.js'
import { backends } from './backends.js'
import { thrown } from './helpers.js'

const folder = mkdtempSync(join(tmpdir(), 'writeback-iter-objects-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Every kind of object that a program gets from a backend, each while it is in use. */
function handedOut(backend: Backend, use: (objects: Record<string, object>) => void): void {
  const mapping = new backend.AddressSpace()
  const folios = [0, 1, 2].map((index) => mapping.addFolio(index))
  for (const folio of folios) folio.markDirty()
  const wbc = new backend.WritebackControl()
  const error = { value: 0 }
  const list = mapping.folios()
  const first = list.next()
  const iterator = mapping.writeback(new backend.WritebackControl({ rangeEnd: 0 }))
  const step = iterator.next()
  const [, , removed] = folios
  mapping.removeFolio(removed)
  mapping.writeExtents(new backend.WritebackControl({ rangeStart: 4096 }), (extent) => {
    use({
      backend,
      mapping,
      folio: folios[0],
      removed,
      wbc,
      list,
      first,
      iterator,
      step,
      async: iterator[Symbol.asyncIterator](),
      extent,
      folios: extent.folios,
      error,
      refused: thrown(() => mapping.addFolio(-1)) as object,
      class: backend.AddressSpace,
    })
  })
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** Objects of JavaScript and Node.js, not of the package. */
function isBuiltin(value: object): boolean {
  return (
    typeof value === 'function' && /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(value))
  )
}

/** The getter's answer for the object, which need not be one of its class. */
function answerOf(object: object, key: string): unknown {
  try {
    return Reflect.get(object, key)
  } catch {
    return undefined
  }
}

/** The objects that can be reached from these by properties, getters and prototypes. */
function reachable(roots: Record<string, object>): Map<object, string> {
  const seen = new Map<object, string>()
  const queue = Object.entries(roots).map(([name, object]) => [object, name] as [object, string])
  for (const [object, name] of queue) {
    if (
      seen.has(object) ||
      isBuiltin(object) ||
      object === Object.prototype ||
      object === Function.prototype
    ) {
      continue
    }
    seen.set(object, name)
    const add = (value: unknown, by: string) => {
      if (isObject(value)) queue.push([value, `${name}.${by}`])
    }
    add(Object.getPrototypeOf(object), '__proto__')
    for (const key of Reflect.ownKeys(object)) {
      const { value, get, set } = Object.getOwnPropertyDescriptor(object, key) as PropertyDescriptor
      for (const each of [value, get, set]) add(each, String(key))
    }
    // The answers of the class's getters for the object.
    for (let up = Object.getPrototypeOf(object); up !== null; up = Object.getPrototypeOf(up)) {
      for (const [key, { get }] of Object.entries(Object.getOwnPropertyDescriptors(up))) {
        if (get !== undefined && !isBuiltin(get)) add(answerOf(object, key), key)
      }
    }
  }
  return seen
}

/** A class or a function that `new` takes. */
function isConstructor(value: object): value is new (...args: unknown[]) => object {
  if (typeof value !== 'function') return false
  try {
    Reflect.construct(Object, [], value)
    return true
  } catch {
    return false
  }
}

/** Made-up arguments by which a program might get a trusted object. */
function forgeries(objects: Record<string, object>): unknown[][] {
  const words = new Int32Array(64).fill(7)
  const doubles = new Float64Array(64).fill(1e300)
  const block = {
    words,
    doubles,
    stretchWords: words,
    stretchDoubles: doubles,
    id: 0,
    select() {},
    name() {},
  }
  const space = { id: 0, closed: false, chunks: [], extents: [], ops: {}, nodes: words, waiters: null }
  const forged = {
    ...space,
    mapping: space,
    space,
    block,
    control: {},
    extentFolios: () => [],
    words,
    lows: words,
    folios: [],
  }
  const anything = new Proxy(() => {}, {
    get: (_, key) => (key === Symbol.toPrimitive ? () => 1 : anything),
  }) as object
  const values = [undefined, 0, {}, forged, anything, Symbol('newExtent'), ...Object.values(objects)]
  return [[], ...values.flatMap((a) => [[a], [a, forged], [a, 0, 0], [a, forged, 0, 1], [a, a, a, a]])]
}

/** Calls every constructor among the objects; every constructor that is not public must refuse. */
function forge(
  objects: Record<string, object>,
  isPublic: (made: new (...args: unknown[]) => object) => boolean,
): string[] {
  const tried: string[] = []
  for (const [object, name] of reachable(objects)) {
    if (!isConstructor(object)) continue
    tried.push(name)
    for (const args of forgeries(objects)) {
      let made: object
      try {
        made = Reflect.construct(object, args)
      } catch (error) {
        if (!isPublic(object))
          expect(error, name).toMatchObject({ name: expect.stringMatching(/^(WritebackError|TypeError)$/) })
        continue
      }
      expect(
        isPublic(object),
        `new ${name}(${inspect(args, { depth: 0 })}) made ${inspect(made, { depth: 0 })}`,
      ).toBe(true)
    }
  }
  return tried
}

test.each([
  ['js', js],
  ['native', native],
])('instanceof tells a folio of the %s backend', (name, { Folio }) => {
  for (const { backend, AddressSpace } of backends) {
    const folio = new AddressSpace().addFolio(0)
    expect(folio instanceof Folio).toBe(backend === name)
  }
  expect({} instanceof Folio).toBe(false)
})

describe.each(backends)('objects, $backend', (backend) => {
  const { AddressSpace, WritebackControl } = backend

  test('no constructor that can be reached takes what somebody made up', () => {
    let tried: string[] = []
    handedOut(backend, (objects) => {
      const publicly = new Set<object>([AddressSpace, WritebackControl, WritebackError])
      tried = forge(objects, (each) => publicly.has(each))
    })
    // The walk also reaches the classes that are not exported.
    for (const kind of ['folio', 'iterator', 'extent']) {
      expect(tried).toContainEqual(expect.stringMatching(new RegExp(`^${kind}\\..*constructor$`)))
    }
  })

  test('what a class makes is of the class alone: a subclass does not lend its state', () => {
    const mapping = new AddressSpace()
    const like = Object.create(mapping) as typeof mapping
    expect(thrown(() => like.addFolio(0))).toBeInstanceOf(TypeError)
    expect(thrown(() => mapping.removeFolio(Object.create(mapping.addFolio(0))))).toMatchObject({
      code: 'EINVAL',
    })
    class Own extends AddressSpace {}
    expect(new Own().addFolio(3).index).toBe(3)
  })

  test('a clone would be empty: it is refused', () => {
    const mapping = new AddressSpace()
    const wbc = new WritebackControl()
    const { port1, port2 } = new MessageChannel()
    for (const object of [mapping, wbc, mapping.writeback(wbc)]) {
      for (const use of [
        () => structuredClone(object),
        () => structuredClone({ object }),
        () => port1.postMessage(object),
      ]) {
        expect(thrown(use)).toMatchObject({ name: 'DataCloneError' })
      }
      // JSON.stringify() gives an empty object, too.
      expect(JSON.stringify(object)).toBe('{}')
    }
    port1.close()
    port2.close()
  })

  test('console.log() shows what an object is', () => {
    const mapping = new AddressSpace({ pageShift: 14 })
    expect(inspect(mapping)).toBe(
      'AddressSpace {\n  nrPages: 0,\n  marks: [],\n  writebackIndex: 0,\n  pageShift: 14,\n  closed: false\n}',
    )
    const folio = mapping.addFolio(8, 2)
    expect(inspect(folio)).toBe("Folio { index: 8, order: 2, flags: 'uptodate' }")
    folio.markDirty()
    folio.tryLock()
    expect(inspect([folio])).toBe("[ Folio { index: 8, order: 2, flags: 'locked dirty uptodate' } ]")
    expect(inspect({ a: { b: { c: folio } } })).toBe('{ a: { b: { c: [Folio] } } }')
    folio.unlock()
    const wbc = new WritebackControl({ nrToWrite: 5, rangeEnd: 10 })
    expect(inspect(wbc, { breakLength: Number.POSITIVE_INFINITY, compact: 9 })).toBe(
      "WritebackControl { nrToWrite: 5, pagesSkipped: 0, rangeStart: 0, rangeEnd: 10, syncMode: 'none', taggedWritepages: false, rangeCyclic: false }",
    )
    const iterator = mapping.writeback(new WritebackControl())
    expect(inspect(iterator)).toBe('WritebackIterator { folio: null, error: 0, done: false }')
    iterator.next()
    expect(inspect(iterator, { breakLength: 200 })).toBe(
      "WritebackIterator { folio: Folio { index: 8, order: 2, flags: 'locked uptodate' }, error: 0, done: false }",
    )
    iterator.return()
    let seen: Extent | null = null
    mapping.writeExtents(new WritebackControl(), (extent) => {
      seen = extent
      expect(inspect(extent)).toMatch(/^Extent \{ index: 8, nrPages: 4.* \}$/)
    })
    expect(inspect(seen)).toMatch(/^Extent \{ index: 8, nrPages: 4.* \}$/)
    mapping.removeFolio(folio)
    expect(inspect(folio)).toBe("Folio { index: 8, order: 2, flags: 'uptodate', mapping: null }")
    mapping.close()
    expect(inspect(mapping)).toContain('closed: true')
  })

  test('an error has a code that there is', () => {
    const made = new WritebackError('EBUSY', 'page 5', { cause: 1 })
    expect(made).toMatchObject({ name: 'WritebackError', code: 'EBUSY', message: 'EBUSY: page 5', cause: 1 })
    expect(thrown(() => Reflect.construct(WritebackError, ['boom']))).toMatchObject({
      message: expect.stringMatching(/^EINVAL: code is "boom", expected one of EINVAL, /),
    })
  })
})

test('no constructor that can be reached from a CachedFile takes what somebody made up', () => {
  const path = join(folder, 'cached')
  closeSync(openSync(path, 'w'))
  const file = CachedFile.openSync(path)
  file.writeSync(Buffer.alloc(10_000), 0)
  const tried = forge({ file, stats: file.stats }, () => false)
  expect(tried).toContainEqual(expect.stringMatching(/constructor$/))
  file.closeSync()
})
