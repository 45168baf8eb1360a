// SPDX-License-Identifier: GPL-2.0-only
// Builds prebuilds/, which the package is published with: `node native/prebuild.mjs`, or `node
// native/prebuild.mjs linux-arm64 …`. prebuildify places and names the addons as node-gyp-build looks for
// them; native/prebuild_one.mjs builds each.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { prebuilt, targets } from './targets.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)
const prebuildify = promisify(require('prebuildify'))

/** No symbol of a later glibc: that of RHEL 8 and Debian 10, the oldest that Node.js 20 runs on. */
const GLIBC = [2, 28]

function fail(message) {
  console.error(`writeback-iter: ${message}`)
  process.exit(1)
}

/** A command, or a file by its path. */
function isThere(tool) {
  return tool.startsWith('/')
    ? existsSync(tool)
    : spawnSync(tool, ['--version'], { stdio: 'ignore' }).error === undefined
}

function checkTools(names) {
  const tools = Object.assign(
    { cmake: 'cmake', make: 'make', objdump: 'binutils' },
    ...names.map((name) => targets[name].tools),
  )
  if (process.platform !== 'linux') return
  const missing = Object.keys(tools).filter((tool) => !isThere(tool))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((tool) => tools[tool]))].join(' ')
  const foreign = packages.includes(':arm64') ? 'dpkg --add-architecture arm64 && apt-get update && ' : ''
  fail(`no ${missing.join(', ')}: ${foreign}apt-get install --no-install-recommends ${packages}`)
}

const say = (command, ...args) => execFileSync(command, args, { encoding: 'utf8' })

/** The libraries that an addon names. */
function librariesOf(file) {
  const [text, line] =
    process.platform === 'darwin'
      ? [say('otool', '-L', file), /^\s+(\S+) \(/gm]
      : [say('objdump', '-p', file), /^\s+(?:NEEDED|DLL Name:)\s+(\S+)$/gm]
  return Array.from(text.matchAll(line), (match) => match[1])
}

/** The names in the dynamic symbol table: [name, version] each. */
function symbols(file, which) {
  return Array.from(
    say('nm', '-D', which, file).matchAll(/ [A-Z] ([^@\s]+)@?@?(\S*)$/gm),
    ([, name, version]) => [name, version],
  )
}

/**
 * What a Linux addon asks for and will not find: in its libc, of the oldest version that is supported, or in
 * Node-API.
 */
function unresolved(name, file) {
  const asked = symbols(file, '--undefined-only').filter(([symbol]) => !symbol.startsWith('napi_'))
  const { libc } = targets[name]
  if (libc !== undefined) {
    const found = new Set(symbols(libc, '--defined-only').map(([symbol]) => symbol))
    return asked.map(([symbol]) => symbol).filter((symbol) => !found.has(symbol))
  }
  return asked.filter(([, version]) => !isOld(version)).map((symbol) => symbol.join('@'))
}

function isOld(version) {
  const [, major, minor] = version.match(/^GLIBC_(\d+)\.(\d+)/) ?? []
  return Number(major) === GLIBC[0] && Number(minor) <= GLIBC[1]
}

/** An addon that would not load on its users' machines is not shipped. */
function check(name, file) {
  // Windows has no command that tells: there it is just loaded, on machines that have no compiler.
  if (process.platform === 'win32') return
  const foreign = librariesOf(file).filter((library) => !targets[name].libraries.includes(library))
  if (foreign.length > 0) fail(`${file} needs ${foreign.join(', ')}`)
  if (!name.startsWith('linux')) return
  const missing = unresolved(name, file)
  if (missing.length > 0) fail(`${file} needs ${missing.join(', ')}`)
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
  check(name, join(root, prebuilt(name)))
}

const here = Object.keys(targets).filter((name) => targets[name].host === process.platform)
const names = process.argv.length > 2 ? process.argv.slice(2) : here
for (const name of names) {
  if (!here.includes(name)) fail(`no target ${name} here; there are: ${here.join(', ')}`)
}
checkTools(names)
for (const name of names) await build(name).catch((error) => fail(`${name}: ${error.message}`))
