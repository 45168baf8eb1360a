// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of inodes: open, close, and what belongs to an inode besides its pages.
 */
#include "inode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aio.h"
#include "page_frame.h"
#include "writeback.h"

#define NR_BUCKETS 1024U
/* Sleepers on folios are told apart by the folio, as far as this many queues do. */
#define NR_QUEUES 64U

/**
 * struct wait_queue - threads that sleep until a folio loses a flag
 * @nr: how many there are, or are about to look at the flag; so that a waker looks at nothing else
 */
struct wait_queue {
	pthread_mutex_t lock;
	pthread_cond_t woken;
	_Atomic uint32_t nr;
};

static struct wait_queue queues[NR_QUEUES];

static struct {
	pthread_mutex_t lock;
	pthread_cond_t closed;
	struct inode *buckets[NR_BUCKETS];
	bool started;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER, .closed = PTHREAD_COND_INITIALIZER};

/* In a child of fork() no thread of the engine runs, and the parent writes the pages. */
static bool in_child;

static struct wait_queue *queue_of(const struct folio *folio)
{
	return &queues[((uintptr_t)folio / sizeof(*folio)) % NR_QUEUES];
}

static int wait_on_folio(struct address_space *mapping, struct folio *folio, unsigned int flag)
{
	struct wait_queue *queue = queue_of(folio);

	(void)mapping;
	atomic_fetch_add(&queue->nr, 1);
	pthread_mutex_lock(&queue->lock);
	while ((folio_flags(folio) & flag) != 0)
		pthread_cond_wait(&queue->woken, &queue->lock);
	pthread_mutex_unlock(&queue->lock);
	atomic_fetch_sub(&queue->nr, 1);
	return 0;
}

static void wake_folio(struct address_space *mapping, struct folio *folio, unsigned int flag)
{
	struct wait_queue *queue = queue_of(folio);

	(void)mapping;
	(void)flag;
	/*
	 * Adds nothing, but is ordered after the change of the flag: either a sleeper sees the
	 * change, or this sees the sleeper.
	 */
	if (likely(atomic_fetch_add(&queue->nr, 0) == 0))
		return;
	pthread_mutex_lock(&queue->lock);
	pthread_cond_broadcast(&queue->woken);
	pthread_mutex_unlock(&queue->lock);
}

static const struct address_space_operations file_aops = {
	.alloc = page_cache_alloc,
	.free = page_cache_free,
	.wait = wait_on_folio,
	.wake = wake_folio,
};

