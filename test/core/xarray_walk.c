// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the random test of the xarray does not check: the number of nodes, the node where the next
 * lookup begins, and how far one turn copies a mark.
 */
#include <errno.h>

#include "host.h"

static struct xarray xa;

/* The value of every entry. */
#define ENTRY (UINT32_MAX - 3)

static void begin(void)
{
	xa_init(&xa, false, host_ops.alloc, host_ops.free);
}

static void end(void)
{
	xa_destroy(&xa);
	CHECK(xa.xa_head == 0 && xa.xa_hint == 0 && host_allocated == 0);
}

static struct xa_node *head(void)
{
	return xa.xa_head == 0 ? NULL : &xa.xa_nodes[xa.xa_head];
}

static struct xa_node *hint(void)
{
	return xa.xa_hint == 0 ? NULL : &xa.xa_nodes[xa.xa_hint];
}

/* The tree has this many nodes, each with an allocation, and two tables. */
static bool has_nodes(uint32_t nr)
{
	return host_nr_nodes(&xa) == nr && host_allocated == (int)nr + 2;
}

static struct xa_state insert(uint64_t index, unsigned int order)
{
	XA_STATE(xas, &xa, index);

	CHECK(xas_insert(&xas, order, ENTRY) == 0);
	CHECK(xa_slots(&xa, xas.xa_node)[xas.xa_offset] == ENTRY);
	return xas;
}

static void erase(uint64_t index, unsigned int order)
{
	XA_STATE(xas, &xa, index);

	CHECK(xas_load(&xas) != 0);
	xas_erase(&xas, order);
	CHECK(xas.xa_node == NULL);
}

/* The first entry of an empty tree: it gets the fewest levels that can hold it. */
static void test_first(void)
{
	static const struct {
		uint64_t index;
		unsigned int order;
		uint32_t nodes;
		unsigned int top;
	} firsts[] = {
		{0, 0, 1, 0},
		{63, 0, 1, 0},
		{62, 1, 1, 0},
		{64, 0, 2, 6},
		{4095, 0, 2, 6},
		{4096, 0, 3, 12},
		{0, 5, 1, 0},
		{0, 6, 1, 6},
		{4032, 6, 1, 6},
		{4096, 6, 2, 12},
		{0, 11, 1, 6},
		{0, 12, 1, 12},
		{0, XA_MAX_ORDER, 1, 18},
		{XA_MAX_INDEX, 0, 9, 48},
	};

	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
		begin();
		insert(firsts[i].index, firsts[i].order);
		CHECK(has_nodes(firsts[i].nodes) && head()->shift == firsts[i].top);
		erase(firsts[i].index, firsts[i].order);
		CHECK(has_nodes(0) && xa.xa_head == 0);
		end();
	}
}

/* A tree grows at its top and shrinks again. */
static void test_levels(void)
{
	begin();
	insert(0, 0);
	CHECK(host_last_size == XA_CHUNK_SIZE * sizeof(xa_entry_t));
	insert(64, 0);
	CHECK(has_nodes(3) && head()->shift == 6);
	insert(4095, 0);
	CHECK(has_nodes(4) && head()->shift == 6);
	insert(4096, 0);
	CHECK(has_nodes(7) && head()->shift == 12);
	erase(4096, 0);
	CHECK(has_nodes(4) && head()->shift == 6 && head()->parent == 0);
	erase(64, 0);
	erase(4095, 0);
	CHECK(has_nodes(1) && head()->shift == 0 && head()->parent == 0);
	CHECK(xa_load(&xa, 0) == ENTRY && xa_load(&xa, 64) == 0);
	CHECK(xa_load(&xa, UINT64_MAX) == 0);
	/* A top whose first slot is an entry stays, and one with a second slot too. */
	erase(0, 0);
	insert(0, 6);
	insert(64, 0);
	CHECK(has_nodes(2) && head()->shift == 6);
	erase(64, 0);
	CHECK(has_nodes(1) && head()->shift == 6);
	erase(0, 6);
	insert(64, 0);
	CHECK(has_nodes(2));
	end();
}

/* The position after a lookup: the entry's first index, or unset. */
static void test_position(void)
{
	XA_STATE(xas, &xa, 75);

	begin();
	insert(64, 4);
	insert(4096, 6);
	CHECK(xas_load(&xas) == ENTRY && xas.xa_index == 64 && xas.xa_offset == 0);
	xas.xa_index = 80;
	CHECK(xas_load(&xas) == 0 && xas.xa_node == NULL && xas.xa_index == 80);
	xas.xa_index = 4159;
	CHECK(xas_load(&xas) == ENTRY && xas.xa_index == 4096 && xas.xa_node->shift == 6);
	xas.xa_index = UINT64_MAX;
	CHECK(xas_load(&xas) == 0 && xas.xa_node == NULL);
	end();
}

