// SPDX-License-Identifier: GPL-2.0-only
// The lifetime of the backends: garbage collection, threads, exits, contexts. Each test is in a child
// process, so that a signal that ends it is noticed.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { backends } from './backends.js'

const root = join(__dirname, '..')

/**
 * Iterations of the test that memory stays flat: a byte of each would show. `npm run check -- life` makes it
 * 10^8.
 */
const ITERATIONS = process.env.WRITEBACK_ITER_ITERATIONS ?? '2000000'

const WAYS = ['writebackIter', 'forOf', 'writePages', 'writeExtents', 'writeCachePages', 'folios']

beforeAll(() => {
  if (!existsSync(join(root, 'dist/index.js'))) throw new Error('dist is not built: npm run build:ts')
})

function run(program: string, backend: string, argument = '') {
  const args = ['--expose-gc', join(root, 'test/life/programs.mjs'), program, backend, argument]
  const { status, signal, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  return { status, signal, stderr }
}

const FINE = { status: 0, signal: null, stderr: '' }

describe.each(backends.map(({ backend }) => backend))('%s', (backend) => {
  test.each([
    ['garbage collection in mid-iteration', 'collectInMidIteration'],
    ['abandoned passes are collected', 'abandonPasses'],
    ['abandoned mappings are collected', 'abandonMappings'],
    ['20,000 mappings at once', 'manyMappings'],
    ['a million mappings, closed one after another', 'closeAtOnce'],
    ['16 threads load it, use it and are gone', 'workers'],
    ['threads are terminated in mid-pass', 'terminateWorkers'],
    ['threads end themselves in mid-pass', 'exitWorkers'],
    ['close() during a pass', 'closeInPass'],
    ['the modules loaded several times', 'loadTwice'],
    ['several contexts', 'contexts'],
    ['a full stack', 'overflowStack'],
    ['garbage collection in a pass that awaits', 'collectInAsyncPass'],
    ['passes that await and end early', 'endAsyncPasses'],
  ])('%s', (_, program) => {
    expect(run(program, backend)).toEqual(FINE)
  })

  test(`${Number(ITERATIONS).toExponential()} iterations, flat memory`, () => {
    expect(run('iterateForLong', backend, ITERATIONS)).toEqual(FINE)
  }, 1_200_000)

  test(`${Number(ITERATIONS) / 20} passes, left in every way, flat memory`, () => {
    expect(run('leavePasses', backend, String(Number(ITERATIONS) / 20))).toEqual(FINE)
  }, 1_200_000)

  test(`${Number(ITERATIONS).toExponential()} writes of passes that await, flat memory`, () => {
    expect(run('awaitForLong', backend, ITERATIONS)).toEqual(FINE)
  }, 1_200_000)

  test('process exit while writes are under way', () => {
    expect(run('exitInAsyncPass', backend)).toEqual({ ...FINE, status: 7 })
  })

  // Node.js itself prints a line where the stack ends while a promise is rejected.
  test('passes that await, begun near the end of the stack', () => {
    expect(run('overflowStackAsync', backend)).toMatchObject({ status: 0, signal: null })
  })

  test.each(WAYS)('process exit in mid-pass, with open mappings: %s', (way) => {
    expect(run('exitInPass', backend, way)).toEqual({ ...FINE, status: 7 })
  })

  test.each(WAYS)('an exception that nobody catches: %s', (way) => {
    const { status, signal, stderr } = run('throwInPass', backend, way)
    expect({ status, signal }).toEqual({ status: 1, signal: null })
    expect(stderr).toContain('Error: out of a pass')
  })
})
