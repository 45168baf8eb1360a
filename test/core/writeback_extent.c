// SPDX-License-Identifier: GPL-2.0-only
/* Extents: where they end, and the state of their folios after a write, a failed write, or none. */
#include <errno.h>

#include "folio_state.h"
#include "host.h"
#include "writeback_extent.h"

static_assert(WRITEBACK_EXTENT_MAX_PAGES == 1024, "the longest extent");

static struct address_space mapping;
static struct writeback_control wbc;
static struct writeback_extent extent;

static void begin(bool shared)
{
	host_ops.wait = NULL;
	address_space_init(&mapping, PAGE_SHIFT, shared, &host_ops);
	wbc = (struct writeback_control){
		.nr_to_write = 10000, .range_end = INT64_MAX, .sync_mode = WB_SYNC_ALL};
	extent.nr_runs = extent.nr_folios = 0;
	extent.nr_pages = 0;
}

static void end(void)
{
	host_check_tree(&mapping);
	CHECK(wbc.fbatch.nr == 0 && extent.nr_folios == 0);
	host_mapping_destroy(&mapping);
	CHECK(host_allocated == 0);
}

/* The next extent has these pages, in @nr_folios folios. */
static void expect(uint64_t max_pages, pgoff_t index, uint64_t nr_pages, uint32_t nr_folios)
{
	pgoff_t next = index;
	int error = 0;

	CHECK(writeback_get_extent(&mapping, &wbc, &extent, max_pages, &error) && error == 0);
	CHECK(extent.index == index && extent.nr_pages == nr_pages);
	CHECK(extent.nr_folios == nr_folios);
	for (uint32_t i = 0; i < nr_folios; i++) {
		CHECK(folio_index(host_extent_folio(&extent, i)) == next);
		CHECK(state_of(host_extent_folio(&extent, i)) == PG_locked);
		next = folio_next_index(host_extent_folio(&extent, i));
	}
	CHECK(next == index + nr_pages);
}

static void expect_end(int error, int expected)
{
	CHECK(!writeback_get_extent(&mapping, &wbc, &extent, 64, &error) && error == expected);
}

/* Ends the extent, and checks which marks are left. */
static void written(int error)
{
	uint32_t nr_folios = extent.nr_folios;
	struct folio *last = extent_last(&extent);
	struct folio *folios[WRITEBACK_EXTENT_MAX_PAGES];

	for (uint32_t i = 0; i < nr_folios; i++)
		folios[i] = host_extent_folio(&extent, i);
	writeback_end_extent(&mapping, &extent, error);
	for (uint32_t i = 0; i < nr_folios; i++) {
		CHECK(state_of(folios[i]) == (error == 0 ? 0 : PG_dirty));
		CHECK(marks_of(&mapping, folios[i]) == (error == 0 ? 0 : DIRTY | TOWRITE));
	}
	CHECK(extent.nr_folios == 1 && extent_last(&extent) == last && extent.nr_runs == 1);
}

/* An extent ends at a hole, at the most pages, and may consist of one large folio. */
static void test_limits(bool shared)
{
	struct folio *first, *second;

	begin(shared);
	first = host_add_dirty(&mapping, 0, 0);
	second = host_add_dirty(&mapping, 1, 0);
	host_add_dirty(&mapping, 2, 1);
	host_add_dirty(&mapping, 5, 0);
	host_add_dirty(&mapping, 8, 3);
	host_add_dirty(&mapping, 16, 0);
	host_add_dirty(&mapping, 17, 0);
	host_add_dirty(&mapping, 18, 0);
	expect(3, 0, 2, 2);
	CHECK(first->refcount == 3 && second->refcount == 3);
	CHECK(wbc.nr_to_write == 9999 && wbc.fbatch.i == 2);
	written(0);
	CHECK(first->refcount == 2 && second->refcount == 3);
	expect(4, 2, 2, 1);
	CHECK(second->refcount == 2 && wbc.nr_to_write == 9998);
	written(0);
	expect(4, 5, 1, 1);
	written(0);
	/* The folio is larger than an extent may be. */
	expect(4, 8, 8, 1);
	written(0);
	expect(2, 16, 2, 2);
	written(0);
	expect(2, 18, 1, 1);
	CHECK(wbc.nr_to_write == 9985);
	written(0);
	expect_end(0, 0);
	CHECK(wbc.nr_to_write == 9984 && first->refcount == 1);
	end();

	/* Exactly as many pages as it may have, by a folio of several. */
	begin(shared);
	host_add_dirty(&mapping, 2, 1);
	host_add_dirty(&mapping, 4, 1);
	host_add_dirty(&mapping, 6, 0);
	expect(4, 2, 4, 2);
	written(0);
	expect(4, 6, 1, 1);
	written(0);
	expect_end(0, 0);
	end();
}

