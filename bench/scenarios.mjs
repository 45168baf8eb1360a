// SPDX-License-Identifier: GPL-2.0-only
// What is measured, and which sides are.

/**
 * One line of the results: an operation, done by several sides.
 * @typedef {object} Row
 * @property {string} operation
 * @property {Record<string, string>} sides - side, and what the side calls the operation
 * @property {string} unit
 * @property {number} scale - milliseconds of a run to the unit
 * @property {number} repeat - runs a measurement
 */

/**
 * Rows that are measured on the same sides, opened once.
 * @typedef {object} Scenario
 * @property {string} label
 * @property {Record<string, string>} modules - side, and the module of sides/ that it is
 * @property {object} shape
 * @property {string[]} [flags] - of Node.js
 * @property {boolean} [fresh] - whether each run needs a new process
 * @property {number} runs
 * @property {number} warmup
 * @property {Row[]} rows
 */

const CACHES = { native: 'backend', js: 'backend', plain: 'plain' }
const COLLECTIONS = {
  'Map + sort': 'collection',
  'sorted-btree': 'collection',
  typedfastbitset: 'collection',
}

/** What core.c calls the operations. */
const CORE = {
  'markDirty, newly dirty': 'dirty',
  writePages: 'sync-all',
  writeExtents: 'extents',
  writebackIter: 'sync-all',
}

/** The sides of an operation, beside core.c. */
const OPERATIONS = {
  'markDirty, newly dirty': { ...CACHES, ...COLLECTIONS },
  'markDirty, already dirty': { ...CACHES, ...COLLECTIONS },
  writePages: { ...CACHES, ...COLLECTIONS },
  writeExtents: { native: 'backend', js: 'backend' },
  writebackIter: CACHES,
  'for…of': { native: 'backend', js: 'backend' },
}

/**
 * Sides and operations that take seconds a run over 10,000,000 folios, and show there what they show over
 * 1,000,000.
 */
const NOT_HUGE = ['Map + sort', 'sorted-btree', 'for…of']

/** @param {number} number */
function grouped(number) {
  return number.toLocaleString('en-US')
}

/**
 * @param {string} label
 * @param {Partial<import('./sides/shape.mjs').Shape>} differences - from 100,000 dense single-page folios,
 * all dirty
 * @param {boolean} quick
 * @returns {Scenario & { shape: import('./sides/shape.mjs').Shape }}
 */
function cacheScenario(label, differences, quick) {
  const shape = { folios: 100_000, stride: 1, order: 0, dirtyEvery: 1, ...differences }
  const dirty = Math.ceil(shape.folios / shape.dirtyEvery)
  const huge = shape.folios > 1_000_000
  // So that the clock's resolution does not count, nor code that is not compiled yet.
  const leastFolios = quick ? 10_000 : 500_000
  /** @param {[name: string, unknown]} entry */
  const takes = ([name]) => !huge || !NOT_HUGE.includes(name)
  const all = { ...(shape.dirtyEvery === 1 && { core: 'core' }), ...CACHES, ...COLLECTIONS }
  /** @type {Record<string, string>} */
  const modules = Object.fromEntries(Object.entries(all).filter(takes))
  const operations = Object.entries(OPERATIONS).filter(takes)
  const rows = operations.map(([operation, takingPart]) => ({
    operation,
    sides: Object.fromEntries(
      Object.keys(modules).flatMap((side) => {
        if (side === 'core') {
          return operation in CORE ? [[side, CORE[/** @type {keyof CORE} */ (operation)]]] : []
        }
        return side in takingPart ? [[side, operation]] : []
      }),
    ),
    unit: 'ns per folio',
    scale: 1e6 / dirty,
    repeat: Math.max(1, Math.round(leastFolios / dirty)),
  }))
  return { label, modules, shape, runs: runsOf(quick), warmup: 1, rows }
}

/** The shapes of a file in which a whole program is run: see sides/program.mjs. */
export const SHAPES = {
  dense: {},
  '10 % at random': { folios: 200_000, oneIn: 10 },
  'stride 8': { run: 1, gap: 7 },
  'order 4': { order: 4 },
  'order 9': { order: 9 },
  'runs of 16 with gaps': { run: 16, gap: 16 },
}

/** What the program does, in the order of the table. */
export const SHAPE_OPERATIONS = ['markDirty', 'writePages', 'writeExtents', 'for…of']

/** What the row of a program's operation is called. @param {string} operation */
export function shapeOperation(operation) {
  return `shapes: ${operation}`
}

/**
 * @param {string} label
 * @param {Partial<import('./sides/program.mjs').ProgramShape>} differences
 * @param {boolean} quick
 */
function programScenario(label, differences, quick) {
  const shape = { folios: 100_000, order: 0, run: 1, gap: 0, oneIn: 1, rounds: 20, ...differences }
  if (quick) {
    shape.folios /= 10
    shape.rounds = 2
  }
  const scale = (1e6 * shape.oneIn) / shape.folios
  const rows = SHAPE_OPERATIONS.map((operation) => ({
    operation: shapeOperation(operation),
    sides: { native: operation, js: operation },
    unit: 'ns per folio',
    scale,
    repeat: 1,
  }))
  return { label, modules: { native: 'program', js: 'program' }, shape, runs: quick ? 1 : 4, warmup: 0, rows }
}

