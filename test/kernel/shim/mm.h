/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What mm/filemap.c and mm/page-writeback.c rest on, in userspace: the structures with the members
 * that the functions taken use, over as many cache lines as the kernel's, and nothing at all for
 * what is not their subject: statistics, control groups, tracing, LRU lists, mapped pages, the
 * inode's own dirty state, waking of sleepers.
 */
#ifndef MM_SHIM_H
#define MM_SHIM_H

#include "kernel.h"
#include <linux/kconfig.h>
#include <linux/pagevec.h>
#include <linux/xarray.h>

/* Two struct pages of 64 bytes; a folio of order 0 has only the first. */
struct folio {
	unsigned long flags;
	struct list_head lru;
	struct address_space *mapping;
	pgoff_t index;
	void *private;
	atomic_t _mapcount;
	atomic_t _refcount;
	unsigned long memcg_data;

	unsigned long _flags_1;
	unsigned long _head_1;
	atomic_t _mapcounts_1[4];
	unsigned int _folio_nr_pages;
	unsigned int _rest_1[7];
};
#define FOLIO_SMALL_SIZE offsetof(struct folio, _flags_1)
_Static_assert(FOLIO_SMALL_SIZE == 64, "a struct page");
_Static_assert(sizeof(struct folio) == 128, "two struct pages");

/*
 * @wait is not the kernel's. It is called where the kernel would sleep until @bit of the folio is
 * clear, and it must clear the bit.
 */
struct inode {
	spinlock_t i_lock;
	void (*wait)(struct inode *inode, struct folio *folio, int bit);
};

struct address_space_operations {
	bool (*dirty_folio)(struct address_space *mapping, struct folio *folio);
	void (*free_folio)(struct folio *folio);
};

struct address_space {
	struct inode *host;
	struct xarray i_pages;
	unsigned long nrpages;
	pgoff_t writeback_index;
	const struct address_space_operations *a_ops;
	unsigned long flags;
};

static inline unsigned long *folio_flags(struct folio *folio, unsigned int page)
{
	(void)page;
	return &folio->flags;
}

#include "parts/include/linux/page-flags.h"

#define FOLIO_FLAG(name, bit)                                                                      \
	static inline bool folio_test_##name(const struct folio *folio)                            \
	{                                                                                          \
		return test_bit(bit, &folio->flags);                                               \
	}                                                                                          \
	static inline void folio_clear_##name(struct folio *folio)                                 \
	{                                                                                          \
		clear_bit(bit, &folio->flags);                                                     \
	}                                                                                          \
	static inline bool folio_test_set_##name(struct folio *folio)                              \
	{                                                                                          \
		return test_and_set_bit(bit, &folio->flags);                                       \
	}                                                                                          \
	static inline bool folio_test_clear_##name(struct folio *folio)                            \
	{                                                                                          \
		return test_and_clear_bit(bit, &folio->flags);                                     \
	}                                                                                          \
	static inline void __folio_set_##name(struct folio *folio)                                 \
	{                                                                                          \
		__set_bit(bit, &folio->flags);                                                     \
	}                                                                                          \
	static inline void __folio_clear_##name(struct folio *folio)                               \
	{                                                                                          \
		__clear_bit(bit, &folio->flags);                                                   \
	}

FOLIO_FLAG(locked, PG_locked)
FOLIO_FLAG(writeback, PG_writeback)
FOLIO_FLAG(uptodate, PG_uptodate)
FOLIO_FLAG(dirty, PG_dirty)
FOLIO_FLAG(large, PG_head)
FOLIO_FLAG(active, PG_active)
FOLIO_FLAG(private, PG_private)
FOLIO_FLAG(reclaim, PG_reclaim)
FOLIO_FLAG(swapbacked, PG_swapbacked)
#define folio_test_hugetlb(folio) false
#define folio_test_pmd_mappable(folio) false

void __folio_cancel_dirty(struct folio *folio);
void __folio_lock(struct folio *folio);
void folio_wait_bit(struct folio *folio, int bit);
void folio_unlock(struct folio *folio);
void folio_end_writeback(struct folio *folio);
bool __folio_end_writeback(struct folio *folio);
void __folio_start_writeback(struct folio *folio, bool keep_write);
void folio_wait_writeback(struct folio *folio);
bool folio_clear_dirty_for_io(struct folio *folio);
bool folio_mark_dirty(struct folio *folio);
bool filemap_dirty_folio(struct address_space *mapping, struct folio *folio);

#include "parts/include/linux/fs.h"
#include "parts/include/linux/mm.h"
#include "parts/include/linux/pagemap.h"
#include "parts/include/linux/writeback.h"

bool folio_redirty_for_writepage(struct writeback_control *wbc, struct folio *folio);
void tag_pages_for_writeback(struct address_space *mapping, pgoff_t start, pgoff_t end);
struct folio *writeback_iter(struct address_space *mapping, struct writeback_control *wbc,
			     struct folio *folio, int *error);
int filemap_add_folio(struct address_space *mapping, struct folio *folio, pgoff_t index, gfp_t gfp);
void filemap_remove_folio(struct folio *folio);
struct bdi_writeback;
void folio_account_cleaned(struct folio *folio, struct bdi_writeback *wb);
void *filemap_get_entry(struct address_space *mapping, pgoff_t index);
unsigned int filemap_get_folios_tag(struct address_space *mapping, pgoff_t *start, pgoff_t end,
				    xa_mark_t tag, struct folio_batch *fbatch);

