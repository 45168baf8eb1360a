// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tree beneath the page cache. After lib/xarray.c of Linux 6.12 in its operations and their
 * names; the walking is ours.
 *
 * Invariants, whenever the lock is free:
 *  - every node has at least one entry (XA_PRESENT is not zero);
 *  - the slot above a node has each mark that any slot of the node has, and XA_PRESENT. Of the
 *    other marks it may have more (see struct xa_node);
 *  - an entry of order O sits in a node of shift O - O % 6, on 2^(O % 6) slots: itself on the
 *    first, siblings on the rest, all marks on the first;
 *  - the top node begins at index 0; xa_hint is 0 or a node of the tree.
 */
#include "xarray.h"

#include <errno.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#define cond_resched() SwitchToThread()
#else
#include <sched.h>
#define cond_resched() sched_yield()
#endif
#if defined(__x86_64__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ volatile("yield")
#else
#define cpu_relax() ((void)0)
#endif

/*
 * How often a thread looks at a lock before it gives its processor to another thread, which may be
 * the owner. An owner that is running releases the lock before that.
 */
#define SPINS 100

/* xa_lock() while another thread holds the lock. */
void xa_lock_slow(struct xarray *xa)
{
	unsigned int spins = 0;

	do {
		while (atomic_load_explicit(&xa->xa_lock, memory_order_relaxed)) {
			if (++spins % SPINS == 0)
				cond_resched();
			else
				cpu_relax();
		}
	} while (atomic_exchange_explicit(&xa->xa_lock, true, memory_order_acquire));
}

static xa_entry_t xa_mk_node(uint32_t number)
{
	return number << 2 | XA_NODE_TAG;
}

static xa_entry_t xa_mk_sibling(unsigned int offset)
{
	return offset << 2 | XA_SIBLING_TAG;
}

/* The last index that the node covers. The top level's shift is 48 at most, so this never wraps. */
static uint64_t node_last(const struct xa_node *node)
{
	return node->index + ((UINT64_C(1) << node->shift << XA_CHUNK_SHIFT) - 1);
}

/* The slot that holds the entry, or the node, which covers the index. */
static unsigned int node_head_offset(const struct xarray *xa, const struct xa_node *node,
				     uint64_t index)
{
	unsigned int offset = xa_node_offset(node, index);
	xa_entry_t slot = xa_slots(xa, node)[offset];

	return xa_is_sibling(slot) ? xa_to_sibling(slot) : offset;
}

/* The node above, NULL at the top. */
static struct xa_node *node_parent(const struct xarray *xa, const struct xa_node *node)
{
	return node->parent == 0 ? NULL : xa_slot_node(xa, node->parent);
}

static uint64_t parent_bit(const struct xa_node *node)
{
	return UINT64_C(1) << (node->parent & XA_CHUNK_MASK);
}

/**
 * xa_init - make an empty array
 * @xa: the array
 * @shared: whether threads will share it; then every operation below takes its lock
 * @alloc: gives zeroed memory or NULL; called with the lock held
 * @free: takes it back; called with the lock held
 */
void xa_init(struct xarray *xa, bool shared, void *(*alloc)(size_t size),
	     void (*free)(void *memory))
{
	memset(xa, 0, sizeof(*xa));
	xa->xa_nr_nodes = 1;
	xa->xa_shared = shared;
	xa->xa_alloc = alloc;
	xa->xa_free = free;
}

/**
 * xa_destroy - free every node
 * @xa: the array; empty afterwards
 *
 * It does not touch the entries, which are the caller's, nor the records that a host gave, whose
 * memory may be freed already.
 */
void xa_destroy(struct xarray *xa)
{
	for (uint32_t number = 1; number < xa->xa_nr_nodes; number++) {
		if (xa->xa_slots[number] != NULL)
			xa->xa_free(xa->xa_slots[number]);
	}
	if (xa->xa_slots != NULL)
		xa->xa_free(xa->xa_slots);
	if (xa->xa_nodes != NULL && !xa->xa_host_nodes)
		xa->xa_free(xa->xa_nodes);
	xa_init(xa, xa->xa_shared, xa->xa_alloc, xa->xa_free);
}

