// SPDX-License-Identifier: GPL-2.0-only
/*
 * The iteration in cases that the golden traces do not have: hosts that cannot wait, callbacks,
 * page sizes, and the references of a pass that ends.
 */
#include <errno.h>

#include "folio_state.h"
#include "host.h"
#include "page_writeback.h"

static struct address_space mapping;
static struct writeback_control wbc;

static void begin(unsigned int page_shift)
{
	host_ops.wait = NULL;
	address_space_init(&mapping, page_shift, false, &host_ops);
	wbc = (struct writeback_control){.nr_to_write = 100, .range_end = INT64_MAX};
}

/* Checks that only the cache has references to folios. */
static void end(void)
{
	host_check_tree(&mapping);
	CHECK(wbc.fbatch.nr == 0);
	host_mapping_destroy(&mapping);
	CHECK(host_allocated == 0);
}

static void write_folio(struct folio *folio)
{
	CHECK(state_of(folio) == PG_locked);
	folio_start_writeback(&mapping, folio, false);
	folio_unlock(&mapping, folio);
	folio_end_writeback(&mapping, folio);
}

static struct folio *next(struct folio *folio, int error, int expected)
{
	bool begins = folio == NULL || wbc.blocked != NULL;

	folio = writeback_iter(&mapping, &wbc, folio, &error);
	/* The caller's variable may hold any value before; it is no error of this folio. */
	if (folio != NULL && begins)
		expected = 0;
	CHECK((folio != NULL && !begins) || error == expected);
	return folio;
}

/* A blocked pass holds neither a lock nor a folio; the next call resumes it. */
static void test_blocked_on_lock(enum writeback_sync_modes sync_mode)
{
	struct folio *a, *b, *c, *current;

	begin(PAGE_SHIFT);
	wbc.sync_mode = sync_mode;
	a = host_add_dirty(&mapping, 0, 0);
	b = host_add_dirty(&mapping, 1, 0);
	c = host_add_dirty(&mapping, 2, 0);
	CHECK(folio_trylock(b));
	CHECK(next(NULL, -EIO, 0) == a && wbc.blocked == NULL);
	write_folio(a);
	for (int i = 0; i < 3; i++) {
		CHECK(next(a, 0, -EDEADLK) == NULL);
		CHECK(wbc.blocked == b && wbc.blocked_on == PG_locked);
		CHECK(wbc.nr_to_write == 99 && wbc.fbatch.i == 1 && wbc.fbatch.nr == 3);
		CHECK(state_of(b) == (PG_locked | PG_dirty) && marks_of(&mapping, b) != 0);
		CHECK(state_of(c) == PG_dirty && b->refcount == 2);
	}
	folio_unlock(&mapping, b);
	current = next(a, 0, 0);
	CHECK(current == b && wbc.blocked == NULL && wbc.nr_to_write == 99);
	CHECK(b->refcount == 2);
	write_folio(b);
	CHECK(next(b, 0, 0) == c && wbc.nr_to_write == 98);
	write_folio(c);
	CHECK(next(c, 0, 0) == NULL && wbc.nr_to_write == 97 && wbc.blocked == NULL);
	CHECK(a->refcount == 1 && b->refcount == 1 && c->refcount == 1);
	end();
}

static void test_blocked_on_writeback(void)
{
	struct folio *a, *b;

	begin(PAGE_SHIFT);
	wbc.sync_mode = WB_SYNC_ALL;
	wbc.range_cyclic = true;
	mapping.writeback_index = 1;
	a = host_add_dirty(&mapping, 0, 0);
	b = host_add_dirty(&mapping, 1, 0);
	CHECK(folio_trylock(b));
	folio_start_writeback(&mapping, b, true);
	folio_unlock(&mapping, b);
	/* The first call may block too, and the next call does not start over. */
	CHECK(next(NULL, 0, -EDEADLK) == NULL);
	CHECK(wbc.blocked == b && wbc.blocked_on == PG_writeback);
	CHECK(state_of(b) == (PG_dirty | PG_writeback) && mapping.writeback_index == 1);
	folio_end_writeback(&mapping, b);
	CHECK(next(NULL, 0, 0) == b && wbc.blocked == NULL && wbc.nr_to_write == 100);
	CHECK(marks_of(&mapping, b) == (DIRTY | TOWRITE) && marks_of(&mapping, a) == DIRTY);
	write_folio(b);
	CHECK(next(b, 0, 0) == NULL && mapping.writeback_index == 0);
	end();
}

