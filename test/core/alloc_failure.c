// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation of the core fails once: the call gives -ENOMEM, everything is as it was before,
 * and the same call succeeds afterwards, with the result that it would have had at once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "host.h"
#include "writeback_extent.h"

static struct address_space mapping;
static struct writeback_control wbc;
/* The folio that the pass returned last. */
static struct folio *in_hand;
static struct folio_chunk *chunk;

static struct folio *add(pgoff_t index, unsigned int order)
{
	struct folio *folio = host_add_folio(&mapping, index, order);

	CHECK(folio != NULL);
	return folio;
}

/* Adds a folio with every mark. Its flags are those of a folio that was dirtied during a sync. */
static struct folio *add_marked(pgoff_t index, unsigned int order)
{
	struct folio *folio = add(index, order);

	folio_mark_dirty(&mapping, folio);
	tag_pages_for_writeback(&mapping, index, index);
	CHECK(folio_trylock(folio));
	folio_start_writeback(&mapping, folio, true);
	folio_unlock(&mapping, folio);
	return folio;
}

static void add_chunk(void)
{
	CHECK(address_space_add_chunk(&mapping, host_alloc_chunk()) == 0);
}

static void add_chunks(int nr)
{
	while (nr-- > 0)
		add_chunk();
}

/* The pages that are in the cache before the call. */

static void nothing(void)
{
}

static void one_chunk(void)
{
	add_chunks(1);
}

static void three_chunks(void)
{
	add_chunks(3);
}

static void four_chunks(void)
{
	add_chunks(4);
}

static void eight_chunks(void)
{
	add_chunks(8);
}

static void first_page(void)
{
	add_marked(0, 0);
}

static void first_and_last_page(void)
{
	add_marked(0, 0);
	add_marked(XA_MAX_INDEX, 0);
}

static void full_node(void)
{
	for (pgoff_t index = 0; index < XA_CHUNK_SIZE; index++)
		add_marked(index, 0);
}

static void large_folio(void)
{
	add_marked(UINT64_C(1) << 18, 18);
}

static void one_removed(void)
{
	struct folio *folio = add(XA_MAX_INDEX, 0);

	add_marked(5, 0);
	CHECK(filemap_remove_folio(&mapping, folio) == 0);
}

/* In the middle of its first batch, with one folio in hand and references to the rest. */
static void in_a_pass(void)
{
	int error;

	for (pgoff_t index = 0; index < 40; index++)
		folio_mark_dirty(&mapping, add(2 * index, 0));
	wbc = (struct writeback_control){
		.nr_to_write = INT64_MAX, .range_end = INT64_MAX, .sync_mode = WB_SYNC_ALL};
	in_hand = writeback_iter(&mapping, &wbc, NULL, &error);
	CHECK(in_hand != NULL);
}

static struct scenario {
	const char *name;
	void (*before)(void);
	/* The folio to add; a negative order adds a chunk instead. */
	pgoff_t index;
	int order;
	/*
	 * How many allocations the addition takes, without larger tables: the shape of the tree
	 * decides it.
	 */
	int nr_allocs;
} scenarios[] = {
	{"the list of chunks", nothing, 0, -1, 1},
	{"a chunk that there is room for", three_chunks, 0, -1, 0},
	{"the list of chunks grows", four_chunks, 0, -1, 1},
	{"the list of chunks grows again", eight_chunks, 0, -1, 1},
	{"a top for the first page", one_chunk, 0, 0, 1},
	{"a top and a chain of nodes for the last page", one_chunk, XA_MAX_INDEX, 0, 9},
	{"a top for a largest folio", one_chunk, 0, XA_MAX_ORDER, 1},
	{"a top and a chain for a large folio far out", one_chunk, UINT64_C(1) << 40, 9, 6},
	{"no node beside another page", first_page, 63, 0, 0},
	{"one more level and a node", first_page, 64, 0, 2},
	{"every level, and down again", first_page, XA_MAX_INDEX, 0, 16},
	{"a level for a folio of the next shift", first_page, 64, 6, 1},
	{"levels for a largest folio", first_page, UINT64_C(1) << 18, XA_MAX_ORDER, 3},
	{"a chain below a top", first_and_last_page, UINT64_C(1) << 30, 0, 5},
	{"a node beside the last", first_and_last_page, XA_MAX_INDEX - 64, 0, 1},
	{"a full node is no top any more", full_node, 64, 0, 2},
	{"a chain beside a large folio", large_folio, 0, 0, 3},
	{"a tree that was lowered", one_removed, XA_MAX_INDEX - 1, 0, 16},
	{"in a pass", in_a_pass, UINT64_C(1) << 20, 0, 5},
};

