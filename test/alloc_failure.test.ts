// SPDX-License-Identifier: GPL-2.0-only
// Every allocation of the addon and of the TypeScript above it fails once: the call throws ENOMEM, nothing
// has changed, and the same call succeeds afterwards. The process in which that happens is a child, so that
// its death would be seen. (The core alone, and what each of its allocations is for:
// test/core/alloc_failure.c.)

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nativeMissing } from './backends.js'

const root = join(__dirname, '..')
const addon = join(root, 'build', 'Release', 'writeback_iter.node')
const headers = join(root, 'node_modules', 'node-api-headers', 'include')

let folder: string
let shim: string

function run(command: string, args: string[], env: NodeJS.ProcessEnv = process.env): string {
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    env,
    encoding: 'utf8',
  })
  if (error !== undefined) throw new Error(`${error.message}: apt-get install gcc libc6-dev binutils`)
  expect({ status, signal }, `${command} ${args.join(' ')}\n${stdout}\n${stderr}`).toEqual({
    status: 0,
    signal: null,
  })
  return stdout
}

/** Runs Node with the shim beneath it. */
function node(...args: string[]): string {
  return run(process.execPath, args, { ...process.env, LD_PRELOAD: shim })
}

interface Report {
  /** By kind of call: how many calls failed with ENOMEM. */
  failures: Record<string, number>
  /** How many calls of a CachedFile failed with ENOMEM. */
  fileFailures: number
  /** The addresses in the addon that calls of an allocator returned to. */
  sites: number[]
}

/** The functions of native/file and of its binding, including those that the compiler split off from one. */
function fileFunctions(): Set<string> {
  const objects = ['libfile.a', 'CMakeFiles/writeback_iter.dir/native/addon/file_calls.c.o']
  const names = objects.flatMap((object) => {
    const path = join(root, 'build', object)
    return fs.existsSync(path) ? run('nm', ['--defined-only', path]).match(/(?<= [tT] )\w+/g) : []
  })
  return new Set(names as string[])
}

const report = (backend: string): Report =>
  JSON.parse(node(join(__dirname, 'alloc_failure', 'child.mjs'), backend, shim, addon))

