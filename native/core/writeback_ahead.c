// SPDX-License-Identifier: GPL-2.0-only
/*
 * The protocol: writeback_iter() returns a folio. writeback_look_ahead() finds those behind it that
 * writeback_iter() would return one after another, if each were written, ended and handed back
 * without error and nothing else happened meanwhile. The host writes them. At their end,
 * writeback_end_ahead() does what the host and writeback_iter() would have done to them all. If
 * anything might look at a folio, a mark or the pass before that, writeback_settle_ahead() first
 * makes everything as it would be had the host gone folio by folio: nobody sees that it did not.
 *
 * The lookups of batches are part of that: each sees the marks of its own moment, so that what is
 * dirtied later may or may not be found. Where nobody can change a mark meanwhile, many lookups in
 * a row see what one walk of the tree sees; and only the last one's batch is left to be seen.
 *
 * Unshared mappings only: a thread would see.
 */
#include "writeback_ahead.h"

/* A pass starts. */
void writeback_begin_ahead(struct writeback_ahead *ahead)
{
	ahead->nr = 0;
	ahead->batches = 1;
}

/* How far a stretch may go. */
struct limits {
	uint32_t max_folios;
	bool contiguous;
	uint64_t max_pages;
	int64_t nr_to_write;
};

/* How far it goes so far; in registers, where struct writeback_ahead could not be. */
struct reach {
	uint32_t nr;
	uint32_t nr_runs;
	uint64_t nr_pages;
	pgoff_t index; /* where a contiguous one goes on */
};

/* Adds folios that are one run; the one before grows by them if the two are one. */
static inline void ahead_add_run(struct writeback_ahead *ahead, struct reach *reach,
				 struct folio *first, uint32_t nr)
{
	struct folio_run *last = &ahead->runs[reach->nr_runs - 1];
	pgoff_t index = folio_index(first);

	/*
	 * A node begins where all these bits of the index are 0. No folio is the one page behind
	 * the first of a large folio.
	 */
	if (first == last->first + last->nr && index == folio_index(last->first) + last->nr &&
	    (index & XA_CHUNK_MASK) != 0 && !folio_test_large(first)) {
		last->nr += nr;
		return;
	}
	ahead->runs[reach->nr_runs++] = (struct folio_run){.first = first, .nr = nr};
}

/* Adds a folio, if writeback_iter() would return it next, and at once. */
static inline bool ahead_add(struct writeback_ahead *ahead, struct reach *reach,
			     struct folio *folio, struct limits limits)
{
	uint64_t nr_pages = (uint64_t)folio_nr_pages(folio);

	if (!can_lock_for_io(folio_flags(folio)))
		return false;
	if (reach->nr == limits.max_folios || (int64_t)reach->nr_pages >= limits.nr_to_write)
		return false;
	if (limits.contiguous &&
	    (folio_index(folio) != reach->index || reach->nr_pages + nr_pages > limits.max_pages))
		return false;
	ahead_add_run(ahead, reach, folio, 1);
	reach->nr++;
	reach->nr_pages += nr_pages;
	reach->index += nr_pages;
	return true;
}

