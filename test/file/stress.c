// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads write, read, truncate, punch, sync, open and close two files, for which memory is short.
 * Each page is written as a whole, by the number of its writer and of its round, so a page that is
 * read has one number throughout, or is a hole.
 *
 * test_stress SECONDS SEED
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "system.h"

#define NR_FILES 2
#define NR_PAGES 1024U
#define PAGE 4096

static char paths[NR_FILES][256];
static _Atomic bool stop;
static _Atomic uint64_t nr_calls;

struct thread {
	pthread_t thread;
	uint32_t state;
	struct file *files[NR_FILES];
};

static uint32_t below(struct thread *thread, uint32_t n)
{
	thread->state = thread->state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(thread->state >> 8) * n >> 24);
}

static void check_page(const uint32_t *page, size_t bytes)
{
	for (size_t i = 1; i < bytes / 4; i++)
		CHECK(page[i] == page[0] || page[i] == 0);
}

static void write_some(struct thread *thread, struct file *file)
{
	static _Thread_local uint32_t pages[8 * PAGE / 4];
	uint32_t nr = 1 + below(thread, 8);
	int64_t index = below(thread, NR_PAGES - 8);
	bool throttle;
	int64_t n = 0;

	for (uint32_t i = 0; i < nr * PAGE / 4; i++)
		pages[i] = thread->state | 1;
	if (below(thread, 2) == 0)
		n = file_write_nowait(file, pages, nr * PAGE, index * PAGE, &throttle);
	if (n == -EAGAIN)
		n = 0;
	CHECK(n >= 0 && n % PAGE == 0);
	CHECK(file_write(file, pages, (size_t)(nr * PAGE - n), index * PAGE + n) == nr * PAGE - n);
}

static void read_some(struct thread *thread, struct file *file)
{
	static _Thread_local uint32_t pages[16 * PAGE / 4];
	int64_t index = below(thread, NR_PAGES);
	int64_t n = file_read(file, pages, sizeof(pages), index * PAGE);

	CHECK(n >= 0);
	for (int64_t at = 0; at < n; at += PAGE)
		check_page(pages + at / 4, (size_t)(n - at < PAGE ? n - at : PAGE));
}

static void call_some(struct thread *thread)
{
	uint32_t which = below(thread, NR_FILES);
	struct file *file = thread->files[which];

	nr_calls++;
	switch (below(thread, 32)) {
	case 0:
		/* Writes whole words, so that no word is cut. */
		CHECK(file_truncate(file, below(thread, NR_PAGES * 1024) * 4) == 0);
		break;
	case 1:
		CHECK(file_deallocate(file, below(thread, NR_PAGES) * PAGE,
				      (int64_t)NR_PAGES * PAGE - 1) == 0);
		break;
	case 2:
		CHECK(file_fsync(file, 0, INT64_MAX, true) == 0);
		break;
	case 3:
		CHECK(file_writeback(file, 1 + below(thread, 128)) >= 0);
		break;
	case 4:
		CHECK(file_fsync(file, below(thread, NR_PAGES) * PAGE, INT64_MAX, true) == 0);
		break;
	case 5:
		CHECK(file_close(file, below(thread, 4) == 0) == 0);
		thread->files[which] = test_open(paths[which], O_RDWR | O_CREAT);
		break;
	default:
		if (below(thread, 2) == 0)
			write_some(thread, file);
		else
			read_some(thread, file);
	}
}

static void *run(void *data)
{
	struct thread *thread = data;

	for (int i = 0; i < NR_FILES; i++)
		thread->files[i] = test_open(paths[i], O_RDWR | O_CREAT);
	while (!stop)
		call_some(thread);
	for (int i = 0; i < NR_FILES; i++)
		CHECK(file_close(thread->files[i], false) == 0);
	return NULL;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 2;
	uint32_t seed = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
	struct thread threads[6];

	/* 2 MiB for 8 MiB of files. */
	test_limits(2 << 20, 256 << 10, 1 << 20, 50, 10);
	for (int i = 0; i < NR_FILES; i++)
		strcpy(paths[i], test_path(i == 0 ? "stress-a" : "stress-b"));
	for (uint32_t i = 0; i < 6; i++) {
		threads[i].state = seed * 100 + i;
		CHECK(pthread_create(&threads[i].thread, NULL, run, &threads[i]) == 0);
	}
	nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
	stop = true;
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i].thread, NULL);
	printf("%llu calls\n", (unsigned long long)nr_calls);
	for (int i = 0; i < NR_FILES; i++)
		unlink(paths[i]);
	return 0;
}
