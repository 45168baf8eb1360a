// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page cache, function by function: results, references, flags and marks.
 */
#include <errno.h>

#include "folio_state.h"
#include "host.h"

static struct address_space mapping;

/* What the host was asked for last, how often, and what it answers. */
static const struct folio *asked_folio;
static unsigned int asked_flag;
static int nr_waits, nr_wakes, wait_refusal, nr_waits_in_vain;

static int wait_noted(struct address_space *waited, struct folio *folio, unsigned int flag)
{
	CHECK(waited == &mapping);
	nr_waits++;
	asked_folio = folio;
	asked_flag = flag;
	if (wait_refusal != 0)
		return wait_refusal;
	if (nr_waits_in_vain-- > 0)
		return 0;
	if (flag == PG_locked)
		folio_unlock(waited, folio);
	else
		folio_end_writeback(waited, folio);
	return 0;
}

static void wake_noted(struct address_space *woken, struct folio *folio, unsigned int flag)
{
	CHECK(woken == &mapping && (folio_flags(folio) & flag) == 0);
	nr_wakes++;
	asked_folio = folio;
	asked_flag = flag;
}

static void begin(bool shared)
{
	host_ops.wait = wait_noted;
	host_ops.wake = wake_noted;
	nr_waits = nr_wakes = wait_refusal = nr_waits_in_vain = 0;
	address_space_init(&mapping, PAGE_SHIFT, shared, &host_ops);
}

/* Nothing may be locked or under writeback. */
static void end(void)
{
	host_check_tree(&mapping);
	host_mapping_destroy(&mapping);
	CHECK(mapping.nrpages == 0 && host_allocated == 0);
}

static void write_folio(struct folio *folio)
{
	CHECK(folio_trylock(folio));
	folio_clear_dirty_for_io(folio);
	folio_start_writeback(&mapping, folio, false);
	folio_unlock(&mapping, folio);
	folio_end_writeback(&mapping, folio);
}

static void test_init(void)
{
	mapping.writeback_index = 7;
	mapping.nrpages = 7;
	address_space_init(&mapping, 9, true, &host_ops);
	CHECK(mapping.nrpages == 0 && mapping.writeback_index == 0 && mapping.page_shift == 9);
	CHECK(mapping.a_ops == &host_ops && mapping.i_pages.xa_shared);
	CHECK(mapping.i_pages.xa_head == NULL && mapping.i_pages.xa_hint == NULL);
	for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
		CHECK(!mapping_tagged(&mapping, (xa_mark_t)mark));
	end();
}

/* Numbers that TypeScript, or who reads the documents, knows too. */
static void test_numbers(void)
{
	static_assert(XA_MAX_ORDER == 18 && XA_MAX_INDEX == 0x7ffffffffffff, "the largest folio");
	static_assert(PAGE_SHIFT == 12 && FOLIO_CHUNK_SIZE == 1024 && FOLIO_BATCH_SIZE == 31,
		      "sizes");
	static_assert(PG_locked == 1 && PG_dirty == 2 && PG_writeback == 4 && PG_uptodate == 8 &&
			      PG_shared == 16 && PG_cached == 32,
		      "flags");
	static_assert(FOLIO_REFCOUNT_MAX == 65535 && FOLIO_ORDER_SHIFT == 11 &&
			      FOLIO_ORDER_MASK == 31 << 11,
		      "fields of a folio");
}

static void test_large(bool shared)
{
	struct folio *largest, *last;

	begin(shared);
	largest = host_add_folio(&mapping, UINT64_C(3) << XA_MAX_ORDER, XA_MAX_ORDER);
	last = host_add_folio(&mapping, XA_MAX_INDEX, 0);
	CHECK(folio_order(largest) == 18 && folio_nr_pages(largest) == 262144);
	CHECK(folio_next_index(largest) == UINT64_C(4) << 18 && folio_index(last) == XA_MAX_INDEX);
	CHECK(filemap_get_folio(&mapping, (UINT64_C(4) << 18) - 1) == largest);
	CHECK(filemap_get_folio(&mapping, XA_MAX_INDEX) == last && mapping.nrpages == 262145);
	end();
}

