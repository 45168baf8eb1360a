// SPDX-License-Identifier: GPL-2.0-only
// Times the kernel's own C against the core, in one run: all sides take turns, each phase's
// shortest time counts. Run by run.mjs, which checks the arguments.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

/* A side, and whether its page cache is one that threads share. */
struct contender {
	const char *name;
	const struct oracle_ops *ops;
	bool shared;
	struct oracle_bench *bench;
	double nanoseconds[NR_PHASES];
};

static const struct shape_row {
	const char *name;
	unsigned int order;
	uint64_t stride;
} shapes[] = {
	{"stride 1", 0, 1},
	{"stride 8", 0, 8},
	{"stride 64", 0, 64},
	{"order 4", 4, 1},
};

static void measure(struct contender *contenders, size_t nr, const struct oracle_shape *shape,
		    int repetitions)
{
	for (size_t i = 0; i < nr; i++) {
		contenders[i].bench = contenders[i].ops->bench_open(shape, contenders[i].shared);
		if (contenders[i].bench == NULL) {
			fprintf(stderr, "%s: no page cache to measure\n", contenders[i].name);
			exit(2);
		}
		for (enum phase phase = 0; phase < NR_PHASES; phase++)
			contenders[i].nanoseconds[phase] = 1e300;
	}
	for (int repetition = 0; repetition < repetitions; repetition++) {
		for (size_t i = 0; i < nr; i++) {
			double nanoseconds[NR_PHASES];

			if (!contenders[i].ops->bench_measure(contenders[i].bench, nanoseconds)) {
				fprintf(stderr, "%s: a pass missed folios\n", contenders[i].name);
				exit(2);
			}
			for (enum phase phase = 0; phase < NR_PHASES; phase++) {
				if (nanoseconds[phase] < contenders[i].nanoseconds[phase])
					contenders[i].nanoseconds[phase] = nanoseconds[phase];
			}
		}
	}
	for (size_t i = 0; i < nr; i++)
		contenders[i].ops->bench_close(contenders[i].bench);
}

int main(int argc, char **argv)
{
	struct contender contenders[] = {
		{.name = "kernel", .ops = &kernel_ops},
		{.name = "core", .ops = &core_ops},
		{.name = "kernel, SMP", .ops = &kernel_smp_ops, .shared = true},
		{.name = "core, shared", .ops = &core_ops, .shared = true},
	};
	struct oracle_shape shape;
	int repetitions;

	if (argc != 3) {
		fprintf(stderr, "usage: %s FOLIOS REPETITIONS\n", argv[0]);
		return 2;
	}
	shape.folios = strtoull(argv[1], NULL, 10);
	repetitions = atoi(argv[2]);

	printf(COMPILER
	       ", -O2 for all, assertions off\n"
	       "kernel:       locks, RCU and disabled interrupts cost nothing, flags and counts "
	       "are plain memory\n"
	       "core:         a page cache of one thread\n"
	       "kernel, SMP:  spinlocks, flags and counts are atomic and uncontended; disabled "
	       "interrupts cost nothing\n"
	       "core, shared: a page cache that threads share\n\n");
	printf("%-10s %-10s | %8s %8s %7s | %12s %13s %7s\n", "", "", "kernel", "core", "ratio",
	       "kernel, SMP", "core, shared", "ratio");
	for (size_t row = 0; row < sizeof(shapes) / sizeof(shapes[0]); row++) {
		shape.order = shapes[row].order;
		shape.stride = shapes[row].stride;
		measure(contenders, 4, &shape, repetitions);
		for (enum phase phase = 0; phase < NR_PHASES; phase++) {
			double a[4];

			for (size_t i = 0; i < 4; i++)
				a[i] = contenders[i].nanoseconds[phase] / (double)shape.folios;
			printf("%-10s %-10s | %8.2f %8.2f %6.2fx | %12.2f %13.2f %6.2fx\n",
			       phase == 0 ? shapes[row].name : "", phase_names[phase], a[0], a[1],
			       a[0] / a[1], a[2], a[3], a[2] / a[3]);
		}
	}
	return 0;
}
