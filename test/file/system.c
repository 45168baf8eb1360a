// SPDX-License-Identifier: GPL-2.0-only
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "aio.h"

_Atomic int system_fails = -1;
_Atomic int system_error = EIO;
bool system_count_allocations = true;
bool system_count_calls = true;
bool system_short;
bool system_no_aio;
int system_alignment = -1;
_Atomic int system_write_error;
_Atomic int system_drop_fails = -1;
void (*system_before_read)(void);
void (*system_before_write)(void);
_Atomic int system_nr_fsyncs;
_Atomic int system_nr_reads;
_Atomic int system_nr_direct;
_Atomic int system_failed_writes;

static const char *watched;
static char *kept;
static size_t kept_size;
static pthread_mutex_t keep_lock = PTHREAD_MUTEX_INITIALIZER;

static bool fails(bool counts)
{
	return counts && atomic_load(&system_fails) >= 0 && atomic_fetch_sub(&system_fails, 1) == 0;
}

static bool call_fails(void)
{
	if (!fails(system_count_calls))
		return false;
	errno = system_error;
	return true;
}

/* True for every second call. */
static bool interrupted(void)
{
	static _Atomic unsigned int nr;

	if (!system_short || atomic_fetch_add(&nr, 1) % 2 == 0)
		return false;
	errno = EINTR;
	return true;
}

#define REAL(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

REAL(void *, calloc, size_t n, size_t size)
{
	return fails(system_count_allocations) ? NULL : __real_calloc(n, size);
}

REAL(int, posix_memalign, void **memory, size_t alignment, size_t size)
{
	return fails(system_count_allocations) ? ENOMEM
					       : __real_posix_memalign(memory, alignment, size);
}

REAL(char *, strdup, const char *string)
{
	return fails(system_count_allocations) ? NULL : __real_strdup(string);
}

