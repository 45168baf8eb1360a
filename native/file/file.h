/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file engine: a page cache in user space for the files of a process.
 *
 * Every call may be made by any thread. Those that return int or int64_t return a negative errno
 * when they fail. Positions and lengths are not negative, and no position plus length exceeds
 * INT64_MAX.
 */
#ifndef WRITEBACK_ITER_FILE_H
#define WRITEBACK_ITER_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct file;

enum file_direct { DIRECT_NEVER, DIRECT_AUTO, DIRECT_ALWAYS };
enum file_lock { LOCK_NEVER, LOCK_AUTO, LOCK_ALWAYS };

/**
 * struct file_options - how a file is opened
 * @path: for messages; copied
 * @writable: whether the handle may write
 * @direct: whether whole pages are written with O_DIRECT: never, for large writes, or always, with
 *	-EINVAL if the file system refuses
 * @lock: whether flock(2) keeps other processes out: never, if the file system has such locks, or
 *	always, with -ENOTSUP if it has none
 */
struct file_options {
	const char *path;
	bool writable;
	enum file_direct direct;
	enum file_lock lock;
};

/**
 * struct file_limits - limits for all files of the process together
 * @memory: bytes of page data and bookkeeping
 * @dirty_background: dirty bytes above which the flusher writes
 * @dirty: bytes, dirty or under writeback, above which a write is held back
 * @dirty_expire: ms after which a dirty page is written
 * @writeback_interval: ms between the flusher's searches for such pages; 0: it never searches
 * @writers: writes that the device has at a time
 * @chosen: which of them the user has chosen, bits that the engine keeps for the next caller
 */
struct file_limits {
	uint64_t memory;
	uint64_t dirty_background;
	uint64_t dirty;
	uint32_t dirty_expire;
	uint32_t writeback_interval;
	uint32_t writers;
	uint32_t chosen;
};

/** struct file_stats - counts of a file's cache since it was opened, and its size */
struct file_stats {
	int64_t size;
	uint64_t dirty_pages;
	uint64_t cached_pages;
	uint64_t passes;
	uint64_t folios_written;
	uint64_t device_writes;
	uint64_t bytes_written;
	uint64_t device_reads;
	uint64_t bytes_read;
};

uint32_t file_configured(struct file_limits *limits);
int file_configure(const struct file_limits *limits, uint32_t seen);
int file_open(int fd, const struct file_options *options, struct file **filep);
int file_close(struct file *file, bool discard);
void file_release(struct file *file);
int file_fd(const struct file *file);
int64_t file_size(const struct file *file);
void file_stat(const struct file *file, struct file_stats *stats);

int64_t file_read(struct file *file, void *into, size_t length, int64_t position);
int64_t file_write(struct file *file, const void *bytes, size_t length, int64_t position);
/* The same for a thread that must not sleep: -EAGAIN if it would have to, with nothing done. */
int64_t file_read_nowait(struct file *file, void *into, size_t length, int64_t position);
int64_t file_write_nowait(struct file *file, const void *bytes, size_t length, int64_t position,
			  bool *throttle);
int file_fsync(struct file *file, int64_t start, int64_t end, bool data_only);
int64_t file_writeback(struct file *file, int64_t nr_to_write);
int file_truncate(struct file *file, int64_t length);
int file_deallocate(struct file *file, int64_t start, int64_t end);

/* Writes back all files of the process; calls @failed for each that could not be written. */
void file_sync_all(void (*failed)(const char *path, int error, void *data), void *data);

enum file_operation {
	FILE_READ,
	FILE_WRITE,
	FILE_THROTTLE,
	FILE_FSYNC,
	FILE_WRITEBACK,
	FILE_TRUNCATE,
	FILE_DEALLOCATE,
	FILE_CLOSE,
	FILE_RELEASE,
};

/**
 * struct file_call - a call that another thread makes, or this one by file_make_call()
 * @operation: the operation
 * @file: the handle
 * @buffer: for FILE_READ and FILE_WRITE; in use until @done is called
 * @length: the length of @buffer
 * @position: the position, the start of the range, the length, or the number of pages to write
 * @end: the end of the range
 * @flag: data only, discard
 * @result: what the call returned
 * @done: called by the thread that made the call, once
 *
 * Writes, truncations and deallocations of one file are made in the order in which they were
 * submitted; any other call after those submitted before it.
 */
struct file_call {
	enum file_operation operation;
	struct file *file;
	void *buffer;
	size_t length;
	int64_t position;
	int64_t end;
	bool flag;
	int64_t result;
	void (*done)(struct file_call *call);
	/* Not for the caller. */
	struct file_call *next;
	uint64_t ticket;
};

int file_submit(struct file_call *call);
int64_t file_make_call(struct file_call *call);
bool file_has_writes(const struct file *file);
void file_wait_for_writes(const struct file *file);

#ifdef __cplusplus
}
#endif

#endif
