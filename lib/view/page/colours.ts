// SPDX-License-Identifier: GPL-2.0-only

import * as bits from '../data.js'

const NAMES = [
  'bg',
  'fg',
  'dim',
  'line',
  'clean',
  'dirty',
  'towrite',
  'marked',
  'writeback',
  'locked',
  'accent',
  'alarm',
  'ink',
  'inverse',
] as const

/** The colours of page.css, in the colour scheme (light or dark) that the browser uses. */
export type Colours = Record<(typeof NAMES)[number], string>

export function readColours(): Colours {
  const style = getComputedStyle(document.documentElement)
  return Object.fromEntries(
    NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  ) as Colours
}

/** A colour of the form #rrggbb as a word of ImageData (little endian: ABGR). */
export function pixel(colour: string): number {
  const rgb = Number.parseInt(colour.slice(1), 16)
  return (0xff << 24) | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)
}

/**
 * The summaries that a folio too small for a box is drawn with, from the least important to the most
 * important.
 */
export const SUMMARIES = ['clean', 'marked', 'dirty', 'towrite', 'locked', 'writeback'] as const

export function summary(state: number): (typeof SUMMARIES)[number] {
  if ((state & bits.WRITEBACK) !== 0) return 'writeback'
  if ((state & bits.LOCKED) !== 0) return 'locked'
  if ((state & bits.TOWRITE_MARK) !== 0) return 'towrite'
  if ((state & bits.DIRTY) !== 0) return 'dirty'
  return (state & bits.DIRTY_MARK) !== 0 ? 'marked' : 'clean'
}
