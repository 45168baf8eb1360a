// SPDX-License-Identifier: GPL-2.0-only
// Each operation of the cache is written once, as a generator that yields what it has to wait for; a driver
// decides how.
//
// An operation that is driven asynchronously stands still at a yield while others run, blocking ones too. So
// what it knew before a yield (that a page was cached, that a frame was free) it looks up again after it.

/** Something to wait for, in its two forms. Either may throw; the operation sees it at its yield. */
export interface Wait<T> {
  sync(): T
  async(): Promise<T>
}

/** An operation that waits by yielding. */
export type Steps<T> = Generator<Wait<unknown>, T, unknown>

/** Waits within an operation: `const n = yield* waitFor(...)`. */
export function* waitFor<T>(wait: Wait<T>): Steps<T> {
  return (yield wait) as T
}

/** Runs an operation on the caller's thread, blocking it. */
export function runSync<T>(steps: Steps<T>): T {
  let step = steps.next()
  while (!step.done) {
    let value: unknown
    try {
      value = step.value.sync()
    } catch (error) {
      step = steps.throw(error)
      continue
    }
    step = steps.next(value)
  }
  return step.value
}

/** Runs an operation up to its first wait, and then from promise to promise. */
export async function runAsync<T>(steps: Steps<T>): Promise<T> {
  let step = steps.next()
  while (!step.done) {
    let value: unknown
    try {
      value = await step.value.async()
    } catch (error) {
      step = steps.throw(error)
      continue
    }
    step = steps.next(value)
  }
  return step.value
}
