// SPDX-License-Identifier: GPL-2.0-only
// Writes the constants of lib/native/layout.ts as a C header: `PassWord.ERROR` is PASS_WORD_ERROR there.
//
//   node native/addon/layout.mjs LAYOUT.TS LAYOUT.H

import { readFileSync, writeFileSync } from 'node:fs'

const [from, to] = process.argv.slice(2)
const source = readFileSync(from, 'utf8')
const upper = (name) => name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()

const lines = ['/* From lib/native/layout.ts. */']
for (const [, name, value] of source.matchAll(/^export const (\w+) = (\d+)$/gm)) {
  lines.push(`#define ${name} ${value}`)
}
for (const [, name, body] of source.matchAll(/^export const enum (\w+) \{\n(.*?)^\}$/gms)) {
  for (const [, key, value] of body.matchAll(/^ {2}(\w+) = (\w+),$/gm)) {
    lines.push(`#define ${upper(name)}_${upper(key)} ${value}`)
  }
}
writeFileSync(to, `${lines.join('\n')}\n`)
