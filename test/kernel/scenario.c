// SPDX-License-Identifier: GPL-2.0-only
// Random runs. Each step is chosen from the state of the kernel's side, done on every side and
// compared.

#include "scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAST_PAGE ((UINT64_C(1) << 51) - 1)
#define NO_LIMIT ((INT64_C(1) << 53) - 1)

/* The state spaces of the golden traces, then further ones for states that those do not reach. */
static const struct space spaces[] = {
	{.passes = 20, .span = 64, .weight = 4},
	{.passes = 20, .span = 200, .max_order = 3, .weight = 4},
	{.passes = 30, .span = 600, .weight = 4},
	{.passes = 25, .span = 2000, .max_order = 4, .weight = 4},
	{.passes = 20, .span = 5000, .max_order = 9, .weight = 4},
	{.passes = 15, .span = 300, .max_order = 6, .base = 4294967000, .weight = 4},
	{.passes = 15, .span = 400, .max_order = 3, .base = 2251799813600000, .weight = 4},
	{.passes = 60, .span = 40, .max_order = 2, .weight = 4},
	{.passes = 12, .span = 20000, .max_order = 2, .weight = 4},
	{.passes = 8, .span = 60000, .weight = 4},
	/* more folios than tagging does without a pause, 4096; a long run */
	{.passes = 2, .span = 12000, .folios = 9000, .weight = 1},
	/* up to the very last page */
	{.passes = 20, .span = 512, .max_order = 5, .base = LAST_PAGE - 511, .weight = 4},
	/* a tree of one slot or one node, emptied and filled repeatedly */
	{.passes = 60, .span = 2, .max_order = 1, .weight = 4},
	{.passes = 60, .span = 64, .max_order = 6, .weight = 4},
	/* every order, and siblings on every level */
	{.passes = 20, .span = 1 << 20, .max_order = 18, .weight = 4},
	{.passes = 20,
	 .span = 1 << 20,
	 .max_order = 18,
	 .base = LAST_PAGE - (1 << 20) + 1,
	 .weight = 4},
	/* dense: batches and leaves fill up */
	{.passes = 10, .span = 700, .base = 64, .folios = 600, .weight = 4},
	/* scattered over all of the index space */
	{.passes = 20, .span = LAST_PAGE, .max_order = 4, .weight = 4},
};
static const size_t nr_spaces = sizeof(spaces) / sizeof(spaces[0]);

