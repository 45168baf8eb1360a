// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs inputs of the fuzz target without a fuzzer: replay FILE...
 */
#include <stdint.h>

#include "host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t input[1 << 16];

int main(int argc, char **argv)
{
	CHECK(argc > 1);
	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		size_t size;

		CHECK(file != NULL);
		size = fread(input, 1, sizeof(input), file);
		CHECK(feof(file) && !ferror(file));
		fclose(file);
		LLVMFuzzerTestOneInput(input, size);
	}
	printf("%d inputs\n", argc - 1);
	return 0;
}
