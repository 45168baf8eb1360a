// SPDX-License-Identifier: GPL-2.0-only
// The core without JavaScript: nanoseconds per folio for each phase, the shortest of several
// repetitions, on one line.

#include "cache.h"

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

static double measure_extents(struct cache *cache)
{
	double begin, end;

	dirty_all(&cache->mapping, cache->folios, cache->nr);
	begin = nanoseconds_now();
	check(write_extents(&cache->mapping) == cache->nr, "a pass by extents missed folios");
	end = nanoseconds_now();
	return end - begin;
}

int main(int argc, char **argv)
{
	double best[NR_PHASES], extents = 0;
	struct cache cache;

	if (argc != 5) {
		fprintf(stderr, "usage: %s FOLIOS STRIDE ORDER REPETITIONS\n", argv[0]);
		return 2;
	}
	size_t nr = parse("FOLIOS", argv[1], 1, 100000000);
	uint64_t stride = parse("STRIDE", argv[2], 1, 100000);
	unsigned int order = (unsigned int)parse("ORDER", argv[3], 0, XA_MAX_ORDER);
	uint64_t repetitions = parse("REPETITIONS", argv[4], 1, 1000000);

	check(((nr - 1) * stride << order) + (UINT64_C(1) << order) - 1 <= XA_MAX_INDEX,
	      "the folios go beyond the last page");
	cache_open(&cache, nr);
	cache_fill(&cache, stride, order);

	for (uint64_t repetition = 0; repetition < repetitions; repetition++) {
		double nanoseconds[NR_PHASES];

		check(measure_phases(&cache.mapping, cache.folios, nr, nanoseconds),
		      "a pass missed folios");
		for (int phase = 0; phase < NR_PHASES; phase++) {
			if (repetition == 0 || nanoseconds[phase] < best[phase])
				best[phase] = nanoseconds[phase];
		}
		double passed = measure_extents(&cache);
		if (repetition == 0 || passed < extents)
			extents = passed;
	}
	printf("folios=%zu stride=%llu order=%u", nr, (unsigned long long)stride, order);
	for (int phase = 0; phase < NR_PHASES; phase++)
		printf(" %s=%.2f", phase_names[phase], best[phase] / (double)nr);
	printf(" extents=%.2f\n", extents / (double)nr);

	cache_close(&cache);
	return 0;
}