/* The next lookup begins at the node that was used last. */
static void test_hint(void)
{
	struct xa_state low, high;
	XA_STATE(xas, &xa, 0);

	begin();
	CHECK(xas_load(&xas) == 0 && hint() == NULL);
	low = insert(1, 0);
	CHECK(hint() == low.xa_node);
	high = insert(100, 0);
	CHECK(xa_slot_node(&xa, xa_slot_number(&xa, high.xa_node, 36)) == high.xa_node);
	CHECK(hint() == high.xa_node && high.xa_node != low.xa_node);
	CHECK(xa_load(&xa, 1) == ENTRY && hint() == low.xa_node);
	/* A lookup that finds nothing sets that node, too. */
	CHECK(xa_load(&xa, 101) == 0 && hint() == high.xa_node);
	xas.xa_index = 0;
	CHECK(xas_find_marked(&xas, 200, XA_PRESENT) == ENTRY && xas.xa_index == 1);
	CHECK(hint() == low.xa_node);
	xas_pause(&xas);
	CHECK(xas_find_marked(&xas, 200, XA_PRESENT) == ENTRY && xas.xa_index == 100);
	CHECK(hint() == high.xa_node && xas.xa_node == high.xa_node && xas.xa_offset == 36);
	xas_pause(&xas);
	CHECK(xas_find_marked(&xas, 200, XA_PRESENT) == 0 && xas.xa_node == NULL);
	xas.xa_index = 100;
	CHECK(xas_find_marked(&xas, 99, XA_PRESENT) == 0 && xas.xa_node == NULL);
	xas.xa_index = 100;
	CHECK(xas_find_marked(&xas, 100, XA_PRESENT) == ENTRY);
	CHECK(xas_find_marked(&xas, 99, XA_PRESENT) == 0 && xas.xa_node == NULL);
	/* A freed node is not where the next lookup begins. */
	erase(100, 0);
	CHECK(hint() == NULL && head() == low.xa_node);
	end();
}

/* A run of entries with a mark, of @nr slots of 2^@order indices from @first on. */
static void insert_marked(uint64_t first, uint64_t nr, unsigned int order)
{
	begin();
	for (uint64_t i = 0; i < nr; i++) {
		struct xa_state xas = insert(first + (i << order), order);

		xas_set_mark(&xas, XA_MARK_0);
	}
}

static uint64_t count_marked(xa_mark_t mark)
{
	XA_STATE(xas, &xa, 0);
	uint64_t nr = 0;

	while (xas_find_marked(&xas, UINT64_MAX, mark) != 0) {
		nr++;
		xas_pause(&xas);
	}
	return nr;
}

/**
 * test_copy_turn - @nr marked entries of this order, from @first on: how far the first turn comes
 * @copied: how many are marked then
 * @next: where it goes on; 0 if it does not
 */
static void test_copy_turn(uint64_t first, uint64_t nr, unsigned int order, uint64_t copied,
			   uint64_t next)
{
	XA_STATE(xas, &xa, 0);

	insert_marked(first, nr, order);
	CHECK(xas_copy_mark(&xas, UINT64_MAX, XA_MARK_0, XA_MARK_2) == (next != 0));
	CHECK(count_marked(XA_MARK_2) == copied && xas.xa_node == NULL);
	if (next != 0) {
		CHECK(xas.xa_index == next);
		CHECK(!xas_copy_mark(&xas, UINT64_MAX, XA_MARK_0, XA_MARK_2));
		CHECK(count_marked(XA_MARK_2) == nr);
	}
	end();
}

/* From the middle of an entry up to the start of one, within and over the border of a node. */
static void test_copy_range(void)
{
	XA_STATE(xas, &xa, 71);

	insert_marked(0, 64, 1);
	CHECK(!xas_copy_mark(&xas, 80, XA_MARK_0, XA_MARK_2));
	CHECK(count_marked(XA_MARK_2) == 6);
	xas.xa_index = 63;
	CHECK(!xas_copy_mark(&xas, 64, XA_MARK_0, XA_MARK_1));
	CHECK(count_marked(XA_MARK_1) == 2);
	end();
}

int main(void)
{
	test_first();
	test_levels();
	test_position();
	test_hint();
	/* A turn ends after XA_CHECK_SCHED entries, or with the node that they end in. */
	test_copy_turn(0, 4095, 0, 4095, 0);
	test_copy_turn(0, 4200, 0, 4096, 4096);
	test_copy_turn(32, 4200, 0, 4128, 4160);
	/* Above the lowest level it goes entry by entry. */
	test_copy_turn(0, 4200, 6, 4096, 4096 * 64);
	test_copy_range();
	printf("nodes, hints and turns are right\n");
	return 0;
}
