// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page cache, function by function: results, references, flags and marks.
 */
#include <errno.h>
#include <string.h>

#include "folio_state.h"
#include "host.h"

static struct address_space mapping;

/* The host's last request, the number of requests, and the host's answer. */
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
	CHECK(mapping.i_pages.xa_head == 0 && mapping.i_pages.xa_hint == 0);
	for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
		CHECK(!mapping_tagged(&mapping, (xa_mark_t)mark));
	end();
}

/* These numbers are also in TypeScript or in the documents. */
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

/* A batch of neighbours, one of which has the greatest number of references that can be counted. */
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

/* How many folios a lookup takes for a run that begins with the folio at this index. */
static uint32_t run_at(pgoff_t index)
{
	XA_STATE(xas, &mapping.i_pages, index);
	uint64_t bits = 0;
	uint32_t nr;

	CHECK(xas_next_run(&mapping, &xas, &bits, UINT64_MAX, XA_PRESENT, XA_CHUNK_SIZE, &nr) !=
	      NULL);
	return nr;
}

/* A run is of single pages that follow one another in a node and in memory. */
static void test_runs(bool shared)
{
	struct folio *folio;

	begin(shared);
	for (pgoff_t i = 0; i < 2 * FOLIO_CHUNK_FOLIOS; i++)
		host_add_folio(&mapping, i, 0);
	CHECK(run_at(0) == 64 && run_at(10) == 54 && run_at(63) == 1 && run_at(64) == 64);
	/* A run ends at the end of a chunk. */
	CHECK(run_at(FOLIO_CHUNK_FOLIOS - 2) == 2 && run_at(FOLIO_CHUNK_FOLIOS - 1) == 1);
	CHECK(run_at(FOLIO_CHUNK_FOLIOS) == 64 - FOLIO_CHUNK_FOLIOS % 64);
	/* The pool hands out the freed slots in reverse order, so their folios are no run. */
	for (pgoff_t i = 20; i < 23; i++) {
		folio = filemap_get_folio(&mapping, i);
		CHECK(filemap_remove_folio(&mapping, folio) == 0);
		folio_put(&mapping, folio);
	}
	CHECK(run_at(10) == 10 && run_at(20) == 41);
	for (pgoff_t i = 20; i < 23; i++)
		host_add_folio(&mapping, i, 0);
	CHECK(run_at(10) == 10 && run_at(20) == 1 && run_at(21) == 1 && run_at(22) == 1);
	CHECK(run_at(23) == 41);
	end();

	/* The last of a run is no large folio, though it is next to the one before. */
	begin(shared);
	host_add_folio(&mapping, 0, 0);
	host_add_folio(&mapping, 1, 0);
	host_add_folio(&mapping, 2, 1);
	host_add_folio(&mapping, 4, 0);
	host_add_folio(&mapping, 64, 6);
	host_add_folio(&mapping, 128, 6);
	CHECK(run_at(0) == 2 && run_at(2) == 1 && run_at(4) == 1 && run_at(64) == 1);
	end();

	begin(shared);
	host_add_folio(&mapping, 61, 0);
	host_add_folio(&mapping, 62, 1);
	CHECK(run_at(61) == 1 && run_at(62) == 1);
	end();
}

