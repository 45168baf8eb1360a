// SPDX-License-Identifier: GPL-2.0-only
// Builds prebuilds/, which the package is published with: `npm run prebuild`, or `npm run prebuild -- linux-arm64 …`.
// prebuildify places and names the addons as node-gyp-build looks for them; native/prebuild_one.mjs builds each.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)
const prebuildify = promisify(require('prebuildify'))

/** No symbol of a later glibc: that of RHEL 8 and Debian 10, the oldest that Node.js 20 runs on. */
const GLIBC = [2, 28]

/**
 * Each target: where it is built, the commands that it takes with the Debian package of each, and the libraries that it may
 * need on its user's machine.
 */
const targets = {
  'linux-x64-glibc': {
    host: 'linux',
    tools: { 'x86_64-linux-gnu-g++': 'g++' },
    libraries: ['libc.so.6'],
  },
  'linux-x64-musl': {
    host: 'linux',
    tools: { 'x86_64-linux-gnu-g++': 'g++', 'musl-gcc': 'musl-tools' },
    libraries: ['libc.so'],
  },
  'linux-arm64-glibc': {
    host: 'linux',
    tools: { 'aarch64-linux-gnu-g++': 'g++-aarch64-linux-gnu' },
    libraries: ['libc.so.6', 'ld-linux-aarch64.so.1'],
  },
  'win32-x64': {
    host: 'linux',
    tools: { 'x86_64-w64-mingw32-g++-posix': 'g++-mingw-w64-x86-64' },
    libraries: ['KERNEL32.dll', 'msvcrt.dll'],
  },
  'darwin-x64': {
    host: 'darwin',
    tools: {},
    libraries: ['/usr/lib/libc++.1.dylib', '/usr/lib/libSystem.B.dylib'],
  },
  'darwin-arm64': {
    host: 'darwin',
    tools: {},
    libraries: ['/usr/lib/libc++.1.dylib', '/usr/lib/libSystem.B.dylib'],
  },
}

function fail(message) {
  console.error(`writeback-iter: ${message}`)
  process.exit(1)
}

function works(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined
}

function checkTools(names) {
  const tools = Object.assign(
    { cmake: 'cmake', make: 'make', objdump: 'binutils' },
    ...names.map((name) => targets[name].tools),
  )
  if (process.platform !== 'linux') return
  const missing = Object.keys(tools).filter((tool) => !works(tool))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((tool) => tools[tool]))]
  fail(`no ${missing.join(', ')}: apt-get install --no-install-recommends ${packages.join(' ')}`)
}

/** The libraries that an addon names, and the versions of glibc's symbols. */
function dependencies(file) {
  if (process.platform === 'darwin') {
    const lines = execFileSync('otool', ['-L', file], { encoding: 'utf8' }).split('\n')
    return { libraries: lines.slice(1).flatMap((line) => line.match(/^\s+(\S+) \(/)?.[1] ?? []), glibc: [] }
  }
  const headers = execFileSync('objdump', ['-p', file], { encoding: 'utf8' })
  return {
    libraries: [...headers.matchAll(/^\s+(?:NEEDED|DLL Name:)\s+(\S+)$/gm)].map((match) => match[1]),
    glibc: [...headers.matchAll(/ GLIBC_(\d+)\.(\d+)/g)].map((match) => [Number(match[1]), Number(match[2])]),
  }
}

/** An addon that would not load on its users' machines is not shipped. */
function check(name, file) {
  const { libraries, glibc } = dependencies(file)
  const foreign = libraries.filter((library) => !targets[name].libraries.includes(library))
  if (foreign.length > 0) fail(`${file} needs ${foreign.join(', ')}`)
  const later = glibc.filter(([major, minor]) => major > GLIBC[0] || (major === GLIBC[0] && minor > GLIBC[1]))
  if (later.length > 0) fail(`${file} needs glibc ${later.map((version) => version.join('.')).join(', ')}`)
}

async function build(name) {
  const [platform, arch, libc] = name.split('-')
  const directory = join(root, 'build', 'prebuild', name)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  await prebuildify({
    name: 'writeback-iter',
    napi: true,
    platform,
    arch,
    libc,
    tagLibc: libc !== undefined,
    cwd: directory,
    out: root,
    nodeGyp: `"${process.execPath}" "${join(root, 'native', 'prebuild_one.mjs')}" ${name}`,
    shell: true,
  })
  const folder = join(root, 'prebuilds', `${platform}-${arch}`)
  for (const file of readdirSync(folder)) {
    if (libc === undefined || file.includes(libc)) check(name, join(folder, file))
  }
}

const here = Object.keys(targets).filter((name) => targets[name].host === process.platform)
const names = process.argv.length > 2 ? process.argv.slice(2) : here
for (const name of names) {
  if (!here.includes(name)) fail(`no target ${name} here; there are: ${here.join(', ')}`)
}
checkTools(names)
for (const name of names) await build(name).catch((error) => fail(`${name}: ${error.message}`))
