// SPDX-License-Identifier: GPL-2.0-only
// Small faults in C source: one operator, constant or name changed, one condition negated, one statement
// deleted.
//
// No parser: the source is formatted by clang-format, so a binary operator is the one with space on both
// sides. What comes out need not compile. Assertions, and hints to the compiler (likely, unlikely), are left
// alone.

const TOKEN = new RegExp(
  [
    String.raw`(?<comment>/\*[\s\S]*?\*/|//.*)`,
    String.raw`(?<directive>^[ \t]*#(?:\\\n|/\*[\s\S]*?\*/|.)*)`,
    String.raw`(?<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')`,
    String.raw`(?<number>\b(?:0[xX][0-9a-fA-F]+|\d+)[uUlL]*\b)`,
    String.raw`(?<name>[A-Za-z_]\w*)`,
    String.raw`(?<operator><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^~!<>=?:;,.(){}[\]])`,
    String.raw`\\\n|\s+`,
  ].join('|'),
  'gm',
)

const BINARY = {
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
  '%': '/',
  '<<': '>>',
  '>>': '<<',
  '&': '|',
  '|': '&',
  '^': '|',
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '==': '!=',
  '!=': '==',
  '&&': '||',
  '||': '&&',
  '+=': '-=',
  '-=': '+=',
  '&=': '|=',
  '|=': '&=',
}
const UNARY = { '++': '--', '--': '++', '!': '', '~': '' }
const RELATIONS = ['<', '<=', '>', '>=', '==', '!=']

const NAMES = {
  true: 'false',
  false: 'true',
  PAGECACHE_TAG_DIRTY: 'PAGECACHE_TAG_TOWRITE',
  PAGECACHE_TAG_TOWRITE: 'PAGECACHE_TAG_WRITEBACK',
  PAGECACHE_TAG_WRITEBACK: 'PAGECACHE_TAG_DIRTY',
  XA_PRESENT: 'XA_MARK_0',
  WB_SYNC_ALL: 'WB_SYNC_NONE',
  WB_SYNC_NONE: 'WB_SYNC_ALL',
  PG_locked: 'PG_writeback',
  PG_dirty: 'PG_locked',
  PG_writeback: 'PG_dirty',
  ENOMEM: 'ENOSPC',
  ENOSPC: 'ENOMEM',
  EEXIST: 'ENOENT',
  ENOENT: 'EBUSY',
  EBUSY: 'ENOENT',
  EDEADLK: 'EINTR',
  xas_set_marks: 'xas_clear_marks',
  xas_clear_marks: 'xas_set_marks',
  xas_set_mark: 'xas_clear_mark',
  xas_clear_mark: 'xas_set_mark',
  folio_set_mark: 'folio_clear_mark',
  folio_clear_mark: 'folio_set_mark',
}

const CONTROL = ['if', 'while', 'for', 'switch']
const NOT_MUTATED = ['likely', 'unlikely', 'static_assert']
const DECLARATION =
  /^(?:(?:const|static|struct|enum|unsigned|signed|int|char|bool|void|long|size_t|u?int\d+_t|pgoff_t|xa_mark_t)\b|XA_STATE\b)/

function tokenize(text, offset = 0) {
  const tokens = []
  for (const match of text.matchAll(TOKEN)) {
    const [kind, word] = Object.entries(match.groups).find(([, value]) => value !== undefined) ?? []
    if (kind === undefined || kind === 'comment') continue
    tokens.push({ kind, word, start: match.index + offset, end: match.index + match[0].length + offset })
  }
  return tokens
}

const CLOSING = { '(': ')', '{': '}', '[': ']' }

/** @returns the place of the bracket that closes the one at `i` */
function closing(tokens, i) {
  let depth = 0
  for (let j = i; j < tokens.length; j++) {
    if (tokens[j].kind !== 'operator') continue
    if (tokens[j].word in CLOSING) depth++
    else if (Object.values(CLOSING).includes(tokens[j].word) && --depth === 0) return j
  }
  throw new Error(`'${tokens[i].word}' is never closed`)
}

/** @returns the place of the semicolon that ends the statement at `i` */
function endOfStatement(tokens, i) {
  let j = i
  while (tokens[j].word !== ';') j = tokens[j].word in CLOSING ? closing(tokens, j) + 1 : j + 1
  return j
}

class Mutator {
  edits = []

  constructor(text) {
    this.text = text
  }

  edit(start, end, replacement) {
    this.edits.push({ start, end, replacement })
  }

  /** Operators, constants and names from token `from` up to token `to`, excluded. */
  expression(tokens, from, to) {
    for (let i = from; i < to; i++) {
      const { kind, word, start, end } = tokens[i]
      if (kind === 'number') this.number(word, start, end)
      else if (kind === 'name' && Object.hasOwn(NAMES, word)) this.edit(start, end, NAMES[word])
      else if (kind === 'operator') this.operator(word, start, end)
      if (word === 'folio_change_flags' && tokens[i + 1]?.word === '(') this.swapArguments(tokens, i + 1)
    }
  }

