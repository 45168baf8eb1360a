// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stretches taken ahead, beside a pass that goes folio by folio, or extent by extent: at every
 * point at which somebody looks, all is as there.
 */
#include <errno.h>
#include <stdlib.h>

#include "folio_state.h"
#include "host.h"
#include "writeback_extent.h"

#define MAX_FOLIOS 1400

/* The same page cache and pass twice. */
struct side {
	struct address_space mapping;
	struct writeback_control wbc;
	struct folio *folios[MAX_FOLIOS];
	struct writeback_extent extent;
};

static struct side plain, ahead_side;
static struct side *const sides[] = {&plain, &ahead_side};
static struct writeback_ahead ahead;
static int nr_folios;

static struct folio *stretch_folio(uint32_t i)
{
	return ahead_from_end(&ahead, ahead.nr - 1 - i);
}

#define for_each_side(side) for (int n = 0; n < 2 && (side = sides[n], true); n++)

static void begin(enum writeback_sync_modes sync_mode, int64_t nr_to_write)
{
	struct side *side;

	host_ops.wait = NULL;
	nr_folios = 0;
	writeback_begin_ahead(&ahead);
	for_each_side(side)
	{
		address_space_init(&side->mapping, PAGE_SHIFT, false, &host_ops);
		side->extent.nr_folios = 0;
		side->wbc = (struct writeback_control){
			.nr_to_write = nr_to_write, .range_end = INT64_MAX, .sync_mode = sync_mode};
	}
}

static void add_dirty(pgoff_t index, unsigned int order)
{
	struct side *side;

	CHECK(nr_folios < MAX_FOLIOS);
	for_each_side(side)
	{
		side->folios[nr_folios] = host_add_folio(&side->mapping, index, order);
		folio_mark_dirty(&side->mapping, side->folios[nr_folios]);
	}
	nr_folios++;
}

static void add_dense(int nr)
{
	for (int i = 0; i < nr; i++)
		add_dirty((pgoff_t)i, 0);
}

static void end(void)
{
	struct side *side;

	for_each_side(side)
	{
		CHECK(side->extent.nr_folios == 0);
		folio_batch_release(&side->mapping, &side->wbc.fbatch);
		for (int i = 0; i < nr_folios; i++) {
			if (folio_test_locked(side->folios[i]))
				folio_unlock(&side->mapping, side->folios[i]);
			if (folio_test_writeback(side->folios[i]))
				folio_end_writeback(&side->mapping, side->folios[i]);
			CHECK(side->folios[i]->refcount == 1);
		}
		host_check_tree(&side->mapping);
		host_mapping_destroy(&side->mapping);
	}
	CHECK(host_allocated == 0);
}

/* Nobody can tell the two sides from each other. */
static void compare(void)
{
	const struct writeback_control *a = &plain.wbc, *b = &ahead_side.wbc;

	CHECK(a->nr_to_write == b->nr_to_write && a->index == b->index);
	CHECK(a->fbatch.i == b->fbatch.i && a->fbatch.nr == b->fbatch.nr);
	for (uint32_t i = 0; i < a->fbatch.nr; i++)
		CHECK(folio_index(a->fbatch.folios[i]) == folio_index(b->fbatch.folios[i]));
	for (int i = 0; i < nr_folios; i++) {
		const struct folio *folio = plain.folios[i], *other = ahead_side.folios[i];

		CHECK(state_of(folio) == state_of(other) &&
		      marks_of(&plain.mapping, folio) == marks_of(&ahead_side.mapping, other));
		CHECK(folio->refcount == other->refcount);
	}
}

/* As many runs as there must be: neighbours in memory, in a node and in the file are one. */
static void check_runs(void)
{
	uint32_t nr_runs = 0;

	for (uint32_t i = 0; i < ahead.nr; i++) {
		struct folio *folio = stretch_folio(i);

		nr_runs += i == 0 || folio != stretch_folio(i - 1) + 1 || folio_order(folio) != 0 ||
			   folio_order(folio - 1) != 0 ||
			   folio_index(folio) != folio_index(folio - 1) + 1 ||
			   folio_index(folio) % XA_CHUNK_SIZE == 0;
	}
	CHECK(ahead.nr_runs == nr_runs);
}

static void write_folio(struct address_space *mapping, struct folio *folio)
{
	folio_start_writeback(mapping, folio, false);
	folio_unlock(mapping, folio);
	folio_end_writeback(mapping, folio);
}

/* What anybody may do to folios while a pass is on. */
static void meddle(void)
{
	int i = (int)host_random_below((uint32_t)nr_folios);
	uint32_t what = host_random_below(4);
	struct side *side;

	for_each_side(side)
	{
		struct folio *folio = side->folios[i];
		pgoff_t index = folio_index(folio);
		unsigned int order = folio_order(folio);

		if (what == 0)
			folio_trylock(folio);
		else if (what == 1 && filemap_remove_folio(&side->mapping, folio) == 0)
			side->folios[i] = host_add_folio(&side->mapping, index, order);
		if (what != 0)
			folio_mark_dirty(&side->mapping, side->folios[i]);
	}
}

