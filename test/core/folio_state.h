/* SPDX-License-Identifier: GPL-2.0-only */
/* The visible state of a folio, as one number for its marks and one for its flags. */
#ifndef WRITEBACK_ITER_TEST_FOLIO_STATE_H
#define WRITEBACK_ITER_TEST_FOLIO_STATE_H

#include "address_space.h"

#define DIRTY (1U << PAGECACHE_TAG_DIRTY)
#define WRITEBACK (1U << PAGECACHE_TAG_WRITEBACK)
#define TOWRITE (1U << PAGECACHE_TAG_TOWRITE)

/* The marks in the tree; the folio is in the cache. */
static inline unsigned int marks_of(struct address_space *mapping, const struct folio *folio)
{
	struct xa_state xas = folio_xas(mapping, folio);
	unsigned int marks = 0;

	for (unsigned int mark = 0; mark < XA_PRESENT; mark++)
		marks |= (unsigned int)xas_get_mark(&xas, (xa_mark_t)mark) << mark;
	return marks;
}

/* The flags, without those that never change. */
static inline unsigned int state_of(const struct folio *folio)
{
	return folio_flags(folio) &
	       ~(unsigned int)(PG_uptodate | PG_shared | PG_cached | FOLIO_ORDER_MASK);
}

#endif
