// SPDX-License-Identifier: GPL-2.0-only
/*
 * The core against the model, driven by bytes: each decodes to operations, and after each operation
 * all that can be seen of the two is compared.
 *
 * An operation is done on the core first and then on the model. What the core asks of its host in
 * the middle of a call (to wait, to write a page) is answered there and then, also from the bytes,
 * and noted; the model is given the same answers in the same order.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host.h"
#include "model.h"
#include "writeback_extent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NR_PASSES 3
#define NR_HANDLES 8
#define NR_EVENTS 1024
#define MAX_CHUNKS 9

/* A pass is stepped in one way until its end. */
enum style { IDLE, BY_FOLIO, BY_EXTENT, BY_CALLBACK };

struct pass {
	enum style style;
	struct writeback_control core;
	struct model_pass model;
	struct folio *core_hand;
	struct model_folio *model_hand;
	struct writeback_extent core_extent;
	struct model_extent model_extent;
	bool extent_in_hand;
};

/* What a writepage callback does with its folio. */
enum writing {
	WRITE,
	WRITE_UNENDED,
	WRITE_PART,
	WRITE_AND_TRUNCATE,
	WRITE_NOTHING,
	FAIL,
	REDIRTY,
	ACTIVATE,
	NR_WRITINGS
};

/**
 * struct event - a request of the core to its host in the middle of a call, and its result
 * @folio: the folio of the request
 * @flag: the flag that the core waits for; 0 if the host is to write a page
 * @released: the host waited for the flag; false if it refused to wait
 * @truncated: the task that held the lock truncated the folio, with the result @truncate_error
 * @dirtied: a folio that another task made dirty meanwhile; @newly_dirty: it was clean before
 * @nested: a pass that another task stepped meanwhile, with @error_in, and the step's result
 * @writing: how the page was written
 */
struct event {
	const struct folio *folio;
	unsigned int flag;
	bool released;
	bool truncated;
	int truncate_error;
	struct model_folio *dirtied;
	bool newly_dirty;
	struct pass *nested;
	int error_in;
	int error_out;
	const struct folio *nested_folio;
	enum writing writing;
};

static const uint8_t *input, *input_end;

static struct address_space mapping;
static struct model model;
static struct pass passes[NR_PASSES];
static struct model_folio *handles[NR_HANDLES];
/* The folios that were truncated in the call that is under way, which the model still has. */
static bool truncated[MODEL_FOLIOS];

static struct event events[NR_EVENTS];
static unsigned int nr_events, nr_replayed;
/* The pass whose call is under way, and whether that call waits. */
static const struct pass *stepped;
static bool is_waiting;
static uint64_t core_wakes;

static unsigned int next_byte(void)
{
	return input == input_end ? 0 : *input++;
}

static unsigned int next_word(void)
{
	unsigned int high = next_byte();

	return high << 8 | next_byte();
}

static struct folio *core_of(const struct model_folio *folio)
{
	return folio->twin;
}

/* The model's folio for a folio of the core; the model must have it. */
static struct model_folio *model_of(const struct folio *folio)
{
	struct model_folio *found = model.folios;

	while (found->references == 0 || found->twin != folio) {
		found++;
		CHECK(found != model.folios + MODEL_FOLIOS);
	}
	return found;
}

/* A folio, NULL if there is none. The last numbers name a folio that a pass comes to next. */
static struct model_folio *pick(unsigned int byte)
{
	unsigned int nr = model_nr_folios(&model);

	if (byte >= 256 - 2 * NR_PASSES) {
		struct pass *pass = &passes[byte % NR_PASSES];
		const struct model_batch *batch = &pass->model.batch;

		if (byte >= 256 - NR_PASSES && pass->style == BY_FOLIO)
			return pass->model_hand;
		return batch->next < batch->nr ? batch->folios[batch->next] : NULL;
	}
	if (nr == 0)
		return NULL;
	byte %= nr;
	for (struct model_folio *folio = model.folios;; folio++) {
		if (folio->references != 0 && byte-- == 0)
			return folio;
	}
}

/*
 * Comparison
 */

#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