/* More folios than a batch, over the border of a node. */
static void test_long(bool shared)
{
	begin(shared);
	for (pgoff_t i = 0; i < 1500; i++)
		host_add_dirty(&mapping, i, 0);
	expect(31, 0, 31, 31);
	/* The extent is full: the lookup of the next folios waits until they are asked for. */
	CHECK(wbc.fbatch.nr == 31 && wbc.fbatch.i == 31);
	written(0);
	expect(69, 31, 69, 69);
	/*
	 * The extent has one run in each of the two nodes, although its folios came in several
	 * batches.
	 */
	CHECK(extent.nr_runs == 2);
	written(0);
	expect(WRITEBACK_EXTENT_MAX_PAGES, 100, 1024, 1024);
	written(0);
	CHECK(mapping_tagged(&mapping, PAGECACHE_TAG_TOWRITE));
	expect(WRITEBACK_EXTENT_MAX_PAGES, 1124, 376, 376);
	written(0);
	CHECK(!mapping_tagged(&mapping, PAGECACHE_TAG_DIRTY));
	CHECK(!mapping_tagged(&mapping, PAGECACHE_TAG_TOWRITE));
	expect_end(0, 0);
	CHECK(wbc.nr_to_write == 8500);
	end();
}

/* A busy folio ends an extent; the pass waits only for the first folio of one. */
static void test_busy(bool shared)
{
	struct folio *first, *busy;
	int error = 0;

	begin(shared);
	host_add_dirty(&mapping, 0, 0);
	busy = host_add_dirty(&mapping, 1, 0);
	host_add_dirty(&mapping, 2, 0);
	CHECK(folio_trylock(busy));
	expect(64, 0, 1, 1);
	CHECK(wbc.nr_to_write == 10000);
	written(0);
	CHECK(!writeback_get_extent(&mapping, &wbc, &extent, 64, &error) && error == -EDEADLK);
	CHECK(wbc.blocked == busy && extent.nr_folios == 1);
	CHECK(folio_index(host_extent_folio(&extent, 0)) == 0 &&
	      host_extent_folio(&extent, 0)->refcount == 3);
	error = 0;
	folio_unlock(&mapping, busy);
	expect(64, 1, 2, 2);
	CHECK(wbc.nr_to_write == 9998);
	written(0);
	expect_end(0, 0);
	end();

	/* In the middle of a run, behind others that are taken; and right behind the first. */
	begin(shared);
	for (pgoff_t i = 0; i < 10; i++)
		host_add_dirty(&mapping, i, 0);
	first = filemap_get_folio(&mapping, 5);
	busy = filemap_get_folio(&mapping, 7);
	CHECK(folio_trylock(first) && folio_trylock(busy));
	folio_put(&mapping, first);
	folio_put(&mapping, busy);
	expect(64, 0, 5, 5);
	written(0);
	folio_unlock(&mapping, first);
	expect(64, 5, 2, 2);
	written(0);
	folio_unlock(&mapping, busy);
	expect(64, 7, 3, 3);
	written(0);
	expect_end(0, 0);
	end();
}

