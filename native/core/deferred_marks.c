// SPDX-License-Identifier: GPL-2.0-only
#include "deferred_marks.h"

/**
 * apply_deferred_marks - tell the tree what was noted
 * @mapping: the page cache, not shared
 * @deferred: the list; empty afterwards
 */
void apply_deferred_marks(struct address_space *mapping, struct deferred_marks *deferred)
{
	assert(!mapping->i_pages.xa_shared);
	for (uint32_t i = 0; i < deferred->nr; i++) {
		struct folio *folio = folio_of_slot(&mapping->pool, deferred->slots[i]);
		unsigned int note = folio_change_flags(folio, 0, PG_deferred) & PG_deferred;
		struct xa_state xas;

		assert(note != 0 && folio_in_mapping(folio, mapping));
		xas = folio_xas(folio);
		if ((note & PG_set_dirty) != 0)
			xas_set_mark(&xas, PAGECACHE_TAG_DIRTY);
		if ((note & PG_clear_dirty) != 0)
			xas_clear_mark(&xas, PAGECACHE_TAG_DIRTY);
		if ((note & PG_set_writeback) != 0)
			xas_set_mark(&xas, PAGECACHE_TAG_WRITEBACK);
		if ((note & PG_clear_writeback) != 0)
			xas_clear_mark(&xas, PAGECACHE_TAG_WRITEBACK);
		if ((note & PG_clear_towrite) != 0)
			xas_clear_mark(&xas, PAGECACHE_TAG_TOWRITE);
	}
	deferred->nr = 0;
}
