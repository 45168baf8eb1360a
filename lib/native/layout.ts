// SPDX-License-Identifier: GPL-2.0-only
// The layouts of the memory that is shared with the core: places are numbers of 32-bit words, or of doubles
// where the name says F64. The build of the addon makes a C header of this file (native/addon/layout.mjs),
// and native/addon/calls.c asserts that its structs agree. They are const enums, so that they stand as
// numbers in the compiled loops.

/**
 * Counted up with every change of a layout or a call: an addon that was built from other sources is refused.
 */
export const LAYOUT_VERSION = 7

/** Flags of a folio and its order, in the lower half of its word; the upper half is its reference count. */
export const enum PG {
  locked = 0x0001,
  dirty = 0x0002,
  writeback = 0x0004,
  uptodate = 0x0008,
  /** In its page cache: not removed. */
  cached = 0x0020,
  order = 0xf800,
  ORDER_SHIFT = 11,
  /** The upper half is a count. */
  REFCOUNT_SHIFT = 16,
}

/**
 * struct folio_chunk: a word of flags for each of its 2^SHIFT slots, and then where the folios are: the first
 * page of each, and its slot in the tree. The first slots hold no folios: the chunk's own words take their
 * place, and they have no indices.
 */
export const enum ChunkWord {
  SHIFT = 10,
  MASK = 1023,
  NUMBER = 2,
  /** Two words per slot. */
  INDEX = 1000,
  TREE_SLOT = 3036,
}

/**
 * A slab of chunks: the folios and bytes of each chunk, and the bytes that a slab takes beside its chunks.
 */
export const enum Slab {
  CHUNK_FOLIOS = 1012,
  CHUNK_BYTES = 16384,
  EXTRA_BYTES = 4096,
}

/**
 * struct xa_node: SIZE words per node, by its number. A slot of the tree is a number, node * 64 + offset. Two
 * words per mark, with a bit per slot; the slot above at PARENT, 0 at the top.
 */
export const enum NodeWord {
  SIZE = 12,
  DIRTY = 0,
  WRITEBACK = 2,
  TOWRITE = 4,
  PARENT = 10,
  BYTES = 48,
}

/** FOLIO_NO_SLOT, as it reads from a signed word. */
export const NO_SLOT = -1

/** struct control: arguments and results of calls. */
export const enum Control {
  MAPPING = 0,
  PASS = 1,
  SLOT = 2,
  ORDER = 3,
  STATUS = 4,
  MARK = 5,
  COUNT = 6,
  INDEX_F64 = 4,
  START_F64 = 5,
  END_F64 = 6,
  VALUE_F64 = 7,
  SLOTS = 16,
  BYTES = 256,
}

/** struct pass. */
export const enum PassWord {
  ERROR = 0,
  STATUS = 1,
  SLOT = 2,
  MODE = 3,
  NR_TO_WRITE_F64 = 2,
  START_F64 = 3,
  END_F64 = 4,
  BLOCKED_ON = 10,
  MAX_PAGES = 11,
  EXTENT_INDEX_F64 = 6,
  EXTENT_PAGES_F64 = 7,
  EXTENT_FOLIOS = 16,
  INDICES_F64 = 9,
  SLOTS = 80,
  BATCH_NR = 130,
  BATCH_I = 131,
  BYTES = 832,
}

export const enum PassStatus {
  FOLIO = 0,
  DONE = 1,
  BLOCKED = 2,
}

export const enum PassMode {
  SYNC_ALL = 1,
  TAGGED = 2,
  CYCLIC = 4,
}

/** errno values, as the core returns them. */
export const enum Errno {
  EEXIST = 17,
  ENOSPC = 28,
}