REAL(void *, mmap, void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	if (fails(system_count_allocations)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(at, length, protection, flags, fd, offset);
}

REAL(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes,
     void *(*function)(void *), void *data)
{
	return fails(system_count_allocations)
		       ? EAGAIN
		       : __real_pthread_create(thread, attributes, function, data);
}

REAL(int, fstat, int fd, struct stat *stat)
{
	return call_fails() ? -1 : __real_fstat(fd, stat);
}

REAL(int, flock, int fd, int operation)
{
	return interrupted() || call_fails() ? -1 : __real_flock(fd, operation);
}

REAL(int, ftruncate, int fd, off_t length)
{
	return interrupted() || call_fails() ? -1 : __real_ftruncate(fd, length);
}

REAL(int, fallocate, int fd, int mode, off_t start, off_t length)
{
	return interrupted() || call_fails() ? -1 : __real_fallocate(fd, mode, start, length);
}

REAL(ssize_t, pwrite, int fd, const void *bytes, size_t length, off_t position)
{
	return interrupted() || call_fails() ? -1 : __real_pwrite(fd, bytes, length, position);
}

REAL(ssize_t, preadv, int fd, const struct iovec *iov, int nr, off_t position)
{
	struct iovec first;

	system_nr_reads++;
	if (system_before_read != NULL)
		system_before_read();
	if (interrupted() || call_fails())
		return -1;
	if (!system_short)
		return __real_preadv(fd, iov, nr, position);
	first = *iov;
	first.iov_len = (first.iov_len + 1) / 2;
	return __real_preadv(fd, &first, 1, position);
}

/* Whether a write fails; sets errno if so. */
static bool write_fails(void)
{
	if (system_before_write != NULL)
		system_before_write();
	if (system_write_error != 0) {
		errno = system_write_error;
		return true;
	}
	if (interrupted())
		return true;
	if (!call_fails())
		return false;
	system_failed_writes++;
	return true;
}

/* The number of bytes taken of the first piece. Direct I/O takes whole blocks. */
static size_t short_length(const struct iovec *iov, bool direct)
{
	if (!direct)
		return (iov->iov_len + 1) / 2;
	return iov->iov_len > 4096 ? 4096 : 512;
}

REAL(ssize_t, pwritev, int fd, const struct iovec *iov, int nr, off_t position)
{
	bool direct = (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
	struct iovec first;

	system_nr_direct += direct;
	if (write_fails())
		return -1;
	if (!system_short)
		return __real_pwritev(fd, iov, nr, position);
	first = *iov;
	first.iov_len = short_length(iov, direct);
	return __real_pwritev(fd, &first, 1, position);
}

REAL(unsigned int, direct_alignment, int fd)
{
	return system_alignment < 0 ? __real_direct_alignment(fd) : (unsigned int)system_alignment;
}

REAL(int, io_setup, unsigned int nr, aio_context *context)
{
	return system_no_aio || call_fails() ? -EAGAIN : __real_io_setup(nr, context);
}

/** struct failure - a submitted write that fails: a read of /dev/zero is done in its place */
struct failure {
	uint64_t data;
	int64_t result;
	char byte;
};

int __real_io_submit(aio_context context, struct iocb *iocb);

static int submit_failure(aio_context context, uint64_t data, int error)
{
	static _Atomic int zeros = -1;
	struct failure *failure = malloc(sizeof(*failure));
	struct iocb iocb = {.length = 1};

	CHECK(failure != NULL);
	*failure = (struct failure){.data = data, .result = -error};
	if (zeros < 0)
		zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	CHECK(zeros >= 0);
	iocb.fd = (uint32_t)zeros;
	iocb.buffer = (uintptr_t)&failure->byte;
	/* The engine's numbers are even. */
	iocb.data = (uintptr_t)failure | 1;
	return __real_io_submit(context, &iocb);
}

int __wrap_io_submit(aio_context context, struct iocb *iocb);
int __wrap_io_submit(aio_context context, struct iocb *iocb)
{
	if (call_fails())
		return -EAGAIN;
	system_nr_direct++;
	if (write_fails())
		return submit_failure(context, iocb->data, errno);
	if (system_short) {
		struct iovec *first = (struct iovec *)(uintptr_t)iocb->buffer;

		first->iov_len = short_length(first, true);
		iocb->length = 1;
	}
	return __real_io_submit(context, iocb);
}

REAL(int, io_getevents, aio_context context, unsigned int min, unsigned int max,
     struct io_event *events)
{
	int nr = interrupted() ? -EINTR : __real_io_getevents(context, min, max, events);

	for (int i = 0; i < nr; i++) {
		struct failure *failure = (struct failure *)(uintptr_t)(events[i].data & ~1ULL);

		if ((events[i].data & 1) == 0)
			continue;
		events[i].data = failure->data;
		events[i].result = failure->result;
		free(failure);
	}
	return nr;
}

void system_watch(const char *path)
{
	watched = path;
	kept = realloc(kept, 64 << 20);
	CHECK(kept != NULL);
	kept_size = test_contents(path, kept, 64 << 20);
}

/* The tests do not cut the power, so this need not wait for the device. */
static int sync_watched(void)
{
	int result, out;

	system_nr_fsyncs++;
	if (interrupted() || call_fails())
		return -1;
	if (watched == NULL)
		return 0;
	pthread_mutex_lock(&keep_lock);
	if (atomic_load(&system_drop_fails) >= 0 && atomic_fetch_sub(&system_drop_fails, 1) == 0) {
		out = open(watched, O_WRONLY);
		CHECK(out >= 0 && write(out, kept, kept_size) == (ssize_t)kept_size);
		close(out);
		errno = EIO;
		result = -1;
	} else {
		result = 0;
		kept_size = test_contents(watched, kept, 64 << 20);
	}
	pthread_mutex_unlock(&keep_lock);
	return result;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	(void)fd;
	return sync_watched();
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	(void)fd;
	return sync_watched();
}

const char *test_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), TEST_DIRECTORY "/%s.%d", name, (int)getpid());
	unlink(path);
	return path;
}

struct file *test_open(const char *path, int flags)
{
	struct file_options options = {path, (flags & O_ACCMODE) == O_RDWR, DIRECT_AUTO,
				       LOCK_ALWAYS};
	struct file *file;
	int fd = open(path, flags | O_CLOEXEC, 0644);

	CHECK(fd >= 0);
	CHECK(file_open(fd, &options, &file) == 0);
	return file;
}

void test_limits(uint64_t memory, uint64_t background, uint64_t dirty, uint32_t expire,
		 uint32_t interval)
{
	struct file_limits limits = {memory, background, dirty, expire, interval, 4, 0};
	struct file_limits before;

	CHECK(file_configure(&limits, file_configured(&before)) == 0);
}

size_t test_contents(const char *path, char *into, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t done = 0;
	ssize_t n;

	CHECK(fd >= 0);
	while ((n = pread(fd, into + done, size - done, (off_t)done)) > 0)
		done += (size_t)n;
	CHECK(n == 0);
	close(fd);
	return done;
}
