// SPDX-License-Identifier: GPL-2.0-only
#include "calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deferred_marks.h"
#include "writeback_ahead.h"
#include "writeback_extent.h"

enum { PASS_FOLIO, PASS_DONE, PASS_BLOCKED };
enum { PASS_SYNC_ALL = 1, PASS_TAGGED = 2, PASS_CYCLIC = 4 };

/**
 * struct control - arguments and results of the calls
 * @mapping: which mapping
 * @pass: which of the mapping's passes
 * @slot: a folio, FOLIO_NO_SLOT for none
 * @status: 0 or a negative errno; or the answer of a question
 * @slots: a batch of folios, @count of them
 */
struct control {
	uint32_t mapping;
	uint32_t pass;
	uint32_t slot;
	uint32_t order;
	int32_t status;
	uint32_t mark;
	uint32_t count;
	uint32_t unused;
	double index;
	double start;
	double end;
	double value;
	uint32_t slots[FOLIO_BATCH_SIZE];
};

/**
 * struct stretch - folios that a pass hands to TypeScript together
 * @index: of an extent, the first page
 * @nr_pages: of an extent, how many pages
 * @nr_runs: how many runs of folios; of an extent only once they are asked for
 * @runs: the slot of each one's first folio, and how many folios in as many slots
 * @ahead: what the core has of them as long as nobody looks
 * @held: the extent, once somebody did
 */
struct stretch {
	double index;
	double nr_pages;
	uint32_t nr_runs;
	uint32_t unused;
	struct {
		uint32_t slot;
		uint32_t nr;
	} runs[WRITEBACK_AHEAD_SIZE];
	struct writeback_ahead ahead;
	struct writeback_extent held;
};

/**
 * struct pass - a pass, and what TypeScript has to know of it
 * @error: as *error of writeback_iter()
 * @status: PASS_FOLIO, PASS_DONE or PASS_BLOCKED
 * @slot: in: the folio returned last; out: the folio returned or waited for
 * @mode: PASS_SYNC_ALL, PASS_TAGGED, PASS_CYCLIC
 * @start: first page of the range
 * @end: last page of the range
 * @max_pages: the most pages of an extent; 0 where folios are written one by one
 * @slots: the folios of wbc.fbatch. TypeScript takes the next one by itself in the common case, and
 *	advances wbc.fbatch.i
 * @done: how many folios of the stretch were written
 * @stretch: room for stretches, if TypeScript gave any
 */
struct pass {
	int32_t error;
	int32_t status;
	uint32_t slot;
	uint32_t mode;
	double nr_to_write;
	double start;
	double end;
	uint32_t blocked_on;
	uint32_t max_pages;
	uint32_t slots[FOLIO_BATCH_SIZE];
	uint32_t done;
	struct writeback_control wbc;
	struct stretch *stretch;
};

/* lib/native/layout.ts has these numbers. */
static_assert(sizeof(void *) == 8, "the layouts are those of 64-bit machines");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "and little-endian ones");
static_assert(offsetof(struct control, slot) == 2 * 4, "layout.ts");
static_assert(offsetof(struct control, index) == 4 * 8, "layout.ts");
static_assert(offsetof(struct control, slots) == 16 * 4, "layout.ts");
static_assert(sizeof(struct control) <= CONTROL_BYTES, "layout.ts");
static_assert(offsetof(struct stretch, nr_runs) == 4 * 4, "layout.ts");
static_assert(offsetof(struct stretch, runs) == 6 * 4, "layout.ts");
static_assert(sizeof(struct stretch) <= STRETCH_BYTES, "layout.ts");
static_assert(offsetof(struct pass, nr_to_write) == 2 * 8, "layout.ts");
static_assert(offsetof(struct pass, blocked_on) == 10 * 4, "layout.ts");
static_assert(offsetof(struct pass, slots) == 12 * 4, "layout.ts");
static_assert(offsetof(struct pass, wbc.fbatch.nr) == 62 * 4, "layout.ts");
static_assert(offsetof(struct pass, wbc.fbatch.i) == 63 * 4, "layout.ts");
static_assert(sizeof(struct pass) <= PASS_BYTES, "layout.ts");
static_assert(sizeof(struct deferred_marks) == DEFERRED_BYTES, "layout.ts");
static_assert(sizeof(struct folio_chunk) == FOLIO_CHUNK_BYTES, "layout.ts");
static_assert(FOLIO_CHUNK_SHIFT == 10 && FOLIO_CHUNK_ALIGN == SLAB_EXTRA_BYTES, "layout.ts");
static_assert(sizeof(struct folio) == 4, "layout.ts");
static_assert(offsetof(struct folio_chunk, number) == 0, "layout.ts");
static_assert(offsetof(struct folio_chunk, noted_next) == 1 * 4, "layout.ts");
static_assert(offsetof(struct folio_chunk, noted) == 2 * 4, "layout.ts");
static_assert(offsetof(struct folio_chunk, index) - FOLIO_CHUNK_FIRST * 4 == 988 * 4, "layout.ts");
static_assert(EEXIST == 17 && ENOSPC == 28, "layout.ts, and on every system");
static_assert(PG_locked == 1 && PG_dirty == 2 && PG_writeback == 4 && PG_uptodate == 8 &&
		      FOLIO_ORDER_SHIFT == 11 && FOLIO_ORDER_MASK == 31 << 11,
	      "layout.ts");