/* Moves the tables to larger ones. */
static int xa_move_nodes(struct xarray *xa, struct xa_node *nodes, uint32_t max)
{
	xa_entry_t **slots;

	if (max > XA_MAX_NODES)
		return -ENOMEM;
	slots = xa->xa_alloc(max * sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	if (xa->xa_slots != NULL) {
		memcpy(nodes, xa->xa_nodes, xa->xa_nr_nodes * sizeof(*nodes));
		memcpy(slots, xa->xa_slots, xa->xa_nr_nodes * sizeof(*slots));
		xa->xa_free(xa->xa_slots);
	}
	xa->xa_nodes = nodes;
	xa->xa_slots = slots;
	xa->xa_max_nodes = max;
	return 0;
}

/**
 * xa_give_nodes - give an array memory for more nodes
 * @xa: the array, its lock held; either all memory for its nodes is given by this call, or none
 * @nodes: zeroed room for @max records; stays the host's, and in use until the next such call. The
 *	memory given before is the host's alone again
 * @max: more than before
 *
 * Return: 0, or -ENOMEM with nothing taken.
 */
int xa_give_nodes(struct xarray *xa, struct xa_node *nodes, uint32_t max)
{
	assert(max > xa->xa_max_nodes && (xa->xa_host_nodes || xa->xa_nodes == NULL));
	xa->xa_host_nodes = true;
	return xa_move_nodes(xa, nodes, max);
}

/* Makes sure that an insertion does not run out of records. */
static int xa_reserve(struct xarray *xa)
{
	struct xa_node *old = xa->xa_nodes;
	struct xa_node *nodes;
	uint32_t max;

	if (likely(xa->xa_nr_nodes + XA_NODES_PER_INSERT <= xa->xa_max_nodes + xa->xa_nr_free))
		return 0;
	if (xa->xa_host_nodes)
		return -ENOSPC;
	max = xa->xa_max_nodes == 0 ? XA_NODES_PER_INSERT + 14 : xa->xa_max_nodes * 2;
	nodes = xa->xa_alloc(max * sizeof(*nodes));
	if (nodes == NULL)
		return -ENOMEM;
	if (xa_move_nodes(xa, nodes, max) != 0) {
		xa->xa_free(nodes);
		return -ENOMEM;
	}
	if (old != NULL)
		xa->xa_free(old);
	return 0;
}

/* A node below this slot, or the top (@parent is 0). There is a record for it (xa_reserve()). */
static struct xa_node *xa_node_alloc(struct xarray *xa, uint32_t parent, unsigned int shift,
				     uint64_t index)
{
	xa_entry_t *slots = xa->xa_alloc(XA_CHUNK_SIZE * sizeof(*slots));
	uint32_t number = xa->xa_free_node;
	struct xa_node *node;

	if (slots == NULL)
		return NULL;
	if (number != 0) {
		xa->xa_free_node = xa->xa_nodes[number].parent;
		xa->xa_nr_free--;
	} else {
		number = xa->xa_nr_nodes++;
		assert(number < xa->xa_max_nodes);
	}
	node = &xa->xa_nodes[number];
	/* No code changes a mark of a node that was freed. */
	assert((node->marks[XA_MARK_0] | node->marks[XA_MARK_1] | node->marks[XA_MARK_2] |
		node->marks[XA_PRESENT]) == 0);
	xa->xa_slots[number] = slots;
	node->parent = parent;
	node->shift = (uint8_t)shift;
	node->index = index;
	return node;
}

static void xa_node_free(struct xarray *xa, struct xa_node *node)
{
	uint32_t number = xa_node_number(xa, node);

	if (xa->xa_hint == number)
		xa->xa_hint = 0;
	xa->xa_free(xa->xa_slots[number]);
	xa->xa_slots[number] = NULL;
	memset(node->marks, 0, sizeof(node->marks));
	node->parent = xa->xa_free_node;
	xa->xa_free_node = number;
	xa->xa_nr_free++;
}

/* Sets the slots above a node whose word for the mark was empty and is no longer. */
void xas_set_marks_up(const struct xarray *xa, const struct xa_node *node, xa_mark_t mark)
{
	uint64_t old;

	do {
		uint64_t bit = parent_bit(node);
		struct xa_node *parent = node_parent(xa, node);

		if (parent == NULL)
			return;
		old = parent->marks[mark];
		parent->marks[mark] = old | bit;
		node = parent;
	} while (old == 0);
}

/* The lowest node that covers the index, seen from the node used last; NULL if none does. */
static struct xa_node *xas_start(const struct xa_state *xas)
{
	const struct xarray *xa = xas->xa;
	uint32_t number = xa->xa_hint != 0 ? xa->xa_hint : xa->xa_head;
	struct xa_node *node;

	if (number == 0)
		return NULL;
	node = &xa->xa_nodes[number];
	while (node != NULL && !xa_node_covers(node, xas->xa_index))
		node = node_parent(xa, node);
	return node;
}

/**
 * xas_load - the entry that covers an index
 * @xas: the index; on success it is moved to the entry's first slot
 *
 * Return: the entry, or 0 where there is none (@xas is then unset).
 */
xa_entry_t xas_load(struct xa_state *xas)
{
	struct xarray *xa = xas->xa;
	struct xa_node *node = xas_start(xas);
	unsigned int offset;
	xa_entry_t slot;

	xas->xa_node = NULL;
	if (node == NULL)
		return 0;
	for (;;) {
		offset = xa_node_offset(node, xas->xa_index);
		slot = xa_slots(xa, node)[offset];
		if (!xa_is_node(slot))
			break;
		node = xa_to_node(xa, slot);
	}
	xa->xa_hint = xa_node_number(xa, node);
	if (slot == 0)
		return 0;
	if (xa_is_sibling(slot)) {
		offset = xa_to_sibling(slot);
		slot = xa_slots(xa, node)[offset];
	}
	xas->xa_node = node;
	xas->xa_offset = offset;
	xas->xa_index = node->index + ((uint64_t)offset << node->shift);
	return slot;
}

/**
 * xa_load - the entry that covers an index
 * @xa: the array, its lock held
 * @index: the index
 *
 * Return: the entry or 0.
 */
xa_entry_t xa_load(struct xarray *xa, uint64_t index)
{
	XA_STATE(xas, xa, index);

	return xas_load(&xas);
}

/**
 * xa_marked - whether any entry has the mark
 * @xa: the array, its lock held
 * @mark: the mark
 */
bool xa_marked(struct xarray *xa, xa_mark_t mark)
{
	XA_STATE(xas, xa, 0);

	return xas_find_marked(&xas, XA_MAX_INDEX, mark) != 0;
}

/* Puts a new node, without entries yet, above the top: all that the top has is below slot 0. */
static void node_adopt(struct xarray *xa, struct xa_node *node, struct xa_node *head)
{
	xa_slots(xa, node)[0] = xa_mk_node(xa_node_number(xa, head));
	head->parent = xa_slot_number(xa, node, 0);
	for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++) {
		if (head->marks[mark] != 0)
			node->marks[mark] = 1;
	}
	xa->xa_head = xa_node_number(xa, node);
}

