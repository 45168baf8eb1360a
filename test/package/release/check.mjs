// SPDX-License-Identifier: GPL-2.0-only
// Refuses to publish an incomplete package: it inspects what npm would pack. `prepublishOnly` runs it. So
// does `prepack` in CI (--in-ci), where the packed tarball is the one that will be published.

import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { contentProblems } from './contents.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')

if (!process.argv.includes('--in-ci') || process.env.CI) {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
  // npm is a script on Windows.
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26, shell: process.platform === 'win32' }
  const [{ files }] = JSON.parse(execFileSync('npm', args, options))
  const problems = contentProblems(root, files)
  for (const problem of problems) console.error(`writeback-iter: not to be published: ${problem}`)
  if (problems.length > 0) {
    console.error(
      'writeback-iter: .github/workflows/package.yml builds the addons of every platform, and publishes.',
    )
    process.exitCode = 1
  }
}
