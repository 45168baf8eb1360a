/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Traces, format 1: one line per operation, with its result.
 */
#ifndef TRACE_H
#define TRACE_H

#include "oracle.h"

#define TRACE_HEADER "# writeback-trace 1"

/* A line that grows as needed; always ends in '\0'. */
struct text {
	char *data;
	size_t length;
	size_t room;
};

void text_clear(struct text *text);
void text_free(struct text *text);

enum operation {
	OP_ADD,
	OP_DIRTY,
	OP_REMOVE,
	OP_LOCK,
	OP_UNLOCK,
	OP_START,
	OP_END,
	OP_REDIRTY,
	OP_TAG,
	OP_BEGIN,
	OP_NEXT,
	OP_MARKS,
	/* Not in the format, so comments in a trace: flags and counts, and an operation that needs
	   a reference. */
	OP_STATE,
	OP_DIRTY_REMOVED,
};

/**
 * struct step - an operation and its arguments
 * @operation: which
 * @index: the folio's first page; OP_TAG: the first page
 * @last: OP_TAG: the last page
 * @order: OP_ADD
 * @keep_write: OP_START
 * @error: OP_NEXT: the error of the folio in hand
 * @pass: OP_BEGIN
 * @indices: OP_STATE: the first pages of the folios to look at
 * @nr_indices: how many
 */
struct step {
	enum operation operation;
	uint64_t index;
	uint64_t last;
	unsigned int order;
	bool keep_write;
	int error;
	struct oracle_pass pass;
	const uint64_t *indices;
	size_t nr_indices;
};

/* The result of a step: its number if it has one (1, 0 or -errno), and what OP_NEXT returned. */
struct outcome {
	int value;
	struct oracle_next next;
};

/**
 * struct side_run - a side and what its steps need
 * @ops: the side
 * @oracle: its page cache
 * @waits: what the running OP_NEXT waited for, as the trace has it
 * @waited: where not NULL, called with @context for each wait
 */
struct side_run {
	const struct oracle_ops *ops;
	struct oracle *oracle;
	struct text waits;
	oracle_waited_fn *waited;
	void *context;
	uint64_t *indices;
	size_t room;
};

void side_run_open(struct side_run *side, const struct oracle_ops *ops);
void side_run_close(struct side_run *side);
struct outcome side_run_step(struct side_run *side, const struct step *step, struct text *line);

bool parse_step(const char *line, struct step *step);

#endif