static_assert(PG_set_dirty == 0x40 && PG_clear_dirty == 0x80 && PG_set_writeback == 0x100 &&
		      PG_clear_writeback == 0x200 && PG_clear_towrite == 0x400,
	      "layout.ts");

#define MIN_SAFE_INTEGER (-9007199254740991.0)

/**
 * struct mapping - an open mapping, or what is left of it until its handle is collected
 * @instance: whose number @id it is; NULL once closed
 */
struct mapping {
	struct instance *instance;
	uint32_t id;
	struct address_space mapping;
	struct deferred_marks *deferred;
	struct pass **passes;
	uint32_t nr_passes;
	uint32_t max_passes;
};

/**
 * struct instance - what one copy of the TypeScript modules has; lives as long as the environment
 * @memory: keeps the control block alive while anybody can call
 */
struct instance {
	napi_env env;
	napi_ref memory;
	struct control *control;
	struct mapping **mappings;
	uint32_t nr_mappings;
	/* Every number below this one is that of an open mapping. */
	uint32_t first_free;
};

static void *host_alloc(size_t size)
{
	return calloc(1, size);
}

/* JavaScript's thread never sleeps in the core, and its mappings are not shared: no wait, no wake.
 */
static const struct address_space_operations operations = {.alloc = host_alloc, .free = free};

/* The environment ends. Nobody calls any more, but handles of mappings are yet to be collected. */
static void instance_free(void *data)
{
	struct instance *instance = data;

	for (uint32_t i = 0; i < instance->nr_mappings; i++) {
		if (instance->mappings[i] != NULL)
			mapping_close(instance->mappings[i]);
	}
	napi_delete_reference(instance->env, instance->memory);
	free(instance->mappings);
	free(instance);
}

/* An instance over this block of memory, an ArrayBuffer of CONTROL_BYTES; NULL without memory. */
struct instance *instance_new(napi_env env, napi_value memory)
{
	struct instance *instance = calloc(1, sizeof(*instance));
	void *control;

	if (instance == NULL)
		return NULL;
	instance->env = env;
	if (napi_get_arraybuffer_info(env, memory, &control, NULL) != napi_ok ||
	    napi_create_reference(env, memory, 1, &instance->memory) != napi_ok)
		goto free_instance;
	instance->control = control;
	if (napi_add_env_cleanup_hook(env, instance_free, instance) != napi_ok)
		goto delete_reference;
	return instance;

delete_reference:
	napi_delete_reference(env, instance->memory);
free_instance:
	free(instance);
	return NULL;
}

/* Opens a mapping and names it in the control block. NULL without memory, and nothing changed. */
struct mapping *instance_open_mapping(struct instance *instance, void *deferred,
				      unsigned int page_shift)
{
	struct mapping *mapping = calloc(1, sizeof(*mapping));
	uint32_t id = instance->first_free;

	if (mapping == NULL)
		return NULL;
	while (id < instance->nr_mappings && instance->mappings[id] != NULL)
		id++;
	if (id == instance->nr_mappings) {
		struct mapping **mappings =
			realloc(instance->mappings, (id + 1) * sizeof(struct mapping *));

		if (mappings == NULL) {
			free(mapping);
			return NULL;
		}
		instance->mappings = mappings;
		instance->nr_mappings++;
	}
	mapping->instance = instance;
	mapping->id = id;
	mapping->deferred = deferred;
	deferred_marks_init(deferred);
	address_space_init(&mapping->mapping, page_shift, false, &operations);
	instance->mappings[id] = mapping;
	instance->first_free = id + 1;
	instance->control->mapping = id;
	return mapping;
}

