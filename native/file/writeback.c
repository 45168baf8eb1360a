// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-back. After fs/fs-writeback.c and mm/page-writeback.c.
 *
 * A pass takes folios from writeback_iter(), starts writeback of each, unlocks it, and gathers
 * neighbours into one write. Large writes are submitted to the device, many at a time; the others
 * are made by the system's cache at once. A thread that waits for a pass ends the writes that the
 * device has done, of whatever pass.
 */
#include "writeback.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "aio.h"
#include "page_frame.h"

/* Pages of one write: 1 MiB. */
#define WRITE_PAGES 256U
/* Pages that the flusher writes of one inode before it goes on to the next: 4 MiB. */
#define MAX_WRITEBACK_PAGES 1024
/* Writes under way and gathered, at most. */
#define NR_WRITES 96U
/* Writes that the device has at a time, at most. */
#define MAX_IN_FLIGHT 64U
/* Writes that are ended at a time. */
#define REAP_BATCH 16U
/* The system's cache merges and sorts what is small: so only writes of this size go directly to the
 * device if no call asked.
 */
#define DIRECT_MIN (16U << PAGE_SHIFT)
/*
 * Pages of a block that is written behind a sequential writer, how many have to be dirty before
 * that begins (8 MiB: shorter files may be removed soon, or written again), and how many blocks
 * wait for the flusher at most.
 */
#define BLOCK_PAGES XA_CHUNK_SIZE
#define WRITE_BEHIND_MIN 2048
#define NR_BEHIND 256U
/* How long memory that no page needs stays the engine's where there is no interval, at least. */
#define TRIM_MS 5000
/* How often a thread that waits sees the flusher without a write that succeeds, or without one to
 * do, a ms apart. */
#define GIVE_UP_STUCK 2
#define GIVE_UP_UNHELPED 1000
/* How long the flusher leaves a file alone on which a write failed, where it looks at no interval.
 */
#define RETRY_MS 1000

/**
 * struct pass - writes that one thread waits for
 * @nr_writes: those under way
 * @nr_pages: pages written
 * @error: the first error
 *
 * The lock of write-back protects all of it.
 */
struct pass {
	uint32_t nr_writes;
	uint64_t nr_pages;
	int error;
};

/**
 * struct write - neighbouring pages under writeback
 * @inode: whose, with a reference
 * @pass: the pass
 * @index: the first page
 * @nr: how many
 * @folios: the folios, with references
 * @length: their bytes, as far as the file goes
 * @frames: the frames that are written, with references: folios may go on in others
 * @iov: the bytes of a direct write
 * @iocb: the direct write
 * @next: in the list of unused ones
 */
struct write {
	struct inode *inode;
	struct pass *pass;
	pgoff_t index;
	uint32_t nr;
	size_t length;
	struct folio *folios[WRITE_PAGES];
	frame_t frames[WRITE_PAGES];
	struct iovec iov[WRITE_PAGES];
	struct iocb iocb;
	struct write *next;
};

/**
 * struct block - pages to be written behind a sequential writer
 * @inode: whose, with a reference
 * @index: the first of BLOCK_PAGES
 */
struct block {
	struct inode *inode;
	pgoff_t index;
};

/**
 * struct bdi - the write-back of the process
 * @lock: protects what follows, up to @nr_dirty
 * @flush: the flusher waits for something to do
 * @populate: the populator waits for frames to be wanted
 * @progress: any thread waits for a write to end, for a frame to be freed or for dirty pages to be
 *	dropped
 * @unused: writes
 * @nr_allocated: writes that exist
 * @aio: where direct writes are submitted; 0 where the system has no such thing
 * @nr_in_flight: writes that were submitted and are not done
 * @reaping: a thread waits for the device
 * @dirty: the dirty inodes, a ring; the flusher's next one is first
 * @behind: blocks for the flusher, which takes those from the first on
 * @first_behind: the first one
 * @nr_behind: how many there are
 * @kicked: the flusher is to look
 * @frames_wanted: threads that wait for a frame
 * @nr_progress: counts what @progress says
 * @nr_stuck: counts how often the flusher could write nothing because writes had failed since it
 * last said so
 * @nr_unhelped: counts how often it had nothing to write, though threads waited for frames
 * @failed: a write failed since @nr_stuck was counted up
 * @last_error: of a write, or of an fsync of the flusher's
 * @nr_dirty: dirty pages of all inodes
 * @nr_writeback: pages under writeback
 */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t flush;
	pthread_cond_t populate;
	pthread_cond_t progress;
	struct write *unused;
	uint32_t nr_allocated;
	aio_context aio;
	uint32_t nr_in_flight;
	bool reaping;
	bool flusher_started;
	bool populator_started;
	bool populate_wanted;
	struct inode *dirty;
	struct block behind[NR_BEHIND];
	uint32_t first_behind;
	uint32_t nr_behind;
	uint32_t nr_waiting;
	uint64_t nr_progress;
	uint64_t nr_stuck;
	uint64_t nr_unhelped;
	bool failed;
	int last_error;
	_Atomic bool kicked;
	_Atomic uint32_t frames_wanted;
	_Atomic uint64_t nr_dirty;
	_Atomic uint64_t nr_writeback;
	_Atomic uint64_t background_pages;
	_Atomic uint64_t dirty_pages;
	_Atomic uint32_t dirty_expire;
	_Atomic uint32_t interval;
	_Atomic uint32_t max_in_flight;
} bdi = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.flush = PTHREAD_COND_INITIALIZER,
	.populate = PTHREAD_COND_INITIALIZER,
	.progress = PTHREAD_COND_INITIALIZER,
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The lock is held. */
static void note_progress(void)
{
	bdi.nr_progress++;
	if (bdi.nr_waiting > 0)
		pthread_cond_broadcast(&bdi.progress);
}