static void compare_folio(const struct model_folio *folio)
{
	struct folio *core = core_of(folio);
	unsigned int flags = folio_flags(core);
	struct xa_state xas;

	CHECK(folio_index(core) == folio->index && folio_order(core) == folio->order);
	CHECK(core->refcount == folio->references);
	CHECK(folio_of_slot(&mapping.pool, folio_slot(core)) == core);
	CHECK(folio_in_mapping(core, &mapping) == folio->present);
	CHECK(flags == (PG_uptodate | (mapping.i_pages.xa_shared ? PG_shared : 0U) |
			(folio->present ? PG_cached : 0U) | folio->order << FOLIO_ORDER_SHIFT |
			(folio->locked ? PG_locked : 0U) | (folio->dirty ? PG_dirty : 0U) |
			(folio->writeback ? PG_writeback : 0U)));
	if (!folio->present)
		return;
	xas = folio_xas(&mapping, core);
	CHECK(folio_of_entry(&mapping, xa_load(&mapping.i_pages, folio->index)) == core);
	CHECK(folio_of_entry(&mapping, xa_load(&mapping.i_pages, model_last(folio))) == core);
	for (unsigned int mark = 0; mark < MODEL_NR_MARKS; mark++)
		CHECK(xas_get_mark(&xas, (xa_mark_t)mark) == folio->marks[mark]);
}

/* Checks that no other folio of the model is this one, which was just returned. */
static void check_new(const struct folio *folio)
{
	for (int i = 0; i < MODEL_FOLIOS; i++)
		CHECK(model.folios[i].references == 0 || model.folios[i].twin != folio);
}

static void compare_pass(const struct pass *pass)
{
	const struct folio_batch *fbatch = &pass->core.fbatch;
	const struct model_batch *batch = &pass->model.batch;

	CHECK(pass->core.nr_to_write == pass->model.nr_to_write);
	CHECK(pass->core.pages_skipped == pass->model.pages_skipped);
	CHECK(pass->core.index == pass->model.index);
	CHECK(pass->core.saved_err == pass->model.saved_err);
	CHECK(fbatch->nr == batch->nr && fbatch->i == batch->next);
	for (unsigned int i = 0; i < batch->nr; i++)
		CHECK(fbatch->folios[i] == core_of(batch->folios[i]));
	CHECK((pass->core_hand == NULL) == (pass->model_hand == NULL));
	CHECK(pass->core_hand == NULL || pass->core_hand == core_of(pass->model_hand));
	CHECK((pass->core.blocked == NULL) == (pass->model.blocked == NULL));
	if (pass->core.blocked != NULL) {
		CHECK(pass->core.blocked == core_of(pass->model.blocked));
		CHECK((pass->core.blocked_on == PG_locked) ==
		      (pass->model.blocked_on == MODEL_FLAG_LOCKED));
	}
	CHECK(pass->core_extent.nr_folios == pass->model_extent.nr_folios);
	for (unsigned int i = 0; i < pass->core_extent.nr_folios; i++)
		CHECK(host_extent_folio(&pass->core_extent, i) ==
		      core_of(pass->model_extent.folios[i]));
	if (pass->extent_in_hand) {
		CHECK(pass->core_extent.index == pass->model_extent.index);
		CHECK(pass->core_extent.nr_pages == pass->model_extent.nr_pages);
	}
}

static void compare(void)
{
	/* The comparison must not change which paths the core takes. */
	uint32_t hint = mapping.i_pages.xa_hint;
	unsigned int nr_folios = 0;

	CHECK(nr_replayed == nr_events);
	CHECK(core_wakes >= model.wakes || !mapping.i_pages.xa_shared);
	CHECK(mapping.nrpages == model_nrpages(&model));
	CHECK(mapping.writeback_index == model.writeback_index);
	for (int i = 0; i < MODEL_FOLIOS; i++) {
		if (model.folios[i].references == 0)
			continue;
		compare_folio(&model.folios[i]);
		nr_folios++;
	}
	CHECK(mapping.pool.nr_free + nr_folios == mapping.pool.nr_chunks * FOLIO_CHUNK_FOLIOS);
	for (unsigned int mark = 0; mark < MODEL_NR_MARKS; mark++)
		CHECK(mapping_tagged(&mapping, (xa_mark_t)mark) ==
		      model_tagged(&model, (enum model_mark)mark));
	for (int i = 0; i < NR_PASSES; i++)
		compare_pass(&passes[i]);
	mapping.i_pages.xa_hint = hint;
}

#ifdef __clang__
#pragma clang attribute pop
#endif

/*
 * What the core asks of its host
 */

static struct event *note_event(const struct folio *folio)
{
	struct event *event = &events[nr_events++];

	CHECK(nr_events < NR_EVENTS);
	*event = (struct event){.folio = folio};
	return event;
}

static struct event *replay_event(const struct model_folio *folio)
{
	struct event *event = &events[nr_replayed++];

	CHECK(nr_replayed <= nr_events);
	CHECK(event->folio == core_of(folio));
	return event;
}

static const int errors[] = {0, 0, 0, -EIO, -ENOSPC};

