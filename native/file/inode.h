/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file that is open in this process: one for all handles and threads.
 */
#ifndef WRITEBACK_ITER_INODE_H
#define WRITEBACK_ITER_INODE_H

#include <pthread.h>
#include <sys/types.h>

#include "address_space.h"
#include "errseq.h"
#include "file.h"

struct page_chunk;

/**
 * struct inode - a file's cache
 * @mapping: its folios
 * @dev: with @ino, what the table of inodes finds it by
 * @refs: one for the table, one for each write under way, each pass and each page that reclaim
 * looks at
 * @nr_handles: the table's lock protects it
 * @nr_users: threads that use it without a handle: the last close waits for them; the table's lock
 * protects it
 * @closing: the last handle is about to be closed; the table's lock protects it
 * @invalidate_lock: shared by reads and writes, exclusive for truncate and deallocate
 * @size: i_size; grows with writes, shrinks under @invalidate_lock
 * @size_lock: protects @disk_size, and that the file has this size
 * @disk_size: the size of the file on the disk, at most @size except while that shrinks
 * @fd: for buffered I/O
 * @lock_fd: has the lock; the same as @fd unless the first handle was read-only
 * @writable: whether @fd may be written; the table's lock protects it
 * @direct_lock: protects the opening of @direct_fd
 * @direct_fd: for direct I/O; NO_DIRECT where it was refused, DIRECT_UNTRIED
 * @direct: DIRECT_*
 * @sync_lock: one fsync at a time: what a failed one makes dirty again is known before the next
 *	begins, which may succeed and would take it for synced
 * @sync_epoch: counted up by each fsync; written pages note it
 * @stable_epoch: pages with an earlier epoch were reached by an fsync that succeeded
 * @nr_unsynced: pages written since about the last such fsync
 * @wb_err: errors of write-back
 * @nr_dirty: dirty pages
 * @nr_writeback: pages under writeback
 * @dirty_next: the list of dirty inodes; the lock of write-back protects it, as the next three
 * @dirty_prev: as @dirty_next
 * @on_dirty_list: whether it is on it
 * @dirtied_when: since when, in ms
 * @retry_at: an error happened: the flusher leaves the inode alone until then
 * @chunks: memory for folios
 * @path: for messages
 * @calls: asynchronous calls that wait for writes before them
 * @nr_writes_queued: asynchronous writes and truncations that were asked for
 * @nr_writes_done: those that are done; both by the lock of calls
 */
struct inode {
	struct address_space mapping;
	dev_t dev;
	ino_t ino;
	struct inode *hash_next;
	_Atomic uint32_t refs;
	uint32_t nr_handles;
	uint32_t nr_users;
	bool closing;

	pthread_rwlock_t invalidate_lock;
	_Atomic int64_t size;
	pthread_mutex_t size_lock;
	_Atomic int64_t disk_size;

	_Atomic int fd;
	int lock_fd;
	bool writable;
	pthread_mutex_t direct_lock;
	_Atomic int direct_fd;
	enum file_direct direct;

	pthread_mutex_t sync_lock;
	_Atomic uint32_t sync_epoch;
	_Atomic uint32_t stable_epoch;
	_Atomic uint64_t nr_unsynced;
	_Atomic errseq_t wb_err;

	_Atomic uint64_t nr_dirty;
	_Atomic uint64_t nr_writeback;
	struct inode *dirty_next;
	struct inode *dirty_prev;
	_Atomic bool on_dirty_list;
	int64_t dirtied_when;
	int64_t retry_at;

	pthread_mutex_t chunk_lock;
	struct page_chunk *chunks;
	char *path;

	struct file_call *blocked_head;
	struct file_call *blocked_tail;
	_Atomic uint64_t nr_writes_queued;
	_Atomic uint64_t nr_writes_done;

	struct {
		_Atomic uint64_t passes;
		_Atomic uint64_t folios_written;
		_Atomic uint64_t device_writes;
		_Atomic uint64_t bytes_written;
		_Atomic uint64_t device_reads;
		_Atomic uint64_t bytes_read;
	} stats;
};

#define DIRECT_UNTRIED (-1)
#define NO_DIRECT (-2)

/**
 * struct file - a handle
 * @inode: its file
 * @since: how far the handle has seen the file's errors
 * @writable: whether it may write
 * @read_end: where the last read ended, for readahead
 * @read_window: how many pages the next readahead takes
 */
struct file {
	struct inode *inode;
	_Atomic errseq_t since;
	bool writable;
	_Atomic int64_t read_end;
	_Atomic uint32_t read_window;
};

static inline void inode_get(struct inode *inode)
{
	atomic_fetch_add_explicit(&inode->refs, 1, memory_order_relaxed);
}

void inode_put(struct inode *inode);
int inode_add_chunk(struct inode *inode);
int inode_extend_disk_size(struct inode *inode, int64_t end);
int inode_direct_fd(struct inode *inode);
void inode_for_each(void (*function)(struct inode *inode, void *data), void *data);

/* read_write.c */
int64_t inode_read(struct file *file, char *into, size_t length, int64_t position, bool nowait);
int64_t inode_write(struct inode *inode, const char *bytes, size_t length, int64_t position,
		    bool nowait);
int inode_truncate(struct inode *inode, int64_t length);
int inode_deallocate(struct inode *inode, int64_t start, int64_t end);
void inode_drop_pages(struct inode *inode, pgoff_t start, pgoff_t end);

#endif
