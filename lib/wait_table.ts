// SPDX-License-Identifier: GPL-2.0-only

/**
 * The passes that wait, by folio; a call wakes them. A mapping makes a table when the first pass has to wait.
 */
export class WaitTable {
  readonly #waiters = new Map<object, (() => void)[]>()

  /** Number of folios that are waited for. */
  get size(): number {
    return this.#waiters.size
  }

  /**
   * `wake` is called once, at the next wake of this folio for whatever reason: the waiter has to look again.
   */
  add(folio: object, wake: () => void): void {
    const waiters = this.#waiters.get(folio)
    if (waiters === undefined) this.#waiters.set(folio, [wake])
    else waiters.push(wake)
  }

  /** It does not wait for this folio any more, or was woken. */
  remove(folio: object, wake: () => void): void {
    const waiters = this.#waiters.get(folio)
    const at = waiters?.indexOf(wake) ?? -1
    if (waiters === undefined || at === -1) return
    waiters.splice(at, 1)
    if (waiters.length === 0) this.#waiters.delete(folio)
  }

  /**
   * The folio was unlocked, removed, or its writeback ended. Waiters go on in a later microtask, not in here.
   */
  wake(folio: object): void {
    const waiters = this.#waiters.get(folio)
    if (waiters === undefined) return
    for (const resolve of waiters) resolve()
    this.#waiters.delete(folio)
  }

  /** The mapping was closed. */
  wakeAll(): void {
    for (const folio of [...this.#waiters.keys()]) this.wake(folio)
  }
}

/** A mapping, as far as waiting goes. */
interface Waitable {
  waiters: WaitTable | null
}

/**
 * `wake` is called when the folio, which is locked or under writeback, is unlocked, ends writeback or is
 * gone.
 */
export function folio_add_wait_queue(mapping: Waitable, folio: object, wake: () => void): void {
  mapping.waiters ??= new WaitTable()
  mapping.waiters.add(folio, wake)
}

/** `wake` does not wait for the folio any more, or was woken. */
export function folio_remove_wait_queue(mapping: Waitable, folio: object, wake: () => void): void {
  const { waiters } = mapping
  if (waiters === null) return
  waiters.remove(folio, wake)
  if (waiters.size === 0) mapping.waiters = null
}

/** Resolves when the folio, which is locked or under writeback, is unlocked, ends writeback or is gone. */
export function folio_wait(mapping: Waitable, folio: object): Promise<void> {
  return new Promise((resolve) => folio_add_wait_queue(mapping, folio, resolve))
}

/**
 * Those that wait for the folio look at it again. Loops look for waiters themselves: most of the time there
 * are none.
 */
export function folio_wake(mapping: Waitable, folio: object): void {
  const { waiters } = mapping
  if (waiters === null) return
  waiters.wake(folio)
  if (waiters.size === 0) mapping.waiters = null
}
