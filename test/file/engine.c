// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's own work: the flusher, limits, reclaim, readahead, direct I/O, locks, the order of
 * calls, and the end of a process.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "system.h"

#define PAGE 4096
#define MIB (1 << 20)

static char bytes[8 * MIB], buffer[8 * MIB];

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static uint64_t dirty_pages(struct file *file)
{
	struct file_stats stats;

	file_stat(file, &stats);
	return stats.dirty_pages;
}

/*
 * Whether at most this many pages are dirty. A page that goes from dirty to under writeback between
 * the two counts is in both, so a count that is too high is repeated.
 */
static bool dirty_within(struct file *file, uint64_t most)
{
	for (int i = 0; i < 10; i++)
		if (dirty_pages(file) <= most)
			return true;
	return false;
}

static void wait_until_clean(struct file *file)
{
	for (int i = 0; dirty_pages(file) != 0; i++) {
		CHECK(i < 5000);
		sleep_ms(2);
	}
}

static void fill(char byte)
{
	memset(bytes, byte, sizeof(bytes));
}

/* The flusher writes old pages without a call that asks for it. */
static void test_expiry(void)
{
	const char *path = test_path("expiry");
	struct file *file = test_open(path, O_RDWR | O_CREAT);

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 150, 20);
	fill('e');
	CHECK(file_write(file, bytes, 3 * PAGE + 100, 0) == 3 * PAGE + 100);
	sleep_ms(40);
	CHECK(dirty_pages(file) == 4 && test_contents(path, buffer, MIB) == 0);
	wait_until_clean(file);
	CHECK(test_contents(path, buffer, MIB) == 3 * PAGE + 100);
	CHECK(memcmp(buffer, bytes, 3 * PAGE + 100) == 0);
	CHECK(file_close(file, false) == 0);
	unlink(path);
}

/* Above the background limit the flusher writes; it stops below it. */
static void test_background(void)
{
	const char *path = test_path("background");
	struct file *file = test_open(path, O_RDWR | O_CREAT);

	test_limits(64 * MIB, 1 * MIB, 48 * MIB, 1000000, 0);
	fill('b');
	CHECK(file_write(file, bytes, MIB, 0) == MIB);
	sleep_ms(30);
	CHECK(dirty_pages(file) == 256);
	CHECK(file_write(file, bytes, 7 * MIB, MIB) == 7 * MIB);
	for (int i = 0; dirty_pages(file) > 256; i++) {
		CHECK(i < 5000);
		sleep_ms(2);
	}
	CHECK(file_close(file, false) == 0);
	CHECK(test_contents(path, buffer, sizeof(buffer)) == 8 * MIB);
	CHECK(memcmp(buffer, bytes, 8 * MIB) == 0);
	unlink(path);
}

static uint64_t folios_written(struct file *file)
{
	struct file_stats stats;

	file_stat(file, &stats);
	return stats.folios_written;
}

/*
 * Once 8 MiB are dirty, the flusher writes each block of 256 KiB that a writer has left behind,
 * below the background limit. A block that has a hole is not written.
 */
static void test_write_behind(void)
{
	const char *path = test_path("behind");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	const int64_t block = 64 * PAGE;

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	fill('w');
	for (int64_t at = 0; at < 16 * MIB; at += block)
		CHECK(file_write(file, bytes, (size_t)block - PAGE, at) == block - PAGE);
	sleep_ms(50);
	CHECK(folios_written(file) == 0);
	CHECK(file_fsync(file, 0, INT64_MAX, true) == 0);

	CHECK(file_write(file, bytes, 8 * MIB, 16 * MIB) == 8 * MIB);
	sleep_ms(50);
	CHECK(dirty_pages(file) == 8 * MIB / PAGE);
	for (int64_t at = 0; at <= 8 * MIB; at += 3 * PAGE)
		CHECK(file_write(file, bytes, 3 * PAGE, 24 * MIB + at) == 3 * PAGE);
	/* All but what was written before the 8 MiB were dirty, and the last block. */
	for (int i = 0; dirty_pages(file) > 8 * MIB / PAGE + 64; i++) {
		CHECK(i < 5000);
		sleep_ms(2);
	}
	CHECK(file_close(file, false) == 0);
	CHECK(test_contents(path, buffer, sizeof(buffer)) == sizeof(buffer));
	unlink(path);
}

