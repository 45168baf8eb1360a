// SPDX-License-Identifier: GPL-2.0-only
// The entry points of the built package, as a user's program gets them.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { selectBackend } from '../lib/backend.js'
import { AddressSpace, type Folio, WritebackControl, WritebackError } from '../lib/index.js'
import { nativeMissing } from './backends.js'

const root = join(__dirname, '..')
const picked = nativeMissing === null ? 'native' : 'js'
const NAMES = [
  'AOP_WRITEPAGE_ACTIVATE',
  'AddressSpace',
  'WritebackControl',
  'WritebackError',
  'backend',
  'writeCachePages',
  'writebackIter',
]

beforeAll(() => {
  if (!existsSync(join(root, 'dist/index.js'))) throw new Error('dist is not built: npm run build:ts')
})

/** Runs a program that imports the package by its name. */
function program(type: 'commonjs' | 'module', text: string, forced?: string, cwd = root) {
  const env = { ...process.env }
  if (forced === undefined) delete env.WRITEBACK_ITER_BACKEND
  else env.WRITEBACK_ITER_BACKEND = forced
  return spawnSync(process.execPath, [`--input-type=${type}`, '--eval', text], {
    cwd,
    encoding: 'utf8',
    env,
  })
}

describe.each([
  ['commonjs', (name: string) => `const m = require('${name}');`],
  ['module', (name: string) => `import * as m from '${name}';`],
] as const)('%s', (type, load) => {
  test('the default entry: the native backend if it is built', () => {
    const show = 'console.log(m.backend, new m.AddressSpace().addFolio(4, 2).nrPages)'
    const { stdout, stderr } = program(type, load('writeback-iter') + show)
    expect(stderr).toBe('')
    expect(stdout).toBe(`${picked} 4\n`)
  })

  test.each(['', '/js', ...(picked === 'native' ? ['/native'] : [])])('writeback-iter%s exports', (entry) => {
    const keys = program(
      type,
      `${load(`writeback-iter${entry}`)} console.log(JSON.stringify(Object.keys(m)))`,
    )
    expect(keys.stderr).toBe('')
    expect(JSON.parse(keys.stdout)).toEqual(expect.arrayContaining(NAMES))
  })

  test('WRITEBACK_ITER_BACKEND forces one', () => {
    const text = `${load('writeback-iter')} console.log(m.backend)`
    expect(program(type, text, 'js').stdout).toBe('js\n')
    expect(program(type, text, '').stdout).toBe(`${picked}\n`)
    const wrong = program(type, text, 'rust')
    expect(wrong.stderr).toContain('EINVAL: WRITEBACK_ITER_BACKEND is "rust", expected native or js')
    expect(wrong.status).not.toBe(0)
  })
})

describe('where the addon is not built', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'writeback-iter-entry-'))
    cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
    cpSync(join(root, 'package.json'), join(folder, 'package.json'))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('the default entry is the TypeScript backend', () => {
    const { stdout, stderr } = program(
      'commonjs',
      "console.log(require('writeback-iter').backend)",
      '',
      folder,
    )
    expect(stderr).toBe('')
    expect(stdout).toBe('js\n')
  })

  test('forcing the native backend is an error that names the cause', () => {
    const { stderr, status } = program('commonjs', "require('writeback-iter')", 'native', folder)
    expect(stderr).toMatch(/Error: the native backend does not load: No native build was found/)
    expect(status).not.toBe(0)
  })
})

test('the default entry is the selected backend, as values and as types', () => {
  const mapping: AddressSpace = new AddressSpace()
  const folio: Folio = mapping.addFolio(1)
  const wbc: WritebackControl = new WritebackControl({ syncMode: 'all' })
  expect(mapping).toBeInstanceOf(selectBackend().AddressSpace)
  expect(folio.mapping).toBe(mapping)
  expect(wbc.syncMode).toBe('all')
  expect(() => mapping.addFolio(1)).toThrow(WritebackError)
  mapping.close()
})
