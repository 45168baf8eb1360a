// SPDX-License-Identifier: GPL-2.0-only

/** Numbers that are determined by a seed: sfc32 of Chris Doty-Humphrey's PractRand. */
export class Random {
  #a: number
  #b: number
  #c = 0
  #counter = 1

  /** Each pair of 32-bit numbers gives a different sequence. */
  constructor(seed: number, stream: number) {
    this.#a = seed | 0
    this.#b = stream | 0
    for (let i = 0; i < 12; i++) this.next()
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    const result = (this.#a + this.#b + this.#counter++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result >>> 0
  }

  /** 0 to `n` - 1; `n` is 1 to 2^32. */
  below(n: number): number {
    return Math.floor(this.next() * (n / 2 ** 32))
  }

  /** True once in `n` times on average. */
  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]
  }
}