/* The lock is held, and released meanwhile. */
static void wait_for_progress(void)
{
	uint64_t seen = bdi.nr_progress;

	bdi.nr_waiting++;
	while (bdi.nr_progress == seen)
		pthread_cond_wait(&bdi.progress, &bdi.lock);
	bdi.nr_waiting--;
}

static void kick_flusher(void)
{
	if (atomic_exchange(&bdi.kicked, true))
		return;
	pthread_mutex_lock(&bdi.lock);
	pthread_cond_signal(&bdi.flush);
	pthread_mutex_unlock(&bdi.lock);
}

static bool over_background(void)
{
	return atomic_load_explicit(&bdi.nr_dirty, memory_order_relaxed) >
	       atomic_load_explicit(&bdi.background_pages, memory_order_relaxed);
}

bool writeback_over_limit(void)
{
	return atomic_load_explicit(&bdi.nr_dirty, memory_order_relaxed) +
		       atomic_load_explicit(&bdi.nr_writeback, memory_order_relaxed) >
	       atomic_load_explicit(&bdi.dirty_pages, memory_order_relaxed);
}

/* The list of dirty inodes is a ring. The lock is held. */
static void list_inode(struct inode *inode)
{
	if (atomic_load(&inode->on_dirty_list))
		return;
	atomic_store(&inode->on_dirty_list, true);
	inode->dirtied_when = now_ms();
	if (bdi.dirty == NULL) {
		inode->dirty_next = inode->dirty_prev = inode;
		bdi.dirty = inode;
	} else {
		inode->dirty_next = bdi.dirty;
		inode->dirty_prev = bdi.dirty->dirty_prev;
		inode->dirty_prev->dirty_next = inode;
		bdi.dirty->dirty_prev = inode;
	}
}

static void unlist_inode(struct inode *inode)
{
	if (!atomic_load(&inode->on_dirty_list))
		return;
	atomic_store(&inode->on_dirty_list, false);
	if (inode->dirty_next == inode) {
		bdi.dirty = NULL;
	} else {
		inode->dirty_next->dirty_prev = inode->dirty_prev;
		inode->dirty_prev->dirty_next = inode->dirty_next;
		if (bdi.dirty == inode)
			bdi.dirty = inode->dirty_next;
	}
}

/* A pass is over: an inode without a dirty page leaves the list, another one's time starts anew. */
static void requeue_inode(struct inode *inode)
{
	pthread_mutex_lock(&bdi.lock);
	if (atomic_load(&inode->on_dirty_list)) {
		/* A page that is dirtied from here on finds the inode not listed. */
		unlist_inode(inode);
		if (atomic_load(&inode->nr_dirty) != 0)
			list_inode(inode);
	}
	pthread_mutex_unlock(&bdi.lock);
}

/* The inode is about to be freed; it has no dirty page. */
void inode_forget(struct inode *inode)
{
	pthread_mutex_lock(&bdi.lock);
	unlist_inode(inode);
	pthread_mutex_unlock(&bdi.lock);
}

/*
 * A writer has begun with the page. Where it begins a block, it may have written the block before
 * it from the first page to the last: then it is not likely to come back, and the device can take
 * those pages while it goes on.
 */
void writeback_note_written(struct inode *inode, pgoff_t index)
{
	bool queued = false;

	if (index % BLOCK_PAGES != 0 || index == 0 ||
	    atomic_load_explicit(&bdi.nr_dirty, memory_order_relaxed) < WRITE_BEHIND_MIN ||
	    !filemap_block_dirty(&inode->mapping, index - 1))
		return;
	pthread_mutex_lock(&bdi.lock);
	if (bdi.nr_behind < NR_BEHIND) {
		inode_get(inode);
		bdi.behind[(bdi.first_behind + bdi.nr_behind++) % NR_BEHIND] =
			(struct block){inode, index - BLOCK_PAGES};
		queued = true;
	}
	pthread_mutex_unlock(&bdi.lock);
	if (queued)
		kick_flusher();
}