/* A pass keeps the error that it got before it was blocked. */
static void test_error_before_block(void)
{
	struct folio *a, *b;

	begin(PAGE_SHIFT);
	wbc.sync_mode = WB_SYNC_ALL;
	a = host_add_dirty(&mapping, 0, 0);
	b = host_add_dirty(&mapping, 1, 0);
	CHECK(folio_trylock(b));
	CHECK(next(NULL, 0, 0) == a);
	write_folio(a);
	CHECK(next(a, -ENOSPC, -EDEADLK) == NULL && wbc.saved_err == -ENOSPC);
	folio_unlock(&mapping, b);
	CHECK(next(a, -EIO, 0) == b);
	write_folio(b);
	CHECK(next(b, -EIO, -ENOSPC) == NULL && wbc.nr_to_write == 98);
	/* A control that is used again starts without an error. */
	CHECK(next(NULL, -EIO, 0) == NULL && wbc.saved_err == 0);
	end();
}

static struct folio *waited_for[4];
static int nr_waits;

static int release(struct address_space *waited, struct folio *folio, unsigned int flag)
{
	CHECK(waited == &mapping && nr_waits < 4);
	waited_for[nr_waits++] = folio;
	if (flag == PG_locked)
		folio_unlock(waited, folio);
	else
		folio_end_writeback(waited, folio);
	return 0;
}

/* A pass skips folios that are clean, removed, or (outside WB_SYNC_ALL) under writeback. */
static void test_passed_over(enum writeback_sync_modes sync_mode)
{
	struct folio *folios[5], *current;

	begin(PAGE_SHIFT);
	host_ops.wait = release;
	nr_waits = 0;
	wbc.sync_mode = sync_mode;
	for (pgoff_t i = 0; i < 5; i++)
		folios[i] = host_add_dirty(&mapping, i, 0);
	CHECK(folio_trylock(folios[1]));
	folio_start_writeback(&mapping, folios[1], true);
	folio_unlock(&mapping, folios[1]);

	CHECK(next(NULL, 0, 0) == folios[0]);
	write_folio(folios[0]);
	/* The batch has both already: one is written, the other removed and then dirtied. */
	CHECK(folio_trylock(folios[2]) && folio_clear_dirty_for_io(folios[2]));
	write_folio(folios[2]);
	CHECK(filemap_remove_folio(&mapping, folios[3]) == 0);
	folio_mark_dirty(&mapping, folios[3]);
	current = next(folios[0], 0, 0);
	if (sync_mode == WB_SYNC_ALL) {
		CHECK(current == folios[1] && nr_waits == 1 && waited_for[0] == folios[1]);
		CHECK(marks_of(&mapping, folios[1]) == (DIRTY | TOWRITE));
		write_folio(current);
		current = next(current, 0, 0);
	} else {
		CHECK(nr_waits == 0 && state_of(folios[1]) == (PG_dirty | PG_writeback));
		folio_end_writeback(&mapping, folios[1]);
	}
	CHECK(current == folios[4]);
	CHECK(state_of(folios[2]) == 0 && state_of(folios[3]) == PG_dirty);
	write_folio(current);
	CHECK(next(current, 0, 0) == NULL);
	CHECK(wbc.nr_to_write == (sync_mode == WB_SYNC_ALL ? 97 : 98));
	end();
}

/* The pass waits for a locked folio, and then checks it again. */
static void test_waits_for_lock(void)
{
	struct folio *a, *b;

	begin(PAGE_SHIFT);
	host_ops.wait = release;
	nr_waits = 0;
	wbc.sync_mode = WB_SYNC_ALL;
	a = host_add_dirty(&mapping, 0, 0);
	b = host_add_dirty(&mapping, 1, 0);
	CHECK(folio_trylock(a) && folio_trylock(b));
	CHECK(next(NULL, 0, 0) == a && nr_waits == 1 && state_of(a) == PG_locked);
	write_folio(a);
	CHECK(folio_clear_dirty_for_io(b));
	folio_start_writeback(&mapping, b, false);
	CHECK(next(a, 0, 0) == NULL && nr_waits == 2 && waited_for[1] == b);
	CHECK(state_of(b) == PG_writeback);
	folio_end_writeback(&mapping, b);
	end();
}

