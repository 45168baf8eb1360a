// SPDX-License-Identifier: GPL-2.0-only
// Traces: reads a step from a line, does it, and writes the line with its result.

#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const mark_names[ORACLE_NR_MARKS] = {
	[ORACLE_DIRTY] = "dirty", [ORACLE_WRITEBACK] = "writeback", [ORACLE_TOWRITE] = "towrite"};

static void out_of_memory(void)
{
	fputs("out of memory\n", stderr);
	exit(2);
}

void text_clear(struct text *text)
{
	text->length = 0;
	if (text->data != NULL)
		text->data[0] = '\0';
}

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

static void text_append(struct text *text, const char *data, size_t length)
{
	if (text->length + length >= text->room) {
		text->room = (text->length + length + 1) * 2;
		text->data = realloc(text->data, text->room);
		if (text->data == NULL)
			out_of_memory();
	}
	memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = '\0';
}

static void text_string(struct text *text, const char *string)
{
	text_append(text, string, strlen(string));
}

/* Most of a line is numbers; printf would take most of the time of a run. */
static void text_u64(struct text *text, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	text_append(text, digits + at, sizeof(digits) - at);
}

static void text_i64(struct text *text, int64_t number)
{
	if (number < 0)
		text_string(text, "-");
	text_u64(text, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

static void append_wait(void *context, bool for_writeback, uint64_t index)
{
	struct side_run *side = context;

	text_string(&side->waits, for_writeback ? "wait writeback " : "wait lock ");
	text_u64(&side->waits, index);
	text_string(&side->waits, "; ");
	if (side->waited != NULL)
		side->waited(side->context, for_writeback, index);
}

void side_run_open(struct side_run *side, const struct oracle_ops *ops)
{
	*side = (struct side_run){.ops = ops, .room = 64};
	side->indices = calloc(side->room, sizeof(side->indices[0]));
	side->oracle = ops->create(append_wait, side);
	if (side->indices == NULL || side->oracle == NULL)
		out_of_memory();
}

void side_run_close(struct side_run *side)
{
	side->ops->destroy(side->oracle);
	free(side->indices);
	text_free(&side->waits);
}

static void append_marks(struct side_run *side, struct text *line)
{
	for (enum oracle_mark mark = 0; mark < ORACLE_NR_MARKS; mark++) {
		size_t nr = side->ops->marks(side->oracle, mark, side->indices, side->room);

		if (nr > side->room) {
			free(side->indices);
			side->room = nr * 2;
			side->indices = calloc(side->room, sizeof(side->indices[0]));
			if (side->indices == NULL)
				out_of_memory();
			side->ops->marks(side->oracle, mark, side->indices, side->room);
		}
		text_string(line, " ");
		text_string(line, mark_names[mark]);
		text_string(line, ":");
		for (size_t i = 0; i < nr; i++) {
			if (i > 0)
				text_string(line, ",");
			text_u64(line, side->indices[i]);
		}
	}
}

/*
 * Writes every folio's flags as a hexadecimal digit (the first one that differs says more than a
 * hash does), and the state that belongs to no folio.
 */
static void append_state(struct side_run *side, const struct step *step, struct text *line)
{
	text_string(line, " nrpages=");
	text_u64(line, side->ops->nrpages(side->oracle));
	text_string(line, " tagged=");
	for (enum oracle_mark mark = 0; mark < ORACLE_NR_MARKS; mark++)
		text_u64(line, side->ops->tagged(side->oracle, mark));
	text_string(line, " flags=");
	for (size_t i = 0; i < step->nr_indices; i++) {
		int flags = side->ops->flags(side->oracle, step->indices[i]);
		char digit = flags < 0 ? '-' : "0123456789abcdef"[flags];

		text_append(line, &digit, 1);
	}
}

static void append_next(struct side_run *side, const struct oracle_next *next, struct text *line)
{
	text_append(line, side->waits.data == NULL ? "" : side->waits.data, side->waits.length);
	if (next->done) {
		text_string(line, "done ");
		text_i64(line, next->error);
	} else {
		text_string(line, "folio ");
		text_u64(line, next->index);
		text_string(line, " ");
		text_u64(line, next->order);
	}
	text_string(line, " nr=");
	text_i64(line, next->nr_to_write);
	text_string(line, " wbindex=");
	text_u64(line, next->writeback_index);
}

static void append_result(struct text *line, int value)
{
	text_string(line, " = ");
	text_i64(line, value);
}

static const char *const operation_names[] = {
	[OP_ADD] = "add",	[OP_DIRTY] = "dirty",
	[OP_REMOVE] = "remove", [OP_LOCK] = "lock",
	[OP_UNLOCK] = "unlock", [OP_START] = "start",
	[OP_END] = "end",	[OP_REDIRTY] = "redirty",
	[OP_TAG] = "tag",	[OP_BEGIN] = "begin",
	[OP_NEXT] = "next",	[OP_MARKS] = "marks",
	[OP_STATE] = "# state", [OP_DIRTY_REMOVED] = "# dirty the folio removed last",
};

/**
 * side_run_step - do a step on a side
 * @side: the side
 * @step: the step
 * @line: set to the trace's line for it, with the result
 *
 * An operation that gives no result in the format writes the errno where it failed, so that two
 * sides differ there.
 */
struct outcome side_run_step(struct side_run *side, const struct step *step, struct text *line)
{
	const struct oracle_ops *ops = side->ops;
	struct oracle *oracle = side->oracle;
	struct outcome outcome = {0};
	int64_t pages_skipped = 0;

	text_clear(line);
	text_string(line, operation_names[step->operation]);
	if (step->operation <= OP_TAG) {
		text_string(line, " ");
		text_u64(line, step->index);
	}
	switch (step->operation) {
	case OP_ADD:
		outcome.value = ops->add(oracle, step->index, step->order);
		text_string(line, " ");
		text_u64(line, step->order);
		if (outcome.value == 0)
			text_string(line, " = ok");
		else if (outcome.value == -EEXIST)
			text_string(line, " = EEXIST");
		else
			append_result(line, outcome.value);
		return outcome;
	case OP_DIRTY:
		outcome.value = ops->dirty(oracle, step->index);
		append_result(line, outcome.value);
		return outcome;
	case OP_LOCK:
		outcome.value = ops->lock(oracle, step->index);
		append_result(line, outcome.value);
		return outcome;
	case OP_REDIRTY:
		outcome.value = ops->redirty(oracle, step->index, &pages_skipped);
		append_result(line, outcome.value);
		text_string(line, " skipped=");
		text_i64(line, pages_skipped);
		return outcome;
	case OP_REMOVE:
		outcome.value = ops->remove(oracle, step->index);
		break;
	case OP_UNLOCK:
		outcome.value = ops->unlock(oracle, step->index);
		break;
	case OP_START:
		text_string(line, step->keep_write ? " 1" : " 0");
		outcome.value = ops->start(oracle, step->index, step->keep_write);
		break;
	case OP_END:
		outcome.value = ops->end(oracle, step->index);
		break;
	case OP_TAG:
		text_string(line, " ");
		text_u64(line, step->last);
		ops->tag(oracle, step->index, step->last);
		break;
	case OP_BEGIN:
		text_string(line, step->pass.sync_all ? " sync=all" : " sync=none");
		text_string(line, step->pass.tagged_writepages ? " tagged=1" : " tagged=0");
		text_string(line, step->pass.range_cyclic ? " cyclic=1" : " cyclic=0");
		text_string(line, " start=");
		text_i64(line, step->pass.range_start);
		text_string(line, " end=");
		text_i64(line, step->pass.range_end);
		text_string(line, " nr=");
		text_i64(line, step->pass.nr_to_write);
		ops->begin(oracle, &step->pass);
		break;
	case OP_NEXT:
		text_string(line, " ");
		text_i64(line, step->error);
		text_string(line, " = ");
		text_clear(&side->waits);
		ops->next(oracle, step->error, &outcome.next);
		append_next(side, &outcome.next, line);
		return outcome;
	case OP_MARKS:
		text_string(line, " =");
		append_marks(side, line);
		return outcome;
	case OP_STATE:
		append_state(side, step, line);
		return outcome;
	case OP_DIRTY_REMOVED:
		outcome.value = ops->dirty_removed(oracle);
		append_result(line, outcome.value);
		return outcome;
	}
	if (outcome.value < 0)
		append_result(line, outcome.value);
	return outcome;
}

/**
 * parse_step - read a step off a trace's line
 * @line: the line
 * @step: set to it
 *
 * Return: whether it is an operation of the format. The result on the line is ignored.
 */
bool parse_step(const char *line, struct step *step)
{
	char name[16], sync[8];
	unsigned int tagged, cyclic, keep;

	*step = (struct step){0};
	if (sscanf(line, "%15s", name) != 1)
		return false;
	for (step->operation = 0; strcmp(name, operation_names[step->operation]) != 0;
	     step->operation++) {
		if (step->operation == OP_MARKS)
			return false;
	}
	line += strlen(name);
	switch (step->operation) {
	case OP_ADD:
		return sscanf(line, "%" SCNu64 " %u", &step->index, &step->order) == 2;
	case OP_START:
		if (sscanf(line, "%" SCNu64 " %u", &step->index, &keep) != 2 || keep > 1)
			return false;
		step->keep_write = keep == 1;
		return true;
	case OP_TAG:
		return sscanf(line, "%" SCNu64 " %" SCNu64, &step->index, &step->last) == 2;
	case OP_NEXT:
		return sscanf(line, "%d", &step->error) == 1;
	case OP_BEGIN:
		if (sscanf(line,
			   " sync=%7s tagged=%u cyclic=%u start=%" SCNd64 " end=%" SCNd64
			   " nr=%" SCNd64,
			   sync, &tagged, &cyclic, &step->pass.range_start, &step->pass.range_end,
			   &step->pass.nr_to_write) != 6)
			return false;
		step->pass.sync_all = strcmp(sync, "all") == 0;
		step->pass.tagged_writepages = tagged == 1;
		step->pass.range_cyclic = cyclic == 1;
		return (step->pass.sync_all || strcmp(sync, "none") == 0) && tagged <= 1 &&
		       cyclic <= 1;
	case OP_MARKS:
		return true;
	default:
		return sscanf(line, "%" SCNu64, &step->index) == 1;
	}
}