static atomic_bool writes_held;

static void hold_write(void)
{
	while (writes_held)
		sleep_ms(1);
}

/*
 * A writer above the dirty limit is held back: it cannot make more pages dirty, however fast it is.
 */
static void test_throttle(void)
{
	const char *path = test_path("throttle");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	bool throttle;

	test_limits(64 * MIB, 1 * MIB, 2 * MIB, 1000000, 20);
	fill('t');
	for (int64_t at = 0; at < 8 * MIB; at += 64 * 1024) {
		CHECK(file_write(file, bytes + at, 64 * 1024, at) == 64 * 1024);
		CHECK(dirty_within(file, 2 * MIB / PAGE));
	}
	CHECK(file_fsync(file, 0, INT64_MAX, false) == 0);
	CHECK(file_write_nowait(file, bytes, PAGE, 0, &throttle) == PAGE && !throttle);
	/* The flusher runs already; it does not get below the limit meanwhile. */
	writes_held = true;
	system_before_write = hold_write;
	CHECK(file_write_nowait(file, bytes, 4 * MIB, 0, &throttle) == 4 * MIB && throttle);
	writes_held = false;
	CHECK(file_close(file, false) == 0);
	system_before_write = NULL;
	unlink(path);
}

/*
 * Both bounds of memory limit the number of cached pages; clean pages are reclaimed, and read
 * again.
 */
static void test_reclaim(void)
{
	const char *path = test_path("reclaim");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	struct file_stats stats;

	test_limits(2 * MIB, MIB / 2, MIB, 1000000, 20);
	for (int64_t at = 0; at < 8 * MIB; at += PAGE) {
		memset(bytes + at, (int)(1 + at / PAGE % 251), PAGE);
		CHECK(file_write(file, bytes + at, PAGE, at) == PAGE);
		file_stat(file, &stats);
		CHECK(stats.cached_pages <= 2 * MIB / PAGE);
	}
	CHECK(file_read(file, buffer, 8 * MIB, 0) == 8 * MIB);
	CHECK(memcmp(buffer, bytes, 8 * MIB) == 0);
	file_stat(file, &stats);
	CHECK(stats.cached_pages <= 2 * MIB / PAGE && stats.cached_pages > MIB / PAGE);
	CHECK(file_close(file, false) == 0);
	unlink(path);
}

/*
 * A page that is used repeatedly stays in the cache, however many others are read once. First in,
 * first out would reclaim it seven times.
 */
static void test_used_once(void)
{
	const char *path = test_path("chance");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	int nr_gone = 0;

	test_limits(2 * MIB, MIB / 2, MIB, 1000000, 1000000);
	fill('c');
	CHECK(file_write(file, bytes, 8 * MIB, 0) == 8 * MIB);
	CHECK(file_fsync(file, 0, INT64_MAX, true) == 0);
	CHECK(file_read(file, buffer, PAGE, 5 * PAGE) == PAGE);
	for (int64_t at = 2 * MIB; at < 16 * MIB; at += PAGE) {
		CHECK(file_read(file, buffer, PAGE, MIB + at % (7 * MIB)) == PAGE);
		if (file_read_nowait(file, buffer, PAGE, 5 * PAGE) != PAGE) {
			nr_gone++;
			CHECK(file_read(file, buffer, PAGE, 5 * PAGE) == PAGE);
		}
	}
	CHECK(nr_gone == 0);
	CHECK(file_close(file, false) == 0);
	unlink(path);
}

/*
 * For a sequential reader the engine reads far ahead; for another reader it reads only what was
 * asked for.
 */
static void test_readahead(void)
{
	const char *path = test_path("readahead");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	int before;

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	fill('r');
	CHECK(file_write(file, bytes, 8 * MIB, 0) == 8 * MIB);
	CHECK(file_close(file, false) == 0);
	file = test_open(path, O_RDONLY);
	before = system_nr_reads;
	for (int64_t at = 0; at < 8 * MIB; at += PAGE)
		CHECK(file_read(file, buffer, PAGE, at) == PAGE);
	CHECK(system_nr_reads - before < 20);
	CHECK(file_close(file, false) == 0);
	file = test_open(path, O_RDONLY);
	before = system_nr_reads;
	for (int64_t at = 7 * MIB; at >= MIB; at -= MIB)
		CHECK(file_read(file, buffer, PAGE, at) == PAGE);
	CHECK(system_nr_reads - before == 7);
	CHECK(file_read_nowait(file, buffer, PAGE, 7 * MIB) == PAGE);
	CHECK(file_read_nowait(file, buffer, PAGE, 7 * MIB + PAGE) == -EAGAIN);
	CHECK(file_close(file, false) == 0);
	unlink(path);
}

