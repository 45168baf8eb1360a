// SPDX-License-Identifier: GPL-2.0-only
// The published package.json has only the scripts that users can run. npm runs a package's `prepare` when a
// user installs its folder, and warns of it when a user installs its tarball.
//
//   manifest.mjs strip before npm packs (prepack): takes the others out, and keeps the whole file in build/
//   manifest.mjs restore afterwards (postpack): puts it back

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PUBLISHED_SCRIPTS = ['build:native']

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const file = join(root, 'package.json')
const kept = join(root, 'build/package.json')

function strip() {
  const text = readFileSync(file, 'utf8')
  const manifest = JSON.parse(text)
  const scripts = Object.entries(manifest.scripts).filter(([name]) => PUBLISHED_SCRIPTS.includes(name))
  mkdirSync(dirname(kept), { recursive: true })
  writeFileSync(kept, text)
  writeFileSync(file, `${JSON.stringify({ ...manifest, scripts: Object.fromEntries(scripts) }, null, 2)}\n`)
}

/** Run this by hand if npm was killed between the two. */
function restore() {
  renameSync(kept, file)
}

const commands = { strip, restore }
commands[process.argv[2]]()
