// SPDX-License-Identifier: GPL-2.0-only
// Properties of the workflows whose absence would be noticed only when it is too late.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const folder = join(__dirname, '../.github/workflows')
const workflows = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const)

test.each(workflows)(
  '%s names actions by commit, which nobody can move, and says of which version',
  (_, text) => {
    const uses = Array.from(text.matchAll(/uses: (.*)/g), ([, action]) => action)
    expect(uses).not.toEqual([])
    for (const action of uses) expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  },
)

test.each(workflows)('%s asks for no more than it needs', (_, text) => {
  expect(text).toMatch(/^permissions:\n {2}contents: read$/m)
})

test('package.yml builds the addon of every target, on its host', async () => {
  const { targets } = await import('../native/targets.mjs')
  const { 'package.yml': text } = Object.fromEntries(workflows)
  expect(text).toContain('run: node native/prebuild.mjs\n')
  expect(text).toMatch(/node native\/prebuild\.mjs darwin-\$\{\{ matrix\.arch }}/)
  for (const [name, { host }] of Object.entries(targets)) {
    const [, arch] = name.split('-')
    if (host === 'darwin') expect(text).toContain(`arch: ${arch} }`)
    if (host === 'win32') expect(text).toContain(`node native/prebuild.mjs ${name}`)
  }
})
