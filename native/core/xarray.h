/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A minimal xarray: a radix tree of 64-slot nodes from index to entry, with three marks an entry.
 * Entries are numbers of 32 bits, so that a lowest node, which is what most nodes are, takes half
 * of what pointers would.
 *
 * The operations bear the names that the kernel gives them (include/linux/xarray.h); the tree
 * beneath is our own. What differs from the kernel's stands in native/README.md.
 */
#ifndef WRITEBACK_ITER_XARRAY_H
#define WRITEBACK_ITER_XARRAY_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XA_CHUNK_SHIFT 6
#define XA_CHUNK_SIZE (1U << XA_CHUNK_SHIFT)
#define XA_CHUNK_MASK (XA_CHUNK_SIZE - 1)
#define XA_MAX_ORDER 18
#define XA_MAX_INDEX ((UINT64_C(1) << 51) - 1)

/* How many entries may be worked through before the lock is dropped (the kernel's number). */
#define XA_CHECK_SCHED 4096

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * XA_PRESENT is ours and set for every entry: so a walk over all entries is a walk over the marked
 * ones, and a node is empty when its XA_PRESENT word is zero.
 */
typedef enum { XA_MARK_0, XA_MARK_1, XA_MARK_2, XA_PRESENT, XA_NR_MARKS } xa_mark_t;

/* What a slot of a lowest node holds: 0, an entry (a multiple of four), or a sibling. */
typedef uint32_t xa_entry_t;

/**
 * struct xa_node - 64 slots of the tree
 * @shift: log2 of how many indices one slot covers; 0 in a lowest node
 * @offset: the slot of @parent that holds this node
 * @parent: the node above, NULL at the top
 * @index: the first index that the node covers
 * @marks: a bit a slot for each mark; on a slot that holds a node it means that some entry below
 *	bears the mark, on a sibling slot it is never set
 * @entries: the slots of a lowest node, which ends with them: 0, an entry, or the rest of a large
 *	one (xa_is_sibling)
 * @slots: those of any other node: the same, or a node (xa_is_node)
 */
struct xa_node {
	uint8_t shift;
	uint8_t offset;
	struct xa_node *parent;
	uint64_t index;
	uint64_t marks[XA_NR_MARKS];
	union {
		xa_entry_t entries[XA_CHUNK_SIZE];
		uintptr_t slots[XA_CHUNK_SIZE];
	};
};

/* What a cached page costs depends on this. Eight bytes are for who gives the memory. */
#define XA_LOWEST_NODE_SIZE offsetof(struct xa_node, entries[XA_CHUNK_SIZE])
static_assert(XA_LOWEST_NODE_SIZE == 5 * 64 - 8, "a lowest node: five cache lines");

/**
 * struct xarray - the array
 * @xa_head: the topmost node; NULL while empty
 * @xa_hint: the node that was looked up last, or NULL; lookups nearby start there
 * @xa_lock: protects everything here and below, if @xa_shared
 * @xa_shared: whether threads share the array; set before the first entry and never changed
 * @xa_alloc: gives zeroed memory for a node, or NULL
 * @xa_free: takes it back
 */
struct xarray {
	struct xa_node *xa_head;
	struct xa_node *xa_hint;
	atomic_flag xa_lock;
	bool xa_shared;
	void *(*xa_alloc)(size_t size);
	void (*xa_free)(void *memory);
};

/**
 * struct xa_state - a position in the array
 * @xa: the array
 * @xa_index: the index looked for; after a find the first index of the entry found
 * @xa_node: the node that holds the entry, NULL to start over from @xa_index
 * @xa_offset: its slot there
 */
struct xa_state {
	struct xarray *xa;
	uint64_t xa_index;
	struct xa_node *xa_node;
	unsigned int xa_offset;
};

#define XA_STATE(name, array, index)                                                               \
	struct xa_state name = {.xa = (array), .xa_index = (index), .xa_node = NULL, .xa_offset = 0}

/* The low bits tell the slots apart; those of an entry are 0. */
#define XA_NODE_TAG ((uintptr_t)2)
#define XA_SIBLING_TAG ((uintptr_t)1)

/* How many ones a word of marks begins with, from its lowest bit on. */
static inline uint32_t word_ones(uint64_t word)
{
	return ~word == 0 ? XA_CHUNK_SIZE : (uint32_t)__builtin_ctzll(~word);
}

/* A word that begins with so many ones, 1 to 64. */
static inline uint64_t word_of_ones(uint32_t nr)
{
	return ~UINT64_C(0) >> (XA_CHUNK_SIZE - nr);
}

static inline bool xa_is_node(uintptr_t slot)
{
	return (slot & 3) == XA_NODE_TAG;
}

static inline bool xa_is_sibling(uintptr_t slot)
{
	return (slot & 3) == XA_SIBLING_TAG;
}

