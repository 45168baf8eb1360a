// SPDX-License-Identifier: GPL-2.0-only

/** Who waits by promise for which folio. A mapping makes one when the first wait comes. */
export class WaitTable {
  readonly #waiters = new Map<object, (() => void)[]>()

  /** Number of folios that are waited for. */
  get size(): number {
    return this.#waiters.size
  }

  /** Resolves at the next wake of this folio, for whatever reason: the waiter has to look again. */
  wait(folio: object): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(folio)
      if (waiters === undefined) this.#waiters.set(folio, [resolve])
      else waiters.push(resolve)
    })
  }

  /** The folio was unlocked, removed, or its writeback ended. Waiters go on in a later microtask, not in here. */
  wake(folio: object): void {
    const waiters = this.#waiters.get(folio)
    if (waiters === undefined) return
    this.#waiters.delete(folio)
    for (const resolve of waiters) resolve()
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

/** Resolves when the folio, which is locked or under writeback, is unlocked, ends writeback or is gone. */
export function folio_wait(mapping: Waitable, folio: object): Promise<void> {
  mapping.waiters ??= new WaitTable()
  return mapping.waiters.wait(folio)
}

/** Those that wait for the folio look at it again. Loops look for waiters themselves: most of the time there are none. */
export function folio_wake(mapping: Waitable, folio: object): void {
  const { waiters } = mapping
  if (waiters === null) return
  waiters.wake(folio)
  if (waiters.size === 0) mapping.waiters = null
}