/* The tree's tables of nodes, which stay once they are allocated. */
#define NR_TABLES 2

/* The visible state of the mapping and the pass, and the tree itself. */
static char *state;
static size_t state_size;

static void say_node(FILE *to, const struct xa_node *node)
{
	const xa_entry_t *slots = xa_slots(&mapping.i_pages, node);

	fprintf(to, "node %u %" PRIu64, node->shift, node->index);
	for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
		fprintf(to, " %" PRIx64, node->marks[mark]);
	fprintf(to, "\n");
	for (unsigned int offset = 0; offset < XA_CHUNK_SIZE; offset++) {
		xa_entry_t slot = slots[offset];
		const struct folio *folio;

		if (slot == 0 || xa_is_sibling(slot))
			continue;
		if (xa_is_node(slot)) {
			say_node(to, xa_to_node(&mapping.i_pages, slot));
			continue;
		}
		folio = folio_of_entry(&mapping, slot);
		fprintf(to, "folio %" PRIu64 "/%u slot %u flags %x references %u\n",
			folio_index(folio), folio_order(folio), folio_slot(folio),
			folio_flags(folio), folio->refcount);
	}
}

/* The caller frees the text. */
static char *get_state(void)
{
	FILE *to = open_memstream(&state, &state_size);

	CHECK(to != NULL);
	host_check_tree(&mapping);
	fprintf(to, "%" PRIu64 " pages, writeback_index %" PRIu64 "\n", mapping.nrpages,
		mapping.writeback_index);
	fprintf(to, "%u chunks, %u folios free, %d allocations\n", mapping.pool.nr_chunks,
		mapping.pool.nr_free,
		host_allocated - (mapping.i_pages.xa_slots != NULL ? NR_TABLES : 0));
	if (mapping.i_pages.xa_head != 0)
		say_node(to, &mapping.i_pages.xa_nodes[mapping.i_pages.xa_head]);
	fprintf(to, "pass: nr_to_write %" PRId64 " index %" PRIu64 " batch %u of %u\n",
		wbc.nr_to_write, wbc.index, wbc.fbatch.i, wbc.fbatch.nr);
	CHECK(fclose(to) == 0);
	return state;
}

static int act(const struct scenario *scenario)
{
	struct folio *folio;

	if (scenario->order < 0)
		return address_space_add_chunk(&mapping, chunk);
	return filemap_add_folio(&mapping, scenario->index, (unsigned int)scenario->order, &folio);
}

static void begin(const struct scenario *scenario, bool shared)
{
	memset(&wbc, 0, sizeof(wbc));
	in_hand = NULL;
	address_space_init(&mapping, PAGE_SHIFT, shared, &host_ops);
	scenario->before();
	chunk = NULL;
	if (scenario->order < 0)
		chunk = host_alloc_chunk();
	host_failed = 0;
}

static void end(void)
{
	int error = 0;
	int written = 0;

	/* The pass writes the same folios as without the failure. */
	while (in_hand != NULL) {
		folio_start_writeback(&mapping, in_hand, false);
		folio_unlock(&mapping, in_hand);
		folio_end_writeback(&mapping, in_hand);
		written++;
		in_hand = writeback_iter(&mapping, &wbc, in_hand, &error);
	}
	CHECK(written == 0 || (written == 40 && error == 0));
	host_check_tree(&mapping);
	host_mapping_destroy(&mapping);
	CHECK(host_allocated == 0);
}

