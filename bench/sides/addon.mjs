// SPDX-License-Identifier: GPL-2.0-only
// What the native passes spend within the addon. Its calls are counted and timed from outside, so this is the
// one place of the benchmark that looks into the package: the compiled backend calls them as properties of
// one object.

import native from '../../dist/native/addon.js'
import { open as openBackend } from './backend.mjs'

/** A call that finds nothing to do. */
const EMPTY = 'getNrPages'
const EMPTY_CALLS = 10_000

/**
 * @param {'native'} name
 * @param {import('./shape.mjs').Shape} shape
 * @returns {Promise<Record<string, import('./shape.mjs').Operation>>} for each operation: the milliseconds
 * within the addon, and `…: calls`, how many calls; and `empty call`, the milliseconds of one
 */
export async function open(name, shape) {
  const operations = await openBackend(name, shape)
  // It is there once a backend has loaded it.
  const calls = /** @type {Record<string, () => unknown>} */ (/** @type {unknown} */ (native.addon))
  let count = 0
  let within = 0

  const original = { ...calls }
  const empty = original[EMPTY]
  /** @type {Record<string, () => unknown>} */
  const timed = {}
  for (const [key, call] of Object.entries(original)) {
    timed[key] = (.../** @type {[]} */ args) => {
      const begin = performance.now()
      try {
        return call(...args)
      } finally {
        within += performance.now() - begin
        count++
      }
    }
  }

  // Two loops, so that each calls one function only, as a loop of the package does.
  /** Milliseconds of an empty call. */
  const time = () => {
    const begin = performance.now()
    for (let i = 0; i < EMPTY_CALLS; i++) empty()
    return (performance.now() - begin) / EMPTY_CALLS
  }
  const timedEmpty = timed[EMPTY]
  /** What it seems to take by the clock around it. */
  const seeming = () => {
    within = 0
    for (let i = 0; i < EMPTY_CALLS; i++) timedEmpty()
    return within / EMPTY_CALLS
  }
  /**
   * The least of several: a figure that is taken off others must not be too large.
   * @param {() => number} measure
   */
  const least = (measure) => Math.min(...Array.from({ length: 15 }, measure))
  const { prepare, run } = operations.writePages
  // An empty call is about the mapping that a call was about last. That may be one that was collected and
  // closed.
  const select = () => {
    prepare()
    run()
  }
  select()
  const overhead = least(seeming) - least(time)

  /** @param {() => number | void} run */
  const instrumented = (run) => {
    Object.assign(calls, timed)
    count = 0
    within = 0
    try {
      run()
    } finally {
      Object.assign(calls, original)
    }
    return within - count * overhead
  }
  prepare()
  instrumented(run)
  if (count === 0) throw new Error('no call of the addon was seen')

  /** @type {Record<string, import('./shape.mjs').Operation>} */
  const parts = { 'empty call': { prepare: select, run: time } }
  for (const [key, { prepare, run }] of Object.entries(operations)) {
    parts[key] = { prepare, run: () => instrumented(run) }
    parts[`${key}: calls`] = {
      prepare,
      run: () => {
        instrumented(run)
        return count
      },
    }
  }
  return parts
}
