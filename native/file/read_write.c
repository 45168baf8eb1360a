// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads, writes and truncation of a file's cache. After mm/filemap.c and mm/truncate.c.
 *
 * A folio without a frame has no data yet: the thread that holds its lock reads it from the file.
 * Bytes of a frame that are behind the end of the file are zero.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "page_frame.h"
#include "writeback.h"

/* Pages of one readahead at most, and to begin with: 1 MiB and 64 KiB. */
#define READAHEAD_MAX 256U
#define READAHEAD_MIN 16U

static int take_frame(struct inode *inode, pgoff_t index, bool nowait, frame_t *frame)
{
	int err = 0;

	*frame = frame_take(inode, index);
	if (*frame == 0)
		*frame = reclaim_frame(inode, index);
	if (*frame == 0) {
		if (nowait)
			return -EAGAIN;
		*frame = writeback_wait_for_frame(inode, index, &err);
	}
	return err;
}

/* Adds a folio without a frame. */
static int add_folio(struct inode *inode, pgoff_t index)
{
	struct folio *folio;
	int err = filemap_add_folio(&inode->mapping, index, 0, &folio);

	if (err != -ENOSPC)
		return err;
	err = inode_add_chunk(inode);
	return err != 0 ? err : filemap_add_folio(&inode->mapping, index, 0, &folio);
}

/* Gives up a locked folio that has no frame, and the caller's reference. */
static void give_up_folio(struct inode *inode, struct folio *folio)
{
	int err = remove_mapping(&inode->mapping, folio);

	assert(err == 0);
	(void)err;
	folio_unlock(&inode->mapping, folio);
	folio_put(&inode->mapping, folio);
}

/*
 * The folio of a page, in the cache, locked, with a reference. If it has no frame, *spare is one.
 * No thread waits for a frame while it holds a folio's lock: write-back might need that folio to
 * free one.
 */
static int get_locked_folio(struct inode *inode, pgoff_t index, bool nowait, frame_t *spare,
			    struct folio **foliop)
{
	struct address_space *mapping = &inode->mapping;

	for (;;) {
		struct folio *folio = filemap_get_folio(mapping, index);
		int err = 0;

		if (folio == NULL) {
			if (*spare == 0)
				err = take_frame(inode, index, nowait, spare);
			if (err == 0)
				err = add_folio(inode, index);
			if (err != 0 && err != -EEXIST)
				return err;
			continue;
		}
		if (!folio_trylock(folio)) {
			if (nowait)
				err = -EAGAIN;
			else
				err = folio_lock(mapping, folio);
			if (err != 0) {
				folio_put(mapping, folio);
				return err;
			}
		}
		if (likely(folio_test_cached(folio) && (*folio_frame(folio) != 0 || *spare != 0))) {
			*foliop = folio;
			return 0;
		}
		if (folio_test_cached(folio)) {
			folio_unlock(mapping, folio);
			err = take_frame(inode, index, nowait, spare);
		} else {
			folio_unlock(mapping, folio);
		}
		folio_put(mapping, folio);
		if (err != 0)
			return err;
	}
}

/* Bytes of the file on the disk that the page has. */
static size_t bytes_on_disk(struct inode *inode, pgoff_t index)
{
	int64_t start = (int64_t)(index << PAGE_SHIFT);
	int64_t end = atomic_load(&inode->disk_size);
	int64_t size = atomic_load(&inode->size);

	if (size < end)
		end = size;
	if (end <= start)
		return 0;
	return end - start < PAGE_SIZE ? (size_t)(end - start) : PAGE_SIZE;
}

