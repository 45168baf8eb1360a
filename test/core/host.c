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

/* Gives the chunks back too, which are the host's. */
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

/* The new folio; NULL where its pages are covered already. */
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

/* A new folio, dirty; its pages are not covered yet. */
struct folio *host_add_dirty(struct address_space *mapping, pgoff_t index, unsigned int order)
{
	struct folio *folio = host_add_folio(mapping, index, order);

	CHECK(folio != NULL && folio_mark_dirty(mapping, folio));
	return folio;
}

/* Puts a folio with a note on the list, as TypeScript does it. */
void host_note(struct deferred_marks *deferred, struct folio *folio)
{
	struct folio_chunk *chunk = folio_chunk(folio);
	uint32_t i = folio_chunk_index(folio);

	chunk->noted[i / 64] |= UINT64_C(1) << i % 64;
	if (chunk->noted_next != 0)
		return;
	chunk->noted_next = deferred->chunks;
	deferred->chunks = chunk->number + 1;
}

typedef void (*check_entry_t)(const struct xa_node *node, unsigned int offset);

static void check_node(const struct xa_node *node, check_entry_t check_entry)
{
	CHECK(node->marks[XA_PRESENT] != 0);
	for (unsigned int offset = 0; offset < XA_CHUNK_SIZE; offset++) {
		uintptr_t slot = xa_slot(node, offset);
		uint64_t bit = UINT64_C(1) << offset;

		if (slot == 0 || xa_is_sibling(slot)) {
			for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
				CHECK((node->marks[mark] & bit) == 0);
			CHECK(slot == 0 || xa_to_sibling(slot) < offset);
		} else if (xa_is_node(slot)) {
			const struct xa_node *child = xa_to_node(slot);

			CHECK(child->parent == node && child->offset == offset);
			CHECK(child->shift + XA_CHUNK_SHIFT == node->shift);
			CHECK(child->index == node->index + ((uint64_t)offset << node->shift));
			for (unsigned int mark = 0; mark < XA_NR_MARKS; mark++)
				CHECK((child->marks[mark] != 0) ==
				      ((node->marks[mark] & bit) != 0));
			check_node(child, check_entry);
		} else {
			CHECK((node->marks[XA_PRESENT] & bit) != 0);
			check_entry(node, offset);
		}
	}
}

/* Every invariant of the tree, from the top. */
void host_check_xarray(const struct xarray *xa, check_entry_t check_entry)
{
	if (xa->xa_head == NULL) {
		CHECK(xa->xa_hint == NULL);
		return;
	}
	CHECK(xa->xa_head->parent == NULL && xa->xa_head->index == 0);
	/* A top that bears its first slot only is one level too many. */
	CHECK(xa->xa_head->marks[XA_PRESENT] != 1 || !xa_is_node(xa_slot(xa->xa_head, 0)));
	check_node(xa->xa_head, check_entry);
}

static const struct address_space *mapping_seen;
static uint64_t nr_pages_seen;
static uint64_t nr_followers_seen;

/* Whether the page before is in the same node, and in the slot before. */
static bool follows(const struct folio *folio, const struct xa_node *node, unsigned int offset)
{
	return node->shift == 0 && folio_order(folio) == 0 && offset > 0 &&
	       folio_chunk_index(folio) > FOLIO_CHUNK_FIRST &&
	       xa_slot(node, offset - 1) == folio_entry(folio - 1) && folio_order(folio - 1) == 0;
}

static bool is_marked_follower(const struct folio *folio)
{
	uint32_t i = folio_chunk_index(folio);

	return (folio_chunk(folio)->follows[i / 64] >> i % 64 & 1) != 0;
}

static void check_folio(const struct xa_node *node, unsigned int offset)
{
	const struct folio *folio = folio_of_entry(mapping_seen, (xa_entry_t)xa_slot(node, offset));

	CHECK(folio_in_mapping(folio, mapping_seen) && folio_is_in(folio, node));
	CHECK(folio_bit(folio, node) == UINT64_C(1) << offset);
	CHECK(folio_index(folio) == node->index + ((uint64_t)offset << node->shift));
	CHECK(is_marked_follower(folio) == follows(folio, node, offset));
	nr_followers_seen += is_marked_follower(folio);
	nr_pages_seen += (uint64_t)folio_nr_pages(folio);
}

void host_check_tree(const struct address_space *mapping)
{
	uint64_t nr_followers = 0;

	mapping_seen = mapping;
	nr_pages_seen = 0;
	nr_followers_seen = 0;
	host_check_xarray(&mapping->i_pages, check_folio);
	CHECK(nr_pages_seen == mapping->nrpages);
	for (uint32_t i = 0; i < mapping->pool.nr_chunks; i++) {
		const struct folio_chunk *chunk = mapping->pool.chunks[i];

		for (uint32_t word = 0; word <= FOLIO_CHUNK_SIZE / 64; word++)
			nr_followers += (uint64_t)__builtin_popcountll(chunk->follows[word]);
	}
	CHECK(nr_followers == nr_followers_seen);
}