static void test_add(bool shared)
{
	struct folio_chunk *chunk;
	struct folio *folio, *other = NULL;
	uint32_t nr_free;

	begin(shared);
	CHECK(filemap_add_folio(&mapping, 4, 2, &folio) == -ENOSPC);
	folio = host_add_folio(&mapping, 4, 2);
	nr_free = mapping.pool.nr_free;
	CHECK(nr_free == FOLIO_CHUNK_FOLIOS - 1 && mapping.nrpages == 4);
	CHECK(folio_flags(folio) ==
	      (unsigned int)(PG_uptodate | PG_cached | 2 << FOLIO_ORDER_SHIFT |
			     (shared ? PG_shared : 0)));
	CHECK(folio_test_large(folio) && folio_nr_pages(folio) == 4);
	CHECK(folio_test_uptodate(folio) && !folio_test_dirty(folio));
	CHECK(!folio_test_locked(folio) && !folio_test_writeback(folio));
	CHECK(folio->refcount == 1 && folio_in_mapping(folio, &mapping) &&
	      marks_of(&mapping, folio) == 0);
	CHECK(folio_index(folio) == 4 && folio_order(folio) == 2 && folio_nr_pages(folio) == 4);
	CHECK(folio_next_index(folio) == 8);

	for (pgoff_t index = 4; index < 8; index++)
		CHECK(filemap_add_folio(&mapping, index, 0, &other) == -EEXIST);
	CHECK(filemap_add_folio(&mapping, 0, 4, &other) == -EEXIST);
	CHECK(filemap_add_folio(&mapping, 0, 12, &other) == -EEXIST);
	host_alloc_fails = 0;
	CHECK(filemap_add_folio(&mapping, 1 << 20, 0, &other) == -ENOMEM);
	host_alloc_fails = -1;
	CHECK(other == NULL && mapping.pool.nr_free == nr_free && mapping.nrpages == 4);
	CHECK(filemap_add_folio(&mapping, 1 << 20, 0, &other) == 0);
	CHECK(mapping.nrpages == 5 && mapping.pool.nr_free == nr_free - 1);
	end();

	begin(shared);
	host_alloc_fails = 0;
	chunk = host_alloc_chunk();
	CHECK(address_space_add_chunk(&mapping, chunk) == -ENOMEM && mapping.pool.nr_free == 0);
	host_alloc_fails = -1;
	CHECK(address_space_add_chunk(&mapping, chunk) == 0);
	CHECK(mapping.pool.nr_free == FOLIO_CHUNK_FOLIOS);
	end();
}

static void test_get(bool shared)
{
	struct folio *folio;

	begin(shared);
	CHECK(filemap_get_folio(&mapping, 0) == NULL);
	folio = host_add_folio(&mapping, 64, 6);
	CHECK(filemap_get_folio(&mapping, 63) == NULL && filemap_get_folio(&mapping, 128) == NULL);
	CHECK(filemap_get_folio(&mapping, 64) == folio && folio->refcount == 2);
	CHECK(filemap_get_folio(&mapping, 127) == folio && folio->refcount == 3);
	folio_put(&mapping, folio);
	folio_put(&mapping, folio);
	CHECK(folio->refcount == 1);
	end();
}

/* A count that once reached its end stays there, and the folio is never reused. */
static void test_stuck_references(bool shared)
{
	struct folio *folio;
	uint32_t nr_free;

	begin(shared);
	folio = host_add_folio(&mapping, 0, 0);
	nr_free = mapping.pool.nr_free;
	for (int i = 1; i < FOLIO_REFCOUNT_MAX; i++)
		folio_get(folio);
	CHECK(folio->refcount == FOLIO_REFCOUNT_MAX);
	folio_get(folio);
	CHECK(folio->refcount == FOLIO_REFCOUNT_MAX);
	for (int i = 0; i < FOLIO_REFCOUNT_MAX + 1; i++)
		folio_put(&mapping, folio);
	CHECK(folio->refcount == FOLIO_REFCOUNT_MAX);
	CHECK(filemap_remove_folio(&mapping, folio) == 0);
	CHECK(folio->refcount == FOLIO_REFCOUNT_MAX && mapping.pool.nr_free == nr_free);
	end();
}

