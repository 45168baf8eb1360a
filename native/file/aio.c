// SPDX-License-Identifier: GPL-2.0-only
#include "aio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct statx, as far as it matters here. */
struct statx_dioalign {
	uint32_t mask;
	char other[148];
	uint32_t memory;
	uint32_t offset;
	char rest[96];
};

static_assert(offsetof(struct statx_dioalign, memory) == 0x98, "the kernel's");
static_assert(sizeof(struct statx_dioalign) == 0x100, "the kernel's");

unsigned int direct_alignment(int fd)
{
	const unsigned int dioalign = 0x2000; /* STATX_DIOALIGN, of Linux 6.1 */
	struct statx_dioalign stat;

	memset(&stat, 0, sizeof(stat));
	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, dioalign, &stat) != 0 ||
	    (stat.mask & dioalign) == 0)
		return 1;
	return stat.memory > stat.offset ? stat.memory : stat.offset;
}

/* A context for @nr requests under way. */
int io_setup(unsigned int nr, aio_context *context)
{
	*context = 0;
	return syscall(SYS_io_setup, nr, context) == 0 ? 0 : -errno;
}

int io_submit(aio_context context, struct iocb *iocb)
{
	return syscall(SYS_io_submit, context, 1L, &iocb) == 1 ? 0 : -errno;
}

/* Sleeps until @min requests are done. Returns how many are, @max at most. */
int io_getevents(aio_context context, unsigned int min, unsigned int max, struct io_event *events)
{
	long nr = syscall(SYS_io_getevents, context, (long)min, (long)max, events, NULL);

	return nr >= 0 ? (int)nr : -errno;
}
