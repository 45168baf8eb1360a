/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A minimal xarray: a radix tree of 64-slot nodes from index to entry, with three marks per entry.
 * Entries and nodes are numbers of 32 bits, so that a slot takes half of what a pointer would.
 *
 * The operations have the names that the kernel gives them (include/linux/xarray.h); the tree
 * beneath is our own. native/README.md lists the deviations from the kernel.
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

/* What a slot of a node holds: 0, an entry (a multiple of four), a sibling, or a node. */
typedef uint32_t xa_entry_t;

/**
 * struct xa_node - 64 slots of the tree
 * @marks: a bit for each slot and mark. On a slot that holds a node, a mark means that some entry
 *	below may have it: clearing a mark does not go up, so that a mark that comes and goes costs
 *	no walk, and a search that finds nothing below clears the bit. XA_PRESENT is exact. On a
 *	sibling slot no mark is ever set
 * @index: the first index that the node covers
 * @parent: the slot above, which holds the node (xa_slot_number()); 0 at the top
 * @shift: log2 of how many indices one slot covers; 0 in a leaf
 *
 * A node is a number, the index of its record in a table (@xa_nodes) and of its slots in another
 * (@xa_slots). The table of records holds no pointer, so the host may share it with code that
 * changes marks in place.
 */
struct xa_node {
	uint64_t marks[XA_NR_MARKS];
	uint64_t index;
	uint32_t parent;
	uint8_t shift;
};

static_assert(sizeof(struct xa_node) == 48, "what a cached page costs depends on this");

/* Node numbers stay below, so that slot numbers are positive in 32 bits, signed or not. */
#define XA_MAX_NODES (UINT32_C(1) << 25)

/* An insertion takes fewer: up to eight levels on top, eight below. */
#define XA_NODES_PER_INSERT 18

/**
 * struct xarray - the array
 * @xa_nodes: the records of the nodes, by number; number 0 is no node
 * @xa_slots: the slots of each node
 * @xa_max_nodes: how many nodes the tables have room for
 * @xa_nr_nodes: how many numbers were ever handed out, 0 included
 * @xa_free_node: the number that was freed last, the next one in its @parent; 0 for none
 * @xa_nr_free: how many numbers were freed
 * @xa_head: the topmost node; 0 while empty
 * @xa_hint: the node that was looked up last, or 0; lookups nearby start there
 * @xa_lock: protects everything here and below, if @xa_shared
 * @xa_shared: whether threads share the array; set before the first entry and never changed
 * @xa_host_nodes: whether the host gives the memory of @xa_nodes (xa_give_nodes()); set by it
 *	before the first entry, or by its giving some
 * @xa_alloc: gives zeroed memory, or NULL
 * @xa_free: takes it back
 */
struct xarray {
	struct xa_node *xa_nodes;
	xa_entry_t **xa_slots;
	uint32_t xa_max_nodes;
	uint32_t xa_nr_nodes;
	uint32_t xa_free_node;
	uint32_t xa_nr_free;
	uint32_t xa_head;
	uint32_t xa_hint;
	_Atomic bool xa_lock;
	bool xa_shared;
	bool xa_host_nodes;
	void *(*xa_alloc)(size_t size);
	void (*xa_free)(void *memory);
};

/**
 * struct xa_state - a position in the array
 * @xa: the array
 * @xa_index: the index looked for; after a find the first index of the entry found
 * @xa_node: the node that holds the entry, NULL to start over from @xa_index; holds until the next
 *	insertion
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
#define XA_NODE_TAG 2U
#define XA_SIBLING_TAG 1U

/* How many ones a word of marks begins with, from its lowest bit on. */
static inline uint32_t word_ones(uint64_t word)
{
	return ~word == 0 ? XA_CHUNK_SIZE : (uint32_t)__builtin_ctzll(~word);
}

/* A word that begins with this many ones, 1 to 64. */
static inline uint64_t word_of_ones(uint32_t nr)
{
	return ~UINT64_C(0) >> (XA_CHUNK_SIZE - nr);
}

static inline bool xa_is_node(xa_entry_t slot)
{
	return (slot & 3) == XA_NODE_TAG;
}

static inline bool xa_is_sibling(xa_entry_t slot)
{
	return (slot & 3) == XA_SIBLING_TAG;
}

/* The slot that holds the entry which this sibling slot continues. */
static inline unsigned int xa_to_sibling(xa_entry_t slot)
{
	return slot >> 2;
}

