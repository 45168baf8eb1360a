// SPDX-License-Identifier: GPL-2.0-only
// `node docs/pictures/make.mjs`: makes the pictures of README.md and docs/ by `writeback-iter view --png`,
// and makes them small.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Each picture: what it shows, at which line (where it opens by itself: none), and its size. */
const PICTURES = {
  fsync: ['test/fixtures/recordings/null-small.txt.gz', 900, '1200x640'],
  sync: ['test/fixtures/pictures/sync.trace', 123, '1200x640'],
  cyclic: ['test/fixtures/pictures/cyclic.trace', 179, '1200x640'],
  concurrent: ['test/fixtures/recordings/fuse.txt.gz', 6000, '1200x640'],
  stuck: ['test/fixtures/broken/writeback-ends.txt.gz', null, '1200x640'],
}

if (spawnSync('pngquant', ['--version']).error !== undefined) {
  console.error('pictures need pngquant: apt-get install --no-install-recommends pngquant')
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'writeback-iter-pictures-'))
try {
  for (const [name, [file, line, size]] of Object.entries(PICTURES)) {
    const at = line === null ? [] : ['--line', String(line)]
    const png = join('docs/pictures', `${name}.png`)
    const args = ['view', file, '--out', join(folder, `${name}.html`), ...at, '--size', size, '--png', png]
    execFileSync(process.execPath, [join(root, 'dist/cli/main.js'), ...args], { cwd: root, stdio: 'ignore' })
    execFileSync('pngquant', ['--force', '--strip', '--ext', '.png', '48', png], { cwd: root })
    console.log(`${png}: ${statSync(join(root, png)).size} bytes`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