static int next_error(void)
{
	return errors[next_byte() % (sizeof(errors) / sizeof(errors[0]))];
}

static bool can_step(const struct pass *pass, enum style style)
{
	return pass->style == IDLE || pass->style == style;
}

static void core_next(struct pass *pass, int *error)
{
	pass->core_hand = writeback_iter(&mapping, &pass->core, pass->core_hand, error);
}

/* Records that the pass was stepped in this way, and is over or goes on. */
static void set_style(struct pass *pass, enum style style, bool more)
{
	pass->style = more || pass->model.blocked != NULL ? style : IDLE;
}

static void model_next(struct pass *pass, int *error)
{
	struct model_folio *folio = model_iter(&model, &pass->model, pass->model_hand, error);

	pass->model_hand = folio;
	set_style(pass, BY_FOLIO, folio != NULL);
}

/* While a task waits, another makes a folio dirty or steps its own pass. */
static void while_waiting(struct event *event)
{
	unsigned int byte = next_byte();
	struct pass *pass = &passes[byte % NR_PASSES];

	if ((byte & 0x10) != 0) {
		struct model_folio *folio = pick(next_byte());

		if (folio != NULL && folio->present && !truncated[folio - model.folios]) {
			event->dirtied = folio;
			event->newly_dirty = folio_mark_dirty(&mapping, core_of(folio));
		}
	}
	if ((byte & 0x20) != 0 && pass != stepped && can_step(pass, BY_FOLIO)) {
		event->nested = pass;
		event->error_in = event->error_out = next_error();
		core_next(pass, &event->error_out);
		event->nested_folio = pass->core_hand;
	}
}

static void core_release(struct folio *folio, unsigned int flag)
{
	if (flag == PG_writeback)
		folio_end_writeback(&mapping, folio);
	else
		folio_unlock(&mapping, folio);
}

static int core_wait(struct address_space *waited, struct folio *folio, unsigned int flag)
{
	struct event *event = note_event(folio);
	unsigned int byte = next_byte();

	CHECK(waited == &mapping && (folio_flags(folio) & flag) == flag);
	event->flag = flag;
	/* A wait within a wait is refused: it might be for the task that waits. */
	if (byte % 4 == 0 || is_waiting)
		return -EINTR;
	event->released = true;
	is_waiting = true;
	while_waiting(event);
	is_waiting = false;
	core_release(folio, flag);
	if ((byte & 0x10) != 0 && flag == PG_locked && !folio_test_writeback(folio)) {
		event->truncated = true;
		event->truncate_error = filemap_remove_folio(&mapping, folio);
		truncated[model_of(folio) - model.folios] = true;
	}
	return 0;
}

/* For a host without a_ops->wait. */
static bool model_never_waits(struct model_folio *folio, enum model_flag flag)
{
	(void)folio;
	(void)flag;
	return false;
}

static bool model_wait(struct model_folio *folio, enum model_flag flag)
{
	const struct event *event = replay_event(folio);

	CHECK(event->flag == (flag == MODEL_FLAG_LOCKED ? PG_locked : PG_writeback));
	if (!event->released)
		return false;
	if (event->dirtied != NULL)
		CHECK(model_mark_dirty(event->dirtied) == event->newly_dirty);
	if (event->nested != NULL) {
		int error = event->error_in;

		model_next(event->nested, &error);
		CHECK(event->nested_folio == (event->nested->model_hand == NULL
						      ? NULL
						      : core_of(event->nested->model_hand)));
		CHECK(event->nested_folio != NULL || error == event->error_out);
	}
	if (flag == MODEL_FLAG_WRITEBACK)
		model_end_writeback(&model, folio);
	else
		model_unlock(&model, folio);
	if (event->truncated)
		CHECK(model_remove(&model, folio) == event->truncate_error);
	return true;
}

static void core_wake(struct address_space *woken, struct folio *folio, unsigned int flag)
{
	CHECK(woken == &mapping && folio != NULL && (flag == PG_locked || flag == PG_writeback));
	core_wakes++;
}

static const int writing_errors[NR_WRITINGS] = {[FAIL] = -EIO, [ACTIVATE] = AOP_WRITEPAGE_ACTIVATE};

