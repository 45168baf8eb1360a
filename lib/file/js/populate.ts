// SPDX-License-Identifier: GPL-2.0-only
// Touches memory before it is used, as MAP_POPULATE does.
//
// The first touch of a page takes longer than a copy of it, on a virtual machine several times as long. A
// thread of Node.js touches the memory by reading zeros into it.

import fs from 'node:fs'

export class Populator {
  #zeros: number | null = null
  #underWay = 0
  #refused = process.platform === 'win32'

  /**
   * Fills memory with zeros.
   * @param populated - called when no other thread uses the memory any more
   * @returns false, and does not call it, if the system has no file of zeros
   */
  start(bytes: Uint8Array, populated: () => void): boolean {
    if (!this.#open()) return false
    this.#underWay++
    fs.read(this.#zeros as number, bytes, 0, bytes.length, null, () => {
      if (--this.#underWay === 0) this.#close()
      populated()
    })
    return true
  }

  #open(): boolean {
    if (this.#zeros !== null) return true
    if (this.#refused) return false
    try {
      this.#zeros = fs.openSync('/dev/zero', 'r')
    } catch {
      this.#refused = true
    }
    return !this.#refused
  }

  #close(): void {
    fs.closeSync(this.#zeros as number)
    this.#zeros = null
  }
}
