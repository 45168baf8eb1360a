/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A handful of folios, each with a reference held by the batch (the kernel's
 * include/linux/pagevec.h).
 */
#ifndef WRITEBACK_ITER_FOLIO_BATCH_H
#define WRITEBACK_ITER_FOLIO_BATCH_H

#include "folio.h"

/* The kernel's number: the batch then takes 32 words. */
#define FOLIO_BATCH_SIZE 31

/**
 * struct folio_batch - folios looked up together
 * @nr: how many there are
 * @i: which one folio_batch_next() returns next
 * @folios: the folios
 * @runs: how many folios, from this one on, were single pages that follow one another both in the
 *	file and in memory when they were looked up
 */
struct folio_batch {
	uint32_t nr;
	uint32_t i;
	struct folio *folios[FOLIO_BATCH_SIZE];
	uint8_t runs[FOLIO_BATCH_SIZE];
};

static inline void folio_batch_init(struct folio_batch *fbatch)
{
	fbatch->nr = 0;
	fbatch->i = 0;
}

/*
 * Adds neighbours in memory and their references; returns how many more would fit. The batch has
 * room for them.
 */
static inline unsigned int folio_batch_add_run(struct folio_batch *fbatch, struct folio *first,
					       uint32_t nr)
{
	assert(nr > 0 && nr <= FOLIO_BATCH_SIZE - fbatch->nr);
	for (uint32_t i = 0; i < nr; i++) {
		fbatch->folios[fbatch->nr + i] = first + i;
		fbatch->runs[fbatch->nr + i] = (uint8_t)(nr - i);
	}
	fbatch->nr += nr;
	return FOLIO_BATCH_SIZE - fbatch->nr;
}

/* The next folio, NULL behind the last; the reference stays with the batch. */
static inline struct folio *folio_batch_next(struct folio_batch *fbatch)
{
	if (fbatch->i == fbatch->nr)
		return NULL;
	return fbatch->folios[fbatch->i++];
}

#endif