/* In WB_SYNC_NONE the budget ends an extent, and an error ends the pass. */
static void test_budget(bool shared)
{
	begin(shared);
	wbc.sync_mode = WB_SYNC_NONE;
	wbc.nr_to_write = 3;
	host_add_dirty(&mapping, 0, 0);
	host_add_dirty(&mapping, 1, 0);
	host_add_dirty(&mapping, 2, 1);
	host_add_dirty(&mapping, 4, 0);
	expect(64, 0, 4, 3);
	CHECK(wbc.nr_to_write == 1);
	written(0);
	expect_end(0, 0);
	CHECK(wbc.nr_to_write == -1 && mapping_tagged(&mapping, PAGECACHE_TAG_DIRTY));
	end();

	begin(shared);
	wbc.sync_mode = WB_SYNC_NONE;
	wbc.nr_to_write = 2;
	for (pgoff_t i = 0; i < 3; i++)
		host_add_dirty(&mapping, i, 0);
	expect(64, 0, 2, 2);
	writeback_end_extent(&mapping, &extent, -EIO);
	expect_end(-EIO, -EIO);
	end();

	/* In WB_SYNC_ALL neither ends it. */
	begin(shared);
	wbc.nr_to_write = 1;
	for (pgoff_t i = 0; i < 3; i++)
		host_add_dirty(&mapping, i, 0);
	host_add_dirty(&mapping, 5, 0);
	expect(64, 0, 3, 3);
	CHECK(wbc.nr_to_write == -1);
	written(-EIO);
	{
		int error = -EIO;

		CHECK(writeback_get_extent(&mapping, &wbc, &extent, 64, &error) && error == 0);
	}
	CHECK(extent.index == 5 && extent.nr_folios == 1 && extent.nr_pages == 1);
	written(0);
	expect_end(0, -EIO);
	end();
}

/* A folio of the extent was removed, and another folio took its index: that one keeps its mark. */
static void test_replaced(bool shared, int error)
{
	struct folio *gone, *other;

	begin(shared);
	host_add_dirty(&mapping, 0, 0);
	gone = host_add_dirty(&mapping, 1, 0);
	host_add_dirty(&mapping, 2, 0);
	expect(64, 0, 3, 3);
	folio_unlock(&mapping, gone);
	CHECK(filemap_remove_folio(&mapping, gone) == 0);
	other = host_add_dirty(&mapping, 1, 0);
	writeback_end_extent(&mapping, &extent, error);
	CHECK(state_of(other) == PG_dirty && marks_of(&mapping, other) == DIRTY);
	expect_end(error, error);
	end();
}

/* Code that unlocked, wrote or removed a folio meanwhile has taken it over. */
static void test_taken_over(bool shared, int error)
{
	struct folio *folios[6];

	begin(shared);
	for (pgoff_t i = 0; i < 6; i++)
		folios[i] = host_add_dirty(&mapping, i, 0);
	expect(64, 0, 6, 6);
	folio_get(folios[1]);
	/*
	 * In order: unlocked; unlocked and removed; dirtied again; under writeback; unchanged,
	 * twice.
	 */
	folio_unlock(&mapping, folios[0]);
	folio_unlock(&mapping, folios[1]);
	CHECK(filemap_remove_folio(&mapping, folios[1]) == 0 && folios[1]->refcount == 2);
	/* The code that removed the folio locks it; the extent does not touch it. */
	CHECK(folio_trylock(folios[1]));
	folio_mark_dirty(&mapping, folios[2]);
	folio_start_writeback(&mapping, folios[3], true);
	CHECK(marks_of(&mapping, folios[3]) == (WRITEBACK | TOWRITE));
	writeback_end_extent(&mapping, &extent, error);
	CHECK(state_of(folios[1]) == PG_locked && !folio_test_cached(folios[1]));
	CHECK(folios[1]->refcount == 1);
	folio_unlock(&mapping, folios[1]);
	folio_put(&mapping, folios[1]);
	if (error == 0) {
		CHECK(state_of(folios[0]) == 0 &&
		      marks_of(&mapping, folios[0]) == (DIRTY | TOWRITE));
		CHECK(state_of(folios[2]) == PG_dirty && marks_of(&mapping, folios[2]) == DIRTY);
		CHECK(state_of(folios[3]) == 0 && marks_of(&mapping, folios[3]) == TOWRITE);
		CHECK(state_of(folios[4]) == 0 && marks_of(&mapping, folios[4]) == 0);
		CHECK(state_of(folios[5]) == 0 && marks_of(&mapping, folios[5]) == 0);
	} else {
		CHECK(state_of(folios[0]) == PG_dirty &&
		      marks_of(&mapping, folios[0]) == (DIRTY | TOWRITE));
		CHECK(state_of(folios[2]) == PG_dirty);
		CHECK(state_of(folios[3]) == PG_dirty);
		CHECK(marks_of(&mapping, folios[3]) == (DIRTY | TOWRITE));
		for (int i = 4; i < 6; i++) {
			CHECK(state_of(folios[i]) == PG_dirty);
			CHECK(marks_of(&mapping, folios[i]) == (DIRTY | TOWRITE));
		}
	}
	expect_end(error, error);
	end();
}