/* What both passes wait for happens. */
static void unblock(void)
{
	struct side *side;

	CHECK(folio_index(plain.wbc.blocked) == folio_index(ahead_side.wbc.blocked));
	CHECK(plain.wbc.blocked_on == ahead_side.wbc.blocked_on);
	for_each_side(side)
	{
		if (side->wbc.blocked_on == PG_locked)
			folio_unlock(&side->mapping, side->wbc.blocked);
		else
			folio_end_writeback(&side->mapping, side->wbc.blocked);
	}
}

/* The next folio of both passes, which have the same one in hand. */
static bool next(struct folio *hands[2], int error)
{
	do {
		int errors[] = {error, error};
		struct side *side;

		for_each_side(side)
		{
			hands[n] = writeback_iter(&side->mapping, &side->wbc, hands[n], &errors[n]);
		}
		CHECK(errors[0] == errors[1] && (hands[0] == NULL) == (hands[1] == NULL));
		if (plain.wbc.blocked == NULL)
			break;
		CHECK(ahead_side.wbc.blocked != NULL);
		unblock();
	} while (true);
	CHECK(ahead_side.wbc.blocked == NULL);
	compare();
	return hands[0] != NULL;
}

/* The plain pass comes to this folio of the stretch, with those before it written. */
static struct folio *write_up_to(struct folio *folio, uint32_t done)
{
	for (uint32_t i = 0; i < done; i++) {
		int error = 0;

		write_folio(&plain.mapping, folio);
		folio = writeback_iter(&plain.mapping, &plain.wbc, folio, &error);
		CHECK(folio != NULL && folio_index(folio) == folio_index(stretch_folio(i + 1)));
	}
	return folio;
}

/* Sometimes the write fails. */
static int end_write(struct folio *hands[2], bool may_fail)
{
	bool fails = may_fail && host_random_below(20) == 0;
	struct side *side;

	for_each_side(side)
	{
		if (fails) {
			folio_mark_dirty(&side->mapping, hands[n]);
			folio_unlock(&side->mapping, hands[n]);
		} else {
			write_folio(&side->mapping, hands[n]);
		}
	}
	return fails ? -EIO : 0;
}

static void pass_by_folios(void)
{
	struct folio *hands[] = {NULL, NULL};
	int error = 0;

	while (next(hands, error)) {
		uint32_t seen;

		writeback_look_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead);
		CHECK(ahead.nr > 0 && ahead.nr <= WRITEBACK_AHEAD_BATCHES * FOLIO_BATCH_SIZE);
		CHECK(stretch_folio(0) == hands[1]);
		check_runs();
		/* Somebody looks while this one is written, if there are so many. */
		seen = host_random_below(2 * ahead.nr);
		error = 0;
		if (seen >= ahead.nr) {
			hands[0] = write_up_to(hands[0], ahead.nr - 1);
			write_folio(&plain.mapping, hands[0]);
			hands[1] =
				writeback_end_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead);
			CHECK(ahead.nr == 0 && folio_index(hands[0]) == folio_index(hands[1]));
			continue;
		}
		hands[0] = write_up_to(hands[0], seen);
		hands[1] = stretch_folio(seen);
		writeback_settle_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead, seen, 1);
		CHECK(ahead.nr == 0 && ahead.batches == 1);
		CHECK(state_of(hands[1]) == PG_locked);
		compare();
		error = end_write(hands, true);
		for (uint32_t i = host_random_below(4); i > 0; i--)
			meddle();
	}
}

static void pass_by_extents(uint64_t max_pages)
{
	int errors[] = {0, 0};

	for (;;) {
		int error = 0;
		bool found = writeback_get_extent(&plain.mapping, &plain.wbc, &plain.extent,
						  max_pages, &errors[0]);

		CHECK(writeback_get_extent_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead,
						 &ahead_side.extent, max_pages,
						 &errors[1]) == found);
		CHECK(errors[0] == errors[1]);
		if (plain.wbc.blocked != NULL) {
			unblock();
			continue;
		}
		if (!found)
			break;
		CHECK(ahead.nr == plain.extent.nr_folios);
		CHECK(ahead.nr_pages == plain.extent.nr_pages);
		CHECK(folio_index(stretch_folio(0)) == plain.extent.index);
		check_runs();
		if (host_random_below(2) == 0) {
			writeback_hold_extent(&ahead_side.mapping, &ahead_side.wbc, &ahead,
					      &ahead_side.extent);
			CHECK(ahead.nr == 0 && ahead_side.extent.index == plain.extent.index);
			CHECK(ahead_side.extent.nr_folios == plain.extent.nr_folios);
			CHECK(ahead_side.extent.nr_pages == plain.extent.nr_pages);
			compare();
			for (uint32_t i = host_random_below(4); i > 0; i--)
				meddle();
			if (host_random_below(10) == 0)
				error = -EIO;
			writeback_end_extent(&ahead_side.mapping, &ahead_side.extent, error);
		}
		writeback_end_extent(&plain.mapping, &plain.extent, error);
		errors[0] = errors[1] = error;
	}
	compare();
}