static int core_writepage(struct folio *folio, struct writeback_control *wbc, void *data)
{
	struct event *event = note_event(folio);

	CHECK(wbc == &stepped->core && data == stepped && folio_test_locked(folio));
	event->writing = (enum writing)(next_byte() % NR_WRITINGS);
	switch (event->writing) {
	case WRITE:
	case WRITE_UNENDED:
	case WRITE_PART:
	case WRITE_AND_TRUNCATE:
		folio_start_writeback(&mapping, folio, event->writing == WRITE_PART);
		folio_unlock(&mapping, folio);
		if (event->writing == WRITE_UNENDED)
			break;
		folio_end_writeback(&mapping, folio);
		if (event->writing != WRITE_AND_TRUNCATE)
			break;
		truncated[model_of(folio) - model.folios] = true;
		CHECK(filemap_remove_folio(&mapping, folio) == 0);
		break;
	case FAIL:
		folio_mark_dirty(&mapping, folio);
		folio_unlock(&mapping, folio);
		break;
	case REDIRTY:
		folio_redirty_for_writepage(&mapping, wbc, folio);
		folio_unlock(&mapping, folio);
		break;
	case WRITE_NOTHING:
		folio_unlock(&mapping, folio);
		break;
	default:
		break;
	}
	return writing_errors[event->writing];
}

static int model_writepage(struct model_folio *folio, struct model_pass *pass)
{
	const struct event *event = replay_event(folio);

	CHECK(event->flag == 0);
	switch (event->writing) {
	case WRITE:
	case WRITE_UNENDED:
	case WRITE_PART:
	case WRITE_AND_TRUNCATE:
		model_start_writeback(folio, event->writing == WRITE_PART);
		model_unlock(&model, folio);
		if (event->writing == WRITE_UNENDED)
			break;
		model_end_writeback(&model, folio);
		if (event->writing == WRITE_AND_TRUNCATE)
			CHECK(model_remove(&model, folio) == 0);
		break;
	case FAIL:
		model_mark_dirty(folio);
		model_unlock(&model, folio);
		break;
	case REDIRTY:
		model_redirty(pass, folio);
		model_unlock(&model, folio);
		break;
	case WRITE_NOTHING:
		model_unlock(&model, folio);
		break;
	default:
		break;
	}
	return writing_errors[event->writing];
}

static const struct address_space_operations *host_with(bool waits)
{
	host_ops.wait = waits ? core_wait : NULL;
	host_ops.wake = core_wake;
	return &host_ops;
}

/*
 * Operations on the page cache
 */

/* Where folios lie: two crowded places, and the borders of the tree's levels and of the file. */
static uint64_t next_index(void)
{
	static const uint64_t bases[] = {
		0, 0, 40, UINT64_C(1) << 12, (UINT64_C(1) << 32) - 128, XA_MAX_INDEX - 255};
	uint64_t base = bases[next_byte() % (sizeof(bases) / sizeof(bases[0]))];

	return base + next_byte();
}

static uint64_t next_end(uint64_t start)
{
	unsigned int byte = next_byte();

	if (byte == 255)
		return UINT64_MAX;
	/* A range, which may end before it starts. */
	return byte >= 250 && start >= byte ? start - byte : start + byte;
}

static int add_chunk(int fails)
{
	struct folio_chunk *chunk;
	int err;

	if (mapping.pool.nr_chunks == MAX_CHUNKS)
		return 0;
	chunk = host_alloc_chunk();
	host_alloc_fails = fails;
	host_failed = 0;
	err = address_space_add_chunk(&mapping, chunk);
	CHECK(err == (host_failed == 0 ? 0 : -ENOMEM));
	host_alloc_fails = -1;
	if (err != 0)
		free(chunk);
	return err;
}

/* One folio; the @fails-th allocation on the way fails, if there is one. */
static void add(uint64_t index, unsigned int order, int fails)
{
	bool covered = model_covered(&model, index, index + ((UINT64_C(1) << order) - 1));
	bool full = model_nr_folios(&model) == mapping.pool.nr_chunks * FOLIO_CHUNK_FOLIOS;
	struct folio *folio = NULL;
	int err;

	if (model_nr_folios(&model) == MODEL_FOLIOS)
		return;
	host_alloc_fails = fails;
	host_failed = 0;
	err = filemap_add_folio(&mapping, index, order, &folio);
	host_alloc_fails = -1;
	if (full) {
		CHECK(err == -ENOSPC);
		if (add_chunk(fails) == 0)
			add(index, order, -1);
	} else if (covered) {
		CHECK(err == -EEXIST);
	} else if (host_failed != 0) {
		CHECK(err == -ENOMEM);
		compare();
		add(index, order, -1);
	} else {
		CHECK(err == 0);
		check_new(folio);
		model_add(&model, index, order, folio);
	}
}