/* A batch of neighbours, one of which has as many references as can be counted. */
static void test_stuck_neighbour(bool shared)
{
	struct folio_batch fbatch;
	struct folio *folios[8];
	pgoff_t start = 0;

	begin(shared);
	for (pgoff_t i = 0; i < 8; i++)
		folios[i] = host_add_dirty(&mapping, i, 0);
	atomic_store(&folios[3]->refcount, FOLIO_REFCOUNT_MAX);
	folio_batch_init(&fbatch);
	CHECK(filemap_get_folios_tag(&mapping, &start, 100, PAGECACHE_TAG_DIRTY, &fbatch) == 8);
	for (int i = 0; i < 8; i++) {
		CHECK(fbatch.folios[i] == folios[i] && state_of(folios[i]) == PG_dirty);
		CHECK(folios[i]->refcount == (i == 3 ? FOLIO_REFCOUNT_MAX : 2));
	}
	folio_batch_release(&mapping, &fbatch);
	for (int i = 0; i < 8; i++)
		CHECK(folios[i]->refcount == (i == 3 ? FOLIO_REFCOUNT_MAX : 1));
	end();
}

#define NR_NEIGHBOURS (2 * FOLIO_CHUNK_FOLIOS + 20)

/* Who follows whom, where a chunk begins and ends: host_check_tree() knows. */
static void test_neighbours(bool shared)
{
	static const unsigned int edges[] = {0,
					     1,
					     FOLIO_CHUNK_FOLIOS - 2,
					     FOLIO_CHUNK_FOLIOS - 1,
					     FOLIO_CHUNK_FOLIOS,
					     FOLIO_CHUNK_FOLIOS + 1,
					     2 * FOLIO_CHUNK_FOLIOS - 2,
					     2 * FOLIO_CHUNK_FOLIOS - 1};
	static struct folio *folios[NR_NEIGHBOURS];

	/* Once so that a chunk ends within a node, once where the next node begins. */
	for (pgoff_t first = 0; first <= 17; first += 17) {
		begin(shared);
		for (unsigned int i = 0; i < NR_NEIGHBOURS; i++)
			folios[i] = host_add_folio(&mapping, first + i, 0);
		host_check_tree(&mapping);
		for (size_t e = 0; e < sizeof(edges) / sizeof(edges[0]); e++) {
			unsigned int i = edges[e];

			/* The same slot again: it was freed last. */
			CHECK(filemap_remove_folio(&mapping, folios[i]) == 0);
			host_check_tree(&mapping);
			CHECK(host_add_folio(&mapping, first + i, 0) == folios[i]);
			host_check_tree(&mapping);
			/* Behind one that is in no cache any more, though its index is the one
			 * before. */
			if (i + 1 < NR_NEIGHBOURS) {
				folio_get(folios[i]);
				CHECK(filemap_remove_folio(&mapping, folios[i]) == 0);
				CHECK(filemap_remove_folio(&mapping, folios[i + 1]) == 0);
				CHECK(host_add_folio(&mapping, first + i + 1, 0) == folios[i + 1]);
				host_check_tree(&mapping);
				folio_put(&mapping, folios[i]);
				CHECK(host_add_folio(&mapping, first + i, 0) == folios[i]);
				host_check_tree(&mapping);
			}
			/* And in another slot than its neighbours', and another page in its own. */
			CHECK(filemap_remove_folio(&mapping, folios[i]) == 0);
			CHECK(host_add_folio(&mapping, first + NR_NEIGHBOURS + e, 0) == folios[i]);
			host_check_tree(&mapping);
			folios[i] = host_add_folio(&mapping, first + i, 0);
			host_check_tree(&mapping);
		}
		end();
	}
}