/* Frees the node and those above it that have no entry, then lowers a top of one first slot only.
 */
static void xas_delete_node(struct xarray *xa, struct xa_node *node)
{
	struct xa_node *head;
	xa_entry_t slot;

	while (node->marks[XA_PRESENT] == 0) {
		struct xa_node *parent = node_parent(xa, node);
		uint64_t bit = parent_bit(node);
		unsigned int offset = node->parent & XA_CHUNK_MASK;

		xa_node_free(xa, node);
		if (parent == NULL) {
			xa->xa_head = 0;
			return;
		}
		for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
			parent->marks[mark] &= ~bit;
		xa_slots(xa, parent)[offset] = 0;
		node = parent;
	}
	while ((head = &xa->xa_nodes[xa->xa_head])->marks[XA_PRESENT] == 1 &&
	       xa_is_node(slot = xa_slots(xa, head)[0])) {
		xa_node_free(xa, head);
		xa_to_node(xa, slot)->parent = 0;
		xa->xa_head = slot >> 2;
	}
}

/* Makes the top cover this index. An empty tree gets a top of at least @shift. */
static int xas_expand(struct xarray *xa, unsigned int shift, uint64_t last)
{
	struct xa_node *node;

	if (xa->xa_head == 0) {
		while (last >> shift >= XA_CHUNK_SIZE)
			shift += XA_CHUNK_SHIFT;
		node = xa_node_alloc(xa, 0, shift, 0);
		if (node == NULL)
			return -ENOMEM;
		xa->xa_head = xa_node_number(xa, node);
		return 0;
	}
	for (;;) {
		struct xa_node *head = &xa->xa_nodes[xa->xa_head];

		if (last <= node_last(head))
			return 0;
		node = xa_node_alloc(xa, 0, head->shift + XA_CHUNK_SHIFT, 0);
		if (node == NULL)
			return -ENOMEM;
		node_adopt(xa, node, head);
	}
}

