// SPDX-License-Identifier: GPL-2.0-only

import type { AddressSpace, Folio, WritebackControl } from '../types.js'
import type { World } from './world.js'

type WrongUse = (world: World, mapping: AddressSpace, folio: Folio | null, wbc: WritebackControl) => unknown

/** Passes a value that the types do not allow. */
function as<T>(value: unknown): T {
  return value as T
}

const error = () => ({ value: 0 })
const nothing = () => {}

/**
 * Calls that every backend must refuse, with the same message in all backends. The folio is null if the world
 * has none.
 */
export const wrongUses: readonly WrongUse[] = [
  (_, mapping) => mapping.addFolio(-1),
  (_, mapping) => mapping.addFolio(2 ** 51),
  (_, mapping) => mapping.addFolio(0.5),
  (_, mapping) => mapping.addFolio(Number.NaN),
  (_, mapping) => mapping.addFolio(as('1')),
  (_, mapping) => mapping.addFolio(as(1n)),
  (_, mapping) => mapping.addFolio(1, 1),
  (_, mapping) => mapping.addFolio(2 ** 18, 19),
  (_, mapping) => mapping.addFolio(0, -1),
  (_, mapping) => mapping.addFolio(2 ** 51, 2),
  (_, mapping) => mapping.getFolio(2 ** 51),
  (_, mapping) => mapping.getFolio(-1),
  (_, mapping) => mapping.removeFolio(as(null)),
  (_, mapping) => mapping.removeFolio(as({})),
  ({ foreign }, mapping) => mapping.removeFolio(foreign.folio),
  (world, mapping, folio) =>
    folio === null ? 0 : world.mapping(world.mappings[0] === mapping ? 1 : 0).removeFolio(folio),
  (_, mapping) => mapping.tagPagesForWriteback(-1, 0),
  (_, mapping) => mapping.tagPagesForWriteback(0, Number.POSITIVE_INFINITY),
  (_, mapping) => mapping.folios(as('clean')),
  (_, mapping) => mapping.folios('dirty', -1),
  (_, mapping) => mapping.folios('dirty', 0, 2 ** 51),
  (_, mapping) => mapping.tagged(as('present')),
  (_, mapping) => {
    mapping.writebackIndex = -1
  },
  (_, mapping) => {
    mapping.writebackIndex = 2 ** 51 + 1
  },
  (_, mapping) => mapping.writeback(as(null)),
  (_, mapping, __, wbc) => mapping.writeback(wbc, as(1)),
  (_, mapping, __, wbc) => mapping.writePages(wbc, as(5)),
  (_, mapping) => mapping.writePages(as({}), nothing),
  (_, mapping, __, wbc) => mapping.writePages(wbc, nothing, { onWait: as('x') }),
  (_, mapping, __, wbc) => mapping.writeExtents(wbc, nothing, { maxPages: 0 }),
  (_, mapping, __, wbc) => mapping.writeExtents(wbc, nothing, { maxPages: 1025 }),
  ({ api, foreign }, _, __, wbc) => api.writebackIter(foreign.mapping, wbc, null, error()),
  ({ api, foreign }, mapping, __, wbc) => api.writebackIter(mapping, wbc, foreign.folio, error()),
  ({ api }, mapping) => api.writebackIter(mapping, as({}), null, error()),
  ({ api }, mapping, folio, wbc) =>
    folio === null ? 0 : void api.writebackIter(mapping, wbc, folio, { value: 1 }),
  ({ api }, mapping, _, wbc) => api.writebackIter(mapping, wbc, null, as(null)),
  ({ api }, mapping, _, wbc) => api.writebackIter(mapping, wbc, null, Object.freeze(error())),
  ({ api }, mapping, _, wbc) => api.writeCachePages(mapping, wbc, as(undefined)),
  (_, __, ___, wbc) => {
    wbc.nrToWrite = 1.5
  },
  (_, __, ___, wbc) => {
    wbc.pagesSkipped = -1
  },
  (_, __, ___, wbc) => {
    wbc.rangeStart = 2n ** 63n
  },
  (_, __, ___, wbc) => {
    wbc.rangeEnd = 2 ** 53
  },
  (_, __, ___, wbc) => {
    wbc.syncMode = as('some')
  },
  (_, __, ___, wbc) => {
    wbc.rangeCyclic = as(1)
  },
  ({ api }) => new api.WritebackControl(as(null)),
  ({ api }) => new api.WritebackControl({ nrToWrite: as('1') }),
  ({ api }) => new api.AddressSpace({ pageShift: 8 }),
  ({ api }) => new api.AddressSpace(as('x')),
  (_, __, folio) => folio?.startWriteback(as(1)),
  (_, __, folio) => folio?.redirtyForWritepage(as({})),
  (_, __, folio) => {
    if (folio !== null) folio.uptodate = as(1)
  },
]
