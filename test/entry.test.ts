// SPDX-License-Identifier: GPL-2.0-only
// The entry points of the built package, loaded by name from the folder of a user's program.

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { selectBackend } from '../lib/backend.js'
import { AddressSpace, type Folio, WritebackControl, WritebackError } from '../lib/index.js'
import { nativeMissing } from './backends.js'

const root = join(__dirname, '..')
const picked = nativeMissing === null ? 'native' : 'js'
const BACKEND_NAMES = [
  'AOP_WRITEPAGE_ACTIVATE',
  'AddressSpace',
  'WritebackControl',
  'WritebackError',
  'backend',
  'writeCachePages',
  'writebackIter',
]

let folder: string
/** A program's folder, with the package as it stands here. */
let user: string
/** A program's folder whose package has no addon. */
let unbuilt: string
/** A program's folder whose package has an addon that is not a shared library. */
let broken: string
/** A program's folder whose package has an addon, but not node-gyp-build. */
let unlinked: string
/** A program's folder whose package has an addon that ends the process when it is loaded. */
let crashing: string

/** A program's folder, with a copy of the package in it. */
function copyPackage(name: string): string {
  const home = join(folder, name)
  const copy = join(home, 'node_modules/writeback-iter')
  mkdirSync(copy, { recursive: true })
  cpSync(join(root, 'dist'), join(copy, 'dist'), { recursive: true })
  for (const file of ['package.json', 'binding.js']) cpSync(join(root, file), join(copy, file))
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return home
}

