// SPDX-License-Identifier: GPL-2.0-only
#include "model.h"

#include <errno.h>
#include <stddef.h>

/* The fuzzer should be guided by the core's branches, not by the model's, which are many more. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

uint64_t model_nr_pages(const struct model_folio *folio)
{
	return UINT64_C(1) << folio->order;
}

uint64_t model_last(const struct model_folio *folio)
{
	return folio->index + model_nr_pages(folio) - 1;
}

unsigned int model_nr_folios(const struct model *model)
{
	unsigned int nr = 0;

	for (int i = 0; i < MODEL_FOLIOS; i++)
		nr += model->folios[i].references != 0;
	return nr;
}

uint64_t model_nrpages(const struct model *model)
{
	uint64_t nr = 0;

	for (int i = 0; i < MODEL_FOLIOS; i++) {
		if (model->folios[i].present)
			nr += model_nr_pages(&model->folios[i]);
	}
	return nr;
}

bool model_tagged(const struct model *model, enum model_mark mark)
{
	for (int i = 0; i < MODEL_FOLIOS; i++) {
		if (model->folios[i].present && model->folios[i].marks[mark])
			return true;
	}
	return false;
}

bool model_covered(const struct model *model, uint64_t first, uint64_t last)
{
	for (int i = 0; i < MODEL_FOLIOS; i++) {
		const struct model_folio *folio = &model->folios[i];

		if (folio->present && folio->index <= last && first <= model_last(folio))
			return true;
	}
	return false;
}

/* The lowest folio with the mark that touches the pages from @start to @end; NULL if none does. */
static struct model_folio *lowest(struct model *model, uint64_t start, uint64_t end, int mark)
{
	struct model_folio *found = NULL;

	if (start > end)
		return NULL;
	for (int i = 0; i < MODEL_FOLIOS; i++) {
		struct model_folio *folio = &model->folios[i];

		if (!folio->present || (mark != MODEL_ANY && !folio->marks[mark]))
			continue;
		if (model_last(folio) < start || folio->index > end)
			continue;
		if (found == NULL || folio->index < found->index)
			found = folio;
	}
	return found;
}

struct model_folio *model_find(struct model *model, uint64_t page)
{
	return lowest(model, page, page, MODEL_ANY);
}

/* The caller has checked that there is room, and that none of the pages is covered. */
struct model_folio *model_add(struct model *model, uint64_t index, unsigned int order, void *twin)
{
	struct model_folio *folio = model->folios;

	while (folio->references != 0)
		folio++;
	*folio = (struct model_folio){
		.index = index, .order = order, .present = true, .references = 1, .twin = twin};
	return folio;
}

int model_remove(struct model *model, struct model_folio *folio)
{
	if (folio->locked)
		return -EBUSY;
	/* The folio is locked during the removal, and then unlocked. */
	model->wakes++;
	if (!folio->present)
		return -ENOENT;
	if (folio->writeback)
		return -EBUSY;
	folio->dirty = false;
	for (int mark = 0; mark < MODEL_NR_MARKS; mark++)
		folio->marks[mark] = false;
	folio->present = false;
	model_put(folio);
	return 0;
}

void model_get(struct model_folio *folio)
{
	folio->references++;
}

void model_put(struct model_folio *folio)
{
	folio->references--;
}

void model_release(struct model_batch *batch)
{
	for (unsigned int i = 0; i < batch->nr; i++)
		model_put(batch->folios[i]);
	batch->nr = 0;
	batch->next = 0;
}

bool model_trylock(struct model_folio *folio)
{
	if (folio->locked)
		return false;
	folio->locked = true;
	return true;
}

bool model_lock(struct model *model, struct model_folio *folio)
{
	while (!model_trylock(folio)) {
		if (!model->wait(folio, MODEL_FLAG_LOCKED))
			return false;
	}
	return true;
}

void model_unlock(struct model *model, struct model_folio *folio)
{
	folio->locked = false;
	model->wakes++;
}

bool model_wait_writeback(struct model *model, struct model_folio *folio)
{
	while (folio->writeback) {
		if (!model->wait(folio, MODEL_FLAG_WRITEBACK))
			return false;
	}
	return true;
}