/* Whether the file system of a new file has direct I/O. */
static bool has_direct(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0644);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/*
 * Large writes bypass the system's cache. A partial last page is never written beyond the end of
 * the file.
 */
static void test_direct(void)
{
	const char *path = test_path("direct");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	struct stat stat;
	int before = system_nr_direct;
	int fd = open(path, O_RDWR | O_DIRECT);

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	fill('d');
	CHECK(file_write(file, bytes, MIB + 10, 0) == MIB + 10);
	CHECK(file_fsync(file, 0, INT64_MAX, false) == 0);
	if (fd >= 0) {
		CHECK(system_nr_direct > before);
		close(fd);
	}
	CHECK(fstat(file_fd(file), &stat) == 0 && stat.st_size == MIB + 10);
	CHECK(test_contents(path, buffer, 8 * MIB) == MIB + 10);
	CHECK(memcmp(buffer, bytes, MIB + 10) == 0);
	CHECK(file_close(file, false) == 0);
	unlink(path);
}

/* Direct I/O writes a page only if the page is aligned as the file requires. */
static void test_alignment(void)
{
	static const int alignments[] = {512, 4096, 1, 0, 16384};
	const char *path = test_path("alignment");
	bool direct = has_direct(path);

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	fill('l');
	for (int i = 0; i < 5; i++) {
		struct file_options always = {path, true, DIRECT_ALWAYS, LOCK_AUTO};
		struct file *file;
		int before = system_nr_direct;

		system_alignment = alignments[i];
		file = test_open(path, O_RDWR | O_CREAT);
		CHECK(file_write(file, bytes, MIB, 0) == MIB);
		CHECK(file_close(file, false) == 0);
		CHECK((system_nr_direct > before) == (direct && i < 3));
		CHECK(test_contents(path, buffer, sizeof(buffer)) == MIB);
		CHECK(memcmp(buffer, bytes, MIB) == 0);
		CHECK((file_open(open(path, O_RDWR), &always, &file) == 0) == (direct && i < 3));
		if (direct && i < 3)
			CHECK(file_close(file, false) == 0);
	}
	system_alignment = -1;
	unlink(path);
}

static void *write_and_sync(void *data)
{
	struct file *file = data;
	char own[64 * 1024], read[64 * 1024];

	for (int round = 0; round < 60; round++) {
		memset(own, 'A' + round % 26, sizeof(own));
		/* Neighbours are written together, so the writes are of 64 KiB each. */
		for (int64_t at = 0; at < 4 * MIB; at += 2 * (int64_t)sizeof(own))
			CHECK(file_write(file, own, sizeof(own), at) == sizeof(own));
		CHECK(file_fsync(file, 0, INT64_MAX, true) == 0);
		CHECK(dirty_pages(file) == 0);
		CHECK(pread(file_fd(file), read, sizeof(read), 2 * MIB) == sizeof(read));
		CHECK(memcmp(own, read, sizeof(own)) == 0);
	}
	return NULL;
}

/*
 * Each pass ends, whichever thread waits for the device, and however few writes the device may have
 * at a time.
 */
static void test_side_by_side(void)
{
	struct file_limits limits = {64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0, 1, 0};
	struct file_limits before;
	char paths[4][256];
	struct file *files[4];
	pthread_t threads[4];

	for (uint32_t writers = 1; writers <= 64; writers *= 8) {
		limits.writers = writers;
		CHECK(file_configure(&limits, file_configured(&before)) == 0);
		for (int i = 0; i < 4; i++) {
			strcpy(paths[i], test_path((const char *[]){"a", "b", "c", "d"}[i]));
			files[i] = test_open(paths[i], O_RDWR | O_CREAT);
			CHECK(pthread_create(&threads[i], NULL, write_and_sync, files[i]) == 0);
		}
		for (int i = 0; i < 4; i++) {
			CHECK(pthread_join(threads[i], NULL) == 0);
			CHECK(file_close(files[i], false) == 0);
			unlink(paths[i]);
		}
	}
}

