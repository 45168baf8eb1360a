// SPDX-License-Identifier: GPL-2.0-only
// The files that must be in the package, and those that must not.

import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { targets, prebuilt } from '../../../native/targets.mjs'

/** Unpacked, without the prebuilt addons. */
const MAX_BYTES = 2_000_000

const REQUIRED = [
  'binding.js',
  'CHANGELOG.md',
  'CMakeLists.txt',
  'dist/index.js',
  'LICENSE',
  'native/build.mjs',
  'README.md',
]

/** The files that are for development only. */
const UNWANTED = /(^|\/)(test|bench|release|build|node_modules|\..*)(\/|$)|\.tsbuildinfo$|\.tgz$/

/** Scripts that run during the installation of the package: a package manager then asks or refuses. */
const ON_INSTALL = ['preinstall', 'install', 'postinstall']

/**
 * What is wrong with the contents of a package, one line each.
 * @param folder where the files are
 * @param files as npm packs them: `{ path, size }`, from `npm pack --json`
 * @param names of the targets whose addon must be there; all, for what is published
 */
export function contentProblems(folder, files, names = Object.keys(targets)) {
  const text = (path) => readFileSync(join(folder, path), 'utf8')
  const manifest = JSON.parse(text('package.json'))
  const paths = new Set(files.map((file) => file.path))
  const problems = []
  const must = (condition, problem) => condition || problems.push(problem)

  for (const path of [...REQUIRED, ...names.map(prebuilt)]) must(paths.has(path), `${path} is missing`)
  for (const path of paths) must(!UNWANTED.test(path), `${path} is for development only`)
  const bytes = files.reduce((sum, { path, size }) => sum + (path.startsWith('prebuilds/') ? 0 : size), 0)
  must(bytes < MAX_BYTES, `${bytes} bytes without prebuilds`)

  for (const script of ON_INSTALL)
    must(manifest.scripts?.[script] === undefined, `package.json has a script ${script}`)
  must(!paths.has('binding.gyp'), 'binding.gyp has npm call node-gyp')
  for (const field of ['repository', 'homepage', 'bugs', 'keywords', 'engines', 'license', 'sideEffects']) {
    must(manifest[field] !== undefined, `package.json has no ${field}`)
  }

  for (const path of paths) {
    if (/\.m?[jt]s$/.test(path)) problems.push(...mapProblems(path, paths, text))
    if (path.endsWith('.md')) problems.push(...linkProblems(path, paths, text))
  }
  return problems
}

/** Source maps, and the sources that they name. */
function mapProblems(path, paths, text) {
  const named = text(path).match(/^\/\/# sourceMappingURL=(.*)$/m)?.[1]
  if (named === undefined) return []
  const map = posix.join(posix.dirname(path), named)
  if (!paths.has(map)) return [`${map} is missing`]
  const { sources } = JSON.parse(text(map))
  const missing = sources.filter((source) => !paths.has(posix.join(posix.dirname(map), source)))
  return missing.map((source) => `${map} names ${source}, which is missing`)
}

/** Links of a page to files of the repository. */
function linkProblems(path, paths, text) {
  const targets = Array.from(text(path).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g), ([, target]) => target)
  const inPackage = (target) => {
    const file = posix.join(posix.dirname(path), target)
    return paths.has(file) || [...paths].some((each) => each.startsWith(`${file.replace(/\/$/, '')}/`))
  }
  return targets
    .filter((target) => !inPackage(target))
    .map((target) => `${path} links to ${target}, which is missing`)
}
