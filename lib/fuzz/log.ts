// SPDX-License-Identifier: GPL-2.0-only

/** The value that stands for a text. No value of a page cache is as low. */
const TEXT = -(2 ** 60)

/**
 * The answers and the state of a backend, for comparison with those of the other backend. Values are numbers
 * where possible, because numbers compare fast.
 */
export class Log {
  /** Only the first `#length` values are valid; the others are left over from before. */
  readonly #values: number[] = []
  #length = 0
  readonly #texts: string[] = []
  /** The name of each value; null if the log will not be printed. */
  readonly #names: string[] | null

  /** @param readable - keep the names too, for `toString` */
  constructor(readable: boolean) {
    this.#names = readable ? [] : null
  }

  clear(): void {
    this.#length = 0
    if (this.#texts.length !== 0) this.#texts.length = 0
    if (this.#names !== null) this.#names.length = 0
  }

  put(name: string, value: number): void {
    this.#values[this.#length++] = value
    if (this.#names !== null) this.#names.push(name)
  }

  text(text: string): void {
    this.put('', TEXT)
    this.#texts.push(text)
  }

  equals(other: Log): boolean {
    const length = this.#length
    if (length !== other.#length) return false
    const a = this.#values
    const b = other.#values
    for (let i = 0; i < length; i++) {
      if (a[i] !== b[i]) return false
    }
    return this.#texts.every((text, i) => text === other.#texts[i])
  }

  /** The entries from the first that differs from the other log's, at most `max` entries. */
  differenceTo(other: Log, max: number): string {
    const mine = this.#entries()
    const others = other.#entries()
    let same = 0
    while (same < mine.length && mine[same] === others[same]) same++
    const shown = mine.slice(same, same + max)
    if (shown.length === 0) return 'nothing more'
    return shown.join(' ') + (same + max < mine.length ? ' …' : '')
  }

  #entries(): string[] {
    let texts = 0
    return (this.#names ?? []).map((name, i) =>
      this.#values[i] === TEXT ? this.#texts[texts++] : `${name}=${this.#values[i]}`,
    )
  }
}