/* References. */
void __folio_put(struct folio *folio);
void folios_put(struct folio_batch *fbatch);

static inline void folio_ref_add(struct folio *folio, int refs)
{
	atomic_add(refs, &folio->_refcount);
}

static inline bool folio_try_get(struct folio *folio)
{
	return atomic_inc_not_zero(&folio->_refcount);
}

static inline void folio_put_refs(struct folio *folio, int refs)
{
	if (atomic_sub_and_test(refs, &folio->_refcount))
		__folio_put(folio);
}
#define folio_get(folio) folio_ref_add(folio, 1)
#define folio_put(folio) folio_put_refs(folio, 1)
#define folio_ref_sub(folio, refs) folio_ref_add(folio, -(refs))
#define folio_ref_count(folio) ((folio)->_refcount.counter)

/* Only files are cached here: no anonymous memory, no shadow entries, no swap, no shmem, nothing
 * mapped. */
static inline struct address_space *folio_mapping(struct folio *folio)
{
	return folio->mapping;
}
#define folio_index(folio) ((folio)->index)
#define folio_mapped(folio) false
#define folio_mapcount(folio) 0
#define folio_mkclean(folio) 0
#define folio_pfn(folio) 0UL
#define shmem_mapping(mapping) false
#define mapping_exiting(mapping) false
#define mapping_min_folio_order(mapping) 0
#define mapping_set_update(xas, mapping)
#define mapping_shrinkable(mapping) false
#define inode_add_lru(inode)
#define folio_add_lru(folio)
#define lru_add_drain()
#define folio_rotate_reclaimable(folio)
#define acct_reclaim_writeback(folio)
#define arch_make_folio_accessible(folio) 0
#define workingset_refault(folio, shadow)
#define filemap_nr_thps_dec(mapping)

/* This task is the waiter, so no task has to be woken. */
enum { TASK_UNINTERRUPTIBLE, EXCLUSIVE };
#define folio_wake_bit(folio, bit)
#define folio_wait_bit_common(folio, bit, state, behaviour)                                        \
	do                                                                                         \
		folio_wait_bit(folio, bit);                                                        \
	while (test_and_set_bit_lock(bit, folio_flags(folio, 0)))

/* Statistics, control groups, tracing, messages. */
struct backing_dev_info {
	unsigned int capabilities;
};
struct bdi_writeback {
	unsigned long state;
	spinlock_t work_lock;
	atomic_t writeback_inodes;
	int bw_dwork;
};
struct wb_lock_cookie {
	int unused;
};
struct task_struct {
	long nr_dirtied;
	char comm[16];
};
/* Objects without an identity: the compiler removes the counting. */
#define current (&(struct task_struct){0})
#define inode_to_bdi(inode) ((void)(inode), &(struct backing_dev_info){0})
#define BDI_CAP_WRITEBACK_ACCT 1u
#define mapping_can_writeback(mapping) true
#define inode_attach_wb(inode, folio)
#define inode_to_wb(inode) ((void)(inode), (struct bdi_writeback *)NULL)
#define unlocked_inode_to_wb_begin(inode, cookie)                                                  \
	((void)(inode), (void)(cookie), (struct bdi_writeback *)NULL)
#define unlocked_inode_to_wb_end(inode, cookie)
#define WB_registered 0
#define queue_delayed_work(queue, work, delay)
#define lruvec_stat_mod_folio(folio, item, nr) ((void)(nr))
#define __lruvec_stat_mod_folio(folio, item, nr) ((void)(nr))
#define zone_stat_mod_folio(folio, item, nr) ((void)(nr))
#define __zone_stat_mod_folio(folio, item, nr) ((void)(nr))
#define node_stat_mod_folio(folio, item, nr) ((void)(nr))
#define __node_stat_mod_folio(folio, item, nr) ((void)(nr))
#define wb_stat_mod(wb, item, nr) ((void)(wb), (void)(nr))
#define __wb_writeout_add(wb, nr) ((void)(wb), (void)(nr))
#define __this_cpu_add(counter, nr) ((void)(nr))
#define task_io_account_write(bytes) ((void)(bytes))
#define task_io_account_cancelled_write(bytes) ((void)(bytes))
#define mem_cgroup_charge(folio, mm, gfp) 0
#define mem_cgroup_uncharge(folio)
#define mem_cgroup_track_foreign_dirty(folio, wb)
#define folio_memcg_lock(folio)
#define folio_memcg_unlock(folio)
#define __mark_inode_dirty(inode, flags)
#define sb_mark_inode_writeback(inode)
#define sb_clear_inode_writeback(inode)
#define trace_wbc_writepage(wbc, bdi)
#define trace_writeback_dirty_folio(folio, mapping)
#define trace_folio_wait_writeback(folio, mapping)
#define trace_mm_filemap_add_to_page_cache(folio)
#define trace_mm_filemap_delete_from_page_cache(folio)
#define pr_alert(...) pr_info(__VA_ARGS__)
#define dump_page(page, reason)
#define dump_stack()
#define add_taint(flag, lockdep)

/* Not the kernel's, in shim/mm.c. */
struct folio *folio_alloc(unsigned int order);

#endif
