// SPDX-License-Identifier: GPL-2.0-only
// The benchmark measures what it claims to measure. No test can check the times themselves.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PlainCache, PlainControl } from '../bench/plain.mjs'
import { plots } from '../bench/plots.mjs'
import { markdown, tables } from '../bench/report.mjs'
import type { Results } from '../bench/run.mjs'
import { SHAPES, scenarios } from '../bench/scenarios.mjs'
import { runProgram } from '../bench/sides/program.mjs'
import { TARGETS } from '../bench/targets.mjs'
import * as js from '../lib/js/index.js'
import type { Backend } from '../lib/types.js'
import { nativeMissing } from './backends.js'
import { EIO, indices } from './helpers.js'

const root = join(__dirname, '..')

function bench(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['bench/run.mjs', '--quick', ...args], { cwd: root, encoding: 'utf8' })
}

describe.skipIf(nativeMissing !== null)('npm run bench -- --quick', () => {
  const directory = mkdtempSync(join(tmpdir(), 'writeback-iter-bench-test-'))
  const file = join(directory, 'bench.json')
  let stdout = ''
  let results: Results

  beforeAll(() => {
    const { status, stderr, ...said } = bench('--filter', '1,000 folios', '--json', file)
    expect(status, stderr).toBe(0)
    stdout = said.stdout
    results = JSON.parse(readFileSync(file, 'utf8'))
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  test('names the machine', () => {
    expect(results.machine).toMatchObject({
      node: process.version,
      v8: process.versions.v8,
      architecture: process.arch,
    })
    expect(results.machine.compiler).toMatch(/^(GCC|clang)/)
    expect(stdout).toMatch(process.version)
  })

  test('has each row with all its sides, and figures that are in order', () => {
    expect(results.rows.map((row) => row.operation)).toEqual([
      'markDirty, newly dirty',
      'markDirty, already dirty',
      'writePages',
      'writeExtents',
      'writebackIter',
      'for…of',
    ])
    const sides = Object.fromEntries(results.rows.map((row) => [row.operation, Object.keys(row.sides)]))
    expect(sides.writePages).toEqual([
      'core',
      'native',
      'js',
      'plain',
      'Map + sort',
      'sorted-btree',
      'typedfastbitset',
    ])
    expect(sides.writeExtents).toEqual(['core', 'native', 'js'])
    for (const row of results.rows) {
      expect(row).toMatchObject({ label: '1,000 folios', unit: 'ns per folio', shape: { folios: 1000 } })
      for (const { min, median, max, runs } of Object.values(row.sides)) {
        expect(min).toBeGreaterThan(0)
        expect(median).toBeGreaterThanOrEqual(min)
        expect(max).toBeGreaterThanOrEqual(median)
        expect(runs).toBe(results.runs)
      }
    }
  })

  test('prints a table, with the least figures and their ratio', () => {
    const row = results.rows.find(({ operation }) => operation === 'writeExtents')
    const ratio = (row?.sides.js.min as number) / (row?.sides.native.min as number)
    const [, table] = stdout.split('writeExtents (ns per folio)\n')
    expect(table).toMatch(/^ +core +native +js +js \/ native\n/)
    expect(table).toMatch(new RegExp(`^1,000 folios .* ${ratio.toFixed(2)} ×$`, 'm'))
  })

  test('makes tables and plots of the results', () => {
    expect(tables(results).map(markdown).join('\n')).toMatch(
      /\| 1,000 folios \|( [\d.,]+ \|){7} [\d.]+ × \|\n/,
    )
    const drawn = plots(results)
    expect(Object.keys(drawn)).toContain('write-pages.svg')
    expect(drawn['write-pages.svg']).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/)
    expect(drawn['write-pages.svg']).toMatch('>sorted-btree</text>')
  })

  test('runs the program of each shape on both backends, and shows their ratios', () => {
    const { status, stdout, stderr } = bench('--filter', 'shapes: writeExtents')
    expect(status, stderr).toBe(0)
    const [table] = stdout.split('shapes: time of js / time of native\n')[1].split('\n\n')
    for (const shape of Object.keys(SHAPES)) {
      expect(table).toMatch(new RegExp(`^${shape} +– +– +[\\d.]+ +–$`, 'm'))
    }
    expect(stdout).toMatch(/^writeExtents, dense +js [\d.]+, native [\d.]+ +[\d.]+ × +≥ 5 × +8 × /m)
  })

  test('does the work of programs with files on each side', () => {
    const { status, stdout, stderr } = bench('--filter', 'files')
    expect(status, stderr).toBe(0)
    expect(stdout).toMatch(
      /^ +native +js +fs +device +memory +js \/ native\nthe built-in workload .*\n(?:.* fsync, .* +[\d.,]+ ×\n){3}/m,
    )
    expect(stdout).toMatch(/^SQLite, WAL, FULL +fs [\d.]+, native [\d.]+ +[\d.]+ × +≥ 1 × +1.5 × /m)
    expect(stdout).toMatch(/^two worker threads .* 1 [\d.]+, 2 [\d.]+ /m)
  })

  test('says so where no row matches', () => {
    expect(bench('--filter', 'nothing at all')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('no row has "nothing at all" in its name'),
    })
  })
})

