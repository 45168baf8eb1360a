// SPDX-License-Identifier: GPL-2.0-only
// The tree beneath the page cache: 64 slots per node, three marks per entry. The operations have the names
// that the kernel gives them (lib/xarray.c); the tree is our own, the same as native/core/xarray.c lays out
// in structs.
//
// A node is a number, and the index of its fields in arrays. A slot is a number too, node * 64 + offset, and
// does for an xa_state: a folio remembers its slot, so that its marks change without a walk. 0 is no node and
// no slot.
//
// Invariants:
//  - a node has at least one entry (its XA_PRESENT words are not both zero);
//  - the slot above a node has each mark that any slot of the node has, and XA_PRESENT. Of the other marks it
//    may have more: clearing a mark does not go up, so that a mark that comes and goes costs no walk each
//    time. A search that finds nothing below clears them;
//  - an entry of order O sits in a node of shift O - O % 6, on 2^(O % 6) slots: itself on the first, siblings
//    on the rest, all marks on the first;
//  - the top node begins at index 0; the hint is 0 or a node of the tree.

import { DIRTY, MAX_INDEX, type MarkNumber, PRESENT, TOWRITE, WRITEBACK } from '../arguments.js'
import { WritebackError } from '../errors.js'
import type { Folio } from './folio.js'

const XA_CHUNK_SHIFT = 6
const XA_CHUNK_SIZE = 64
const XA_CHUNK_MASK = 63
export const XA_PRESENT = PRESENT
const XA_NR_MARKS = 4

/** Slot numbers stay below 2^31, so that 32-bit operators may take them apart. */
const MAX_NODES = 2 ** 25
/** An insertion takes fewer: up to eight levels on top, eight below. */
const NODES_PER_INSERT = 18

/**
 * How many indices a slot covers, by shift: indices exceed 32 bits, so they are shifted by multiplication.
 */
const SLOT_SIZE = Float64Array.from({ length: 64 }, (_, shift) => 2 ** shift)
const SLOT_PART = Float64Array.from({ length: 64 }, (_, shift) => 2 ** -shift)

/** A folio, a node (> 0), the rest of a large folio (< 0: -1 - offset of its first slot), or nothing. */
type Entry = Folio | number | null

/** Nodes that the first insertion makes room for; four times as many each time that the room is used up. */
const MIN_CAPACITY = 32

const EMPTY_SLOTS: readonly Entry[] = new Array<Entry>(XA_CHUNK_SIZE).fill(null)
const NO_SLOTS: Entry[] = []

function xa_is_node(entry: Entry): entry is number {
  return typeof entry === 'number' && entry > 0
}

function xa_is_sibling(entry: Entry): entry is number {
  return typeof entry === 'number' && entry < 0
}

/** struct xarray and the struct xa_nodes of its nodes. */
export class XArray {
  /** The top node; 0 while empty. */
  head = 0
  /** The node that was looked up last: lookups nearby start there. */
  hint = 0
  /** How many node numbers were ever handed out, 0 included. */
  nr_nodes = 1
  /** The node that was freed last, the next one in its `parent`; 0 where none. */
  free = 0
  nr_free = 0
  // These begin with node 0 only. Arrays of up to 64 bytes lie in JavaScript's own heap: no RangeError, so
  // that a tree can always be made.
  /** For each 32 slots a word per mark: see mark_word(). */
  marks = new Int32Array(XA_NR_MARKS * 2)
  /** The slot above, that holds the node; 0 for the top. */
  parent = new Int32Array(1)
  /** log2 of how many indices a slot covers. */
  shift = new Uint8Array(1)
  /** The first index that the node covers. */
  index = new Float64Array(1)
  slots: Entry[][] = [NO_SLOTS]
}

/**
 * Makes room for NODES_PER_INSERT nodes: after it, an insertion cannot fail for memory. If it throws ENOMEM,
 * nothing has changed.
 */
