// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stretches taken ahead, beside a pass that goes folio by folio: at every point at which somebody
 * looks, all is as there.
 */
#include <errno.h>

#include "folio_state.h"
#include "host.h"
#include "writeback_ahead.h"

#define NR_FOLIOS 40

/* The same page cache and pass twice. */
struct side {
	struct address_space mapping;
	struct writeback_control wbc;
	struct folio *folios[NR_FOLIOS];
	struct folio *current;
};

static struct side one_by_one, at_once;

/* What stands in the way of the pass, or limits it. */
struct scene {
	enum writeback_sync_modes sync_mode;
	int64_t nr_to_write;
	int locked;
	int under_writeback;
	int clean;
};

static void begin_side(struct side *side, const struct scene *scene)
{
	int error;

	address_space_init(&side->mapping, PAGE_SHIFT, false, &host_ops);
	side->wbc = (struct writeback_control){.nr_to_write = scene->nr_to_write,
					       .range_end = INT64_MAX,
					       .sync_mode = scene->sync_mode};
	for (int i = 0; i < NR_FOLIOS; i++) {
		unsigned int order = i % 3 == 0 ? 1 : 0;

		side->folios[i] = host_add_folio(&side->mapping, (pgoff_t)i * 4, order);
		folio_mark_dirty(&side->mapping, side->folios[i]);
	}
	CHECK(folio_trylock(side->folios[scene->under_writeback]));
	folio_start_writeback(&side->mapping, side->folios[scene->under_writeback], true);
	folio_unlock(&side->mapping, side->folios[scene->under_writeback]);
	side->current = writeback_iter(&side->mapping, &side->wbc, NULL, &error);
	CHECK(side->current == side->folios[0]);
	CHECK(folio_trylock(side->folios[scene->locked]));
	/* After the lookup, so that the pass comes to it. */
	CHECK(folio_trylock(side->folios[scene->clean]));
	folio_clear_dirty_for_io(side->folios[scene->clean]);
	folio_unlock(&side->mapping, side->folios[scene->clean]);
}

static void begin(const struct scene *scene)
{
	host_ops.wait = NULL;
	begin_side(&one_by_one, scene);
	begin_side(&at_once, scene);
}

static void end(const struct scene *scene)
{
	struct side *sides[] = {&one_by_one, &at_once};

	for (int i = 0; i < 2; i++) {
		struct side *side = sides[i];

		folio_batch_release(&side->mapping, &side->wbc.fbatch);
		folio_unlock(&side->mapping, side->folios[scene->locked]);
		folio_end_writeback(&side->mapping, side->folios[scene->under_writeback]);
		host_check_tree(&side->mapping);
		host_mapping_destroy(&side->mapping);
	}
	CHECK(host_allocated == 0);
}

static void compare(void)
{
	CHECK(one_by_one.wbc.nr_to_write == at_once.wbc.nr_to_write);
	CHECK(one_by_one.wbc.fbatch.i == at_once.wbc.fbatch.i);
	CHECK(one_by_one.wbc.fbatch.nr == at_once.wbc.fbatch.nr);
	for (int i = 0; i < NR_FOLIOS; i++) {
		const struct folio *a = one_by_one.folios[i], *b = at_once.folios[i];

		CHECK(state_of(a) == state_of(b) && marks_of(a) == marks_of(b));
		CHECK(a->refcount == b->refcount);
	}
}

static void write_current(struct side *side)
{
	folio_start_writeback(&side->mapping, side->current, false);
	folio_unlock(&side->mapping, side->current);
	folio_end_writeback(&side->mapping, side->current);
}

static void step_one_by_one(void)
{
	int error = 0;

	write_current(&one_by_one);
	one_by_one.current =
		writeback_iter(&one_by_one.mapping, &one_by_one.wbc, one_by_one.current, &error);
	CHECK(one_by_one.current != NULL);
}

/* @nr folios can be had at once. Each time, somebody looks after @done of them were written. */
static void test(const struct scene *scene, uint32_t nr)
{
	for (uint32_t done = 0; done < nr; done++) {
		struct writeback_ahead ahead;

		begin(scene);
		writeback_take_ahead(&at_once.mapping, &at_once.wbc, &ahead);
		CHECK(ahead.first == 0 && ahead.nr == nr);
		for (uint32_t i = 0; i < nr; i++) {
			CHECK(state_of(at_once.folios[i]) == PG_locked);
			CHECK((marks_of(at_once.folios[i]) & DIRTY) != 0);
		}
		writeback_settle_ahead(&at_once.mapping, &at_once.wbc, &ahead, done);
		CHECK(ahead.first == done && ahead.nr == 1);
		for (uint32_t i = 0; i < done; i++)
			step_one_by_one();
		compare();

		/* The folio in hand alone; then what is behind it once more. */
		at_once.current = writeback_end_ahead(&at_once.mapping, &at_once.wbc, &ahead);
		CHECK(ahead.nr == 0 && at_once.current == at_once.folios[done]);
		write_current(&one_by_one);
		compare();
		if (done + 1 == nr) {
			end(scene);
			continue;
		}
		{
			int error = 0;

			at_once.current = writeback_iter(&at_once.mapping, &at_once.wbc,
							 at_once.current, &error);
			CHECK(at_once.current == at_once.folios[done + 1] && error == 0);
			one_by_one.current = writeback_iter(&one_by_one.mapping, &one_by_one.wbc,
							    one_by_one.current, &error);
		}
		writeback_take_ahead(&at_once.mapping, &at_once.wbc, &ahead);
		CHECK(ahead.first == done + 1 && ahead.nr == nr - done - 1);
		at_once.current = writeback_end_ahead(&at_once.mapping, &at_once.wbc, &ahead);
		CHECK(ahead.nr == 0 && at_once.current == at_once.folios[nr - 1]);
		for (uint32_t i = done + 2; i < nr; i++)
			step_one_by_one();
		write_current(&one_by_one);
		compare();
		end(scene);
	}
}

int main(void)
{
	/* To the end of the batch, whatever the budget. */
	test(&(struct scene){WB_SYNC_ALL, 1, 35, 36, 37}, FOLIO_BATCH_SIZE);
	/* To the first that is busy, or needs not be written. */
	test(&(struct scene){WB_SYNC_ALL, 100, 5, 36, 37}, 5);
	test(&(struct scene){WB_SYNC_NONE, 100, 35, 7, 37}, 7);
	test(&(struct scene){WB_SYNC_NONE, 100, 35, 36, 2}, 2);
	test(&(struct scene){WB_SYNC_ALL, 100, 1, 36, 37}, 1);
	/* As far as the budget goes: the first has two pages, so do the fourth and the seventh. */
	test(&(struct scene){WB_SYNC_NONE, 1, 35, 36, 37}, 1);
	test(&(struct scene){WB_SYNC_NONE, 2, 35, 36, 37}, 1);
	test(&(struct scene){WB_SYNC_NONE, 3, 35, 36, 37}, 2);
	test(&(struct scene){WB_SYNC_NONE, 5, 35, 36, 37}, 4);
	test(&(struct scene){WB_SYNC_NONE, 6, 35, 36, 37}, 4);
	printf("nobody sees that a stretch was taken ahead\n");
	return 0;
}
