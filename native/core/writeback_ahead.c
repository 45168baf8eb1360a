// SPDX-License-Identifier: GPL-2.0-only
/*
 * The protocol: writeback_iter() returns a folio. writeback_take_ahead() takes those behind it, in
 * the state in which writeback_iter() would return them one after another, if each were written,
 * ended and handed back without error and nothing else happened meanwhile. The host goes through
 * them. At their end, writeback_end_ahead() does what the host then owes them all. If anything
 * might look at a folio, a mark or the pass before that, writeback_settle_ahead() first makes
 * everything as it would be had the host gone folio by folio: nobody sees that it did not.
 *
 * Unshared mappings only: a thread would see.
 */
#include "writeback_ahead.h"

#include "writeback_extent.h"

/**
 * writeback_take_ahead - take the folios behind the one that writeback_iter() returned just now
 * @mapping: the page cache
 * @wbc: the pass
 * @ahead: the stretch: at least that one folio
 *
 * Only folios that are in the batch already and that nobody has to wait for are taken, and as many
 * as
 * @wbc->nr_to_write allows.
 */
void writeback_take_ahead(struct address_space *mapping, struct writeback_control *wbc,
			  struct writeback_ahead *ahead)
{
	struct folio *const *folios = wbc->fbatch.folios;
	int64_t nr_to_write = wbc->nr_to_write;
	uint32_t i = wbc->fbatch.i;

	assert(!mapping->i_pages.xa_shared && i > 0);
	ahead->first = i - 1;
	for (; i < wbc->fbatch.nr; i++) {
		nr_to_write -= folio_nr_pages(folios[i - 1]);
		if (wbc->sync_mode == WB_SYNC_NONE && nr_to_write <= 0)
			break;
		if (!folio_trylock_for_io(mapping, folios[i]))
			break;
	}
	ahead->nr = i - ahead->first;
}

/* The pass as if writeback_iter() had returned the folios one by one, up to this place in the
 * batch. */
static struct folio *step_to(struct writeback_control *wbc, uint32_t from, uint32_t place)
{
	for (uint32_t i = from; i < place; i++)
		wbc->nr_to_write -= folio_nr_pages(wbc->fbatch.folios[i]);
	wbc->fbatch.i = place + 1;
	return wbc->fbatch.folios[place];
}

/**
 * writeback_settle_ahead - make everything as it would be without the stretch
 * @mapping: the page cache
 * @wbc: the pass
 * @ahead: the stretch; afterwards the folio in hand alone
 * @done: how many of its folios were written; the next one is in the host's hands
 */
void writeback_settle_ahead(struct address_space *mapping, struct writeback_control *wbc,
			    struct writeback_ahead *ahead, uint32_t done)
{
	uint32_t in_hand = ahead->first + done;

	assert(done < ahead->nr);
	writeback_end_folios(mapping, &wbc->fbatch.folios[ahead->first], done);
	step_to(wbc, ahead->first, in_hand);
	/* Their marks were not touched: the flags are all that folio_trylock_for_io() changed. */
	for (uint32_t i = in_hand + 1; i < ahead->first + ahead->nr; i++)
		folio_change_flags(wbc->fbatch.folios[i], PG_dirty, PG_locked);
	ahead->first = in_hand;
	ahead->nr = 1;
}

/**
 * writeback_end_ahead - all folios of the stretch were written
 * @mapping: the page cache
 * @wbc: the pass
 * @ahead: the stretch; none afterwards
 *
 * Return: its last folio, to be handed back to writeback_iter().
 */
struct folio *writeback_end_ahead(struct address_space *mapping, struct writeback_control *wbc,
				  struct writeback_ahead *ahead)
{
	uint32_t last = ahead->first + ahead->nr - 1;

	assert(ahead->nr != 0);
	writeback_end_folios(mapping, &wbc->fbatch.folios[ahead->first], ahead->nr);
	ahead->nr = 0;
	return step_to(wbc, ahead->first, last);
}