/* Adding folios side by side is the same as adding them one by one. */
static void test_add_folios(bool shared)
{
	static const struct {
		pgoff_t index;
		uint64_t count;
		unsigned int order;
	} adds[] = {
		{0, 1, 0},
		{60, 200, 0},
		{60, 20, 1},
		{0, 40, 5},
		{64, 100, 6},
		{1 << 18, 3, XA_MAX_ORDER},
		{XA_MAX_INDEX - 99, 100, 0},
		{(UINT64_C(1) << 32) - 70, 140, 0},
	};

	for (size_t i = 0; i < sizeof(adds) / sizeof(adds[0]); i++) {
		const pgoff_t index = adds[i].index;
		const uint64_t nr_pages = adds[i].count << adds[i].order;
		pgoff_t next = index;

		begin(shared);
		CHECK(address_space_add_chunk(&mapping, host_alloc_chunk()) == 0);
		CHECK(filemap_add_folios(&mapping, index, adds[i].count, adds[i].order) == 0);
		host_check_tree(&mapping);
		CHECK(mapping.nrpages == nr_pages);
		CHECK(mapping.pool.nr_free == FOLIO_CHUNK_FOLIOS - adds[i].count);
		for (; next < index + nr_pages; next += UINT64_C(1) << adds[i].order) {
			struct folio *folio = filemap_get_folio(&mapping, next);

			CHECK(folio_index(folio) == next && folio_order(folio) == adds[i].order);
			CHECK(state_of(folio) == 0 && folio_test_uptodate(folio));
			CHECK(folio->refcount == 2 && marks_of(&mapping, folio) == 0);
			folio_put(&mapping, folio);
		}
		/* The call adds all folios or none. */
		CHECK(filemap_add_folios(&mapping, next - (UINT64_C(1) << adds[i].order), 1,
					 adds[i].order) == -EEXIST);
		if (index >= UINT64_C(4) << adds[i].order)
			CHECK(filemap_add_folios(&mapping, index - (UINT64_C(4) << adds[i].order),
						 5, adds[i].order) == -EEXIST);
		CHECK(filemap_add_folios(&mapping, 0, 0, 0) == 0);
		CHECK(filemap_add_folios(&mapping, UINT64_C(1) << 40, FOLIO_CHUNK_FOLIOS, 0) ==
		      -ENOSPC);
		CHECK(mapping.nrpages == nr_pages);
		end();
	}
}

/* A folio that is dirty already keeps its marks. */
static void test_dirty_range(bool shared)
{
	struct folio *clean, *cleaned;

	begin(shared);
	for (pgoff_t i = 0; i < 200; i++)
		host_add_folio(&mapping, i, 0);
	host_add_folio(&mapping, 200, 3);
	CHECK(filemap_dirty_range(&mapping, 10, 9) == 0);
	CHECK(filemap_dirty_range(&mapping, 1000, 2000) == 0);
	CHECK(filemap_dirty_range(&mapping, 60, 70) == 11);
	cleaned = filemap_get_folio(&mapping, 65);
	CHECK(folio_trylock(cleaned));
	folio_start_writeback(&mapping, cleaned, false);
	CHECK(marks_of(&mapping, cleaned) == (DIRTY | WRITEBACK));
	CHECK(folio_clear_dirty_for_io(cleaned));
	clean = filemap_get_folio(&mapping, 71);
	CHECK(marks_of(&mapping, clean) == 0 && state_of(clean) == 0);
	CHECK(filemap_dirty_range(&mapping, 60, 207) == 131);
	CHECK(state_of(clean) == PG_dirty && marks_of(&mapping, clean) == DIRTY);
	CHECK(state_of(cleaned) == (PG_dirty | PG_locked | PG_writeback));
	CHECK(filemap_block_dirty(&mapping, 64) && filemap_block_dirty(&mapping, 127));
	CHECK(!filemap_block_dirty(&mapping, 63) && !filemap_block_dirty(&mapping, 1000));
	/* The folio's dirty flag is set, so the call does not check its mark. */
	xa_lock(&mapping.i_pages);
	{
		struct xa_state xas = folio_xas(&mapping, clean);

		xas_clear_mark(&xas, PAGECACHE_TAG_DIRTY);
	}
	xa_unlock(&mapping.i_pages);
	CHECK(filemap_dirty_range(&mapping, 0, UINT64_MAX) == 60);
	CHECK(marks_of(&mapping, clean) == 0 && mapping_tagged(&mapping, PAGECACHE_TAG_DIRTY));
	folio_end_writeback(&mapping, cleaned);
	folio_unlock(&mapping, cleaned);
	folio_put(&mapping, cleaned);
	folio_put(&mapping, clean);
	end();
}