/* The node for an entry of this index and shift, made if it is not there; NULL without memory. */
static struct xa_node *xas_create(struct xarray *xa, uint64_t index, unsigned int shift,
				  uint64_t last)
{
	struct xa_node *node;

	if (xas_expand(xa, shift, last) != 0) {
		if (xa->xa_head != 0)
			xas_delete_node(xa, &xa->xa_nodes[xa->xa_head]);
		return NULL;
	}
	node = &xa->xa_nodes[xa->xa_head];
	assert(node->shift >= shift);
	while (node->shift > shift) {
		unsigned int offset = xa_node_offset(node, index);
		xa_entry_t *slot = &xa_slots(xa, node)[offset];

		if (*slot == 0) {
			struct xa_node *child = xa_node_alloc(xa, xa_slot_number(xa, node, offset),
							      node->shift - XA_CHUNK_SHIFT,
							      index >> node->shift << node->shift);

			if (child == NULL) {
				xas_delete_node(xa, node);
				return NULL;
			}
			*slot = xa_mk_node(xa_node_number(xa, child));
		}
		node = xa_to_node(xa, *slot);
	}
	return node;
}

/**
 * xas_insert - store an entry where there is none
 * @xas: the entry's first index, a multiple of 2^@order; on success the entry's slot
 * @order: log2 of how many indices the entry covers
 * @entry: a multiple of four, not 0
 *
 * Return: 0; with the array as it was, -EEXIST if any of its indices is covered, -ENOSPC if the
 * host is to give more nodes first (xa_give_nodes()), -ENOMEM.
 */
int xas_insert(struct xa_state *xas, unsigned int order, xa_entry_t entry)
{
	struct xarray *xa = xas->xa;
	uint64_t index = xas->xa_index;
	uint64_t last = index + ((UINT64_C(1) << order) - 1);
	unsigned int nr_slots = 1U << order % XA_CHUNK_SHIFT;
	struct xa_node *node = xa->xa_hint != 0 ? &xa->xa_nodes[xa->xa_hint] : NULL;
	unsigned int offset;
	xa_entry_t *slots;

	assert((entry & 3) == 0 && entry != 0);
	assert(order <= XA_MAX_ORDER && last <= XA_MAX_INDEX && (index & (last - index)) == 0);

	/* Most entries go next to the last one: look there before walking from the top. */
	if (node == NULL || !xa_node_holds(node, index, order)) {
		int err;

		if (xa_conflict(xa, index, last))
			return -EEXIST;
		err = xa_reserve(xa);
		if (err != 0)
			return err;
		node = xas_create(xa, index, xa_order_shift(order), last);
		if (node == NULL)
			return -ENOMEM;
	}
	offset = xa_node_offset(node, index);
	slots = xa_slots(xa, node);
	for (unsigned int i = 0; i < nr_slots; i++) {
		if (slots[offset + i] != 0)
			return -EEXIST;
	}
	xas->xa_node = node;
	xas->xa_offset = offset;
	xas_insert_next(xas, order, entry, 1);
	xa->xa_hint = xa_node_number(xa, node);
	return 0;
}