/* A callback has taken over the only folio: the extent does not change its state. */
static void test_only_one_taken_over(bool shared)
{
	struct folio *folio, *other;

	begin(shared);
	folio = host_add_dirty(&mapping, 5, 0);
	expect(64, 5, 1, 1);
	folio_start_writeback(&mapping, folio, true);
	folio_unlock(&mapping, folio);
	writeback_end_extent(&mapping, &extent, 0);
	CHECK(state_of(folio) == PG_writeback);
	CHECK(marks_of(&mapping, folio) == (WRITEBACK | TOWRITE));
	expect_end(0, 0);
	folio_end_writeback(&mapping, folio);
	end();

	begin(shared);
	folio = host_add_dirty(&mapping, 5, 0);
	expect(64, 5, 1, 1);
	folio_unlock(&mapping, folio);
	CHECK(filemap_remove_folio(&mapping, folio) == 0);
	other = host_add_dirty(&mapping, 5, 0);
	writeback_end_extent(&mapping, &extent, 0);
	CHECK(state_of(other) == PG_dirty && marks_of(&mapping, other) == DIRTY);
	expect_end(0, 0);
	end();
}

/* A failed write makes the folios of the extent dirty, and not their neighbour in memory. */
static void test_neighbour(bool shared)
{
	struct folio *neighbour;

	begin(shared);
	for (pgoff_t i = 0; i < 3; i++)
		host_add_dirty(&mapping, i, 0);
	neighbour = host_add_folio(&mapping, 3, 0);
	CHECK(neighbour == filemap_get_folio(&mapping, 2) + 1);
	folio_put(&mapping, neighbour - 1);
	expect(64, 0, 3, 3);
	written(-EIO);
	CHECK(state_of(neighbour) == 0);
	expect_end(-EIO, -EIO);
	end();
}

/* Puts an extent of several runs: no folio keeps a reference. */
static void test_put(bool shared)
{
	struct folio *folios[3];

	begin(shared);
	folios[0] = host_add_dirty(&mapping, 63, 0);
	folios[1] = host_add_dirty(&mapping, 64, 0);
	folios[2] = host_add_dirty(&mapping, 65, 0);
	expect(64, 63, 3, 3);
	CHECK(extent.nr_runs == 2);
	for (int i = 0; i < 3; i++)
		folio_unlock(&mapping, folios[i]);
	writeback_put_extent(&mapping, &extent);
	folio_batch_release(&mapping, &wbc.fbatch);
	for (int i = 0; i < 3; i++)
		CHECK(folios[i]->refcount == 1);
	end();
}

