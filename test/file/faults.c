// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every system call and every allocation fails once, each in a process of its own; and a device
 * loses data that it accepted. In the end the file has all written data, and each error was
 * reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system.h"

#define SIZE (3 << 20)
/* The exit code of a child whose calls ended before the one that was to fail. */
#define NOTHING_FAILED 42

static char model[SIZE], buffer[SIZE];
static char path[256];
static int nr_errors;

/* Two calls may report one failure: the call that failed, and an fsync. */
static bool again(int64_t result)
{
	if (result >= 0)
		return false;
	CHECK(++nr_errors < 5);
	return true;
}

static struct file *open_again(int flags)
{
	struct file_options options = {path, flags != O_RDONLY, DIRECT_AUTO, LOCK_AUTO};
	struct file *file;
	int fd;

	do {
		fd = open(path, flags | O_CLOEXEC, 0644);
		CHECK(fd >= 0);
	} while (again(file_open(fd, &options, &file)));
	return file;
}

static void put(struct file *file, int64_t position, size_t length, char byte)
{
	memset(model + position, byte, length);
	while (again(file_write(file, model + position, length, position)))
		;
}

static void check_contents(struct file *file, int64_t size)
{
	int64_t n;

	while (again(n = file_read(file, buffer, SIZE, 0)))
		;
	CHECK(n == size && memcmp(buffer, model, (size_t)size) == 0);
}

/* Calls of every kind, with a memory of 1 MiB. */
static void scenario(void)
{
	struct file *file = open_again(O_RDWR | O_CREAT);
	int64_t size = SIZE;

	for (int64_t at = 0; at < size; at += 300000)
		put(file, at, (size_t)(size - at < 300000 ? size - at : 300000), (char)(1 + at));
	while (again(file_fsync(file, 0, INT64_MAX, true)))
		;
	for (int i = 0; i < 8; i++)
		put(file, 100 + i * 350000, 5000, (char)('a' + i));
	while (again(file_writeback(file, 4)))
		;
	while (again(file_deallocate(file, 10000, 99999)))
		;
	memset(model + 10000, 0, 90000);
	check_contents(file, size);
	size -= 123456;
	memset(model + size, 0, 123456);
	while (again(file_truncate(file, size)))
		;
	put(file, 50, 20, 'x');
	while (again(file_fsync(file, 0, INT64_MAX, false)))
		;
	put(file, 4096, 4096, 'y');
	while (again(file_close(file, false)))
		;
	CHECK(test_contents(path, buffer, SIZE) == (size_t)size);
	CHECK(memcmp(buffer, model, (size_t)size) == 0);
	file = open_again(O_RDONLY);
	check_contents(file, size);
	while (again(file_close(file, false)))
		;
}

static int run(int nth)
{
	int failed_before_close;

	strcpy(path, test_path("faults"));
	test_limits(1 << 20, 128 << 10, 256 << 10, 20, 10);
	system_fails = nth;
	scenario();
	failed_before_close = system_fails < 0;
	system_fails = -1;
	/*
	 * The flusher's reads, and calls with an alternative, may fail unreported; writes may not.
	 */
	CHECK(system_failed_writes == 0 || nr_errors > 0);
	unlink(path);
	return failed_before_close ? 0 : NOTHING_FAILED;
}

/* Runs it in a child: the engine has no state in the parent. Returns whether a call failed there.
 */
static bool run_child(int (*function)(int nth), int nth)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child == 0) {
		alarm(60);
		exit(function(nth));
	}
	CHECK(waitpid(child, &status, 0) == child);
	if (!WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != NOTHING_FAILED)) {
		fprintf(stderr, "call %d failed: status %#x\n", nth, (unsigned int)status);
		exit(1);
	}
	return WEXITSTATUS(status) == 0;
}

