// SPDX-License-Identifier: GPL-2.0-only
// The words that the page uses for a state, for a change, and for what a pass did.

import * as bits from '../data.js'
import type { Timeline } from './timeline.js'

const NAMES: readonly (readonly [number, string])[] = [
  [bits.LOCKED, 'locked'],
  [bits.DIRTY, 'dirty'],
  [bits.WRITEBACK, 'writeback'],
  [bits.DIRTY_MARK, 'DIRTY'],
  [bits.TOWRITE_MARK, 'TOWRITE'],
  [bits.WRITEBACK_MARK, 'WRITEBACK'],
]

/** Flags in small letters, marks in capitals. */
export function stateWords(state: number): string {
  if (state === 0) return 'not in the cache'
  const words = NAMES.filter(([bit]) => (state & bit) !== 0).map(([, name]) => name)
  return words.length === 0 ? 'clean' : words.join(' ')
}

export function changeWords(was: number, to: number): string {
  if (was === 0) return to === bits.PRESENT ? 'added' : `added: ${stateWords(to)}`
  if (to === 0) return 'removed'
  const set = NAMES.filter(([bit]) => (to & ~was & bit) !== 0).map(([, name]) => `+${name}`)
  const cleared = NAMES.filter(([bit]) => (was & ~to & bit) !== 0).map(([, name]) => `−${name}`)
  return [...set, ...cleared].join(' ')
}

export function number(value: number): string {
  return value.toLocaleString('en-US')
}

function folioWords(timeline: Timeline, folio: number): string {
  const [index, pages] = [timeline.index[folio], timeline.pages[folio]]
  return pages === 1 ? `folio ${index}` : `folio ${index} (${number(pages)} pages)`
}

/** What the last step changed, for the line below it and for screen readers. */
export function effectWords(timeline: Timeline): string {
  const { step, changeFrom, changeFolio, changeWas, changeTo } = timeline
  if (step === 0) return 'Nothing has happened yet.'
  const [from, to] = [changeFrom[step - 1], changeFrom[step]]
  if (from === to) return 'No folio changed.'
  const words: string[] = []
  for (let i = from; i < Math.min(to, from + 4); i++) {
    words.push(`${folioWords(timeline, changeFolio[i])}: ${changeWords(changeWas[i], changeTo[i])}`)
  }
  if (to - from > 4) words.push(`${number(to - from - 4)} more folios changed`)
  return `${words.join('; ')}.`
}

const SKIPPED: Record<string, string> = {
  gone: 'it is no longer in the cache',
  clean: 'it is no longer dirty',
  writeback: 'it is under writeback, and this pass does not wait',
}

/** One of the things that a call of writeback_iter() does, in a `next` of format 1. */
export function insideWords(what: string): string {
  const [verb, ...rest] = what.split(' ')
  switch (verb) {
    case 'tag':
      return `tag: ${number(Number(rest[0]))} folios that have DIRTY get TOWRITE`
    case 'lookup':
      return `look up: ${rest[0]} folios with ${rest[1].toUpperCase()} fill the batch`
    case 'stop':
      return 'stop: nr_to_write is used up, or the write failed'
    case 'wait':
      return rest[0] === 'lock'
        ? `wait for the lock of folio ${rest[1]}`
        : `wait for the writeback of folio ${rest[1]}`
    case 'skip':
      return `lock folio ${rest[0]}, look again: ${SKIPPED[rest[1]]}; unlock, skip`
    case 'return':
      return `lock folio ${rest[0]}, look again: dirty; clear the flag, return it`
    default:
      return 'nothing is left: return NULL'
  }
}

/** The same for a step of format 2, in which each of these is a step of its own. */
export function momentWords(text: string): string {
  const [name, , ...rest] = text.split(' ')
  switch (name) {
    case 'begin':
      return 'first call of writeback_iter()'
    case 'call':
      return `call: hand the last folio back, error ${rest[0]}`
    case 'tag':
      return `tag pages ${rest[0]} to ${rest[1]}: DIRTY gives TOWRITE`
    case 'lookup':
      return `look up: ${rest[1]} folios fill the batch`
    case 'look':
      return `lock folio ${rest[0]}, look again`
    case 'next':
      return rest[1] === 'folio' ? `return folio ${rest[2]}` : `return NULL, error ${rest[2]}`
    case 'redirty':
      return `the caller redirties folio ${rest[0]}`
    default:
      return text
  }
}