static struct file *written_meanwhile;

static void write_meanwhile(void)
{
	system_before_write = NULL;
	memset(buffer, 'n', PAGE);
	CHECK(file_write(written_meanwhile, buffer, PAGE, 0) == PAGE);
	CHECK(file_write(written_meanwhile, buffer, 10, PAGE + 10) == 10);
}

/* A page under writeback does not change: a write to it goes to another frame. */
static void test_stable_pages(void)
{
	const char *path = test_path("stable");
	struct file *file = test_open(path, O_RDWR | O_CREAT);

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	fill('o');
	CHECK(file_write(file, bytes, 2 * PAGE, 0) == 2 * PAGE);
	written_meanwhile = file;
	system_before_write = write_meanwhile;
	CHECK(file_writeback(file, 2) >= 2);
	CHECK(file_close(test_open(path, O_RDONLY), true) == 0);
	CHECK(file_read(file, buffer, 2 * PAGE, 0) == 2 * PAGE);
	CHECK(buffer[0] == 'n' && buffer[PAGE - 1] == 'n' && buffer[PAGE] == 'o' &&
	      buffer[PAGE + 10] == 'n' && buffer[PAGE + 20] == 'o');
	CHECK(dirty_pages(file) == 2 && test_contents(path, buffer, MIB) == 2 * PAGE);
	CHECK(memcmp(buffer, bytes, 2 * PAGE) == 0);
	CHECK(file_close(file, false) == 0);
	CHECK(test_contents(path, buffer, MIB) == 2 * PAGE && buffer[0] == 'n');
	unlink(path);
}

/* A range that was cut off or punched reads as zeros when the file is longer again. */
static void test_zeros(void)
{
	const char *path = test_path("zeros");
	struct file *file = test_open(path, O_RDWR | O_CREAT);

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	fill('z');
	CHECK(file_write(file, bytes, 2 * PAGE, 0) == 2 * PAGE);
	CHECK(file_truncate(file, 100) == 0);
	CHECK(file_write(file, bytes, 1, 3 * PAGE) == 1);
	memset(bytes + 100, 0, 3 * PAGE - 100);
	CHECK(file_read(file, buffer, 4 * PAGE, 0) == 3 * PAGE + 1);
	CHECK(memcmp(buffer, bytes, 3 * PAGE + 1) == 0);
	CHECK(file_deallocate(file, 10, 19) == 0);
	memset(bytes + 10, 0, 10);
	CHECK(file_read(file, buffer, 4 * PAGE, 0) == 3 * PAGE + 1);
	CHECK(memcmp(buffer, bytes, 3 * PAGE + 1) == 0);
	CHECK(file_close(file, false) == 0);
	CHECK(test_contents(path, buffer, MIB) == 3 * PAGE + 1);
	CHECK(memcmp(buffer, bytes, 3 * PAGE + 1) == 0);
	unlink(path);
}

/* A failed write leaves its page dirty, and each handle reports the error once. */
static void test_errors_by_handle(void)
{
	const char *path = test_path("errors");
	struct file *first = test_open(path, O_RDWR | O_CREAT);
	struct file *second = test_open(path, O_RDWR);
	struct file *late;

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	fill('f');
	CHECK(file_write(first, bytes, PAGE, 0) == PAGE);
	system_write_error = EIO;
	CHECK(file_writeback(first, 1) == -EIO);
	CHECK(dirty_pages(first) == 1);
	/* No handle has reported the error yet, so a later handle reports it, too. */
	late = test_open(path, O_RDWR);
	system_write_error = 0;
	CHECK(file_fsync(second, 0, INT64_MAX, true) == -EIO);
	CHECK(file_fsync(second, 0, INT64_MAX, true) == 0);
	CHECK(file_close(late, false) == -EIO && file_close(late, false) == 0);
	late = test_open(path, O_RDWR);
	CHECK(file_fsync(late, 0, INT64_MAX, true) == 0);
	CHECK(file_fsync(first, 0, INT64_MAX, true) == -EIO);
	CHECK(file_fsync(first, 0, INT64_MAX, true) == 0);
	CHECK(file_close(late, false) == 0 && file_close(first, false) == 0 &&
	      file_close(second, false) == 0);
	unlink(path);
}