/* Locked, clean or under writeback, in both caches. */
static void make_busy(int i)
{
	uint32_t what = host_random_below(3);
	struct side *side;

	for_each_side(side)
	{
		struct folio *folio = side->folios[i];

		CHECK(folio_trylock(folio));
		if (what == 0)
			continue;
		if (what == 1)
			folio_clear_dirty_for_io(folio);
		else
			folio_start_writeback(&side->mapping, folio, true);
		folio_unlock(&side->mapping, folio);
	}
}

/*
 * Folios in a row, with holes, of one size or several; some are busy. Some are not in memory in the
 * order that they have in the file.
 */
static void random_folios(void)
{
	static const unsigned int largest[] = {0, 0, 0, 2, 5, 7, 12};
	static pgoff_t indices[MAX_FOLIOS];
	static unsigned int orders[MAX_FOLIOS];
	unsigned int max_order = largest[host_random_below(7)];
	uint32_t hole_one_in = 1 + host_random_below(200);
	uint32_t busy_one_in = 10 + host_random_below(400);
	uint32_t swap_one_in = host_random_below(3) == 0 ? 1 + host_random_below(60) : UINT32_MAX;
	uint32_t nr = 10 + host_random_below(300);
	pgoff_t index = host_random_below(130);

	for (uint32_t i = 0; i < nr; i++) {
		unsigned int order =
			host_random_below(3) == 0 ? host_random_below(max_order + 1) : 0;

		index = (index + (UINT64_C(1) << order) - 1) >> order << order;
		indices[i] = index;
		orders[i] = order;
		index += UINT64_C(1) << order;
		if (host_random_below(hole_one_in) == 0)
			index += host_random_below(100);
	}
	for (uint32_t i = 1; i < nr; i++) {
		if (host_random_below(swap_one_in) == 0) {
			pgoff_t swapped = indices[i];
			unsigned int order = orders[i];

			indices[i] = indices[i - 1];
			orders[i] = orders[i - 1];
			indices[i - 1] = swapped;
			orders[i - 1] = order;
		}
	}
	for (uint32_t i = 0; i < nr; i++) {
		add_dirty(indices[i], orders[i]);
		if (host_random_below(busy_one_in) == 0)
			make_busy(nr_folios - 1);
	}
}

static void test_random(uint32_t seed)
{
	static const int64_t budgets[] = {INT64_MAX, 1, 30, 31, 32, 63, 100, 400};
	static const uint64_t max_pages[] = {1,	 2,   31,  62,
					     64, 100, 256, WRITEBACK_EXTENT_MAX_PAGES};

	host_random_state = seed;
	begin(host_random_below(2) == 0 ? WB_SYNC_ALL : WB_SYNC_NONE,
	      budgets[host_random_below(8)]);
	ahead.batches = 1U << host_random_below(6);
	random_folios();
	if (host_random_below(2) == 0)
		pass_by_folios();
	else
		pass_by_extents(max_pages[host_random_below(8)]);
	end();
}

/* How many folios the stretches have that nobody looks into, one after another. */
static void expect_stretches(const uint32_t *nrs)
{
	int error = 0;
	struct folio *folio = writeback_iter(&ahead_side.mapping, &ahead_side.wbc, NULL, &error);

	for (; *nrs != 0; nrs++) {
		CHECK(folio != NULL);
		writeback_look_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead);
		CHECK(ahead.nr == *nrs && ahead.nr_pages == *nrs);
		check_runs();
		folio = writeback_end_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead);
		folio = writeback_iter(&ahead_side.mapping, &ahead_side.wbc, folio, &error);
	}
	CHECK(folio == NULL && error == 0);
}

