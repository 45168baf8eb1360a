/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's page cache under the core's signatures.
 */
#ifndef SIDE_KERNEL_H
#define SIDE_KERNEL_H

#include "mm.h"

#ifdef KERNEL_SMP
#define SIDE_NAME "kernel-smp"
#define SIDE_SHARED true
#else
#define SIDE_NAME "kernel"
#define SIDE_SHARED false
#endif

struct side {
	struct address_space mapping;
	struct inode host;
};

/* Ends the wait: releases the lock or ends the writeback. */
static void side_waited(struct side *side, struct folio *folio, bool for_writeback);

static void side_wait(struct inode *inode, struct folio *folio, int bit)
{
	side_waited(container_of(inode, struct side, host), folio, bit == PG_writeback);
}

static inline bool side_init(struct side *side, bool shared)
{
	static const struct address_space_operations a_ops = {.dirty_folio = filemap_dirty_folio};

	if (shared != SIDE_SHARED)
		return false;
	*side = (struct side){.host.wait = side_wait};
	side->mapping.host = &side->host;
	side->mapping.a_ops = &a_ops;
	xa_init_flags(&side->mapping.i_pages, XA_FLAGS_LOCK_IRQ | XA_FLAGS_ACCOUNT);
	return true;
}

static inline int side_add(struct side *side, uint64_t index, unsigned int order,
			   struct folio **foliop)
{
	struct folio *folio = folio_alloc(order);
	int err;

	if (folio == NULL)
		return -ENOMEM;
	__folio_set_uptodate(folio);
	err = filemap_add_folio(&side->mapping, folio, index, GFP_KERNEL);
	if (err == 0)
		folio_unlock(folio);
	folio_put(folio);
	*foliop = folio;
	return err;
}

/* Removes a folio that is neither locked nor under writeback, as truncate_inode_folio() does. */
static inline int side_remove(struct side *side, struct folio *folio)
{
	(void)side;
	if (folio_test_writeback(folio) || !folio_trylock(folio))
		return -EBUSY;
	folio_get(folio);
	folio_cancel_dirty(folio);
	filemap_remove_folio(folio);
	folio_unlock(folio);
	folio_put(folio);
	return 0;
}

static inline void side_destroy(struct side *side)
{
	struct folio *folio;
	unsigned long index;

	xa_for_each(&side->mapping.i_pages, index, folio)
	{
		if (folio_test_writeback(folio))
			folio_end_writeback(folio);
		if (folio_test_locked(folio))
			folio_unlock(folio);
		side_remove(side, folio);
	}
	BUG_ON(!xa_empty(&side->mapping.i_pages) || side->mapping.nrpages != 0);
}

#undef folio_put
#undef folio_start_writeback
#define folio_put(mapping, folio) ((void)(mapping), folio_put_refs(folio, 1))
#define folio_unlock(mapping, folio) ((void)(mapping), folio_unlock(folio))
#define folio_mark_dirty(mapping, folio) ((void)(mapping), folio_mark_dirty(folio))
#define folio_start_writeback(mapping, folio, keep_write)                                          \
	((void)(mapping), __folio_start_writeback(folio, keep_write))
#define folio_end_writeback(mapping, folio) ((void)(mapping), folio_end_writeback(folio))
#define folio_redirty_for_writepage(mapping, wbc, folio)                                           \
	((void)(mapping), folio_redirty_for_writepage(wbc, folio))
#define folio_batch_release(mapping, fbatch) ((void)(mapping), folio_batch_release(fbatch))
#define filemap_get_folio(mapping, index) ((struct folio *)filemap_get_entry(mapping, index))

#endif
