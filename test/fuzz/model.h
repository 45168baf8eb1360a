/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The meaning of a page cache and its writeback, in the simplest form: an array of folios that is
 * searched from end to end. The model shares no code with the core, and is slow.
 */
#ifndef WRITEBACK_ITER_FUZZ_MODEL_H
#define WRITEBACK_ITER_FUZZ_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_FOLIOS 320
#define MODEL_BATCH 31
#define MODEL_EXTENT_PAGES 1024

enum model_mark { MODEL_DIRTY, MODEL_WRITEBACK, MODEL_TOWRITE, MODEL_NR_MARKS };

/* In place of a mark: all folios of the cache. */
#define MODEL_ANY MODEL_NR_MARKS

enum model_flag { MODEL_FLAG_LOCKED, MODEL_FLAG_WRITEBACK };

/**
 * struct model_folio - a folio
 * @present: it is in the cache
 * @references: the cache's, and those of all others; 0 for a place in the array that is free
 * @twin: the folio that it is compared with
 */
struct model_folio {
	uint64_t index;
	unsigned int order;
	bool present;
	bool locked;
	bool dirty;
	bool writeback;
	bool marks[MODEL_NR_MARKS];
	unsigned int references;
	void *twin;
};

struct model_batch {
	unsigned int nr;
	unsigned int next;
	struct model_folio *folios[MODEL_BATCH];
};

struct model_pass {
	int64_t nr_to_write;
	int64_t pages_skipped;
	int64_t range_start;
	int64_t range_end;
	bool sync_all;
	bool tagged_writepages;
	bool range_cyclic;

	uint64_t index;
	int saved_err;
	struct model_batch batch;
	struct model_folio *blocked;
	enum model_flag blocked_on;
};

struct model_extent {
	uint64_t index;
	uint64_t nr_pages;
	unsigned int nr_folios;
	struct model_folio *folios[MODEL_EXTENT_PAGES];
};

/**
 * struct model - a page cache
 * @wait: called to wait until the folio loses the flag; true if it did, false if none can wait
 * @wakes: how often a lock was released or a writeback ended
 */
struct model {
	struct model_folio folios[MODEL_FOLIOS];
	uint64_t writeback_index;
	unsigned int page_shift;
	bool (*wait)(struct model_folio *folio, enum model_flag flag);
	uint64_t wakes;
};

/* Returned by a writepage callback: "unlock it yourself". */
#define MODEL_ACTIVATE 0x80000
typedef int (*model_writepage_t)(struct model_folio *folio, struct model_pass *pass);

uint64_t model_nr_pages(const struct model_folio *folio);
uint64_t model_last(const struct model_folio *folio);
unsigned int model_nr_folios(const struct model *model);
uint64_t model_nrpages(const struct model *model);
bool model_tagged(const struct model *model, enum model_mark mark);
struct model_folio *model_find(struct model *model, uint64_t page);
bool model_covered(const struct model *model, uint64_t first, uint64_t last);

struct model_folio *model_add(struct model *model, uint64_t index, unsigned int order, void *twin);
int model_remove(struct model *model, struct model_folio *folio);
void model_get(struct model_folio *folio);
void model_put(struct model_folio *folio);
void model_release(struct model_batch *batch);

bool model_trylock(struct model_folio *folio);
bool model_lock(struct model *model, struct model_folio *folio);
void model_unlock(struct model *model, struct model_folio *folio);
bool model_wait_writeback(struct model *model, struct model_folio *folio);
bool model_mark_dirty(struct model_folio *folio);
bool model_clear_dirty_for_io(struct model_folio *folio);
bool model_trylock_for_io(struct model_folio *folio);
void model_start_writeback(struct model_folio *folio, bool keep_write);
void model_end_writeback(struct model *model, struct model_folio *folio);
bool model_redirty(struct model_pass *pass, struct model_folio *folio);

void model_tag(struct model *model, uint64_t start, uint64_t end);
void model_get_folios_tag(struct model *model, uint64_t *start, uint64_t end, int mark,
			  struct model_batch *batch);
struct model_folio *model_iter(struct model *model, struct model_pass *pass,
			       struct model_folio *folio, int *error);
int model_write_cache_pages(struct model *model, struct model_pass *pass,
			    model_writepage_t writepage);
bool model_get_extent(struct model *model, struct model_pass *pass, struct model_extent *extent,
		      uint64_t max_pages, int *error);
void model_end_extent(struct model *model, struct model_extent *extent, int error);

#endif