/* Indices of more than 32 bits, of which the lower halves alone would tell something else. */
static void test_high_indices(bool shared)
{
	static const pgoff_t indices[] = {
		7,
		8,
		(UINT64_C(1) << 32) + 9,
		(UINT64_C(1) << 32) + 10,
		(UINT64_C(2) << 32) + 11,
		UINT32_MAX,
		UINT64_C(1) << 32,
		12,
	};
	struct folio *folios[sizeof(indices) / sizeof(indices[0])];
	const size_t nr = sizeof(indices) / sizeof(indices[0]);

	begin(shared);
	host_add_folio(&mapping, UINT32_MAX, 0);
	CHECK(mapping.pool.highs == NULL);
	end();
	begin(shared);
	for (size_t i = 0; i < nr; i++) {
		folios[i] = host_add_dirty(&mapping, indices[i], 0);
		host_check_tree(&mapping);
	}
	for (size_t i = 0; i < nr; i++) {
		CHECK(folio_index(folios[i]) == indices[i]);
		CHECK(filemap_get_folio(&mapping, indices[i]) == folios[i]);
		folio_put(&mapping, folios[i]);
		CHECK(marks_of(&mapping, folios[i]) == DIRTY);
	}
	/* A slot whose index was a high one gets a low one, and its index outlasts the removal. */
	folio_get(folios[3]);
	CHECK(filemap_remove_folio(&mapping, folios[3]) == 0);
	CHECK(folio_index(folios[3]) == indices[3]);
	folio_put(&mapping, folios[3]);
	CHECK(host_add_folio(&mapping, 10, 0) == folios[3] && folio_index(folios[3]) == 10);
	host_check_tree(&mapping);
	/* Every chunk has upper halves of its own, which go with the page cache. */
	for (pgoff_t i = 0; i < FOLIO_CHUNK_FOLIOS; i++)
		host_add_folio(&mapping, (UINT64_C(3) << 32) + i, 0);
	host_check_tree(&mapping);
	end();
}

static void test_remove(bool shared)
{
	struct folio *folio, *other;
	uint32_t nr_free;

	begin(shared);
	folio = host_add_folio(&mapping, 8, 3);
	other = host_add_folio(&mapping, 16, 1);
	nr_free = mapping.pool.nr_free;
	folio_mark_dirty(&mapping, folio);
	folio_get(folio);

	CHECK(folio_trylock(folio) && !folio_trylock(folio));
	CHECK(filemap_remove_folio(&mapping, folio) == -EBUSY);
	CHECK(state_of(folio) == (PG_locked | PG_dirty) && folio->refcount == 2);
	folio_start_writeback(&mapping, folio, false);
	folio_unlock(&mapping, folio);
	nr_wakes = 0;
	CHECK(filemap_remove_folio(&mapping, folio) == -EBUSY);
	CHECK(nr_wakes == shared);
	CHECK(state_of(folio) == (PG_writeback | PG_dirty) && folio->refcount == 2);
	CHECK(mapping.nrpages == 10 && marks_of(&mapping, folio) == (DIRTY | WRITEBACK));
	folio_end_writeback(&mapping, folio);

	CHECK(filemap_remove_folio(&mapping, folio) == 0);
	CHECK(state_of(folio) == 0 && folio->refcount == 1 && !folio_test_cached(folio));
	CHECK(!folio_in_mapping(folio, &mapping) && mapping.nrpages == 2);
	CHECK(!mapping_tagged(&mapping, PAGECACHE_TAG_DIRTY));
	CHECK(filemap_get_folio(&mapping, 8) == NULL && filemap_get_folio(&mapping, 15) == NULL);
	CHECK(mapping.pool.nr_free == nr_free);
	CHECK(filemap_remove_folio(&mapping, folio) == -ENOENT);
	CHECK(state_of(folio) == 0 && folio->refcount == 1 && mapping.nrpages == 2);
	/* Its index and order stay. */
	CHECK(folio_index(folio) == 8 && folio_order(folio) == 3);

	/* It gets the flags, but nothing of them reaches the tree. */
	CHECK(folio_mark_dirty(&mapping, folio) && !folio_mark_dirty(&mapping, folio));
	CHECK(state_of(folio) == PG_dirty);
	CHECK(!folio_trylock_for_io(folio) && state_of(folio) == PG_dirty);
	CHECK(folio_trylock(folio));
	folio_start_writeback(&mapping, folio, false);
	CHECK(state_of(folio) == (PG_locked | PG_dirty | PG_writeback));
	CHECK(!mapping_tagged(&mapping, PAGECACHE_TAG_WRITEBACK));
	folio_end_writeback(&mapping, folio);
	folio_unlock(&mapping, folio);
	CHECK(!mapping_tagged(&mapping, PAGECACHE_TAG_DIRTY));
	folio_put(&mapping, folio);
	CHECK(mapping.pool.nr_free == nr_free + 1);
	CHECK(filemap_remove_folio(&mapping, other) == 0);
	CHECK(mapping.nrpages == 0 && mapping.i_pages.xa_head == NULL);
	end();
}

