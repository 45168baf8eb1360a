// SPDX-License-Identifier: GPL-2.0-only
#include "deferred_marks.h"

/* Does to the marks of these slots of a node what the note says. */
static void apply_note(struct xa_node *node, uint64_t bits, unsigned int note)
{
	if ((note & PG_set_dirty) != 0)
		xas_set_marks(node, bits, PAGECACHE_TAG_DIRTY);
	if ((note & PG_clear_dirty) != 0)
		xas_clear_marks(node, bits, PAGECACHE_TAG_DIRTY);
	if ((note & PG_set_writeback) != 0)
		xas_set_marks(node, bits, PAGECACHE_TAG_WRITEBACK);
	if ((note & PG_clear_writeback) != 0)
		xas_clear_marks(node, bits, PAGECACHE_TAG_WRITEBACK);
	if ((note & PG_clear_towrite) != 0)
		xas_clear_marks(node, bits, PAGECACHE_TAG_TOWRITE);
}

/**
 * apply_deferred_marks - tell the tree what was noted
 * @mapping: the page cache, not shared
 * @deferred: the list; empty afterwards
 *
 * Neighbours with the same note are told at once, a word of marks at a time.
 */
void apply_deferred_marks(struct address_space *mapping, struct deferred_marks *deferred)
{
	struct xa_node *node = NULL;
	unsigned int note = 0;
	uint64_t bits = 0;

	assert(!mapping->i_pages.xa_shared);
	for (uint32_t i = 0; i < deferred->nr; i++) {
		struct folio *folio = folio_of_slot(&mapping->pool, deferred->slots[i]);
		unsigned int flags = folio_change_flags(folio, 0, PG_deferred);

		assert((flags & PG_deferred) != 0 && folio_in_mapping(folio, mapping));
		if (folio->node != node || (flags & PG_deferred) != note) {
			if (node != NULL)
				apply_note(node, bits, note);
			node = folio->node;
			note = flags & PG_deferred;
			bits = 0;
		}
		bits |= folio_bit(folio);
	}
	if (node != NULL)
		apply_note(node, bits, note);
	deferred->nr = 0;
}
