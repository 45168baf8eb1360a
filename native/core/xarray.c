// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tree beneath the page cache. After lib/xarray.c of Linux 6.12 in its operations and their
 * names; the walking is ours.
 *
 * Invariants, whenever the lock is free:
 *  - a node other than one under construction bears at least one entry (XA_PRESENT is not zero);
 *  - a mark's word in a node is not zero exactly if the node's slot above bears the mark;
 *  - an entry of order O sits in a node of shift O - O % 6, on 2^(O % 6) slots: itself on the
 * first, siblings on the rest, all marks on the first;
 *  - xa_hint is NULL or a node of the tree.
 */
#include "xarray.h"

#include <errno.h>
#ifdef _WIN32
#include <windows.h>
#define cpu_relax() SwitchToThread()
#else
#include <sched.h>
#define cpu_relax() sched_yield()
#endif

void xa_lock_slow(struct xarray *xa)
{
	while (atomic_flag_test_and_set_explicit(&xa->xa_lock, memory_order_acquire))
		cpu_relax();
}

static uintptr_t xa_mk_node(const struct xa_node *node)
{
	return (uintptr_t)node + XA_NODE_TAG;
}

static xa_entry_t xa_mk_sibling(unsigned int offset)
{
	return (xa_entry_t)(offset << 2 | XA_SIBLING_TAG);
}

/* Stores an entry, a sibling or 0. */
static void set_slot(struct xa_node *node, unsigned int offset, xa_entry_t entry)
{
	if (node->shift == 0)
		node->entries[offset] = entry;
	else
		node->slots[offset] = entry;
}

/* The last index that the node covers. The top level's shift is 48 at most, so this never wraps. */
static uint64_t node_last(const struct xa_node *node)
{
	return node->index + ((UINT64_C(1) << node->shift << XA_CHUNK_SHIFT) - 1);
}

/* The slot that holds the entry, or the node, which covers the index. */
static unsigned int node_head_offset(const struct xa_node *node, uint64_t index)
{
	unsigned int offset = xa_node_offset(node, index);
	uintptr_t slot = xa_slot(node, offset);

	return xa_is_sibling(slot) ? xa_to_sibling(slot) : offset;
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
	xa->xa_head = NULL;
	xa->xa_hint = NULL;
	atomic_flag_clear(&xa->xa_lock);
	xa->xa_shared = shared;
	xa->xa_alloc = alloc;
	xa->xa_free = free;
}

static struct xa_node *xa_node_alloc(struct xarray *xa, struct xa_node *parent, unsigned int shift,
				     unsigned int offset, uint64_t index)
{
	struct xa_node *node = xa->xa_alloc(shift == 0 ? XA_LOWEST_NODE_SIZE : sizeof(*node));

	if (node == NULL)
		return NULL;
	node->shift = (uint8_t)shift;
	node->offset = (uint8_t)offset;
	node->parent = parent;
	node->index = index;
	return node;
}

static void xa_node_free(struct xarray *xa, struct xa_node *node)
{
	if (xa->xa_hint == node)
		xa->xa_hint = NULL;
	xa->xa_free(node);
}

/**
 * xa_destroy - free every node
 * @xa: the array; empty afterwards
 *
 * The entries are the caller's; they are not looked at.
 */
void xa_destroy(struct xarray *xa)
{
	struct xa_node *node = xa->xa_head;

	while (node != NULL) {
		uint64_t rest = node->marks[XA_PRESENT];

		if (rest != 0) {
			unsigned int offset = (unsigned int)__builtin_ctzll(rest);
			uintptr_t slot = xa_slot(node, offset);

			node->marks[XA_PRESENT] = rest & (rest - 1);
			if (xa_is_node(slot))
				node = xa_to_node(slot);
		} else {
			struct xa_node *parent = node->parent;

			xa->xa_free(node);
			node = parent;
		}
	}
	xa->xa_head = NULL;
	xa->xa_hint = NULL;
}

