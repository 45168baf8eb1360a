// SPDX-License-Identifier: GPL-2.0-only

/**
 * C0 and C1 control characters, DEL, and what turns the direction of text round: a terminal obeys them
 * instead of showing them. Line feeds and tabs only move text, and messages of several lines have them.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const UNPRINTABLE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/**
 * The text with its control characters escaped (`\x1b`, `\u202e`), for messages that quote a file or an
 * argument.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const code = character.charCodeAt(0)
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`
  })
}

/** {@link printable} for one line: line feeds and tabs are escaped, too. */
export function printableLine(text: string): string {
  return printable(text).replaceAll('\n', '\\n').replaceAll('\t', '\\t')
}
