/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random runs of a page cache and its writeback, as the golden traces have them, and what golden
 * traces cannot say.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <stdio.h>

#include "trace.h"

/**
 * struct space - what a run takes place in
 * @passes: how many passes
 * @span: indices lie in that many pages
 * @max_order: the largest folio's
 * @base: first index
 * @folios: how many folios to begin with; 0 for some
 * @weight: how often it is chosen
 */
struct space {
	unsigned int passes;
	uint64_t span;
	unsigned int max_order;
	uint64_t base;
	unsigned int folios;
	unsigned int weight;
};

/**
 * struct scenario - a run as it goes
 * @sides: the kernel, and the side that is compared with it
 * @nr_sides: 1 without a comparison
 * @golden: only what golden traces have: every pass is finished, and no step uses a removed folio
 * @check_always: compare all flags and marks after each step, else as often as keeps it in
 * proportion
 * @steps: steps done
 * @diverged: the sides differ: all that follows does nothing
 * @lines: of both sides, the step that was done last
 * @trace: where not NULL, gets each step's line from the kernel
 * @space: where the run takes place
 */
struct scenario {
	struct side_run sides[2];
	unsigned int nr_sides;
	bool golden;
	bool check_always;
	uint64_t steps;
	bool diverged;
	struct text lines[2];
	FILE *trace;
	const struct space *space;

	/* private to scenario.c */
	uint64_t random;
	uint64_t *folios;
	size_t nr_folios;
	size_t room;
	uint64_t unchecked;
	uint64_t held[16];
	size_t nr_held;
};

void scenario_start(struct scenario *scenario, uint64_t seed, uint64_t run);
void scenario_run(struct scenario *scenario);
void scenario_close(struct scenario *scenario);

#endif