  number(word, start, end) {
    const [, digits, suffix] = /^(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)$/.exec(word)
    const value = Number(digits)
    this.edit(start, end, `${value + 1}${suffix}`)
    if (value > 0) this.edit(start, end, `${value - 1}${suffix}`)
  }

  operator(word, start, end) {
    const isBinary = /\s/.test(this.text[start - 1]) && /[\s\\]/.test(this.text[end])
    if (isBinary && Object.hasOwn(BINARY, word)) this.edit(start, end, BINARY[word])
    else if (!isBinary && Object.hasOwn(UNARY, word)) this.edit(start, end, UNARY[word])
  }

  /** Of three: the second and the third. */
  swapArguments(tokens, open) {
    const close = closing(tokens, open)
    const commas = []
    for (let i = open + 1; i < close; i++) {
      if (tokens[i].word in CLOSING) i = closing(tokens, i)
      else if (tokens[i].word === ',') commas.push(tokens[i])
    }
    if (commas.length !== 2) return
    const [from, between] = commas
    const second = this.text.slice(from.end, between.start).trim()
    const third = this.text.slice(between.end, tokens[close].start).trim()
    if (second !== third) this.edit(from.end, tokens[close].start, ` ${third}, ${second}`)
  }

  /** Negates a condition, unless changing one of its operators does so already. */
  condition(tokens, open, close) {
    const words = tokens.slice(open + 1, close).map(({ word }) => word)
    const isJoined = words.includes('&&') || words.includes('||')
    if (!isJoined && (words[0] === '!' || words.some((word) => RELATIONS.includes(word)))) return
    const { start } = tokens[open]
    const { end } = tokens[close]
    this.edit(start, end, `(!${this.text.slice(start, end)})`)
  }

  /** A function's body, whose brackets are the tokens at `open` and `close`. */
  body(tokens, open, close) {
    let i = open + 1
    while (i < close) {
      const { word, kind } = tokens[i]
      if (word === '{' || word === '}' || word === ';' || word === 'else' || word === 'do') {
        i++
      } else if (CONTROL.includes(word)) {
        const headerEnd = closing(tokens, i + 1)
        if (word === 'if' || word === 'while') this.condition(tokens, i + 1, headerEnd)
        this.expression(tokens, i + 1, headerEnd)
        i = headerEnd + 1
      } else if (word === 'case') {
        while (tokens[i].word !== ':') i++
        i++
      } else if (kind === 'name' && tokens[i + 1].word === ':') {
        i += 2
      } else if (word.startsWith('xas_for_each')) {
        i = closing(tokens, i + 1) + 1
      } else {
        const end = endOfStatement(tokens, i)
        if (word !== 'assert') this.statement(tokens, i, end)
        i = end + 1
      }
    }
  }

  statement(tokens, from, semicolon) {
    const text = this.text.slice(tokens[from].start, tokens[semicolon].start)
    this.expression(tokens, from, semicolon)
    if (!DECLARATION.test(text) && !/^return\s/.test(text))
      this.edit(tokens[from].start, tokens[semicolon].start, '')
  }

  /** The replacement text of a macro. */
  macro({ word, start }) {
    const definition = /^[ \t]*#[ \t]*define[ \t]+(\w+)(\([^)]*\))?/.exec(word)
    if (definition === null || NOT_MUTATED.includes(definition[1])) return
    const tokens = tokenize(word.slice(definition[0].length), start + definition[0].length)
    this.expression(tokens, 0, tokens.length)
  }

  file() {
    const tokens = tokenize(this.text)
    for (const token of tokens) if (token.kind === 'directive') this.macro(token)
    const code = tokens.filter(({ kind }) => kind !== 'directive')
    for (let i = 0; i < code.length; i++) {
      if (code[i].word !== '{') continue
      const close = closing(code, i)
      if (code[i - 1].word === ')') this.body(code, i, close)
      i = close
    }
    return this.edits.sort((a, b) => a.start - b.start || a.end - b.end)
  }
}

/** Joins the lines from `start` to `end` to one. */
function linesAround(text, start, end) {
  const from = text.lastIndexOf('\n', start - 1) + 1
  const to = text.indexOf('\n', end)
  return text
    .slice(from, to === -1 ? undefined : to)
    .replace(/\s*\\?\s+/g, ' ')
    .trim()
}

/**
 * @param file name of the file, for the mutants' names
 * @param text its text
 * @returns the mutants: `name`, which line numbers do not take part in, `line`, and the whole `text`
 */
export function mutate(file, text) {
  const seen = new Map()
  return new Mutator(text).file().map(({ start, end, replacement }) => {
    const mutated = text.slice(0, start) + replacement + text.slice(end)
    const before = linesAround(text, start, end)
    const after = linesAround(mutated, start, start + replacement.length)
    let name = `${file}: ${before} -> ${after}`
    const times = (seen.get(name) ?? 0) + 1
    seen.set(name, times)
    if (times > 1) name += ` (${times})`
    return { file, name, line: text.slice(0, start).split('\n').length, text: mutated }
  })
}
