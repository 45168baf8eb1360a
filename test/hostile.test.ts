// SPDX-License-Identifier: GPL-2.0-only
// Arbitrary values at every exported function and method: all errors are typed, and a failed call has changed
// nothing.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Readable, Stream, type Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadBackend } from '../lib/backend.js'
import { WritebackError } from '../lib/errors.js'
import { CachedFile } from '../lib/file/index.js'
import { Random } from '../lib/fuzz/random.js'
import type {
  AddressSpace,
  Backend,
  Extent,
  Folio,
  WritebackControl,
  WritebackIterator,
} from '../lib/types.js'
import { backends } from './backends.js'
import { engines } from './engines.js'
import { expectError, fields, flags, indices, snapshot, write } from './helpers.js'

/** What hostile getters and callbacks throw. */
class Hostile extends Error {}

const throwHostile = () => {
  throw new Hostile('when it was looked at')
}
const throwWhenCalled = () => {
  throw new Hostile('when it was called')
}

/** The errors of a call whose arguments let a pass begin, which may have written folios. */
const PASS_BEGAN = /^EDEADLK|^when it was called|the callback's result/

/** What the call returns, or the message of what it throws. */
function orError(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return String(error)
  }
}

/** A mapping with folios in use, and the other objects that a call can be given. */
class Scene {
  readonly backend: Backend
  readonly mapping: AddressSpace
  readonly folios: Folio[]
  readonly removed: Folio
  /** The control of an unfinished pass, which returned `last` last. */
  readonly wbc: WritebackControl
  readonly last: Folio
  readonly fresh: WritebackControl
  readonly iterator: WritebackIterator
  readonly lister: IterableIterator<Folio>
  readonly extent: Extent
  readonly closed: AddressSpace
  readonly closedFolio: Folio
  readonly other: AddressSpace
  readonly foreign: AddressSpace
  readonly error = { value: 0 }
  readonly #random: Random

  constructor(backend: Backend, random: Random) {
    const { AddressSpace, WritebackControl, writebackIter } = backend
    this.backend = backend
    this.#random = random
    this.mapping = new AddressSpace()
    this.folios = [0, 1, 2, 3, 8, 9, 10].map((index) => this.mapping.addFolio(index))
    this.folios.push(this.mapping.addFolio(16, 2))
    for (const folio of this.folios) folio.markDirty()
    this.removed = this.mapping.addFolio(30)
    this.mapping.removeFolio(this.removed)
    this.folios[3].tryLock()
    this.folios[4].tryLock()
    this.folios[4].startWriteback()
    this.folios[4].unlock()
    this.wbc = new WritebackControl({ nrToWrite: 100 })
    this.last = writebackIter(this.mapping, this.wbc, null, this.error) as Folio
    write(this.last)
    this.fresh = new WritebackControl()
    this.other = new AddressSpace()
    this.other.addFolio(0).markDirty()
    this.iterator = this.other.writeback(new WritebackControl())
    this.lister = this.mapping.folios()
    this.lister.next()
    let extent: Extent | undefined
    const extents = new AddressSpace()
    extents.addFolio(5).markDirty()
    extents.writeExtents(new WritebackControl(), (last) => {
      extent = last
    })
    this.extent = extent as Extent
    this.closed = new AddressSpace()
    this.closedFolio = this.closed.addFolio(0)
    this.closed.close()
    const foreign = backends.find(({ backend }) => backend !== this.backend.backend) ?? backend
    this.foreign = new foreign.AddressSpace()
    this.foreign.addFolio(0)
  }

  /** The state that a failed call must not change. */
  state(): unknown {
    const { mapping, other, folios, removed, wbc, fresh, error, iterator } = this
    return {
      mapping: orError(() => snapshot(mapping)),
      other: orError(() => snapshot(other)),
      folios: [...folios, removed].map(
        (folio) => `${folio.index} ${flags(folio)} ${folio.mapping === mapping}`,
      ),
      wbc: fields(wbc),
      fresh: fields(fresh),
      error: error.value,
      iterator: iterator.error,
    }
  }

  /** Takes every pass and iteration to its end. */
  rest(): unknown {
    const { backend, mapping, wbc, error, iterator, lister } = this
    const pass: number[] = []
    let folio: Folio | null = this.last
    const onWait = (folio: Folio, reason: string) =>
      reason === 'lock' ? folio.unlock() : folio.endWriteback()
    while ((folio = backend.writebackIter(mapping, wbc, folio, error, { onWait })) !== null) {
      pass.push(folio.index)
      write(folio)
    }
    return { pass, error: error.value, iterated: indices(iterator), listed: indices(lister) }
  }