/* Reclaim takes a clean folio, which it has locked, and no other. */
static void test_remove_mapping(bool shared)
{
	struct folio *folio;

	begin(shared);
	folio = host_add_folio(&mapping, 8, 3);
	folio_get(folio);
	folio_mark_dirty(&mapping, folio);
	CHECK(folio_trylock(folio));
	CHECK(remove_mapping(&mapping, folio) == -EBUSY);
	CHECK(state_of(folio) == (PG_locked | PG_dirty) && folio->refcount == 2);
	CHECK(folio_clear_dirty_for_io(folio));
	folio_start_writeback(&mapping, folio, false);
	CHECK(remove_mapping(&mapping, folio) == -EBUSY);
	CHECK(state_of(folio) == (PG_locked | PG_writeback) && mapping.nrpages == 8);
	folio_end_writeback(&mapping, folio);
	CHECK(remove_mapping(&mapping, folio) == 0);
	CHECK(state_of(folio) == PG_locked && folio->refcount == 1 && mapping.nrpages == 0);
	CHECK(filemap_get_folio(&mapping, 8) == NULL);
	CHECK(remove_mapping(&mapping, folio) == -ENOENT && folio->refcount == 1);
	folio_unlock(&mapping, folio);
	folio_put(&mapping, folio);
	end();
}

/* A folio of another page cache is none of ours. */
static void test_other_mapping(bool shared)
{
	struct address_space other;
	struct folio *folio, *ours;

	begin(shared);
	address_space_init(&other, PAGE_SHIFT, shared, &host_ops);
	host_ops.wake = NULL;
	folio = host_add_folio(&other, 3, 0);
	CHECK(!folio_in_mapping(folio, &mapping));
	ours = host_add_folio(&mapping, 3, 0);
	CHECK(folio_in_mapping(folio, &other) && !folio_in_mapping(folio, &mapping));
	folio_mark_dirty(&other, folio);
	CHECK(filemap_remove_folio(&mapping, folio) == -ENOENT);
	CHECK(state_of(folio) == PG_dirty && marks_of(&other, folio) == DIRTY &&
	      marks_of(&mapping, ours) == 0);
	CHECK(mapping.nrpages == 1 && other.nrpages == 1);
	host_mapping_destroy(&other);
	end();
}

