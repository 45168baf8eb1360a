// SPDX-License-Identifier: GPL-2.0-only

import { InvalidArgumentError } from 'commander'

/** A parser for commander: whole numbers from `min`. */
export function wholeNumber(min) {
  return (text) => {
    const number = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < min) {
      throw new InvalidArgumentError(`not a whole number from ${min}`)
    }
    return number
  }
}