  close(): void {
    for (const mapping of [this.mapping, this.other, this.foreign]) mapping.close()
  }

  /** Changes the state at an unexpected moment. */
  readonly act = (): void => {
    const { backend, mapping, wbc } = this
    switch (this.#random.below(7)) {
      case 0:
        mapping.close()
        return
      case 1:
        for (const folio of mapping.folios())
          if (!folio.locked && !folio.writeback) mapping.removeFolio(folio)
        return
      case 2:
        backend.writebackIter(mapping, wbc, null, { value: 0 }, { onWait: (folio) => folio.unlock() })
        return
      case 3:
        for (let i = 100; i < 200; i++) mapping.addFolio(i).markDirty()
        return
      case 4:
        for (const folio of mapping.folios()) folio.markDirty()
        return
      case 5:
        mapping.writePages(this.fresh, () => {}, { onWait: () => mapping.close() })
        return
      default:
        this.iterator.return()
    }
  }
}

function detached(): Uint8Array {
  const bytes = new Uint8Array(8)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  return bytes
}

/** A proxy that calls this function at every access of every kind. */
function trapped(target: object, act: () => void): object {
  const trap =
    <T>(result: T) =>
    (): T => {
      act()
      return result
    }
  return new Proxy(target, {
    apply: trap(-5),
    construct: trap({}),
    defineProperty: trap(true),
    deleteProperty: trap(true),
    get: trap(undefined),
    getOwnPropertyDescriptor: trap(undefined),
    getPrototypeOf: trap(null),
    has: trap(true),
    ownKeys: trap([]),
    set: trap(true),
  })
}

/**
 * Objects whose getters throw TypeErrors of their own: they have the prototype of a class, but not its
 * private state.
 */
const hollow = new WeakSet<object>()

function makeHollow(object: object): object {
  hollow.add(object)
  return object
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return makeHollow(proxy)
}

