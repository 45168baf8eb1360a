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

/* How far ahead of the folio that is looked at: about as long as memory takes to answer. */
#define PREFETCH_BYTES (32 * sizeof(struct folio))

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
	uint64_t nr_pages;
	pgoff_t index; /* where a contiguous one goes on */
};

/* Adds a folio that is in the cache, if writeback_iter() would return it next, and at once. */
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
	ahead->folios[reach->nr++] = folio;
	reach->nr_pages += nr_pages;
	reach->index += nr_pages;
	return true;
}

/* The rest of the batch. Returns whether the stretch goes on behind it. */
static inline bool look_at_batch(struct address_space *mapping, const struct writeback_control *wbc,
				 struct writeback_ahead *ahead, struct reach *reach,
				 struct limits limits)
{
	const struct folio_batch *fbatch = &wbc->fbatch;

	for (uint32_t i = fbatch->i; i < fbatch->nr; i++) {
		struct folio *folio = fbatch->folios[i];

		if (!folio_in_mapping(folio, mapping) || !ahead_add(ahead, reach, folio, limits))
			return false;
	}
	return true;
}

/*
 * How many of the marked entries of a node, from this one on, are single pages in a row: those with
 * another marked entry in the next slot.
 */
static inline uint32_t pages_in_a_row(uint64_t bits, unsigned int offset)
{
	return (uint32_t)__builtin_ctzll(~((bits & bits >> 1) >> offset));
}