static void op_add(void)
{
	unsigned int byte = next_byte();
	unsigned int order = byte < 128 ? 0 : byte < 240 ? byte % 8 : byte % (XA_MAX_ORDER + 1);
	uint64_t index = next_index() >> order << order;

	if (index > XA_MAX_INDEX - ((UINT64_C(1) << order) - 1))
		return;
	add(index, order, -1);
}

static void op_add_without_memory(void)
{
	int fails = (int)(next_byte() % 12);
	unsigned int order = next_byte() % 14;
	uint64_t index = next_index() >> order << order;

	add(index, order, fails);
}

static void op_add_run(void)
{
	uint64_t index = next_index();
	unsigned int order = next_byte() % 4;
	unsigned int nr = next_byte() % 80;
	bool dirty = (nr & 1) != 0;

	index = index >> order << order;
	for (unsigned int i = 0; i < nr && index + 8 <= XA_MAX_INDEX; i++) {
		struct model_folio *folio;

		add(index, order, -1);
		folio = model_find(&model, index);
		if (dirty && folio != NULL)
			CHECK(folio_mark_dirty(&mapping, core_of(folio)) ==
			      model_mark_dirty(folio));
		index += UINT64_C(1) << order;
	}
}

/* All of them or none; the @fails-th allocation on the way fails, if there is one. */
static void add_folios(uint64_t index, unsigned int order, unsigned int nr, int fails)
{
	uint64_t last = index + ((uint64_t)nr << order) - 1;
	bool covered = nr != 0 && model_covered(&model, index, last);
	bool full = model_nr_folios(&model) + nr > mapping.pool.nr_chunks * FOLIO_CHUNK_FOLIOS;
	int err;

	if (model_nr_folios(&model) + nr > MODEL_FOLIOS || last > XA_MAX_INDEX)
		return;
	host_alloc_fails = fails;
	host_failed = 0;
	err = filemap_add_folios(&mapping, index, nr, order);
	host_alloc_fails = -1;
	if (covered) {
		CHECK(err == -EEXIST);
	} else if (full) {
		CHECK(err == -ENOSPC);
		if (add_chunk(fails) == 0 && mapping.pool.nr_chunks < MAX_CHUNKS)
			add_folios(index, order, nr, -1);
	} else if (host_failed != 0) {
		CHECK(err == -ENOMEM);
		compare();
		host_check_tree(&mapping);
		add_folios(index, order, nr, -1);
	} else {
		CHECK(err == 0);
		for (unsigned int i = 0; i < nr; i++, index += UINT64_C(1) << order) {
			struct folio *folio = filemap_get_folio(&mapping, index);

			check_new(folio);
			folio_put(&mapping, folio);
			model_add(&model, index, order, folio);
		}
	}
}

static void op_add_folios(void)
{
	int fails = (int)(next_byte() % 16) - 1;
	unsigned int byte = next_byte();
	unsigned int order = byte < 192 ? byte % 4 : byte % 10;
	uint64_t index = next_index() >> order << order;

	add_folios(index, order, next_byte(), fails);
}

static void op_add_chunk(void)
{
	add_chunk((int)(next_byte() % 4) - 1);
}

static void op_remove(void)
{
	struct model_folio *folio = pick(next_byte());

	if (folio != NULL)
		CHECK(filemap_remove_folio(&mapping, core_of(folio)) ==
		      model_remove(&model, folio));
}

static void op_get(void)
{
	uint64_t index = next_index();
	struct model_folio **handle = &handles[next_byte() % NR_HANDLES];
	struct model_folio *expected = model_find(&model, index);
	struct folio *folio;

	folio = filemap_get_folio(&mapping, index);
	CHECK(folio == (expected == NULL ? NULL : core_of(expected)));
	if (expected == NULL)
		return;
	model_get(expected);
	if (*handle != NULL) {
		folio_put(&mapping, core_of(*handle));
		model_put(*handle);
	}
	*handle = expected;
}

static void op_put(void)
{
	struct model_folio **handle = &handles[next_byte() % NR_HANDLES];

	if (*handle == NULL)
		return;
	folio_put(&mapping, core_of(*handle));
	model_put(*handle);
	*handle = NULL;
}

static void op_find(void)
{
	unsigned int mark = next_byte() % XA_NR_MARKS;
	pgoff_t start = next_index();
	uint64_t model_start = start;
	uint64_t end = next_end(start);
	struct folio_batch fbatch;
	struct model_batch batch = {0};

	folio_batch_init(&fbatch);
	CHECK(filemap_get_folios_tag(&mapping, &start, end, (xa_mark_t)mark, &fbatch) == fbatch.nr);
	model_get_folios_tag(&model, &model_start, end, (int)mark, &batch);
	CHECK(start == model_start && fbatch.nr == batch.nr);
	for (unsigned int i = 0; i < batch.nr; i++)
		CHECK(fbatch.folios[i] == core_of(batch.folios[i]));
	folio_batch_release(&mapping, &fbatch);
	model_release(&batch);
}

