// SPDX-License-Identifier: GPL-2.0-only
// Packs the package, installs the tarball in empty folders in every way that users have, and runs programs
// with it in every runtime: `npm run check -- package`, on Linux x64. Ends with a table; exit code 1 if a row
// failed.
//
//   --quick fewer runtimes and install paths, nothing that is emulated --here only npm and the Node.js that
//   runs this, with a tarball that lies at the top of the repository: for other systems

import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { prebuilt, targets } from '../../native/targets.mjs'
import { arm64Node, EMULATORS, muslBun, runInWine, stopWine, wineNode } from './emulated.mjs'
import { copyTree, pack, tarballProblems } from './pack.mjs'
import { tryRecipes } from './recipes.mjs'
import { Report } from './report.mjs'
import { BUILD, npm, ROOT, run } from './run_program.mjs'
import { installTools, tool } from './tools.mjs'
import { makeUserFolder, runCommandLine, runProgram } from './user_folder.mjs'

const quick = process.argv.includes('--quick')
const hereOnly = process.argv.includes('--here')
const report = new Report()
const home = mkdtempSync(join(tmpdir(), 'writeback-iter-package-'))
const cleanUp = () => rmSync(home, { recursive: true, force: true, maxRetries: 5 })
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    cleanUp()
    process.exit(128 + (signal === 'SIGINT' ? 2 : 15))
  })
}

const here = { name: `Node ${process.versions.node}`, command: [process.execPath] }
const NATIVE = { backend: 'native', addon: prebuild() }
const JS = { backend: 'js', addon: null }

/** The prebuilt addon for the machine that runs this. */
function prebuild() {
  const libc = existsSync('/etc/alpine-release') ? '.musl' : process.platform === 'linux' ? '.glibc' : ''
  return `prebuilds/${process.platform}-${process.arch}/writeback-iter${libc}.node`
}

function checkTools() {
  const tools = { git: 'git', 'g++': 'g++', make: 'make', cmake: 'cmake', ...(quick ? {} : EMULATORS) }
  const missing = Object.keys(tools).filter((name) => spawnSync(name, ['--version']).error !== undefined)
  if (missing.length === 0) return
  const packages = missing.map((name) => tools[name])
  throw new Error(`no ${missing.join(', ')}: apt-get install --no-install-recommends ${packages.join(' ')}`)
}

// npm's cache is shared by all folders, so that npm downloads each package once.
const cache = { npm_config_cache: join(home, 'npm-cache'), npm_config_update_notifier: 'false' }
const npmInstall = (folder, args, env = {}) =>
  npm(['install', '--no-audit', '--no-fund', ...args], { cwd: folder, env: { ...cache, ...env } })

/** Installs the package in a folder of its own, and runs the programs there. */
function tryInstall(install, expected, how, { runtime = here, also } = {}) {
  const folder = makeUserFolder(home, install.replace(/\W+/g, '-'))
  report.add({ install, runtime: '', program: 'install' }, null, () => how(folder))
  const add = (program, each, action) => report.add({ install, runtime: runtime.name, program }, each, action)
  add('CommonJS', expected, () => runProgram(runtime, folder, 'check.cjs'))
  add('ES module', expected, () => runProgram(runtime, folder, 'check.mjs'))
  add('command line', { backend: expected.backend }, () => runCommandLine(runtime, folder))
  also?.(folder, add)
  return folder
}

/** Expects a line that matches among the text. */
function mustSay(text, line) {
  if (!line.test(text)) throw new Error(`expected ${line} in:\n${text}`)
}

/** Expects no warning of npm about scripts of a package that it did not run. */
function mustNotWarn({ stderr }) {
  if (/install-scripts|prepare/.test(stderr)) throw new Error(stderr)
}

function tryNpm(packed) {
  const { tarball } = packed
  const folder = tryInstall('npm', NATIVE, (user) => mustNotWarn(npmInstall(user, [tarball])))
  tryInstall('npm, no install scripts', NATIVE, (user) => npmInstall(user, ['--ignore-scripts', tarball]))
  return folder
}