static inline int64_t less(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ahead_add() for single pages in a row, most of all that there is. Returns how many. */
static inline uint32_t ahead_add_pages(struct writeback_ahead *ahead, struct reach *reach,
				       const struct xa_node *node, unsigned int offset, uint32_t nr,
				       struct limits limits)
{
	void *const *slots = &node->slots[offset];
	struct folio **folios = &ahead->folios[reach->nr];
	int64_t room = limits.nr_to_write - (int64_t)reach->nr_pages;
	uint32_t i;

	if (limits.contiguous) {
		if (node->index + offset != reach->index)
			return 0;
		/* Negative where the first folio is larger than all that an extent may have. */
		room = less(room, (int64_t)limits.max_pages - (int64_t)reach->nr_pages);
	} else {
		room = less(room, limits.max_folios - reach->nr);
	}
	if (room < nr)
		nr = room < 0 ? 0 : (uint32_t)room;
	for (i = 0; i < nr; i++) {
		struct folio *folio = slots[i];

		/*
		 * Folios that were added one after another lie so in memory, too far apart for the
		 * CPU to see the pattern in time. Where they do not, nothing is lost but this.
		 */
		__builtin_prefetch((const void *)((uintptr_t)folio + PREFETCH_BYTES));
		if (!can_lock_for_io(folio_flags(folio)))
			break;
		folios[i] = folio;
	}
	reach->nr += i;
	reach->nr_pages += i;
	reach->index += i;
	return i;
}

/* The folios that the next lookups would find. */
static inline void look_at_tree(struct address_space *mapping, const struct writeback_control *wbc,
				struct writeback_ahead *ahead, struct reach *reach,
				struct limits limits)
{
	XA_STATE(xas, &mapping->i_pages, wbc->index);
	const pgoff_t end = wbc_end(mapping, wbc);
	const xa_mark_t tag = wbc_to_tag(wbc);

	while (xas_find_marked(&xas, end, tag) != NULL) {
		struct xa_node *node = xas.xa_node;
		uint64_t bits = xas_marked_bits(&xas, end, tag);

		do {
			unsigned int offset = (unsigned int)__builtin_ctzll(bits);
			uint32_t nr = pages_in_a_row(bits, offset);

			if (nr != 0) {
				if (ahead_add_pages(ahead, reach, node, offset, nr, limits) != nr)
					return;
			} else {
				nr = 1;
				if (!ahead_add(ahead, reach, node->slots[offset], limits))
					return;
			}
			xas.xa_offset = offset + nr - 1;
			bits &= ~UINT64_C(1) << xas.xa_offset;
		} while (bits != 0);
		xas_pause(&xas);
	}
}

/* Inlined, so that each kind of stretch pays for its own limits only. */
static inline void look_ahead(struct address_space *mapping, const struct writeback_control *wbc,
			      struct writeback_ahead *ahead, struct limits limits)
{
	struct folio *first = wbc->fbatch.folios[wbc->fbatch.i - 1];
	struct reach reach = {.nr = 1,
			      .nr_pages = (uint64_t)folio_nr_pages(first),
			      .index = folio_next_index(first)};
	bool on;

	assert(!mapping->i_pages.xa_shared && wbc->fbatch.i > 0);
	/* An integrity pass does not look at nr_to_write. */
	limits.nr_to_write = wbc->sync_mode == WB_SYNC_ALL ? INT64_MAX : wbc->nr_to_write;
	ahead->first = wbc->fbatch.i - 1;
	ahead->folios[0] = first;
	on = look_at_batch(mapping, wbc, ahead, &reach, limits);
	ahead->nr_batch = reach.nr;
	if (on)
		look_at_tree(mapping, wbc, ahead, &reach, limits);
	ahead->nr = reach.nr;
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
		wbc->index = folio_next_index(
			ahead->folios[ahead->nr_batch + batches * FOLIO_BATCH_SIZE - 1]);
	writeback_fill_batch(mapping, wbc);
	wbc->fbatch.i = rest;
	assert(wbc->fbatch.folios[rest - 1] == ahead->folios[behind - 1]);
}

/* How many of the folios are in the node of the first one; @bits: their slots. */
static inline uint32_t same_node(struct folio *const *folios, uint32_t nr, bool in_a_row,
				 uint64_t *bits)
{
	const struct xa_node *node = folios[0]->node;
	uint32_t i;

	if (in_a_row) {
		uint64_t first = folio_bit(folios[0]);
		uint32_t room = XA_CHUNK_SIZE - (uint32_t)__builtin_ctzll(first);

		if (nr > room)
			nr = room;
		*bits = first * (~UINT64_C(0) >> (XA_CHUNK_SIZE - nr));
		return nr;
	}
	*bits = 0;
	for (i = 0; i < nr && folios[i]->node == node; i++)
		*bits |= folio_bit(folios[i]);
	return i;
}

/*
 * All that happens to folios that are written unseen: lock, clear for I/O, start writeback, unlock,
 * end writeback. Those of a node lose their marks at once.
 */
static void write_unseen(struct folio *const *folios, uint32_t nr)
{
	/* As they ascend, all but the last are then single pages. */
	bool in_a_row = nr != 0 && folio_index(folios[nr - 1]) - folio_index(folios[0]) == nr - 1;

	while (nr != 0) {
		struct xa_node *node = folios[0]->node;
		uint64_t bits;
		uint32_t here = same_node(folios, nr, in_a_row, &bits);

		for (uint32_t i = 0; i < here; i++) {
			_Atomic uint16_t *flags = &folios[i]->flags;
			uint16_t old = atomic_load_explicit(flags, memory_order_relaxed);

			assert((old & PG_shared) == 0);
			atomic_store_explicit(flags, old & (uint16_t) ~(PG_dirty | PG_locked),
					      memory_order_relaxed);
		}
		clear_marks_written(node, bits);
		folios += here;
		nr -= here;
	}
}

/* What is left of nr_to_write with these folios of the stretch handed back. */
static void hand_back(struct writeback_control *wbc, const struct writeback_ahead *ahead,
		      uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		wbc->nr_to_write -= folio_nr_pages(ahead->folios[i]);
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

	assert(in_hand > 0 && reached <= ahead->nr);
	/* First the lookup, which the marks of all these folios were still there for. */
	catch_up(mapping, wbc, ahead, reached);
	if (ahead->looked_behind)
		writeback_fill_batch(mapping, wbc);
	hand_back(wbc, ahead, reached - 1);
	write_unseen(ahead->folios, done);
	for (uint32_t i = done; i < reached; i++)
		folio_change_flags(ahead->folios[i], PG_locked, PG_dirty);
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
	struct folio *last = ahead->folios[ahead->nr - 1];

	assert(ahead->nr != 0);
	catch_up(mapping, wbc, ahead, ahead->nr);
	wbc->nr_to_write -= (int64_t)ahead->nr_pages - folio_nr_pages(last);
	write_unseen(ahead->folios, ahead->nr);
	ahead->nr = 0;
	if (ahead->batches < WRITEBACK_AHEAD_BATCHES)
		ahead->batches *= 2;
	return last;
}