/* A pass checks the budget after a folio, and only in WB_SYNC_NONE. */
static void test_budget(bool tagged)
{
	struct folio *a, *b;

	begin(PAGE_SHIFT);
	wbc.nr_to_write = 4;
	wbc.tagged_writepages = tagged;
	wbc.range_cyclic = true;
	a = host_add_dirty(&mapping, 0, 2);
	b = host_add_dirty(&mapping, 4, 0);
	CHECK(next(NULL, 0, 0) == a && marks_of(&mapping, b) == (tagged ? DIRTY | TOWRITE : DIRTY));
	CHECK(mapping.writeback_index == 0);
	write_folio(a);
	CHECK(next(a, -EIO, -EIO) == NULL && wbc.nr_to_write == 0);
	CHECK(mapping.writeback_index == 4 && a->refcount == 1 && b->refcount == 1);

	/* The next pass continues there, and only the one after it starts over. */
	wbc.nr_to_write = 2;
	folio_mark_dirty(&mapping, a);
	CHECK(next(NULL, -EIO, 0) == b);
	write_folio(b);
	CHECK(next(b, 0, 0) == NULL && mapping.writeback_index == 0 && wbc.nr_to_write == 1);
	CHECK(next(NULL, 0, 0) == a && marks_of(&mapping, b) == 0);
	write_folio(a);
	CHECK(next(a, 0, 0) == NULL && mapping.writeback_index == 4);
	end();
}

/* Neither an error nor the budget ends a WB_SYNC_ALL pass; either ends a WB_SYNC_NONE pass. */
static void test_end(enum writeback_sync_modes sync_mode, int64_t nr_to_write, int error)
{
	struct folio *folio = NULL, *folios[3];
	unsigned int written = 0;
	int result = 0;

	begin(PAGE_SHIFT);
	wbc.sync_mode = sync_mode;
	wbc.nr_to_write = nr_to_write;
	for (pgoff_t i = 0; i < 3; i++)
		folios[i] = host_add_dirty(&mapping, 2 * i, 1);
	mapping.writeback_index = 77;
	while ((folio = writeback_iter(&mapping, &wbc, folio, &result)) != NULL) {
		CHECK(folio == folios[written]);
		write_folio(folio);
		result = written++ == 0 ? error : written == 2 ? -EINTR : 0;
	}
	CHECK(mapping.writeback_index == 77);
	if (sync_mode == WB_SYNC_ALL)
		CHECK(written == 3 && result == (error != 0 ? error : -EINTR));
	else if (error != 0 || nr_to_write <= 2)
		CHECK(written == 1 && result == error);
	else
		CHECK(written == 2 && result == -EINTR);
	CHECK(wbc.nr_to_write == nr_to_write - 2 * (int64_t)written);
	end();
}

/* The range in bytes includes the pages of its first and its last byte. */
static void test_range(unsigned int page_shift)
{
	struct folio *folios[4], *folio;

	begin(page_shift);
	for (pgoff_t i = 0; i < 4; i++)
		folios[i] = host_add_dirty(&mapping, i, 0);
	wbc.sync_mode = WB_SYNC_ALL;
	wbc.range_start = (INT64_C(2) << page_shift) - 1;
	wbc.range_end = INT64_C(2) << page_shift;
	CHECK(next(NULL, 0, 0) == folios[1] && marks_of(&mapping, folios[0]) == DIRTY);
	CHECK(marks_of(&mapping, folios[3]) == DIRTY);
	write_folio(folios[1]);
	folio = next(folios[1], 0, 0);
	CHECK(folio == folios[2]);
	write_folio(folio);
	CHECK(next(folio, 0, 0) == NULL && mapping.writeback_index == 0);
	wbc.range_start = 0;
	wbc.range_end = -1;
	wbc.range_end = (INT64_C(1) << page_shift) - 1;
	CHECK(next(NULL, 0, 0) == folios[0]);
	write_folio(folios[0]);
	CHECK(next(folios[0], 0, 0) == NULL && state_of(folios[3]) == PG_dirty);
	end();
}

/* Tagging drops the tree's lock after 4096 folios, and then continues where it was. */
static void test_tag_many(bool shared)
{
	enum { NR = 3 * XA_CHECK_SCHED };
	uint64_t tagged = 0;

	address_space_init(&mapping, PAGE_SHIFT, shared, &host_ops);
	for (pgoff_t i = 0; i < NR; i++)
		host_add_dirty(&mapping, i, 0);
	tag_pages_for_writeback(&mapping, 10, NR - 11);
	for (pgoff_t i = 0; i < NR; i++) {
		struct folio *folio = filemap_get_folio(&mapping, i);
		bool inside = i >= 10 && i <= NR - 11;

		CHECK(marks_of(&mapping, folio) == (inside ? DIRTY | TOWRITE : DIRTY));
		tagged += inside;
		folio_put(&mapping, folio);
	}
	CHECK(tagged == NR - 20);
	end();
}

