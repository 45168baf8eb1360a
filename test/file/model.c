// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random calls on a file, beside an array of bytes with the contents that the file must have.
 * Memory is short, so pages are reclaimed, written by the flusher, and read again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "system.h"

#define SIZE (6 << 20)

static uint32_t state;

static uint32_t below(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(state >> 8) * n >> 24);
}

static char model[SIZE], buffer[SIZE];
static int64_t model_size;
static char path[256];

static void check_file(void)
{
	CHECK(test_contents(path, buffer, SIZE) == (size_t)model_size);
	CHECK(memcmp(buffer, model, (size_t)model_size) == 0);
}

static void check_read(struct file *file, int64_t position, size_t length)
{
	int64_t left = model_size > position ? model_size - position : 0;
	int64_t n = file_read(file, buffer, length, position);

	CHECK(n == (left < (int64_t)length ? left : (int64_t)length));
	CHECK(memcmp(buffer, model + position, (size_t)n) == 0);
}

static void write_random(struct file *file)
{
	size_t length = 1 + below(below(4) == 0 ? 300000 : 9000);
	int64_t position = below(SIZE - 300001);
	int64_t n;
	bool throttle;

	if (below(3) == 0) {
		position &= ~4095;
		length = (length + 4095) & ~(size_t)4095;
	}
	memset(buffer, (int)(1 + below(255)), length);
	n = below(2) == 0 ? file_write_nowait(file, buffer, length, position, &throttle) : 0;
	if (n == -EAGAIN)
		n = 0;
	CHECK(n >= 0);
	CHECK(file_write(file, buffer + n, length - (size_t)n, position + n) ==
	      (int64_t)length - n);
	memcpy(model + position, buffer, length);
	if (position + (int64_t)length > model_size)
		model_size = position + (int64_t)length;
}

static void truncate_random(struct file *file)
{
	int64_t length = below(SIZE);

	if (length < model_size)
		memset(model + length, 0, (size_t)(model_size - length));
	CHECK(file_truncate(file, length) == 0);
	model_size = length;
}

static void deallocate_random(struct file *file)
{
	int64_t start = below(SIZE);
	int64_t end = start + below(below(2) == 0 ? 5000 : 1000000);
	int64_t stop = end + 1 < model_size ? end + 1 : model_size;

	CHECK(file_deallocate(file, start, end) == 0);
	if (start < stop)
		memset(model + start, 0, (size_t)(stop - start));
}

int main(int argc, char **argv)
{
	struct file *files[2];
	int calls;

	CHECK(argc > 2);
	state = (uint32_t)atoi(argv[1]);
	calls = atoi(argv[2]);
	system_short = argc > 3 && strcmp(argv[3], "short") == 0;
	system_no_aio = argc > 3 && strcmp(argv[3], "no-aio") == 0;
	strcpy(path, test_path("model"));
	/* 1 MiB for a file of 6 MiB, a quarter of which may be dirty. */
	test_limits(1 << 20, 128 << 10, 256 << 10, 20, 10);
	files[0] = test_open(path, O_RDWR | O_CREAT);
	files[1] = test_open(path, O_RDWR);
	for (int i = 0; i < calls; i++) {
		struct file *file = files[below(2)];

		switch (below(16)) {
		case 0:
			truncate_random(file);
			break;
		case 1:
			deallocate_random(file);
			break;
		case 2:
			CHECK(file_fsync(file, 0, INT64_MAX, below(2) == 0) == 0);
			if (below(4) == 0)
				check_file();
			break;
		case 3:
			CHECK(file_writeback(file, 1 + below(64)) >= 0);
			break;
		case 4:
			CHECK(file_fsync(file, below(SIZE), SIZE, true) == 0);
			break;
		case 5:
			if (below(8) != 0)
				break;
			/*
			 * Both handles are closed: the last one drops the cache, and the file has
			 * all data.
			 */
			CHECK(file_close(files[0], false) == 0 && file_close(files[1], false) == 0);
			check_file();
			files[0] = test_open(path, O_RDONLY);
			CHECK(file_size(files[0]) == model_size);
			files[1] = files[0];
			check_read(files[0], 0, SIZE);
			files[1] = test_open(path, O_RDWR);
			CHECK(file_close(files[0], false) == 0);
			files[0] = test_open(path, O_RDWR);
			break;
		case 6:
		case 7:
		case 8:
			check_read(file, below(SIZE), below(200000));
			break;
		default:
			write_random(file);
		}
		CHECK(file_size(files[0]) == model_size);
	}
	CHECK(file_close(files[0], false) == 0);
	check_read(files[1], 0, SIZE);
	CHECK(file_close(files[1], false) == 0);
	check_file();
	unlink(path);
	return 0;
}