static void op_tag(void)
{
	uint64_t start = next_index();
	uint64_t end = next_end(start);

	tag_pages_for_writeback(&mapping, start, end);
	model_tag(&model, start, end);
}

static void op_set_writeback_index(void)
{
	mapping.writeback_index = model.writeback_index = next_index();
}

/*
 * Operations on a folio
 */

static void op_dirty(void)
{
	struct model_folio *folio = pick(next_byte());

	if (folio != NULL)
		CHECK(folio_mark_dirty(&mapping, core_of(folio)) == model_mark_dirty(folio));
}

static void op_dirty_run(void)
{
	unsigned int first = next_byte();
	unsigned int nr = next_byte();

	for (unsigned int i = first; i < first + nr && i < MODEL_FOLIOS; i++) {
		struct model_folio *folio = &model.folios[i];

		if (folio->references != 0)
			CHECK(folio_mark_dirty(&mapping, core_of(folio)) ==
			      model_mark_dirty(folio));
	}
}

static void op_trylock(void)
{
	struct model_folio *folio = pick(next_byte());

	if (folio != NULL)
		CHECK(folio_trylock(core_of(folio)) == model_trylock(folio));
}

static void op_lock(void)
{
	struct model_folio *folio = pick(next_byte());
	int err;

	if (folio == NULL)
		return;
	/* Without a reference, the folio might be freed before the lock is taken. */
	model_get(folio);
	folio_get(core_of(folio));
	err = folio_lock(&mapping, core_of(folio));
	CHECK(model_lock(&model, folio) == (err == 0));
	model_put(folio);
	folio_put(&mapping, core_of(folio));
}

static void op_unlock(void)
{
	struct model_folio *folio = pick(next_byte());

	if (folio == NULL || !folio->locked)
		return;
	folio_unlock(&mapping, core_of(folio));
	model_unlock(&model, folio);
}

static void op_trylock_for_io(void)
{
	struct model_folio *folio = pick(next_byte());

	if (folio != NULL)
		CHECK(folio_trylock_for_io(core_of(folio)) == model_trylock_for_io(folio));
}

static void op_clear_dirty_for_io(void)
{
	struct model_folio *folio = pick(next_byte());

	if (folio != NULL && folio->locked)
		CHECK(folio_clear_dirty_for_io(core_of(folio)) == model_clear_dirty_for_io(folio));
}

static void op_start_writeback(void)
{
	struct model_folio *folio = pick(next_byte());
	bool keep_write = next_byte() % 4 == 0;

	if (folio == NULL || !folio->locked || folio->writeback)
		return;
	folio_start_writeback(&mapping, core_of(folio), keep_write);
	model_start_writeback(folio, keep_write);
}

static void op_end_writeback(void)
{
	struct model_folio *folio = pick(next_byte());

	if (folio == NULL || !folio->writeback)
		return;
	folio_end_writeback(&mapping, core_of(folio));
	model_end_writeback(&model, folio);
}

static void op_wait_writeback(void)
{
	struct model_folio *folio = pick(next_byte());
	int err;

	if (folio == NULL || !folio->locked)
		return;
	err = folio_wait_writeback(&mapping, core_of(folio));
	CHECK(model_wait_writeback(&model, folio) == (err == 0));
}

static void op_dirty_range(void)
{
	uint64_t start = next_index();
	uint64_t end = next_end(start);
	uint64_t dirtied = 0;

	for (int i = 0; i < MODEL_FOLIOS; i++) {
		struct model_folio *folio = &model.folios[i];

		if (folio->references != 0 && folio->present && start <= end &&
		    model_last(folio) >= start && folio->index <= end)
			dirtied += model_mark_dirty(folio);
	}
	CHECK(filemap_dirty_range(&mapping, start, end) == dirtied);
}

/*
 * Operations on a pass
 */

static struct pass *pick_pass(unsigned int byte)
{
	return &passes[byte % NR_PASSES];
}

static void end_extent(struct pass *pass, int error)
{
	writeback_end_extent(&mapping, &pass->core_extent, error);
	model_end_extent(&model, &pass->model_extent, error);
	pass->extent_in_hand = false;
}