/* A file has one lock for all its handles, which excludes other processes. */
static void test_lock(void)
{
	const char *path = test_path("lock");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	struct file_options options = {path, true, DIRECT_AUTO, LOCK_ALWAYS};
	struct file *writer;
	int other = open(path, O_RDWR);

	CHECK(flock(other, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
	CHECK(file_close(file, false) == 0);
	CHECK(flock(other, LOCK_EX | LOCK_NB) == 0);
	CHECK(file_open(open(path, O_RDWR), &options, &file) == -EBUSY);
	options.writable = false;
	CHECK(file_open(open(path, O_RDONLY), &options, &file) == -EBUSY);
	/* Readers may share the lock; a writer gets it when no other process has it. */
	CHECK(flock(other, LOCK_SH | LOCK_NB) == 0);
	CHECK(file_open(open(path, O_RDONLY), &options, &file) == 0);
	options.writable = true;
	CHECK(file_open(open(path, O_RDWR), &options, &writer) == -EBUSY);
	CHECK(flock(other, LOCK_UN) == 0);
	CHECK(file_open(open(path, O_RDWR), &options, &writer) == 0);
	CHECK(flock(other, LOCK_SH | LOCK_NB) == -1);
	CHECK(file_write(writer, "w", 1, 0) == 1 && file_close(writer, false) == 0);
	CHECK(file_read(file, buffer, 10, 0) == 1 && buffer[0] == 'w');
	CHECK(flock(other, LOCK_SH | LOCK_NB) == -1);
	CHECK(file_close(file, false) == 0);
	CHECK(flock(other, LOCK_EX | LOCK_NB) == 0);
	close(other);
	options.lock = LOCK_NEVER;
	CHECK(file_open(open("/", O_RDONLY), &options, &file) == -EINVAL);
	CHECK(file_open(-1, &options, &file) == -EBADF);
	unlink(path);
}

static _Atomic int nr_done;
static int64_t results[64];

static void done(struct file_call *call)
{
	results[call->end] = call->result;
	nr_done++;
}

/* Submitted writes are made in order, and a read sees those before it. */
static void test_calls(void)
{
	static struct file_call calls[64];
	static char written[64][3 * PAGE], was_read[3 * PAGE];
	const char *path = test_path("calls");
	struct file *file = test_open(path, O_RDWR | O_CREAT);

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	for (int round = 0; round < 20; round++) {
		nr_done = 0;
		for (int i = 0; i < 63; i++) {
			memset(written[i], 'A' + i, sizeof(written[i]));
			calls[i] = (struct file_call){
				.operation = i % 9 == 8 ? FILE_FSYNC : FILE_WRITE,
				.file = file,
				.buffer = written[i],
				.length = sizeof(written[i]),
				.position = 100,
				.end = i,
				.done = done,
			};
			CHECK(file_submit(&calls[i]) == 0);
		}
		calls[63] = (struct file_call){.operation = FILE_READ,
					       .file = file,
					       .buffer = was_read,
					       .length = sizeof(was_read),
					       .position = 100,
					       .end = 63,
					       .done = done};
		CHECK(file_submit(&calls[63]) == 0);
		if (round % 2 == 0) {
			file_wait_for_writes(file);
			CHECK(!file_has_writes(file));
			CHECK(file_read(file, buffer, 3 * PAGE, 100) == 3 * PAGE);
			CHECK(memcmp(buffer, written[61], 3 * PAGE) == 0);
		}
		while (nr_done < 64)
			sleep_ms(1);
		for (int i = 0; i < 64; i++)
			CHECK(results[i] == (i < 63 && i % 9 == 8 ? 0 : 3 * PAGE));
		CHECK(memcmp(was_read, written[61], 3 * PAGE) == 0);
	}
	CHECK(file_close(file, false) == 0);
	unlink(path);
}

static void slow_read(void)
{
	system_before_read = NULL;
	sleep_ms(50);
}

/* A later write that needs no read does not overtake a write that has to read first. */
static void test_slow_call(void)
{
	const char *path = test_path("slow");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	static char first[2 * PAGE], second[PAGE];
	struct file_call calls[2];

	fill('s');
	CHECK(file_write(file, bytes, 4 * PAGE, 0) == 4 * PAGE);
	CHECK(file_close(file, false) == 0);
	file = test_open(path, O_RDWR);
	memset(first, '1', sizeof(first));
	memset(second, '2', sizeof(second));
	calls[0] = (struct file_call){.operation = FILE_WRITE,
				      .file = file,
				      .buffer = first,
				      .length = 2 * PAGE - 10,
				      .position = 10,
				      .end = 0,
				      .done = done};
	calls[1] = calls[0];
	calls[1].buffer = second;
	calls[1].length = PAGE;
	calls[1].position = PAGE;
	calls[1].end = 1;
	nr_done = 0;
	system_before_read = slow_read;
	CHECK(file_submit(&calls[0]) == 0 && file_submit(&calls[1]) == 0);
	while (nr_done < 2)
		sleep_ms(1);
	CHECK(file_read(file, buffer, 2 * PAGE, 0) == 2 * PAGE);
	CHECK(buffer[0] == 's' && buffer[10] == '1' && buffer[PAGE] == '2' &&
	      buffer[2 * PAGE - 1] == '2');
	CHECK(file_close(file, true) == 0);
	unlink(path);
}

static int run_self(const char *argument, const char *path)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child == 0) {
		execl("/proc/self/exe", "test_file_engine", argument, path, (char *)NULL);
		_exit(127);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The other process leaves a file open with dirty pages. */
static int end_open(const char *path)
{
	/* The handle is no leak: the engine refers to it. */
	static struct file *file;

	file = test_open(path, O_RDWR | O_CREAT);
	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	fill('x');
	CHECK(file_write(file, bytes, MIB + 5, 0) == MIB + 5);
	return 7;
}

/* A process that ends by itself has written all pages, and its lock is released. */
static void test_exit(void)
{
	const char *path = test_path("exit");
	struct file *file;

	fill('x');
	CHECK(run_self("exit", path) == 7);
	CHECK(test_contents(path, buffer, 8 * MIB) == MIB + 5);
	CHECK(memcmp(buffer, bytes, MIB + 5) == 0);
	file = test_open(path, O_RDWR);
	CHECK(file_close(file, false) == 0);
	unlink(path);
}

/* A child of fork() writes none of its parent's pages, and cannot use its handles. */
static void test_fork(void)
{
	const char *path = test_path("fork");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	pid_t child;
	int status;

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	fill('p');
	CHECK(file_write(file, bytes, MIB, 0) == MIB);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		alarm(20);
		CHECK(file_write(file, bytes, 1, 0) == -ECHILD);
		CHECK(file_read(file, buffer, 1, 0) == -ECHILD);
		CHECK(file_fsync(file, 0, INT64_MAX, true) == -ECHILD);
		CHECK(file_close(file, false) == 0);
		exit(3);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3);
	CHECK(test_contents(path, buffer, MIB) == 0);
	CHECK(file_close(file, false) == 0);
	CHECK(test_contents(path, buffer, 8 * MIB) == MIB);
	unlink(path);
}

/* Discarded pages are not written; the pages of another handle stay. */
static void test_discard(void)
{
	const char *path = test_path("discard");
	struct file *file = test_open(path, O_RDWR | O_CREAT);
	struct file *other = test_open(path, O_RDWR);

	test_limits(64 * MIB, 32 * MIB, 48 * MIB, 1000000, 0);
	CHECK(file_write(file, bytes, PAGE, 0) == PAGE);
	CHECK(file_close(file, true) == 0);
	CHECK(dirty_pages(other) == 1 && file_size(other) == PAGE);
	CHECK(file_close(other, true) == 0);
	CHECK(test_contents(path, buffer, MIB) == 0);
	unlink(path);
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return end_open(argv[2]);
	test_expiry();
	test_background();
	test_write_behind();
	test_throttle();
	test_reclaim();
	test_used_once();
	test_readahead();
	test_direct();
	test_alignment();
	test_side_by_side();
	test_stable_pages();
	test_zeros();
	test_errors_by_handle();
	test_lock();
	test_calls();
	test_slow_call();
	test_discard();
	test_exit();
	test_fork();
	return 0;
}