/* A page of the inode has become dirty. */
void writeback_account_dirtied(struct inode *inode)
{
	atomic_fetch_add(&inode->nr_dirty, 1);
	atomic_fetch_add_explicit(&bdi.nr_dirty, 1, memory_order_relaxed);
	if (!atomic_load(&inode->on_dirty_list)) {
		pthread_mutex_lock(&bdi.lock);
		list_inode(inode);
		pthread_mutex_unlock(&bdi.lock);
	}
	if (over_background() && !atomic_load_explicit(&bdi.kicked, memory_order_relaxed))
		kick_flusher();
}

/* A page of the inode is no longer dirty. */
void writeback_account_cleaned(struct inode *inode)
{
	atomic_fetch_sub(&inode->nr_dirty, 1);
	atomic_fetch_sub_explicit(&bdi.nr_dirty, 1, memory_order_relaxed);
}

static void count_device_write(struct inode *inode, uint64_t bytes)
{
	atomic_fetch_add_explicit(&inode->stats.device_writes, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&inode->stats.bytes_written, bytes, memory_order_relaxed);
}

/* pwritev(2), all of it. Returns how many bytes are in the file; *error says why not all. */
static size_t write_fully(struct inode *inode, int fd, struct iovec *iov, int nr, int64_t position,
			  int *error)
{
	size_t done = 0;

	*error = 0;
	while (nr > 0) {
		ssize_t n = pwritev(fd, iov, nr, position + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			/* A regular file takes something or gives an error; asking for ever would
			 * hang. */
			*error = n < 0 ? -errno : -EIO;
			break;
		}
		count_device_write(inode, (uint64_t)n);
		done += (size_t)n;
		while (nr > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			nr--;
		}
		if (nr > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return done;
}

/* The bytes of frames, @length together; frames that follow one another in memory are one piece. */
static int fill_iov(struct iovec *iov, const frame_t *frames, size_t length)
{
	int nr = 0;

	for (; length > 0; frames++) {
		size_t n = length < PAGE_SIZE ? length : PAGE_SIZE;
		char *bytes = frame_bytes(*frames);

		if (nr > 0 && (char *)iov[nr - 1].iov_base + iov[nr - 1].iov_len == bytes)
			iov[nr - 1].iov_len += n;
		else
			iov[nr++] = (struct iovec){bytes, n};
		length -= n;
	}
	return nr;
}

/* How much of a write is to go directly to the device. */
static size_t direct_length(const struct write *write)
{
	struct inode *inode = write->inode;
	size_t whole = write->length & ~(size_t)(PAGE_SIZE - 1);

	if (whole < DIRECT_MIN && inode->direct != DIRECT_ALWAYS)
		return 0;
	return inode_direct_fd(inode) >= 0 ? whole : 0;
}

/* Puts the write into the file, of which @done bytes are there. Returns how many there are then. */
static size_t put_to_file(struct write *write, size_t done, int *error)
{
	struct inode *inode = write->inode;
	int64_t position = (int64_t)(write->index << PAGE_SHIFT);
	size_t direct = direct_length(write);

	*error = 0;
	if (done < direct) {
		done += write_fully(
			inode, inode_direct_fd(inode), write->iov,
			fill_iov(write->iov, write->frames + (done >> PAGE_SHIFT), direct - done),
			position + (int64_t)done, error);
		/* What was short by less than a page is written again: the rest has to be aligned.
		 */
		done &= ~(size_t)(PAGE_SIZE - 1);
		if (*error != 0 && *error != -EINVAL)
			return done;
		/* EINVAL: short writes left the rest unaligned, or the file system changed its
		 * mind. */
		*error = 0;
	}
	if (done < write->length)
		done += write_fully(inode, inode->fd, write->iov,
				    fill_iov(write->iov, write->frames + (done >> PAGE_SHIFT),
					     write->length - done),
				    position + (int64_t)done, error);
	return done;
}

/* The flusher leaves the inode alone for a while. The lock is held. */
static void note_failure(struct inode *inode, int error)
{
	uint32_t interval = atomic_load(&bdi.interval);

	inode->retry_at = now_ms() + (interval != 0 ? interval : RETRY_MS);
	bdi.last_error = error;
	bdi.failed = true;
}

/* Ends a write, of which @done bytes are in the file; @error says why not all. */
static void end_write(struct write *write, size_t done, int error)
{
	struct inode *inode = write->inode;
	struct address_space *mapping = &inode->mapping;
	uint32_t epoch = atomic_load(&inode->sync_epoch);
	struct pass *pass = write->pass;
	uint32_t nr = write->nr;
	uint32_t written = error == 0 ? nr : (uint32_t)(done >> PAGE_SHIFT);

	if (error != 0)
		errseq_set(&inode->wb_err, error);
	for (uint32_t i = 0; i < nr; i++) {
		struct folio *folio = write->folios[i];

		if (i < written)
			atomic_store_explicit(&page_frame(write->frames[i])->epoch, epoch,
					      memory_order_relaxed);
		else if (folio_mark_dirty(mapping, folio))
			writeback_account_dirtied(inode);
		folio_end_writeback(mapping, folio);
		folio_put(mapping, folio);
		frame_put(write->frames[i]);
	}
	atomic_fetch_add_explicit(&inode->nr_unsynced, written, memory_order_relaxed);
	atomic_fetch_add_explicit(&inode->stats.folios_written, written, memory_order_relaxed);
	atomic_fetch_sub(&inode->nr_writeback, nr);
	atomic_fetch_sub(&bdi.nr_writeback, nr);

	pthread_mutex_lock(&bdi.lock);
	pass->nr_pages += written;
	if (error != 0) {
		if (pass->error == 0)
			pass->error = error;
		note_failure(inode, error);
	}
	pass->nr_writes--;
	write->next = bdi.unused;
	bdi.unused = write;
	note_progress();
	pthread_mutex_unlock(&bdi.lock);
	inode_put(inode);
}

/* The device is done with a write, or refused it. What it did not take is tried once more. */
static void complete_write(struct write *write, int64_t result)
{
	size_t done = 0;
	int error = 0;

	if (result > 0) {
		count_device_write(write->inode, (uint64_t)result);
		done = (size_t)result & ~(size_t)(PAGE_SIZE - 1);
	} else if (result != -EINVAL && result != -EAGAIN && result != -EINTR) {
		/* A regular file takes something or gives an error. */
		error = result != 0 ? (int)result : -EIO;
	}
	if (error == 0)
		done = put_to_file(write, done, &error);
	end_write(write, done, error);
}

/*
 * Ends the writes that the device has done, after waiting for @min of them. Each end is progress:
 * of the threads that see it, one waits for the device next. The lock is held, and released
 * meanwhile.
 */
static void reap_writes(unsigned int min)
{
	struct io_event events[REAP_BATCH];
	int nr;

	bdi.reaping = true;
	pthread_mutex_unlock(&bdi.lock);
	do
		nr = io_getevents(bdi.aio, min, REAP_BATCH, events);
	while (nr == -EINTR);
	assert(nr >= (int)min);
	pthread_mutex_lock(&bdi.lock);
	bdi.nr_in_flight -= (uint32_t)nr;
	bdi.reaping = false;
	pthread_mutex_unlock(&bdi.lock);
	for (int i = 0; i < nr; i++)
		complete_write((struct write *)(uintptr_t)events[i].data, events[i].result);
	pthread_mutex_lock(&bdi.lock);
}

/* Waits until a write ends, of whatever pass. The lock is held, and released meanwhile. */
static void wait_for_write(void)
{
	if (bdi.nr_in_flight > 0 && !bdi.reaping)
		reap_writes(1);
	else
		wait_for_progress();
}

/* Has the device take the whole pages of a write; complete_write() is called when it has. Returns
 * false where the caller is to write. */
static bool submit_direct(struct write *write)
{
	struct inode *inode = write->inode;
	size_t length = direct_length(write);

	if (length == 0 || bdi.aio == 0)
		return false;
	prepare_pwritev(&write->iocb, inode_direct_fd(inode), write->iov,
			fill_iov(write->iov, write->frames, length),
			(int64_t)(write->index << PAGE_SHIFT), write);
	pthread_mutex_lock(&bdi.lock);
	while (bdi.nr_in_flight >= atomic_load(&bdi.max_in_flight))
		wait_for_write();
	bdi.nr_in_flight++;
	pthread_mutex_unlock(&bdi.lock);
	if (io_submit(bdi.aio, &write->iocb) == 0)
		return true;
	pthread_mutex_lock(&bdi.lock);
	bdi.nr_in_flight--;
	note_progress();
	pthread_mutex_unlock(&bdi.lock);
	return false;
}

/* Puts pages to the file; their writeback ends when they are there. */
static void start_write(struct write *write)
{
	struct inode *inode = write->inode;
	int64_t position = (int64_t)(write->index << PAGE_SHIFT);
	int64_t left = atomic_load(&inode->size) - position;
	size_t done = 0;
	int error = 0;

	write->length = (size_t)write->nr << PAGE_SHIFT;
	/* Truncation cut the pages off, and waits for their writeback to end. */
	if (left < (int64_t)write->length)
		write->length = left > 0 ? (size_t)left : 0;
	if (write->length > 0) {
		error = inode_extend_disk_size(inode, position + (int64_t)write->length);
		if (error == 0 && submit_direct(write))
			return;
		if (error == 0)
			done = put_to_file(write, 0, &error);
	}
	end_write(write, done, error);
}

/* Starts a thread of the engine. No signal handler of the program runs there. */
int start_engine_thread(void *(*function)(void *))
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, old;
	int err;

	sigfillset(&all);
	if (pthread_attr_init(&attributes) != 0)
		return -ENOMEM;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attributes, function, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return -err;
}

/* A write that is not in use. */
static struct write *get_write(void)
{
	struct write *write;

	pthread_mutex_lock(&bdi.lock);
	while ((write = bdi.unused) == NULL) {
		if (bdi.nr_allocated < NR_WRITES &&
		    (write = page_cache_alloc(sizeof(*write))) != NULL) {
			bdi.nr_allocated++;
			break;
		}
		wait_for_write();
	}
	if (write == bdi.unused)
		bdi.unused = write->next;
	pthread_mutex_unlock(&bdi.lock);
	write->nr = 0;
	return write;
}

static void put_write(struct write *write)
{
	pthread_mutex_lock(&bdi.lock);
	write->next = bdi.unused;
	bdi.unused = write;
	pthread_mutex_unlock(&bdi.lock);
}

static bool write_takes(const struct write *write, pgoff_t index)
{
	return write->nr > 0 && write->nr < WRITE_PAGES && write->index + write->nr == index;
}

/* Adds a folio, which is under writeback, with references to both. */
static void write_add(struct write *write, struct pass *pass, struct inode *inode,
		      struct folio *folio, frame_t frame)
{
	if (write->nr == 0) {
		inode_get(inode);
		write->inode = inode;
		write->pass = pass;
		write->index = folio_index(folio);
		pthread_mutex_lock(&bdi.lock);
		pass->nr_writes++;
		pthread_mutex_unlock(&bdi.lock);
	}
	write->folios[write->nr] = folio;
	write->frames[write->nr++] = frame;
}

static int pass_error(struct pass *pass)
{
	int error;

	pthread_mutex_lock(&bdi.lock);
	error = pass->error;
	pthread_mutex_unlock(&bdi.lock);
	return error;
}

/* Waits for the writes of a pass. */
static void wait_for_pass(struct pass *pass)
{
	pthread_mutex_lock(&bdi.lock);
	while (pass->nr_writes > 0)
		wait_for_write();
	pthread_mutex_unlock(&bdi.lock);
}

/* One pass of writeback_iter(): starts its writes. */
static void start_writepages(struct inode *inode, struct writeback_control *wbc, struct pass *pass)
{
	struct address_space *mapping = &inode->mapping;
	struct write *write = get_write();
	struct folio *folio = NULL;
	int error = 0;

	atomic_fetch_add_explicit(&inode->stats.passes, 1, memory_order_relaxed);
	while ((folio = writeback_iter(mapping, wbc, folio, &error)) != NULL) {
		frame_t frame = *folio_frame(folio);

		folio_get(folio);
		frame_get(frame);
		atomic_fetch_add(&inode->nr_writeback, 1);
		atomic_fetch_add(&bdi.nr_writeback, 1);
		folio_start_writeback(mapping, folio, false);
		writeback_account_cleaned(inode);
		folio_unlock(mapping, folio);
		if (write->nr > 0 && !write_takes(write, folio_index(folio))) {
			start_write(write);
			write = get_write();
			if (wbc->sync_mode == WB_SYNC_NONE)
				error = pass_error(pass);
		}
		write_add(write, pass, inode, folio, frame);
	}
	if (write->nr > 0)
		start_write(write);
	else
		put_write(write);
	requeue_inode(inode);
}

/* One pass of writeback_iter(), to the end of its writes. */
static void do_writepages(struct inode *inode, struct writeback_control *wbc, struct pass *pass)
{
	start_writepages(inode, wbc, pass);
	wait_for_pass(pass);
}

/* Waits for the writeback of others: filemap_fdatawait_range(). */
static void wait_for_writeback(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct folio_batch fbatch;

	folio_batch_init(&fbatch);
	while (start <= end && filemap_get_folios_tag(&inode->mapping, &start, end,
						      PAGECACHE_TAG_WRITEBACK, &fbatch) != 0) {
		for (uint32_t i = 0; i < fbatch.nr; i++) {
			int err = folio_wait_writeback(&inode->mapping, fbatch.folios[i]);

			assert(err == 0);
			(void)err;
		}
		folio_batch_release(&inode->mapping, &fbatch);
	}
}

/* Writes every page of the bytes from @start to @end that is dirty now. */
int inode_write_and_wait(struct inode *inode, int64_t start, int64_t end)
{
	struct pass pass = {0};
	struct writeback_control wbc = {
		.nr_to_write = INT64_MAX,
		.range_start = start,
		.range_end = end,
		.sync_mode = WB_SYNC_ALL,
	};

	if (atomic_load(&inode->nr_dirty) != 0)
		do_writepages(inode, &wbc, &pass);
	if (atomic_load(&inode->nr_writeback) != 0)
		wait_for_writeback(inode, (pgoff_t)start >> PAGE_SHIFT, (pgoff_t)end >> PAGE_SHIFT);
	/* The page that made the file longer may be gone since: deallocated, and its hole is
	 * written, too. */
	if (pass.error == 0 && atomic_load(&inode->disk_size) < atomic_load(&inode->size))
		pass.error = inode_extend_disk_size(inode, atomic_load(&inode->size));
	return pass.error;
}

/* Writes about @nr_to_write pages, from where the last pass stopped. */
int64_t inode_writeback(struct inode *inode, int64_t nr_to_write)
{
	struct pass pass = {0};
	struct writeback_control wbc = {
		.nr_to_write = nr_to_write,
		.sync_mode = WB_SYNC_NONE,
		.range_cyclic = true,
	};

	do_writepages(inode, &wbc, &pass);
	/* A pass does not wrap: dirty pages before its start need a second one. */
	if (pass.error == 0 && wbc.nr_to_write > 0 && atomic_load(&inode->nr_dirty) != 0)
		do_writepages(inode, &wbc, &pass);
	return pass.error != 0 ? pass.error : (int64_t)pass.nr_pages;
}

/* The device refused: what it took since the last good fsync may be lost, so it is to be written
 * again. */
static void redirty_unsynced(struct inode *inode)
{
	struct address_space *mapping = &inode->mapping;
	uint32_t stable = atomic_load(&inode->stable_epoch);
	struct frame_use uses[32];
	frame_t from = 0;
	uint32_t nr;

	while ((nr = frames_of(inode, &from, uses, 32)) != 0) {
		for (uint32_t i = 0; i < nr; i++) {
			struct folio *folio = filemap_get_folio(mapping, uses[i].index);
			int err;

			if (folio == NULL)
				continue;
			err = folio_lock(mapping, folio);
			assert(err == 0);
			(void)err;
			/* What is under way may have been taken, too, before the device refused. */
			if (folio_test_cached(folio) && *folio_frame(folio) == uses[i].frame &&
			    (atomic_load(&page_frame(uses[i].frame)->epoch) >= stable ||
			     folio_test_writeback(folio)) &&
			    folio_mark_dirty(mapping, folio))
				writeback_account_dirtied(inode);
			folio_unlock(mapping, folio);
			folio_put(mapping, folio);
		}
	}
}

/* Makes the device keep the written pages. */
static int sync_device(struct inode *inode, bool data_only)
{
	uint64_t unsynced;
	uint32_t epoch;
	int err;

	pthread_mutex_lock(&inode->sync_lock);
	unsynced = atomic_load(&inode->nr_unsynced);
	/* Writes that end from here on note a later epoch. */
	epoch = atomic_fetch_add(&inode->sync_epoch, 1) + 1;
	do
		err = (data_only ? fdatasync(inode->fd) : fsync(inode->fd)) == 0 ? 0 : -errno;
	while (err == -EINTR);
	if (err != 0) {
		errseq_set(&inode->wb_err, err);
		redirty_unsynced(inode);
	} else {
		atomic_store(&inode->stable_epoch, epoch);
		atomic_fetch_sub(&inode->nr_unsynced, unsynced);
	}
	pthread_mutex_unlock(&inode->sync_lock);
	if (err == 0)
		writeback_note_progress();
	return err;
}

/* vfs_fsync_range(): the error of this write-back; the file's error sequence has it, too. */
int inode_fsync(struct inode *inode, int64_t start, int64_t end, bool data_only)
{
	int err = inode_write_and_wait(inode, start, end);

	return err != 0 ? err : sync_device(inode, data_only);
}

/*
 * The next inode that the flusher has to write, with a reference, or NULL: for the background limit
 * some pages of it, else all. The lock is held.
 */
static struct inode *next_dirty(int64_t now, bool background, int64_t *wake_at,
				struct writeback_control *wbc)
{
	uint32_t expire = atomic_load(&bdi.dirty_expire);
	struct inode *inode = bdi.dirty;

	if (inode == NULL)
		return NULL;
	*wbc = (struct writeback_control){
		.nr_to_write = background ? MAX_WRITEBACK_PAGES : INT64_MAX,
		.sync_mode = WB_SYNC_NONE,
		.range_cyclic = background,
		.range_end = INT64_MAX,
		.tagged_writepages = !background,
	};
	do {
		int64_t due = background ? now : inode->dirtied_when + expire;

		if (due < inode->retry_at)
			due = inode->retry_at;
		if (due <= now) {
			bdi.dirty = inode->dirty_next;
			inode_get(inode);
			return inode;
		}
		if (due < *wake_at)
			*wake_at = due;
		inode = inode->dirty_next;
	} while (inode != bdi.dirty);
	return NULL;
}

/* Pages that were written and not synced cannot be reclaimed. */
static void sync_unsynced(struct inode *inode, void *at_least)
{
	int err;

	if (atomic_load(&inode->nr_unsynced) < *(const uint64_t *)at_least)
		return;
	err = sync_device(inode, true);
	if (err != 0) {
		pthread_mutex_lock(&bdi.lock);
		note_failure(inode, err);
		pthread_mutex_unlock(&bdi.lock);
	}
}

/* Syncs the inodes that have written at least @at_least pages since they were synced last. */
static void sync_inodes(uint64_t at_least)
{
	inode_for_each(sync_unsynced, &at_least);
}

static void wait_for_work(int64_t wake_at)
{
	struct timespec until = {wake_at / 1000, wake_at % 1000 * 1000000};

	pthread_cond_timedwait(&bdi.flush, &bdi.lock, &until);
}

/*
 * Starts writes, and does not wait for them: the device would be idle between one pass and the
 * next. Returns false if there was nothing to write.
 */
static bool flush_inode(struct inode *inode, struct writeback_control *wbc)
{
	/* An error of an earlier call's write may end this one early: the flusher comes back. */
	static struct pass pass;
	int64_t nr_to_write = wbc->nr_to_write;

	pthread_mutex_lock(&bdi.lock);
	pass.error = 0;
	pthread_mutex_unlock(&bdi.lock);
	start_writepages(inode, wbc, &pass);
	if (frames_are_short())
		sync_inodes(frames_limit() / 8);
	return wbc->nr_to_write < nr_to_write;
}

/*
 * The next blocks to write behind a writer, as many as one write takes: their inode, with a
 * reference, or NULL. The lock is held.
 */
static struct inode *next_behind(struct writeback_control *wbc)
{
	struct block *block = &bdi.behind[bdi.first_behind];
	struct inode *inode = block->inode;
	pgoff_t start = block->index;
	pgoff_t end = start;

	if (bdi.nr_behind == 0)
		return NULL;
	do {
		/* The first reference stays. */
		if (end != start)
			inode_put(inode);
		end += BLOCK_PAGES;
		bdi.first_behind = (bdi.first_behind + 1) % NR_BEHIND;
		bdi.nr_behind--;
		block = &bdi.behind[bdi.first_behind];
	} while (bdi.nr_behind > 0 && block->inode == inode && block->index == end &&
		 end - start < WRITE_PAGES);
	*wbc = (struct writeback_control){
		.nr_to_write = INT64_MAX,
		.sync_mode = WB_SYNC_NONE,
		.range_start = (int64_t)(start << PAGE_SHIFT),
		.range_end = (int64_t)(end << PAGE_SHIFT) - 1,
	};
	return inode;
}

/*
 * Threads wait, but there is nothing that the flusher could write now. They look again, and give up
 * if writes keep failing, or if others keep all frames. The lock is held.
 */
static void note_no_progress(void)
{
	if (atomic_load(&bdi.nr_writeback) == 0) {
		if (bdi.failed)
			bdi.nr_stuck++;
		else if (bdi.dirty == NULL)
			bdi.nr_unhelped++;
		bdi.failed = false;
	}
	note_progress();
}

static void *flusher_thread(void *unused)
{
	int64_t trim_at = 0;

	(void)unused;
	pthread_mutex_lock(&bdi.lock);
	for (;;) {
		uint32_t interval = atomic_load(&bdi.interval);
		int64_t now = now_ms();
		int64_t pause = interval != 0 ? interval : TRIM_MS;
		int64_t wake_at = now + pause;
		bool background, wanted, started;
		struct writeback_control wbc;
		struct inode *inode;

		/* A kick that comes after this finds the flusher asleep, or the lock taken. */
		atomic_store(&bdi.kicked, false);
		wanted = atomic_load(&bdi.frames_wanted) != 0 || writeback_over_limit();
		background = wanted || over_background();
		inode = next_behind(&wbc);
		if (inode == NULL && (background || interval != 0))
			inode = next_dirty(now, background, &wake_at, &wbc);
		started = false;
		if (inode != NULL) {
			pthread_mutex_unlock(&bdi.lock);
			started = flush_inode(inode, &wbc);
			inode_put(inode);
			pthread_mutex_lock(&bdi.lock);
		}
		/* No other thread waits for the writes that the flusher started. */
		if (started && bdi.nr_in_flight > 0 && !bdi.reaping)
			reap_writes(0);
		else if (!started && bdi.nr_in_flight > 0)
			wait_for_write();
		if (inode != NULL || bdi.nr_in_flight > 0)
			continue;
		if (wanted) {
			pthread_mutex_unlock(&bdi.lock);
			sync_inodes(1);
			pthread_mutex_lock(&bdi.lock);
			note_no_progress();
			wake_at = now + 1;
		}
		/* Those that wait kick again at once; what they wait for takes longer. */
		if (wanted || !atomic_load(&bdi.kicked))
			wait_for_work(wake_at);
		if (now >= trim_at) {
			pthread_mutex_unlock(&bdi.lock);
			frames_trim();
			pthread_mutex_lock(&bdi.lock);
			trim_at = now + pause;
		}
	}
	return NULL;
}

static void *populator_thread(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&bdi.lock);
	for (;;) {
		while (!bdi.populate_wanted)
			pthread_cond_wait(&bdi.populate, &bdi.lock);
		bdi.populate_wanted = false;
		pthread_mutex_unlock(&bdi.lock);
		frames_populate();
		pthread_mutex_lock(&bdi.lock);
	}
	return NULL;
}