static struct inode **bucket_of(dev_t dev, ino_t ino)
{
	return &table.buckets[((uint64_t)dev * 31 + (uint64_t)ino) % NR_BUCKETS];
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void free_inode(struct inode *inode)
{
	address_space_destroy(&inode->mapping);
	while (inode->chunks != NULL) {
		struct page_chunk *chunk = inode->chunks;

		inode->chunks = chunk->next;
		page_chunk_free(chunk);
	}
	pthread_rwlock_destroy(&inode->invalidate_lock);
	pthread_mutex_destroy(&inode->size_lock);
	pthread_mutex_destroy(&inode->direct_lock);
	pthread_mutex_destroy(&inode->chunk_lock);
	pthread_mutex_destroy(&inode->sync_lock);
	free(inode->path);
	page_cache_free(inode);
}

void inode_put(struct inode *inode)
{
	if (atomic_fetch_sub(&inode->refs, 1) == 1)
		free_inode(inode);
}

/* Memory for more folios. */
int inode_add_chunk(struct inode *inode)
{
	struct page_chunk *chunk = page_chunk_alloc();
	int err;

	if (chunk == NULL)
		return -ENOMEM;
	err = address_space_add_chunk(&inode->mapping, &chunk->folios);
	if (err != 0) {
		page_chunk_free(chunk);
		return err;
	}
	pthread_mutex_lock(&inode->chunk_lock);
	chunk->next = inode->chunks;
	inode->chunks = chunk;
	pthread_mutex_unlock(&inode->chunk_lock);
	return 0;
}

/*
 * Pages up to @end are about to be written: where that makes the file longer, it gets its whole new
 * length at once, so that direct writes of several threads need not wait for one another.
 */
int inode_extend_disk_size(struct inode *inode, int64_t end)
{
	int err = 0;

	if (end <= atomic_load(&inode->disk_size))
		return 0;
	pthread_mutex_lock(&inode->size_lock);
	if (end > atomic_load(&inode->disk_size)) {
		int64_t size = atomic_load(&inode->size);

		if (size < end)
			size = end;
		do
			err = ftruncate(inode->fd, size) == 0 ? 0 : -errno;
		while (err == -EINTR);
		if (err == 0)
			atomic_store(&inode->disk_size, size);
	}
	pthread_mutex_unlock(&inode->size_lock);
	return err;
}

/* A descriptor for direct I/O, or a negative number where the file system has none for pages. */
int inode_direct_fd(struct inode *inode)
{
	int fd = atomic_load_explicit(&inode->direct_fd, memory_order_acquire);
	unsigned int alignment;
	char path[32];

	if (fd != DIRECT_UNTRIED)
		return fd;
	pthread_mutex_lock(&inode->direct_lock);
	fd = atomic_load(&inode->direct_fd);
	if (fd == DIRECT_UNTRIED) {
		/* By way of the descriptor: another file may have the path by now. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", inode->fd);
		alignment = direct_alignment(inode->fd);
		fd = NO_DIRECT;
		if (alignment != 0 && alignment <= PAGE_SIZE)
			fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
		if (fd < 0)
			fd = NO_DIRECT;
		atomic_store_explicit(&inode->direct_fd, fd, memory_order_release);
	}
	pthread_mutex_unlock(&inode->direct_lock);
	return fd;
}

/* Keeps other processes out of the file: exclusively if any handle writes. */
static int lock_inode(int fd, bool exclusive, enum file_lock lock)
{
	int err;

	if (lock == LOCK_NEVER)
		return 0;
	do
		err = flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 ? 0 : -errno;
	while (err == -EINTR);
	if (err == 0)
		return 0;
	if (err == -EWOULDBLOCK)
		return -EBUSY;
	return lock == LOCK_AUTO ? 0 : -ENOTSUP;
}

static int new_inode(int fd, const struct stat *stat, const struct file_options *options,
		     struct inode **inodep)
{
	struct inode *inode;
	int err = lock_inode(fd, options->writable, options->lock);

	if (err != 0)
		return err;
	inode = page_cache_alloc(sizeof(*inode));
	if (inode == NULL)
		return -ENOMEM;
	inode->path = strdup(options->path);
	if (inode->path == NULL) {
		page_cache_free(inode);
		return -ENOMEM;
	}
	address_space_init(&inode->mapping, PAGE_SHIFT, true, &file_aops);
	pthread_rwlock_init(&inode->invalidate_lock, NULL);
	pthread_mutex_init(&inode->size_lock, NULL);
	pthread_mutex_init(&inode->direct_lock, NULL);
	pthread_mutex_init(&inode->chunk_lock, NULL);
	pthread_mutex_init(&inode->sync_lock, NULL);
	inode->dev = stat->st_dev;
	inode->ino = stat->st_ino;
	inode->refs = 1;
	inode->size = inode->disk_size = stat->st_size;
	inode->fd = inode->lock_fd = fd;
	inode->writable = options->writable;
	inode->direct = options->direct;
	inode->direct_fd = options->direct == DIRECT_NEVER ? NO_DIRECT : DIRECT_UNTRIED;
	inode->sync_epoch = inode->stable_epoch = 1;
	*inodep = inode;
	return 0;
}

/* A further handle of an inode. Its descriptor is kept only if it may write and none before could.
 */
static int share_inode(struct inode *inode, int fd, const struct file_options *options)
{
	int err;

	if (inode->writable || !options->writable) {
		close(fd);
		return 0;
	}
	err = lock_inode(inode->lock_fd, true, options->lock);
	if (err != 0) {
		/* The conversion may have lost the shared lock that it found. */
		lock_inode(inode->lock_fd, false, options->lock);
		return err;
	}
	inode->fd = fd;
	inode->writable = true;
	return 0;
}

static struct inode *find_inode(const struct stat *stat)
{
	struct inode *inode = *bucket_of(stat->st_dev, stat->st_ino);

	while (inode != NULL && (inode->dev != stat->st_dev || inode->ino != stat->st_ino))
		inode = inode->hash_next;
	return inode;
}

static void unlink_inode(struct inode *inode)
{
	struct inode **link = bucket_of(inode->dev, inode->ino);

	while (*link != inode)
		link = &(*link)->hash_next;
	*link = inode->hash_next;
}

static void forget_parent(void)
{
	in_child = true;
}

static void sync_at_exit(void);

/* The table's lock is held. */
static int start(void)
{
	int err;

	if (table.started)
		return 0;
	err = writeback_start();
	if (err != 0)
		return err;
	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		pthread_mutex_init(&queues[i].lock, NULL);
		pthread_cond_init(&queues[i].woken, NULL);
	}
	pthread_atfork(NULL, NULL, forget_parent);
	atexit(sync_at_exit);
	table.started = true;
	return 0;
}

static int find_or_make_inode(int fd, const struct file_options *options, struct inode **inodep)
{
	struct stat stat;
	struct inode *inode;
	int err;

	if (fstat(fd, &stat) != 0)
		return -errno;
	if (!S_ISREG(stat.st_mode))
		return -EINVAL;
	pthread_mutex_lock(&table.lock);
	err = start();
	while (err == 0 && (inode = find_inode(&stat)) != NULL && inode->closing)
		pthread_cond_wait(&table.closed, &table.lock);
	if (err == 0 && inode != NULL) {
		err = share_inode(inode, fd, options);
	} else if (err == 0) {
		err = new_inode(fd, &stat, options, &inode);
		if (err == 0) {
			struct inode **bucket = bucket_of(stat.st_dev, stat.st_ino);

			/* It may have grown while the lock was waited for. */
			if (fstat(fd, &stat) == 0)
				inode->size = inode->disk_size = stat.st_size;
			inode->hash_next = *bucket;
			*bucket = inode;
		}
	}
	if (err == 0) {
		inode->nr_handles++;
		*inodep = inode;
	}
	pthread_mutex_unlock(&table.lock);
	return err;
}

/* The last handle is gone, and with it all pages: the inode leaves the table, which then may have
 * another. */
static void close_inode(struct inode *inode)
{
	inode_drop_pages(inode, 0, UINT64_MAX);
	inode_forget(inode);
	if (inode->lock_fd != inode->fd)
		close_fd(inode->lock_fd);
	close_fd(inode->direct_fd);
	/* The lock goes with the descriptor. */
	close_fd(inode->fd);
	pthread_mutex_lock(&table.lock);
	unlink_inode(inode);
	pthread_cond_broadcast(&table.closed);
	pthread_mutex_unlock(&table.lock);
	inode_put(inode);
}

static void put_handle(struct inode *inode)
{
	bool last;

	pthread_mutex_lock(&table.lock);
	last = --inode->nr_handles == 0;
	inode->closing = last;
	while (last && inode->nr_users > 0)
		pthread_cond_wait(&table.closed, &table.lock);
	pthread_mutex_unlock(&table.lock);
	if (last)
		close_inode(inode);
}

static void free_file(struct file *file)
{
	put_handle(file->inode);
	free(file);
}

/**
 * file_open - a handle of a file
 * @fd: the file, opened O_RDWR if @options->writable; the engine's from here on, in any case
 * @options: how
 * @filep: gets the handle
 *
 * Return: 0; -EINVAL if it is not a regular file; -EBUSY if another process has it; or another
 * errno.
 */
int file_open(int fd, const struct file_options *options, struct file **filep)
{
	struct file *file = NULL;
	int err = 0;

	if (in_child)
		err = -ECHILD;
	else if ((file = calloc(1, sizeof(*file))) == NULL)
		err = -ENOMEM;
	else
		err = find_or_make_inode(fd, options, &file->inode);
	if (err != 0) {
		free(file);
		close(fd);
		return err;
	}
	file->since = errseq_sample(&file->inode->wb_err);
	file->writable = options->writable;
	*filep = file;
	if (options->direct == DIRECT_ALWAYS && inode_direct_fd(file->inode) < 0) {
		free_file(file);
		return -EINVAL;
	}
	return 0;
}

/* The error given, else what happened since the handle looked last. */
static int report(struct file *file, int err)
{
	int since = errseq_check_and_advance(&file->inode->wb_err, &file->since);

	return err != 0 ? err : since;
}

/**
 * file_close - write back what is dirty, and close the handle
 * @file: the handle, gone afterwards if the result is 0
 * @discard: write nothing; what is dirty is dropped with the last handle
 *
 * Return: 0, or the error of this write-back or of one that the handle has not seen: then the
 * handle is open still.
 */
int file_close(struct file *file, bool discard)
{
	int err = 0;

	if (in_child)
		return 0;
	if (!discard)
		err = report(file, inode_write_and_wait(file->inode, 0, INT64_MAX));
	if (err != 0)
		return err;
	free_file(file);
	return 0;
}

/* The handle goes, whatever happens; what is dirty is written if it can be. */
void file_release(struct file *file)
{
	struct inode *inode = file->inode;

	if (in_child)
		return;
	if (inode_write_and_wait(inode, 0, INT64_MAX) != 0)
		fprintf(stderr,
			"writeback-iter: what was written to %s is lost: it was not closed\n",
			inode->path);
	free_file(file);
}

int file_fd(const struct file *file)
{
	return file->inode->fd;
}

int64_t file_size(const struct file *file)
{
	return atomic_load(&file->inode->size);
}

void file_stat(const struct file *file, struct file_stats *stats)
{
	struct inode *inode = file->inode;

	stats->size = atomic_load(&inode->size);
	stats->dirty_pages = atomic_load(&inode->nr_dirty) + atomic_load(&inode->nr_writeback);
	xa_lock(&inode->mapping.i_pages);
	stats->cached_pages = inode->mapping.nrpages;
	xa_unlock(&inode->mapping.i_pages);
	stats->passes = atomic_load(&inode->stats.passes);
	stats->folios_written = atomic_load(&inode->stats.folios_written);
	stats->device_writes = atomic_load(&inode->stats.device_writes);
	stats->bytes_written = atomic_load(&inode->stats.bytes_written);
	stats->device_reads = atomic_load(&inode->stats.device_reads);
	stats->bytes_read = atomic_load(&inode->stats.bytes_read);
}

static struct {
	pthread_mutex_t lock;
	struct file_limits limits;
	uint32_t nr;
} configured = {.lock = PTHREAD_MUTEX_INITIALIZER};

/**
 * file_configured - what all files of the process may take together
 * @limits: gets what file_configure() set last
 *
 * Return: how often limits were set; 0 if never, and @limits are zeros.
 */
uint32_t file_configured(struct file_limits *limits)
{
	uint32_t nr;

	pthread_mutex_lock(&configured.lock);
	*limits = configured.limits;
	nr = configured.nr;
	pthread_mutex_unlock(&configured.lock);
	return nr;
}

/**
 * file_configure - set what all files of the process may take together
 * @limits: the limits
 * @seen: what file_configured() returned when the caller made them of the limits before
 *
 * Return: 0; -EINVAL for limits that contradict each other, or -EAGAIN if another thread has set
 * limits since, with nothing changed.
 */
int file_configure(const struct file_limits *limits, uint32_t seen)
{
	int err = 0;

	if (limits->writers == 0 || limits->dirty_background > limits->dirty ||
	    limits->dirty > limits->memory)
		return -EINVAL;
	pthread_mutex_lock(&configured.lock);
	if (configured.nr == seen) {
		configured.limits = *limits;
		configured.nr++;
		frames_set_limit(limits->memory);
		writeback_set_limits(limits);
	} else {
		err = -EAGAIN;
	}
	pthread_mutex_unlock(&configured.lock);
	return err;
}

/**
 * inode_for_each - call a function with each inode
 * @function: may sleep
 * @data: for it
 */
void inode_for_each(void (*function)(struct inode *inode, void *data), void *data)
{
	for (uint32_t i = 0; i < NR_BUCKETS; i++) {
		struct inode *inode;
		uint32_t nth = 0;

		/* A bucket that changes meanwhile may have an inode called twice or not at all. */
		for (;;) {
			pthread_mutex_lock(&table.lock);
			inode = table.buckets[i];
			for (uint32_t n = nth++; inode != NULL && n > 0; n--)
				inode = inode->hash_next;
			while (inode != NULL && inode->closing)
				inode = inode->hash_next;
			if (inode != NULL)
				inode->nr_users++;
			pthread_mutex_unlock(&table.lock);
			if (inode == NULL)
				break;
			function(inode, data);
			pthread_mutex_lock(&table.lock);
			if (--inode->nr_users == 0)
				pthread_cond_broadcast(&table.closed);
			pthread_mutex_unlock(&table.lock);
		}
	}
}

int64_t file_read(struct file *file, void *into, size_t length, int64_t position)
{
	return in_child ? -ECHILD : inode_read(file, into, length, position, false);
}

int64_t file_read_nowait(struct file *file, void *into, size_t length, int64_t position)
{
	return in_child ? -ECHILD : inode_read(file, into, length, position, true);
}

int64_t file_write(struct file *file, const void *bytes, size_t length, int64_t position)
{
	int64_t n;

	if (in_child)
		return -ECHILD;
	n = inode_write(file->inode, bytes, length, position, false);
	if (n > 0)
		balance_dirty_pages();
	return n;
}

/**
 * file_write_nowait - as much of a write as needs no sleep
 * @throttle: set if the caller has to make a FILE_THROTTLE call before it writes more
 *
 * Return: how many bytes, or a negative errno, -EAGAIN for none.
 */
int64_t file_write_nowait(struct file *file, const void *bytes, size_t length, int64_t position,
			  bool *throttle)
{
	int64_t n;

	*throttle = false;
	if (in_child)
		return -ECHILD;
	n = inode_write(file->inode, bytes, length, position, true);
	*throttle = n >= 0 && writeback_over_limit();
	return n;
}

int file_fsync(struct file *file, int64_t start, int64_t end, bool data_only)
{
	return in_child ? -ECHILD : report(file, inode_fsync(file->inode, start, end, data_only));
}

int64_t file_writeback(struct file *file, int64_t nr_to_write)
{
	return in_child ? -ECHILD : inode_writeback(file->inode, nr_to_write);
}

int file_truncate(struct file *file, int64_t length)
{
	return in_child ? -ECHILD : inode_truncate(file->inode, length);
}

int file_deallocate(struct file *file, int64_t start, int64_t end)
{
	return in_child ? -ECHILD : inode_deallocate(file->inode, start, end);
}

struct failures {
	void (*failed)(const char *path, int error, void *data);
	void *data;
};

static void sync_inode(struct inode *inode, void *data)
{
	const struct failures *failures = data;
	int err = inode_write_and_wait(inode, 0, INT64_MAX);

	if (err != 0)
		failures->failed(inode->path, err, failures->data);
}

void file_sync_all(void (*failed)(const char *path, int error, void *data), void *data)
{
	struct failures failures = {failed, data};

	if (!in_child)
		inode_for_each(sync_inode, &failures);
}

static void say_failed(const char *path, int error, void *unused)
{
	(void)unused;
	fprintf(stderr, "writeback-iter: what was written to %s is lost: %s\n", path,
		strerror(-error));
}

/* The process ends on its own: what was written survives it. */
static void sync_at_exit(void)
{
	file_sync_all(say_failed, NULL);
}