/** Values whose properties do nothing, or throw. */
const PASSIVE: ((scene: Scene) => unknown)[] = [
  ...[undefined, null, true, false, '', 'x', '5', 'dirty', 'all', '\0', 'x'.repeat(1000), '\ud800'],
  ...[0, -0, 1, -1, 0.5, 5, 17, 31, 2 ** 31, 2 ** 32, 2 ** 51 - 1, 2 ** 51, 2 ** 53, -(2 ** 53), 2 ** 63],
  ...[Number.MAX_VALUE, Number.MIN_VALUE, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ...[0n, 1n, -1n, 5n, 2n ** 53n, 2n ** 63n, 2n ** 64n, 10n ** 3000n, Symbol('x'), Symbol.iterator],
].map((value) => () => value)
PASSIVE.push(
  () => ({}),
  () => Object.create(null),
  () => [],
  () => [5],
  () => () => {},
  () => class {},
  () => async () => {},
  () => function* () {},
  () => new Date(),
  () => /x/,
  () => new Map(),
  () => Promise.resolve(5),
  () => globalThis,
  () => Object(5),
  () => Object(5n),
  () => Object('dirty'),
  () => new ArrayBuffer(8),
  () => new SharedArrayBuffer(8),
  () => detached(),
  () => detached().buffer,
  () => new Int32Array(new SharedArrayBuffer(8)),
  () => new DataView(new ArrayBuffer(8)),
  () => Object.freeze({ value: 0 }),
  () => ({ value: 0 }),
  () => ({ value: 7 }),
  () => ({ value: Number.NaN }),
  () => ({ onWait: 5 }),
  () => ({ maxPages: 0 }),
  () => ({ maxPages: 1n }),
  () => ({ pageShift: '12' }),
  () => ({ nrToWrite: 0.5, syncMode: 'all' }),
  () => ({ syncMode: 'some' }),
  () => ({ valueOf: throwHostile, toString: throwHostile, [Symbol.toPrimitive]: throwHostile }),
  () => trapped({}, throwHostile),
  () => ({
    get value() {
      return throwHostile()
    },
    get onWait() {
      return throwHostile()
    },
    get maxPages() {
      return throwHostile()
    },
    get pageShift() {
      return throwHostile()
    },
    get nrToWrite() {
      return throwHostile()
    },
  }),
  () => ({
    set value(_: unknown) {
      throwHostile()
    },
  }),
  () => throwWhenCalled,
  () => revoked(),
  ({ mapping }) => mapping,
  ({ mapping }) => makeHollow(new Proxy(mapping, {})),
  ({ mapping }) => makeHollow(Object.create(mapping)),
  ({ backend }) => makeHollow(Object.create(backend.AddressSpace.prototype)),
  ({ folios }) => folios[0],
  ({ folios }) => folios[5],
  ({ folios }) => makeHollow(new Proxy(folios[0], {})),
  ({ folios }) => makeHollow(Object.create(folios[0])),
  ({ folios }) => makeHollow(Object.create(Object.getPrototypeOf(folios[0]))),
  ({ removed }) => removed,
  ({ closed }) => closed,
  ({ closedFolio }) => closedFolio,
  ({ foreign }) => foreign,
  ({ foreign }) => foreign.getFolio(0),
  ({ other }) => other,
  ({ other }) => other.getFolio(0),
  ({ fresh }) => fresh,
  ({ wbc }) => wbc,
  ({ wbc }) => makeHollow(new Proxy(wbc, {})),
  ({ backend }) => makeHollow(Object.create(backend.WritebackControl.prototype)),
  ({ iterator }) => iterator,
  ({ extent }) => extent,
)

/** Values that change the scene when a property is read or when they are called. */
const ACTIVE: readonly ((scene: Scene) => unknown)[] = [
  ({ act }) => trapped({}, act),
  ({ act }) => trapped({ value: 0, onWait: act, maxPages: 5, pageShift: 12 }, act),
  ({ act }) => ({
    get value() {
      act()
      return 0
    },
    set value(_: number) {
      act()
    },
    get onWait() {
      act()
      return act
    },
    get maxPages() {
      act()
      return 3
    },
    get nrToWrite() {
      act()
      return 3
    },
    get syncMode() {
      act()
      return 'all'
    },
  }),
  ({ act }) => ({ onWait: act }),
  ({ act }) => act,
  ({ act }) =>
    () => {
      act()
      throwWhenCalled()
    },
  ({ act }) =>
    () => {
      act()
      return -5
    },
]

type Method = (this: unknown, ...args: unknown[]) => unknown

interface Target {
  readonly name: string
  readonly call: Method
  /** The arguments that the call expects: `this`, then the others. */
  readonly good: readonly ((scene: Scene) => unknown)[]
  /** Whether it is a method, so that a wrong `this` is a TypeError. */
  readonly method: boolean
}

const self = {
  mapping: ({ mapping }: Scene) => mapping,
  folio: ({ folios }: Scene) => folios[1],
  locked: ({ folios }: Scene) => folios[3],
  wbc: ({ fresh }: Scene) => fresh,
  iterator: ({ iterator }: Scene) => iterator,
  extent: ({ extent }: Scene) => extent,
  lister: ({ lister }: Scene) => lister,
}
const value =
  (value: unknown): (() => unknown) =>
  () =>
    value
const callback = value(() => {})

/** The good arguments of each method, and the value for each setter, by the name of the class. */
const METHODS: Record<string, Record<string, readonly ((scene: Scene) => unknown)[]>> = {
  AddressSpace: {
    writebackIndex: [value(7)],
    nrPages: [value(0)],
    pageShift: [value(0)],
    addFolio: [value(40), value(2)],
    getFolio: [value(1)],
    removeFolio: [self.folio],
    folios: [value('dirty'), value(0), value(9)],
    tagged: [value('dirty')],
    tagPagesForWriteback: [value(0), value(9)],
    addFolios: [value(60), value(4), value(0)],
    dirtyRange: [value(0), value(9)],
    writeback: [self.wbc, value({})],
    writePages: [self.wbc, callback, value({})],
    writeExtents: [self.wbc, callback, value({ maxPages: 4 })],
    writePagesAsync: [self.wbc, callback, value({ concurrency: 2 })],
    writeExtentsAsync: [self.wbc, callback, value({ maxPages: 4 })],
    close: [],
  },
  Folio: {
    index: [value(0)],
    order: [value(0)],
    nrPages: [value(0)],
    mapping: [value(null)],
    locked: [value(true)],
    dirty: [value(true)],
    writeback: [value(true)],
    uptodate: [value(false)],
    tryLock: [],
    unlock: [],
    markDirty: [],
    startWriteback: [value(false)],
    endWriteback: [],
    redirtyForWritepage: [self.wbc],
  },
  WritebackControl: {
    nrToWrite: [value(1)],
    pagesSkipped: [value(1)],
    rangeStart: [value(1n)],
    rangeEnd: [value(1n)],
    syncMode: [value('all')],
    taggedWritepages: [value(true)],
    rangeCyclic: [value(true)],
  },
  WritebackIterator: { error: [value(-5)], next: [], return: [] },
  Extent: { folios: [value([])] },
}

/** Every accessor and method of a prototype. A new one has to be added to METHODS. */
function methodsOf(
  name: string,
  prototype: object,
  selves: readonly ((scene: Scene) => unknown)[],
): Target[] {
  const targets: Target[] = []
  const goods = METHODS[name]
  for (const key of Reflect.ownKeys(prototype)) {
    if (key === 'constructor' || key === Symbol.toStringTag) continue
    const good = typeof key === 'symbol' ? [] : goods[key]
    if (good === undefined) throw new Error(`${name}.prototype.${String(key)} has no entry in METHODS`)
    const { value, get, set } = Object.getOwnPropertyDescriptor(prototype, key) as PropertyDescriptor
    for (const self of selves) {
      const add = (what: string, call: Method, args: Target['good']) =>
        targets.push({
          name: `${name}.prototype.${String(key)}${what}`,
          call,
          good: [self, ...args],
          method: true,
        })
      if (typeof value === 'function') add('', value, good)
      if (get !== undefined) add(' getter', get, [])
      if (set !== undefined) add(' setter', set, good)
    }
  }
  return targets
}

function targetsOf(backend: Backend): Target[] {
  const scene = new Scene(backend, new Random(0, 0))
  const nobody = value(undefined)
  const asFunction = (name: string, good: Target['good']): Target => {
    const call = (backend as unknown as Record<string, Method>)[name]
    return { name, call, good: [nobody, ...good], method: false }
  }
  const asConstructor = (name: string, Class: unknown, good: Target['good']): Target => ({
    name: `new ${name}`,
    call: (...args) => Reflect.construct(Class as () => void, args),
    good: [nobody, ...good],
    method: false,
  })
  const targets = [
    ...methodsOf('AddressSpace', backend.AddressSpace.prototype, [self.mapping]),
    ...methodsOf('Folio', Object.getPrototypeOf(scene.folios[0]), [self.folio, self.locked]),
    ...methodsOf('WritebackControl', backend.WritebackControl.prototype, [self.wbc]),
    ...methodsOf('WritebackIterator', Object.getPrototypeOf(scene.iterator), [self.iterator]),
    ...methodsOf('Extent', Object.getPrototypeOf(scene.extent), [self.extent]),
    asConstructor('AddressSpace', backend.AddressSpace, [value({ pageShift: 12 })]),
    asConstructor('WritebackControl', backend.WritebackControl, [value({ nrToWrite: 5, rangeEnd: 9n })]),
    asConstructor('Folio', scene.folios[0].constructor, []),
    asFunction('writebackIter', [self.mapping, self.wbc, value(null), value({ value: 0 }), value({})]),
    asFunction('writebackIter', [self.mapping, (s) => s.wbc, (s) => s.last, (s) => s.error, value({})]),
    asFunction('writeCachePages', [self.mapping, self.wbc, callback, value({})]),
  ]
  scene.close()
  return targets
}

/** Checks that a user can be expected to get this error. */
function check(error: unknown, target: Target, allowTypeError: boolean): void {
  if (error instanceof Hostile) return
  if (error instanceof WritebackError) {
    expect(error.message.startsWith(`${error.code}: `)).toBe(true)
    expect(error.message.length).toBeLessThan(300)
    return
  }
  if (error instanceof TypeError && allowTypeError) return
  throw new Error(`${target.name} threw something other than a WritebackError`, { cause: error })
}

/**
 * Calls the target once, with good and hostile values.
 * @returns what came of it, for comparison with another backend
 */
function attempt(
  backend: Backend,
  target: Target,
  seed: number,
  hostile: readonly ((scene: Scene) => unknown)[],
) {
  const random = new Random(seed, 0)
  const scene = new Scene(backend, random)
  const before = scene.state()
  // As the receiver of a method, a wrong value is a TypeError; a hollow object throws one itself.
  let allowTypeError = false
  const [receiver, ...args] = target.good.map((good, i) => {
    if (!random.oneIn(i === 0 ? 8 : 2)) return good(scene)
    const value = random.pick(hostile)(scene)
    if (i === 0 ? target.method : hollow.has(Object(value))) allowTypeError = true
    return value
  })
  // One argument more, or less.
  if (random.oneIn(8)) args.push(random.pick(hostile)(scene))
  if (random.oneIn(8)) args.pop()
  let result: string
  try {
    result = describeResult(Reflect.apply(target.call, receiver, args))
  } catch (error) {
    check(error, target, allowTypeError)
    result = error instanceof TypeError ? 'TypeError' : (error as Error).message
    if (hostile === PASSIVE && !PASS_BEGAN.test(result)) expect(scene.state(), result).toEqual(before)
  }
  const after = scene.state()
  let rest: unknown
  try {
    rest = scene.rest()
  } catch (error) {
    check(error, target, false)
    rest = (error as Error).message
  }
  scene.close()
  return { result, after, rest }
}

function describeResult(result: unknown): string {
  if (typeof result === 'object' && result !== null) {
    if (result instanceof Promise) result.catch(() => {})
    return result.constructor?.name ?? 'an object'
  }
  return String(result)
}

/** Calls of each target, with values of either kind. */
const ATTEMPTS = 100

/** The outcome of this many calls of every target, with values of either kind. */
function* attempts(backend: Backend, target: Target, count: number) {
  for (let seed = 0; seed < count; seed++) {
    yield attempt(backend, target, seed, PASSIVE)
    yield attempt(backend, target, seed, ACTIVE)
  }
}

describe.each(backends)('$backend', (backend) => {
  const targets = targetsOf(backend)

  test('the exports', () => {
    const names = Object.keys(backend).filter((name) => typeof backend[name as keyof Backend] === 'function')
    // The constructor of WritebackError is not for users.
    expect(names.sort()).toEqual([
      'AddressSpace',
      'Folio',
      'WritebackControl',
      'WritebackError',
      'writeCachePages',
      'writebackIter',
    ])
  })

  const js = loadBackend('js')
  const others = targetsOf(js)

  test.each(targets.map((target, i) => [target.name, i] as const))('%s', (name, i) => {
    const results = new Set<string>()
    const expected = attempts(js, others[i], ATTEMPTS)
    for (const outcome of attempts(backend, targets[i], ATTEMPTS)) {
      results.add(outcome.result)
      // Both backends give the same results, and reach the same state.
      if (backend !== js) expect(outcome).toEqual(expected.next().value)
    }
    // Some calls are correct, and others are not. A pass that awaits reports by its promise, which
    // test/async_pass.test.ts checks.
    if (targets[i].good.length > 1 && !name.endsWith('Async')) expect(results.size).toBeGreaterThan(5)
  })

  test('an extent kept too long has no folios', () => {
    const mapping = new backend.AddressSpace()
    for (const index of [4, 5, 6]) mapping.addFolio(index).markDirty()
    const extents: Extent[] = []
    const write = (extent: Extent) => {
      extents.push(extent)
      if (extents.length === 1) expect(extent.folios).toHaveLength(2)
    }
    mapping.writeExtents(new backend.WritebackControl(), write, { maxPages: 2 })
    mapping.removeFolio(mapping.getFolio(6) as Folio)
    expect(extents.map(({ index, nrPages, folios }) => ({ index, nrPages, folios }))).toEqual([
      { index: 4, nrPages: 2, folios: [] },
      { index: 6, nrPages: 1, folios: [] },
    ])
  })
})

describe.each(engines)('CachedFile on $engine', ({ engine }) => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'writeback-iter-hostile-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  /** Uint8Arrays that are not what they seem. */
  class Liar extends Uint8Array<ArrayBuffer> {
    override get length(): number {
      return 100_000
    }
    override get buffer(): ArrayBuffer {
      return throwHostile()
    }
    override subarray(): this {
      return null as unknown as this
    }
    override set(): void {
      throwHostile()
    }
  }
  const values = [
    ...PASSIVE,
    () => new Liar(new ArrayBuffer(10)),
    () => new Uint8Array(new SharedArrayBuffer(10)),
  ]
  const bytes = value(new Uint8Array(5000).fill(7))
  const goods: Record<string, readonly ((scene: Scene) => unknown)[]> = {
    size: [],
    dirtyPages: [],
    cachedPages: [],
    stats: [],
    open: [],
    write: [bytes, value(4000)],
    read: [bytes, value(4000)],
    fsync: [value({ start: 0, end: 5000 })],
    fdatasync: [value({ start: 0, end: 5000 })],
    writeback: [value(5)],
    truncate: [value(4096)],
    deallocate: [value({ start: 0, end: 5000 })],
    stat: [value({ bigint: true })],
    createReadStream: [value({ start: 5 })],
    createWriteStream: [value({ start: 5 })],
    close: [value({ discard: false })],
  }

  function checkFile(error: unknown, allowTypeError: boolean): void {
    if (error instanceof WritebackError || error instanceof Hostile) return
    if (error instanceof TypeError && allowTypeError) return
    // The errors of the streams of node:fs.
    if (error instanceof Error && (error as NodeJS.ErrnoException).code?.startsWith('ERR_')) return
    // An error of the system, such as for an offset of petabytes.
    if (error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number') return
    throw new Error('no error for a user', { cause: error })
  }

  test('closed by a getter of the range of fsync', () => {
    const path = join(folder, 'closed')
    const file = CachedFile.openSync(path, { engine, lock: false })
    file.writeSync(Buffer.from('x'), 0)
    const range = {
      get start() {
        file.closeSync()
        return 0
      },
    }
    expectError(() => file.fsyncSync(range), 'EBADF', `${JSON.stringify(path)} is closed`)
    expect(readFileSync(path, 'utf8')).toBe('x')
  })

  /** Ends a stream that may have any options; errors of the stream are ignored. */
  function closeStream(stream: Readable | Writable): Promise<void> {
    return new Promise((resolve) => {
      stream.on('error', () => {})
      stream.on('close', resolve)
      stream.destroy()
    })
  }

  function contents(file: CachedFile): unknown {
    const into = Buffer.alloc(10_000)
    return {
      size: file.size,
      dirty: file.dirtyPages,
      stats: file.stats,
      read: file.readSync(into, 0),
      text: into.toString('latin1'),
    }
  }

  test('open', () => {
    const path = join(folder, 'open')
    writeFileSync(path, 'x')
    const file = CachedFile.openSync(path, { engine, lock: false })
    const random = new Random(1, 1)
    const scene = new Scene(loadBackend(engine), random)
    for (let i = 0; i < 2000; i++) {
      const option = random.pick(['engine', 'flags', 'mode', 'direct', 'lock'])
      const hostile = random.pick(PASSIVE)(scene)
      const bad = typeof hostile !== 'string' || hostile === '' || hostile === '\0'
      const args =
        random.oneIn(2) && bad ? [hostile] : [path, random.oneIn(3) ? hostile : { [option]: hostile }]
      try {
        CachedFile.openSync(...(args as [string])).closeSync({ discard: true })
      } catch (error) {
        checkFile(error, hollow.has(Object(hostile)))
      }
    }
    expect(file.size).toBe(1)
    file.closeSync()
    scene.close()
  })

  const names = Reflect.ownKeys(CachedFile.prototype).filter((key) => key !== 'constructor')
  test.each(names.map((name) => [String(name), name]))('%s', async (_, name) => {
    const { value, get, set } = Object.getOwnPropertyDescriptor(
      CachedFile.prototype,
      name,
    ) as PropertyDescriptor
    // Both forms take the same arguments.
    const good = typeof name === 'symbol' ? [] : goods[name.replace(/Sync$/, '')]
    expect(good, 'an entry in goods').toBeDefined()
    expect(set).toBeUndefined()
    const path = join(folder, 'file')
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed, 2)
      const scene = new Scene(loadBackend(engine), random)
      writeFileSync(path, Buffer.alloc(6000, 1))
      const file = CachedFile.openSync(path, { engine, lock: false })
      file.writeSync(Buffer.alloc(100, 2), 4090)
      const before = contents(file)
      const wrongThis = random.oneIn(8)
      const args = good.map((good) => (random.oneIn(2) ? good(scene) : random.pick(values)(scene)))
      const receiver = wrongThis ? random.pick(PASSIVE)(scene) : file
      try {
        const result = Reflect.apply(value ?? get, receiver, args)
        if (result instanceof Stream) await closeStream(result as Readable | Writable)
        await result
      } catch (error) {
        checkFile(error, wrongThis || args.some((arg) => hollow.has(Object(arg))))
        // A call that failed in the system may have changed the file.
        if (!(error as NodeJS.ErrnoException).syscall) expect(contents(file), String(error)).toEqual(before)
      }
      await file.close()
      scene.close()
      if (!wrongThis && name === 'truncate' && args[0] === 5) expect(readFileSync(path)).toHaveLength(5)
    }
  })
})