/* Sets the slots above a node whose word for the mark was empty and is no longer. */
void xas_set_marks_up(struct xa_node *node, xa_mark_t mark)
{
	uint64_t old;

	do {
		unsigned int offset = node->offset;

		node = node->parent;
		if (node == NULL)
			return;
		old = node->marks[mark];
		node->marks[mark] = old | UINT64_C(1) << offset;
	} while (old == 0);
}

/* Clears the slots above a node whose word for the mark has become empty. */
void xas_clear_marks_up(struct xa_node *node, xa_mark_t mark)
{
	do {
		unsigned int offset = node->offset;

		node = node->parent;
		if (node == NULL)
			return;
		node->marks[mark] &= ~(UINT64_C(1) << offset);
	} while (node->marks[mark] == 0);
}

/* How many nodes a walk asks for ahead. */
#define PREFETCH 8

/*
 * The node in a slot. Its neighbours come next, mostly: a walk waits for their memory more than for
 * all else.
 */
static struct xa_node *xas_descend(const struct xa_node *node, unsigned int offset)
{
	if (offset < XA_CHUNK_SIZE - PREFETCH)
		__builtin_prefetch((void *)node->slots[offset + PREFETCH]);
	return xa_to_node(node->slots[offset]);
}

/* The lowest node that covers the index, seen from the node used last; NULL if none does. */
static struct xa_node *xas_start(const struct xa_state *xas)
{
	struct xa_node *node = xas->xa->xa_hint;

	if (node == NULL)
		node = xas->xa->xa_head;
	while (node != NULL && !xa_node_covers(node, xas->xa_index))
		node = node->parent;
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
	struct xa_node *node = xas_start(xas);
	unsigned int offset;
	uintptr_t slot;

	xas->xa_node = NULL;
	if (node == NULL)
		return 0;
	for (;;) {
		offset = xa_node_offset(node, xas->xa_index);
		slot = xa_slot(node, offset);
		if (!xa_is_node(slot))
			break;
		node = xa_to_node(slot);
	}
	xas->xa->xa_hint = node;
	if (slot == 0)
		return 0;
	if (xa_is_sibling(slot)) {
		offset = xa_to_sibling(slot);
		slot = xa_slot(node, offset);
	}
	xas->xa_node = node;
	xas->xa_offset = offset;
	xas->xa_index = node->index + ((uint64_t)offset << node->shift);
	return (xa_entry_t)slot;
}

/**
 * xa_find_node - the node that holds an entry; the slow way of xa_node_of()
 * @xa: the array, its lock held
 * @index: the first index of an entry that is in the array
 * @order: its order
 *
 * Return: the node; lookups nearby start there.
 */
struct xa_node *xa_find_node(struct xarray *xa, uint64_t index, unsigned int order)
{
	unsigned int shift = xa_order_shift(order);
	struct xa_node *node = xa->xa_hint;

	if (node == NULL)
		node = xa->xa_head;
	while (node->shift < shift || !xa_node_covers(node, index))
		node = node->parent;
	while (node->shift > shift)
		node = xas_descend(node, xa_node_offset(node, index));
	xa->xa_hint = node;
	return node;
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

/* Puts a new node, without entries yet, above the top: all that the top bears is below slot 0. */
static void node_adopt(struct xa_node *node, struct xa_node *head)
{
	node->slots[0] = xa_mk_node(head);
	head->parent = node;
	assert(head->offset == 0);
	for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++) {
		if (head->marks[mark] != 0)
			node->marks[mark] = 1;
	}
}

/* Frees the node and those above it that bear no entry, then lowers a top of one first slot only.
 */
