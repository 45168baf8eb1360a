// SPDX-License-Identifier: GPL-2.0-only
// Marks, in the nodes of the tree that native/core/xarray.c walks. Setting a mark goes up where no slot of
// the node had it; clearing one does not: searches clear what is stale above.
//
// Nothing is called behind the first store, so that a call that meets the end of the stack changes nothing
// that can be seen: a mark too many above is one that a search clears.

import { NodeWord } from './layout.js'

/** A mark: the first of its words in a node. */
type Mark = NodeWord.DIRTY | NodeWord.WRITEBACK | NodeWord.TOWRITE

/** The word that holds this slot's mark, at bit slot % 32 (shifts take that much of a slot by themselves). */
function mark_word(slot: number, mark: Mark): number {
  return (slot >>> 6) * NodeWord.SIZE + mark + ((slot >>> 5) & 1)
}

/** Sets the slots above a node none of whose slots has the mark. */
function xas_set_marks_up(nodes: Int32Array, slot: number, mark: Mark): void {
  let above = nodes[(slot >>> 6) * NodeWord.SIZE + NodeWord.PARENT]
  while (above !== 0) {
    const word = mark_word(above, mark)
    const old = nodes[word]
    nodes[word] = old | (1 << above)
    if ((old | nodes[word ^ 1]) !== 0) return
    above = nodes[(above >>> 6) * NodeWord.SIZE + NodeWord.PARENT]
  }
}

/** Sets a mark on the entry of this slot. */
export function xas_set_mark(nodes: Int32Array, slot: number, mark: Mark): void {
  const word = mark_word(slot, mark)
  const old = nodes[word]
  if ((old | nodes[word ^ 1]) === 0) xas_set_marks_up(nodes, slot, mark)
  nodes[word] = old | (1 << slot)
}

/** Clears a mark of the entry of this slot. */
export function xas_clear_mark(nodes: Int32Array, slot: number, mark: Mark): void {
  nodes[mark_word(slot, mark)] &= ~(1 << slot)
}

/** Sets WRITEBACK on the entry of this slot, and clears its other marks unless they are to be kept. */
export function xas_start_writeback(
  nodes: Int32Array,
  slot: number,
  keep_dirty: boolean,
  keep_write: boolean,
): void {
  const word = mark_word(slot, NodeWord.DIRTY)
  const writeback_word = mark_word(slot, NodeWord.WRITEBACK)
  const bit = 1 << slot
  const old = nodes[writeback_word]
  if ((old | nodes[writeback_word ^ 1]) === 0) xas_set_marks_up(nodes, slot, NodeWord.WRITEBACK)
  nodes[writeback_word] = old | bit
  if (!keep_dirty) nodes[word] &= ~bit
  if (!keep_write) nodes[word + NodeWord.TOWRITE] &= ~bit
}

/** The entry of this slot was written: start and end of writeback leave it without a mark. */
export function xas_clear_written(nodes: Int32Array, slot: number): void {
  const word = mark_word(slot, NodeWord.DIRTY)
  const others = ~(1 << slot)
  nodes[word] &= others
  nodes[word + NodeWord.TOWRITE] &= others
}