static void abandon(struct pass *pass)
{
	if (pass->extent_in_hand)
		end_extent(pass, -EINTR);
	folio_batch_release(&mapping, &pass->core.fbatch);
	model_release(&pass->model.batch);
	pass->core.blocked = NULL;
	pass->model.blocked = NULL;
	if (pass->core_extent.nr_folios != 0)
		model_put(pass->model_extent.folios[0]);
	writeback_put_extent(&mapping, &pass->core_extent);
	pass->model_extent.nr_folios = 0;
	pass->core_hand = NULL;
	pass->model_hand = NULL;
	pass->style = IDLE;
}

static void op_begin(void)
{
	unsigned int byte = next_byte();
	struct pass *pass = pick_pass(byte >> 5);
	unsigned int shift = mapping.page_shift;
	uint64_t start = next_index();
	uint64_t end = next_end(start);
	int64_t nr_to_write = (byte & 8) != 0 ? (int64_t)(int8_t)next_byte() : INT64_MAX;
	int64_t range_start = (int64_t)(start << shift) + (shift == 0 ? 0 : next_byte());
	int64_t range_end = end > XA_MAX_INDEX ? INT64_MAX : (int64_t)(end << shift);

	if ((byte & 16) != 0)
		range_start = 0;
	abandon(pass);
	pass->core = (struct writeback_control){
		.nr_to_write = nr_to_write,
		.range_start = range_start,
		.range_end = range_end,
		.sync_mode = (byte & 1) != 0 ? WB_SYNC_ALL : WB_SYNC_NONE,
		.tagged_writepages = (byte & 2) != 0,
		.range_cyclic = (byte & 4) != 0,
	};
	pass->model = (struct model_pass){
		.nr_to_write = nr_to_write,
		.range_start = range_start,
		.range_end = range_end,
		.sync_all = (byte & 1) != 0,
		.tagged_writepages = (byte & 2) != 0,
		.range_cyclic = (byte & 4) != 0,
	};
}

static void op_abandon(void)
{
	abandon(pick_pass(next_byte()));
}

/* writeback_iter(); false when the pass returned no folio. */
static bool step(struct pass *pass, int error)
{
	int model_error = error;

	stepped = pass;
	core_next(pass, &error);
	model_next(pass, &model_error);
	CHECK((pass->core_hand == NULL) == (pass->model_hand == NULL));
	CHECK(pass->core_hand != NULL || error == model_error);
	return pass->core_hand != NULL;
}

static void op_next(void)
{
	struct pass *pass = pick_pass(next_byte());
	int error = next_error();

	if (can_step(pass, BY_FOLIO))
		step(pass, error);
}

/* Writes the folio in hand, if its state is still as the pass returned it. */
static void write_hand(struct pass *pass)
{
	struct model_folio *folio = pass->model_hand;

	if (folio == NULL || !folio->present || !folio->locked || folio->writeback)
		return;
	folio_start_writeback(&mapping, pass->core_hand, false);
	folio_unlock(&mapping, pass->core_hand);
	folio_end_writeback(&mapping, pass->core_hand);
	model_start_writeback(folio, false);
	model_unlock(&model, folio);
	model_end_writeback(&model, folio);
}

/* The usual loop, for some folios. */
static void op_write_some(void)
{
	struct pass *pass = pick_pass(next_byte());
	unsigned int nr = next_byte();

	if (!can_step(pass, BY_FOLIO))
		return;
	do {
		write_hand(pass);
	} while (step(pass, 0) && nr-- > 0);
}

/* A step that a host may do without the core, as lib/native/page_writeback.ts does. */
static void op_next_by_host(void)
{
	struct pass *pass = pick_pass(next_byte());
	struct folio_batch *fbatch = &pass->core.fbatch;
	struct folio *folio;
	int64_t nr_to_write;
	int error = 0;

	if (pass->style != BY_FOLIO || pass->core_hand == NULL || fbatch->i == fbatch->nr)
		return;
	folio = fbatch->folios[fbatch->i];
	nr_to_write = pass->core.nr_to_write - folio_nr_pages(pass->core_hand);
	if ((folio_flags(folio) & (PG_locked | PG_dirty | PG_writeback)) != PG_dirty ||
	    !folio_in_mapping(folio, &mapping))
		return;
	if (nr_to_write <= 0 && pass->core.sync_mode == WB_SYNC_NONE)
		return;
	folio_change_flags(folio, PG_locked, PG_dirty);
	fbatch->i++;
	pass->core.nr_to_write = nr_to_write;
	pass->core_hand = folio;
	model_next(pass, &error);
	CHECK(pass->model_hand != NULL);
}