static inline int64_t less(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* How many of these, up to the first that cannot, can be locked for I/O. */
static inline uint32_t ready_for_io(const struct folio *first, uint32_t nr)
{
	const folio_word_t *words = folio_words(first);
	uint32_t differ = 0;
	uint32_t i;

	for (i = 0; i < nr; i++)
		differ |= (words[i] & (PG_locked | PG_dirty | PG_writeback)) ^ PG_dirty;
	if (likely(differ == 0))
		return nr;
	for (i = 0; can_lock_for_io(words[i]); i++)
		;
	return i;
}

/* ahead_add() for the pages of a run. Returns how many. */
static inline uint32_t ahead_add_pages(struct writeback_ahead *ahead, struct reach *reach,
				       struct folio *first, uint32_t nr, struct limits limits)
{
	int64_t room = limits.nr_to_write - (int64_t)reach->nr_pages;

	if (limits.contiguous) {
		if (folio_index(first) != reach->index)
			return 0;
		/* Negative where the first folio is larger than all that an extent may have. */
		room = less(room, (int64_t)limits.max_pages - (int64_t)reach->nr_pages);
	} else {
		room = less(room, limits.max_folios - reach->nr);
	}
	if (room < nr)
		nr = room < 0 ? 0 : (uint32_t)room;
	nr = ready_for_io(first, nr);
	if (nr != 0)
		ahead_add_run(ahead, reach, first, nr);
	reach->nr += nr;
	reach->nr_pages += nr;
	reach->index += nr;
	return nr;
}

/* As many of a run's folios as writeback_iter() would return next. Whether that is all of them. */
static inline bool ahead_add_all(struct writeback_ahead *ahead, struct reach *reach,
				 struct folio *first, uint32_t nr, struct limits limits)
{
	if (nr == 1)
		return ahead_add(ahead, reach, first, limits);
	return ahead_add_pages(ahead, reach, first, nr, limits) == nr;
}

/* How many folios of the batch, from one on, are a run: none of those was removed meanwhile. */
static inline uint32_t batch_run_length(const struct folio_batch *fbatch, uint32_t i)
{
	struct folio *const *folios = &fbatch->folios[i];
	uint32_t max = folio_run_length(folios[0], fbatch->nr - i);
	uint32_t nr = 1;

	/* Each is looked at: another may have its index, and the slot in the middle, by now. */
	while (nr < max && folios[nr] == folios[0] + nr)
		nr++;
	return nr;
}

/* The rest of the batch. Returns whether the stretch goes on behind it. */
static inline bool look_at_batch(const struct writeback_control *wbc, struct writeback_ahead *ahead,
				 struct reach *reach, struct limits limits)
{
	const struct folio_batch *fbatch = &wbc->fbatch;

	for (uint32_t i = fbatch->i, nr; i < fbatch->nr; i += nr) {
		nr = batch_run_length(fbatch, i);
		if (!ahead_add_all(ahead, reach, fbatch->folios[i], nr, limits))
			return false;
	}
	return true;
}

/* The folios that the next lookups would find. */
static inline void look_at_tree(struct address_space *mapping, const struct writeback_control *wbc,
				struct writeback_ahead *ahead, struct reach *reach,
				struct limits limits)
{
	XA_STATE(xas, &mapping->i_pages, wbc->index);
	const pgoff_t end = wbc_end(mapping, wbc);
	const xa_mark_t tag = wbc_to_tag(wbc);
	struct folio *folio;
	uint64_t bits = 0;
	uint32_t nr;

	while ((folio = xas_next_run(mapping, &xas, &bits, end, tag, &nr)) != NULL) {
		if (!ahead_add_all(ahead, reach, folio, nr, limits))
			return;
	}
}

/* Inlined, so that each kind of stretch pays for its own limits only. */
static inline void look_ahead(struct address_space *mapping, const struct writeback_control *wbc,
			      struct writeback_ahead *ahead, struct limits limits)
{
	struct folio *first = wbc->fbatch.folios[wbc->fbatch.i - 1];
	struct reach reach = {.nr = 1,
			      .nr_runs = 1,
			      .nr_pages = (uint64_t)folio_nr_pages(first),
			      .index = folio_next_index(first)};
	bool on;

	assert(!mapping->i_pages.xa_shared && wbc->fbatch.i > 0);
	/* An integrity pass does not look at nr_to_write. */
	limits.nr_to_write = wbc->sync_mode == WB_SYNC_ALL ? INT64_MAX : wbc->nr_to_write;
	ahead->first = wbc->fbatch.i - 1;
	ahead->runs[0] = (struct folio_run){.first = first, .nr = 1};
	on = look_at_batch(wbc, ahead, &reach, limits);
	ahead->nr_batch = reach.nr;
	if (on)
		look_at_tree(mapping, wbc, ahead, &reach, limits);
	ahead->nr = reach.nr;
	ahead->nr_runs = reach.nr_runs;
	ahead->nr_pages = reach.nr_pages;
}

/**
 * writeback_look_ahead - a stretch of folios to be written one by one
 * @mapping: the page cache
 * @wbc: the pass; writeback_iter() returned a folio just now
 * @ahead: the stretch: at least that folio, and those behind it that nobody has to wait for, as
 *	many as @wbc->nr_to_write allows
 */
void writeback_look_ahead(struct address_space *mapping, const struct writeback_control *wbc,
			  struct writeback_ahead *ahead)
{
	/* To the end of a batch: what is left of one would be looked up by its end and after it. */
	uint32_t max = ahead->batches * FOLIO_BATCH_SIZE - (wbc->fbatch.i - 1);

	look_ahead(mapping, wbc, ahead, (struct limits){.max_folios = max});
	ahead->looked_behind = false;
}

/**
 * writeback_look_ahead_contiguous - a stretch of contiguous folios to be written at once
 * @mapping: the page cache
 * @wbc: the pass; writeback_iter() returned a folio just now
 * @ahead: the stretch: at least that folio
 * @max_pages: how many pages it may have, at most WRITEBACK_AHEAD_SIZE; a larger folio is a stretch
 *	of its own
 */
void writeback_look_ahead_contiguous(struct address_space *mapping,
				     const struct writeback_control *wbc,
				     struct writeback_ahead *ahead, uint64_t max_pages)
{
	assert(max_pages <= WRITEBACK_AHEAD_SIZE);
	look_ahead(mapping, wbc, ahead,
		   (struct limits){
			   .max_folios = UINT32_MAX, .contiguous = true, .max_pages = max_pages});
	ahead->looked_behind =
		ahead->nr_pages < max_pages &&
		(wbc->sync_mode == WB_SYNC_ALL || (int64_t)ahead->nr_pages < wbc->nr_to_write);
}

/*
 * Makes the batch the one that the pass would have with so many folios of the stretch behind it.
 */
static void catch_up(struct address_space *mapping, struct writeback_control *wbc,
		     const struct writeback_ahead *ahead, uint32_t behind)
{
	uint32_t batches, rest;

	if (behind <= ahead->nr_batch) {
		wbc->fbatch.i = ahead->first + behind;
		return;
	}
	/* The last one's batch holds the reference to it. */
	batches = (behind - ahead->nr_batch - 1) / FOLIO_BATCH_SIZE;
	rest = behind - ahead->nr_batch - batches * FOLIO_BATCH_SIZE;
	folio_batch_release(mapping, &wbc->fbatch);
	if (batches != 0)
		wbc->index = folio_next_index(ahead_from_end(ahead, ahead->nr - behind + rest));
	writeback_fill_batch(mapping, wbc);
	wbc->fbatch.i = rest;
	assert(wbc->fbatch.folios[rest - 1] == ahead_from_end(ahead, ahead->nr - behind));
}

/*
 * All that happens to the first @nr folios, written unseen: lock, clear for I/O, start writeback,
 * unlock, end writeback. Those of a node lose their marks at once. Returns how many pages they
 * have.
 */
static int64_t write_unseen(struct address_space *mapping, const struct writeback_ahead *ahead,
			    uint32_t nr)
{
	struct xa_node *node = NULL;
	uint64_t bits = 0;
	int64_t nr_pages = 0;

	for (const struct folio_run *next = ahead->runs; nr != 0; next++) {
		struct folio_run run = *next;
		folio_word_t *words = folio_words(run.first);

		if (run.nr > nr)
			run.nr = nr;
		nr -= run.nr;
		assert((folio_flags(run.first) & PG_shared) == 0);
		for (uint32_t i = 0; i < run.nr; i++)
			words[i] &= ~(folio_word_t)(PG_dirty | PG_locked);
		if (!folio_is_in(run.first, node)) {
			if (node != NULL)
				clear_marks_written(node, bits);
			node = folio_xas(mapping, run.first).xa_node;
			bits = 0;
		}
		bits |= folio_bit(run.first, node) * word_of_ones(run.nr);
		nr_pages += run.nr * folio_nr_pages(run.first);
	}
	if (node != NULL)
		clear_marks_written(node, bits);
	return nr_pages;
}

/**
 * writeback_settle_ahead - make everything as it would be without the stretch
 * @mapping: the page cache
 * @wbc: the pass
 * @ahead: the stretch; none afterwards
 * @done: how many of its folios were written
 * @in_hand: how many behind them the host is writing, at least one; those behind these have not
 *	been reached
 */
void writeback_settle_ahead(struct address_space *mapping, struct writeback_control *wbc,
			    struct writeback_ahead *ahead, uint32_t done, uint32_t in_hand)
{
	uint32_t reached = done + in_hand;
	uint32_t at = 0;

	assert(in_hand > 0 && reached <= ahead->nr);
	/* First the lookup, which the marks of all these folios were still there for. */
	catch_up(mapping, wbc, ahead, reached);
	if (ahead->looked_behind)
		writeback_fill_batch(mapping, wbc);
	wbc->nr_to_write -= write_unseen(mapping, ahead, done);
	for (const struct folio_run *run = ahead->runs; at < reached; run++) {
		for (uint32_t i = 0; i < run->nr && at < reached; i++, at++) {
			if (at < done)
				continue;
			folio_change_flags(run->first + i, PG_locked, PG_dirty);
			if (at < reached - 1)
				wbc->nr_to_write -= folio_nr_pages(run->first + i);
		}
	}
	writeback_begin_ahead(ahead);
}

/**
 * writeback_end_ahead - all folios of the stretch were written
 * @mapping: the page cache
 * @wbc: the pass
 * @ahead: the stretch; none afterwards
 *
 * Return: its last folio, to be handed back to writeback_iter() before anything else happens.
 */
struct folio *writeback_end_ahead(struct address_space *mapping, struct writeback_control *wbc,
				  struct writeback_ahead *ahead)
{
	struct folio *last = ahead_from_end(ahead, 0);

	assert(ahead->nr != 0);
	catch_up(mapping, wbc, ahead, ahead->nr);
	wbc->nr_to_write -= write_unseen(mapping, ahead, ahead->nr) - folio_nr_pages(last);
	ahead->nr = 0;
	if (ahead->batches < WRITEBACK_AHEAD_BATCHES)
		ahead->batches *= 2;
	return last;
}