/* The n-th fsync fails, and the data written since the one before is lost. */
static int run_drop(int nth)
{
	struct file *file;
	bool failed = false;

	strcpy(path, test_path("drop"));
	test_limits(1 << 20, 128 << 10, 256 << 10, 10000, 10);
	file = open_again(O_RDWR | O_CREAT);
	system_watch(path);
	for (int i = 0; i < 12; i++) {
		int err;

		/* Two thirds of the memory: other pages need the rest before the fsync. */
		put(file, i * 180000, 700000, (char)(1 + i));
		put(file, i * 1000, 10, (char)(1 + i));
		if (i == nth % 12)
			system_drop_fails = nth / 12;
		err = file_fsync(file, 0, INT64_MAX, true);
		failed |= err != 0;
		if (err == -EIO) {
			/*
			 * All pages written since the last successful fsync are dirty again, and
			 * are written again.
			 */
			nr_errors++;
			CHECK(file_fsync(file, 0, INT64_MAX, true) == 0);
		}
		CHECK(err == 0 || err == -EIO);
		CHECK(test_contents(path, buffer, SIZE) == (size_t)file_size(file));
		CHECK(memcmp(buffer, model, (size_t)file_size(file)) == 0);
	}
	CHECK(file_close(file, false) == 0);
	unlink(path);
	return failed ? 0 : NOTHING_FAILED;
}

/*
 * The device refuses all writes for a while: no call hangs, each handle reports the error once, and
 * no data is lost.
 */
static int run_dead(int nth)
{
	struct file *file, *other;
	int64_t n = 0;
	int64_t at = 0;

	(void)nth;
	strcpy(path, test_path("dead"));
	test_limits(1 << 20, 128 << 10, 256 << 10, 20, 10);
	file = open_again(O_RDWR | O_CREAT);
	other = open_again(O_RDWR);
	system_write_error = ENOSPC;
	for (; at + 65536 <= SIZE && n >= 0; at += 65536) {
		memset(model + at, (char)(1 + at / 65536), 65536);
		n = file_write(file, model + at, 65536, at);
	}
	/* The memory is used up, and no page can be cleaned. */
	CHECK(n == -ENOSPC && at > (512 << 10));
	at -= 65536;
	CHECK(file_fsync(file, 0, INT64_MAX, true) == -ENOSPC);
	CHECK(file_close(file, false) == -ENOSPC);
	system_write_error = 0;
	CHECK(file_write(file, model + at, 65536, at) == 65536);
	n = file_fsync(file, 0, INT64_MAX, true);
	/* An error of the flusher between the two is a new one, so fsync may report it. */
	CHECK(n == 0 || (n == -ENOSPC && file_fsync(file, 0, INT64_MAX, true) == 0));
	CHECK(file_fsync(other, 0, INT64_MAX, true) == -ENOSPC);
	CHECK(file_fsync(other, 0, INT64_MAX, true) == 0);
	CHECK(test_contents(path, buffer, SIZE) == (size_t)(at + 65536));
	CHECK(memcmp(buffer, model, (size_t)(at + 65536)) == 0);
	CHECK(file_close(file, false) == 0);

	/* The close discards a page that cannot be written. */
	memset(buffer, 'z', 4096);
	CHECK(file_write(other, buffer, 4096, 0) == 4096);
	system_write_error = EIO;
	CHECK(file_close(other, false) == -EIO);
	CHECK(file_close(other, true) == 0);
	system_write_error = 0;
	CHECK(test_contents(path, buffer, SIZE) == (size_t)(at + 65536));
	CHECK(memcmp(buffer, model, (size_t)(at + 65536)) == 0);
	unlink(path);
	return 0;
}

int main(int argc, char **argv)
{
	int nth = 0;

	CHECK(argc > 1);
	if (strcmp(argv[1], "drop") == 0) {
		/* Tests 40 positions: from each one on, the first, second, ... fsync. */
		for (; nth < 40; nth++)
			run_child(run_drop, nth);
	} else if (strcmp(argv[1], "dead") == 0) {
		run_child(run_dead, 0);
	} else {
		system_count_allocations = strcmp(argv[1], "allocations") == 0;
		system_count_calls = !system_count_allocations;
		system_error = argc > 2 ? atoi(argv[2]) : ENOMEM;
		while (run_child(run, nth))
			nth++;
		printf("%d calls failed\n", nth);
		CHECK(nth >= 10);
	}
	return 0;
}
