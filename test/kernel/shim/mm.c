// SPDX-License-Identifier: GPL-2.0-only
// Memory for nodes and folios, and what the functions taken call that is neither in their files nor
// nothing.

#include "mm.h"
#include "radix-tree.h"
#include "parts/lib/radix-tree.c"
#include "parts/mm/swap.c"

#define SLAB_SIZE (1UL << 16)

static struct kmem_cache node_cache = {.size = sizeof(struct xa_node),
				       .ctor = radix_tree_node_ctor};
static struct kmem_cache small_folio_cache = {.size = FOLIO_SMALL_SIZE};
static struct kmem_cache large_folio_cache = {.size = sizeof(struct folio)};
struct kmem_cache *radix_tree_node_cachep = &node_cache;

#ifdef __SANITIZE_ADDRESS__
/* Each object has an allocation of its own, so that a sanitizer detects its use after release. */
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	void *object = aligned_alloc(64, cache->size);

	(void)gfp;
	if (object != NULL && cache->ctor != NULL)
		cache->ctor(object);
	return object;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	(void)cache;
	free(object);
}
#else
static bool kmem_cache_grow(struct kmem_cache *cache)
{
	char *slab = aligned_alloc(64, SLAB_SIZE);

	if (slab == NULL)
		return false;
	for (size_t offset = SLAB_SIZE / cache->size * cache->size; offset != 0;) {
		offset -= cache->size;
		if (cache->ctor != NULL)
			cache->ctor(slab + offset);
		kmem_cache_free(cache, slab + offset);
	}
	return true;
}

/*
 * Objects lie side by side in ascending order, as in a fresh slab, and are constructed once:
 * the code that frees one leaves it as the constructor did. A free object's first word links to the
 * next; it is zero in a constructed node.
 */
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	void **object;

	(void)gfp;
	if (cache->free == NULL && !kmem_cache_grow(cache))
		return NULL;
	object = cache->free;
	cache->free = *object;
	*object = NULL;
	return object;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	*(void **)object = cache->free;
	cache->free = object;
}
#endif

static struct kmem_cache *folio_cache(unsigned int order)
{
	return order == 0 ? &small_folio_cache : &large_folio_cache;
}

/*
 * A folio from the page allocator: one reference, and all fields zero except the size of a large
 * folio. NULL without memory.
 */
struct folio *folio_alloc(unsigned int order)
{
	struct kmem_cache *cache = folio_cache(order);
	struct folio *folio = kmem_cache_alloc(cache, GFP_KERNEL);

	if (folio == NULL)
		return NULL;
	memset(folio, 0, cache->size);
	atomic_set(&folio->_refcount, 1);
	if (order != 0) {
		__folio_set_large(folio);
		folio->_flags_1 = order;
		folio->_folio_nr_pages = 1u << order;
	}
	return folio;
}

/* The last reference is dropped. The folio is no longer in the page cache, and no task uses it. */
void __folio_put(struct folio *folio)
{
	BUG_ON(folio->mapping != NULL || folio_test_locked(folio) || folio_test_writeback(folio));
	kmem_cache_free(folio_cache(folio_order(folio)), folio);
}

void folios_put(struct folio_batch *fbatch)
{
	for (unsigned int i = 0; i < folio_batch_count(fbatch); i++)
		folio_put(fbatch->folios[i]);
	folio_batch_reinit(fbatch);
}

void folio_wait_bit(struct folio *folio, int bit)
{
	struct inode *inode = folio->mapping->host;

	inode->wait(inode, folio, bit);
	BUG_ON(test_bit((unsigned int)bit, &folio->flags));
}
