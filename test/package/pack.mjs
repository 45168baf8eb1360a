// SPDX-License-Identifier: GPL-2.0-only
// The package as npm packs it, and its contents.

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { prebuilt, targets } from '../../native/targets.mjs'
import { contentProblems } from './release/contents.mjs'
import { BUILD, npm, ROOT, run } from './run_program.mjs'

/** The targets that can be built here. */
const HERE = Object.keys(targets).filter((name) => targets[name].host === process.platform)

/** Whether the addon is missing, or older than its sources. */
function isStale(prebuild) {
  const changed = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const sources = readdirSync(join(ROOT, 'native'), { recursive: true }).map((name) =>
    join(ROOT, 'native', name),
  )
  const built = changed(join(ROOT, prebuild))
  return [...sources, join(ROOT, 'CMakeLists.txt')].some((source) => changed(source) > built)
}

/**
 * A copy of the repository's files: npm changes package.json while it packs, and other checks run at the same
 * time.
 */
export function copyTree(name) {
  const tree = join(BUILD, name)
  rmSync(tree, { recursive: true, force: true })
  const listed = run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
  for (const file of listed.stdout.split('\0').filter(Boolean)) {
    // The file is deleted, but the deletion is not committed yet.
    if (statSync(join(ROOT, file), { throwIfNoEntry: false }) === undefined) continue
    mkdirSync(dirname(join(tree, file)), { recursive: true })
    cpSync(join(ROOT, file), join(tree, file))
  }
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'))
  return tree
}

/**
 * Packs the package, with the prebuilt addons of this platform, which are built if there are none of these
 * sources.
 * @returns the tarball, a folder with its contents, and its sizes in bytes
 */
export function pack() {
  if (HERE.map(prebuilt).some(isStale)) run([process.execPath, 'native/prebuild.mjs'], { cwd: ROOT })
  const tree = copyTree('tree')
  cpSync(join(ROOT, 'prebuilds'), join(tree, 'prebuilds'), { recursive: true })
  rmSync(join(BUILD, 'packed'), { recursive: true, force: true })
  mkdirSync(join(BUILD, 'packed'), { recursive: true })
  const args = ['pack', '--json', '--pack-destination', join(BUILD, 'packed')]
  const [packed] = JSON.parse(npm(args, { cwd: tree }).stdout)
  const tarball = join(BUILD, 'packed', packed.filename)
  run(['tar', '-xzf', tarball, '-C', join(BUILD, 'packed')])
  const prebuiltFiles = packed.files.filter((file) => file.path.startsWith('prebuilds/'))
  return {
    tarball,
    folder: join(BUILD, 'packed', 'package'),
    tree,
    files: packed.files,
    packedBytes: packed.size,
    prebuiltBytes: prebuiltFiles.reduce((sum, file) => sum + file.size, 0),
    unpackedBytes: packed.unpackedSize,
  }
}

/** The faults of the tarball, one per line. */
export function tarballProblems({ folder, files }) {
  const problems = contentProblems(folder, files, HERE)
  const { scripts, dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const names = Object.keys(scripts).join()
  if (names !== 'build:native') problems.push(`scripts: ${names}`)
  const needed = Object.keys(dependencies).sort().join()
  if (needed !== 'cli-progress,commander,node-gyp-build,picocolors') problems.push(`dependencies: ${needed}`)
  return problems
}
