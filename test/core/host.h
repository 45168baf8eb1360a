/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A host for the core's tests: memory from calloc, with an allocation that can be made to fail.
 */
#ifndef WRITEBACK_ITER_TEST_HOST_H
#define WRITEBACK_ITER_TEST_HOST_H

#include <stdio.h>
#include <stdlib.h>

#include "writeback_extent.h"

/* Fails the program with its place, in every build. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__,           \
				#condition);                                                       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* The allocation that fails, counted down to 0; negative: none. */
extern int host_alloc_fails;
/* How many allocations failed in that way. */
extern int host_failed;
/* The size of the last allocation that did not fail. */
extern size_t host_last_size;
/* The number of allocations that are not freed yet. */
extern int host_allocated;

extern struct address_space_operations host_ops;

/* The state of the random numbers, which are the same in every run. */
extern uint32_t host_random_state;
uint32_t host_random_below(uint32_t n);

void host_mapping_init(struct address_space *mapping);
void host_mapping_destroy(struct address_space *mapping);
struct folio_chunk *host_alloc_chunk(void);
struct folio *host_add_folio(struct address_space *mapping, pgoff_t index, unsigned int order);
struct folio *host_add_dirty(struct address_space *mapping, pgoff_t index, unsigned int order);
struct folio *host_extent_folio(const struct writeback_extent *extent, uint32_t i);
void host_check_tree(const struct address_space *mapping);
uint32_t host_nr_nodes(const struct xarray *xa);
void host_check_xarray(const struct xarray *xa,
		       void (*check_entry)(const struct xarray *xa, const struct xa_node *node,
					   unsigned int offset));

#endif