/* Drops the page cache. The memory that it shared with TypeScript is not touched any more. */
void mapping_close(struct mapping *mapping)
{
	struct instance *instance = mapping->instance;

	if (instance == NULL)
		return;
	address_space_destroy(&mapping->mapping);
	free(mapping->passes);
	instance->mappings[mapping->id] = NULL;
	if (mapping->id < instance->first_free)
		instance->first_free = mapping->id;
	mapping->instance = NULL;
}

/* The handle was collected. */
void mapping_free(struct mapping *mapping)
{
	mapping_close(mapping);
	free(mapping);
}

static struct mapping *current_mapping(const struct instance *instance)
{
	assert(instance->control->mapping < instance->nr_mappings);
	return instance->mappings[instance->control->mapping];
}

static struct pass *current_pass(const struct instance *instance)
{
	struct mapping *mapping = current_mapping(instance);

	assert(instance->control->pass < mapping->nr_passes);
	return mapping->passes[instance->control->pass];
}

/*
 * Adds a chunk of a slab, which has room for so many and one aligned as chunks have to be; its
 * place in the slab, in bytes, goes to control.value.
 */
void instance_add_chunk(struct instance *instance, void *slab, uint32_t number)
{
	struct control *control = instance->control;
	size_t offset =
		(-(uintptr_t)slab & (FOLIO_CHUNK_ALIGN - 1)) + number * sizeof(struct folio_chunk);

	control->value = (double)offset;
	control->status =
		address_space_add_chunk(&current_mapping(instance)->mapping,
					(struct folio_chunk *)(void *)((char *)slab + offset));
}

/* A pass block is the mapping's until it is closed; its number goes to control.pass. */
void instance_open_pass(struct instance *instance, void *pass)
{
	struct mapping *mapping = current_mapping(instance);

	if (mapping->nr_passes == mapping->max_passes) {
		uint32_t max = mapping->max_passes * 2 + 1;
		struct pass **passes = realloc(mapping->passes, max * sizeof(struct pass *));

		if (passes == NULL) {
			instance->control->status = -ENOMEM;
			return;
		}
		mapping->passes = passes;
		mapping->max_passes = max;
	}
	instance->control->pass = mapping->nr_passes;
	instance->control->status = 0;
	mapping->passes[mapping->nr_passes++] = pass;
}

/* The memory is zero. It is for a pass that has not begun. */
void instance_open_stretch(struct instance *instance, void *stretch)
{
	current_pass(instance)->stretch = stretch;
}

/* What every call begins with. The tree is told of the marks before anybody looks at them. */
static struct instance *enter(napi_env env, napi_callback_info info)
{
	struct instance *instance;
	struct mapping *mapping;
	void *data = NULL;

	napi_get_cb_info(env, info, NULL, NULL, NULL, &data);
	instance = data;
	mapping = current_mapping(instance);
	if (mapping->deferred->chunks != DEFERRED_END)
		apply_deferred_marks(&mapping->mapping, mapping->deferred);
	return instance;
}

static napi_value add_folio(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct control *control = instance->control;
	struct folio *folio;

	control->status = filemap_add_folio(&current_mapping(instance)->mapping,
					    (pgoff_t)control->index, control->order, &folio);
	if (control->status == 0)
		control->slot = folio_slot(folio);
	return NULL;
}

static napi_value get_folio(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct control *control = instance->control;
	struct folio *folio = filemap_get_folio(mapping, (pgoff_t)control->index);

	control->slot = FOLIO_NO_SLOT;
	if (folio != NULL) {
		control->slot = folio_slot(folio);
		folio_put(mapping, folio);
	}
	return NULL;
}

static napi_value remove_folio(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct control *control = instance->control;

	control->status =
		filemap_remove_folio(mapping, folio_of_slot(&mapping->pool, control->slot));
	return NULL;
}

