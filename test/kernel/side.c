// SPDX-License-Identifier: GPL-2.0-only
// One side of the comparison as a table of operations; compiled over the kernel's page cache
// (ORACLE_KERNEL) and over the core's, each time as a library that exports only that table,
// ORACLE_OPS.

#ifdef ORACLE_KERNEL
#include "side_kernel.h"
#else
#include "side_core.h"
#endif
#include "oracle.h"
#include "../../bench/phases.h"

struct oracle {
	struct side side; /* first, so that a pointer to it is one to the oracle */
	struct writeback_control wbc;
	bool running;
	struct folio *hand;
	struct folio *removed;
	oracle_waited_fn *waited;
	void *context;
};

static const xa_mark_t tag_of_mark[ORACLE_NR_MARKS] = {
	[ORACLE_DIRTY] = PAGECACHE_TAG_DIRTY,
	[ORACLE_WRITEBACK] = PAGECACHE_TAG_WRITEBACK,
	[ORACLE_TOWRITE] = PAGECACHE_TAG_TOWRITE,
};

static void side_waited(struct side *side, struct folio *folio, bool for_writeback)
{
	struct oracle *oracle = (struct oracle *)side;

	oracle->waited(oracle->context, for_writeback, folio_index(folio));
	if (for_writeback)
		folio_end_writeback(&side->mapping, folio);
	else
		folio_unlock(&side->mapping, folio);
}

static struct oracle *oracle_create(oracle_waited_fn *waited, void *context)
{
	struct oracle *oracle = calloc(1, sizeof(*oracle));

	if (oracle == NULL)
		return NULL;
	if (!side_init(&oracle->side, false)) {
		free(oracle);
		return NULL;
	}
	oracle->waited = waited;
	oracle->context = context;
	return oracle;
}

static void abandon_pass(struct oracle *oracle)
{
	if (oracle->running)
		folio_batch_release(&oracle->side.mapping, &oracle->wbc.fbatch);
	oracle->running = false;
}

static void forget_removed(struct oracle *oracle)
{
	if (oracle->removed != NULL)
		folio_put(&oracle->side.mapping, oracle->removed);
	oracle->removed = NULL;
}

static void oracle_destroy(struct oracle *oracle)
{
	abandon_pass(oracle);
	forget_removed(oracle);
	side_destroy(&oracle->side);
	free(oracle);
}

/* The folio that begins at that page, or NULL. Unreferenced: the cache keeps it until the next
 * call. */
static struct folio *find(struct oracle *oracle, uint64_t index)
{
	struct folio *folio = filemap_get_folio(&oracle->side.mapping, index);

	if (folio == NULL)
		return NULL;
	folio_put(&oracle->side.mapping, folio);
	return folio_index(folio) == index ? folio : NULL;
}

static int oracle_add(struct oracle *oracle, uint64_t index, unsigned int order)
{
	struct folio *folio;

	return side_add(&oracle->side, index, order, &folio);
}

static int oracle_dirty(struct oracle *oracle, uint64_t index)
{
	struct folio *folio = find(oracle, index);

	return folio == NULL ? -ENOENT : folio_mark_dirty(&oracle->side.mapping, folio);
}

static int oracle_remove(struct oracle *oracle, uint64_t index)
{
	struct folio *folio = find(oracle, index);

	if (folio == NULL)
		return -ENOENT;
	folio_get(folio);
	forget_removed(oracle);
	oracle->removed = folio;
	return side_remove(&oracle->side, folio);
}

static int oracle_dirty_removed(struct oracle *oracle)
{
	if (oracle->removed == NULL)
		return -ENOENT;
	return folio_mark_dirty(&oracle->side.mapping, oracle->removed);
}

static int oracle_lock(struct oracle *oracle, uint64_t index)
{
	struct folio *folio = find(oracle, index);

	return folio == NULL ? -ENOENT : folio_trylock(folio);
}

static int oracle_unlock(struct oracle *oracle, uint64_t index)
{
	struct folio *folio = find(oracle, index);

	if (folio == NULL)
		return -ENOENT;
	if (!folio_test_locked(folio))
		return -EINVAL;
	folio_unlock(&oracle->side.mapping, folio);
	return 0;
}

static int oracle_start(struct oracle *oracle, uint64_t index, bool keep_write)
{
	struct folio *folio = find(oracle, index);

	if (folio == NULL)
		return -ENOENT;
	if (!folio_test_locked(folio) || folio_test_writeback(folio))
		return -EINVAL;
	folio_start_writeback(&oracle->side.mapping, folio, keep_write);
	return 0;
}

static int oracle_end(struct oracle *oracle, uint64_t index)
{
	struct folio *folio = find(oracle, index);

	if (folio == NULL)
		return -ENOENT;
	if (!folio_test_writeback(folio))
		return -EINVAL;
	folio_end_writeback(&oracle->side.mapping, folio);
	return 0;
}

static int oracle_redirty(struct oracle *oracle, uint64_t index, int64_t *pages_skipped)
{
	struct folio *folio = find(oracle, index);
	int dirtied;

	if (folio == NULL)
		return -ENOENT;
	dirtied = folio_redirty_for_writepage(&oracle->side.mapping, &oracle->wbc, folio);
	*pages_skipped = oracle->wbc.pages_skipped;
	return dirtied;
}

