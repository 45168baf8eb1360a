// SPDX-License-Identifier: GPL-2.0-only

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import { ROOT } from './build.mjs'

/** @typedef {ReturnType<typeof machine>} Machine */

/** The compiler's own mark in what it compiled; GCC and Clang leave one. @param {string} file */
function compilerOf(file) {
  const marks = readFileSync(file, 'latin1').match(/GCC: \([^)]*\) [\d.]+|clang version [\d.]+/g)
  return marks === null ? 'unknown' : [...new Set(marks)].join(', ')
}

function distribution() {
  const name =
    existsSync('/etc/os-release') && /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))
  return name ? `${name[1]}, ${os.type()} ${os.release()}` : `${os.type()} ${os.release()}`
}

/** What the figures were measured on. */
export function machine() {
  const nodeGypBuild = createRequire(import.meta.url)('node-gyp-build')
  return {
    cpu: os.cpus()[0]?.model.trim() ?? os.arch(),
    cores: os.cpus().length,
    architecture: os.arch(),
    load: Math.round(os.loadavg()[0] * 100) / 100,
    node: process.version,
    v8: process.versions.v8,
    os: distribution(),
    compiler: compilerOf(nodeGypBuild.path(ROOT)),
  }
}