static void test_lengths(void)
{
	begin(WB_SYNC_ALL, 1);
	add_dense(1400);
	expect_stretches((const uint32_t[]){31, 62, 124, 248, 496, 439, 0});
	CHECK(ahead.batches == WRITEBACK_AHEAD_BATCHES);
	CHECK(ahead_side.wbc.nr_to_write == 1 - 1400);
	CHECK(!mapping_tagged(&ahead_side.mapping, PAGECACHE_TAG_DIRTY));
	CHECK(!mapping_tagged(&ahead_side.mapping, PAGECACHE_TAG_TOWRITE));
	end();

	begin(WB_SYNC_ALL, 1);
	ahead.batches = WRITEBACK_AHEAD_BATCHES;
	add_dense(1400);
	expect_stretches((const uint32_t[]){992, 408, 0});
	end();

	/* As far as the budget goes, in the batch and behind it. */
	begin(WB_SYNC_NONE, 20);
	add_dense(100);
	expect_stretches((const uint32_t[]){20, 0});
	CHECK(ahead_side.wbc.nr_to_write == 0);
	end();
	begin(WB_SYNC_NONE, 40);
	ahead.batches = 2;
	add_dense(100);
	expect_stretches((const uint32_t[]){40, 0});
	end();

	begin(WB_SYNC_NONE, 80);
	ahead.batches = 2;
	add_dense(100);
	expect_stretches((const uint32_t[]){62, 18, 0});
	end();

	/* From the middle of a batch to its end. */
	begin(WB_SYNC_ALL, 1);
	add_dense(100);
	{
		int error = 0;
		struct folio *folio =
			writeback_iter(&ahead_side.mapping, &ahead_side.wbc, NULL, &error);

		writeback_look_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead);
		folio = stretch_folio(10);
		writeback_settle_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead, 10, 1);
		write_folio(&ahead_side.mapping, folio);
		folio = writeback_iter(&ahead_side.mapping, &ahead_side.wbc, folio, &error);
		writeback_look_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead);
		CHECK(stretch_folio(0) == folio && ahead.nr == 20);
		writeback_settle_ahead(&ahead_side.mapping, &ahead_side.wbc, &ahead, 0, 1);
	}
	end();

	/* To one that is busy, which is passed over, and from behind it to the end of its batch. */
	begin(WB_SYNC_NONE, 1000);
	ahead.batches = 4;
	add_dense(100);
	CHECK(folio_trylock(ahead_side.folios[40]));
	folio_start_writeback(&ahead_side.mapping, ahead_side.folios[40], true);
	folio_unlock(&ahead_side.mapping, ahead_side.folios[40]);
	expect_stretches((const uint32_t[]){40, 59, 0});
	end();
}

/*
 * A folio of the batch was removed, and the one that is in its place now has the slot between its
 * neighbours': the three of them are a run, but the batch has not got it.
 */
static void test_replaced(void)
{
	struct address_space *mapping = &ahead_side.mapping;
	struct folio *spare, *second, *other;
	int error = 0;

	begin(WB_SYNC_ALL, 1);
	host_add_dirty(mapping, 0, 0);
	host_add_dirty(mapping, 1, 0);
	spare = host_add_folio(mapping, 100, 0);
	host_add_dirty(mapping, 3, 0);
	second = host_add_dirty(mapping, 2, 0);
	CHECK(filemap_remove_folio(mapping, spare) == 0);

	CHECK(folio_index(writeback_iter(mapping, &ahead_side.wbc, NULL, &error)) == 0);
	CHECK(filemap_remove_folio(mapping, second) == 0);
	other = host_add_dirty(mapping, 2, 0);
	CHECK(other == spare && folio_run_length(other - 1, 3) == 3);
	writeback_look_ahead(mapping, &ahead_side.wbc, &ahead);
	CHECK(ahead.nr == 2 && stretch_folio(1) == other - 1);
	writeback_settle_ahead(mapping, &ahead_side.wbc, &ahead, 0, 1);
	end();
}

/* What stands behind the last folio of a batch is what was there in the pass before. */
static void test_short_batch(void)
{
	struct address_space *mapping = &ahead_side.mapping;
	struct writeback_control *wbc = &ahead_side.wbc;
	struct folio *folio = NULL;
	int error = 0;

	begin(WB_SYNC_ALL, 1);
	add_dense(FOLIO_BATCH_SIZE);
	while ((folio = writeback_iter(mapping, wbc, folio, &error)) != NULL)
		write_folio(mapping, folio);
	for (int i = 0; i < 10; i++)
		folio_mark_dirty(mapping, ahead_side.folios[i]);
	folio = writeback_iter(mapping, wbc, NULL, &error);
	CHECK(folio == ahead_side.folios[0] && wbc->fbatch.nr == 10);
	CHECK(wbc->fbatch.folios[10] == ahead_side.folios[10]);
	/* Not tagged: it is no part of this pass. */
	folio_mark_dirty(mapping, ahead_side.folios[10]);
	writeback_look_ahead(mapping, wbc, &ahead);
	CHECK(ahead.nr == 10);
	writeback_settle_ahead(mapping, wbc, &ahead, 0, 1);
	end();
}

int main(void)
{
	test_lengths();
	test_short_batch();
	test_replaced();
	for (uint32_t seed = 0; seed < 2000; seed++)
		test_random(seed);
	printf("nobody sees that a stretch was taken ahead\n");
	return 0;
}