/**
 * xas_insert_next - store contiguous entries
 * @xas: the slot of the first; it and those that follow are empty
 * @order: the order of each
 * @entry: the first; each is four more than the one before
 * @nr: how many there are: the node has slots for all of them
 */
void xas_insert_next(struct xa_state *xas, unsigned int order, xa_entry_t entry, uint32_t nr)
{
	xa_entry_t *slots = xa_slots(xas->xa, xas->xa_node);
	unsigned int nr_slots = 1U << order % XA_CHUNK_SHIFT;
	unsigned int offset = xas->xa_offset;
	uint64_t bits = 0;

	assert(offset + nr * nr_slots <= XA_CHUNK_SIZE);
	for (uint32_t stored = 0; stored < nr; stored++) {
		bits |= UINT64_C(1) << offset;
		slots[offset] = entry + 4 * stored;
		for (unsigned int i = 1; i < nr_slots; i++)
			slots[offset + i] = xa_mk_sibling(offset);
		offset += nr_slots;
	}
	xas_set_marks(xas->xa, xas->xa_node, bits, XA_PRESENT);
}

/**
 * xas_erase - remove an entry and its marks
 * @xas: the entry's slot; unset afterwards
 * @order: the entry's order
 *
 * Nodes that become empty are freed.
 */
void xas_erase(struct xa_state *xas, unsigned int order)
{
	struct xa_node *node = xas->xa_node;
	unsigned int nr_slots = 1U << order % XA_CHUNK_SHIFT;

	for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
		xas_clear_mark(xas, (xa_mark_t)mark);
	memset(&xa_slots(xas->xa, node)[xas->xa_offset], 0, nr_slots * sizeof(xa_entry_t));
	xas->xa_node = NULL;
	xas_delete_node(xas->xa, node);
}

/*
 * Moves to the next slot whose entry has the mark; false if there is none (@xas is then unset).
 * In a leaf the slot itself is not read: a sparse tree then costs one cache line per node
 * here.
 */
static bool xas_find_marked_slot(struct xa_state *xas, uint64_t max, xa_mark_t mark)
{
	struct xarray *xa = xas->xa;
	uint64_t start = xas->xa_index;
	struct xa_node *node = xas_start(xas);
	unsigned int offset;

	xas->xa_node = NULL;
	if (node == NULL || start > max)
		return false;
	offset = node_head_offset(xa, node, start);
	for (;;) {
		uint64_t rest = node->marks[mark] >> offset;
		uint64_t index;
		xa_entry_t slot;

		if (rest == 0) {
			/* No more here: continue with the slot after this node. */
			do {
				bool stale = node->marks[mark] == 0;
				uint64_t bit = parent_bit(node);

				offset = (node->parent & XA_CHUNK_MASK) + 1;
				node = node_parent(xa, node);
				if (node == NULL)
					return false;
				if (stale)
					node->marks[mark] &= ~bit;
			} while (offset == XA_CHUNK_SIZE);
			continue;
		}
		offset += (unsigned int)__builtin_ctzll(rest);
		index = node->index + ((uint64_t)offset << node->shift);
		if (index > max)
			return false;
		if (node->shift == 0 || !xa_is_node(slot = xa_slots(xa, node)[offset])) {
			xa->xa_hint = xa_node_number(xa, node);
			xas->xa_node = node;
			xas->xa_offset = offset;
			xas->xa_index = index;
			return true;
		}
		/* The child that covers the start is entered there, all later ones at slot 0. */
		node = xa_to_node(xa, slot);
		offset = start > node->index ? node_head_offset(xa, node, start) : 0;
	}
}

