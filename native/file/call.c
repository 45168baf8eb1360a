// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that threads of the engine make for those that must not sleep.
 *
 * Writes, truncations and deallocations of a file are made one after another, in the order in which
 * they were submitted; any other call waits for those submitted before it. A call that has to wait
 * is in a list of its inode, so that no thread waits for another call.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "inode.h"
#include "writeback.h"

#define MAX_THREADS 16U

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_cond_t done;
	struct file_call *head;
	struct file_call **tail;
	uint32_t nr_threads;
	uint32_t nr_idle;
	uint32_t nr_queued;
} calls = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.work = PTHREAD_COND_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
	.tail = &calls.head,
};

static bool is_ordered(const struct file_call *call)
{
	return call->operation == FILE_WRITE || call->operation == FILE_TRUNCATE ||
	       call->operation == FILE_DEALLOCATE;
}

static int64_t make_call(struct file_call *call)
{
	struct file *file = call->file;

	switch (call->operation) {
	case FILE_READ:
		return file_read(file, call->buffer, call->length, call->position);
	case FILE_WRITE:
		return file_write(file, call->buffer, call->length, call->position);
	case FILE_THROTTLE:
		balance_dirty_pages();
		return 0;
	case FILE_FSYNC:
		return file_fsync(file, call->position, call->end, call->flag);
	case FILE_WRITEBACK:
		return file_writeback(file, call->position);
	case FILE_TRUNCATE:
		return file_truncate(file, call->position);
	case FILE_DEALLOCATE:
		return file_deallocate(file, call->position, call->end);
	case FILE_CLOSE:
		return file_close(file, call->flag);
	case FILE_RELEASE:
		file_release(file);
		return 0;
	}
	return -EINVAL;
}

/* The lock is held. */
static void enqueue(struct file_call *call)
{
	call->next = NULL;
	*calls.tail = call;
	calls.tail = &call->next;
	calls.nr_queued++;
	pthread_cond_signal(&calls.work);
}

/* An ordered call of the inode is done: starts those that waited for it alone. The lock is held. */
static void release_blocked(struct inode *inode)
{
	uint64_t done = atomic_fetch_add(&inode->nr_writes_done, 1) + 1;

	while (inode->blocked_head != NULL && inode->blocked_head->ticket <= done) {
		struct file_call *call = inode->blocked_head;

		inode->blocked_head = call->next;
		enqueue(call);
	}
	pthread_cond_broadcast(&calls.done);
}

static void *call_thread(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&calls.lock);
	for (;;) {
		struct file_call *call = calls.head;
		struct inode *inode;
		bool ordered;

		if (call == NULL) {
			calls.nr_idle++;
			pthread_cond_wait(&calls.work, &calls.lock);
			calls.nr_idle--;
			continue;
		}
		calls.head = call->next;
		if (calls.head == NULL)
			calls.tail = &calls.head;
		calls.nr_queued--;
		inode = call->file->inode;
		ordered = is_ordered(call);
		pthread_mutex_unlock(&calls.lock);
		call->result = make_call(call);
		pthread_mutex_lock(&calls.lock);
		/* The handle is open still: only closing frees it, and its close is not ordered. */
		if (ordered)
			release_blocked(inode);
		pthread_mutex_unlock(&calls.lock);
		call->done(call);
		pthread_mutex_lock(&calls.lock);
	}
	return NULL;
}

/**
 * file_submit - have a thread make a call
 * @call: the call; the engine's until its @done is called, which may be before this returns
 *
 * Return: 0, or -EAGAIN if there is no thread and none can be started.
 */
int file_submit(struct file_call *call)
{
	struct inode *inode = call->file->inode;
	int err = 0;

	pthread_mutex_lock(&calls.lock);
	if (calls.nr_idle <= calls.nr_queued && calls.nr_threads < MAX_THREADS) {
		err = start_engine_thread(call_thread);
		if (err == 0)
			calls.nr_threads++;
	}
	if (calls.nr_threads > 0) {
		err = 0;
		call->ticket = atomic_load(&inode->nr_writes_queued);
		if (is_ordered(call))
			atomic_fetch_add(&inode->nr_writes_queued, 1);
		if (call->ticket <= atomic_load(&inode->nr_writes_done)) {
			enqueue(call);
		} else {
			call->next = NULL;
			if (inode->blocked_head == NULL)
				inode->blocked_head = call;
			else
				inode->blocked_tail->next = call;
			inode->blocked_tail = call;
		}
	}
	pthread_mutex_unlock(&calls.lock);
	return err;
}

/* Whether writes of the file are submitted and not done. */
bool file_has_writes(const struct file *file)
{
	return atomic_load(&file->inode->nr_writes_queued) !=
	       atomic_load(&file->inode->nr_writes_done);
}

/* Waits for the writes of the file that were submitted so far. */
void file_wait_for_writes(const struct file *file)
{
	struct inode *inode = file->inode;
	uint64_t queued = atomic_load(&inode->nr_writes_queued);

	if (queued == atomic_load(&inode->nr_writes_done))
		return;
	pthread_mutex_lock(&calls.lock);
	while (atomic_load(&inode->nr_writes_done) < queued)
		pthread_cond_wait(&calls.done, &calls.lock);
	pthread_mutex_unlock(&calls.lock);
}

/**
 * file_make_call - make a call on this thread, which sleeps for it
 * @call: the call; its @done is not called
 *
 * Waits for the writes, truncations and deallocations of the file that were submitted before.
 *
 * Return: what the call returned.
 */
int64_t file_make_call(struct file_call *call)
{
	file_wait_for_writes(call->file);
	return make_call(call);
}
