// SPDX-License-Identifier: GPL-2.0-only
// The layouts of the memory that is shared with the core, in 32-bit words (W_) and doubles (F_). native/addon/calls.c
// has the structs, and asserts these numbers when it is compiled.

/** Flags of a folio, in the lower half of its first word; the upper half is its reference count. */
export const PG_locked = 0x0001
export const PG_dirty = 0x0002
export const PG_writeback = 0x0004
export const PG_uptodate = 0x0008
/** Changes of marks that the tree has yet to be told of: native/core/deferred_marks.h has the protocol. */
export const PG_set_dirty = 0x0100
export const PG_clear_dirty = 0x0200
export const PG_set_writeback = 0x0400
export const PG_clear_writeback = 0x0800
export const PG_clear_towrite = 0x1000
export const PG_deferred =
  PG_set_dirty | PG_clear_dirty | PG_set_writeback | PG_clear_writeback | PG_clear_towrite

/** struct folio: flags, slot, and a key of index (51 bits) and order (5 bits). */
export const FOLIO_WORDS = 6
export const FOLIO_SLOT = 1
export const FOLIO_KEY_LOW = 2
export const FOLIO_KEY_HIGH = 3
export const FOLIO_ORDER_BITS = 5
export const FOLIO_ORDER_MASK = 31
export const FOLIO_CHUNK_SHIFT = 10
export const FOLIO_CHUNK_MASK = 1023
export const FOLIO_CHUNK_BYTES = 24576
/** FOLIO_NO_SLOT, as it reads from a signed word. */
export const NO_SLOT = -1

/** struct control: arguments and results of calls. */
export const CONTROL_BYTES = 256
export const W_MAPPING = 0
export const W_PASS = 1
export const W_SLOT = 2
export const W_ORDER = 3
export const W_STATUS = 4
export const W_MARK = 5
export const W_COUNT = 6
export const F_INDEX = 4
export const F_START = 5
export const F_END = 6
export const F_VALUE = 7
export const W_SLOTS = 16

/** struct pass. */
export const PASS_BYTES = 512
export const P_ERROR = 0
export const P_STATUS = 1
export const P_SLOT = 2
export const P_MODE = 3
export const PF_NR_TO_WRITE = 2
export const PF_START = 3
export const PF_END = 4
export const P_BLOCKED_ON = 10
export const P_MAX_PAGES = 11
export const P_SLOTS = 12
export const P_BATCH_NR = 62
export const P_BATCH_I = 63
export const PASS_FOLIO = 0
export const PASS_BLOCKED = 2
export const PASS_SYNC_ALL = 1
export const PASS_TAGGED = 2
export const PASS_CYCLIC = 4

/** struct extent_block. */
export const EXTENT_BYTES = 12416
export const EF_INDEX = 0
export const EF_NR_PAGES = 1
export const E_NR_FOLIOS = 4
export const E_SLOTS = 6

/** struct deferred_marks. */
export const DEFERRED_BYTES = 1024
export const DEFERRED_MARKS_SIZE = 255

/** errno values, as the core returns them. */
export const ENOMEM = 12
export const EBUSY = 16
export const EEXIST = 17
export const ENOBUFS = 105
