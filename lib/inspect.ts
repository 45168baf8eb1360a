// SPDX-License-Identifier: GPL-2.0-only
// How console.log() of Node.js, Deno and Bun shows objects whose state is private.

import type { Folio } from './types.js'

/** util.inspect.custom, without an import: this runs in browsers, too. */
export const INSPECT = Symbol.for('nodejs.util.inspect.custom')

const FLAGS = ['locked', 'dirty', 'writeback', 'uptodate'] as const

/** What a method of that name is given. */
export type InspectArguments = [
  depth: unknown,
  options: object,
  inspect: (value: unknown, options: object) => string,
]

/** `Name { field: value }`; `[Name]` below the depth that is wanted. */
export function inspectAs(
  name: string,
  fields: Record<string, unknown>,
  [depth, options, inspect]: InspectArguments,
): string {
  // Anybody may call this, with anything.
  if (typeof inspect !== 'function' || (typeof depth === 'number' && depth < 0)) return `[${name}]`
  return `${name} ${inspect(fields, { ...options, depth })}`
}

/** The folio's place and the flags that are set; that it has no mapping, once it was removed. */
export function inspectFolio(folio: Folio, args: InspectArguments): string {
  const { index, order, mapping } = folio
  const flags = FLAGS.filter((flag) => folio[flag]).join(' ')
  return inspectAs('Folio', { index, order, flags, ...(mapping === null ? { mapping } : {}) }, args)
}
