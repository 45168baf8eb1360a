/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linux's asynchronous I/O: io_submit(2). The C library has no call for it, and the headers of the
 * kernel are not everywhere where the package is built. Other than io_uring(7), it is not disabled
 * in containers. And what statx(2) knows of direct I/O, for which the same is true of the headers.
 */
#ifndef WRITEBACK_ITER_AIO_H
#define WRITEBACK_ITER_AIO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* aio_context_t; 0 is none. */
typedef unsigned long aio_context;

/** struct iocb - as in linux/aio_abi.h; what is not named here is 0 */
struct iocb {
	uint64_t data;
	uint32_t key_and_flags[2];
	uint16_t opcode;
	int16_t priority;
	uint32_t fd;
	uint64_t buffer;
	uint64_t length;
	int64_t position;
	uint64_t reserved[2];
};

/** struct io_event - an iocb that is done: its @data, and what pwritev(2) would have returned, or a
 * negative errno */
struct io_event {
	uint64_t data;
	uint64_t iocb;
	int64_t result;
	int64_t result2;
};

static_assert(sizeof(struct iocb) == 64 && offsetof(struct iocb, position) == 40, "the kernel's");
static_assert(sizeof(struct io_event) == 32, "the kernel's");

/* What memory and offsets of direct I/O have to be aligned to: 0 where the file has none, 1 where
 * the system does not know. */
unsigned int direct_alignment(int fd);

/* Each returns a negative errno when it fails. */
int io_setup(unsigned int nr, aio_context *context);
int io_submit(aio_context context, struct iocb *iocb);
int io_getevents(aio_context context, unsigned int min, unsigned int max, struct io_event *events);

/* A pwritev(2) of the pieces, which stay as they are until it is done. */
static inline void prepare_pwritev(struct iocb *iocb, int fd, const struct iovec *iov, int nr,
				   int64_t position, void *data)
{
	*iocb = (struct iocb){
		.data = (uintptr_t)data,
		.opcode = 8, /* IOCB_CMD_PWRITEV */
		.fd = (uint32_t)fd,
		.buffer = (uintptr_t)iov,
		.length = (uint64_t)nr,
		.position = position,
	};
}

#endif
