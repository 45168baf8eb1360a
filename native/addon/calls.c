// SPDX-License-Identifier: GPL-2.0-only
#include "calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writeback_extent.h"

/**
 * struct control - arguments and results of the calls
 * @mapping: the number of the mapping
 * @pass: the number of the mapping's pass
 * @slot: a folio, FOLIO_NO_SLOT for none
 * @status: 0 or a negative errno; for a question, the answer
 * @count: the number of folios in @slots; with -ENOSPC, the number that the pool has left
 * @slots: a batch of folios
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
 * struct pass - a pass, as TypeScript sees it
 * @error: as *error of writeback_iter()
 * @status: PASS_STATUS_FOLIO, PASS_STATUS_DONE or PASS_STATUS_BLOCKED
 * @slot: in: the folio returned last, or the last one of an extent; out: the folio returned, or the
 *	last of an extent, or the folio that the pass waits for
 * @mode: PASS_MODE_SYNC_ALL, PASS_MODE_TAGGED, PASS_MODE_CYCLIC
 * @start: first page of the range
 * @end: last page of the range
 * @max_pages: the most pages of an extent
 * @extent_index: the first page of the extent that get_extent() returned
 * @extent_pages: its number of pages
 * @extent_folios: its number of folios
 * @indices: the first pages of the folios of wbc.fbatch
 * @slots: the folios. In the common case TypeScript takes the next one itself, and advances
 *	wbc.fbatch.i
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
	double extent_index;
	double extent_pages;
	uint32_t extent_folios;
	uint32_t unused;
	double indices[FOLIO_BATCH_SIZE];
	uint32_t slots[FOLIO_BATCH_SIZE];
	struct writeback_control wbc;
};

#define MIN_SAFE_INTEGER (-9007199254740991.0)

/* The members stand where lib/native/layout.ts says. */
#define WORD_AT(type, member, word)                                                                \
	static_assert(offsetof(struct type, member) == 4 * (word), #member)
#define F64_AT(type, member, number)                                                               \
	static_assert(offsetof(struct type, member) == 8 * (number), #member)

static_assert(sizeof(void *) == 8, "the layouts are those of 64-bit machines");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "and little-endian ones");
WORD_AT(control, mapping, CONTROL_MAPPING);
WORD_AT(control, pass, CONTROL_PASS);
WORD_AT(control, slot, CONTROL_SLOT);
WORD_AT(control, order, CONTROL_ORDER);
WORD_AT(control, status, CONTROL_STATUS);
WORD_AT(control, mark, CONTROL_MARK);
WORD_AT(control, count, CONTROL_COUNT);
F64_AT(control, index, CONTROL_INDEX_F64);
F64_AT(control, start, CONTROL_START_F64);
F64_AT(control, end, CONTROL_END_F64);
F64_AT(control, value, CONTROL_VALUE_F64);
WORD_AT(control, slots, CONTROL_SLOTS);
static_assert(sizeof(struct control) <= CONTROL_BYTES, "struct control");
WORD_AT(pass, error, PASS_WORD_ERROR);
WORD_AT(pass, status, PASS_WORD_STATUS);
WORD_AT(pass, slot, PASS_WORD_SLOT);
WORD_AT(pass, mode, PASS_WORD_MODE);
F64_AT(pass, nr_to_write, PASS_WORD_NR_TO_WRITE_F64);
F64_AT(pass, start, PASS_WORD_START_F64);
F64_AT(pass, end, PASS_WORD_END_F64);
WORD_AT(pass, blocked_on, PASS_WORD_BLOCKED_ON);
WORD_AT(pass, max_pages, PASS_WORD_MAX_PAGES);
F64_AT(pass, extent_index, PASS_WORD_EXTENT_INDEX_F64);
F64_AT(pass, extent_pages, PASS_WORD_EXTENT_PAGES_F64);
WORD_AT(pass, extent_folios, PASS_WORD_EXTENT_FOLIOS);
F64_AT(pass, indices, PASS_WORD_INDICES_F64);
WORD_AT(pass, slots, PASS_WORD_SLOTS);
WORD_AT(pass, wbc.fbatch.nr, PASS_WORD_BATCH_NR);
WORD_AT(pass, wbc.fbatch.i, PASS_WORD_BATCH_I);
static_assert(sizeof(struct pass) <= PASS_WORD_BYTES, "struct pass");
WORD_AT(folio_chunk, number, CHUNK_WORD_NUMBER);
/* The first slots have no place here: a member's words begin before it. */
static_assert(offsetof(struct folio_chunk, index) ==
		      CHUNK_WORD_INDEX * 4 + FOLIO_CHUNK_FIRST * sizeof(uint64_t),
	      "index");
static_assert(offsetof(struct folio_chunk, tree_slot) ==
		      CHUNK_WORD_TREE_SLOT * 4 + FOLIO_CHUNK_FIRST * sizeof(uint32_t),
	      "tree_slot");
static_assert(sizeof(struct folio) == 4 && FOLIO_CHUNK_SHIFT == CHUNK_WORD_SHIFT, "struct folio");
static_assert(sizeof(struct folio_chunk) == SLAB_CHUNK_BYTES &&
		      FOLIO_CHUNK_ALIGN == SLAB_EXTRA_BYTES,
	      "struct folio_chunk");
WORD_AT(xa_node, marks[PAGECACHE_TAG_DIRTY], NODE_WORD_DIRTY);
WORD_AT(xa_node, marks[PAGECACHE_TAG_WRITEBACK], NODE_WORD_WRITEBACK);
WORD_AT(xa_node, marks[PAGECACHE_TAG_TOWRITE], NODE_WORD_TOWRITE);
WORD_AT(xa_node, parent, NODE_WORD_PARENT);
static_assert(sizeof(struct xa_node) == NODE_WORD_BYTES && NODE_WORD_BYTES == NODE_WORD_SIZE * 4 &&
		      XA_CHUNK_SHIFT == 6,
	      "struct xa_node");
static_assert(PG_locked == PG_LOCKED && PG_dirty == PG_DIRTY && PG_writeback == PG_WRITEBACK &&
		      PG_uptodate == PG_UPTODATE && PG_cached == PG_CACHED &&
		      FOLIO_ORDER_MASK == PG_ORDER && FOLIO_ORDER_SHIFT == PG_ORDER_SHIFT,
	      "flags");
static_assert(EEXIST == ERRNO_EEXIST && ENOSPC == ERRNO_ENOSPC, "on every system");

/**
 * struct mapping - an open mapping
 * @passes: the blocks of its passes, and the extent of each, which the first pass by extents makes
 */
struct mapping {
	struct address_space mapping;
	struct {
		struct pass *pass;
		struct writeback_extent *extent;
	} * passes;
	uint32_t nr_passes;
	uint32_t max_passes;
};

/**
 * struct instance - the state of one copy of the TypeScript modules, for as long as the environment
 *	lives
 * @memory: keeps the control block alive while calls are possible
 */
struct instance {
	napi_env env;
	napi_ref memory;
	struct control *control;
	struct mapping **mappings;
	uint32_t nr_mappings;
	/* Every number below this one belongs to an open mapping. */
	uint32_t first_free;
};

static void *host_alloc(size_t size)
{
	return calloc(1, size);
}

/* JavaScript's thread never sleeps in the core, and its mappings are not shared: no wait, no wake.
 */
static const struct address_space_operations operations = {.alloc = host_alloc, .free = free};

/* Drops the page cache, without touching the memory that it shared with TypeScript, which may be
 * freed already. */
static void mapping_close(struct instance *instance, uint32_t id)
{
	struct mapping *mapping = instance->mappings[id];

	address_space_destroy(&mapping->mapping);
	for (uint32_t i = 0; i < mapping->nr_passes; i++)
		free(mapping->passes[i].extent);
	free(mapping->passes);
	free(mapping);
	instance->mappings[id] = NULL;
	if (id < instance->first_free)
		instance->first_free = id;
}

/* The environment ends: there will be no more calls. */
static void instance_free(void *data)
{
	struct instance *instance = data;

	for (uint32_t i = 0; i < instance->nr_mappings; i++) {
		if (instance->mappings[i] != NULL)
			mapping_close(instance, i);
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

/*
 * Opens a mapping and names it in the control block. It is open until close_mapping(). Returns 0,
 * or -ENOMEM with nothing changed.
 */
int instance_open_mapping(struct instance *instance, unsigned int page_shift)
{
	struct mapping *mapping = calloc(1, sizeof(*mapping));
	uint32_t id = instance->first_free;

	if (mapping == NULL)
		return -ENOMEM;
	while (id < instance->nr_mappings && instance->mappings[id] != NULL)
		id++;
	if (id == instance->nr_mappings) {
		uint32_t max = id * 2 + 1;
		struct mapping **mappings =
			realloc(instance->mappings, max * sizeof(struct mapping *));

		if (mappings == NULL) {
			free(mapping);
			return -ENOMEM;
		}
		memset(mappings + id, 0, (max - id) * sizeof(struct mapping *));
		instance->mappings = mappings;
		instance->nr_mappings = max;
	}
	address_space_init(&mapping->mapping, page_shift, false, &operations);
	/* TypeScript changes marks in place, so it gives the memory of the nodes (giveNodes). */
	mapping->mapping.i_pages.xa_host_nodes = true;
	instance->mappings[id] = mapping;
	instance->first_free = id + 1;
	instance->control->mapping = id;
	return 0;
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
	return mapping->passes[instance->control->pass].pass;
}

static struct writeback_extent *current_extent(const struct instance *instance)
{
	return current_mapping(instance)->passes[instance->control->pass].extent;
}

/*
 * Adds a chunk of a slab, which has room for one more, so that they can be aligned as chunks have
 * to be; its place in the slab, in bytes, goes to control.value.
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

/* Memory for the records of the tree's nodes, replacing the memory given before. */
void instance_give_nodes(struct instance *instance, void *nodes, uint32_t max)
{
	instance->control->status =
		address_space_give_nodes(&current_mapping(instance)->mapping, nodes, max);
}

/* A pass block is the mapping's until it is closed; its number goes to control.pass. */
void instance_open_pass(struct instance *instance, void *pass)
{
	struct mapping *mapping = current_mapping(instance);

	if (mapping->nr_passes == mapping->max_passes) {
		uint32_t max = mapping->max_passes * 2 + 1;
		void *passes = realloc(mapping->passes, max * sizeof(*mapping->passes));

		if (passes == NULL) {
			instance->control->status = -ENOMEM;
			return;
		}
		mapping->passes = passes;
		mapping->max_passes = max;
	}
	instance->control->pass = mapping->nr_passes;
	instance->control->status = 0;
	mapping->passes[mapping->nr_passes].pass = pass;
	mapping->passes[mapping->nr_passes++].extent = NULL;
}

/* What every call begins with. */
static struct instance *enter(napi_env env, napi_callback_info info)
{
	void *data = NULL;

	napi_get_cb_info(env, info, NULL, NULL, NULL, &data);
	return data;
}

static napi_value close_mapping(napi_env env, napi_callback_info info)
{
	struct instance *instance = enter(env, info);

	mapping_close(instance, instance->control->mapping);
	return NULL;
}

static napi_value add_folio(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct control *control = instance->control;
	struct folio *folio;

	control->status = filemap_add_folio(&current_mapping(instance)->mapping,
					    (pgoff_t)control->index, control->order, &folio);
	control->count = current_mapping(instance)->mapping.pool.nr_free;
	if (control->status == 0)
		control->slot = folio_slot(folio);
	return NULL;
}

/* control.value contiguous folios. */
static napi_value add_folios(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct control *control = instance->control;

	control->status =
		filemap_add_folios(&current_mapping(instance)->mapping, (pgoff_t)control->index,
				   (uint64_t)control->value, control->order);
	control->count = current_mapping(instance)->mapping.pool.nr_free;
	return NULL;
}

static napi_value dirty_range(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct control *control = instance->control;

	control->value =
		(double)filemap_dirty_range(&current_mapping(instance)->mapping,
					    (pgoff_t)control->start, (pgoff_t)control->end);
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

/* A pass starts; the rest of the one before on the same block was released. */
static napi_value begin_pass(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	unsigned int shift = current_mapping(instance)->mapping.page_shift;
	struct pass *pass = current_pass(instance);

	pass->wbc = (struct writeback_control){
		.range_start = (int64_t)pass->start << shift,
		.range_end = (int64_t)pass->end << shift,
		.sync_mode = (pass->mode & PASS_MODE_SYNC_ALL) != 0 ? WB_SYNC_ALL : WB_SYNC_NONE,
		.tagged_writepages = (pass->mode & PASS_MODE_TAGGED) != 0,
		.range_cyclic = (pass->mode & PASS_MODE_CYCLIC) != 0,
		/* No lookup leaves this index, so that pass_out() sees the first one. */
		.index = UINT64_MAX - 1,
	};
	return NULL;
}

/* Stores for TypeScript what the core did with the pass; each lookup of a batch moves the index. */
static void pass_out(struct pass *pass, pgoff_t index_before, bool found)
{
	const struct folio_batch *fbatch = &pass->wbc.fbatch;

	pass->nr_to_write = (double)pass->wbc.nr_to_write;
	if (pass->nr_to_write < MIN_SAFE_INTEGER)
		pass->nr_to_write = MIN_SAFE_INTEGER;
	if (pass->wbc.index != index_before) {
		for (uint32_t i = 0, rest = 0, slot = 0; i < fbatch->nr; i++, rest--) {
			if (rest == 0) {
				slot = folio_slot(fbatch->folios[i]) - i;
				rest = fbatch->runs[i];
			}
			pass->slots[i] = slot + i;
		}
	}
	if (found) {
		pass->status = PASS_STATUS_FOLIO;
	} else if (pass->wbc.blocked != NULL) {
		pass->status = PASS_STATUS_BLOCKED;
		pass->slot = folio_slot(pass->wbc.blocked);
		pass->blocked_on = pass->wbc.blocked_on;
	} else {
		pass->status = PASS_STATUS_DONE;
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

/* A pass by extents starts: status -ENOMEM if there is no memory for an extent. */
static napi_value make_extent(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct mapping *mapping = current_mapping(instance);
	struct writeback_extent **extent = &mapping->passes[instance->control->pass].extent;

	if (*extent == NULL)
		*extent = calloc(1, sizeof(**extent));
	instance->control->status = *extent == NULL ? -ENOMEM : 0;
	return NULL;
}

/*
 * The next extent. The one before was ended: by end_extent(), or by TypeScript if it was a single
 * folio that TypeScript took.
 */
static napi_value get_extent(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct writeback_extent *extent = current_extent(instance);
	struct pass *pass = current_pass(instance);
	pgoff_t before = pass->wbc.index;
	bool found;

	if (pass->slot != FOLIO_NO_SLOT)
		writeback_hold_last(mapping, extent, folio_of_slot(&mapping->pool, pass->slot));
	pass->wbc.nr_to_write = (int64_t)pass->nr_to_write;
	found = writeback_get_extent(mapping, &pass->wbc, extent, pass->max_pages, &pass->error);
	pass->extent_index = (double)extent->index;
	pass->extent_pages = (double)extent->nr_pages;
	pass->extent_folios = extent->nr_folios;
	if (found)
		pass->slot = folio_slot(extent_last(extent));
	if (pass->wbc.index != before) {
		const struct folio_batch *fbatch = &pass->wbc.fbatch;

		for (uint32_t i = fbatch->i; i < fbatch->nr; i++)
			pass->indices[i] = (double)folio_index(fbatch->folios[i]);
	}
	pass_out(pass, before, found);
	return NULL;
}

/* A batch of the folios of the extent in hand, from control.start on. */
static napi_value get_extent_folios(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	const struct writeback_extent *extent = current_extent(instance);
	struct control *control = instance->control;
	uint32_t skip = (uint32_t)control->start;

	control->count = 0;
	for (uint32_t run = 0; run < extent->nr_runs; run++) {
		for (uint32_t i = 0; i < extent->runs[run].nr; i++) {
			if (skip != 0)
				skip--;
			else if (control->count < FOLIO_BATCH_SIZE)
				control->slots[control->count++] =
					folio_slot(extent->runs[run].first + i);
		}
	}
	return NULL;
}

static napi_value end_extent(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);

	writeback_end_extent(&current_mapping(instance)->mapping, current_extent(instance),
			     current_pass(instance)->error);
	return NULL;
}

/* The pass is over, or abandoned. An extent in hand was ended before. */
static napi_value release_pass(napi_env env, napi_callback_info info)
{
	const struct instance *instance = enter(env, info);
	struct address_space *mapping = &current_mapping(instance)->mapping;
	struct writeback_extent *extent = current_extent(instance);
	struct pass *pass = current_pass(instance);

	folio_batch_release(mapping, &pass->wbc.fbatch);
	pass->wbc.blocked = NULL;
	if (extent != NULL)
		writeback_put_extent(mapping, extent);
	return NULL;
}

const struct call calls[] = {
	{"closeMapping", close_mapping},
	{"addFolio", add_folio},
	{"addFolios", add_folios},
	{"dirtyRange", dirty_range},
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
	{"makeExtent", make_extent},
	{"getExtent", get_extent},
	{"getExtentFolios", get_extent_folios},
	{"endExtent", end_extent},
	{"releasePass", release_pass},
};
const size_t nr_calls = sizeof(calls) / sizeof(calls[0]);