static void xas_delete_node(struct xarray *xa, struct xa_node *node)
{
	struct xa_node *head;

	while (node->marks[XA_PRESENT] == 0) {
		struct xa_node *parent = node->parent;
		unsigned int offset = node->offset;

		xa_node_free(xa, node);
		if (parent == NULL) {
			xa->xa_head = NULL;
			return;
		}
		/* The marks above were cleared when this node's words became empty. */
		assert((parent->marks[XA_PRESENT] >> offset & 1) == 0);
		parent->slots[offset] = 0;
		node = parent;
	}
	while ((head = xa->xa_head)->marks[XA_PRESENT] == 1 && xa_is_node(xa_slot(head, 0))) {
		xa->xa_head = xa_to_node(head->slots[0]);
		xa->xa_head->parent = NULL;
		xa_node_free(xa, head);
	}
}

/* Makes the top cover this index. An empty tree gets a top of at least @shift. */
static int xas_expand(struct xa_state *xas, unsigned int shift, uint64_t last)
{
	struct xarray *xa = xas->xa;
	struct xa_node *head = xa->xa_head;

	if (head == NULL) {
		while (last >> shift >= XA_CHUNK_SIZE)
			shift += XA_CHUNK_SHIFT;
		xa->xa_head = xa_node_alloc(xa, NULL, shift, 0, 0);
		return xa->xa_head == NULL ? -ENOMEM : 0;
	}
	while (last > node_last(head)) {
		struct xa_node *node = xa_node_alloc(xa, NULL, head->shift + XA_CHUNK_SHIFT, 0, 0);

		if (node == NULL)
			return -ENOMEM;
		node_adopt(node, head);
		xa->xa_head = head = node;
	}
	return 0;
}

/* Whether any entry lies in these indices or covers one of them. */
static bool xa_conflict(struct xarray *xa, uint64_t first, uint64_t last)
{
	XA_STATE(xas, xa, first);

	return xas_find_marked(&xas, last, XA_PRESENT) != 0;
}

/**
 * xas_insert - store an entry where there is none
 * @xas: the entry's first index, a multiple of 2^@order; on success the entry's slot
 * @order: log2 of how many indices the entry covers
 * @entry: a multiple of four, not 0
 *
 * Return: 0; -EEXIST if any of its indices is covered; -ENOMEM with the array as it was.
 */
int xas_insert(struct xa_state *xas, unsigned int order, xa_entry_t entry)
{
	struct xarray *xa = xas->xa;
	uint64_t index = xas->xa_index;
	uint64_t last = index + ((UINT64_C(1) << order) - 1);
	unsigned int shift = xa_order_shift(order);
	unsigned int nr_slots = 1U << order % XA_CHUNK_SHIFT;
	struct xa_node *node = xa->xa_hint;
	unsigned int offset;

	assert((entry & 3) == 0 && entry != 0);
	assert(order <= XA_MAX_ORDER && last <= XA_MAX_INDEX && (index & (last - index)) == 0);

	/* Most entries go next to the last one: look there before walking from the top. */
	if (!xa_node_holds(node, index, order)) {
		if (xa_conflict(xa, index, last))
			return -EEXIST;
		if (xas_expand(xas, shift, last) != 0) {
			if (xa->xa_head != NULL)
				xas_delete_node(xa, xa->xa_head);
			return -ENOMEM;
		}
		node = xa->xa_head;
		assert(node->shift >= shift);
		while (node->shift > shift) {
			uintptr_t slot;

			offset = xa_node_offset(node, index);
			slot = node->slots[offset];
			if (slot == 0) {
				unsigned int below = node->shift - XA_CHUNK_SHIFT;
				uint64_t base = index >> node->shift << node->shift;
				struct xa_node *child =
					xa_node_alloc(xa, node, below, offset, base);

				if (child == NULL) {
					xas_delete_node(xa, node);
					return -ENOMEM;
				}
				slot = node->slots[offset] = xa_mk_node(child);
			}
			node = xa_to_node(slot);
		}
	}
	offset = xa_node_offset(node, index);
	for (unsigned int i = 0; i < nr_slots; i++) {
		if (xa_slot(node, offset + i) != 0)
			return -EEXIST;
	}
	set_slot(node, offset, entry);
	for (unsigned int i = 1; i < nr_slots; i++)
		set_slot(node, offset + i, xa_mk_sibling(offset));
	xas->xa_node = node;
	xas->xa_offset = offset;
	xas_set_mark(xas, XA_PRESENT);
	xa->xa_hint = node;
	return 0;
}