/**
 * xas_find_marked - the next entry that has a mark
 * @xas: where to search from; moved to the entry's slot. An entry that begins before the index but
 *	covers it is found.
 * @max: the last index that an entry may begin at
 * @mark: the mark
 *
 * Return: the entry, or 0 if there is none (@xas is then unset).
 */
xa_entry_t xas_find_marked(struct xa_state *xas, uint64_t max, xa_mark_t mark)
{
	if (!xas_find_marked_slot(xas, max, mark))
		return 0;
	return xa_slots(xas->xa, xas->xa_node)[xas->xa_offset];
}

/**
 * xas_pause - drop the position, to continue after the entry found last
 * @xas: the position, an entry's slot; the lock may be dropped and anything may happen to the array
 *	afterwards
 */
void xas_pause(struct xa_state *xas)
{
	struct xa_node *node = xas->xa_node;
	unsigned int offset = xas->xa_offset;

	const xa_entry_t *slots;

	assert(node != NULL);
	slots = xa_slots(xas->xa, node);
	do {
		offset++;
	} while (offset < XA_CHUNK_SIZE && xa_is_sibling(slots[offset]));
	xas->xa_index = node->index + ((uint64_t)offset << node->shift);
	xas->xa_node = NULL;
}

/* The slots of a node whose entries begin at @max or before. */
static uint64_t node_mask(const struct xa_node *node, uint64_t max)
{
	if (max >= node_last(node))
		return ~UINT64_C(0);
	return ~UINT64_C(0) >> (XA_CHUNK_MASK - xa_node_offset(node, max));
}

/**
 * xas_marked_bits - the marked entries that can be had without a step: a bit per slot
 * @xas: at an entry that xas_find_marked() found
 * @max: the last index that an entry may begin at
 * @mark: the mark
 *
 * Return: the entry's bit and, in a leaf, those of the marked entries behind it.
 */
uint64_t xas_marked_bits(const struct xa_state *xas, uint64_t max, xa_mark_t mark)
{
	const struct xa_node *node = xas->xa_node;

	/* Only in a leaf is every marked slot an entry. */
	if (node->shift != 0)
		return UINT64_C(1) << xas->xa_offset;
	return node->marks[mark] & (~UINT64_C(0) << xas->xa_offset) & node_mask(node, max);
}

/**
 * xas_copy_mark - set one mark on all entries that have another
 * @xas: where to start: an entry that covers the index counts, wherever it begins
 * @max: the last index that an entry may begin at
 * @from: the mark to look for
 * @to: the mark to set
 *
 * The entries of a leaf are marked by one OR.
 *
 * Return: false if the range is done; true after %XA_CHECK_SCHED entries or somewhat more (the rest
 * of a node), with @xas paused behind them: the caller may drop the lock and call again.
 */
bool xas_copy_mark(struct xa_state *xas, uint64_t max, xa_mark_t from, xa_mark_t to)
{
	unsigned int copied = 0;

	while (xas_find_marked_slot(xas, max, from)) {
		struct xa_node *node = xas->xa_node;
		uint64_t bits = xas_marked_bits(xas, max, from);

		if (node->shift == 0) {
			xas->xa_index = node_last(node) + 1;
			xas->xa_node = NULL;
		} else {
			xas_pause(xas);
		}
		xas_set_marks(xas->xa, node, bits, to);
		copied += (unsigned int)__builtin_popcountll(bits);
		if (copied >= XA_CHECK_SCHED)
			return true;
	}
	return false;
}