/* splitmix64 */
static uint64_t random_next(struct scenario *scenario)
{
	uint64_t z = scenario->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(struct scenario *scenario, uint64_t bound)
{
	return random_next(scenario) % bound;
}

static bool percent(struct scenario *scenario, unsigned int chance)
{
	return below(scenario, 100) < chance;
}

static bool same_text(const struct text *a, const struct text *b)
{
	return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

/*
 * Does a step on every side. The trace gets the step before the other side does it, which may end
 * the process.
 */
static struct outcome step_on_sides(struct scenario *scenario, const struct step *step)
{
	struct outcome outcome = side_run_step(&scenario->sides[0], step, &scenario->lines[0]);

	if (scenario->trace != NULL)
		fprintf(scenario->trace, "%s\n", scenario->lines[0].data);
	if (scenario->nr_sides == 2) {
		side_run_step(&scenario->sides[1], step, &scenario->lines[1]);
		scenario->diverged = !same_text(&scenario->lines[0], &scenario->lines[1]);
	}
	return outcome;
}

/*
 * Compares all marks and flags. The cost is in proportion to the folios, so the next comparison is
 * as many steps later.
 */
static void check_sides(struct scenario *scenario)
{
	struct step marks = {.operation = OP_MARKS};
	struct step state = {.operation = OP_STATE,
			     .indices = scenario->folios,
			     .nr_indices = scenario->nr_folios};
	FILE *trace = scenario->trace;

	scenario->unchecked = 0;
	scenario->trace = NULL;
	step_on_sides(scenario, &state);
	if (!scenario->diverged)
		step_on_sides(scenario, &marks);
	scenario->trace = trace;
	/*
	 * Writes the line that shows the difference: a replayer finds it by the marks, a reader by
	 * the comment.
	 */
	if (scenario->diverged && trace != NULL)
		fprintf(trace, "%s\n", scenario->lines[0].data);
}

static struct outcome do_step(struct scenario *scenario, const struct step *step)
{
	struct outcome outcome = {.value = -ECANCELED, .next.done = true};

	if (scenario->diverged)
		return outcome;
	outcome = step_on_sides(scenario, step);
	scenario->steps++;
	if (scenario->nr_sides == 2 && !scenario->diverged &&
	    (scenario->check_always || ++scenario->unchecked * 32 >= scenario->nr_folios))
		check_sides(scenario);
	return outcome;
}

static struct outcome do_at(struct scenario *scenario, enum operation operation, uint64_t index)
{
	return do_step(scenario, &(struct step){.operation = operation, .index = index});
}

static unsigned int flags_of(struct scenario *scenario, uint64_t index)
{
	int flags = scenario->sides[0].ops->flags(scenario->sides[0].oracle, index);

	return flags < 0 ? 0 : (unsigned int)flags;
}

static uint64_t random_index(struct scenario *scenario)
{
	return scenario->space->base + below(scenario, scenario->space->span);
}

/*
 * Picks a random folio's index. Half of the time it picks three, and takes the one soonest behind
 * @near: the running pass has that folio in its batch, or comes to it next. False if there is no
 * folio.
 */
static bool random_folio(struct scenario *scenario, uint64_t near, uint64_t *index)
{
	if (scenario->nr_folios == 0)
		return false;
	*index = scenario->folios[below(scenario, scenario->nr_folios)];
	if (percent(scenario, 50)) {
		for (int i = 0; i < 2; i++) {
			uint64_t other = scenario->folios[below(scenario, scenario->nr_folios)];

			if (other - near < *index - near)
				*index = other;
		}
	}
	return true;
}

static void add_at(struct scenario *scenario, uint64_t index)
{
	unsigned int order = 0;
	struct outcome outcome;

	if (percent(scenario, 50))
		order = (unsigned int)below(scenario, scenario->space->max_order + 1);
	index &= ~((UINT64_C(1) << order) - 1);
	outcome = do_step(scenario,
			  &(struct step){.operation = OP_ADD, .index = index, .order = order});
	if (outcome.value != 0)
		return;
	if (scenario->nr_folios == scenario->room) {
		scenario->room = scenario->room * 2 + 64;
		scenario->folios =
			realloc(scenario->folios, scenario->room * sizeof(scenario->folios[0]));
		if (scenario->folios == NULL) {
			fputs("out of memory\n", stderr);
			exit(2);
		}
	}
	scenario->folios[scenario->nr_folios++] = index;
}

static void remove_at(struct scenario *scenario, uint64_t index)
{
	size_t i = 0;

	if ((flags_of(scenario, index) & (ORACLE_FLAG_LOCKED | ORACLE_FLAG_WRITEBACK)) != 0)
		return;
	while (i < scenario->nr_folios && scenario->folios[i] != index)
		i++;
	if (i == scenario->nr_folios)
		return;
	scenario->folios[i] = scenario->folios[--scenario->nr_folios];
	do_at(scenario, OP_REMOVE, index);
	if (!scenario->golden && percent(scenario, 10))
		do_at(scenario, OP_DIRTY_REMOVED, 0);
}

/* Another task has the folio's lock from now on, and releases it later. */
static void hold(struct scenario *scenario, uint64_t index)
{
	scenario->held[scenario->nr_held++] = index;
}

static void release_held(struct scenario *scenario, size_t i)
{
	uint64_t index = scenario->held[i];

	scenario->held[i] = scenario->held[--scenario->nr_held];
	do_at(scenario, OP_UNLOCK, index);
}

static bool can_hold(const struct scenario *scenario)
{
	return scenario->nr_held < sizeof(scenario->held) / sizeof(scenario->held[0]);
}

/* The iterator waited for this lock: its holder has released it. */
static void held_was_released(void *context, bool for_writeback, uint64_t index)
{
	struct scenario *scenario = context;

	for (size_t i = 0; !for_writeback && i < scenario->nr_held; i++) {
		if (scenario->held[i] == index) {
			scenario->held[i] = scenario->held[--scenario->nr_held];
			return;
		}
	}
}

static void start_at(struct scenario *scenario, uint64_t index)
{
	do_step(scenario, &(struct step){.operation = OP_START,
					 .index = index,
					 .keep_write = percent(scenario, 15)});
}

static void lock_by_another(struct scenario *scenario, uint64_t index)
{
	if (!can_hold(scenario) || do_at(scenario, OP_LOCK, index).value != 1)
		return;
	/* Sometimes another writer has the folio. */
	if (percent(scenario, 20) && (flags_of(scenario, index) & ORACLE_FLAG_WRITEBACK) == 0) {
		start_at(scenario, index);
		do_at(scenario, OP_UNLOCK, index);
		return;
	}
	hold(scenario, index);
}

static void tag_somewhere(struct scenario *scenario)
{
	uint64_t first = random_index(scenario);
	uint64_t last = first + below(scenario, scenario->space->span);

	if (percent(scenario, 10)) {
		first = 0;
		last = LAST_PAGE;
	}
	do_step(scenario, &(struct step){.operation = OP_TAG,
					 .index = first,
					 .last = last < LAST_PAGE ? last : LAST_PAGE});
}

/* What other tasks do meanwhile. */
static void disturb(struct scenario *scenario, uint64_t near)
{
	uint64_t index;
	uint64_t choice = below(scenario, 100);

	if (choice < 25) {
		add_at(scenario, random_index(scenario));
	} else if (choice < 27) {
		tag_somewhere(scenario);
	} else if (choice < 37) {
		if (scenario->nr_held > 0)
			release_held(scenario, below(scenario, scenario->nr_held));
	} else if (!random_folio(scenario, near, &index)) {
		return;
	} else if (choice < 55) {
		do_at(scenario, OP_DIRTY, index);
	} else if (choice < 70) {
		if ((flags_of(scenario, index) & ORACLE_FLAG_WRITEBACK) != 0)
			do_at(scenario, OP_END, index);
	} else if (choice < 85) {
		remove_at(scenario, index);
	} else {
		lock_by_another(scenario, index);
	}
}

/* Does the pass's work on the folio; returns the folio's error. */
static int write_folio(struct scenario *scenario, uint64_t index)
{
	static const int errors[] = {-5, -12, -28};
	int error = percent(scenario, 5) ? errors[below(scenario, 3)] : 0;

	if (percent(scenario, 4))
		do_at(scenario, OP_REDIRTY, index);
	if (percent(scenario, 8))
		do_at(scenario, OP_DIRTY, index);
	/* The folio is not written after most errors, and in some other cases. */
	if (percent(scenario, error != 0 ? 70 : 10)) {
		if (error != 0 && percent(scenario, 50))
			do_at(scenario, OP_REDIRTY, index);
	} else {
		start_at(scenario, index);
	}
	/*
	 * The pass may keep the lock until the write is complete, and the completion releases it.
	 */
	if (percent(scenario, 2) && can_hold(scenario)) {
		hold(scenario, index);
		return error;
	}
	if (percent(scenario, 2) && (flags_of(scenario, index) & ORACLE_FLAG_WRITEBACK) != 0)
		do_at(scenario, OP_END, index);
	do_at(scenario, OP_UNLOCK, index);
	if (percent(scenario, 75) && (flags_of(scenario, index) & ORACLE_FLAG_WRITEBACK) != 0)
		do_at(scenario, OP_END, index);
	/* The folio is truncated while the pass has it, and another folio may take its place. */
	if (percent(scenario, 10) && (flags_of(scenario, index) & ORACLE_FLAG_WRITEBACK) == 0) {
		remove_at(scenario, index);
		if (percent(scenario, 60))
			add_at(scenario, index);
	}
	return error;
}

static struct oracle_pass random_pass(struct scenario *scenario)
{
	struct oracle_pass pass = {
		.sync_all = percent(scenario, 50),
		.tagged_writepages = percent(scenario, 40),
		.range_cyclic = percent(scenario, 30),
		.range_start = 0,
		.range_end = INT64_MAX,
		.nr_to_write = NO_LIMIT,
	};

	if (percent(scenario, 50)) {
		uint64_t first = random_index(scenario) << 12;
		uint64_t last = (random_index(scenario) << 12) + 4095;

		/* Seldom an empty range. */
		if (first > last && !percent(scenario, 6)) {
			uint64_t swap = first;

			first = last & ~UINT64_C(4095);
			last = swap | 4095;
		}
		if (percent(scenario, 40)) {
			first += below(scenario, 4096);
			last -= below(scenario, 4096);
		}
		if (percent(scenario, 10))
			last = INT64_MAX;
		pass.range_start = (int64_t)first;
		pass.range_end = (int64_t)last;
	}
	if (percent(scenario, 50))
		pass.nr_to_write = (int64_t)below(scenario, 60);
	if (percent(scenario, 2))
		pass.nr_to_write = -2;
	return pass;
}

static void run_pass(struct scenario *scenario)
{
	/* Other tasks disturb most passes, and leave some alone. */
	unsigned int disturbance = percent(scenario, 20) ? 0 : 30;
	int error = 0;

	do_step(scenario, &(struct step){.operation = OP_BEGIN, .pass = random_pass(scenario)});
	while (!scenario->diverged) {
		struct outcome outcome =
			do_step(scenario, &(struct step){.operation = OP_NEXT, .error = error});
		uint64_t index = outcome.next.index;

		if (outcome.next.done)
			break;
		if (percent(scenario, disturbance))
			disturb(scenario, index);
		error = write_folio(scenario, index);
		while (percent(scenario, disturbance))
			disturb(scenario, index);
		if (!scenario->golden && percent(scenario, 1))
			break;
	}
	do_at(scenario, OP_MARKS, 0);
}

/**
 * scenario_start - choose a run
 * @scenario: with only the members set that the caller decides
 * @seed: of all runs
 * @run: which of them
 */
void scenario_start(struct scenario *scenario, uint64_t seed, uint64_t run)
{
	uint64_t choice, weight = 0;
	size_t i;

	scenario->random = seed * UINT64_C(0xd1342543de82ef95) + run * UINT64_C(0x2545f4914f6cdd1d);
	for (i = 0; i < nr_spaces; i++)
		weight += spaces[i].weight;
	choice = below(scenario, weight);
	for (i = 0; choice >= spaces[i].weight; i++)
		choice -= spaces[i].weight;
	scenario->space = &spaces[i];
}

/**
 * scenario_run - do the run that was chosen
 * @scenario: with the sides open, and empty
 */
void scenario_run(struct scenario *scenario)
{
	const struct space *space = scenario->space;
	unsigned int folios = space->folios;
	uint64_t index;

	scenario->sides[0].waited = held_was_released;
	scenario->sides[0].context = scenario;
	if (folios == 0)
		folios = 8 +
			 (unsigned int)below(scenario, space->span < 400 ? space->span + 1 : 400);
	/* If the space asks for many folios, it is so dense that one try in a few fails. */
	for (unsigned int i = 0; i < folios || (space->folios != 0 && scenario->nr_folios < folios);
	     i++) {
		add_at(scenario, random_index(scenario));
		if (scenario->diverged)
			return;
	}
	for (unsigned int pass = 0; pass < space->passes && !scenario->diverged; pass++) {
		/* Seldom few folios, so that most passes have work to do. */
		uint64_t burst =
			below(scenario, percent(scenario, 20) ? 5 : 2 + scenario->nr_folios);

		/* Dirties all folios or some. */
		if (space->folios != 0 && percent(scenario, 50)) {
			for (size_t i = 0; i < scenario->nr_folios; i++)
				do_at(scenario, OP_DIRTY, scenario->folios[i]);
		} else {
			while (burst-- > 0 && random_folio(scenario, 0, &index))
				do_at(scenario, OP_DIRTY, index);
		}
		while (percent(scenario, 40))
			disturb(scenario, space->base);
		run_pass(scenario);
		while (scenario->nr_held > 0 && percent(scenario, 70))
			release_held(scenario, 0);
	}
}

void scenario_close(struct scenario *scenario)
{
	for (unsigned int i = 0; i < scenario->nr_sides; i++) {
		side_run_close(&scenario->sides[i]);
		text_free(&scenario->lines[i]);
	}
	free(scenario->folios);
	scenario->folios = NULL;
}
