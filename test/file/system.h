/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The system calls and allocations of the file engine, which tests can make fail. The linker
 * replaces the C library's functions with these (--wrap).
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
/* The error of the failing call; allocations always fail with ENOMEM. */
extern _Atomic int system_error;
/* Which calls count. */
extern bool system_count_allocations;
extern bool system_count_calls;
/* Every write takes less than it is given, and every second call is interrupted. */
extern bool system_short;
/* The alignment that statx(2) reports for direct I/O; negative: the real one. */
extern int system_alignment;
/* Asynchronous I/O is not available. */
extern bool system_no_aio;
/* Every write fails with this error, if not 0. */
extern _Atomic int system_write_error;
/* The fsync and fdatasync that fail: the file is then as it was at the last successful one. */
extern _Atomic int system_drop_fails;
/* The engine calls this before each read and write. */
extern void (*system_before_read)(void);
extern void (*system_before_write)(void);
/* The number of calls. */
extern _Atomic int system_nr_fsyncs;
extern _Atomic int system_nr_reads;
extern _Atomic int system_nr_direct;
/* The number of writes that failed because of system_fails. */
extern _Atomic int system_failed_writes;

/* The file to which system_drop_fails applies. */
void system_watch(const char *path);

/* A new file for a test, in a directory of the build. */
const char *test_path(const char *name);
struct file *test_open(const char *path, int flags);
void test_limits(uint64_t memory, uint64_t background, uint64_t dirty, uint32_t expire,
		 uint32_t interval);
/* Reads the bytes of a file without the engine. */
size_t test_contents(const char *path, char *into, size_t size);

#endif