static void test_trylock_for_io(bool shared)
{
	static const unsigned int unfit[] = {
		0,
		PG_locked,
		PG_writeback,
		PG_locked | PG_dirty,
		PG_dirty | PG_writeback,
		PG_locked | PG_writeback,
		PG_locked | PG_dirty | PG_writeback,
	};
	struct folio *folio;

	begin(shared);
	folio = host_add_folio(&mapping, 0, 0);
	for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++) {
		folio_change_flags(folio, unfit[i], PG_locked | PG_dirty | PG_writeback);
		CHECK(!folio_trylock_for_io(folio) && state_of(folio) == unfit[i]);
	}
	folio_change_flags(folio, 0, PG_locked | PG_dirty | PG_writeback);
	CHECK(folio_mark_dirty(&mapping, folio));
	CHECK(folio_trylock_for_io(folio) && state_of(folio) == PG_locked);
	CHECK(marks_of(&mapping, folio) == DIRTY && folio_test_uptodate(folio) && nr_wakes == 0);
	folio_unlock(&mapping, folio);
	CHECK(nr_wakes == shared);
	end();
}

static void test_writeback(bool shared)
{
	struct xa_state xas;
	struct folio *folio;

	begin(shared);
	folio = host_add_folio(&mapping, 0, 0);
	CHECK(folio_mark_dirty(&mapping, folio) && marks_of(&mapping, folio) == DIRTY);
	CHECK(!folio_mark_dirty(&mapping, folio) && state_of(folio) == PG_dirty);

	CHECK(folio_trylock(folio) && folio_clear_dirty_for_io(folio));
	CHECK(!folio_clear_dirty_for_io(folio));
	CHECK(state_of(folio) == PG_locked && marks_of(&mapping, folio) == DIRTY);
	xas = folio_xas(&mapping, folio);
	xas_set_mark(&xas, PAGECACHE_TAG_TOWRITE);
	folio_start_writeback(&mapping, folio, true);
	CHECK(state_of(folio) == (PG_locked | PG_writeback));
	CHECK(marks_of(&mapping, folio) == (WRITEBACK | TOWRITE));
	CHECK(folio_mark_dirty(&mapping, folio));
	CHECK(nr_wakes == 0);
	folio_end_writeback(&mapping, folio);
	CHECK(nr_wakes == shared && (!shared || asked_flag == PG_writeback));
	CHECK(!shared || asked_folio == folio);
	CHECK(state_of(folio) == (PG_locked | PG_dirty) &&
	      marks_of(&mapping, folio) == (DIRTY | TOWRITE));

	/* Dirtied again since its flag was cleared: the mark stays. */
	folio_start_writeback(&mapping, folio, false);
	CHECK(marks_of(&mapping, folio) == (DIRTY | WRITEBACK));
	folio_unlock(&mapping, folio);
	CHECK(nr_wakes == 2 * shared && (!shared || asked_flag == PG_locked));
	folio_end_writeback(&mapping, folio);
	CHECK(state_of(folio) == PG_dirty && marks_of(&mapping, folio) == DIRTY);
	write_folio(folio);
	CHECK(state_of(folio) == 0 && marks_of(&mapping, folio) == 0);
	end();
}

static void test_waits(bool shared)
{
	struct folio *folio;

	begin(shared);
	folio = host_add_folio(&mapping, 0, 0);
	CHECK(folio_lock(&mapping, folio) == 0 && nr_waits == 0);
	/* Who waits looks again. */
	nr_waits_in_vain = 2;
	CHECK(folio_lock(&mapping, folio) == 0 && nr_waits == 3);
	CHECK(asked_folio == folio && asked_flag == PG_locked && folio_test_locked(folio));
	wait_refusal = -EINTR;
	CHECK(folio_lock(&mapping, folio) == -EINTR && nr_waits == 4);
	CHECK(folio_wait_writeback(&mapping, folio) == 0 && nr_waits == 4);
	folio_start_writeback(&mapping, folio, false);
	CHECK(folio_wait_writeback(&mapping, folio) == -EINTR && nr_waits == 5);
	CHECK(asked_flag == PG_writeback && folio_test_writeback(folio));
	wait_refusal = 0;
	nr_waits_in_vain = 2;
	CHECK(folio_wait_writeback(&mapping, folio) == 0 && nr_waits == 8);
	CHECK(state_of(folio) == PG_locked);

	/* Where nobody can ever sleep. */
	host_ops.wait = NULL;
	host_ops.wake = NULL;
	CHECK(folio_lock(&mapping, folio) == -EDEADLK);
	folio_start_writeback(&mapping, folio, false);
	CHECK(folio_wait_writeback(&mapping, folio) == -EDEADLK);
	folio_end_writeback(&mapping, folio);
	folio_unlock(&mapping, folio);
	end();
}

