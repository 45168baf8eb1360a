// SPDX-License-Identifier: GPL-2.0-only
// The core without JavaScript: nanoseconds a folio for each phase, the shortest of several
// repetitions, on one line.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page_writeback.h"
#include "phases.h"

static void *host_alloc(size_t size)
{
	return calloc(1, size);
}

static void check(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

/* A whole argument, from @min to @max. */
static uint64_t parse(const char *name, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t number = strtoull(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || number < min || number > max) {
		fprintf(stderr, "%s: %s is not from %llu to %llu\n", name, text,
			(unsigned long long)min, (unsigned long long)max);
		exit(2);
	}
	return number;
}

int main(int argc, char **argv)
{
	static const struct address_space_operations a_ops = {.alloc = host_alloc, .free = free};
	struct address_space mapping;
	struct folio *memory, **folios;
	double best[NR_PHASES];

	if (argc != 5) {
		fprintf(stderr, "usage: %s FOLIOS STRIDE ORDER REPETITIONS\n", argv[0]);
		return 2;
	}
	size_t nr = parse("FOLIOS", argv[1], 1, 100000000);
	uint64_t stride = parse("STRIDE", argv[2], 1, 100000);
	unsigned int order = (unsigned int)parse("ORDER", argv[3], 0, XA_MAX_ORDER);
	uint64_t repetitions = parse("REPETITIONS", argv[4], 1, 1000000);
	size_t chunks = (nr + FOLIO_CHUNK_SIZE - 1) / FOLIO_CHUNK_SIZE;

	check(((nr - 1) * stride << order) + (UINT64_C(1) << order) - 1 <= XA_MAX_INDEX,
	      "the folios go beyond the last page");
	memory = calloc(chunks * FOLIO_CHUNK_SIZE, sizeof(*memory));
	folios = calloc(nr, sizeof(struct folio *));
	check(memory != NULL && folios != NULL, "out of memory");
	address_space_init(&mapping, PAGE_SHIFT, false, &a_ops);
	for (size_t i = 0; i < chunks; i++)
		check(address_space_add_chunk(&mapping, memory + i * FOLIO_CHUNK_SIZE) == 0,
		      "out of memory");
	for (size_t i = 0; i < nr; i++)
		check(filemap_add_folio(&mapping, i * stride << order, order, &folios[i]) == 0,
		      "out of memory");

	for (uint64_t repetition = 0; repetition < repetitions; repetition++) {
		double nanoseconds[NR_PHASES];

		check(measure_phases(&mapping, folios, nr, nanoseconds), "a pass missed folios");
		for (int phase = 0; phase < NR_PHASES; phase++) {
			if (repetition == 0 || nanoseconds[phase] < best[phase])
				best[phase] = nanoseconds[phase];
		}
	}
	printf("folios=%zu stride=%llu order=%u", nr, (unsigned long long)stride, order);
	for (int phase = 0; phase < NR_PHASES; phase++)
		printf(" %s=%.2f", phase_names[phase], best[phase] / (double)nr);
	printf("\n");

	address_space_destroy(&mapping);
	free(folios);
	free(memory);
	return 0;
}