void writeback_wake_populator(void)
{
	pthread_mutex_lock(&bdi.lock);
	bdi.populate_wanted = true;
	pthread_cond_signal(&bdi.populate);
	pthread_mutex_unlock(&bdi.lock);
}

/* Wakes threads that wait for frames, or for fewer dirty pages. */
void writeback_note_progress(void)
{
	pthread_mutex_lock(&bdi.lock);
	note_progress();
	pthread_mutex_unlock(&bdi.lock);
}

void writeback_frame_freed(void)
{
	if (atomic_load(&bdi.frames_wanted) != 0)
		writeback_note_progress();
}

/**
 * writeback_wait_for_frame - a frame, once write-back has cleaned a page
 * @owner: whose page
 * @index: which page
 * @error: set if there will be none: the error of writes that fail
 */
frame_t writeback_wait_for_frame(struct inode *owner, pgoff_t index, int *error)
{
	uint64_t seen, stuck, unhelped;
	frame_t frame;

	atomic_fetch_add(&bdi.frames_wanted, 1);
	pthread_mutex_lock(&bdi.lock);
	stuck = bdi.nr_stuck + GIVE_UP_STUCK;
	unhelped = bdi.nr_unhelped + GIVE_UP_UNHELPED;
	for (;;) {
		bool failing = bdi.nr_stuck >= stuck;
		bool last = failing || bdi.nr_unhelped >= unhelped;

		seen = bdi.nr_progress;
		pthread_mutex_unlock(&bdi.lock);
		frame = frame_take(owner, index);
		if (frame == 0)
			frame = reclaim_frame(owner, index);
		if (frame == 0)
			kick_flusher();
		pthread_mutex_lock(&bdi.lock);
		if (frame != 0)
			break;
		if (last) {
			*error = failing ? bdi.last_error : -ENOMEM;
			break;
		}
		if (bdi.nr_progress == seen)
			wait_for_progress();
	}
	pthread_mutex_unlock(&bdi.lock);
	atomic_fetch_sub(&bdi.frames_wanted, 1);
	return frame;
}