/* Reads what the file has of neighbouring pages into frames, zeros behind its end. */
static int read_frames(struct inode *inode, pgoff_t index, const frame_t *frames, uint32_t nr)
{
	struct iovec iov[READAHEAD_MAX];
	int64_t position = (int64_t)(index << PAGE_SHIFT);
	size_t length = 0;
	size_t done = 0;

	for (uint32_t i = 0; i < nr; i++) {
		size_t valid = bytes_on_disk(inode, index + i);

		iov[i] = (struct iovec){frame_bytes(frames[i]), valid};
		memset(frame_bytes(frames[i]) + valid, 0, PAGE_SIZE - valid);
		length += valid;
	}
	for (uint32_t i = 0; done < length;) {
		ssize_t n = preadv(inode->fd, iov + i, (int)(nr - i), position + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* Another process made the file shorter. */
		if (n == 0) {
			for (; i < nr; i++)
				memset(iov[i].iov_base, 0, iov[i].iov_len);
			break;
		}
		done += (size_t)n;
		atomic_fetch_add_explicit(&inode->stats.device_reads, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&inode->stats.bytes_read, (uint64_t)n,
					  memory_order_relaxed);
		for (size_t rest = (size_t)n; rest > 0;) {
			size_t part = rest < iov[i].iov_len ? rest : iov[i].iov_len;

			iov[i].iov_base = (char *)iov[i].iov_base + part;
			iov[i].iov_len -= part;
			rest -= part;
			while (i < nr && iov[i].iov_len == 0)
				i++;
		}
	}
	return 0;
}

/*
 * Brings up to @nr pages from @index on into the cache: the first one, and those behind it that are
 * not there and for which a frame can be had at once.
 */
static int read_pages(struct inode *inode, pgoff_t index, uint32_t nr)
{
	struct address_space *mapping = &inode->mapping;
	struct folio *folios[READAHEAD_MAX];
	frame_t frames[READAHEAD_MAX];
	frame_t spare = 0;
	uint32_t n = 0;
	int err;

	err = get_locked_folio(inode, index, false, &spare, &folios[0]);
	if (err == 0 && *folio_frame(folios[0]) != 0) {
		folio_unlock(mapping, folios[0]);
		folio_put(mapping, folios[0]);
	} else if (err == 0) {
		frames[n++] = spare;
		spare = 0;
	}
	while (n > 0 && n < nr && n < READAHEAD_MAX) {
		struct folio *folio;

		if (take_frame(inode, index + n, true, &spare) != 0)
			break;
		if (add_folio(inode, index + n) != 0)
			break;
		folio = filemap_get_folio(mapping, index + n);
		if (folio == NULL)
			break;
		if (!folio_trylock(folio)) {
			folio_put(mapping, folio);
			break;
		}
		if (!folio_test_cached(folio) || *folio_frame(folio) != 0) {
			folio_unlock(mapping, folio);
			folio_put(mapping, folio);
			break;
		}
		folios[n] = folio;
		frames[n++] = spare;
		spare = 0;
	}
	if (spare != 0)
		frame_put(spare);
	if (n == 0)
		return err;
	err = read_frames(inode, index, frames, n);
	for (uint32_t i = 0; i < n; i++) {
		if (err != 0) {
			give_up_folio(inode, folios[i]);
			frame_put(frames[i]);
			continue;
		}
		*folio_frame(folios[i]) = frames[i];
		folio_unlock(mapping, folios[i]);
		folio_put(mapping, folios[i]);
	}
	return err;
}

/* How many pages to read from @index on for a read of @nr pages. */
static uint32_t readahead_pages(struct file *file, int64_t position, pgoff_t index, uint64_t nr)
{
	int64_t size = atomic_load(&file->inode->size);
	uint64_t left = (uint64_t)(size + PAGE_SIZE - 1) / PAGE_SIZE - index;
	uint32_t window = atomic_load_explicit(&file->read_window, memory_order_relaxed);
	int64_t read_end = atomic_load_explicit(&file->read_end, memory_order_relaxed);

	if (position == read_end && position != 0) {
		window = window < READAHEAD_MIN ? READAHEAD_MIN : window * 2;
		if (window > READAHEAD_MAX)
			window = READAHEAD_MAX;
		atomic_store_explicit(&file->read_window, window, memory_order_relaxed);
		/* No more than a part of the cache, which others use, too. */
		if (window > frames_limit() / 8)
			window = (uint32_t)(frames_limit() / 8) + 1;
		if (nr < window)
			nr = window;
	} else if (position != read_end) {
		atomic_store_explicit(&file->read_window, 0, memory_order_relaxed);
	}
	if (nr > left)
		nr = left;
	return nr < READAHEAD_MAX ? (uint32_t)nr : READAHEAD_MAX;
}

/* One page's share of a read: -ENODATA where the page is not there. */
static int read_page(struct inode *inode, char *into, pgoff_t index, size_t offset, size_t n,
		     bool nowait)
{
	struct address_space *mapping = &inode->mapping;
	struct folio *folio = filemap_get_folio(mapping, index);
	frame_t frame = 0;

	if (folio == NULL)
		return -ENODATA;
	if (!folio_trylock(folio)) {
		int err = nowait ? -EAGAIN : folio_lock(mapping, folio);

		if (err != 0) {
			folio_put(mapping, folio);
			return err;
		}
	}
	if (folio_test_cached(folio))
		frame = *folio_frame(folio);
	if (frame != 0) {
		frame_mark_accessed(frame);
		memcpy(into, frame_bytes(frame) + offset, n);
	}
	folio_unlock(mapping, folio);
	folio_put(mapping, folio);
	return frame != 0 ? 0 : -ENODATA;
}

/**
 * inode_read - read bytes through the cache
 * @file: the handle
 * @into: gets them
 * @length: how many
 * @position: from where
 * @nowait: -EAGAIN rather than sleep
 *
 * Return: how many bytes, fewer than @length only at the end of the file; or a negative errno.
 */
int64_t inode_read(struct file *file, char *into, size_t length, int64_t position, bool nowait)
{
	struct inode *inode = file->inode;
	size_t done = 0;
	int err = 0;
	int64_t size;

	if (!nowait)
		pthread_rwlock_rdlock(&inode->invalidate_lock);
	else if (pthread_rwlock_tryrdlock(&inode->invalidate_lock) != 0)
		return -EAGAIN;
	size = atomic_load(&inode->size);
	if (position >= size)
		length = 0;
	else if ((int64_t)length > size - position)
		length = (size_t)(size - position);
	while (done < length) {
		int64_t at = position + (int64_t)done;
		pgoff_t index = (pgoff_t)at >> PAGE_SHIFT;
		size_t offset = (size_t)at & (PAGE_SIZE - 1);
		size_t n = PAGE_SIZE - offset;

		if (n > length - done)
			n = length - done;
		err = read_page(inode, into + done, index, offset, n, nowait);
		if (err == -ENODATA) {
			uint64_t nr = (offset + (length - done) + PAGE_SIZE - 1) / PAGE_SIZE;

			err = -EAGAIN;
			if (nowait)
				break;
			err = read_pages(inode, index, readahead_pages(file, position, index, nr));
			if (err == 0)
				continue;
		}
		if (err != 0)
			break;
		done += n;
	}
	pthread_rwlock_unlock(&inode->invalidate_lock);
	if (err != 0)
		return err;
	atomic_store_explicit(&file->read_end, position + (int64_t)done, memory_order_relaxed);
	return (int64_t)done;
}

/* The page's frame, which its folio's lock protects, for @n bytes at @offset to be overwritten. */
static int make_frame_writable(struct inode *inode, struct folio *folio, size_t offset, size_t n,
			       bool nowait, frame_t *spare)
{
	pgoff_t index = folio_index(folio);
	frame_t frame = *folio_frame(folio);
	int err = 0;

	if (frame == 0) {
		size_t valid = bytes_on_disk(inode, index);

		if (valid > 0 && (offset > 0 || n < valid)) {
			err = nowait ? -EAGAIN : read_frames(inode, index, spare, 1);
			if (err != 0)
				return err;
		} else {
			memset(frame_bytes(*spare), 0, offset);
			memset(frame_bytes(*spare) + offset + n, 0, PAGE_SIZE - offset - n);
		}
		*folio_frame(folio) = *spare;
		*spare = 0;
	} else if (folio_test_writeback(folio)) {
		/* What is being written must not change: the page gets another frame. */
		if (*spare == 0)
			err = take_frame(inode, index, true, spare);
		if (err != 0)
			return err;
		memcpy(frame_bytes(*spare), frame_bytes(frame), offset);
		memcpy(frame_bytes(*spare) + offset + n, frame_bytes(frame) + offset + n,
		       PAGE_SIZE - offset - n);
		*folio_frame(folio) = *spare;
		*spare = 0;
		frame_put(frame);
	} else {
		frame_mark_accessed(frame);
	}
	return 0;
}

/* The file reaches to @end at least. */
static void extend_size(struct inode *inode, int64_t end)
{
	int64_t size = atomic_load(&inode->size);

	while (size < end && !atomic_compare_exchange_weak(&inode->size, &size, end))
		;
}

static int write_page(struct inode *inode, const char *bytes, pgoff_t index, size_t offset,
		      size_t n, bool nowait)
{
	struct address_space *mapping = &inode->mapping;
	struct folio *folio;
	frame_t spare = 0;
	bool again;
	int err;

	do {
		again = false;
		err = get_locked_folio(inode, index, nowait, &spare, &folio);
		if (err != 0)
			break;
		err = make_frame_writable(inode, folio, offset, n, nowait, &spare);
		if (err == 0) {
			memcpy(frame_bytes(*folio_frame(folio)) + offset, bytes, n);
			extend_size(inode, (int64_t)(index << PAGE_SHIFT) + (int64_t)(offset + n));
			if (folio_mark_dirty(mapping, folio)) {
				writeback_account_dirtied(inode);
				writeback_note_written(inode, index);
			}
		} else if (*folio_frame(folio) == 0) {
			give_up_folio(inode, folio);
			break;
		}
		folio_unlock(mapping, folio);
		if (err == -EAGAIN && !nowait) {
			/* There is no other frame: the write under way ends by itself. */
			err = folio_wait_writeback(mapping, folio);
			again = err == 0;
		}
		folio_put(mapping, folio);
	} while (again);
	if (spare != 0)
		frame_put(spare);
	return err;
}

/**
 * inode_write - write bytes into the cache
 * @inode: the file
 * @bytes: the bytes
 * @length: how many
 * @position: where to
 * @nowait: rather write less than sleep
 *
 * Return: how many bytes are in the cache, @length unless @nowait; or a negative errno, which is
 * -EAGAIN where none could be written without sleep.
 */
int64_t inode_write(struct inode *inode, const char *bytes, size_t length, int64_t position,
		    bool nowait)
{
	size_t done = 0;
	int err = 0;

	if (!nowait)
		pthread_rwlock_rdlock(&inode->invalidate_lock);
	else if (pthread_rwlock_tryrdlock(&inode->invalidate_lock) != 0)
		return -EAGAIN;
	while (done < length && err == 0) {
		int64_t at = position + (int64_t)done;
		size_t offset = (size_t)at & (PAGE_SIZE - 1);
		size_t n = PAGE_SIZE - offset;

		if (n > length - done)
			n = length - done;
		err = write_page(inode, bytes + done, (pgoff_t)at >> PAGE_SHIFT, offset, n, nowait);
		if (err == 0)
			done += n;
	}
	pthread_rwlock_unlock(&inode->invalidate_lock);
	if (err == -EAGAIN && nowait && done > 0)
		err = 0;
	return err != 0 ? err : (int64_t)done;
}

/* The folio leaves the cache, dirty or not. */
static void drop_folio(struct inode *inode, struct folio *folio)
{
	struct address_space *mapping = &inode->mapping;
	int err = folio_lock(mapping, folio);

	assert(err == 0);
	if (folio_test_cached(folio)) {
		frame_t frame = *folio_frame(folio);

		err = folio_wait_writeback(mapping, folio);
		assert(err == 0);
		if (folio_clear_dirty_for_io(folio))
			writeback_account_cleaned(inode);
		*folio_frame(folio) = 0;
		err = remove_mapping(mapping, folio);
		assert(err == 0);
		if (frame != 0)
			frame_put(frame);
	}
	(void)err;
	folio_unlock(mapping, folio);
}

/* Drops all pages from @start to @end. No thread adds any meanwhile. */
void inode_drop_pages(struct inode *inode, pgoff_t start, pgoff_t end)
{
	struct folio_batch fbatch;

	folio_batch_init(&fbatch);
	while (start <= end &&
	       filemap_get_folios_tag(&inode->mapping, &start, end, XA_PRESENT, &fbatch) != 0) {
		for (uint32_t i = 0; i < fbatch.nr; i++)
			drop_folio(inode, fbatch.folios[i]);
		folio_batch_release(&inode->mapping, &fbatch);
	}
	/* A writer may be held back for what was dirty here, and no write will end. */
	writeback_note_progress();
}

/* Zeroes bytes of a page, if it is in the cache; whether it is dirty stays as it was. */
static void zero_cached(struct inode *inode, int64_t start, int64_t end)
{
	struct address_space *mapping = &inode->mapping;
	struct folio *folio;
	int err;

	if (start >= end)
		return;
	folio = filemap_get_folio(mapping, (pgoff_t)start >> PAGE_SHIFT);
	if (folio == NULL)
		return;
	err = folio_lock(mapping, folio);
	if (err == 0)
		err = folio_wait_writeback(mapping, folio);
	assert(err == 0);
	(void)err;
	if (folio_test_cached(folio) && *folio_frame(folio) != 0)
		memset(frame_bytes(*folio_frame(folio)) + ((size_t)start & (PAGE_SIZE - 1)), 0,
		       (size_t)(end - start));
	folio_unlock(mapping, folio);
	folio_put(mapping, folio);
}

/* The first byte of the page behind the one that @position is in, or @position where a page begins.
 */
static int64_t page_align(int64_t position)
{
	return (position + PAGE_SIZE - 1) & ~(int64_t)(PAGE_SIZE - 1);
}

/* Sets the file's length, in the cache and on the disk. */
int inode_truncate(struct inode *inode, int64_t length)
{
	int64_t old;
	int err = 0;

	pthread_rwlock_wrlock(&inode->invalidate_lock);
	old = atomic_load(&inode->size);
	if (length < old) {
		atomic_store(&inode->size, length);
		inode_drop_pages(inode, (pgoff_t)page_align(length) >> PAGE_SHIFT, UINT64_MAX);
		zero_cached(inode, length, page_align(length));
	}
	pthread_mutex_lock(&inode->size_lock);
	do
		err = ftruncate(inode->fd, length) == 0 ? 0 : -errno;
	while (err == -EINTR);
	if (err == 0)
		atomic_store(&inode->disk_size, length);
	pthread_mutex_unlock(&inode->size_lock);
	/* What was not on the disk is gone all the same. */
	if (err == 0 || length < old)
		atomic_store(&inode->size, err == 0 ? length : old);
	pthread_rwlock_unlock(&inode->invalidate_lock);
	return err;
}

/* For file systems that have no holes. */
static int write_zeros(struct inode *inode, int64_t start, int64_t end)
{
	static const char zeros[65536];

	while (start < end) {
		size_t length = sizeof(zeros);
		ssize_t n;

		if ((int64_t)length > end - start)
			length = (size_t)(end - start);
		n = pwrite(inode->fd, zeros, length, start);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			start += n;
	}
	return 0;
}

/* Makes the bytes from @start to @end (included) zero, and frees what they take. */
int inode_deallocate(struct inode *inode, int64_t start, int64_t end)
{
	int64_t first, stop, disk_size;
	int err = 0;

	pthread_rwlock_wrlock(&inode->invalidate_lock);
	stop = atomic_load(&inode->size);
	if (end < stop)
		stop = end + 1;
	if (start < stop) {
		first = page_align(start);
		/* The last page of the file goes as a whole. */
		end = stop == atomic_load(&inode->size) ? page_align(stop)
							: stop & ~(int64_t)(PAGE_SIZE - 1);
		if (first < end)
			inode_drop_pages(inode, (pgoff_t)first >> PAGE_SHIFT,
					 ((pgoff_t)end >> PAGE_SHIFT) - 1);
		zero_cached(inode, start, first < stop ? first : stop);
		if (end >= first)
			zero_cached(inode, end, stop);
		disk_size = atomic_load(&inode->disk_size);
		if (stop > disk_size)
			stop = disk_size;
		if (start < stop) {
			do
				err = fallocate(inode->fd,
						FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start,
						stop - start) == 0
					      ? 0
					      : -errno;
			while (err == -EINTR);
			if (err == -EOPNOTSUPP)
				err = write_zeros(inode, start, stop);
		}
	}
	pthread_rwlock_unlock(&inode->invalidate_lock);
	return err;
}
