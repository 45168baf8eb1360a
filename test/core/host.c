// SPDX-License-Identifier: GPL-2.0-only
#include "host.h"

#include <errno.h>
#include <string.h>

int host_alloc_fails = -1;
int host_allocated;
int host_failed;
size_t host_last_size;

uint32_t host_random_state = 1;

/* From 0 to @n - 1. */
uint32_t host_random_below(uint32_t n)
{
	host_random_state = host_random_state * 1664525 + 1013904223;
	return (host_random_state >> 8) % n;
}

static void *host_alloc(size_t size)
{
	void *memory;

	if (host_alloc_fails == 0) {
		host_failed++;
		return NULL;
	}
	if (host_alloc_fails > 0)
		host_alloc_fails--;
	memory = calloc(1, size);
	CHECK(memory != NULL);
	host_allocated++;
	host_last_size = size;
	return memory;
}

static void host_free(void *memory)
{
	host_allocated--;
	free(memory);
}

struct address_space_operations host_ops = {.alloc = host_alloc, .free = host_free};

void host_mapping_init(struct address_space *mapping)
{
	address_space_init(mapping, PAGE_SHIFT, false, &host_ops);
}

/* Also frees the chunks, which belong to the host. */
void host_mapping_destroy(struct address_space *mapping)
{
	uint32_t nr_chunks = mapping->pool.nr_chunks;
	struct folio_chunk **chunks = calloc(nr_chunks + 1, sizeof(*chunks));

	CHECK(chunks != NULL);
	for (uint32_t i = 0; i < nr_chunks; i++)
		chunks[i] = mapping->pool.chunks[i];
	address_space_destroy(mapping);
	for (uint32_t i = 0; i < nr_chunks; i++)
		free(chunks[i]);
	free(chunks);
}

/* Memory for more folios, to be freed after the page cache. */
struct folio_chunk *host_alloc_chunk(void)
{
	struct folio_chunk *chunk = aligned_alloc(FOLIO_CHUNK_ALIGN, sizeof(*chunk));

	CHECK(chunk != NULL);
	return memset(chunk, 0, sizeof(*chunk));
}

/* Adds a folio; NULL if its pages are covered already. */
struct folio *host_add_folio(struct address_space *mapping, pgoff_t index, unsigned int order)
{
	struct folio *folio;
	int err = filemap_add_folio(mapping, index, order, &folio);

	if (err == -ENOSPC) {
		CHECK(address_space_add_chunk(mapping, host_alloc_chunk()) == 0);
		err = filemap_add_folio(mapping, index, order, &folio);
	}
	CHECK(err == 0 || err == -EEXIST);
	return err == 0 ? folio : NULL;
}

/* Adds a dirty folio; its pages must not be covered yet. */
struct folio *host_add_dirty(struct address_space *mapping, pgoff_t index, unsigned int order)
{
	struct folio *folio = host_add_folio(mapping, index, order);

	CHECK(folio != NULL && folio_mark_dirty(mapping, folio));
	return folio;
}

/* The folio of an extent that has @i before it. */
struct folio *host_extent_folio(const struct writeback_extent *extent, uint32_t i)
{
	const struct folio_run *run = extent->runs;

	CHECK(i < extent->nr_folios);
	for (; i >= run->nr; run++)
		i -= run->nr;
	return run->first + i;
}

typedef void (*check_entry_t)(const struct xarray *xa, const struct xa_node *node,
			      unsigned int offset);

/* Returns the number of nodes from this one on. */
static uint32_t check_node(const struct xarray *xa, const struct xa_node *node,
			   check_entry_t check_entry)
{
	const xa_entry_t *slots = xa_slots(xa, node);
	uint32_t nr = 1;

	CHECK(node->marks[XA_PRESENT] != 0);
	for (unsigned int offset = 0; offset < XA_CHUNK_SIZE; offset++) {
		uint64_t bit = UINT64_C(1) << offset;
		xa_entry_t slot = slots[offset];

		if (slot == 0 || xa_is_sibling(slot)) {
			for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
				CHECK((node->marks[mark] & bit) == 0);
			CHECK(slot == 0 || xa_to_sibling(slot) < offset);
		} else if (xa_is_node(slot)) {
			const struct xa_node *child = xa_to_node(xa, slot);

			CHECK(child->parent == xa_slot_number(xa, node, offset));
			CHECK(child->shift + XA_CHUNK_SHIFT == node->shift);
			CHECK(child->index == node->index + ((uint64_t)offset << node->shift));
			/* A mark above may be stale, but XA_PRESENT is exact. */
			for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
				CHECK(child->marks[mark] == 0 || (node->marks[mark] & bit) != 0);
			nr += check_node(xa, child, check_entry);
		} else {
			CHECK((node->marks[XA_PRESENT] & bit) != 0);
			check_entry(xa, node, offset);
		}
	}
	return nr;
}

uint32_t host_nr_nodes(const struct xarray *xa)
{
	return xa->xa_nr_nodes - 1 - xa->xa_nr_free;
}

/* Free records: no mark is left, and each is on the list once. */
static void check_free(const struct xarray *xa)
{
	uint32_t nr = 0;

	for (uint32_t number = xa->xa_free_node; number != 0;
	     number = xa->xa_nodes[number].parent) {
		for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
			CHECK(xa->xa_nodes[number].marks[mark] == 0);
		CHECK(xa->xa_slots[number] == NULL);
		nr++;
	}
	CHECK(nr == xa->xa_nr_free);
}

/* Every invariant of the tree, from the top. */
void host_check_xarray(const struct xarray *xa, check_entry_t check_entry)
{
	const struct xa_node *head;

	check_free(xa);
	CHECK(xa->xa_hint == 0 || xa->xa_slots[xa->xa_hint] != NULL);
	if (xa->xa_head == 0) {
		CHECK(host_nr_nodes(xa) == 0);
		return;
	}
	head = &xa->xa_nodes[xa->xa_head];
	CHECK(head->parent == 0 && head->index == 0);
	/* A top that has its first slot only is one level too many. */
	CHECK(head->marks[XA_PRESENT] != 1 || !xa_is_node(xa_slots(xa, head)[0]));
	CHECK(check_node(xa, head, check_entry) == host_nr_nodes(xa));
}

static const struct address_space *mapping_seen;
static uint64_t nr_pages_seen;

static void check_folio(const struct xarray *xa, const struct xa_node *node, unsigned int offset)
{
	const struct folio *folio = folio_of_entry(mapping_seen, xa_slots(xa, node)[offset]);

	CHECK(folio_in_mapping(folio, mapping_seen));
	CHECK(*folio_tree_slot(folio) == xa_slot_number(xa, node, offset));
	CHECK(folio_index(folio) == node->index + ((uint64_t)offset << node->shift));
	nr_pages_seen += (uint64_t)folio_nr_pages(folio);
}

void host_check_tree(const struct address_space *mapping)
{
	mapping_seen = mapping;
	nr_pages_seen = 0;
	host_check_xarray(&mapping->i_pages, check_folio);
	CHECK(nr_pages_seen == mapping->nrpages);
}