function xa_reserve(xa: XArray): void {
  const capacity = xa.parent.length
  if (capacity - xa.nr_nodes + xa.nr_free >= NODES_PER_INSERT) return
  const wanted = Math.max(capacity * 4, MIN_CAPACITY)
  try {
    if (wanted > MAX_NODES) throw new RangeError(`more than ${MAX_NODES} nodes`)
    const marks = new Int32Array(wanted * XA_NR_MARKS * 2)
    const parent = new Int32Array(wanted)
    const shift = new Uint8Array(wanted)
    const index = new Float64Array(wanted)
    marks.set(xa.marks)
    parent.set(xa.parent)
    shift.set(xa.shift)
    index.set(xa.index)
    xa.marks = marks
    xa.parent = parent
    xa.shift = shift
    xa.index = index
  } catch (error) {
    throw new WritebackError('ENOMEM', `no memory for ${wanted} tree nodes: ${(error as Error).message}`)
  }
}

function xa_node_alloc(xa: XArray, parent: number, shift: number, index: number): number {
  let node = xa.free
  if (node !== 0) {
    xa.free = xa.parent[node]
    xa.nr_free--
  } else {
    node = xa.nr_nodes++
  }
  xa.parent[node] = parent
  xa.shift[node] = shift
  xa.index[node] = index
  xa.slots[node] = EMPTY_SLOTS.slice()
  return node
}

/** The node has no entry, hence no mark. */
function xa_node_free(xa: XArray, node: number): void {
  if (xa.hint === node) xa.hint = 0
  xa.slots[node] = NO_SLOTS
  xa.parent[node] = xa.free
  xa.free = node
  xa.nr_free++
}

/** The offset in the node of an index that the node covers. */
function node_offset(xa: XArray, node: number, index: number): number {
  return ((index - xa.index[node]) * SLOT_PART[xa.shift[node]]) | 0
}

/** The last offset in the node whose entry may begin at `max` or before; `max` is not before the node. */
function node_last(xa: XArray, node: number, max: number): number {
  const offset = (max - xa.index[node]) * SLOT_PART[xa.shift[node]]
  return offset < XA_CHUNK_MASK ? offset | 0 : XA_CHUNK_MASK
}

function node_covers(xa: XArray, node: number, index: number): boolean {
  const pages = index - xa.index[node]
  return pages >= 0 && pages < XA_CHUNK_SIZE * SLOT_SIZE[xa.shift[node]]
}

/**
 * The word of `marks` that holds this slot's mark, at bit slot % 32 (shifts take that much of a slot by
 * themselves).
 */
function mark_word(slot: number, mark: MarkNumber): number {
  return (slot >> 5) * XA_NR_MARKS + mark
}

/** Whether any slot of the node has the mark. */
function has_mark(xa: XArray, node: number, mark: MarkNumber): boolean {
  const word = mark_word(node << XA_CHUNK_SHIFT, mark)
  return (xa.marks[word] | xa.marks[word + XA_NR_MARKS]) !== 0
}

/** Sets the slots above a node whose words for the mark were empty and are no longer. */
function xas_set_marks_up(xa: XArray, node: number, mark: MarkNumber): void {
  const { marks, parent } = xa
  for (let slot = parent[node]; slot !== 0; slot = parent[slot >> XA_CHUNK_SHIFT]) {
    // mark_word(), which would be a call: where the stack ends, all of the slots above are set, or none.
    const word = (slot >> 5) * XA_NR_MARKS + mark
    const old = marks[word]
    marks[word] = old | (1 << slot)
    if ((old | marks[word ^ XA_NR_MARKS]) !== 0) return
  }
}

/**
 * Sets a mark on the entry of this slot. It travels up only from an empty node: else the slot above has it
 * already.
 */
export function xas_set_mark(xa: XArray, slot: number, mark: MarkNumber): void {
  const { marks } = xa
  const word = mark_word(slot, mark)
  const old = marks[word]
  // First: the slots above may have marks that the entry lacks, but not the other way round.
  if ((old | marks[word ^ XA_NR_MARKS]) === 0) xas_set_marks_up(xa, slot >> XA_CHUNK_SHIFT, mark)
  marks[word] = old | (1 << slot)
}

/**
 * Sets WRITEBACK on the entry of this slot, and clears its other marks unless they are to be kept: one look
 * at its words.
 */