bool model_mark_dirty(struct model_folio *folio)
{
	if (folio->dirty)
		return false;
	folio->dirty = true;
	if (folio->present)
		folio->marks[MODEL_DIRTY] = true;
	return true;
}

/* Clears the flag only. */
bool model_clear_dirty_for_io(struct model_folio *folio)
{
	bool dirty = folio->dirty;

	folio->dirty = false;
	return dirty;
}

bool model_trylock_for_io(struct model_folio *folio)
{
	if (!folio->present || folio->locked || folio->writeback || !folio->dirty)
		return false;
	folio->locked = true;
	folio->dirty = false;
	return true;
}

void model_start_writeback(struct model_folio *folio, bool keep_write)
{
	folio->writeback = true;
	if (!folio->present)
		return;
	folio->marks[MODEL_WRITEBACK] = true;
	if (!folio->dirty)
		folio->marks[MODEL_DIRTY] = false;
	if (!keep_write)
		folio->marks[MODEL_TOWRITE] = false;
}

void model_end_writeback(struct model *model, struct model_folio *folio)
{
	folio->writeback = false;
	if (folio->present)
		folio->marks[MODEL_WRITEBACK] = false;
	model->wakes++;
}

bool model_redirty(struct model_pass *pass, struct model_folio *folio)
{
	pass->pages_skipped += (int64_t)model_nr_pages(folio);
	return model_mark_dirty(folio);
}

void model_tag(struct model *model, uint64_t start, uint64_t end)
{
	struct model_folio *folio;

	while ((folio = lowest(model, start, end, MODEL_DIRTY)) != NULL) {
		folio->marks[MODEL_TOWRITE] = true;
		start = model_last(folio) + 1;
	}
}

void model_get_folios_tag(struct model *model, uint64_t *start, uint64_t end, int mark,
			  struct model_batch *batch)
{
	struct model_folio *folio;
	uint64_t from = *start;

	while ((folio = lowest(model, from, end, mark)) != NULL) {
		model_get(folio);
		batch->folios[batch->nr++] = folio;
		from = model_last(folio) + 1;
		if (batch->nr == MODEL_BATCH) {
			*start = from;
			return;
		}
	}
	*start = end == UINT64_MAX ? UINT64_MAX : end + 1;
}

static bool iterates_towrite(const struct model_pass *pass)
{
	return pass->sync_all || pass->tagged_writepages;
}

static uint64_t pass_end(const struct model *model, const struct model_pass *pass)
{
	return pass->range_cyclic ? UINT64_MAX : (uint64_t)pass->range_end >> model->page_shift;
}

/* Looks up the folios that come next, if the batch is used up. */
static bool fill_batch(struct model *model, struct model_pass *pass)
{
	if (pass->batch.next < pass->batch.nr)
		return true;
	model_release(&pass->batch);
	model_get_folios_tag(model, &pass->index, pass_end(model, pass),
			     iterates_towrite(pass) ? MODEL_TOWRITE : MODEL_DIRTY, &pass->batch);
	return pass->batch.nr != 0;
}

static struct model_folio *get_folio(struct model *model, struct model_pass *pass)
{
	while (fill_batch(model, pass)) {
		struct model_folio *folio = pass->batch.folios[pass->batch.next];

		if (!model_lock(model, folio)) {
			pass->blocked = folio;
			pass->blocked_on = MODEL_FLAG_LOCKED;
			return NULL;
		}
		if (folio->present && folio->dirty && folio->writeback && pass->sync_all &&
		    !model_wait_writeback(model, folio)) {
			model_unlock(model, folio);
			pass->blocked = folio;
			pass->blocked_on = MODEL_FLAG_WRITEBACK;
			return NULL;
		}
		pass->batch.next++;
		if (folio->present && folio->dirty && !folio->writeback) {
			folio->dirty = false;
			return folio;
		}
		model_unlock(model, folio);
	}
	return NULL;
}

static void start_pass(struct model *model, struct model_pass *pass)
{
	pass->batch.nr = 0;
	pass->batch.next = 0;
	pass->saved_err = 0;
	if (pass->range_cyclic)
		pass->index = model->writeback_index;
	else
		pass->index = (uint64_t)pass->range_start >> model->page_shift;
	if (iterates_towrite(pass))
		model_tag(model, pass->index, pass_end(model, pass));
}

