// SPDX-License-Identifier: GPL-2.0-only
// `npm run lint`: finds, in documents, comments and messages, phrases that this project does not use, each
// with its replacement, also across the line breaks of a paragraph or a comment. It also finds comment lines
// that are longer than the formatter's width or that clang-format joined to their star, and a vocabulary that
// is not sorted.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** @type {[RegExp, string][]} */
const PHRASES = [
  [/\bwho(?:m)?ever\b/gi, 'name the actor: the caller, the host, the iterator'],
  [
    /\b(?:by|to|of|with|from|for|that|and|or|not|what|leaves|shows|beside|waking) whom?\b(?! (?:it|he) is)/gi,
    'name the actor: the caller, the task that ...',
  ],
  [/(?:^|[.:;(] |\/\*\*? |\/\/ )Who\b(?![^.]*\?)/g, 'name the actor: the caller, the task that ...'],
  [/\bbears?\b|\bborne\b/gi, 'has the mark'],
  [/\b(?<!as )so many\b/gi, 'a number or a name'],
  [/\bmostly\b/gi, 'most of the time, on the fast path, or a number'],
  [/\b(?:is|are|was|were|be|been) told\b(?! apart)/gi, 'is recorded, reported, passed'],
  [/\bhears? of\b/gi, 'sees, gets'],
  [
    /\b(?:ns|nanoseconds|instructions|callbacks?|words?|bits?|marks|objects?) an? (?:folio|page|call|slot|entry|extent|pass|batch|mark|node|round)\b/gi,
    'per folio, per page',
  ],
  [/\bneither the lock nor\b.{0,30}\bin its way\b|\bNot the lock nor\b/gi, 'neither ... prevents it'],
]

const SELF = 'test/words.mjs'
/** The width of Biome, which does not wrap comments. */
const WIDTH = 110
const TEXT = /\.(?:md|ts|mts|mjs|cjs|c|h|cc|sh|yml)$|^\.ci\/run$/
const root = fileURLToPath(new URL('..', import.meta.url))
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((name) => TEXT.test(name) && name !== SELF)

let found = 0
/** @param {string} name @param {number} line @param {string} what @param {string} instead */
function report(name, line, what, instead) {
  found++
  console.error(`${name}:${line}: ${what}: ${instead}`)
}

for (const name of files) {
  const lines = readFileSync(`${root}/${name}`, 'utf8').split('\n')
  for (const [i, line] of lines.entries()) {
    const comment = /^\s*(?:\/\/|\/\*\*|\*)(?! *@type)/.test(line)
    if (/s$/.test(name) && comment && line.length > WIDTH) {
      report(name, i + 1, `a comment line of ${line.length} characters`, `at most ${WIDTH}`)
    }
    if (/\.(?:c|h|cc)$/.test(name) && /^ \*[\w(-]/.test(line)) {
      report(name, i + 1, 'a continued line without indentation', 'a tab behind the star')
    }
  }
  // The text as one line, without the marks at the start of comment lines, and the place in it where each
  // line begins.
  let flat = ''
  const begins = []
  for (const line of lines) {
    begins.push(flat.length)
    flat += `${line
      .replace(/^[ \t]*(?:\*(?!\/)|\/\/|#|>)?/, '')
      .trim()
      .replaceAll(/\s+/g, ' ')} `
  }
  for (const [phrase, instead] of PHRASES) {
    for (const { 0: words, index } of flat.matchAll(phrase)) {
      report(name, begins.findLastIndex((begin) => begin <= index) + 1, `"${words.trim()}"`, instead)
    }
  }
}

const vocabulary = readFileSync(`${root}/docs/vocabulary.txt`, 'utf8').trimEnd().split('\n').slice(1)
for (const [i, word] of vocabulary.entries()) {
  if (i > 0 && vocabulary[i - 1] >= word)
    report('docs/vocabulary.txt', i + 2, `"${word}"`, 'sorted, and once')
}
process.exitCode = found === 0 ? 0 : 1