/* A count at its limit is not counted down, in a run of such folios either. */
static void test_put_stuck(bool shared)
{
	struct folio *folios[2];

	begin(shared);
	for (pgoff_t i = 0; i < 2; i++)
		folios[i] = host_add_dirty(&mapping, i, 0);
	expect(64, 0, 2, 2);
	for (int i = 0; i < 2; i++) {
		folio_unlock(&mapping, folios[i]);
		folios[i]->refcount = FOLIO_REFCOUNT_MAX;
	}
	writeback_put_extent(&mapping, &extent);
	folio_batch_release(&mapping, &wbc.fbatch);
	for (int i = 0; i < 2; i++) {
		CHECK(folios[i]->refcount == FOLIO_REFCOUNT_MAX);
		folios[i]->refcount = 1;
	}
	end();
}

/* One folio was dirtied again, or is under writeback; the rest of its run is unchanged. */
static void test_one_changed(bool shared, bool dirtied)
{
	struct folio *folios[3];

	begin(shared);
	for (pgoff_t i = 0; i < 3; i++)
		folios[i] = host_add_dirty(&mapping, i, 0);
	expect(64, 0, 3, 3);
	if (dirtied)
		folio_mark_dirty(&mapping, folios[1]);
	else
		folio_start_writeback(&mapping, folios[1], true);
	writeback_end_extent(&mapping, &extent, 0);
	CHECK(state_of(folios[1]) == (dirtied ? PG_dirty : 0));
	CHECK(marks_of(&mapping, folios[1]) == (dirtied ? DIRTY : TOWRITE));
	for (int i = 0; i < 3; i += 2)
		CHECK(state_of(folios[i]) == 0 && marks_of(&mapping, folios[i]) == 0);
	expect_end(0, 0);
	end();
}

/* Each folio counts by its own pages, when the next one is asked for. */
static void test_orders(bool shared)
{
	begin(shared);
	host_add_dirty(&mapping, 3, 0);
	host_add_dirty(&mapping, 4, 2);
	host_add_dirty(&mapping, 8, 3);
	host_add_dirty(&mapping, 16, 0);
	expect(64, 3, 14, 4);
	CHECK(wbc.nr_to_write == 10000 - 1 - 4 - 8);
	written(0);
	expect_end(0, 0);
	CHECK(wbc.nr_to_write == 10000 - 14);
	end();
}

/* Folios that follow one another in memory and in a node are one run; others are not. */
static void test_runs(bool shared)
{
	static const pgoff_t indices[] = {63, 64, 65, 67, 66, 68, 69};
	struct folio *neighbours[2];

	begin(shared);
	for (int i = 0; i < 7; i++)
		host_add_dirty(&mapping, indices[i], 0);
	host_add_dirty(&mapping, 70, 1);
	host_add_dirty(&mapping, 72, 1);
	neighbours[0] = host_add_dirty(&mapping, 62, 0);
	neighbours[1] = host_add_dirty(&mapping, 74, 0);
	CHECK(folio_trylock(neighbours[0]) && folio_trylock(neighbours[1]));
	wbc.range_start = 63 << PAGE_SHIFT;
	wbc.range_end = 73 << PAGE_SHIFT;
	expect(64, 63, 11, 9);
	CHECK(extent.nr_runs == 7 && extent.runs[0].nr == 1 && extent.runs[1].nr == 2);
	CHECK(extent.runs[2].nr == 1 && extent.runs[3].nr == 1 && extent.runs[4].nr == 2);
	written(0);
	CHECK(marks_of(&mapping, neighbours[0]) == DIRTY &&
	      marks_of(&mapping, neighbours[1]) == DIRTY);
	expect_end(0, 0);
	end();
}

int main(void)
{
	for (int i = 0; i < 2; i++) {
		bool shared = i != 0;

		test_limits(shared);
		test_long(shared);
		test_busy(shared);
		test_budget(shared);
		test_replaced(shared, 0);
		test_replaced(shared, -EIO);
		test_taken_over(shared, 0);
		test_taken_over(shared, -EIO);
		test_only_one_taken_over(shared);
		test_neighbour(shared);
		test_put(shared);
		test_put_stuck(shared);
		test_one_changed(shared, true);
		test_one_changed(shared, false);
		test_orders(shared);
		test_runs(shared);
	}
	printf("extents are right\n");
	return 0;
}
