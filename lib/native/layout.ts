// SPDX-License-Identifier: GPL-2.0-only
// The layouts of the memory that is shared with the core: places are numbers of 32-bit words, or of doubles where the name
// says F64. native/addon/calls.c has the structs, and asserts these numbers when it is compiled. They are const enums, so
// that they stand as numbers in the compiled loops.

/** Counted up with every change of a layout or a call: an addon that was built from other sources is refused. */
export const LAYOUT_VERSION = 6

/** Flags of a folio and its order, in the lower half of its word; the upper half is its reference count. */
export const enum PG {
  locked = 0x0001,
  dirty = 0x0002,
  writeback = 0x0004,
  uptodate = 0x0008,
  // Changes of marks that the tree has yet to be told of: native/core/deferred_marks.h has the protocol.
  set_dirty = 0x0040,
  clear_dirty = 0x0080,
  set_writeback = 0x0100,
  clear_writeback = 0x0200,
  clear_towrite = 0x0400,
  deferred = 0x07c0,
  order = 0xf800,
  ORDER_SHIFT = 11,
}

/**
 * struct folio_chunk: a word for each of its 2^SHIFT slots, and then the lower halves of their indices. The first slots are no
 * folios: the chunk's own words are there, and no indices of theirs, so that those of all slots would begin before the end
 * of the words.
 */
export const enum ChunkWord {
  SHIFT = 10,
  MASK = 1023,
  NUMBER = 0,
  NOTED_NEXT = 1,
  NOTED = 2,
  INDEX = 988,
  SIZE = 2048,
}

/** A slab of chunks: so many bytes each, and some beside them. */
export const enum Slab {
  CHUNK_BYTES = 8192,
  EXTRA_BYTES = 4096,
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
  SLOTS = 12,
  DONE = 43,
  BATCH_NR = 62,
  BATCH_I = 63,
  BYTES = 512,
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

/** struct stretch. */
export const enum Stretch {
  INDEX_F64 = 0,
  NR_PAGES_F64 = 1,
  NR_RUNS = 4,
  /** Two words a run: the slot of its first folio, and how many folios in as many slots. */
  RUNS = 6,
  RUN_SIZE = 2,
  BYTES = 32848,
}

/** struct deferred_marks: the first chunk of the list. */
export const enum DeferredMarks {
  BYTES = 4,
}

/** errno values, as the core returns them. */
export const enum Errno {
  EEXIST = 17,
  ENOSPC = 28,
}
