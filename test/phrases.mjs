// SPDX-License-Identifier: GPL-2.0-only
// `npm run lint`: phrases that no text of this project uses, in documents, comments and messages, each with
// what to write instead. A phrase is found across the line breaks of a paragraph or a comment.

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

const SELF = 'test/phrases.mjs'
const TEXT = /\.(?:md|ts|mts|mjs|cjs|c|h|cc|sh|yml)$|^\.ci\/run$/
const root = fileURLToPath(new URL('..', import.meta.url))
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((name) => TEXT.test(name) && name !== SELF)

let found = 0
for (const name of files) {
  // One line, without the marks that lines of a comment begin with, and where in it each line of the file
  // begins.
  let flat = ''
  const begins = []
  for (const line of readFileSync(`${root}/${name}`, 'utf8').split('\n')) {
    begins.push(flat.length)
    flat += `${line
      .replace(/^[ \t]*(?:\*(?!\/)|\/\/|#|>)?/, '')
      .trim()
      .replaceAll(/\s+/g, ' ')} `
  }
  for (const [phrase, instead] of PHRASES) {
    for (const { 0: words, index } of flat.matchAll(phrase)) {
      found++
      console.error(
        `${name}:${begins.findLastIndex((begin) => begin <= index) + 1}: "${words.trim()}": ${instead}`,
      )
    }
  }
}

const vocabulary = readFileSync(`${root}/docs/vocabulary.txt`, 'utf8').trimEnd().split('\n').slice(1)
for (const [i, word] of vocabulary.entries()) {
  if (i === 0 || vocabulary[i - 1] < word) continue
  found++
  console.error(`docs/vocabulary.txt:${i + 2}: "${word}": sorted, and once`)
}
process.exitCode = found === 0 ? 0 : 1
