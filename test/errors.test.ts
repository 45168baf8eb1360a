// SPDX-License-Identifier: GPL-2.0-only
// Wrong use: each is a typed error whose message names the value, and nothing changes.

import { describe, expect, test } from 'vitest'
import { describe as name, type ErrorCode, WritebackError } from '../lib/errors.js'
import type {
  AddressSpace as Mapping,
  ExtentOptions,
  Folio,
  WritebackControl as Control,
} from '../lib/types.js'
import { backends } from './backends.js'
import { addDirty, expectError, fields, flags, putUnderWriteback, snapshot, thrown } from './helpers.js'

/** The type of a value that the types forbid: it can be passed as any parameter. */
type Wrong = never

const NO_INDEX = [
  -1,
  0.5,
  2 ** 51,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '1',
  '',
  null,
  true,
  1n,
  {},
  [1],
  Symbol('s'),
]
const NO_OBJECT = [undefined, null, 0, 7, '', 'text', true, 1n, () => {}]
/** An object that runs no observable code: each trap throws. */
const HOSTILE = new Proxy(
  {},
  new Proxy(
    {},
    {
      get() {
        throw new Error('a trap ran')
      },
    },
  ),
)

describe.each(backends)('errors, $backend', (backend) => {
  const { AddressSpace, WritebackControl, writebackIter, writeCachePages } = backend
  const other = backends.find((each) => each !== backend)

  /** Folios in every state, a pass in mid-pass, and a control that was used. */
  function scene() {
    const mapping = new AddressSpace()
    const [folio, locked, flying, large, inHand] = addDirty(mapping, 1, 2, 3, [8, 3], 32)
    mapping.tagPagesForWriteback(0, 9)
    mapping.writebackIndex = 5
    const clean = mapping.addFolio(4)
    locked.tryLock()
    putUnderWriteback(flying)
    large.uptodate = false
    const wbc = new WritebackControl({
      nrToWrite: 50,
      pagesSkipped: 6,
      rangeStart: 32 * 4096,
      rangeEnd: 2n ** 60n,
      taggedWritepages: false,
    })
    const error = { value: 0 }
    if (writebackIter(mapping, wbc, null, error) !== inHand) throw new Error('the scene is not as expected')
    const removed = mapping.addFolio(100)
    mapping.removeFolio(removed)
    const elsewhere = new AddressSpace().addFolio(9)
    return { mapping, folio, locked, flying, large, clean, inHand, removed, elsewhere, wbc, error }
  }
  type Scene = ReturnType<typeof scene>

  const visible = ({ mapping, wbc, removed, elsewhere, error }: Scene) => ({
    mapping: snapshot(mapping),
    wbc: fields(wbc),
    removed: flags(removed),
    elsewhere: snapshot(elsewhere.mapping as Mapping),
    error: { ...error },
  })

  /** Expects the call to be refused with this error and to change nothing; the pass in mid-pass goes on. */
  function refused(call: (scene: Scene) => unknown, code: ErrorCode, message: string): void {
    const s = scene()
    const before = visible(s)
    expectError(() => call(s), code, message)
    expect(visible(s)).toEqual(before)
    s.inHand.startWriteback()
    s.inHand.unlock()
    expect(writebackIter(s.mapping, s.wbc, s.inHand, s.error)).toBe(null)
    expect(s.wbc.nrToWrite).toBe(49)
  }

  const index = 'a page index, an integer from 0 to 2^51 - 1'
  const order = 'an integer from 0 to 18'
  const controlFields: [keyof Control, unknown[], string][] = [
    [
      'nrToWrite',
      [0.5, Number.NaN, 2 ** 53, -(2 ** 53), Number.POSITIVE_INFINITY, '1', null, 1n],
      'a safe integer',
    ],
    ['pagesSkipped', [-1, 0.5, Number.NaN, 2 ** 53, '1', null, 1n], 'a safe integer from 0'],
    ...(['rangeStart', 'rangeEnd'] as const).map((field): [keyof Control, unknown[], string] => [
      field,
      [-1, -1n, 0.5, Number.NaN, 2 ** 53, 2n ** 63n, 2n ** 100n, '0', null, {}],
      'a byte offset, a safe integer or bigint from 0 to 2^63 - 1',
    ]),
    ['syncMode', ['None', 'ALL', '', 0, null, true, {}], "'none' or 'all'"],
    ['taggedWritepages', [0, 1, '', 'true', null, {}], 'true or false'],
    ['rangeCyclic', [0, 1, '', 'true', null, {}], 'true or false'],
  ]

  /** Each parameter: its name, the wrong values, the right ones, and how to pass it. */
  const parameters: [string, unknown[], string, string, (scene: Scene, value: Wrong) => unknown][] = [
    ['addFolio(index)', [undefined, ...NO_INDEX], 'index', index, ({ mapping }, v) => mapping.addFolio(v)],
    [
      'addFolio(order)',
      [-1, 19, 0.5, Number.NaN, '1', null, 1n, {}],
      'order',
      order,
      ({ mapping }, v) => mapping.addFolio(0, v),
    ],
    [
      'addFolio(index, order 1)',
      [1, 5, 2 ** 51 - 1],
      'index',
      'a multiple of 2 at order 1',
      ({ mapping }, v) => mapping.addFolio(v, 1),
    ],
    [
      'addFolio(index, order 18)',
      [1, 2 ** 17, 2 ** 51 - 1],
      'index',
      'a multiple of 262144 at order 18',
      ({ mapping }, v) => mapping.addFolio(v, 18),
    ],
    ['getFolio(index)', [undefined, ...NO_INDEX], 'index', index, ({ mapping }, v) => mapping.getFolio(v)],
    [
      'removeFolio(folio)',
      [...NO_OBJECT, {}, HOSTILE, new AddressSpace()],
      'folio',
      'a Folio of this backend',
      ({ mapping }, v) => mapping.removeFolio(v),
    ],
    [
      'folios(mark)',
      ['', 'Dirty', 'present', 0, 3, null, true, {}, Symbol('s')],
      'mark',
      "'dirty', 'writeback' or 'towrite'",
      ({ mapping }, v) => mapping.folios(v),
    ],
    ['folios(start)', NO_INDEX, 'start', index, ({ mapping }, v) => mapping.folios(undefined, v)],
    ['folios(end)', NO_INDEX, 'end', index, ({ mapping }, v) => mapping.folios('dirty', 0, v)],
    [
      'tagged(mark)',
      [undefined, '', 'Dirty', 'present', 0, null, {}],
      'mark',
      "'dirty', 'writeback' or 'towrite'",
      ({ mapping }, v) => mapping.tagged(v),
    ],
    [
      'tagPagesForWriteback(start)',
      [undefined, ...NO_INDEX],
      'start',
      index,
      ({ mapping }, v) => mapping.tagPagesForWriteback(v, 9),
    ],
    [
      'tagPagesForWriteback(end)',
      [undefined, ...NO_INDEX],
      'end',
      index,
      ({ mapping }, v) => mapping.tagPagesForWriteback(0, v),
    ],
    [
      'writebackIndex',
      [undefined, ...NO_INDEX.filter((v) => v !== 2 ** 51), 2 ** 51 + 1],
      'writebackIndex',
      index,
      ({ mapping }, v) => {
        mapping.writebackIndex = v
      },
    ],
    [
      'writeback(wbc)',
      [...NO_OBJECT, {}, HOSTILE],
      'wbc',
      'a WritebackControl',
      ({ mapping }, v) => mapping.writeback(v),
    ],
    [
      'writeback(options)',
      NO_OBJECT.slice(1),
      'options',
      'an object',
      ({ mapping, wbc }, v) => mapping.writeback(wbc, v),
    ],
    [
      'writeback(onWait)',
      [null, 0, 'text', {}],
      'onWait',
      'a function',
      ({ mapping, wbc }, onWait) => mapping.writeback(wbc, { onWait }),
    ],
    [
      'writePages(wbc)',
      [...NO_OBJECT, {}, HOSTILE],
      'wbc',
      'a WritebackControl',
      ({ mapping }, v) => mapping.writePages(v, () => {}),
    ],
    [
      'writePages(writepage)',
      [undefined, null, 0, 'text', {}],
      'writepage',
      'a function',
      ({ mapping, wbc }, v) => mapping.writePages(wbc, v),
    ],
    [
      'writePages(options)',
      NO_OBJECT.slice(1),
      'options',
      'an object',
      ({ mapping, wbc }, v) => mapping.writePages(wbc, () => {}, v),
    ],
    [
      'writePages(onWait)',
      [null, 0, {}],
      'onWait',
      'a function',
      ({ mapping, wbc }, onWait) => mapping.writePages(wbc, () => {}, { onWait }),
    ],
    [
      'writeExtents(wbc)',
      [...NO_OBJECT, {}, HOSTILE],
      'wbc',
      'a WritebackControl',
      ({ mapping }, v) => mapping.writeExtents(v, () => {}),
    ],
    [
      'writeExtents(write)',
      [undefined, null, 0, 'text', {}],
      'write',
      'a function',
      ({ mapping, wbc }, v) => mapping.writeExtents(wbc, v),
    ],
    [
      'writeExtents(options)',
      NO_OBJECT.slice(1),
      'options',
      'an object',
      ({ mapping, wbc }, v) => mapping.writeExtents(wbc, () => {}, v),
    ],
    [
      'writeExtents(onWait)',
      [null, 0, {}],
      'onWait',
      'a function',
      ({ mapping, wbc }, onWait) => mapping.writeExtents(wbc, () => {}, { onWait }),
    ],
    [
      'writeExtents(maxPages)',
      [0, -1, 1025, 1.5, Number.NaN, '1', null, 1n],
      'maxPages',
      'an integer from 1 to 1024',
      ({ mapping, wbc }, maxPages) => mapping.writeExtents(wbc, () => {}, { maxPages }),
    ],
    [
      'writebackIter(mapping)',
      [...NO_OBJECT, {}, HOSTILE],
      'mapping',
      'an AddressSpace of this backend',
      ({ wbc, error }, v) => writebackIter(v, wbc, null, error),
    ],
    [
      'writebackIter(wbc)',
      [...NO_OBJECT, {}, HOSTILE],
      'wbc',
      'a WritebackControl',
      ({ mapping, error }, v) => writebackIter(mapping, v, null, error),
    ],
    [
      'writebackIter(folio)',
      [undefined, 0, 'text', {}, HOSTILE],
      'folio',
      'a Folio of this backend',
      ({ mapping, wbc, error }, v) => writebackIter(mapping, wbc, v, error),
    ],
    [
      'writebackIter(error)',
      NO_OBJECT,
      'error',
      'an object with a value',
      ({ mapping, wbc, inHand }, v) => writebackIter(mapping, wbc, inHand, v),
    ],
    [
      'writebackIter(error) to start',
      NO_OBJECT,
      'error',
      'an object with a value',
      ({ mapping, wbc }, v) => writebackIter(mapping, wbc, null, v),
    ],
    [
      'writebackIter(error.value)',
      [1, 0.5, Number.NaN, undefined, null, '0', 0n, -(2 ** 31) - 1],
      'error',
      '0 or a negative errno',
      ({ mapping, wbc, inHand }, value) => writebackIter(mapping, wbc, inHand, { value }),
    ],
    [
      'writebackIter(options)',
      NO_OBJECT.slice(1),
      'options',
      'an object',
      ({ mapping, wbc, inHand, error }, v) => writebackIter(mapping, wbc, inHand, error, v),
    ],
    [
      'writebackIter(onWait)',
      [null, 0, {}],
      'onWait',
      'a function',
      ({ mapping, wbc, inHand, error }, onWait) => writebackIter(mapping, wbc, inHand, error, { onWait }),
    ],
    [
      'writeCachePages(mapping)',
      [...NO_OBJECT, {}, HOSTILE],
      'mapping',
      'an AddressSpace of this backend',
      ({ wbc }, v) => writeCachePages(v, wbc, () => {}),
    ],
    [
      'writeCachePages(wbc)',
      [...NO_OBJECT, {}, HOSTILE],
      'wbc',
      'a WritebackControl',
      ({ mapping }, v) => writeCachePages(mapping, v, () => {}),
    ],
    [
      'writeCachePages(writepage)',
      [undefined, null, 0, 'text', {}],
      'writepage',
      'a function',
      ({ mapping, wbc }, v) => writeCachePages(mapping, wbc, v),
    ],
    [
      'writeCachePages(options)',
      NO_OBJECT.slice(1),
      'options',
      'an object',
      ({ mapping, wbc }, v) => writeCachePages(mapping, wbc, () => {}, v),
    ],
    [
      'writeCachePages(onWait)',
      [null, 0, {}],
      'onWait',
      'a function',
      ({ mapping, wbc }, onWait) => writeCachePages(mapping, wbc, () => {}, { onWait }),
    ],
    [
      'folio.uptodate',
      [undefined, null, 0, 1, 'true', {}],
      'uptodate',
      'true or false',
      ({ folio }, v) => {
        folio.uptodate = v
      },
    ],
    [
      'startWriteback(keepWrite)',
      [null, 0, 1, 'true', {}],
      'keepWrite',
      'true or false',
      ({ locked }, v) => locked.startWriteback(v),
    ],
    [
      'redirtyForWritepage(wbc)',
      [...NO_OBJECT, {}, HOSTILE],
      'wbc',
      'a WritebackControl',
      ({ folio }, v) => folio.redirtyForWritepage(v),
    ],
    ['new AddressSpace(options)', NO_OBJECT.slice(1), 'options', 'an object', (_, v) => new AddressSpace(v)],
    [
      'new AddressSpace({ pageShift })',
      [8, 31, 12.5, Number.NaN, '12', null, 12n],
      'pageShift',
      'an integer from 9 to 30',
      (_, pageShift) => new AddressSpace({ pageShift }),
    ],
    [
      'new WritebackControl(init)',
      NO_OBJECT.slice(1),
      'init',
      'an object',
      (_, v) => new WritebackControl(v),
    ],
    ...controlFields.map(([field, values, expected]): (typeof parameters)[number] => [
      `wbc.${field}`,
      [undefined, ...values],
      field,
      expected,
      ({ wbc }, v) => {
        ;(wbc as Wrong)[field] = v
      },
    ]),
    ...controlFields.map(([field, values, expected]): (typeof parameters)[number] => [
      `new WritebackControl({ ${field} })`,
      values,
      field,
      expected,
      (_, v) => new WritebackControl({ [field]: v }),
    ]),
  ]

  test.each(parameters)('%s is EINVAL for anything else, and names it', (_, values, what, expected, call) => {
    for (const value of values) {
      refused((s) => call(s, value as Wrong), 'EINVAL', `${what} is ${name(value)}, expected ${expected}`)
    }
  })

  test('the values are named as a reader writes them', () => {
    const named: [unknown, string][] = [
      [undefined, 'undefined'],
      [null, 'null'],
      [Number.NaN, 'NaN'],
      [-1, '-1'],
      ['1', '"1"'],
      ['x'.repeat(100), `"${'x'.repeat(64)}…"`],
      [2n ** 63n, '9223372036854775808n'],
      [10n ** 100n, `1${'0'.repeat(63)}…n`],
      [Symbol('s'), 'Symbol(s)'],
      [{}, 'an object'],
      [[], 'an object'],
      [() => {}, 'a function'],
      [HOSTILE, 'an object'],
    ]
    const mapping = new AddressSpace()
    for (const [value, text] of named) {
      expectError(() => mapping.getFolio(value as number), 'EINVAL', `index is ${text}, expected ${index}`)
    }
  })

  const states: [string, ErrorCode, string, (scene: Scene) => unknown][] = [
    ['unlock of an unlocked folio', 'EINVAL', 'folio 1 is not locked', ({ folio }) => folio.unlock()],
    [
      'endWriteback without writeback',
      'EINVAL',
      'folio 1 is not under writeback',
      ({ folio }) => folio.endWriteback(),
    ],
    [
      'startWriteback on an unlocked folio',
      'EINVAL',
      'folio 1 is not locked',
      ({ folio }) => folio.startWriteback(),
    ],
    [
      'startWriteback under writeback',
      'EINVAL',
      'folio 3 is under writeback already',
      ({ flying }) => flying.startWriteback(),
    ],
    [
      'removal of a locked folio',
      'EBUSY',
      'folio 2 is locked',
      ({ mapping, locked }) => mapping.removeFolio(locked),
    ],
    [
      'removal of a folio under writeback',
      'EBUSY',
      'folio 3 is under writeback',
      ({ mapping, flying }) => mapping.removeFolio(flying),
    ],
    [
      'removal of a removed folio',
      'ESTALE',
      'folio 100 was removed from its mapping',
      ({ mapping, removed }) => mapping.removeFolio(removed),
    ],
    [
      'removal of a folio of another mapping',
      'EINVAL',
      'folio 9 is of another mapping',
      ({ mapping, elsewhere }) => mapping.removeFolio(elsewhere),
    ],
    [
      'a folio on top of another',
      'EEXIST',
      'a folio covers a page of 8 to 15 already',
      ({ mapping }) => mapping.addFolio(8, 3),
    ],
    [
      'a folio that would cover another',
      'EEXIST',
      'a folio covers a page of 0 to 1 already',
      ({ mapping }) => mapping.addFolio(0, 1),
    ],
    [
      'a folio within another',
      'EEXIST',
      'a folio covers a page of 12 to 12 already',
      ({ mapping }) => mapping.addFolio(12),
    ],
    [
      'a folio of another mapping handed back',
      'EINVAL',
      'folio 9 is not what this pass returned last',
      ({ mapping, wbc, elsewhere, error }) => writebackIter(mapping, wbc, elsewhere, error),
    ],
    [
      'a removed folio handed back',
      'EINVAL',
      'folio 100 is not what this pass returned last',
      ({ mapping, wbc, removed, error }) => writebackIter(mapping, wbc, removed, error),
    ],
    [
      'a folio handed back to a new control',
      'EINVAL',
      'folio 32 is not what this pass returned last',
      ({ mapping, inHand, error }) => writebackIter(mapping, new WritebackControl(), inHand, error),
    ],
    [
      'the folio in hand handed to another mapping',
      'EINVAL',
      'folio 32 is not what this pass returned last',
      ({ elsewhere, wbc, inHand, error }) => writebackIter(elsewhere.mapping as Mapping, wbc, inHand, error),
    ],
  ]

  test.each(states)('%s is %s', (_, code, message, call) => {
    refused(call, code, message)
  })

  test('a folio is made by addFolio only', () => {
    const { folio } = scene()
    const Maker = Object.getPrototypeOf(folio).constructor
    for (const args of [
      [],
      [{}],
      [{ chunks: [new Int32Array(6)], open: true }, 0],
      [Symbol('folio_alloc'), 1, 0],
    ]) {
      expectError(() => Reflect.construct(Maker, args), 'EINVAL', 'a Folio is made by addFolio')
    }
  })

  test('nobody can make a read-only property something else', () => {
    const s = scene()
    const before = visible(s)
    for (const [object, key] of [
      ...['index', 'order', 'nrPages', 'mapping', 'locked', 'dirty', 'writeback'].map(
        (key) => [s.folio, key] as const,
      ),
      ...['nrPages', 'pageShift'].map((key) => [s.mapping, key] as const),
    ]) {
      expect(Reflect.set(object, key, 77)).toBe(false)
    }
    expect(visible(s)).toEqual(before)
  })

  if (other !== undefined) {
    test('a folio and a mapping of the other backend are strangers', () => {
      const mapping = new other.AddressSpace()
      const [folio] = addDirty(mapping, 1)
      const stranger: [string, string, (scene: Scene) => unknown][] = [
        ['folio', 'a Folio of this backend', (s) => s.mapping.removeFolio(folio)],
        ['folio', 'a Folio of this backend', (s) => writebackIter(s.mapping, s.wbc, folio, s.error)],
        ['mapping', 'an AddressSpace of this backend', (s) => writebackIter(mapping, s.wbc, null, s.error)],
        ['mapping', 'an AddressSpace of this backend', (s) => writeCachePages(mapping, s.wbc, () => {})],
      ]
      for (const [what, expected, call] of stranger) {
        refused(call, 'EINVAL', `${what} is an object, expected ${expected}`)
      }
      expect(flags(folio)).toBe('dirty')
    })

    test('a control in the middle of a pass of the other backend starts a new one here', () => {
      const there = new other.AddressSpace()
      const [first] = addDirty(there, 1, 2)
      const wbc = new WritebackControl()
      const error = { value: 0 }
      expect(other.writebackIter(there, wbc, null, error)).toBe(first)
      const here = new AddressSpace()
      const [folio] = addDirty(here, 7, 8)
      expectError(
        () => writebackIter(here, wbc, folio, error),
        'EINVAL',
        'folio 7 is not what this pass returned last',
      )
      expect(writebackIter(here, wbc, null, error)).toBe(folio)
      expectError(
        () => other.writebackIter(there, wbc, first, error),
        'EINVAL',
        'folio 1 is not what this pass returned last',
      )
      folio.startWriteback()
      folio.unlock()
      expect(writebackIter(here, wbc, folio, error)?.index).toBe(8)
    })
  }

  describe('a closed mapping', () => {
    const wbc = new WritebackControl()
    const calls: [string, (mapping: Mapping, folio: Folio, v: Wrong) => unknown][] = [
      ['addFolio', (mapping, _, v) => mapping.addFolio(v, v)],
      ['getFolio', (mapping, _, v) => mapping.getFolio(v)],
      ['removeFolio', (mapping, _, v) => mapping.removeFolio(v)],
      ['removeFolio of its own', (mapping, folio) => mapping.removeFolio(folio)],
      ['folios', (mapping, _, v) => mapping.folios(v)],
      ['tagged', (mapping, _, v) => mapping.tagged(v)],
      ['tagPagesForWriteback', (mapping, _, v) => mapping.tagPagesForWriteback(v, v)],
      [
        'writebackIndex',
        (mapping, _, v) => {
          mapping.writebackIndex = v
        },
      ],
      ['writeback', (mapping, _, v) => mapping.writeback(v)],
      ['writePages', (mapping, _, v) => mapping.writePages(v, v)],
      ['writeExtents', (mapping, _, v) => mapping.writeExtents(v, v)],
      ['writebackIter', (mapping, _, v) => writebackIter(mapping, v, v, v)],
      ['writebackIter, all else right', (mapping) => writebackIter(mapping, wbc, null, { value: 0 })],
      ['writeCachePages', (mapping, _, v) => writeCachePages(mapping, v, v)],
    ]

    test.each(calls)('%s is EBADF, whatever the arguments', (_, call) => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, 1)
      mapping.writebackIndex = 3
      mapping.close()
      for (const value of ['nonsense', 0, undefined, null, {}]) {
        expectError(() => call(mapping, folio, value as Wrong), 'EBADF', 'the mapping is closed')
      }
      expect(mapping).toMatchObject({ nrPages: 0, writebackIndex: 3 })
      expect(flags(folio)).toBe('dirty')
    })

    test('its folio handed to an open one is of another mapping', () => {
      const { mapping } = scene()
      const closed = new AddressSpace()
      const folio = closed.addFolio(5)
      closed.close()
      expectError(() => mapping.removeFolio(folio), 'EINVAL', 'folio 5 is of another mapping')
    })

    test.each<[string, 'onWait' | 'maxPages', (mapping: Mapping, options: ExtentOptions) => unknown]>([
      ['writeback', 'onWait', (mapping, options) => mapping.writeback(wbc, options).next()],
      ['writePages', 'onWait', (mapping, options) => mapping.writePages(wbc, () => {}, options)],
      ['writeExtents', 'onWait', (mapping, options) => mapping.writeExtents(wbc, () => {}, options)],
      ['writeExtents', 'maxPages', (mapping, options) => mapping.writeExtents(wbc, () => {}, options)],
      [
        'writebackIter',
        'onWait',
        (mapping, options) => writebackIter(mapping, wbc, null, { value: 0 }, options),
      ],
      ['writeCachePages', 'onWait', (mapping, options) => writeCachePages(mapping, wbc, () => {}, options)],
    ])('%s with options whose getter of %s closes it is EBADF', (_, key, call) => {
      const mapping = new AddressSpace()
      const [folio] = addDirty(mapping, 1, 2)
      const options = Object.defineProperty({}, key, { get: () => mapping.close() })
      expectError(() => call(mapping, options), 'EBADF', 'the mapping is closed')
      expect(flags(folio)).toBe('dirty')
    })
  })

  describe('of several errors, the first counts', () => {
    test('arguments in their order', () => {
      const { mapping, wbc, error } = scene()
      const bad = 'bad' as Wrong
      for (const [what, call] of [
        ['index', () => mapping.addFolio(bad, bad)],
        ['mark', () => mapping.folios(bad, bad, bad)],
        ['start', () => mapping.folios('dirty', bad, bad)],
        ['start', () => mapping.tagPagesForWriteback(bad, bad)],
        ['wbc', () => mapping.writeback(bad, bad)],
        ['wbc', () => mapping.writePages(bad, bad, bad)],
        ['writepage', () => mapping.writePages(wbc, bad, bad)],
        ['wbc', () => mapping.writeExtents(bad, bad, bad)],
        ['write', () => mapping.writeExtents(wbc, bad, bad)],
        ['mapping', () => writebackIter(bad, bad, bad, bad, bad)],
        ['wbc', () => writebackIter(mapping, bad, bad, bad, bad)],
        ['folio', () => writebackIter(mapping, wbc, bad, bad, bad)],
        ['error', () => writebackIter(mapping, wbc, null, bad, bad)],
        ['options', () => writebackIter(mapping, wbc, null, error, bad)],
        ['mapping', () => writeCachePages(bad, bad, bad, bad)],
        ['wbc', () => writeCachePages(mapping, bad, bad, bad)],
        ['writepage', () => writeCachePages(mapping, wbc, bad, bad)],
      ] as [string, () => unknown][]) {
        expect((thrown(call) as WritebackError).message).toContain(`EINVAL: ${what} is "bad", expected`)
      }
    })

    test('an argument before the state', () => {
      refused(
        ({ folio }) => folio.startWriteback('x' as Wrong),
        'EINVAL',
        'keepWrite is "x", expected true or false',
      )
    })

    test('alignment before what is there', () => {
      refused(
        ({ mapping }) => mapping.addFolio(9, 3),
        'EINVAL',
        'index is 9, expected a multiple of 8 at order 3',
      )
    })

    test('a lock before writeback', () => {
      refused(
        ({ mapping, flying }) => {
          flying.tryLock()
          try {
            mapping.removeFolio(flying)
          } finally {
            flying.unlock()
          }
        },
        'EBUSY',
        'folio 3 is locked',
      )
    })
  })

  test('the errors are WritebackErrors of one class in both backends', () => {
    const error = thrown(() => new AddressSpace().addFolio(-1))
    expect(error).toBeInstanceOf(WritebackError)
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ name: 'WritebackError', code: 'EINVAL' })
    expect((error as Error).stack).toContain('errors.test.ts')
  })

  test('-0 is 0', () => {
    const mapping = new AddressSpace()
    const folio = mapping.addFolio(-0, -0)
    mapping.writebackIndex = -0
    const wbc = new WritebackControl({ nrToWrite: -0, pagesSkipped: -0, rangeStart: -0, rangeEnd: -0 })
    for (const value of [
      folio.index,
      folio.order,
      mapping.writebackIndex,
      ...Object.values(fields(wbc)).slice(0, 4),
    ]) {
      expect(value).toBe(0)
    }
    expect(mapping.getFolio(-0)).toBe(folio)
  })

  test('undefined is the default where there is one', () => {
    const mapping = new AddressSpace({ pageShift: undefined })
    mapping.addFolio(0, undefined)
    expect([...mapping.folios(undefined, undefined, undefined)]).toHaveLength(1)
    const wbc = new WritebackControl({ nrToWrite: undefined, syncMode: undefined } as Wrong)
    expect(fields(wbc)).toEqual(fields(new WritebackControl()))
    expect(mapping.writeExtents(wbc, () => {}, { maxPages: undefined, onWait: undefined })).toBe(0)
  })

  test('the defaults of a control', () => {
    expect(fields(new WritebackControl())).toEqual({
      nrToWrite: Number.MAX_SAFE_INTEGER,
      pagesSkipped: 0,
      rangeStart: 0,
      rangeEnd: 2n ** 63n - 1n,
      syncMode: 'none',
      taggedWritepages: false,
      rangeCyclic: false,
    })
  })

  test('the least and greatest values are taken', () => {
    const wbc = new WritebackControl({
      nrToWrite: Number.MIN_SAFE_INTEGER,
      pagesSkipped: Number.MAX_SAFE_INTEGER,
      rangeStart: Number.MAX_SAFE_INTEGER,
      rangeEnd: 2n ** 63n - 1n,
    })
    expect(wbc.rangeStart).toBe(Number.MAX_SAFE_INTEGER)
    wbc.rangeStart = 0n
    wbc.rangeEnd = 2n ** 63n - 1n
    expect([wbc.rangeStart, wbc.rangeEnd]).toEqual([0n, 2n ** 63n - 1n])
  })

  test('thousands of refused calls leave nothing behind', () => {
    const s = scene()
    const before = visible(s)
    for (let i = 0; i < 2000; i++) {
      for (const [, , , call] of states) thrown(() => call(s))
      thrown(() => s.mapping.writePages(s.wbc, null as Wrong))
      thrown(() => s.mapping.writeback({} as Wrong))
    }
    expect(visible(s)).toEqual(before)
  })
})