/* Holds a write back while too many pages are dirty, unless no write succeeds. */
void balance_dirty_pages(void)
{
	uint64_t stuck;

	if (!writeback_over_limit())
		return;
	pthread_mutex_lock(&bdi.lock);
	stuck = bdi.nr_stuck + GIVE_UP_STUCK;
	while (writeback_over_limit() && bdi.nr_stuck < stuck) {
		uint64_t seen = bdi.nr_progress;

		pthread_mutex_unlock(&bdi.lock);
		kick_flusher();
		pthread_mutex_lock(&bdi.lock);
		if (bdi.nr_progress == seen && writeback_over_limit())
			wait_for_progress();
	}
	pthread_mutex_unlock(&bdi.lock);
}

void writeback_set_limits(const struct file_limits *limits)
{
	atomic_store(&bdi.background_pages, limits->dirty_background >> PAGE_SHIFT);
	atomic_store(&bdi.dirty_pages, limits->dirty >> PAGE_SHIFT);
	atomic_store(&bdi.dirty_expire, limits->dirty_expire);
	atomic_store(&bdi.interval, limits->writeback_interval);
	pthread_mutex_lock(&bdi.lock);
	atomic_store(&bdi.max_in_flight,
		     limits->writers < MAX_IN_FLIGHT ? limits->writers : MAX_IN_FLIGHT);
	note_progress();
	pthread_cond_signal(&bdi.flush);
	pthread_mutex_unlock(&bdi.lock);
}

/* Starts the flusher and the populator, once; what failed is tried again by the next call. */
int writeback_start(void)
{
	pthread_condattr_t monotonic;
	int err = 0;

	pthread_mutex_lock(&bdi.lock);
	if (bdi.nr_allocated == 0) {
		/* So that get_write() always has one to wait for. */
		bdi.unused = page_cache_alloc(sizeof(*bdi.unused));
		if (bdi.unused == NULL) {
			err = -ENOMEM;
		} else {
			bdi.nr_allocated = 1;
			/* Without it, each thread that makes a pass waits for each of its writes.
			 */
			if (io_setup(MAX_IN_FLIGHT, &bdi.aio) != 0)
				bdi.aio = 0;
			pthread_condattr_init(&monotonic);
			pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
			pthread_cond_init(&bdi.flush, &monotonic);
			pthread_condattr_destroy(&monotonic);
		}
	}
	if (err == 0 && !bdi.flusher_started) {
		err = start_engine_thread(flusher_thread);
		bdi.flusher_started = err == 0;
	}
	if (err == 0 && !bdi.populator_started) {
		err = start_engine_thread(populator_thread);
		bdi.populator_started = err == 0;
	}
	pthread_mutex_unlock(&bdi.lock);
	return err;
}
