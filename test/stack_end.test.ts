// SPDX-License-Identifier: GPL-2.0-only
// A call may throw RangeError anywhere, at the end of the stack. The test calls each method at every depth
// near the end, with frames of several sizes. The method either does its whole work, or throws and has
// changed nothing.

import { describe, expect, test } from 'vitest'

import type { AddressSpace, Backend, Folio, WritebackControl } from '../lib/types.js'
import { backends } from './backends.js'
import { marks, snapshot } from './helpers.js'

/** Recurses to the stack's end, and on the way back calls `at` with the number of frames that are left. */
type Dive = (dive: Dive, at: (left: number) => void) => number

const DIVES: Dive[] = [0, 1, 2, 3, 5, 7, 11].map((variables) => {
  const names = Array.from({ length: variables }, (_, i) => `v${i}`)
  const declared = names.map((name, i) => `, ${name} = at.length + ${i}`).join('')
  const used = names.map((name) => ` + 0 * ${name}`).join('')
  const body = `let k = 0${declared}; try { k = dive(dive, at) } catch { k = 0 } at(k); return k + 1${used}`
  return new Function('dive', 'at', body) as Dive
})

/** When this many calls in a row succeed, the stack has room enough. */
const ENOUGH = 3
const MOST_FRAMES = 600

interface Scene {
  readonly mapping: AddressSpace
  readonly folios: readonly Folio[]
  readonly wbc: WritebackControl
}

interface Case {
  /** Prepares the objects while the stack has room, and returns the call to try. */
  readonly prepare: (scene: Scene, backend: Backend) => () => unknown
  /** A pass that is cut short may have ended, with its folios dirty again. */
  readonly isPass?: true
}

function scene({ AddressSpace, WritebackControl }: Backend): Scene {
  const mapping = new AddressSpace()
  const folios = [0, 1, 70, 5000].map((index) => mapping.addFolio(index))
  return { mapping, folios, wbc: new WritebackControl({ syncMode: 'all' }) }
}

const soil = ({ folios }: Scene) => {
  for (const folio of folios) folio.markDirty()
}

const cases: Record<string, Case> = {
  markDirty: {
    prepare:
      ({ folios }) =>
      () =>
        folios[2].markDirty(),
  },
  tryLock: {
    prepare:
      ({ folios }) =>
      () =>
        folios[2].tryLock(),
  },
  unlock: {
    prepare: ({ folios }) => {
      folios[2].tryLock()
      return () => folios[2].unlock()
    },
  },
  startWriteback: {
    prepare: ({ folios }) => {
      folios[2].markDirty()
      folios[2].tryLock()
      return () => folios[2].startWriteback()
    },
  },
  endWriteback: {
    prepare: ({ folios }) => {
      folios[2].tryLock()
      folios[2].startWriteback()
      return () => folios[2].endWriteback()
    },
  },
  redirtyForWritepage: {
    prepare:
      ({ folios, wbc }) =>
      () =>
        folios[2].redirtyForWritepage(wbc),
  },
  'addFolio next to others': {
    prepare:
      ({ mapping }) =>
      () =>
        mapping.addFolio(2),
  },
  'addFolio far away': {
    prepare:
      ({ mapping }) =>
      () =>
        mapping.addFolio(2 ** 40, 7),
  },
  removeFolio: {
    prepare: (s) => {
      soil(s)
      return () => s.mapping.removeFolio(s.folios[3])
    },
  },
  tagPagesForWriteback: {
    prepare: (s) => {
      soil(s)
      return () => s.mapping.tagPagesForWriteback(0, 9999)
    },
  },
  close: {
    prepare:
      ({ mapping }) =>
      () =>
        mapping.close(),
  },
  'writebackIter, later': {
    prepare: (s, { writebackIter }) => {
      soil(s)
      const error = { value: 0 }
      const first = writebackIter(s.mapping, s.wbc, null, error) as Folio
      first.startWriteback()
      first.unlock()
      first.endWriteback()
      return () => writebackIter(s.mapping, s.wbc, first, error)
    },
  },
  'writebackIter, whose folio nobody has asked for': {
    prepare: (s, { writebackIter }) => {
      s.mapping.addFolios(80, 3)
      s.mapping.dirtyRange(80, 82)
      const error = { value: 0 }
      const first = writebackIter(s.mapping, s.wbc, null, error) as Folio
      first.startWriteback()
      first.unlock()
      first.endWriteback()
      return () => writebackIter(s.mapping, s.wbc, first, error)
    },
  },
  'writebackIter, with the next batch': {
    prepare: (s, { writebackIter }) => {
      s.mapping.addFolios(80, 40)
      s.mapping.dirtyRange(80, 119)
      const error = { value: 0 }
      let folio: Folio | null = null
      for (let i = 0; i < 31; i++) {
        folio = writebackIter(s.mapping, s.wbc, folio, error) as Folio
        folio.startWriteback()
        folio.unlock()
        folio.endWriteback()
      }
      return () => writebackIter(s.mapping, s.wbc, folio, error)
    },
  },
  'getFolio, for the first time': {
    prepare: (s) => {
      s.mapping.addFolios(80, 3)
      return () => s.mapping.getFolio(81)
    },
  },
  addFolios: {
    prepare:
      ({ mapping }) =>
      () =>
        mapping.addFolios(2, 66),
  },
  dirtyRange: {
    prepare:
      ({ mapping }) =>
      () =>
        mapping.dirtyRange(0, 9999),
  },
  writePages: {
    isPass: true,
    prepare: (s) => {
      soil(s)
      return () => s.mapping.writePages(s.wbc, () => {})
    },
  },
  writeExtents: {
    isPass: true,
    prepare: (s) => {
      soil(s)
      return () => s.mapping.writeExtents(s.wbc, () => {})
    },
  },
  writeCachePages: {
    isPass: true,
    prepare: (s, { writeCachePages }) => {
      soil(s)
      return () =>
        writeCachePages(s.mapping, s.wbc, (folio) => {
          folio.startWriteback()
          folio.unlock()
          folio.endWriteback()
        })
    },
  },
}

