/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The system calls and allocations of the file engine, which tests have fail. The linker puts these
 * in the place of the C library's (--wrap).
 */
#ifndef WRITEBACK_ITER_TEST_SYSTEM_H
#define WRITEBACK_ITER_TEST_SYSTEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "file.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__,           \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The call that fails, counted down to 0; negative: none. */
extern _Atomic int system_fails;
/* What it fails with: allocations always with ENOMEM. */
extern _Atomic int system_error;
/* Which of them count. */
extern bool system_count_allocations;
extern bool system_count_calls;
/* Every write takes less than it is given, and every second call is interrupted. */
extern bool system_short;
/* What statx(2) says of direct I/O; negative: what it really says. */
extern int system_alignment;
/* There is no asynchronous I/O. */
extern bool system_no_aio;
/* Every write fails with this error, if not 0. */
extern _Atomic int system_write_error;
/* fsync and fdatasync that fail: the file is then what it was at the last one that did not. */
extern _Atomic int system_drop_fails;
/* Called before each read and write, in its place in the engine. */
extern void (*system_before_read)(void);
extern void (*system_before_write)(void);
/* How many calls there were. */
extern _Atomic int system_nr_fsyncs;
extern _Atomic int system_nr_reads;
extern _Atomic int system_nr_direct;
/* Writes that failed because of system_fails. */
extern _Atomic int system_failed_writes;

/* The file of system_drop_fails. */
void system_watch(const char *path);

/* A new file for a test, in a directory of the build. */
const char *test_path(const char *name);
struct file *test_open(const char *path, int flags);
void test_limits(uint64_t memory, uint64_t background, uint64_t dirty, uint32_t expire,
		 uint32_t interval);
/* The bytes of a file, past the engine. */
size_t test_contents(const char *path, char *into, size_t size);

#endif