/**
 * Pages that are added and dirtied in new memory, one after the other and each with an object, or `bulk`.
 * @param {number} pages
 * @param {boolean} bulk
 * @param {boolean} quick
 */
function memoryScenario(pages, bulk, quick) {
  const modules = { native: 'memory', js: 'memory', ...(!bulk && { plain: 'memory' }) }
  const label = `${grouped(pages)} pages${bulk ? ' in bulk' : ''}`
  /** @param {string} what */
  const sides = (what) => Object.fromEntries(Object.keys(modules).map((side) => [side, what]))
  /** @param {string} operation @param {string} what @param {string} unit @param {number} scale */
  const row = (operation, what, unit, scale) => ({ operation, sides: sides(what), unit, scale, repeat: 1 })
  const rows = [row('memory of a cached dirty page', 'memory', 'bytes', 1 / pages)]
  if (bulk) {
    rows.push(row('addFolios, in new memory', 'adding', 'ns per page', 1e6 / pages))
    rows.push(row('dirtyRange', 'dirtying', 'ns per page', 1e6 / pages))
  }
  return {
    label,
    modules,
    shape: { folios: pages, stride: 1, order: 0, dirtyEvery: 1, bulk },
    // The young generation grows by tens of megabytes, which have nothing to do with the pages.
    flags: ['--max-semi-space-size=1'],
    fresh: true,
    runs: quick ? 1 : 5,
    warmup: 0,
    rows,
  }
}

/** @param {boolean} quick */
function runsOf(quick) {
  return quick ? 2 : 15
}

/**
 * @param {boolean} quick - a little of everything, to see that it works
 * @returns {Scenario[]}
 */
export function scenarios(quick) {
  const runs = runsOf(quick)
  const sizes = quick ? [1_000, 10_000] : [1_000, 100_000, 1_000_000, 10_000_000]
  const base = quick ? 10_000 : 100_000
  const bySize = sizes.map((folios) => cacheScenario(`${grouped(folios)} folios`, { folios }, quick))

  const largest = bySize[bySize.length - 1]
  largest.rows.push({
    operation: `sync of 16 dirty folios among ${grouped(largest.shape.folios)}`,
    sides: { native: 'scattered', js: 'scattered', plain: 'scattered' },
    unit: 'µs',
    scale: 1e3,
    repeat: 20,
  })

  const memoryPages = quick ? 100_000 : 1_000_000
  const filePages = quick ? 512 : 65_536
  return [
    ...bySize,
    ...Object.entries(SHAPES).map(([label, differences]) => programScenario(label, differences, quick)),
    cacheScenario('stride 8', { folios: base, stride: 8 }, quick),
    cacheScenario('stride 64', { folios: base, stride: 64 }, quick),
    cacheScenario('order 4', { folios: base, order: 4 }, quick),
    cacheScenario('order 9', { folios: base, order: 9 }, quick),
    cacheScenario('10 % dirty', { folios: base, dirtyEvery: 10 }, quick),
    cacheScenario('1 % dirty', { folios: base, dirtyEvery: 100 }, quick),
    memoryScenario(memoryPages, false, quick),
    memoryScenario(memoryPages, true, quick),
    {
      label: `${grouped(filePages * 4)} KiB`,
      modules: { native: 'file', js: 'file', 'fs.writeSync': 'file' },
      shape: { pages: filePages },
      runs,
      warmup: 1,
      rows: [
        {
          operation: 'CachedFile: 4 KiB random writes, then fsync',
          sides: { native: 'file', js: 'file', 'fs.writeSync': 'file' },
          unit: 'ms',
          scale: 1,
          repeat: 1,
        },
      ],
    },
    ...fileScenarios(quick),
    ...asyncScenarios(base, quick),
    partsScenario(base, runs),
  ]
}

/** The row of `npm start`, and the table of SQLite, of which targets.mjs has the targets. */
export const BUILTIN = 'the built-in workload'
export const SQLITE = 'files: SQLite'
/** Journal mode and `pragma synchronous`. */
export const SQLITE_MODES = ['DELETE, FULL', 'DELETE, NORMAL', 'WAL, FULL', 'WAL, NORMAL']

const FIRST = { module: 'file_work', fresh: true, warmup: 0 }
/**
 * Of each table, the module of sides/, the unit, and whether each measurement is the first of a new process.
 * @type {Record<string, { module: string, unit: string, fresh: boolean, warmup: number }>}
 */
const FILE_TABLES = {
  files: { ...FIRST, unit: 'ms' },
  'files: CPU': { ...FIRST, unit: 'ms' },
  'files: memory': { ...FIRST, unit: 'MiB more' },
  'files: worker threads': { ...FIRST, unit: 'ms' },
  // A database stays open, and its program runs for long.
  [SQLITE]: { module: 'sqlite', unit: 'µs per transaction', fresh: false, warmup: 3 },
}