/* Takes a folio back; false if that ends the pass. */
static bool finish_folio(struct model *model, struct model_pass *pass,
			 const struct model_folio *folio, int error)
{
	pass->nr_to_write -= (int64_t)model_nr_pages(folio);
	if (pass->sync_all) {
		if (pass->saved_err == 0)
			pass->saved_err = error;
		return true;
	}
	if (error == 0 && pass->nr_to_write > 0)
		return true;
	if (pass->range_cyclic)
		model->writeback_index = model_last(folio) + 1;
	model_release(&pass->batch);
	return false;
}

struct model_folio *model_iter(struct model *model, struct model_pass *pass,
			       struct model_folio *folio, int *error)
{
	if (pass->blocked != NULL) {
		/* The pass resumes where it was blocked. */
		pass->blocked = NULL;
	} else if (folio == NULL) {
		start_pass(model, pass);
	} else if (!finish_folio(model, pass, folio, *error)) {
		return NULL;
	}
	*error = 0;
	folio = get_folio(model, pass);
	if (folio != NULL)
		return folio;
	if (pass->blocked != NULL) {
		*error = -EDEADLK;
		return NULL;
	}
	if (pass->range_cyclic)
		model->writeback_index = 0;
	*error = pass->saved_err;
	return NULL;
}

int model_write_cache_pages(struct model *model, struct model_pass *pass,
			    model_writepage_t writepage)
{
	struct model_folio *folio = NULL;
	int error = 0;

	while ((folio = model_iter(model, pass, folio, &error)) != NULL) {
		error = writepage(folio, pass);
		if (error == MODEL_ACTIVATE) {
			model_unlock(model, folio);
			error = 0;
		}
	}
	return error;
}

static void extend(struct model_extent *extent, struct model_folio *folio)
{
	model_get(folio);
	extent->folios[extent->nr_folios++] = folio;
	extent->nr_pages += model_nr_pages(folio);
}

/* Adds the next folio to the extent, if that folio is right behind the extent and needs no wait. */
static bool extend_with_next(struct model *model, struct model_pass *pass,
			     struct model_extent *extent, uint64_t max_pages)
{
	const struct model_folio *last = extent->folios[extent->nr_folios - 1];
	int64_t nr_to_write = pass->nr_to_write - (int64_t)model_nr_pages(last);
	struct model_folio *next;

	if (extent->nr_pages >= max_pages || (!pass->sync_all && nr_to_write <= 0))
		return false;
	if (!fill_batch(model, pass))
		return false;
	next = pass->batch.folios[pass->batch.next];
	if (next->index != model_last(last) + 1)
		return false;
	if (extent->nr_pages + model_nr_pages(next) > max_pages || !model_trylock_for_io(next))
		return false;
	pass->batch.next++;
	pass->nr_to_write = nr_to_write;
	extend(extent, next);
	return true;
}

bool model_get_extent(struct model *model, struct model_pass *pass, struct model_extent *extent,
		      uint64_t max_pages, int *error)
{
	struct model_folio *last = extent->nr_folios == 0 ? NULL : extent->folios[0];
	struct model_folio *folio = model_iter(model, pass, last, error);

	if (pass->blocked != NULL)
		return false;
	if (last != NULL)
		model_put(last);
	extent->nr_folios = 0;
	extent->nr_pages = 0;
	if (folio == NULL)
		return false;
	extent->index = folio->index;
	extend(extent, folio);
	while (extend_with_next(model, pass, extent, max_pages))
		;
	return true;
}

void model_end_extent(struct model *model, struct model_extent *extent, int error)
{
	struct model_folio *last = extent->folios[extent->nr_folios - 1];

	for (unsigned int i = 0; i < extent->nr_folios; i++) {
		struct model_folio *folio = extent->folios[i];

		if (folio->present && error != 0) {
			model_mark_dirty(folio);
			if (folio->locked) {
				model_unlock(model, folio);
				if (folio->writeback)
					model_end_writeback(model, folio);
			}
		} else if (folio->present && folio->locked) {
			if (!folio->writeback)
				model_start_writeback(folio, false);
			model_unlock(model, folio);
			model_end_writeback(model, folio);
		}
		if (folio != last)
			model_put(folio);
	}
	extent->folios[0] = last;
	extent->nr_folios = 1;
}

#ifdef __clang__
#pragma clang attribute pop
#endif