static inline struct xa_node *xa_to_node(const struct xarray *xa, xa_entry_t slot)
{
	return &xa->xa_nodes[slot >> 2];
}

static inline uint32_t xa_node_number(const struct xarray *xa, const struct xa_node *node)
{
	return (uint32_t)(node - xa->xa_nodes);
}

/* A slot of the tree as a number: it finds the slot's node and offset without a walk. */
static inline uint32_t xa_slot_number(const struct xarray *xa, const struct xa_node *node,
				      unsigned int offset)
{
	return xa_node_number(xa, node) << XA_CHUNK_SHIFT | offset;
}

static inline struct xa_node *xa_slot_node(const struct xarray *xa, uint32_t slot)
{
	return &xa->xa_nodes[slot >> XA_CHUNK_SHIFT];
}

/* The slots of a node. */
static inline xa_entry_t *xa_slots(const struct xarray *xa, const struct xa_node *node)
{
	return xa->xa_slots[xa_node_number(xa, node)];
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

void xa_lock_slow(struct xarray *xa);

static inline void xa_lock(struct xarray *xa)
{
	if (unlikely(xa->xa_shared) &&
	    unlikely(atomic_exchange_explicit(&xa->xa_lock, true, memory_order_acquire)))
		xa_lock_slow(xa);
}

static inline void xa_unlock(struct xarray *xa)
{
	if (unlikely(xa->xa_shared))
		atomic_store_explicit(&xa->xa_lock, false, memory_order_release);
}

void xa_init(struct xarray *xa, bool shared, void *(*alloc)(size_t size),
	     void (*free)(void *memory));
void xa_destroy(struct xarray *xa);
int xa_give_nodes(struct xarray *xa, struct xa_node *nodes, uint32_t max);
xa_entry_t xa_load(struct xarray *xa, uint64_t index);
bool xa_marked(struct xarray *xa, xa_mark_t mark);

xa_entry_t xas_load(struct xa_state *xas);
int xas_insert(struct xa_state *xas, unsigned int order, xa_entry_t entry);
void xas_insert_next(struct xa_state *xas, unsigned int order, xa_entry_t entry, uint32_t nr);
void xas_erase(struct xa_state *xas, unsigned int order);
xa_entry_t xas_find_marked(struct xa_state *xas, uint64_t max, xa_mark_t mark);
bool xas_copy_mark(struct xa_state *xas, uint64_t max, xa_mark_t from, xa_mark_t to);
void xas_set_marks_up(const struct xarray *xa, const struct xa_node *node, xa_mark_t mark);

void xas_pause(struct xa_state *xas);
uint64_t xas_marked_bits(const struct xa_state *xas, uint64_t max, xa_mark_t mark);

/* Whether any entry overlaps these indices. */
static inline bool xa_conflict(struct xarray *xa, uint64_t first, uint64_t last)
{
	XA_STATE(xas, xa, first);

	return xas_find_marked(&xas, last, XA_PRESENT) != 0;
}

static inline bool xas_get_mark(const struct xa_state *xas, xa_mark_t mark)
{
	return (xas->xa_node->marks[mark] >> xas->xa_offset & 1) != 0;
}

/*
 * Sets a mark on these slots of a node, all of them entries. It goes up only where the node's word
 * was empty: else the slot above has it already.
 */
static inline void xas_set_marks(const struct xarray *xa, struct xa_node *node, uint64_t bits,
				 xa_mark_t mark)
{
	uint64_t old = node->marks[mark];

	node->marks[mark] = old | bits;
	if (unlikely(old == 0))
		xas_set_marks_up(xa, node, mark);
}

/* Clears a mark on these slots of a node. Searches clear it above. */
static inline void xas_clear_marks(struct xa_node *node, uint64_t bits, xa_mark_t mark)
{
	node->marks[mark] &= ~bits;
}

static inline void xas_set_mark(const struct xa_state *xas, xa_mark_t mark)
{
	xas_set_marks(xas->xa, xas->xa_node, UINT64_C(1) << xas->xa_offset, mark);
}

static inline void xas_clear_mark(const struct xa_state *xas, xa_mark_t mark)
{
	xas_clear_marks(xas->xa_node, UINT64_C(1) << xas->xa_offset, mark);
}

/* Whether this node is the one for an entry of this index and order. */
static inline bool xa_node_holds(const struct xa_node *node, uint64_t index, unsigned int order)
{
	return node->shift == xa_order_shift(order) && xa_node_covers(node, index);
}

#endif