/* Batches are full but for the last; where a lookup goes on. */
static void test_get_folios_tag(bool shared)
{
	struct folio *folios[40];
	struct folio_batch fbatch;
	pgoff_t start = 0;

	begin(shared);
	for (unsigned int i = 0; i < 40; i++) {
		folios[i] = host_add_folio(&mapping, 4 * i, 1);
		if (i != 3)
			folio_mark_dirty(&mapping, folios[i]);
	}
	folio_batch_init(&fbatch);
	CHECK(filemap_get_folios_tag(&mapping, &start, 159, PAGECACHE_TAG_DIRTY, &fbatch) == 31);
	CHECK(start == 126 && fbatch.nr == FOLIO_BATCH_SIZE && fbatch.i == 0);
	for (unsigned int i = 0; i < 31; i++) {
		struct folio *folio = folio_batch_next(&fbatch);

		CHECK(folio == folios[i + (i >= 3)] && folio->refcount == 2);
	}
	CHECK(folio_batch_next(&fbatch) == NULL && folio_batch_next(&fbatch) == NULL);
	folio_batch_release(&mapping, &fbatch);
	CHECK(fbatch.nr == 0 && fbatch.i == 0 && folios[0]->refcount == 1);
	CHECK(filemap_get_folios_tag(&mapping, &start, 156, PAGECACHE_TAG_DIRTY, &fbatch) == 8);
	CHECK(fbatch.folios[0] == folios[32] && fbatch.folios[7] == folios[39] && start == 157);
	folio_batch_release(&mapping, &fbatch);

	/* One that begins before the start but covers it counts; one at the end does, behind not.
	 */
	start = 5;
	CHECK(filemap_get_folios_tag(&mapping, &start, 8, PAGECACHE_TAG_DIRTY, &fbatch) == 2);
	CHECK(fbatch.folios[0] == folios[1] && fbatch.folios[1] == folios[2] && start == 9);
	folio_batch_release(&mapping, &fbatch);
	start = 6;
	CHECK(filemap_get_folios_tag(&mapping, &start, 7, PAGECACHE_TAG_DIRTY, &fbatch) == 0);
	CHECK(start == 8);
	start = 0;
	CHECK(filemap_get_folios_tag(&mapping, &start, UINT64_MAX, PAGECACHE_TAG_TOWRITE,
				     &fbatch) == 0);
	CHECK(start == UINT64_MAX);
	start = 0;
	CHECK(filemap_get_folios_tag(&mapping, &start, UINT64_MAX - 1, PAGECACHE_TAG_WRITEBACK,
				     &fbatch) == 0);
	CHECK(start == UINT64_MAX);
	end();
}

int main(void)
{
	test_numbers();
	test_init();
	for (int shared = 0; shared < 2; shared++) {
		test_add(shared != 0);
		test_large(shared != 0);
		test_get(shared != 0);
		test_stuck_references(shared != 0);
		test_stuck_neighbour(shared != 0);
		test_neighbours(shared != 0);
		test_high_indices(shared != 0);
		test_remove(shared != 0);
		test_remove_mapping(shared != 0);
		test_other_mapping(shared != 0);
		test_trylock_for_io(shared != 0);
		test_writeback(shared != 0);
		test_waits(shared != 0);
		test_get_folios_tag(shared != 0);
	}
	printf("the page cache does what it says\n");
	return 0;
}