export function xas_start_writeback(
  xa: XArray,
  slot: number,
  keep_dirty: boolean,
  keep_write: boolean,
): void {
  const { marks } = xa
  const word = mark_word(slot, WRITEBACK)
  // Before anything is stored: a bundler may make a call of reading another module's constant.
  const dirty = word - WRITEBACK + DIRTY
  const towrite = word - WRITEBACK + TOWRITE
  const bit = 1 << slot
  const old = marks[word]
  if ((old | marks[word ^ XA_NR_MARKS]) === 0) xas_set_marks_up(xa, slot >> XA_CHUNK_SHIFT, WRITEBACK)
  marks[word] = old | bit
  if (!keep_dirty) marks[dirty] &= ~bit
  if (!keep_write) marks[towrite] &= ~bit
}

/** Clears a mark of the entry of this slot. Searches clear it above. */
export function xas_clear_mark(xa: XArray, slot: number, mark: MarkNumber): void {
  xa.marks[mark_word(slot, mark)] &= ~(1 << slot)
}

/** Clears a mark on several of the 32 entries that share this slot's word; `bits` has a bit for each. */
export function xas_clear_marks(xa: XArray, slot: number, bits: number, mark: MarkNumber): void {
  xa.marks[mark_word(slot, mark)] &= ~bits
}

/** Whether any entry has the mark. */
export function xa_marked(xa: XArray, mark: MarkNumber): boolean {
  return xas_find_marked(xa, 0, MAX_INDEX, mark) !== 0
}

/** The entry of a slot that one of the functions below returned. */
export function xas_entry(xa: XArray, slot: number): Folio {
  return xa.slots[slot >> XA_CHUNK_SHIFT][slot & XA_CHUNK_MASK] as Folio
}

/**
 * The slot in the lowest node that covers the index, looked for from the node used last; 0 if no node does.
 */
function xas_descend(xa: XArray, index: number): number {
  let node = xa.hint
  if (node === 0) node = xa.head
  while (node !== 0 && !node_covers(xa, node, index)) node = xa.parent[node] >> XA_CHUNK_SHIFT
  if (node === 0) return 0
  for (;;) {
    const offset = node_offset(xa, node, index)
    const entry = xa.slots[node][offset]
    if (xa_is_node(entry)) {
      node = entry
      continue
    }
    xa.hint = node
    return (node << XA_CHUNK_SHIFT) + (xa_is_sibling(entry) ? -1 - entry : offset)
  }
}

/** The entry that covers an index, or null. */
export function xa_load(xa: XArray, index: number): Folio | null {
  const slot = xas_descend(xa, index)
  return slot === 0 ? null : (xa.slots[slot >> XA_CHUNK_SHIFT][slot & XA_CHUNK_MASK] as Folio | null)
}

/** The first slot from `offset` on that has the mark whose words begin at `word`; 64 if none does. */
function xas_find_chunk(marks: Int32Array, word: number, offset: number): number {
  if (offset < 32) {
    const low = marks[word] & (-1 << offset)
    if (low !== 0) return 31 - Math.clz32(low & -low)
    const high = marks[word + XA_NR_MARKS]
    return high === 0 ? XA_CHUNK_SIZE : 63 - Math.clz32(high & -high)
  }
  if (offset === XA_CHUNK_SIZE) return XA_CHUNK_SIZE
  const high = marks[word + XA_NR_MARKS] & (-1 << offset)
  return high === 0 ? XA_CHUNK_SIZE : 63 - Math.clz32(high & -high)
}

/**
 * The first marked entry from `offset` of the node on that begins at `max` or before: its slot, 0 if there is
 * none.
 */
function xas_scan(xa: XArray, node: number, offset: number, max: number, mark: MarkNumber): number {
  for (;;) {
    const next = xas_find_chunk(xa.marks, mark_word(node << XA_CHUNK_SHIFT, mark), offset)
    if (next === XA_CHUNK_SIZE) {
      // Nothing more here: on with the slot behind this node.
      const above = xa.parent[node]
      if (above === 0) return 0
      if (!has_mark(xa, node, mark)) xas_clear_mark(xa, above, mark)
      node = above >> XA_CHUNK_SHIFT
      offset = (above & XA_CHUNK_MASK) + 1
      continue
    }
    const shift = xa.shift[node]
    if (xa.index[node] + next * SLOT_SIZE[shift] > max) return 0
    // A leaf has no nodes below: no need to look at its slots, which are far apart in memory.
    const entry = shift === 0 ? null : xa.slots[node][next]
    if (typeof entry !== 'number') {
      xa.hint = node
      return (node << XA_CHUNK_SHIFT) + next
    }
    node = entry
    offset = 0
  }
}