static inline struct xa_node *xa_to_node(uintptr_t slot)
{
	return (struct xa_node *)(slot - XA_NODE_TAG);
}

/* The slot that holds the entry which this sibling slot continues. */
static inline unsigned int xa_to_sibling(uintptr_t slot)
{
	return (unsigned int)(slot >> 2);
}

/* What stands in a slot. */
static inline uintptr_t xa_slot(const struct xa_node *node, unsigned int offset)
{
	return node->shift == 0 ? node->entries[offset] : node->slots[offset];
}

static inline bool xa_node_covers(const struct xa_node *node, uint64_t index)
{
	return (index - node->index) >> node->shift < XA_CHUNK_SIZE;
}

/* The slot of the node that covers the index. */
static inline unsigned int xa_node_offset(const struct xa_node *node, uint64_t index)
{
	return (unsigned int)(index >> node->shift) & XA_CHUNK_MASK;
}

/* The shift of the nodes that hold entries of this order. */
static inline unsigned int xa_order_shift(unsigned int order)
{
	return likely(order < XA_CHUNK_SHIFT) ? 0 : order - order % XA_CHUNK_SHIFT;
}

static inline bool xa_marked(const struct xarray *xa, xa_mark_t mark)
{
	return xa->xa_head != NULL && xa->xa_head->marks[mark] != 0;
}

void xa_lock_slow(struct xarray *xa);

static inline void xa_lock(struct xarray *xa)
{
	if (unlikely(xa->xa_shared))
		xa_lock_slow(xa);
}

static inline void xa_unlock(struct xarray *xa)
{
	if (unlikely(xa->xa_shared))
		atomic_flag_clear_explicit(&xa->xa_lock, memory_order_release);
}

void xa_init(struct xarray *xa, bool shared, void *(*alloc)(size_t size),
	     void (*free)(void *memory));
void xa_destroy(struct xarray *xa);
xa_entry_t xa_load(struct xarray *xa, uint64_t index);
struct xa_node *xa_find_node(struct xarray *xa, uint64_t index, unsigned int order);

xa_entry_t xas_load(struct xa_state *xas);
int xas_insert(struct xa_state *xas, unsigned int order, xa_entry_t entry);
void xas_erase(struct xa_state *xas, unsigned int order);
xa_entry_t xas_find_marked(struct xa_state *xas, uint64_t max, xa_mark_t mark);
bool xas_copy_mark(struct xa_state *xas, uint64_t max, xa_mark_t from, xa_mark_t to);
void xas_set_marks_up(struct xa_node *node, xa_mark_t mark);
void xas_clear_marks_up(struct xa_node *node, xa_mark_t mark);

void xas_pause(struct xa_state *xas);
uint64_t xas_marked_bits(const struct xa_state *xas, uint64_t max, xa_mark_t mark);

/* Whether this node, if any, is the one for an entry of this index and order. */
static inline bool xa_node_holds(const struct xa_node *node, uint64_t index, unsigned int order)
{
	return node != NULL && node->shift == xa_order_shift(order) && xa_node_covers(node, index);
}

/* The node that holds an entry of this index and order, which is there. */
static inline struct xa_node *xa_node_of(struct xarray *xa, uint64_t index, unsigned int order)
{
	struct xa_node *node = xa->xa_hint;

	if (likely(xa_node_holds(node, index, order)))
		return node;
	return xa_find_node(xa, index, order);
}

static inline bool xas_get_mark(const struct xa_state *xas, xa_mark_t mark)
{
	return (xas->xa_node->marks[mark] >> xas->xa_offset & 1) != 0;
}

/*
 * Sets or clears a mark on these slots of a node, all of them entries. It travels up only where the
 * node's word was, or becomes, empty: else the slot above bears it already, or still has to.
 */
static inline void xas_set_marks(struct xa_node *node, uint64_t bits, xa_mark_t mark)
{
	uint64_t old = node->marks[mark];

	node->marks[mark] = old | bits;
	if (unlikely(old == 0))
		xas_set_marks_up(node, mark);
}

static inline void xas_clear_marks(struct xa_node *node, uint64_t bits, xa_mark_t mark)
{
	uint64_t old = node->marks[mark];
	uint64_t word = old & ~bits;

	node->marks[mark] = word;
	if (unlikely(word == 0) && old != 0)
		xas_clear_marks_up(node, mark);
}

static inline void xas_set_mark(const struct xa_state *xas, xa_mark_t mark)
{
	xas_set_marks(xas->xa_node, UINT64_C(1) << xas->xa_offset, mark);
}

static inline void xas_clear_mark(const struct xa_state *xas, xa_mark_t mark)
{
	xas_clear_marks(xas->xa_node, UINT64_C(1) << xas->xa_offset, mark);
}

#endif