function deeper(): number {
  return 1 + deeper()
}

/** The visible state, which reading it does not change. */
function stateOf({ mapping, folios, wbc }: Scene): unknown {
  const closed = (() => {
    try {
      mapping.getFolio(0)
      return false
    } catch {
      return true
    }
  })()
  return {
    closed,
    mapping: closed ? null : snapshot(mapping),
    folios: folios.map((f) => [f.mapping === mapping, f.locked, f.dirty, f.writeback]),
    wbc: [wbc.nrToWrite, wbc.pagesSkipped],
  }
}

/** Which folios a sync writes: every dirty folio must be among them. */
function checkSync({ mapping }: Scene, { WritebackControl }: Backend): void {
  const folios = [...mapping.folios()]
  for (const folio of folios) {
    if (folio.writeback) folio.endWriteback()
    if (folio.locked) folio.unlock()
  }
  const dirty = folios.filter((folio) => folio.dirty).map(({ index }) => index)
  const written: number[] = []
  mapping.writePages(new WritebackControl({ syncMode: 'all' }), (folio) => void written.push(folio.index))
  expect(written).toEqual(dirty)
  expect(marks(mapping)).toEqual({ dirty: [], writeback: [], towrite: [] })
}

function tryAtEveryDepth(backend: Backend, { prepare, isPass }: Case): number {
  let cut = 0
  // After these calls, the code is compiled, and a successful call has been made.
  for (let i = 0; i < 3; i++) prepare(scene(backend), backend)()
  for (const dive of DIVES) {
    let good = 0
    for (let frames = 0; frames < MOST_FRAMES && good < ENOUGH; frames++) {
      const s = scene(backend)
      const call = prepare(s, backend)
      // The state is that of a twin: reading a folio makes its object, which is part of the work that may be
      // cut short.
      const twin = scene(backend)
      prepare(twin, backend)
      const before = stateOf(twin)
      let error: unknown = 'never called'
      dive(dive, (left) => {
        if (left !== frames || error !== 'never called') return
        try {
          call()
          error = null
        } catch (thrown) {
          error = thrown
        }
      })
      if (error === null) {
        good++
        continue
      }
      good = 0
      cut++
      expect(error).toBeInstanceOf(RangeError)
      if (isPass) {
        expect(s.folios.map((folio) => [folio.locked, folio.writeback])).toEqual(
          s.folios.map(() => [false, false]),
        )
      } else {
        expect(stateOf(s)).toEqual(before)
      }
      if (!(stateOf(s) as { closed: boolean }).closed) checkSync(s, backend)
    }
    expect(good).toBe(ENOUGH)
  }
  return cut
}

describe.each(backends)('the end of the stack, $backend', (backend) => {
  test.each(Object.keys(cases))('%s changes all or nothing', (name) => {
    expect(tryAtEveryDepth(backend, cases[name])).toBeGreaterThan(0)
  })

  // The callback reaches the end of the stack; the pass must not reach it in its own work on the folio in
  // hand.
  test.each(['writePages', 'writeExtents', 'writeCachePages'] as const)('a callback of %s', (name) => {
    tryAtEveryDepth(backend, {
      isPass: true,
      prepare: (s) => {
        soil(s)
        const run = name === 'writeCachePages' ? backend.writeCachePages.bind(null, s.mapping) : null
        const pass =
          run ?? (name === 'writePages' ? s.mapping.writePages : s.mapping.writeExtents).bind(s.mapping)
        let calls = 0
        return () => {
          try {
            pass(s.wbc, () => void (++calls === 2 ? deeper() : 0))
          } catch (error) {
            if (!(error instanceof RangeError)) throw error
            const held = s.folios.filter((folio) => folio.locked)
            if (name !== 'writeCachePages') expect(held).toEqual([])
            for (const folio of held) folio.unlock()
          }
        }
      },
    })
  })
})
