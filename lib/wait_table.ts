// SPDX-License-Identifier: GPL-2.0-only

/** Who waits by promise for which folio. A mapping makes one when the first wait comes. */
export class WaitTable<F extends object> {
  readonly #waiters = new Map<F, (() => void)[]>()

  /** Number of folios that are waited for. */
  get size(): number {
    return this.#waiters.size
  }

  /** Resolves at the next wake of this folio, for whatever reason: the waiter has to look again. */
  wait(folio: F): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(folio)
      if (waiters === undefined) this.#waiters.set(folio, [resolve])
      else waiters.push(resolve)
    })
  }

  /** The folio was unlocked, removed, or its writeback ended. Waiters go on in a later microtask, not in here. */
  wake(folio: F): void {
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
