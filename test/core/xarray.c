// SPDX-License-Identifier: GPL-2.0-only
/*
 * The xarray against a list of entries that is searched from end to end: xarray [SEED
 * [OPERATIONS]].
 */
#include "xarray.h"

#include <errno.h>
#include <inttypes.h>

#include "host.h"

#define MAX_ENTRIES 300

struct entry {
	xa_entry_t number;
	uint64_t index;
	unsigned int order;
	bool marks[XA_NR_MARKS];
};

static struct xarray xa;
static struct entry *entries[MAX_ENTRIES];
static unsigned int nr_entries;
static xa_entry_t last_number;

static uint64_t random_state;

/* splitmix64 */
static uint64_t random_below(uint64_t bound)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % bound;
}

/* Where indices lie: near the start, around 2^32 and next to the last index. */
static uint64_t random_index(void)
{
	static const uint64_t bases[] = {0, 0, 0, (UINT64_C(1) << 32) - 500, XA_MAX_INDEX - 4095};
	uint64_t base = bases[random_below(sizeof(bases) / sizeof(bases[0]))];
	uint64_t span = UINT64_C(1) << random_below(13);

	return base + random_below(span);
}

static uint64_t last_index(const struct entry *entry)
{
	return entry->index + ((UINT64_C(1) << entry->order) - 1);
}

static struct entry *model_load(uint64_t index)
{
	for (unsigned int i = 0; i < nr_entries; i++) {
		if (entries[i]->index <= index && index <= last_index(entries[i]))
			return entries[i];
	}
	return NULL;
}

static bool model_conflict(uint64_t first, uint64_t last)
{
	for (unsigned int i = 0; i < nr_entries; i++) {
		if (entries[i]->index <= last && first <= last_index(entries[i]))
			return true;
	}
	return false;
}

/* The lowest entry that has the mark, ends at @start or behind and begins at @max or before. */
static struct entry *model_find(uint64_t start, uint64_t max, xa_mark_t mark)
{
	struct entry *found = NULL;

	if (start > max)
		return NULL;
	for (unsigned int i = 0; i < nr_entries; i++) {
		struct entry *entry = entries[i];

		if (entry->marks[mark] && last_index(entry) >= start && entry->index <= max &&
		    (found == NULL || entry->index < found->index))
			found = entry;
	}
	return found;
}

/* NULL for none. */
static struct entry *entry_of(xa_entry_t number)
{
	for (unsigned int i = 0; i < nr_entries; i++) {
		if (entries[i]->number == number)
			return entries[i];
	}
	CHECK(number == 0);
	return NULL;
}

static void check_entry(const struct xarray *array, const struct xa_node *node, unsigned int offset)
{
	const xa_entry_t *slots = xa_slots(array, node);
	const struct entry *entry = entry_of(slots[offset]);

	CHECK(entry->index == node->index + ((uint64_t)offset << node->shift));
	CHECK(node->shift == entry->order - entry->order % XA_CHUNK_SHIFT);
	for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
		CHECK(((node->marks[mark] >> offset & 1) != 0) == entry->marks[mark]);
	for (unsigned int i = 1; i < 1U << entry->order % XA_CHUNK_SHIFT; i++)
		CHECK(xa_is_sibling(slots[offset + i]) &&
		      xa_to_sibling(slots[offset + i]) == offset);
}

static void insert(void)
{
	unsigned int order = (unsigned int)(random_below(3) == 0 ? random_below(XA_MAX_ORDER + 1)
								 : random_below(4));
	uint64_t index = random_index() >> order << order;
	bool conflict = model_conflict(index, index + ((UINT64_C(1) << order) - 1));
	XA_STATE(xas, &xa, index);
	struct entry *entry;
	int fails = 0;
	int err;

	if (nr_entries == MAX_ENTRIES)
		return;
	entry = calloc(1, sizeof(*entry));
	CHECK(entry != NULL);
	last_number += 4;
	*entry = (struct entry){.number = last_number,
				.index = index,
				.order = order,
				.marks = {[XA_PRESENT] = true}};

	/* Every allocation of the call fails once, and the tree is unchanged. */
	for (;;) {
		int allocated = host_allocated;

		host_alloc_fails = fails++;
		err = xas_insert(&xas, order, entry->number);
		if (err != -ENOMEM)
			break;
		/* Larger tables stay. */
		CHECK(!conflict && (host_allocated == allocated || host_nr_nodes(&xa) == 0));
		host_check_xarray(&xa, check_entry);
	}
	host_alloc_fails = -1;
	CHECK(err == (conflict ? -EEXIST : 0));
	if (conflict)
		free(entry);
	else
		entries[nr_entries++] = entry;
}