static void op_get_extent(void)
{
	struct pass *pass = pick_pass(next_byte());
	unsigned int max_pages = 1 + next_word() % WRITEBACK_EXTENT_MAX_PAGES;
	int error = next_error();
	int model_error = error;

	if (!can_step(pass, BY_EXTENT))
		return;
	stepped = pass;
	if (pass->extent_in_hand)
		end_extent(pass, error);
	pass->extent_in_hand =
		writeback_get_extent(&mapping, &pass->core, &pass->core_extent, max_pages, &error);
	CHECK(pass->extent_in_hand ==
	      model_get_extent(&model, &pass->model, &pass->model_extent, max_pages, &model_error));
	CHECK(error == (pass->extent_in_hand ? 0 : model_error));
	set_style(pass, BY_EXTENT, pass->extent_in_hand);
}

static void op_end_extent(void)
{
	struct pass *pass = pick_pass(next_byte());
	int error = next_error();

	if (pass->extent_in_hand)
		end_extent(pass, error);
}

static void op_write_cache_pages(void)
{
	struct pass *pass = pick_pass(next_byte());
	int err;

	if (!can_step(pass, BY_CALLBACK))
		return;
	stepped = pass;
	err = write_cache_pages(&mapping, &pass->core, core_writepage, pass);
	CHECK(model_write_cache_pages(&model, &pass->model, model_writepage) == err);
	set_style(pass, BY_CALLBACK, false);
}

static void op_redirty(void)
{
	struct pass *pass = pick_pass(next_byte());
	struct model_folio *folio = pick(next_byte());

	if (folio != NULL)
		CHECK(folio_redirty_for_writepage(&mapping, &pass->core, core_of(folio)) ==
		      model_redirty(&pass->model, folio));
}

static void (*const operations[])(void) = {
	op_next,
	op_write_some,
	op_add_run,
	op_add,
	op_add_without_memory,
	op_add_chunk,
	op_remove,
	op_get,
	op_put,
	op_find,
	op_tag,
	op_set_writeback_index,
	op_dirty,
	op_dirty_run,
	op_trylock,
	op_lock,
	op_unlock,
	op_trylock_for_io,
	op_clear_dirty_for_io,
	op_start_writeback,
	op_end_writeback,
	op_wait_writeback,
	op_dirty_range,
	op_add_folios,
	op_begin,
	op_abandon,
	op_next_by_host,
	op_get_extent,
	op_end_extent,
	op_write_cache_pages,
	op_redirty,
};
#define NR_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* Ends every pass, and drops every lock and reference. */
static void finish(void)
{
	for (int i = 0; i < NR_PASSES; i++)
		abandon(&passes[i]);
	for (int i = 0; i < NR_HANDLES; i++) {
		if (handles[i] == NULL)
			continue;
		folio_put(&mapping, core_of(handles[i]));
		model_put(handles[i]);
		handles[i] = NULL;
	}
	compare();
	host_check_tree(&mapping);
	for (int i = 0; i < MODEL_FOLIOS; i++) {
		struct model_folio *folio = &model.folios[i];

		if (folio->references == 0)
			continue;
		CHECK(folio->references == 1 && folio->present);
		if (folio->locked)
			folio_unlock(&mapping, core_of(folio));
		if (folio->writeback)
			folio_end_writeback(&mapping, core_of(folio));
		CHECK(filemap_remove_folio(&mapping, core_of(folio)) == 0);
	}
	CHECK(mapping.nrpages == 0 && mapping.i_pages.xa_head == 0);
	CHECK(mapping.pool.nr_free == mapping.pool.nr_chunks * FOLIO_CHUNK_FOLIOS);
	host_mapping_destroy(&mapping);
	CHECK(host_allocated == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned int page_shifts[] = {PAGE_SHIFT, PAGE_SHIFT, 9, 0};
	unsigned int byte, nr_operations = 0;

	input = data;
	input_end = data + size;
	byte = next_byte();
	address_space_init(&mapping, page_shifts[byte % 4], (byte & 4) != 0,
			   host_with((byte & 8) != 0));
	memset(&model, 0, sizeof(model));
	model.page_shift = mapping.page_shift;
	model.wait = (byte & 8) != 0 ? model_wait : model_never_waits;
	memset(passes, 0, sizeof(passes));
	core_wakes = 0;
	while (input < input_end) {
		byte = next_byte();
		nr_events = nr_replayed = 0;
		memset(truncated, 0, sizeof(truncated));
		stepped = NULL;
		operations[byte % NR_OPERATIONS]();
		compare();
		/* The check's cost is in proportion to the tree. */
		if (++nr_operations % 16 == 0)
			host_check_tree(&mapping);
	}
	finish();
	return 0;
}