static int oracle_flags(struct oracle *oracle, uint64_t index)
{
	struct folio *folio = find(oracle, index);

	if (folio == NULL)
		return -ENOENT;
	return (int)((folio_test_locked(folio) ? ORACLE_FLAG_LOCKED : 0) |
		     (folio_test_dirty(folio) ? ORACLE_FLAG_DIRTY : 0) |
		     (folio_test_writeback(folio) ? ORACLE_FLAG_WRITEBACK : 0) |
		     (folio_test_uptodate(folio) ? ORACLE_FLAG_UPTODATE : 0));
}

static void oracle_tag(struct oracle *oracle, uint64_t first, uint64_t last)
{
	tag_pages_for_writeback(&oracle->side.mapping, first, last);
}

static void oracle_begin(struct oracle *oracle, const struct oracle_pass *pass)
{
	abandon_pass(oracle);
	oracle->wbc = (struct writeback_control){
		.nr_to_write = pass->nr_to_write,
		.range_start = pass->range_start,
		.range_end = pass->range_end,
		.sync_mode = pass->sync_all ? WB_SYNC_ALL : WB_SYNC_NONE,
		.tagged_writepages = pass->tagged_writepages,
		.range_cyclic = pass->range_cyclic,
	};
	oracle->hand = NULL;
}

static void oracle_next(struct oracle *oracle, int error, struct oracle_next *next)
{
	struct folio *folio =
		writeback_iter(&oracle->side.mapping, &oracle->wbc, oracle->hand, &error);

	oracle->hand = folio;
	oracle->running = folio != NULL;
	*next = (struct oracle_next){
		.done = folio == NULL,
		.index = folio == NULL ? 0 : folio_index(folio),
		.order = folio == NULL ? 0 : folio_order(folio),
		.error = error,
		.nr_to_write = oracle->wbc.nr_to_write,
		.writeback_index = oracle->side.mapping.writeback_index,
	};
}

static size_t oracle_marks(struct oracle *oracle, enum oracle_mark mark, uint64_t *indices,
			   size_t room)
{
	struct address_space *mapping = &oracle->side.mapping;
	struct folio_batch fbatch;
	pgoff_t start = 0;
	size_t nr = 0;

	folio_batch_init(&fbatch);
	while (filemap_get_folios_tag(mapping, &start, UINT64_MAX, tag_of_mark[mark], &fbatch) !=
	       0) {
		struct folio *folio;

		while ((folio = folio_batch_next(&fbatch)) != NULL) {
			if (nr < room)
				indices[nr] = folio_index(folio);
			nr++;
		}
		folio_batch_release(mapping, &fbatch);
		folio_batch_init(&fbatch);
	}
	return nr;
}

static uint64_t oracle_nrpages(struct oracle *oracle)
{
	return oracle->side.mapping.nrpages;
}

static bool oracle_tagged(struct oracle *oracle, enum oracle_mark mark)
{
	return mapping_tagged(&oracle->side.mapping, tag_of_mark[mark]);
}

struct oracle_bench {
	struct side side;
	size_t nr;
	struct folio *folios[];
};

static void oracle_bench_close(struct oracle_bench *bench)
{
	side_destroy(&bench->side);
	free(bench);
}

static struct oracle_bench *oracle_bench_open(const struct oracle_shape *shape, bool shared)
{
	struct oracle_bench *bench =
		calloc(1, sizeof(*bench) + shape->folios * sizeof(bench->folios[0]));

	if (bench == NULL)
		return NULL;
	if (!side_init(&bench->side, shared)) {
		free(bench);
		return NULL;
	}
	while (bench->nr < shape->folios) {
		uint64_t index = bench->nr * shape->stride << shape->order;

		if (side_add(&bench->side, index, shape->order, &bench->folios[bench->nr]) != 0) {
			oracle_bench_close(bench);
			return NULL;
		}
		bench->nr++;
	}
	return bench;
}

static bool oracle_bench_measure(struct oracle_bench *bench, double nanoseconds[NR_PHASES])
{
	return measure_phases(&bench->side.mapping, bench->folios, bench->nr, nanoseconds);
}

__attribute__((visibility("default"))) const struct oracle_ops ORACLE_OPS = {
	.name = SIDE_NAME,
	.create = oracle_create,
	.destroy = oracle_destroy,
	.add = oracle_add,
	.dirty = oracle_dirty,
	.remove = oracle_remove,
	.dirty_removed = oracle_dirty_removed,
	.lock = oracle_lock,
	.unlock = oracle_unlock,
	.start = oracle_start,
	.end = oracle_end,
	.redirty = oracle_redirty,
	.flags = oracle_flags,
	.tag = oracle_tag,
	.begin = oracle_begin,
	.next = oracle_next,
	.marks = oracle_marks,
	.nrpages = oracle_nrpages,
	.tagged = oracle_tagged,
	.bench_open = oracle_bench_open,
	.bench_measure = oracle_bench_measure,
	.bench_close = oracle_bench_close,
};
