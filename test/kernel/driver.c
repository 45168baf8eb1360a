// SPDX-License-Identifier: GPL-2.0-only
// Compares the core with the kernel's own code, live or by traces, and writes traces. Run by
// run.mjs, which checks the arguments.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

/* A run takes seconds at most; one that takes longer than this is treated as endless. */
#define RUN_SECONDS 120

/* How many characters of a long line to print on each side of the first difference. */
#define EXCERPT 300

static void open_sides(struct scenario *scenario, unsigned int nr_sides)
{
	scenario->nr_sides = nr_sides;
	side_run_open(&scenario->sides[0], &kernel_ops);
	if (nr_sides == 2)
		side_run_open(&scenario->sides[1], &core_ops);
}

static void print_excerpt(const char *name, const char *line, size_t difference)
{
	size_t from = difference > EXCERPT ? difference - EXCERPT : 0;

	printf("  %-6s %s%.*s\n", name, from > 0 ? "..." : "", 2 * EXCERPT, line + from);
}

static void print_difference(const char *name, const char *line, const char *other_name,
			     const char *other_line)
{
	size_t difference = 0;

	while (line[difference] != '\0' && line[difference] == other_line[difference])
		difference++;
	print_excerpt(name, line, difference);
	print_excerpt(other_name, other_line, difference);
}