/**
 * What programs do with files.
 * @param {boolean} quick
 * @returns {Scenario[]}
 */
function fileScenarios(quick) {
  const scale = quick ? 64 : 1
  const SIDES = ['native', 'js', 'fs']
  /**
   * @param {string} table
   * @param {string} label
   * @param {string} operation
   * @param {string[]} names
   * @param {number} [repeat]
   */
  const scenario = (table, label, operation, names, repeat = 1) => {
    const { module, unit, fresh, warmup } = FILE_TABLES[table]
    return {
      label,
      modules: Object.fromEntries(names.map((name) => [name, module])),
      shape: { scale },
      fresh,
      runs: quick ? 1 : 5,
      warmup,
      rows: [
        {
          operation: table,
          sides: Object.fromEntries(names.map((name) => [name, operation])),
          unit,
          scale: 1,
          repeat,
        },
      ],
    }
  }
  return [
    scenario('files', BUILTIN, 'builtin', SIDES),
    scenario('files', '65,536 random 4 KiB writes, fsync, first run', 'first', [...SIDES, 'device']),
    scenario('files', '1 GiB by 64 KiB, fsync, memory 64 MiB', 'sequential', [...SIDES, 'device']),
    scenario('files', 'open, 4 KiB, fsync, close, unlink', 'create', SIDES, quick ? 2 : 100),
    scenario('files', '200,000 cached random 4 KiB reads of 256 MiB', 'reads', [...SIDES, 'memory']),
    scenario('files', '200,000 cached random 4 KiB reads of 1 MiB', 'reads of 1 MiB', [...SIDES, 'memory']),
    scenario('files', 'longest stall in await fsync() of 256 MiB', 'stall', SIDES),
    ...SQLITE_MODES.map((mode) => scenario(SQLITE, mode, mode, SIDES)),
    scenario('files: CPU', '50,000 random 4 KiB writes over 8 GiB', 'sparse', SIDES),
    scenario('files: memory', '1 GiB written, memory 64 MiB', 'memory, written', SIDES),
    scenario('files: memory', '1 GiB read, memory 64 MiB', 'memory, read', SIDES),
    scenario('files: worker threads', '65,536 pages', 'threads', ['1', '2']),
    scenario('files: worker threads', '65,536 copies in memory', 'copies', ['1', '2']),
  ]
}

/** @param {number} folios @param {boolean} quick @returns {Scenario[]} */
function asyncScenarios(folios, quick) {
  // Thirty times the bound, so that the beginning and the end of a pass, when fewer are under way, count for
  // little.
  const writes = quick ? 32 : 480
  const shape = { folios, writes }
  const atOnce = { scale: 1e6 / folios, repeat: 1 }
  return [
    {
      label: 'resolved at once',
      modules: { native: 'async', js: 'async' },
      shape,
      runs: runsOf(quick),
      warmup: 1,
      rows: [
        {
          ...atOnce,
          operation: 'writePagesAsync',
          unit: 'ns per folio',
          sides: { native: 'writePagesAsync', js: 'writePagesAsync' },
        },
        {
          ...atOnce,
          operation: 'writeExtentsAsync',
          unit: 'ns per extent of one page',
          sides: { native: 'writeExtentsAsync', js: 'writeExtentsAsync' },
        },
      ],
    },
    {
      label: '5 ms per write, 16 at once',
      modules: { native: 'async', js: 'async', 'await each': 'async' },
      shape,
      runs: quick ? 1 : 3,
      warmup: 0,
      rows: [
        {
          operation: 'a slow device',
          sides: { native: 'slow', js: 'slow', 'await each': 'await each' },
          unit: 'ms per write',
          scale: 1 / writes,
          repeat: 1,
        },
      ],
    },
  ]
}

/** The passes whose time is taken apart, and which operation is what they run of their user's code. */
export const PARTED = { writeExtents: null, writePages: 'callback', writebackIter: 'body', 'for…of': 'body' }

/** @param {number} folios @param {number} runs @returns {Scenario} */
function partsScenario(folios, runs) {
  const aFolio = { unit: 'ns per folio', scale: 1e6 / folios, repeat: 1 }
  const counted = { unit: 'calls per folio', scale: 1 / folios, repeat: 1 }
  return {
    label: 'parts',
    modules: { native: 'backend', addon: 'addon' },
    shape: { folios, stride: 1, order: 0, dirtyEvery: 1 },
    runs,
    warmup: 1,
    rows: [
      { operation: 'empty call', sides: { addon: 'empty call' }, unit: 'ns per call', scale: 1e6, repeat: 1 },
      { ...aFolio, operation: 'callback', sides: { native: 'callback' } },
      ...['body', ...Object.keys(PARTED)].flatMap((operation) => [
        // All of the time, and that within the addon.
        { ...aFolio, operation, sides: { native: operation, addon: operation } },
        { ...counted, operation: `${operation}: calls`, sides: { addon: `${operation}: calls` } },
      ]),
    ],
  }
}