// The shim works with the C library of Linux only.
describe.skipIf(process.platform !== 'linux')('with each allocation failing once', () => {
  beforeAll(() => {
    folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-alloc-'))
    shim = join(folder, 'alloc_failure.so')
    const flags = ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-fPIC', '-shared', '-D_GNU_SOURCE']
    run('gcc', [...flags, `-I${headers}`, '-o', shim, join(__dirname, 'alloc_failure', 'shim.c')])
  })
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

  const needNone = [
    'new WritebackControl',
    'getFolio',
    'markDirty',
    'tryLock',
    'startWriteback',
    'unlock',
    'endWriteback',
    'folios',
    'tagged',
    'tagPagesForWriteback',
    'extent.folios',
    'removeFolio',
    'return',
    'close',
  ]

  test.skipIf(nativeMissing !== null)('the native backend', () => {
    const { failures, sites } = report('native')
    const mayFail = {
      'new AddressSpace': 2 + 1, // the mappings, and two longer tables of them
      addFolio: expect.toSatisfy((count: number) => count > 120),
      'addFolio, of many': expect.toSatisfy((count: number) => count > 5 + 3), // memory for chunks 0, 1, 2, 4 and 8; the list of chunks for 0, 4 and 8
      'addFolio in a pass': expect.toSatisfy((count: number) => count > 100),
      writebackIter: expect.toSatisfy((count: number) => count > 10),
      next: 2, // the block of a pass, and its place in the table
      writePages: 3, // and the room for an extent
      'writePages in a pass': 3,
      writeExtents: 3,
      'writeExtents in a pass': 3,
      writeCachePages: 3,
    }
    expect(failures).toEqual({ ...Object.fromEntries(needNone.map((call) => [call, 0])), ...mayFail })

    // Each place in the addon that calls an allocator had a failure. A host function calls an allocator for
    // the core as its last action, so its allocations return into the core. The file engine has its own
    // tests, below and in test/file/faults.c.
    const code = run('objdump', ['-d', '--no-show-raw-insn', addon]).split('\n')
    const ofEngine = fileFunctions()
    const calls: number[] = []
    let inEngine = false
    for (const [i, line] of code.entries()) {
      const [, name] = /^\w+ <(\w+)[.\w]*>:$/.exec(line) ?? []
      if (name !== undefined) inEngine = ofEngine.has(name)
      if (!inEngine && /\s(call|bl)\s.*<[cm]?(re)?alloc@plt>/.test(line))
        calls.push(Number.parseInt(code[i + 1], 16))
    }
    expect(calls.length).toBeGreaterThan(0)
    expect(sites).toEqual(expect.arrayContaining(calls))
    expect(sites.length).toBeGreaterThan(calls.length)
    // The addon has no other way to get memory, and no exception that could end the process.
    const imports = run('nm', ['-D', '--undefined-only', '--without-symbol-versions', addon])
    const ways = imports.match(
      /(?!fallocate)\b\S*(alloc|memalign|strdup|mmap|_Zn[wa]|__cxa_(throw|allocate))\S*/g,
    )
    const more =
      ofEngine.size === 0 ? [] : ['malloc', 'malloc_usable_size', 'mmap', 'posix_memalign', 'strdup']
    expect(ways?.sort()).toEqual(['calloc', 'realloc', ...more].sort())
  })

  test.skipIf(nativeMissing !== null)('the calls of the file engine', () => {
    const failures = JSON.parse(node(join(__dirname, 'alloc_failure', 'file_child.mjs'), shim, folder))
    expect(failures).toEqual({
      createFileEngine: 1,
      open: expect.toSatisfy((count: number) => count >= 2 + 3), // and the table of handles, and a write, for all
      write: expect.toSatisfy((count: number) => count >= 1), // a node of the tree
      'write, held back': expect.toSatisfy((count: number) => count >= 1),
      fsync: 1,
      read: 1,
      close: 1,
    })
  })

  test('the TypeScript backend', () => {
    const { failures, fileFailures } = report('js')
    expect(fileFailures).toBeGreaterThan(2)
    const calls = ['new AddressSpace', 'writebackIter', 'next', 'writePages', 'writePages in a pass']
    const more = ['writeExtents', 'writeExtents in a pass', 'writeCachePages']
    // The TypeScript backend allocates only the arrays of the tree.
    const mayFail = {
      addFolio: expect.toSatisfy((count: number) => count >= 3 * 3),
      'addFolio, of many': 3,
      'addFolio in a pass': expect.toSatisfy((count: number) => count > 0),
    }
    const never = [...needNone, ...calls, ...more].map((call) => [call, 0])
    expect(failures).toEqual({ ...Object.fromEntries(never), ...mayFail })
  })

  // An import does not throw: the TypeScript backend takes over.
  test.skipIf(nativeMissing !== null).each([
    ['the instance', 1, 0],
    ['the control block', 2, 256],
  ])('importing the package, without memory for %s', (_, kinds, size) => {
    const script = `
      const module = { exports: {} }
      process.dlopen(module, ${JSON.stringify(shim)})
      const words = new Int32Array(module.exports)
      words[1] = 0
      words[2] = ${size}
      words[0] = ${kinds}
      const { backend, AddressSpace } = require('./dist/index.js')
      words[0] = 0
      console.log(backend, words[3], new AddressSpace().addFolio(0).order)
      try { require('./dist/native/index.js') } catch (error) { console.log(error.message) }`
    expect(node('-e', script)).toMatch(
      /^js 1 0\nELIBACC: the native backend does not load: (out of memory|Array buffer allocation failed)\n$/,
    )
  })
})