/**
 * xas_erase - take an entry and its marks out
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
	for (unsigned int i = 0; i < nr_slots; i++)
		set_slot(node, xas->xa_offset + i, 0);
	xas->xa_node = NULL;
	xas_delete_node(xas->xa, node);
}

/*
 * Moves to the next slot whose entry bears the mark; false if there is none (@xas is then unset).
 * In a lowest node the slot itself is not read: a sparse tree then costs one cache line a node
 * here.
 */
static bool xas_find_marked_slot(struct xa_state *xas, uint64_t max, xa_mark_t mark)
{
	uint64_t start = xas->xa_index;
	struct xa_node *node = xas_start(xas);
	unsigned int offset;

	xas->xa_node = NULL;
	if (node == NULL || start > max)
		return false;
	offset = node_head_offset(node, start);
	for (;;) {
		uint64_t rest = node->marks[mark] >> offset;
		uint64_t index;

		if (rest == 0) {
			/* Nothing more here: on with the slot behind this node. */
			do {
				offset = node->offset + 1U;
				node = node->parent;
				if (node == NULL)
					return false;
			} while (offset == XA_CHUNK_SIZE);
			continue;
		}
		offset += (unsigned int)__builtin_ctzll(rest);
		index = node->index + ((uint64_t)offset << node->shift);
		if (index > max)
			return false;
		if (node->shift == 0 || !xa_is_node(node->slots[offset])) {
			xas->xa->xa_hint = node;
			xas->xa_node = node;
			xas->xa_offset = offset;
			xas->xa_index = index;
			return true;
		}
		/* The child that covers the start is entered there, all later ones at slot 0. */
		node = xas_descend(node, offset);
		offset = start > node->index ? node_head_offset(node, start) : 0;
	}
}

/**
 * xas_find_marked - the next entry that bears a mark
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
	return (xa_entry_t)xa_slot(xas->xa_node, xas->xa_offset);
}

/**
 * xas_pause - let go of the position, to go on behind the entry found last
 * @xas: the position, an entry's slot; the lock may be dropped and anything may happen to the array
 *	afterwards
 */
void xas_pause(struct xa_state *xas)
{
	struct xa_node *node = xas->xa_node;
	unsigned int offset = xas->xa_offset;

	assert(node != NULL);
	do {
		offset++;
	} while (offset < XA_CHUNK_SIZE && xa_is_sibling(xa_slot(node, offset)));
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
 * xas_marked_bits - the marked entries that can be had without a step: a bit a slot
 * @xas: at an entry that xas_find_marked() found
 * @max: the last index that an entry may begin at
 * @mark: the mark
 *
 * Return: the entry's bit and, in a lowest node, those of the marked entries behind it.
 */
uint64_t xas_marked_bits(const struct xa_state *xas, uint64_t max, xa_mark_t mark)
{
	const struct xa_node *node = xas->xa_node;

	/* Only in a lowest node is every marked slot an entry. */
	if (node->shift != 0)
		return UINT64_C(1) << xas->xa_offset;
	return node->marks[mark] & (~UINT64_C(0) << xas->xa_offset) & node_mask(node, max);
}

/**
 * xas_copy_mark - set one mark on all entries that bear another
 * @xas: where to start: an entry that covers the index counts, wherever it begins
 * @max: the last index that an entry may begin at
 * @from: the mark to look for
 * @to: the mark to set
 *
 * A lowest node's worth of entries is marked by one OR.
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
		xas_set_marks(node, bits, to);
		copied += (unsigned int)__builtin_popcountll(bits);
		if (copied >= XA_CHECK_SCHED)
			return true;
	}
	return false;
}