/**
 * The slot of the first entry that has the mark and begins at `max` or before; 0 if there is none. An entry
 * that begins before `index` but covers it is found.
 */
export function xas_find_marked(xa: XArray, index: number, max: number, mark: MarkNumber): number {
  if (index > max || !has_mark(xa, xa.head, mark)) return 0
  const slot = xas_descend(xa, index)
  return slot === 0 ? 0 : xas_scan(xa, slot >> XA_CHUNK_SHIFT, slot & XA_CHUNK_MASK, max, mark)
}

/** The next one behind the entry found last. */
export function xas_next_marked(xa: XArray, slot: number, max: number, mark: MarkNumber): number {
  return xas_scan(xa, slot >> XA_CHUNK_SHIFT, (slot & XA_CHUNK_MASK) + 1, max, mark)
}

/**
 * Gathers the entries that have the mark, ascending, up to `limit` of them: those that overlap `start` to
 * `max`, both included.
 * @returns how many
 */
export function xas_extract_marked(
  xa: XArray,
  start: number,
  max: number,
  mark: MarkNumber,
  entries: (Folio | null)[],
  limit: number,
): number {
  let count = 0
  let slot = xas_find_marked(xa, start, max, mark)
  while (slot !== 0) {
    const node = slot >> XA_CHUNK_SHIFT
    const slots = xa.slots[node]
    // Only in a leaf is every marked slot an entry.
    const last = xa.shift[node] === 0 ? node_last(xa, node, max) : slot & XA_CHUNK_MASK
    const word = mark_word(node << XA_CHUNK_SHIFT, mark)
    let offset = slot & XA_CHUNK_MASK
    while (offset <= last) {
      entries[count++] = slots[offset] as Folio
      if (count === limit) return count
      offset = xas_find_chunk(xa.marks, word, offset + 1)
    }
    slot = xas_scan(xa, node, last + 1, max, mark)
  }
  return count
}

/**
 * Puts a new top above the top, or the first node of at least this shift into an empty tree, until it covers
 * `last`.
 */
function xas_expand(xa: XArray, shift: number, last: number): void {
  if (xa.head === 0) {
    while (last >= XA_CHUNK_SIZE * SLOT_SIZE[shift]) shift += XA_CHUNK_SHIFT
    xa.head = xa_node_alloc(xa, 0, shift, 0)
    return
  }
  while (!node_covers(xa, xa.head, last)) {
    const child = xa.head
    const node = xa_node_alloc(xa, 0, xa.shift[child] + XA_CHUNK_SHIFT, 0)
    xa.slots[node][0] = child
    xa.parent[child] = node << XA_CHUNK_SHIFT
    for (let mark = 0; mark < XA_NR_MARKS; mark++) {
      if (has_mark(xa, child, mark as MarkNumber)) {
        xa.marks[mark_word(node << XA_CHUNK_SHIFT, mark as MarkNumber)] = 1
      }
    }
    xa.head = node
  }
}

/**
 * Stores an entry where there is none.
 * @param index - its first index, a multiple of 2^order
 * @param order - log2 of how many indices it covers
 * @returns its slot; 0 with nothing changed if any of its indices is covered
 * @throws ENOMEM with nothing changed
 */
