// SPDX-License-Identifier: GPL-2.0-only
// Makes one HTML file that shows a timeline. The file contains everything, and its policy forbids it to load
// anything.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { PageData } from './data.js'

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

function hash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}

export function viewPage(data: PageData): string {
  const part = (name: string) => readFileSync(join(__dirname, 'page', name), 'utf8')
  const [style, script, body] = [part('page.css'), part('page.js'), part('page.html')]
  const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; base-uri 'none'; form-action 'none'`
  const packed = gzipSync(JSON.stringify(data), { level: 9 }).toString('base64')
  return [
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escaped(data.file)} - writeback-iter view</title>`,
    `<style>${style}</style>\n</head>\n<body>`,
    body,
    `<script type="application/gzip" id="data">${packed}</script>`,
    `<script>${script}</script>\n</body>\n</html>\n`,
  ].join('\n')
}