static napi_value get_folios_tag(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct control *control = instance->control;
	pgoff_t start = (pgoff_t)control->start;
	struct folio_batch fbatch;

	folio_batch_init(&fbatch);
	filemap_get_folios_tag(mapping, &start, (pgoff_t)control->end, (xa_mark_t)control->mark,
			       &fbatch);
	for (uint32_t i = 0; i < fbatch.nr; i++)
		control->slots[i] = folio_slot(fbatch.folios[i]);
	control->count = fbatch.nr;
	control->start = (double)start;
	folio_batch_release(mapping, &fbatch);
	return NULL;
}

static napi_value tagged(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct control *control = instance->control;

	control->status =
		mapping_tagged(&current_mapping(instance)->mapping, (xa_mark_t)control->mark);
	return NULL;
}

static napi_value tag_pages(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	const struct control *control = instance->control;

	tag_pages_for_writeback(&current_mapping(instance)->mapping, (pgoff_t)control->start,
				(pgoff_t)control->end);
	return NULL;
}

static napi_value get_nr_pages(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);

	instance->control->value = (double)current_mapping(instance)->mapping.nrpages;
	return NULL;
}

static napi_value get_writeback_index(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);

	instance->control->value = (double)current_mapping(instance)->mapping.writeback_index;
	return NULL;
}

static napi_value set_writeback_index(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);

	current_mapping(instance)->mapping.writeback_index = (pgoff_t)instance->control->value;
	return NULL;
}

/* A pass starts; what was left of the one before on the same block was released. */
static napi_value begin_pass(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	unsigned int shift = current_mapping(instance)->mapping.page_shift;
	struct pass *pass = current_pass(instance);

	pass->wbc = (struct writeback_control){
		.range_start = (int64_t)pass->start << shift,
		.range_end = (int64_t)pass->end << shift,
		.sync_mode = (pass->mode & PASS_SYNC_ALL) != 0 ? WB_SYNC_ALL : WB_SYNC_NONE,
		.tagged_writepages = (pass->mode & PASS_TAGGED) != 0,
		.range_cyclic = (pass->mode & PASS_CYCLIC) != 0,
		/* No lookup leaves this index, so that pass_out() sees the first one. */
		.index = UINT64_MAX - 1,
	};
	if (pass->stretch != NULL)
		writeback_begin_ahead(&pass->stretch->ahead);
	return NULL;
}

/* Tells TypeScript what the core did with the pass; each lookup of a batch moves the index. */
static void pass_out(struct pass *pass, pgoff_t index_before, bool found)
{
	const struct folio_batch *fbatch = &pass->wbc.fbatch;

	pass->nr_to_write = (double)pass->wbc.nr_to_write;
	if (pass->nr_to_write < MIN_SAFE_INTEGER)
		pass->nr_to_write = MIN_SAFE_INTEGER;
	if (pass->wbc.index != index_before) {
		for (uint32_t i = 0; i < fbatch->nr; i++)
			pass->slots[i] = folio_slot(fbatch->folios[i]);
	}
	if (found) {
		pass->status = PASS_FOLIO;
	} else if (pass->wbc.blocked != NULL) {
		pass->status = PASS_BLOCKED;
		pass->slot = folio_slot(pass->wbc.blocked);
		pass->blocked_on = pass->wbc.blocked_on;
	} else {
		pass->status = PASS_DONE;
	}
}

static napi_value next_folio(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct pass *pass = current_pass(instance);
	pgoff_t before = pass->wbc.index;
	struct folio *folio = NULL;

	if (pass->slot != FOLIO_NO_SLOT)
		folio = folio_of_slot(&mapping->pool, pass->slot);
	pass->wbc.nr_to_write = (int64_t)pass->nr_to_write;
	folio = writeback_iter(mapping, &pass->wbc, folio, &pass->error);
	if (folio != NULL)
		pass->slot = folio_slot(folio);
	pass_out(pass, before, folio != NULL);
	return NULL;
}

/* Tells TypeScript which folios the stretch has, or had before it was settled. */
static void stretch_out(struct stretch *stretch)
{
	const struct writeback_ahead *ahead = &stretch->ahead;

	stretch->nr_runs = ahead->nr_runs;
	for (uint32_t i = 0; i < ahead->nr_runs; i++) {
		stretch->runs[i].slot = folio_slot(ahead->runs[i].first);
		stretch->runs[i].nr = ahead->runs[i].nr;
	}
}