test('each target is of a row that is measured', () => {
  const rows = scenarios(false).flatMap(({ label, rows }) => rows.map((row) => ({ ...row, label })))
  for (const { operation, label = '100,000 folios', sides, atMost, growth } of TARGETS) {
    const measured = rows.find((row) => row.operation === operation && row.label === label)
    expect(Object.keys(measured?.sides ?? {})).toEqual(
      expect.arrayContaining(sides ?? [atMost ?? growth ?? 'native']),
    )
  }
})

test('the program dirties the given part of its folios, and finds each of them in each pass', () => {
  const shape = { folios: 1000, order: 1, run: 4, gap: 3, oneIn: 4, rounds: 1 }
  const seen: number[] = []
  class Counting extends js.AddressSpace {
    override addFolio(index: number, order?: number) {
      seen.push(index)
      return super.addFolio(index, order)
    }
  }
  const least = runProgram({ ...js, AddressSpace: Counting } as Backend, shape)
  expect([...least.keys()]).toEqual(['markDirty', 'writePages', 'writeExtents', 'for…of'])
  expect(seen.slice(0, 6)).toEqual([0, 2, 4, 6, 14, 16])
  class Forgetful extends js.AddressSpace {
    override writePages() {
      return 0
    }
  }
  expect(() => runProgram({ ...js, AddressSpace: Forgetful } as Backend, shape)).toThrow('instead of')
})

// The comparison with the plain implementation is fair only if that does the same work: the test does the
// same random operations on it and on the TypeScript backend.
describe('the plain implementation', () => {
  const PAGES = 120
  const page = fc.nat(PAGES - 1)
  const operation = fc.oneof(
    fc.record({ do: fc.constant('add' as const), page }),
    fc.record({ do: fc.constant('dirty' as const), page }),
    fc.record({ do: fc.constant('remove' as const), page }),
    fc.record({
      do: fc.constant('pass' as const),
      syncAll: fc.boolean(),
      nrToWrite: fc.integer({ min: 1, max: 50 }),
      // Folios that cannot be written, are dirtied again while they are, or removed once they are.
      failing: fc.array(page, { maxLength: 3 }),
      dirtied: fc.array(page, { maxLength: 20 }),
      throwing: fc.option(page),
    }),
  )

  test('does what the TypeScript backend does', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 100 }), (operations) => {
        const cache = new PlainCache()
        const mapping = new js.AddressSpace()
        const plain = new Map<number, ReturnType<PlainCache['add']>>()
        // Enough for several batches.
        for (let index = 0; index < PAGES; index += 2) {
          plain.set(index, cache.add(index, 0))
          plain.get(index)?.markDirty()
          mapping.addFolio(index).markDirty()
        }

        for (const step of operations) {
          if (step.do === 'add') {
            if (plain.has(step.page)) continue
            plain.set(step.page, cache.add(step.page, 0))
            mapping.addFolio(step.page)
          } else if (step.do === 'dirty') {
            expect(plain.get(step.page)?.markDirty()).toBe(mapping.getFolio(step.page)?.markDirty())
          } else if (step.do === 'remove') {
            const folio = plain.get(step.page)
            if (folio === undefined) continue
            cache.remove(folio)
            plain.delete(step.page)
            mapping.removeFolio(mapping.getFolio(step.page) as js.Folio)
          } else {
            const run = (
              pass: (write: (folio: { index: number; markDirty(): boolean }) => number) => number,
            ) => {
              const written: (number | string)[] = []
              try {
                const result = pass((folio) => {
                  written.push(folio.index)
                  if (step.dirtied.includes(folio.index)) folio.markDirty()
                  if (folio.index === step.throwing) throw new Error('stop')
                  return step.failing.includes(folio.index) ? -EIO : 0
                })
                return [...written, `result ${result}`]
              } catch (error) {
                return [...written, (error as Error).message]
              }
            }
            const { syncAll, nrToWrite } = step
            const wbc = new js.WritebackControl({ syncMode: syncAll ? 'all' : 'none', nrToWrite })
            expect(run((write) => cache.writePages(new PlainControl({ syncAll, nrToWrite }), write))).toEqual(
              run((write) => mapping.writePages(wbc, write)),
            )
          }
          for (const mark of ['dirty', 'towrite', 'writeback'] as const) {
            expect(cache.marked(mark).map(({ index }) => index)).toEqual(indices(mapping.folios(mark)))
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})