beforeAll(() => {
  if (!existsSync(join(root, 'dist/index.js'))) throw new Error('dist is not built: npm run build:ts')
  folder = mkdtempSync(join(tmpdir(), 'writeback-iter-entry-'))
  user = join(folder, 'user')
  mkdirSync(join(user, 'node_modules'), { recursive: true })
  symlinkSync(root, join(user, 'node_modules/writeback-iter'))
  unbuilt = copyPackage('unbuilt')
  broken = copyPackage('broken')
  const release = join(broken, 'node_modules/writeback-iter/build/Release')
  mkdirSync(release, { recursive: true })
  writeFileSync(join(release, 'writeback_iter.node'), 'not a shared library')
  unlinked = copyPackage('unlinked')
  rmSync(join(unlinked, 'node_modules/writeback-iter/node_modules'))
  crashing = copyPackage('crashing')
  const source = join(folder, 'crash.c')
  writeFileSync(
    source,
    '#include <stdlib.h>\n__attribute__((constructor)) static void crash(void) { abort(); }\n',
  )
  const addon = join(crashing, 'node_modules/writeback-iter/build/Release/writeback_iter.node')
  mkdirSync(dirname(addon), { recursive: true })
  execFileSync('gcc', ['-shared', '-fPIC', '-o', addon, source])
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function userEnv(): NodeJS.ProcessEnv {
  const env = { ...process.env }
  delete env.WRITEBACK_ITER_BACKEND
  return env
}

/** Runs a program in a folder, with WRITEBACK_ITER_BACKEND set if one is forced. */
function program(type: 'commonjs' | 'module', text: string, forced?: string, cwd = user) {
  const env = userEnv()
  if (forced !== undefined) env.WRITEBACK_ITER_BACKEND = forced
  return spawnSync(process.execPath, [`--input-type=${type}`, '--eval', text], { cwd, encoding: 'utf8', env })
}

/** The program's stdout; its stderr must be empty. */
function output(...args: Parameters<typeof program>): string {
  const { stdout, stderr } = program(...args)
  expect(stderr).toBe('')
  return stdout
}

/** Expects the program to fail with this text among its errors. */
function expectFailure(text: string | RegExp, ...args: Parameters<typeof program>): void {
  const { status, stderr } = program(...args)
  expect(stderr).toMatch(text)
  expect(status).not.toBe(0)
}

describe.each([
  ['commonjs', (name: string) => `const m = require('${name}');`],
  ['module', (name: string) => `import * as m from '${name}';`],
] as const)('%s', (type, load) => {
  test('the default entry: the native backend if it is built', () => {
    const show = 'console.log(m.backend, new m.AddressSpace().addFolio(4, 2).nrPages)'
    expect(output(type, load('writeback-iter') + show)).toBe(`${picked} 4\n`)
  })

  test.each(['', '/js', ...(picked === 'native' ? ['/native'] : [])])('writeback-iter%s exports', (entry) => {
    const show = 'console.log(JSON.stringify([m.backend, Object.keys(m)]))'
    const [backend, keys] = JSON.parse(output(type, load(`writeback-iter${entry}`) + show))
    expect(backend).toBe(entry === '' ? picked : entry.slice(1))
    expect(keys).toEqual(expect.arrayContaining(BACKEND_NAMES))
  })

  test('writeback-iter/file exports CachedFile and the errors', () => {
    const show = 'console.log(typeof m.CachedFile.open, m.WritebackError.name)'
    expect(output(type, load('writeback-iter/file') + show)).toBe('function WritebackError\n')
  })

  test('WRITEBACK_ITER_BACKEND forces one; empty, it forces none', () => {
    const text = `${load('writeback-iter')} console.log(m.backend)`
    expect(output(type, text, 'js')).toBe('js\n')
    expect(output(type, text, picked)).toBe(`${picked}\n`)
    expect(output(type, text, '')).toBe(`${picked}\n`)
  })

  test('WRITEBACK_ITER_BACKEND of another value is an error that names it', () => {
    const text = load('writeback-iter')
    expectFailure(/EINVAL: WRITEBACK_ITER_BACKEND is "rust", expected native or js/, type, text, 'rust')
  })

  test('what it forces does not concern the entries that name a backend', () => {
    expect(output(type, `${load('writeback-iter/js')} console.log(m.backend)`, 'rust')).toBe('js\n')
  })

  test('nothing else of the package can be loaded', () => {
    expectFailure(/ERR_PACKAGE_PATH_NOT_EXPORTED/, type, load('writeback-iter/dist/js/xarray.js'))
  })
})

test('require and import give the same classes', () => {
  const text = `
    import { createRequire } from 'node:module'
    import * as imported from 'writeback-iter'
    import * as js from 'writeback-iter/js'
    import { WritebackError } from 'writeback-iter/file'
    const require = createRequire(process.cwd() + '/')
    const required = require('writeback-iter')
    console.log(required.AddressSpace === imported.AddressSpace, required.writebackIter === imported.writebackIter)
    console.log(require('writeback-iter/js').Folio === js.Folio, imported.WritebackError === WritebackError)
  `
  expect(output('module', text)).toBe('true true\ntrue true\n')
})

describe('copies of the module in one thread share the cache of a file', () => {
  /**
   * Both have a handle, and write a page each; the cache of neither is written back before the other one
   * opens.
   */
  const both = (first: string, second: string) => `
    const { readFileSync, rmSync } = require('node:fs')
    const first = ${first}
    const second = ${second}
    const path = ${JSON.stringify(join(tmpdir(), `writeback-iter-copies-${process.pid}`))}
    const a = first.CachedFile.openSync(path)
    a.writeSync(Buffer.from('first'), 0)
    const b = second.CachedFile.openSync(path)
    const seen = Buffer.alloc(5)
    b.readSync(seen, 0)
    b.writeSync(Buffer.from('second'), 4096)
    b.truncateSync(8192)
    const size = a.size
    a.closeSync()
    b.closeSync()
    const bytes = readFileSync(path)
    rmSync(path)
    console.log(first.CachedFile !== second.CachedFile, String(seen), size)
    console.log(bytes.toString('utf8', 0, 5), bytes.toString('utf8', 4096, 4102), bytes.length)`

  test('one that was loaded again', () => {
    const again = `(() => {
      for (const name of Object.keys(require.cache)) if (!name.endsWith('.node')) delete require.cache[name]
      return require('writeback-iter/file')
    })()`
    expect(output('commonjs', both("require('writeback-iter/file')", again))).toBe(
      'true first 8192\nfirst second 8192\n',
    )
  })

  test('two that are installed, of which one is on the other backend', () => {
    const other = `require(${JSON.stringify(join(unbuilt, 'node_modules/writeback-iter/dist/file/index.js'))})`
    for (const [first, second] of [
      ["require('writeback-iter/file')", other],
      [other, "require('writeback-iter/file')"],
    ]) {
      expect(output('commonjs', both(first, second))).toBe('true first 8192\nfirst second 8192\n')
    }
  })
})

describe.each([
  ['is not built', () => unbuilt, /No native build was found/],
  ['is no shared library', () => broken, /writeback_iter\.node/],
  ['has no node-gyp-build to load it', () => unlinked, /Cannot find module 'node-gyp-build'/],
] as const)('where the addon %s', (_, home, cause) => {
  test('the default entry is the TypeScript backend, without a word', () => {
    const text =
      "const m = require('writeback-iter'); console.log(m.backend, new m.AddressSpace().addFolio(4, 2).nrPages)"
    expect(output('commonjs', text, undefined, home())).toBe('js 4\n')
    const module = "import { backend } from 'writeback-iter'; console.log(backend)"
    expect(output('module', module, undefined, home())).toBe('js\n')
  })

  test('writeback-iter/js and /file work', () => {
    const text = "require('writeback-iter/file'); console.log(require('writeback-iter/js').backend)"
    expect(output('commonjs', text, undefined, home())).toBe('js\n')
  })

  test.each([
    ['forcing the native backend', 'writeback-iter', 'native'],
    ['writeback-iter/native', 'writeback-iter/native', undefined],
  ])('%s is an error that names the cause', (_, name, forced) => {
    for (const [type, text] of [
      ['commonjs', `require('${name}')`],
      ['module', `import '${name}'`],
    ] as const) {
      const { status, stderr } = program(type, text, forced, home())
      expect(stderr).toMatch(/WritebackError: ELIBACC: the native backend does not load: .+/)
      expect(stderr).toMatch(/code: 'ELIBACC'/)
      expect(stderr).toMatch(cause)
      expect(status).not.toBe(0)
    }
  })
})

test('where the addon is not built, import() of the native entry can be caught', () => {
  const text = "await import('writeback-iter/native').catch((error) => console.log(error.message))"
  expect(output('module', text, undefined, unbuilt)).toMatch(
    /^ELIBACC: the native backend does not load: .+\n$/,
  )
})

describe('an addon that ends the process when it is loaded', () => {
  const FILE = "const file = require('writeback-iter/file').CachedFile.openSync"

  test('ends it where it is asked for', () => {
    expect(program('commonjs', "require('writeback-iter')", undefined, crashing).signal).toBe('SIGABRT')
  })

  test('stays out of it with WRITEBACK_ITER_BACKEND=js', () => {
    const show = "console.log(require('writeback-iter').backend)"
    expect(output('commonjs', show, 'js', crashing)).toBe('js\n')
    expect(
      output('module', "import { backend } from 'writeback-iter'; console.log(backend)", 'js', crashing),
    ).toBe('js\n')
    expect(output('commonjs', `${FILE}('data'); console.log(file.engine)`, 'js', crashing)).toBe('js\n')
  })

  test('stays out of it where the program, or the command, names the TypeScript backend', () => {
    expect(output('commonjs', "console.log(require('writeback-iter/js').backend)", undefined, crashing)).toBe(
      'js\n',
    )
    const file = `${FILE}('data', { engine: 'js' }); console.log(file.engine)`
    expect(output('commonjs', file, undefined, crashing)).toBe('js\n')
    const main = join(crashing, 'node_modules/writeback-iter/dist/cli/main.js')
    const args = [main, 'replay', '--backend', 'js', join(root, 'test/fixtures/traces')]
    expect(spawnSync(process.execPath, args, { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
  })
})

test('nothing of the addon is in a process that only uses the TypeScript backend', () => {
  const loaded = `Object.keys(require.cache).filter((name) => /node-gyp-build|binding\\.js|\\.node$/.test(name)).length`
  const text = (entry: string) => `require('${entry}'); console.log(${loaded})`
  for (const entry of ['writeback-iter', 'writeback-iter/file']) {
    expect(output('commonjs', text(entry), 'js')).toBe('0\n')
  }
  expect(output('commonjs', text('writeback-iter/js'))).toBe('0\n')
  expect(output('commonjs', text('writeback-iter/file'))).toBe('0\n')
  if (picked === 'native') expect(output('commonjs', text('writeback-iter'))).toBe('4\n')
})

describe("under Node.js's permission model", () => {
  const flag = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission'

  test.each([
    ['the package', () => [join(unlinked, '*')]],
    ['the package and node-gyp-build', () => [join(unlinked, '*'), join(root, 'node_modules/*')]],
  ])('reading %s is enough for every entry', (_, allowed) => {
    const readable = allowed().map((path) => `--allow-fs-read=${path}`)
    const writable = `--allow-fs-write=${join(unlinked, '*')}`
    writeFileSync(
      join(unlinked, 'program.cjs'),
      `const { CachedFile } = require('writeback-iter/file')
       const main = require('writeback-iter')
       const file = CachedFile.openSync(${JSON.stringify(join(unlinked, 'data'))})
       file.writeSync(Buffer.from('bytes'), 0)
       console.log(main.backend, require('writeback-iter/js').backend, file.size)
       file.closeSync()
       try { require('writeback-iter/native') } catch (error) { console.log(error.code) }`,
    )
    const args = ['--no-warnings', flag, ...readable, writable, join(unlinked, 'program.cjs')]
    const { stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: unlinked,
      encoding: 'utf8',
      env: userEnv(),
    })
    expect(stderr).toBe('')
    expect(stdout).toBe('js js 5\nELIBACC\n')
  })
})

test('where the addon is not built, NODE_DEBUG says so in one line', () => {
  const env = { ...process.env, NODE_DEBUG: 'writeback-iter' }
  const args = ['--eval', "require('writeback-iter')"]
  const { stderr } = spawnSync(process.execPath, args, { cwd: unbuilt, encoding: 'utf8', env })
  expect(stderr).toMatch(
    /^WRITEBACK-ITER \d+: ELIBACC: the native backend does not load: .+; the TypeScript backend is used\n$/,
  )
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

describe('types', () => {
  const CONSUMER = `
import {
  AddressSpace, AOP_WRITEPAGE_ACTIVATE, backend, type Extent, type Folio, type Mark, type WaitReason,
  WritebackControl, WritebackError, type WritebackIterator, writebackIter, writeCachePages,
} from 'writeback-iter'
import * as js from 'writeback-iter/js'
import * as native from 'writeback-iter/native'

export function loop(mapping: AddressSpace, wbc: WritebackControl): number {
  const error = { value: 0 }
  let folio: Folio | null = null
  while ((folio = writebackIter(mapping, wbc, folio, error)) !== null) {
    folio.startWriteback()
    folio.unlock()
    folio.endWriteback()
  }
  return error.value
}

export async function others(mapping: AddressSpace): Promise<void> {
  const wbc: WritebackControl = new WritebackControl({ syncMode: 'all', rangeEnd: 2n ** 63n - 1n })
  const iterator: WritebackIterator = mapping.writeback(wbc, {
    onWait: (folio: Folio, reason: WaitReason) => (reason === 'lock' ? folio.unlock() : folio.endWriteback()),
  })
  for (const folio of iterator) folio.unlock()
  for await (const folio of iterator) folio.unlock()
  const result: number = mapping.writePages(wbc, (folio) => (folio.order === 0 ? undefined : -5))
  mapping.writeExtents(wbc, (extent: Extent) => void extent.folios[0].index, { maxPages: result })
  writeCachePages(mapping, wbc, () => AOP_WRITEPAGE_ACTIVATE)
  const marks: Mark[] = ['dirty', 'writeback', 'towrite']
  for (const folio of mapping.folios(marks[0], 0, 9)) folio.uptodate = false
  const both: ['js', 'native'] = [js.backend, native.backend]
  const either: 'js' | 'native' = backend
  new js.AddressSpace().addFolio(0).redirtyForWritepage(new native.WritebackControl())
  const code: 'EINVAL' | 'EEXIST' | 'EBUSY' | 'ESTALE' | 'EBADF' | 'EDEADLK' | 'ENOMEM' | 'ELIBACC' = (new Error() as WritebackError).code
  throw new Error(either + both + code)
}

// @ts-expect-error there is no such mark
new AddressSpace().tagged('present')
// @ts-expect-error read only
new AddressSpace().addFolio(0).locked = true
// @ts-expect-error a folio or null
loop(new AddressSpace(), null)
// @ts-expect-error an error has a code
new WritebackError('text')
`
  const FILE_CONSUMER = `
import { CachedFile } from 'writeback-iter/file'

export function copy(path: string, bytes: Uint8Array): number {
  const file: CachedFile = CachedFile.openSync(path)
  file.writeSync(bytes, 0)
  file.fsyncSync()
  file.closeSync()
  return file.size
}
`

  test.each([
    [
      'node16',
      { module: 'node16', moduleResolution: 'node16', types: [] },
      ['consumer.mts', 'consumer.cts'],
      CONSUMER,
    ],
    ['bundler', { module: 'esnext', moduleResolution: 'bundler', types: [] }, ['consumer.ts'], CONSUMER],
    [
      'file',
      { module: 'node16', moduleResolution: 'node16', types: ['node'] },
      ['consumer.mts'],
      FILE_CONSUMER,
    ],
  ])('a consumer compiles: %s', (name, options, files, text) => {
    const home = join(folder, `types-${name}`)
    mkdirSync(join(home, 'node_modules'), { recursive: true })
    symlinkSync(root, join(home, 'node_modules/writeback-iter'))
    symlinkSync(join(root, 'node_modules/@types'), join(home, 'node_modules/@types'))
    const compilerOptions = {
      ...options,
      target: 'es2022',
      lib: ['es2022', 'esnext.disposable'],
      strict: true,
      noEmit: true,
      skipDefaultLibCheck: true,
    }
    writeFileSync(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
    for (const file of files) writeFileSync(join(home, file), text)
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', home], { encoding: 'utf8' })
    expect(stdout).toBe('')
    expect(status).toBe(0)
  })
})