/*
 * The folios of the last stretch were written, or its only folio was ended by TypeScript: the next
 * stretch.
 */
static napi_value next_folios(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct pass *pass = current_pass(instance);
	struct stretch *stretch = pass->stretch;
	struct writeback_ahead *ahead = &stretch->ahead;
	pgoff_t before = pass->wbc.index;
	struct folio *folio = NULL;

	pass->wbc.nr_to_write = (int64_t)pass->nr_to_write;
	if (ahead->nr != 0)
		folio = writeback_end_ahead(mapping, &pass->wbc, ahead);
	else if (pass->slot != FOLIO_NO_SLOT)
		folio = folio_of_slot(&mapping->pool, pass->slot);
	folio = writeback_iter(mapping, &pass->wbc, folio, &pass->error);
	if (folio != NULL) {
		writeback_look_ahead(mapping, &pass->wbc, ahead);
		stretch_out(stretch);
	}
	pass_out(pass, before, folio != NULL);
	return NULL;
}

/*
 * Somebody might look: in the callback for the folio behind the @done that were written, or in that
 * for the extent.
 */
static napi_value settle(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct pass *pass = current_pass(instance);
	struct stretch *stretch = pass->stretch;
	pgoff_t before = pass->wbc.index;

	pass->wbc.nr_to_write = (int64_t)pass->nr_to_write;
	if (pass->max_pages != 0)
		writeback_hold_extent(mapping, &pass->wbc, &stretch->ahead, &stretch->held);
	else
		writeback_settle_ahead(mapping, &pass->wbc, &stretch->ahead, pass->done, 1);
	pass_out(pass, before, true);
	return NULL;
}

/* The last extent was written unseen, or ended; the next one. */
static napi_value get_extent(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct pass *pass = current_pass(instance);
	struct stretch *stretch = pass->stretch;
	struct writeback_ahead *ahead = &stretch->ahead;
	bool found;

	pass->wbc.nr_to_write = (int64_t)pass->nr_to_write;
	found = writeback_get_extent_ahead(mapping, &pass->wbc, ahead, &stretch->held,
					   pass->max_pages, &pass->error);
	if (found) {
		stretch->index = (double)folio_index(ahead->runs[0].first);
		stretch->nr_pages = (double)ahead->nr_pages;
	}
	/* TypeScript takes extents from here only, never from the batch. */
	pass_out(pass, pass->wbc.index, found);
	return NULL;
}

/* Somebody wants to know the folios of the extent in hand. */
static napi_value get_extent_folios(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);

	stretch_out(current_pass(instance)->stretch);
	return NULL;
}

static napi_value end_extent(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	const struct pass *pass = current_pass(instance);

	writeback_end_extent(&current_mapping(instance)->mapping, &pass->stretch->held,
			     pass->error);
	return NULL;
}

/* The pass is over, or abandoned wherever it stands. An extent in hand was ended before. */
static napi_value release_pass(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct pass *pass = current_pass(instance);

	folio_batch_release(mapping, &pass->wbc.fbatch);
	pass->wbc.blocked = NULL;
	if (pass->stretch != NULL && pass->stretch->held.nr_folios != 0) {
		folio_put(mapping, pass->stretch->held.folios[0]);
		pass->stretch->held.nr_folios = 0;
	}
	return NULL;
}

const struct call calls[] = {
	{"addFolio", add_folio},
	{"getFolio", get_folio},
	{"removeFolio", remove_folio},
	{"getFoliosTag", get_folios_tag},
	{"tagged", tagged},
	{"tagPagesForWriteback", tag_pages},
	{"getNrPages", get_nr_pages},
	{"getWritebackIndex", get_writeback_index},
	{"setWritebackIndex", set_writeback_index},
	{"beginPass", begin_pass},
	{"writebackIter", next_folio},
	{"writebackIterAhead", next_folios},
	{"settleAhead", settle},
	{"getExtent", get_extent},
	{"getExtentFolios", get_extent_folios},
	{"endExtent", end_extent},
	{"releasePass", release_pass},
};
const size_t nr_calls = sizeof(calls) / sizeof(calls[0]);