static FILE *open_trace(const char *path, const char *mode)
{
	FILE *trace = fopen(path, mode);

	if (trace == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	return trace;
}

static void close_trace(FILE *trace, const char *path)
{
	if (ferror(trace) != 0 || fclose(trace) != 0) {
		fprintf(stderr, "%s: cannot be written\n", path);
		exit(2);
	}
}

/* The position of the child that does the runs; the waiting parent reads it. */
struct progress {
	uint64_t run;
	uint64_t operations;
	bool diverged;
	bool finished;
};

/* Does the run again, comparing everything after every step, and writes it to @path. */
static void trace_divergence(uint64_t seed, uint64_t run, const char *path)
{
	struct scenario scenario = {.check_always = true};

	alarm(RUN_SECONDS);
	scenario.trace = open_trace(path, "w");
	/* A side may end the process, so no line may stay in a buffer. */
	setvbuf(scenario.trace, NULL, _IOLBF, 0);
	fprintf(scenario.trace, "%s\n", TRACE_HEADER);
	open_sides(&scenario, 2);
	scenario_start(&scenario, seed, run);
	scenario_run(&scenario);
	printf("step %" PRIu64 ":\n", scenario.steps);
	if (scenario.diverged)
		print_difference(kernel_ops.name, scenario.lines[0].data, core_ops.name,
				 scenario.lines[1].data);
	else
		printf("  no divergence this time: a side depends on more than its operations\n");
	close_trace(scenario.trace, path);
}

static void print_progress(uint64_t runs, const struct progress *progress)
{
	static time_t begin, last;
	time_t now = time(NULL);

	if (begin == 0)
		begin = now;
	if (now == last || !isatty(STDERR_FILENO))
		return;
	last = now;
	fprintf(stderr,
		"\r%" PRIu64 " of %" PRIu64 " runs, %" PRIu64 " operations, %" PRIu64 " a second ",
		progress->run, runs, progress->operations,
		progress->operations / (uint64_t)(now == begin ? 1 : now - begin));
}

/* Random runs on both sides, up to the first divergence. */
static void do_runs(uint64_t runs, uint64_t seed, struct progress *progress)
{
	while (progress->run < runs) {
		struct scenario scenario = {0};

		alarm(RUN_SECONDS);
		open_sides(&scenario, 2);
		scenario_start(&scenario, seed, progress->run);
		scenario_run(&scenario);
		progress->operations += scenario.steps;
		progress->diverged = scenario.diverged;
		/* After a divergence the state of the core is undefined. */
		if (scenario.diverged)
			break;
		scenario_close(&scenario);
		progress->run++;
		print_progress(runs, progress);
	}
	progress->finished = true;
}

/*
 * A child does the runs, because a faulty side may end the process: by an assertion, a signal, a
 * sanitizer, an endless loop. Then, or after a divergence, another child repeats the run and writes
 * its trace.
 */
static int fuzz(uint64_t runs, uint64_t seed, const char *directory)
{
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char path[4096];
	bool failed;

	if (progress == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	if (fork() == 0) {
		do_runs(runs, seed, progress);
		exit(0);
	}
	wait(NULL);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	failed = progress->diverged || !progress->finished;
	if (failed) {
		snprintf(path, sizeof(path), "%s/divergence-%" PRIu64 "-%" PRIu64 ".trace",
			 directory, seed, progress->run);
		printf("%s: seed %" PRIu64 ", run %" PRIu64
		       ", trace with the kernel's results: %s\n",
		       progress->finished ? "divergence" : "a side died", seed, progress->run,
		       path);
		if (fork() == 0) {
			trace_divergence(seed, progress->run, path);
			exit(0);
		}
		wait(NULL);
	}
	printf("%" PRIu64 " runs, %" PRIu64 " operations, %d divergences\n", progress->run,
	       progress->operations, failed ? 1 : 0);
	return failed ? 1 : 0;
}

/* Random runs on the kernel's side alone, as golden traces. */
static int write_traces(uint64_t count, uint64_t seed, const char *directory)
{
	for (uint64_t run = 0; run < count; run++) {
		struct scenario scenario = {.golden = true};
		char path[4096];
		int length;

		open_sides(&scenario, 1);
		scenario_start(&scenario, seed, run);
		length = snprintf(path, sizeof(path), "%s/%02" PRIu64 "-%u-%" PRIu64 "-%u",
				  directory, run + 1, scenario.space->passes, scenario.space->span,
				  scenario.space->max_order);
		if (scenario.space->base != 0 || scenario.space->folios != 0)
			length += snprintf(path + length, sizeof(path) - (size_t)length,
					   "-%" PRIu64, scenario.space->base);
		if (scenario.space->folios != 0)
			length += snprintf(path + length, sizeof(path) - (size_t)length, "-%u",
					   scenario.space->folios);
		snprintf(path + length, sizeof(path) - (size_t)length, ".trace");
		/* Does not overwrite another trace. */
		scenario.trace = open_trace(path, "wx");
		fprintf(scenario.trace, "%s\n", TRACE_HEADER);
		scenario_run(&scenario);
		close_trace(scenario.trace, path);
		printf("%s: %" PRIu64 " operations\n", path, scenario.steps);
		scenario_close(&scenario);
	}
	return 0;
}

/* One trace on one side, up to the first line that differs; returns whether none does. */
static bool replay_trace(const struct oracle_ops *ops, const char *path, uint64_t *operations)
{
	FILE *trace = open_trace(path, "r");
	struct side_run side;
	struct text line = {0};
	char *expected = NULL;
	size_t room = 0, number = 0;
	ssize_t length;
	bool same = true;

	side_run_open(&side, ops);
	while (same && (length = getline(&expected, &room, trace)) >= 0) {
		struct step step;

		number++;
		if (length > 0 && expected[length - 1] == '\n')
			expected[length - 1] = '\0';
		if (expected[0] == '#')
			continue;
		if (!parse_step(expected, &step)) {
			printf("%s:%zu: not an operation: %s\n", path, number, expected);
			same = false;
			break;
		}
		side_run_step(&side, &step, &line);
		*operations += 1;
		if (strcmp(line.data, expected) != 0) {
			printf("%s:%zu: divergence\n", path, number);
			print_difference("trace", expected, ops->name, line.data);
			same = false;
		}
	}
	if (same)
		side_run_close(&side);
	free(expected);
	text_free(&line);
	fclose(trace);
	return same;
}

static int replay(int nr_paths, char **paths)
{
	const struct oracle_ops *const sides[] = {&kernel_ops, &core_ops};
	int divergences = 0;

	for (size_t side = 0; side < 2; side++) {
		uint64_t operations = 0;
		int diverged = 0;

		for (int i = 0; i < nr_paths; i++)
			diverged += replay_trace(sides[side], paths[i], &operations) ? 0 : 1;
		printf("%s: %d traces, %" PRIu64 " operations, %d divergences\n", sides[side]->name,
		       nr_paths, operations, diverged);
		divergences += diverged;
	}
	return divergences == 0 ? 0 : 1;
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
	/* Line-buffered, so that no finding is lost if a side ends the process. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 5 && strcmp(argv[1], "fuzz") == 0)
		return fuzz(number(argv[2]), number(argv[3]), argv[4]);
	if (argc == 5 && strcmp(argv[1], "write") == 0)
		return write_traces(number(argv[2]), number(argv[3]), argv[4]);
	if (argc >= 3 && strcmp(argv[1], "replay") == 0)
		return replay(argc - 2, argv + 2);
	fprintf(stderr,
		"usage: %s fuzz RUNS SEED DIRECTORY | write COUNT SEED DIRECTORY | replay "
		"TRACE...\n",
		argv[0]);
	return 2;
}