/** The package unpacked: npm links to it, and runs what a package that is being developed would want. */
function tryFolder({ folder }) {
  tryInstall('npm, folder', NATIVE, (user) => mustNotWarn(npmInstall(user, [folder])))
}

/** Installs without a registry: every package comes from npm's cache. */
function tryOffline({ tarball }) {
  tryInstall('npm, offline', NATIVE, (user) => npmInstall(user, ['--offline', tarball]))
}

/** PATH holds node, npm and a shell, and nothing else. */
function tryNoCompiler({ tarball }) {
  const bin = join(home, 'bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, 'node'))
  symlinkSync('/bin/sh', join(bin, 'sh'))
  const [npmFile] = run(['which', 'npm']).stdout.split('\n')
  symlinkSync(npmFile, join(bin, 'npm'))
  const env = { PATH: bin }
  tryInstall('npm, no compiler', NATIVE, (user) => npmInstall(user, [tarball], env), {
    runtime: { ...here, env },
    also(user, add) {
      add('build:native says what is missing', null, () => {
        const explore = ['explore', 'writeback-iter', '--', 'npm', 'run', 'build:native']
        const { status, stderr } = spawnSync('npm', explore, { cwd: user, env, encoding: 'utf8' })
        mustSay(stderr, /^writeback-iter: the addon is not built: no cmake-js .*npm install/m)
        if (status === 0) throw new Error('it counts as built')
      })
    },
  })
}

/**
 * The tarball without the addon of this platform: the TypeScript backend, and one line where NODE_DEBUG asks
 * for it.
 */
function tryNoPrebuild(packed) {
  const folder = join(home, 'no-prebuild')
  mkdirSync(folder)
  run(['tar', '-xzf', packed.tarball, '-C', folder])
  rmSync(join(folder, 'package/prebuilds', `${process.platform}-${process.arch}`), { recursive: true })
  npm(['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: join(folder, 'package') })
  const tarball = join(folder, basename(packed.tarball))
  tryInstall('npm, no prebuild', JS, (user) => npmInstall(user, [tarball]), {
    also(user, add) {
      const load = ['--eval', 'require("writeback-iter")']
      const stderr = (env) => run([...here.command, ...load], { cwd: user, env }).stderr
      add('NODE_DEBUG says why', null, () => {
        const said = stderr({ NODE_DEBUG: 'writeback-iter' })
        mustSay(
          said,
          /^WRITEBACK-ITER \d+: ELIBACC: the native backend does not load: No native build .*TypeScript.*\n$/,
        )
        if (stderr({}) !== '') throw new Error(`without it: ${stderr({})}`)
      })
    },
  })
}

/**
 * Installs where a compiler is present: npm does not replace the prebuilt addon, as the package has no script
 * for it. The addon can be built on demand.
 */
function tryFromSource({ tarball }) {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const builders = ['cmake-js', 'node-addon-api'].map((name) => `${name}@${devDependencies[name]}`)
  tryInstall(
    'npm, built from source',
    { backend: 'native', addon: 'build/Release/writeback_iter.node' },
    (user) => {
      npmInstall(user, [tarball, ...builders])
      npm(['rebuild', '--build-from-source'], { cwd: user, env: cache })
      npm(['explore', 'writeback-iter', '--', 'npm', 'run', 'build:native'], { cwd: user, env: cache })
    },
  )
}

/** npm clones, builds and packs by itself; its tarball has no addon. */
function tryGit() {
  tryInstall('npm, git clone', JS, (user) => npmInstall(user, [`git+file://${ROOT}`]))
}

function tryPnpm({ tarball }) {
  const env = { npm_config_store_dir: join(home, 'pnpm-store') }
  tryInstall('pnpm', NATIVE, (user) => run([tool('.bin/pnpm'), 'add', tarball], { cwd: user, env }))
}

function registry() {
  return npm(['config', 'get', 'registry'], { cwd: home }).stdout.trim()
}

function tryYarn({ tarball }) {
  const args = ['--registry', registry(), '--cache-folder', join(home, 'yarn-cache'), '--no-lockfile']
  const yarn = [process.execPath, tool('yarn/bin/yarn.js'), 'add', ...args]
  tryInstall('yarn 1', NATIVE, (user) => run([...yarn, `file:${tarball}`], { cwd: user }))
}

/** Plug'n'Play: no node_modules; packages stay in archives, except those with addons. */
function tryYarnPnp({ tarball }) {
  const env = {
    YARN_NPM_REGISTRY_SERVER: registry(),
    YARN_GLOBAL_FOLDER: join(home, 'yarn-global'),
    YARN_ENABLE_TELEMETRY: '0',
    // Yarn enables this by itself if the project's own package.json says that it uses ES modules.
    YARN_PNP_ENABLE_ESM_LOADER: 'true',
  }
  const yarn = {
    name: 'Node, Plug’n’Play',
    command: [process.execPath, tool('@yarnpkg/cli-dist/bin/yarn.js')],
    env,
  }
  const install = 'yarn 4'
  const folder = makeUserFolder(home, 'yarn-4')
  writeFileSync(join(folder, 'yarn.lock'), '')
  const add = (program, expected, action) =>
    report.add({ install, runtime: here.name, program }, expected, action)
  add('install', null, () =>
    run([...yarn.command, 'add', `writeback-iter@file:${tarball}`], { cwd: folder, env }),
  )
  const node = { command: [...yarn.command, 'node'], env }
  add('CommonJS', NATIVE, () => runProgram(node, folder, 'check.cjs'))
  add('ES module', NATIVE, () => runProgram(node, folder, 'check.mjs'))
  add('command line', { backend: 'native' }, () => runCommandLine(yarn, folder, ['writeback-iter']))
}

/** Runs every kind of program in the folder where npm installed the package. */
function tryRuntime(runtime, folder, addon = NATIVE.addon) {
  const expected = addon === null ? { backend: 'native' } : { backend: 'native', addon }
  const add = (program, each, action) =>
    report.add({ install: 'npm', runtime: runtime.name, program }, each, action)
  add('CommonJS', expected, () => runProgram(runtime, folder, 'check.cjs'))
  add('ES module', expected, () => runProgram(runtime, folder, 'check.mjs'))
  add('worker threads', { ...expected, times: 2 }, () => runProgram(runtime, folder, 'worker.mjs'))
  add('command line', { backend: 'native' }, () => runCommandLine(runtime, folder))
}

const nodes = () => (quick ? [20, 26] : [20, 22, 24, 26])

function runtimes() {
  const node = (major) => ({ name: `Node ${major}`, command: [tool(`node-${major}/bin/node`)] })
  return [
    ...nodes().map(node),
    { name: 'Bun 1.4', command: [tool('@oven/bun-linux-x64-baseline/bin/bun'), '--no-install'] },
    {
      name: 'Deno 2.9',
      command: [tool('@deno/linux-x64-glibc/deno'), 'run', '-A', '--node-modules-dir=manual'],
    },
  ]
}

/**
 * A program that may only read and write its own folder gets the TypeScript backend. With the permissions
 * that docs/loading.md names for the native backend, it gets that one.
 */
function tryPermissions(folder) {
  const node = (major) => {
    const flag = major === 20 ? '--experimental-permission' : '--permission'
    return {
      name: `Node ${major}`,
      command: [tool(`node-${major}/bin/node`), '--no-warnings', flag],
      own: [`--allow-fs-read=${folder}/*`, `--allow-fs-write=${folder}/*`],
      native: ['--allow-addons', '--allow-fs-read=/etc/alpine-release'],
    }
  }
  const deno = {
    name: 'Deno 2.9',
    command: [tool('@deno/linux-x64-glibc/deno'), 'run', '--no-prompt', '--node-modules-dir=manual'],
    own: [`--allow-write=${folder}`, `--allow-read=${folder},/etc/alpine-release`],
    native: ['--allow-env', `--allow-ffi=${folder}`],
  }
  for (const { name, command, own, native } of [...nodes().map(node), deno]) {
    for (const [program, granted, backend] of [
      ['least permissions', [], 'js'],
      ['permissions for the addon', native, 'native'],
    ]) {
      const runtime = { command: [...command, ...own, ...granted] }
      report.add({ install: 'npm', runtime: name, program }, { backend, addon: null, traces: null }, () =>
        runProgram(runtime, folder, 'restricted.mjs'),
      )
    }
  }
}

/** Compiles and runs a typed program. */
function tryTypeScript(folder) {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const compile = (files, module, moduleResolution) => {
    const compilerOptions = {
      module,
      moduleResolution,
      target: 'es2022',
      lib: ['es2022', 'esnext.disposable'],
      strict: true,
      // The types that writeback-iter/file needs.
      typeRoots: [join(ROOT, 'node_modules/@types')],
      types: ['node'],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
    run([process.execPath, tsc, '-p', folder])
  }
  const add = (program, expected, action) =>
    report.add({ install: 'npm', runtime: here.name, program: `TypeScript, ${program}` }, expected, action)
  const source = join(folder, 'typed.ts')
  for (const resolution of ['node16', 'nodenext']) {
    add(resolution, { ...NATIVE, times: 2 }, () => {
      const files = ['typed.cts', 'typed.mts']
      for (const file of files) copyFileSync(source, join(folder, file))
      compile(files, resolution, resolution)
      const programs = ['typed.cjs', 'typed.mjs']
      return { checked: programs.flatMap((program) => runProgram(here, folder, program).checked) }
    })
  }
  add('bundler, esbuild', NATIVE, () => {
    compile(['typed.ts'], 'esnext', 'bundler')
    return runProgram(here, folder, bundle(folder, 'typed.js', 'esm'))
  })
}

/** What the types promise, by the compilers that they are promised for. No skipLibCheck, no `@types/node`. */
function tryTypes(folder) {
  const compilers = ['5.0', '5.2', ...(quick ? [] : ['5.6'])].map((version) => [
    version,
    tool(`typescript-${version}/bin/tsc`),
  ])
  for (const [version, tsc] of [...compilers, ['here', join(ROOT, 'node_modules/typescript/bin/tsc')]]) {
    const compile = (file, lib) => {
      const program = `TypeScript ${version}, ${file}`
      report.add({ install: 'npm', runtime: here.name, program }, null, () => {
        copyFileSync(join(ROOT, 'test/package/programs', file), join(folder, file))
        const compilerOptions = {
          module: 'node16',
          moduleResolution: 'node16',
          target: 'es2020',
          lib,
          types: [],
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
        }
        writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }))
        run([process.execPath, tsc, '-p', folder])
      })
    }
    compile('types.mts', ['es2020'])
    // TypeScript 5.0 does not know `using`.
    if (version !== '5.0') compile('using.mts', ['es2020', 'esnext.disposable'])
  }
}

/** Bundles the program into one file, from which the package, and so its addon, is left out. */
function bundle(folder, program, format) {
  const outfile = format === 'esm' ? 'bundle.mjs' : 'bundle.cjs'
  const args = [program, '--bundle', '--platform=node', `--format=${format}`, `--outfile=${outfile}`]
  run([tool('.bin/esbuild'), ...args, '--external:writeback-iter', '--external:./checks.cjs'], {
    cwd: folder,
  })
  return outfile
}

function tryBundle(folder) {
  for (const format of ['cjs', 'esm']) {
    const entry = format === 'cjs' ? 'check.cjs' : 'check.mjs'
    const what = { install: 'npm', runtime: here.name, program: `esbuild, ${format}` }
    report.add(what, NATIVE, () => runProgram(here, folder, bundle(folder, entry, format)))
  }
}

function tryEmulated(folder) {
  const addonOf = (name) => `prebuilds/${name}.node`
  tryRuntime(arm64Node(), folder, addonOf('linux-arm64/writeback-iter.glibc'))
  for (const arch of ['x64', 'arm64']) {
    tryRuntime(muslBun(home, arch), folder, addonOf(`linux-${arch}/writeback-iter.musl`))
  }
  const wine = wineNode(home)
  const expected = { backend: 'native', addon: addonOf('win32-x64/writeback-iter') }
  for (const [program, file, times] of [
    ['CommonJS', 'check.cjs', 1],
    ['ES module', 'check.mjs', 1],
    ['worker threads', 'worker.mjs', 2],
  ]) {
    const what = { install: 'npm', runtime: wine.name, program }
    report.add(what, { ...expected, times }, () => runInWine(wine, folder, file))
  }
  stopWine(wine)
}

function checkPackage(packed) {
  const add = (program, action) => report.add({ install: 'tarball', runtime: '', program }, null, action)
  add('contents', () => {
    const problems = tarballProblems(packed)
    if (problems.length > 0) throw new Error(problems.join('\n'))
  })
  add('publint', () => run([tool('.bin/publint'), 'run', packed.tarball, '--strict']))
  add('are the types wrong', () => run([tool('.bin/attw'), packed.tarball]))
  add('package.json is whole again', () => mustBeWhole(packed.tree))
}

function mustBeWhole(tree) {
  const text = (folder) => readFileSync(join(folder, 'package.json'), 'utf8')
  if (text(tree) !== text(ROOT)) throw new Error(text(tree))
}

/** What has no addons cannot be published, nor be packed where packages are made to be published. */
function tryPublish() {
  const tree = copyTree('unbuilt')
  const add = (program, action) => report.add({ install: 'no addons', runtime: 'npm', program }, null, action)
  const refused = (args, env) => {
    const { status, stderr } = spawnSync('npm', args, {
      cwd: tree,
      env: { ...process.env, ...env },
      encoding: 'utf8',
    })
    for (const target of Object.keys(targets)) {
      mustSay(
        stderr,
        new RegExp(`^writeback-iter: not to be published: ${prebuilt(target)} is missing$`, 'm'),
      )
    }
    if (status === 0) throw new Error(`npm ${args.join(' ')} did it`)
    mustBeWhole(tree)
  }
  add('npm publish refuses', () => refused(['publish', '--dry-run'], { CI: '' }))
  add('npm pack refuses, in CI', () => refused(['pack', '--dry-run'], { CI: 'true' }))
}

function tryAll(packed) {
  installTools(quick)
  checkPackage(packed)
  tryPublish()
  const folder = tryNpm(packed)
  tryFolder(packed)
  tryOffline(packed)
  tryNoCompiler(packed)
  tryNoPrebuild(packed)
  tryFromSource(packed)
  tryPnpm(packed)
  tryYarn(packed)
  if (!quick) tryYarnPnp(packed)
  if (!quick) tryGit()
  for (const runtime of runtimes()) tryRuntime(runtime, folder)
  tryPermissions(folder)
  tryTypeScript(folder)
  tryTypes(folder)
  tryBundle(folder)
  const recipe = (program, expected, action) =>
    report.add({ install: 'docs/loading.md', runtime: here.name, program }, expected, action)
  tryRecipes({ home, tarball: packed.tarball, installed: folder, quick, add: recipe })
  if (!quick) tryEmulated(folder)
}

function kilobytes(bytes) {
  return `${Math.round(bytes / 1000)} kB`
}

try {
  mkdirSync(BUILD, { recursive: true })
  if (hereOnly) {
    const [tarball] = readdirSync(ROOT).filter((name) => name.endsWith('.tgz'))
    if (tarball === undefined) throw new Error(`no tarball in ${ROOT}: npm pack`)
    tryRuntime(here, tryNpm({ tarball: join(ROOT, tarball) }))
  } else {
    checkTools()
    const packed = pack()
    tryAll(packed)
    const { packedBytes, unpackedBytes, prebuiltBytes } = packed
    const without = `${kilobytes(unpackedBytes - prebuiltBytes)} without prebuilds`
    report.print()
    console.log(`\n${kilobytes(packedBytes)} packed, ${kilobytes(unpackedBytes)} unpacked, ${without}`)
  }
  console.log(`${report.passes} passed, ${report.failures} failed`)
  process.exitCode = report.failures > 0 ? 1 : 0
} catch (error) {
  console.error(`package: ${error.message}`)
  process.exitCode = 1
} finally {
  cleanUp()
}
