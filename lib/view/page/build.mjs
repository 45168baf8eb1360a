// SPDX-License-Identifier: GPL-2.0-only
// Writes the page of `writeback-iter view` to dist: the script as one file, the style and the body.

import { cpSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url))
const out = here('../../../dist/view/page')

await build({
  entryPoints: [here('main.ts'), here('page.css')],
  entryNames: 'page',
  outdir: out,
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['chrome110', 'firefox115', 'safari16.4'],
})
cpSync(here('page.html'), `${out}/page.html`)