export function xas_insert(xa: XArray, index: number, order: number, entry: Folio): number {
  const last = index + (SLOT_SIZE[order] - 1)
  const sub = order % XA_CHUNK_SHIFT
  const shift = order - sub

  // Most entries go next to the last one: look there before walking from the top.
  let node = xa.hint
  if (node === 0 || xa.shift[node] !== shift || !node_covers(xa, node, index)) {
    if (xas_find_marked(xa, index, last, XA_PRESENT) !== 0) return 0
    xa_reserve(xa)
    xas_expand(xa, shift, last)
    node = xa.head
    while (xa.shift[node] > shift) {
      const offset = node_offset(xa, node, index)
      let child = xa.slots[node][offset] as number | null
      if (child === null) {
        const base = xa.index[node] + offset * SLOT_SIZE[xa.shift[node]]
        child = xa_node_alloc(xa, (node << XA_CHUNK_SHIFT) + offset, xa.shift[node] - XA_CHUNK_SHIFT, base)
        xa.slots[node][offset] = child
      }
      node = child
    }
  }
  const slots = xa.slots[node]
  const offset = node_offset(xa, node, index)
  const end = offset + (1 << sub)
  for (let i = offset; i < end; i++) {
    if (slots[i] !== null) return 0
  }
  slots[offset] = entry
  for (let i = offset + 1; i < end; i++) slots[i] = -1 - offset
  const slot = (node << XA_CHUNK_SHIFT) + offset
  xas_set_mark(xa, slot, XA_PRESENT)
  xa.hint = node
  return slot
}

/** Frees the node and those above it that have no entry, then lowers a top of one first slot only. */
function xas_delete_node(xa: XArray, node: number): void {
  while (!has_mark(xa, node, XA_PRESENT)) {
    const above = xa.parent[node]
    xa_node_free(xa, node)
    if (above === 0) {
      xa.head = 0
      return
    }
    for (let mark = 0; mark < XA_NR_MARKS; mark++) xas_clear_mark(xa, above, mark as MarkNumber)
    node = above >> XA_CHUNK_SHIFT
    xa.slots[node][above & XA_CHUNK_MASK] = null
  }
  for (;;) {
    const head = xa.head
    const word = mark_word(head << XA_CHUNK_SHIFT, XA_PRESENT)
    const child = xa.slots[head][0]
    if (xa.marks[word] !== 1 || xa.marks[word + XA_NR_MARKS] !== 0 || !xa_is_node(child)) return
    xa.marks.fill(0, word - XA_PRESENT, word - XA_PRESENT + XA_NR_MARKS)
    xa.parent[child] = 0
    xa.head = child
    xa_node_free(xa, head)
  }
}

/** Takes an entry of this order and its marks out. Nodes that become empty are freed. */
export function xas_erase(xa: XArray, slot: number, order: number): void {
  const node = slot >> XA_CHUNK_SHIFT
  const offset = slot & XA_CHUNK_MASK
  for (let mark = 0; mark < XA_NR_MARKS; mark++) xas_clear_mark(xa, slot, mark as MarkNumber)
  xa.slots[node].fill(null, offset, offset + (1 << (order % XA_CHUNK_SHIFT)))
  xas_delete_node(xa, node)
}

/** The bits of one word of marks from slot `first` to slot `last`, counted from the word's first. */
function word_mask(first: number, last: number): number {
  if (first > 31 || last < 0) return 0
  return (first <= 0 ? -1 : -1 << first) & (last >= 31 ? -1 : ~(-2 << last))
}

/**
 * Sets mark `to` on all entries that have mark `from` and overlap indices `start` to `max`, both included. A
 * lowest node's worth of entries is marked by whole words.
 */
export function xas_copy_mark(
  xa: XArray,
  start: number,
  max: number,
  from: MarkNumber,
  to: MarkNumber,
): void {
  const { marks } = xa
  let slot = xas_find_marked(xa, start, max, from)
  while (slot !== 0) {
    const node = slot >> XA_CHUNK_SHIFT
    // Only in a leaf is every marked slot an entry.
    if (xa.shift[node] !== 0) {
      xas_set_mark(xa, slot, to)
    } else {
      const first = slot & XA_CHUNK_MASK
      const last = node_last(xa, node, max)
      const source = mark_word(node << XA_CHUNK_SHIFT, from)
      const target = mark_word(node << XA_CHUNK_SHIFT, to)
      const old = marks[target] | marks[target + XA_NR_MARKS]
      marks[target] |= marks[source] & word_mask(first, last)
      marks[target + XA_NR_MARKS] |= marks[source + XA_NR_MARKS] & word_mask(first - 32, last - 32)
      if (old === 0) xas_set_marks_up(xa, node, to)
      slot = (node << XA_CHUNK_SHIFT) + XA_CHUNK_MASK
    }
    slot = xas_next_marked(xa, slot, max, from)
  }
}
