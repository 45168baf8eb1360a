// SPDX-License-Identifier: GPL-2.0-only

/** Numbers below `limit`, the same in every process. @param {number} count @param {number} limit */
export function randomNumbers(count, limit) {
  let state = 1
  return Uint32Array.from({ length: count }, () => {
    // xorshift32
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  })
}
