// SPDX-License-Identifier: GPL-2.0-only
// The samples of README.md and of docs/.

import fs from 'node:fs'
import { join } from 'node:path'

const root = join(__dirname, '..')

export interface Block {
  readonly language: string
  /** The text behind the language. */
  readonly name: string
  readonly text: string
  /** Line number of its first line. */
  readonly line: number
}

/** The fenced blocks of a page; the empty block stands for anything else between two of them. */
export function blocks(page: string): Block[] {
  const found: Block[] = []
  let open: { language: string; name: string; text: string[]; line: number } | null = null
  for (const [i, line] of fs.readFileSync(join(root, page), 'utf8').split('\n').entries()) {
    const fence = /^```(\w*) ?(.*)$/.exec(line)
    if (open !== null && fence === null) open.text.push(line)
    else if (open !== null) {
      found.push({ ...open, text: `${open.text.join('\n')}\n` })
      open = null
    } else if (fence !== null) open = { language: fence[1], name: fence[2], text: [], line: i + 2 }
    else if (line.trim() !== '') found.push({ language: '', name: '', text: line, line: i + 1 })
  }
  if (open !== null) throw new Error(`${page}: a block is not closed`)
  return found
}

export interface Program {
  readonly page: string
  readonly line: number
  readonly language: 'ts' | 'js'
  text: string
  output: string | null
}

/** The programs of a page: a block that imports nothing goes on with the one before. */
export function programs(page: string): Program[] {
  const found: Program[] = []
  let before = ''
  for (const { language, name, text, line } of blocks(page)) {
    if (name === '' && (language === 'ts' || language === 'js')) {
      if (/^import |\brequire\(/m.test(text)) found.push({ page, line, language, text, output: null })
      else found[found.length - 1].text += text
    } else if (language === 'text' && (before === 'ts' || before === 'js')) {
      found[found.length - 1].output = text
    }
    before = language
  }
  return found
}
