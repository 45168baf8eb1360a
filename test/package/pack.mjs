// SPDX-License-Identifier: GPL-2.0-only
// The package as it would be published, and what is in it.

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import { BUILD, npm, ROOT, run } from './run_program.mjs'

/** Unpacked, without the prebuilt addons. */
const MAX_BYTES = 1_000_000

const PREBUILDS = [
  'prebuilds/linux-arm64/writeback-iter.glibc.node',
  'prebuilds/linux-x64/writeback-iter.glibc.node',
  'prebuilds/linux-x64/writeback-iter.musl.node',
  'prebuilds/win32-x64/writeback-iter.node',
]

/** What is for development only. */
const UNWANTED = /(^|\/)(test|bench|docs|build|node_modules|\..*)(\/|$)|\.tsbuildinfo$|\.tgz$/

/** Whether the addon is missing, or older than what it is built from. */
function isStale(prebuild) {
  const changed = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const sources = readdirSync(join(ROOT, 'native'), { recursive: true }).map((name) =>
    join(ROOT, 'native', name),
  )
  const built = changed(join(ROOT, prebuild))
  return [...sources, join(ROOT, 'CMakeLists.txt')].some((source) => changed(source) > built)
}

/**
 * Packs the package, with prebuilt addons that are built if there are none of these sources.
 * @returns the tarball, a folder with its contents, and its sizes in bytes
 */
export function pack() {
  if (PREBUILDS.some(isStale)) npm(['run', 'prebuild'], { cwd: ROOT })
  npm(['run', 'build:ts'], { cwd: ROOT })
  rmSync(join(BUILD, 'packed'), { recursive: true, force: true })
  mkdirSync(join(BUILD, 'packed'), { recursive: true })
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', join(BUILD, 'packed')]
  const [packed] = JSON.parse(npm(args, { cwd: ROOT }).stdout)
  const tarball = join(BUILD, 'packed', packed.filename)
  run(['tar', '-xzf', tarball, '-C', join(BUILD, 'packed')])
  const prebuilt = packed.files.filter((file) => file.path.startsWith('prebuilds/'))
  return {
    tarball,
    folder: join(BUILD, 'packed', 'package'),
    files: packed.files.map((file) => file.path),
    packedBytes: packed.size,
    prebuiltBytes: prebuilt.reduce((sum, file) => sum + file.size, 0),
    unpackedBytes: packed.unpackedSize,
  }
}

/** What is wrong with the tarball's contents, one line each. */
export function contentProblems({ folder, files, unpackedBytes, prebuiltBytes }) {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const problems = []
  const must = (condition, problem) => condition || problems.push(problem)

  must(unpackedBytes - prebuiltBytes < MAX_BYTES, `${unpackedBytes - prebuiltBytes} bytes without prebuilds`)
  for (const file of PREBUILDS) must(files.includes(file), `${file} is missing`)
  for (const file of files) must(!UNWANTED.test(file), `${file} is for development only`)
  for (const file of ['LICENSE', 'README.md', 'CHANGELOG.md', 'CMakeLists.txt', 'native/build.mjs']) {
    must(files.includes(file), `${file} is missing`)
  }

  // Package managers hold up, or refuse, a package that wants to run something when it is installed.
  for (const script of ['preinstall', 'install', 'postinstall']) {
    must(manifest.scripts?.[script] === undefined, `package.json has a script ${script}`)
  }
  must(!files.includes('binding.gyp'), 'binding.gyp makes npm run node-gyp')
  const dependencies = Object.keys(manifest.dependencies).sort().join()
  must(dependencies === 'cli-progress,commander,node-gyp-build,picocolors', `dependencies: ${dependencies}`)
  for (const field of ['repository', 'homepage', 'bugs', 'keywords', 'engines', 'license', 'sideEffects']) {
    must(manifest[field] !== undefined, `package.json has no ${field}`)
  }

  for (const file of files.filter((name) => /\.m?[jt]s$/.test(name))) {
    const map = readFileSync(join(folder, file), 'utf8').match(/^\/\/# sourceMappingURL=(.*)$/m)?.[1]
    if (map !== undefined) problems.push(...mapProblems(folder, files, posix.join(posix.dirname(file), map)))
  }
  return problems
}

function mapProblems(folder, files, map) {
  if (!files.includes(map)) return [`${map} is missing`]
  const { sources } = JSON.parse(readFileSync(join(folder, map), 'utf8'))
  const missing = sources.filter((source) => !files.includes(posix.join(posix.dirname(map), source)))
  return missing.map((source) => `${map} names ${source}, which is missing`)
}
