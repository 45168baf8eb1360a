// SPDX-License-Identifier: GPL-2.0-only
// The recipes of docs/loading.md: the files of a recipe, the commands that build it, and the last command,
// which runs the result. The result is run in another folder, after the folder where it was built has been
// emptied.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { npm, ROOT, run } from './run_program.mjs'
import { BUNDLERS, QUICK_BUNDLERS, tool } from './tools.mjs'
import { makeUserFolder, parseChecked, PROGRAMS, runProgram } from './user_folder.mjs'

/** The recipes that a quick run tries. */
const QUICK_SECTIONS = /^(esbuild|ncc)/

/**
 * The recipes: each with the section that it is of, its number there, its files by name, and its commands.
 */
function readRecipes() {
  const text = readFileSync(join(ROOT, 'docs/loading.md'), 'utf8')
  const recipes = []
  for (const section of text.split(/^### /m).slice(1)) {
    const title = section.match(/^[\w.]+/)[0]
    let files = {}
    for (const [, language, file, body] of section.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)) {
      if (language !== 'bash') {
        files[file] = body
        continue
      }
      const number = recipes.filter((recipe) => recipe.title === title).length + 1
      recipes.push({ title, number, files, ...commandsOf(body) })
      files = {}
    }
  }
  return recipes
}

/** Builds with all lines of the block except the last one if that runs the result in dist/. */
function commandsOf(block) {
  const lines = block.trimEnd().replaceAll('\\\n', '').split('\n')
  const runs = /^(node |bun )?dist\//.test(lines.at(-1))
  const last = runs ? lines.pop() : null
  return { build: lines, run: last, withModules: last?.endsWith('# with node_modules/') ?? false }
}

/**
 * Builds and runs every recipe.
 * @param installed a folder where the package is installed, and nothing else
 * @param add of a Report: what was tried, what is expected, and the action
 */
export function tryRecipes({ home, tarball, installed, quick, add }) {
  const folder = makeUserFolder(home, 'bundling')
  const bun = tool('@oven/bun-linux-x64-baseline/bin/bun')
  const env = { PATH: `${dirname(bun)}:${process.env.PATH}`, NEXT_TELEMETRY_DISABLED: '1' }
  const say = (command, cwd) => run(['sh', '-e', '-c', command], { cwd, env })
  add('install', null, () => {
    const wanted = Object.entries(quick ? QUICK_BUNDLERS : { ...QUICK_BUNDLERS, ...BUNDLERS })
    const tools = wanted.map(([name, version]) => `${name}@${version}`)
    npm(['install', '--no-audit', '--no-fund', tarball, ...tools], { cwd: folder })
    symlinkSync(bun, join(folder, 'node_modules/.bin/bun'))
  })

  const recipes = readRecipes().filter(({ title }) => !quick || QUICK_SECTIONS.test(title))
  const deployed = []
  for (const recipe of recipes) {
    const name = `${recipe.title} ${recipe.number}`
    const at = join(home, `deployed-${name.replace(/\W+/g, '-')}`)
    add(`${name}: builds`, null, () => {
      for (const [file, text] of Object.entries(recipe.files)) writeFileSync(join(folder, file), text)
      SETUP[recipe.title]?.(folder, installed)
      say(recipe.build.join('\n'), folder)
      mkdirSync(at)
      const output = recipe.title === 'Next.js' ? '.next/standalone' : 'dist'
      renameSync(join(folder, output), join(at, 'dist'))
      for (const file of Object.keys(recipe.files)) rmSync(join(folder, file))
    })
    if (recipe.withModules) symlinkSync(join(installed, 'node_modules'), join(at, 'node_modules'))
    deployed.push({ ...recipe, name, at })
  }
  if (!quick) add('nft finds the addon', null, () => mustTrace(say('npx nft print app.mjs', folder).stdout))

  // A bundle that names the folder where it was built could still find the addon there.
  renameSync(join(folder, 'node_modules'), join(folder, 'hidden'))
  for (const recipe of deployed) {
    if (recipe.title === 'Electron') tryElectron(recipe, installed, add)
    else tryDeployed(recipe, say, add)
  }
}

function tryDeployed({ name, at, run: command, title, withModules }, say, add) {
  const start = command ?? `node ${join(PROGRAMS, 'next/request.mjs')} dist`
  const runs = () => {
    const { stdout } = say(start, at)
    const checked = parseChecked(stdout)
    const inPackage = (file) => file?.match(/prebuilds\/.*/)?.[0] ?? file
    return { checked: checked.map((each) => ({ ...each, addon: inPackage(each.addon) })) }
  }
  const addon = 'prebuilds/linux-x64/writeback-iter.glibc.node'
  add(`${name}: runs`, { backend: 'native', addon, traces: null }, runs)
  if (withModules || title === 'Next.js') return
  add(`${name}: runs without the addon`, { backend: 'js', addon: null, traces: null }, () => {
    rmSync(join(at, 'dist/prebuilds'), { recursive: true })
    return runs()
  })
}

/** Puts the files that a recipe needs besides app.mjs into the folder. */
const SETUP = {
  'Next.js'(folder) {
    cpSync(join(PROGRAMS, 'next/app'), join(folder, 'app'), { recursive: true })
  },
  Electron(folder, installed) {
    rmSync(join(folder, 'app'), { recursive: true, force: true })
    cpSync(join(installed, 'node_modules'), join(folder, 'app/node_modules'), { recursive: true })
    cpSync(join(installed, 'check.cjs'), join(folder, 'app/main.cjs'))
  },
}

function mustTrace(printed) {
  if (!/^node_modules\/writeback-iter\/prebuilds\/linux-x64\/.*\.node$/m.test(printed))
    throw new Error(printed)
}

/**
 * Electron's package downloads Electron itself during its installation, and the npm registry does not have
 * that archive. So the test inspects the archive, and Node.js loads the package with the settings by which
 * node-gyp-build takes it for Electron.
 */
function tryElectron({ name, at }, installed, add) {
  add(`${name}: addons are outside the archive`, null, () => {
    const prebuilds = 'node_modules/writeback-iter/prebuilds/linux-x64/writeback-iter.glibc.node'
    if (!existsSync(join(at, 'dist/app.asar.unpacked', prebuilds))) throw new Error(`no ${prebuilds}`)
    if (existsSync(join(at, 'dist/app.asar.unpacked/main.cjs'))) throw new Error('all is outside')
  })
  const expected = { backend: 'native', addon: 'prebuilds/linux-x64/writeback-iter.glibc.node' }
  const electron = { command: [process.execPath], env: { ELECTRON_RUN_AS_NODE: '1' } }
  add(`${name}: node-gyp-build finds the addon`, expected, () => runProgram(electron, installed, 'check.cjs'))
}