static void run(const struct scenario *scenario, bool shared)
{
	int nr_allocs = scenario->nr_allocs;
	uint32_t max_nodes;
	char *succeeded;

	begin(scenario, shared);
	max_nodes = mapping.i_pages.xa_max_nodes;
	CHECK(act(scenario) == 0);
	if (mapping.i_pages.xa_max_nodes != max_nodes)
		nr_allocs += NR_TABLES;
	succeeded = get_state();
	end();

	for (int fails = 0;; fails++) {
		char *before;
		char *after;
		int err;

		begin(scenario, shared);
		before = get_state();
		host_alloc_fails = fails;
		err = act(scenario);
		host_alloc_fails = -1;
		if (host_failed == 0) {
			if (err != 0 || fails != nr_allocs) {
				fprintf(stderr, "%s: %d after %d allocations, not %d\n",
					scenario->name, err, fails, nr_allocs);
				exit(1);
			}
			free(before);
			end();
			break;
		}
		CHECK(err == -ENOMEM && host_failed == 1);
		after = get_state();
		CHECK(strcmp(after, before) == 0);
		free(after);
		free(before);
		CHECK(act(scenario) == 0);
		after = get_state();
		CHECK(strcmp(after, succeeded) == 0);
		free(after);
		end();
	}
	free(succeeded);
}

/* If the call refuses the folio, it allocates nothing. */
static void refused(void)
{
	struct folio *folio;

	begin(&(struct scenario){.before = first_and_last_page}, false);
	host_alloc_fails = 0;
	CHECK(filemap_add_folio(&mapping, 0, XA_MAX_ORDER, &folio) == -EEXIST);
	CHECK(filemap_add_folio(&mapping, XA_MAX_INDEX, 0, &folio) == -EEXIST);
	CHECK(host_failed == 0);
	host_alloc_fails = -1;
	end();
	begin(&(struct scenario){.before = nothing}, false);
	host_alloc_fails = 0;
	CHECK(filemap_add_folio(&mapping, 0, 0, &folio) == -ENOSPC && host_failed == 0);
	host_alloc_fails = -1;
	end();
}

/* Writeback of present folios needs no memory, so it never fails for lack of memory. */
static void no_memory_at_all(enum writeback_sync_modes sync_mode)
{
	static struct writeback_extent extent;
	struct folio_batch fbatch;
	struct folio *folio;
	pgoff_t start = 0;
	int error = 0;

	begin(&(struct scenario){.before = nothing}, false);
	for (pgoff_t index = 0; index < 200; index++)
		add(index << 30, (unsigned int)index % 7);
	host_alloc_fails = 0;

	/* By folios, and by extents. */
	for (int way = 0; way < 2; way++) {
		for (pgoff_t index = 0; index < 200; index++) {
			folio = filemap_get_folio(&mapping, index << 30);
			folio_mark_dirty(&mapping, folio);
			folio_put(&mapping, folio);
		}
		wbc = (struct writeback_control){
			.nr_to_write = INT64_MAX, .range_end = INT64_MAX, .sync_mode = sync_mode};
		if (way == 1) {
			while (writeback_get_extent(&mapping, &wbc, &extent, 256, &error))
				writeback_end_extent(&mapping, &extent, 0);
		} else {
			folio = writeback_iter(&mapping, &wbc, NULL, &error);
			while (folio != NULL) {
				folio_start_writeback(&mapping, folio, false);
				folio_unlock(&mapping, folio);
				folio_end_writeback(&mapping, folio);
				folio = writeback_iter(&mapping, &wbc, folio, &error);
			}
		}
		CHECK(error == 0 && !mapping_tagged(&mapping, PAGECACHE_TAG_DIRTY));
		CHECK(!mapping_tagged(&mapping, PAGECACHE_TAG_TOWRITE));
	}

	CHECK(filemap_dirty_range(&mapping, 0, XA_MAX_INDEX) == 200);
	CHECK(mapping_tagged(&mapping, PAGECACHE_TAG_DIRTY));
	folio_batch_init(&fbatch);
	while (filemap_get_folios_tag(&mapping, &start, XA_MAX_INDEX, XA_PRESENT, &fbatch) != 0) {
		for (uint32_t i = 0; i < fbatch.nr; i++)
			CHECK(filemap_remove_folio(&mapping, fbatch.folios[i]) == 0);
		folio_batch_release(&mapping, &fbatch);
	}
	CHECK(mapping.nrpages == 0 && host_failed == 0);
	host_alloc_fails = -1;
	end();
}

int main(void)
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		run(&scenarios[i], false);
		run(&scenarios[i], true);
		failed += 2 * scenarios[i].nr_allocs;
	}
	refused();
	no_memory_at_all(WB_SYNC_NONE);
	no_memory_at_all(WB_SYNC_ALL);
	printf("%d allocations failed\n", failed);
	return 0;
}
