// SPDX-License-Identifier: GPL-2.0-only
// Argument checks that both backends share, so that the same input gives the same error in both.

import { invalid } from './errors.js'
import type { AbortSignalLike, AsyncOptions, WaitHook } from './types.js'

/** The largest page index, 2^51 - 1: the last page of 4 KiB that a byte offset of 63 bits reaches. */
export const MAX_INDEX = 2 ** 51 - 1
/** The largest folio order: 2^18 pages, 1 GiB at 4 KiB a page. */
export const MAX_ORDER = 18
export const MIN_PAGE_SHIFT = 9
export const MAX_PAGE_SHIFT = 30
export const DEFAULT_PAGE_SHIFT = 12
/** The largest byte offset, LLONG_MAX. */
export const MAX_OFFSET = 2n ** 63n - 1n
/** Folios of a batch (the kernel's PAGEVEC_SIZE). */
export const FOLIO_BATCH_SIZE = 31
/** The most pages of an extent unless `maxPages` says otherwise, which may be up to MAX_EXTENT_PAGES. */
export const DEFAULT_EXTENT_PAGES = 256
export const MAX_EXTENT_PAGES = 1024
/** The most writes of a pass that awaits under way at a time, unless `concurrency` says otherwise. */
export const DEFAULT_CONCURRENCY = 16

/** The marks by number, as the core numbers them. PRESENT is internal: it is set for every entry. */
export const DIRTY = 0
export const WRITEBACK = 1
export const TOWRITE = 2
export const PRESENT = 3
export type MarkNumber = typeof DIRTY | typeof WRITEBACK | typeof TOWRITE | typeof PRESENT

/** The last page of a file: the last index of which all bytes have an offset, at most MAX_INDEX. */
export function maxIndex(pageShift: number): number {
  return 2 ** (63 - Math.max(pageShift, DEFAULT_PAGE_SHIFT)) - 1
}

/** @param max - what maxIndex() says for the mapping */
export function checkIndex(what: string, value: unknown, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
    const where = max === MAX_INDEX ? '' : ', as a byte offset has 63 bits'
    throw invalid(what, value, `a page index, an integer from 0 to 2^${Math.log2(max + 1)} - 1${where}`)
  }
  return value + 0 // -0 becomes 0
}

export function checkOrder(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > MAX_ORDER) {
    throw invalid('order', value, `an integer from 0 to ${MAX_ORDER}`)
  }
  return value + 0
}

/**
 * A folio of this order can begin at this page; its last page is a page of the file then, too: there are 2^33
 * at least.
 */
export function checkAligned(index: number, order: number): void {
  if (index % 2 ** order !== 0) throw invalid('index', index, `a multiple of ${2 ** order} at order ${order}`)
}

/** This many folios of this order fit between this page and the last, which is `max`. */
export function checkCount(value: unknown, index: number, order: number, max: number): number {
  const most = Math.floor((max + 1 - index) / 2 ** order)
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most) {
    throw invalid('count', value, `an integer from 0 to ${most}, as pages end at 2^${Math.log2(max + 1)}`)
  }
  return value + 0
}

export function checkPageShift(value: unknown): number {
  if (value === undefined) return DEFAULT_PAGE_SHIFT
  if (
    typeof value !== 'number' ||
    !Number.isInteger(value) ||
    value < MIN_PAGE_SHIFT ||
    value > MAX_PAGE_SHIFT
  ) {
    throw invalid('pageShift', value, `an integer from ${MIN_PAGE_SHIFT} to ${MAX_PAGE_SHIFT}`)
  }
  return value
}

export function checkMark(value: unknown): MarkNumber {
  switch (value) {
    case 'dirty':
      return DIRTY
    case 'writeback':
      return WRITEBACK
    case 'towrite':
      return TOWRITE
    default:
      throw invalid('mark', value, "'dirty', 'writeback' or 'towrite'")
  }
}

export function checkCallback<T>(what: string, value: T): T {
  if (typeof value !== 'function') throw invalid(what, value, 'a function')
  return value
}

/** The value of an error given in: 0, or a negative errno (the kernel warns of a positive one). */
export function checkError(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value > 0 || value < -(2 ** 31)) {
    throw invalid('error', value, '0 or a negative errno')
  }
  return value + 0
}

/** In place of the kernel's `int *error`. */
export type ErrorBox = { value: number }

export function checkErrorBox(value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalid('error', value, 'an object with a value')
}

/** `*error = value`: the object is the user's, and may have a setter. */
export function setError(error: ErrorBox, value: number): void {
  if (!Reflect.set(error, 'value', value)) throw invalid('error', error, 'an object whose value can be set')
}

/** What a writepage or write callback returned: nothing and 0 are success. */
export function checkResult(value: unknown): number {
  if (value === undefined) return 0
  if (typeof value !== 'number' || !Number.isInteger(value) || value > 0 || value < -(2 ** 31)) {
    throw invalid("the callback's result", value, 'nothing, 0 or a negative errno')
  }
  return value + 0
}

export function checkOnWait(options: { onWait?: WaitHook | undefined } | undefined): WaitHook | undefined {
  if (options === undefined) return undefined
  if (options === null || typeof options !== 'object') throw invalid('options', options, 'an object')
  const { onWait } = options
  if (onWait !== undefined && typeof onWait !== 'function') throw invalid('onWait', onWait, 'a function')
  return onWait
}

export function checkMaxPages(value: unknown): number {
  if (value === undefined) return DEFAULT_EXTENT_PAGES
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > MAX_EXTENT_PAGES) {
    throw invalid('maxPages', value, `an integer from 1 to ${MAX_EXTENT_PAGES}`)
  }
  return value
}

/** Options of a pass that awaits. */
export function checkAsyncOptions(options: AsyncOptions | undefined): {
  concurrency: number
  signal: AbortSignalLike | undefined
} {
  if (options === undefined) return { concurrency: DEFAULT_CONCURRENCY, signal: undefined }
  if (options === null || typeof options !== 'object') throw invalid('options', options, 'an object')
  const { concurrency = DEFAULT_CONCURRENCY, signal } = options
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw invalid('concurrency', concurrency, 'a safe integer from 1')
  }
  return { concurrency, signal: checkSignal(signal) }
}

function checkSignal(signal: AbortSignalLike | undefined): AbortSignalLike | undefined {
  if (signal === undefined) return undefined
  const isSignal =
    typeof signal === 'object' &&
    signal !== null &&
    typeof signal.aborted === 'boolean' &&
    typeof signal.addEventListener === 'function' &&
    typeof signal.removeEventListener === 'function'
  if (!isSignal) throw invalid('signal', signal, 'an AbortSignal')
  return signal
}