/* The host fails to give memory for the nodes: the call fails, and nothing has changed. */
static void test_given_nodes(bool shared)
{
	struct xa_node *nodes[2];
	struct folio *folio;

	begin(shared);
	CHECK(address_space_add_chunk(&mapping, host_alloc_chunk()) == 0);
	nodes[0] = calloc(32, sizeof(struct xa_node));
	nodes[1] = calloc(64, sizeof(struct xa_node));
	CHECK(nodes[0] != NULL && nodes[1] != NULL);
	host_alloc_fails = 0;
	CHECK(address_space_give_nodes(&mapping, nodes[0], 32) == -ENOMEM);
	host_alloc_fails = -1;
	CHECK(address_space_give_nodes(&mapping, nodes[0], XA_MAX_NODES + 1) == -ENOMEM);
	CHECK(address_space_give_nodes(&mapping, nodes[0], 32) == 0);
	for (pgoff_t i = 0; i < 13; i++)
		CHECK(filemap_add_folio(&mapping, 64 * i, 0, &folio) == 0);
	CHECK(folio_mark_dirty(&mapping, folio));
	CHECK(filemap_add_folio(&mapping, 64 * 13, 0, &folio) == -ENOSPC);
	CHECK(filemap_add_folios(&mapping, 64 * 13, 100, 0) == -ENOSPC && mapping.nrpages == 13);
	host_check_tree(&mapping);
	CHECK(address_space_give_nodes(&mapping, nodes[1], 64) == 0);
	memset(nodes[0], 0xff, 32 * sizeof(struct xa_node));
	host_check_tree(&mapping);
	CHECK(filemap_add_folios(&mapping, 64 * 13, 100, 0) == 0 && mapping.nrpages == 113);
	CHECK(mapping_tagged(&mapping, PAGECACHE_TAG_DIRTY));
	/* Not all folios find room: the call removes those that it added. */
	CHECK(address_space_add_chunk(&mapping, host_alloc_chunk()) == 0);
	CHECK(address_space_add_chunk(&mapping, host_alloc_chunk()) == 0);
	CHECK(filemap_add_folios(&mapping, 4096, 2000, 0) == -ENOSPC && mapping.nrpages == 113);
	host_check_tree(&mapping);
	end();
	free(nodes[0]);
	free(nodes[1]);
}

/* Indices of more than 32 bits, whose lower halves alone would name other pages. */
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
	/* A slot whose index was high gets a low index; the index stays after the removal. */
	folio_get(folios[3]);
	CHECK(filemap_remove_folio(&mapping, folios[3]) == 0);
	CHECK(folio_index(folios[3]) == indices[3]);
	folio_put(&mapping, folios[3]);
	CHECK(host_add_folio(&mapping, 10, 0) == folios[3] && folio_index(folios[3]) == 10);
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
	/* The index and order of a removed folio stay. */
	CHECK(folio_index(folio) == 8 && folio_order(folio) == 3);

	/* The functions change the flags of a removed folio, but not the tree. */
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
	CHECK(mapping.nrpages == 0 && mapping.i_pages.xa_head == 0);
	end();
}

/* Reclaim removes only a clean folio, which it has locked. */
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

/* A folio of another page cache is not in this one. */
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

	/* The folio was dirtied again after its flag was cleared: the mark stays. */
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
	/* The waiter checks the flag again. */
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

	/* A host whose threads never sleep. */
	host_ops.wait = NULL;
	host_ops.wake = NULL;
	CHECK(folio_lock(&mapping, folio) == -EDEADLK);
	folio_start_writeback(&mapping, folio, false);
	CHECK(folio_wait_writeback(&mapping, folio) == -EDEADLK);
	folio_end_writeback(&mapping, folio);
	folio_unlock(&mapping, folio);
	end();
}

/* Every batch but the last is full; @start is where the next lookup begins. */
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

	/*
	 * A lookup finds a folio that begins before the start and covers it, and one that begins at
	 * the end, but none behind the end.
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
		test_runs(shared != 0);
		test_add_folios(shared != 0);
		test_dirty_range(shared != 0);
		test_given_nodes(shared != 0);
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