static struct xa_state find_slot(struct entry *entry)
{
	XA_STATE(xas, &xa, entry->index);

	CHECK(xas_load(&xas) == entry->number && xas.xa_index == entry->index);
	return xas;
}

static void erase(void)
{
	unsigned int i = (unsigned int)random_below(nr_entries);
	struct xa_state xas = find_slot(entries[i]);

	xas_erase(&xas, entries[i]->order);
	free(entries[i]);
	entries[i] = entries[--nr_entries];
}

static void change_mark(void)
{
	struct entry *entry = entries[random_below(nr_entries)];
	xa_mark_t mark = (xa_mark_t)random_below(XA_PRESENT);
	struct xa_state xas = find_slot(entry);

	CHECK(xas_get_mark(&xas, mark) == entry->marks[mark]);
	entry->marks[mark] = random_below(3) != 0;
	if (entry->marks[mark])
		xas_set_mark(&xas, mark);
	else
		xas_clear_mark(&xas, mark);
}

static void walk(void)
{
	uint64_t start = random_index();
	uint64_t max = random_below(4) == 0 ? UINT64_MAX : start + random_below(5000);
	xa_mark_t mark = (xa_mark_t)random_below(XA_NR_MARKS);
	bool single = random_below(2) == 0;
	XA_STATE(xas, &xa, start);
	struct entry *entry;

	while ((entry = entry_of(xas_find_marked(&xas, max, mark))) != NULL) {
		uint64_t bits = xas_marked_bits(&xas, max, mark);

		CHECK(xas.xa_index == entry->index);
		CHECK((unsigned int)__builtin_ctzll(bits) == xas.xa_offset);
		do {
			xas.xa_offset = (unsigned int)__builtin_ctzll(bits);
			entry = entry_of(xa_slots(&xa, xas.xa_node)[xas.xa_offset]);
			CHECK(entry == model_find(start, max, mark));
			start = last_index(entry) + 1;
			bits &= bits - 1;
		} while (bits != 0 && !single);
		xas_pause(&xas);
		CHECK(xas.xa_index == start);
	}
	CHECK(model_find(start, max, mark) == NULL);
}

static void copy_mark(void)
{
	uint64_t start = random_index();
	uint64_t max = start + random_below(5000);
	xa_mark_t from = (xa_mark_t)random_below(XA_NR_MARKS);
	XA_STATE(xas, &xa, start);

	while (xas_copy_mark(&xas, max, from, XA_MARK_2))
		;
	for (struct entry *entry; (entry = model_find(start, max, from)) != NULL;) {
		entry->marks[XA_MARK_2] = true;
		start = last_index(entry) + 1;
	}
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	int operations = argc > 2 ? atoi(argv[2]) : 20000;

	random_state = seed;
	xa_init(&xa, false, host_ops.alloc, host_ops.free);
	for (int i = 0; i < operations; i++) {
		uint64_t index = random_index();
		/* Grows for a while, then shrinks for a while. */
		bool grows = i / 1000 % 2 == 0;

		switch (random_below(8)) {
		case 0:
		case 1:
			if (grows)
				insert();
			else if (nr_entries != 0)
				erase();
			break;
		case 2:
			if (!grows)
				insert();
			else if (nr_entries != 0)
				erase();
			break;
		case 3:
		case 4:
			if (nr_entries != 0)
				change_mark();
			break;
		case 5:
			CHECK(entry_of(xa_load(&xa, index)) == model_load(index));
			break;
		case 6:
			walk();
			break;
		case 7:
			copy_mark();
			break;
		}
		for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
			CHECK(xa_marked(&xa, (xa_mark_t)mark) ==
			      (model_find(0, UINT64_MAX, (xa_mark_t)mark) != NULL));
		host_check_xarray(&xa, check_entry);
	}
	while (nr_entries != 0)
		erase();
	CHECK(xa.xa_head == 0 && host_nr_nodes(&xa) == 0);
	xa_destroy(&xa);
	CHECK(host_allocated == 0);
	printf("%d operations, seed %" PRIu64 "\n", operations, seed);
	return 0;
}