static struct folio *written[8];
static int nr_written;
static int answers[8];

static int writepage(struct folio *folio, struct writeback_control *control, void *data)
{
	CHECK(control == &wbc && data == &nr_written && nr_written < 8);
	written[nr_written] = folio;
	folio_start_writeback(&mapping, folio, false);
	if (answers[nr_written] != AOP_WRITEPAGE_ACTIVATE)
		folio_unlock(&mapping, folio);
	folio_end_writeback(&mapping, folio);
	return answers[nr_written++];
}

static void test_write_cache_pages(enum writeback_sync_modes sync_mode)
{
	struct folio *folios[4];

	begin(PAGE_SHIFT);
	wbc.sync_mode = sync_mode;
	CHECK(write_cache_pages(&mapping, &wbc, writepage, &nr_written) == 0);
	for (pgoff_t i = 0; i < 4; i++)
		folios[i] = host_add_dirty(&mapping, 3 * i, 0);
	nr_written = 0;
	answers[1] = AOP_WRITEPAGE_ACTIVATE;
	answers[2] = -EIO;
	answers[3] = -ENOSPC;
	CHECK(write_cache_pages(&mapping, &wbc, writepage, &nr_written) == -EIO);
	CHECK(nr_written == (sync_mode == WB_SYNC_ALL ? 4 : 3));
	for (int i = 0; i < nr_written; i++)
		CHECK(written[i] == folios[i] && state_of(folios[i]) == 0);
	CHECK(wbc.nr_to_write == 100 - nr_written);
	end();
}

static void test_redirty(void)
{
	struct folio *folio;

	begin(PAGE_SHIFT);
	folio = host_add_folio(&mapping, 8, 3);
	CHECK(folio_redirty_for_writepage(&mapping, &wbc, folio) && wbc.pages_skipped == 8);
	CHECK(state_of(folio) == PG_dirty && marks_of(&mapping, folio) == DIRTY);
	CHECK(!folio_redirty_for_writepage(&mapping, &wbc, folio) && wbc.pages_skipped == 16);
	end();
}

/* A pass of more than one batch: the next lookup drops the batch's references. */
static void test_batches(void)
{
	struct folio *folio = NULL, *first;
	int error = 0;

	begin(PAGE_SHIFT);
	wbc.sync_mode = WB_SYNC_ALL;
	wbc.nr_to_write = 70;
	/* A pass begins with an empty batch, whatever the batch held before. */
	wbc.fbatch.nr = wbc.fbatch.i = 7;
	first = host_add_dirty(&mapping, 1, 0);
	for (pgoff_t i = 2; i < 71; i++)
		host_add_dirty(&mapping, i, 0);
	for (pgoff_t i = 1; i < 71; i++) {
		folio = writeback_iter(&mapping, &wbc, folio, &error);
		CHECK(folio != NULL && folio_index(folio) == i && error == 0);
		CHECK(first->refcount == (i <= 31 ? 2 : 1) && folio->refcount == 2);
		CHECK(wbc.fbatch.i == (i - 1) % 31 + 1);
		write_folio(folio);
	}
	CHECK(next(folio, 0, 0) == NULL && wbc.nr_to_write == 0);
	end();
}

int main(void)
{
	for (int i = 0; i < 2; i++) {
		enum writeback_sync_modes sync_mode = i == 0 ? WB_SYNC_NONE : WB_SYNC_ALL;

		test_blocked_on_lock(sync_mode);
		test_passed_over(sync_mode);
		test_write_cache_pages(sync_mode);
		for (int64_t nr_to_write = 1; nr_to_write < 6; nr_to_write++) {
			test_end(sync_mode, nr_to_write, 0);
			test_end(sync_mode, nr_to_write, -EIO);
		}
	}
	test_blocked_on_writeback();
	test_error_before_block();
	test_waits_for_lock();
	test_budget(false);
	test_budget(true);
	test_range(PAGE_SHIFT);
	test_range(9);
	test_tag_many(false);
	test_tag_many(true);
	test_redirty();
	test_batches();
	printf("the iteration does what it says\n");
	return 0;
}
