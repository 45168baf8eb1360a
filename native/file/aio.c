// SPDX-License-Identifier: GPL-2.0-only
#include "aio.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* Sleeps until a request is done. Returns how many are, @max at most. */
int io_getevents(aio_context context, unsigned int max, struct io_event *events)
{
	long nr = syscall(SYS_io_getevents, context, 1L, (long)max, events, NULL);

	return nr >= 0 ? (int)nr : -errno;
}
