// SPDX-License-Identifier: GPL-2.0-only
// The same pass in plain JavaScript, as one would write it in a day without this package: the opponent that
// it has to beat. Written for itself, sharing nothing with lib/. It does what the kernel does where the
// benchmark goes: flags and marks, locks, both modes, batches, nr_to_write; wrong use and a lock that is held
// throw. It leaves out what a day does not suffice for: ranges, cyclic passes, waiting, passes left half-way,
// folios that are found by any of their pages.

const LEAF_PAGES = 32
const BATCH = 31

class Folio {
  /**
   * @param {number} index
   * @param {number} order
   * @param {Leaf} leaf
   */
  constructor(index, order, leaf) {
    this.index = index
    this.nrPages = 2 ** order
    /** Where it is; null once removed. @type {Leaf | null} */
    this.leaf = leaf
    this.bit = 1 << (index % LEAF_PAGES)
    this.locked = false
    this.dirty = false
    this.writeback = false
  }

  #leaf() {
    if (this.leaf === null) throw new Error(`folio ${this.index} was removed`)
    return this.leaf
  }

  markDirty() {
    const leaf = this.#leaf()
    if (this.dirty) return false
    this.dirty = true
    leaf.dirty |= this.bit
    return true
  }

  startWriteback() {
    const leaf = this.#leaf()
    if (!this.locked) throw new Error(`folio ${this.index} is not locked`)
    if (this.writeback) throw new Error(`folio ${this.index} is under writeback already`)
    this.writeback = true
    leaf.writeback |= this.bit
    if (!this.dirty) leaf.dirty &= ~this.bit
    leaf.towrite &= ~this.bit
  }

  unlock() {
    if (!this.locked) throw new Error(`folio ${this.index} is not locked`)
    this.locked = false
  }

  endWriteback() {
    const leaf = this.#leaf()
    if (!this.writeback) throw new Error(`folio ${this.index} is not under writeback`)
    this.writeback = false
    leaf.writeback &= ~this.bit
  }
}

/** The folios that begin on 32 neighbouring pages, and a word per mark. */
class Leaf {
  /** @param {number} number */
  constructor(number) {
    this.number = number
    /** @type {(Folio | null)[]} */
    this.folios = new Array(LEAF_PAGES).fill(null)
    this.dirty = 0
    this.towrite = 0
    this.writeback = 0
  }
}

/** The parameters of a pass, and its progress. */
export class PlainControl {
  /** @param {{ syncAll: boolean, nrToWrite?: number }} init */
  constructor({ syncAll, nrToWrite = Number.MAX_SAFE_INTEGER }) {
    this.syncAll = syncAll
    this.nrToWrite = nrToWrite
    this.error = 0
    this.savedError = 0
    /** @type {Folio[]} */
    this.batch = []
    this.next = 0
    /** Where the next batch begins: a leaf, and the marks of it that were looked at. */
    this.leaf = 0
    this.seen = 0
  }
}

export class PlainCache {
  /** Leaves by number. @type {Map<number, Leaf>} */
  #byNumber = new Map()
  /** Leaves, ascending. @type {Leaf[]} */
  #leaves = []

  /**
   * Adds a folio of 2^order pages.
   * @param {number} index
   * @param {number} order
   */
  add(index, order) {
    const number = Math.floor(index / LEAF_PAGES)
    let leaf = this.#byNumber.get(number)
    if (leaf === undefined) {
      leaf = new Leaf(number)
      this.#byNumber.set(number, leaf)
      let place = this.#leaves.length
      while (place > 0 && this.#leaves[place - 1].number > number) place--
      this.#leaves.splice(place, 0, leaf)
    }
    if (leaf.folios[index % LEAF_PAGES] !== null) throw new Error(`page ${index} has a folio`)
    const folio = new Folio(index, order, leaf)
    leaf.folios[index % LEAF_PAGES] = folio
    return folio
  }

  /** Takes a folio out, as truncation does. @param {Folio} folio */
  remove(folio) {
    const { leaf } = folio
    if (leaf === null || folio.locked || folio.writeback) throw new Error(`folio ${folio.index} is busy`)
    leaf.folios[folio.index % LEAF_PAGES] = null
    leaf.dirty &= ~folio.bit
    leaf.towrite &= ~folio.bit
    folio.dirty = false
    folio.leaf = null
  }

  /**
   * The folios that have the mark, ascending.
   * @param {'dirty' | 'towrite' | 'writeback'} mark
   * @returns {Folio[]}
   */
  marked(mark) {
    return this.#leaves.flatMap((leaf) =>
      leaf.folios.flatMap((folio) => (folio !== null && (leaf[mark] & folio.bit) !== 0 ? [folio] : [])),
    )
  }

  #tag() {
    for (const leaf of this.#leaves) leaf.towrite |= leaf.dirty
  }

  /** @param {PlainControl} wbc */
  #fillBatch(wbc) {
    const { batch } = wbc
    batch.length = 0
    wbc.next = 0
    for (; wbc.leaf < this.#leaves.length; wbc.leaf++) {
      const leaf = this.#leaves[wbc.leaf]
      let marks = (wbc.syncAll ? leaf.towrite : leaf.dirty) & ~wbc.seen
      while (marks !== 0) {
        const bit = marks & -marks
        marks &= ~bit
        wbc.seen |= (bit << 1) - 1
        batch.push(/** @type {Folio} */ (leaf.folios[31 - Math.clz32(bit)]))
        if (batch.length === BATCH) return true
      }
      wbc.seen = 0
    }
    return batch.length > 0
  }

  /**
   * writeback_iter(): the next folio, locked and cleared for I/O; null at the end, with wbc.error the result.
   * @param {PlainControl} wbc
   * @param {Folio | null} last - the folio returned last, how it went in wbc.error; null to start
   * @returns {Folio | null}
   */
  writebackIter(wbc, last) {
    if (last === null) {
      if (wbc.syncAll) this.#tag()
    } else {
      wbc.nrToWrite -= last.nrPages
      if (wbc.syncAll) {
        if (wbc.error !== 0 && wbc.savedError === 0) wbc.savedError = wbc.error
      } else if (wbc.error !== 0 || wbc.nrToWrite <= 0) {
        return null
      }
    }
    for (;;) {
      if (wbc.next === wbc.batch.length && !this.#fillBatch(wbc)) {
        wbc.error = wbc.savedError
        return null
      }
      const folio = wbc.batch[wbc.next++]
      if (folio.locked) throw new Error(`would wait for folio ${folio.index}`)
      if (folio.leaf === null || !folio.dirty) continue
      if (folio.writeback) {
        if (wbc.syncAll) throw new Error(`would wait for folio ${folio.index}`)
        continue
      }
      folio.locked = true
      folio.dirty = false
      return folio
    }
  }

  /**
   * A pass with a callback per folio.
   * @param {PlainControl} wbc
   * @param {(folio: Folio) => number | void} write - returns nothing, 0 or a negative errno
   * @returns {number} 0 or a negative errno
   */
  writePages(wbc, write) {
    for (let folio = this.writebackIter(wbc, null); folio !== null; folio = this.writebackIter(wbc, folio)) {
      let written = false
      try {
        wbc.error = write(folio) ?? 0
        written = wbc.error === 0
      } finally {
        if (!written) folio.markDirty()
        else folio.startWriteback()
        folio.unlock()
        if (written) folio.endWriteback()
      }
    }
    return wbc.error
  }
}
