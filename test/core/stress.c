// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads on one shared page cache: stress [SECONDS [SEED]].
 *
 * At once: threads that dirty with and without the folio's lock, threads that truncate, one that
 * appends, lock holders, two syncs and a cyclic background pass. Other threads end the writes of
 * the passes, and chunks of folios are added meanwhile. What must hold:
 *  - a page dirtied under the folio's lock before a sync began is written when the sync is over,
 *    unless it was truncated; a page dirtied without the lock is written later
 *    (folio_mark_dirty());
 *  - a sync ends although other threads dirty pages without end, also ahead of it;
 *  - a pass takes locks in ascending order, and never waits while it holds an extent;
 *  - only the thread that holds a folio's lock uses the data that it protects (ThreadSanitizer
 *    checks page.data);
 *  - at the end, every reference, mark and count is right.
 *
 * Pages have versions: the thread that dirties a page increments page.data, and the thread that
 * writes it records the number.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "wait_queue.h"
#include "writeback_extent.h"

/* Folios of up to 8 pages come and go here. */
#define NR_PAGES 512
/*
 * Pages that are dirtied without a lock: few, so that several threads dirty the same one. Not
 * truncated.
 */
#define NR_LOOSE_PAGES 16
#define MAX_ORDER 3
#define MAX_FOLIO_PAGES (1 << MAX_ORDER)
/* A file that grows, far behind, so that the tree grows and shrinks with it. */
#define APPEND_BASE (UINT64_C(1) << 30)
#define APPEND_MAX 600
/*
 * Pages that are dirtied without a lock while they are truncated: few, so that the two happen at
 * the same time. Each is the only page of its node, which is freed with it. A mark set too late
 * would be in a free node. The test does not check whether these pages are written.
 */
#define DOOMED_BASE (UINT64_C(1) << 20)
#define DOOMED_PAGE(n) (DOOMED_BASE + XA_CHUNK_SIZE * (n))
#define NR_DOOMED_PAGES 2
/* The first number of chunks is enough for all these pages and for those that passes still have. */
#define MIN_CHUNKS 4
#define MAX_CHUNKS 256

/*
 * A version that is in the cache: which life of the page it belongs to, and its number. A page's
 * life ends with its truncation.
 */
#define VERSION_BITS 40
#define VERSION(life, number) ((uint64_t)(life) << VERSION_BITS | (number))
#define VERSION_LIFE(version) ((version) >> VERSION_BITS)
#define VERSION_NUMBER(version) ((version) & ((UINT64_C(1) << VERSION_BITS) - 1))

/**
 * struct page - what is known of a page
 * @data: the version that the page has; under its folio's lock, and not atomic on purpose
 * @loose_data: the same, changed by the threads that dirty without the lock
 * @dirtied: VERSION of a completed folio_mark_dirty()
 * @written: the version on disk
 * @loose_written: the same
 * @life: twice the number of truncations, odd while one is being tried
 */
struct page {
	uint64_t data;
	_Atomic uint64_t loose_data;
	_Atomic uint64_t dirtied;
	_Atomic uint64_t written;
	_Atomic uint64_t loose_written;
	_Atomic uint64_t life;
};

static struct address_space mapping;
static struct page pages[NR_PAGES];
static _Atomic uint64_t append_head = APPEND_BASE;
static _Atomic uint64_t append_tail = APPEND_BASE;
static atomic_bool stop;
/* Written by one thread, or before there are others. */
static unsigned int nr_chunks;

static _Atomic uint64_t nr_tagged, nr_dirtied, nr_truncated, nr_written, nr_synced,
	nr_appended_beside_sync;

static uint64_t seed;

/* Each thread's own. */
static _Thread_local uint64_t random_state;
static _Thread_local bool in_pass;
static _Thread_local pgoff_t pass_next;
static _Thread_local bool holds_extent;

/* splitmix64 */
static uint64_t random_below(uint64_t bound)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % bound;
}

static void dawdle(void)
{
	static const struct timespec moment = {.tv_nsec = 50000};

	if (random_below(4) == 0)
		nanosleep(&moment, NULL);
	else if (random_below(2) == 0)
		sched_yield();
}

static int stress_wait(struct address_space *waited, struct folio *folio, unsigned int flag)
{
	CHECK(!holds_extent);
	if (in_pass)
		CHECK(folio_index(folio) >= pass_next);
	return wait_on_folio(waited, folio, flag);
}

/*
 * Writes under way
 */

struct write {
	struct folio *folio;
	uint64_t data[MAX_FOLIO_PAGES];
	uint64_t loose_data[MAX_FOLIO_PAGES];
};

#define NR_WRITES 128

static struct write writes[NR_WRITES];
static unsigned int nr_writes;
static bool device_closed;
static pthread_mutex_t device = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t device_changed = PTHREAD_COND_INITIALIZER;

static bool is_tracked(const struct folio *folio)
{
	return folio_index(folio) < NR_PAGES;
}

/* Reads the folio's present versions. Its lock is held, and its dirty flag is clear. */
static void read_data(const struct folio *folio, struct write *write)
{
	write->folio = NULL;
	for (int64_t i = 0; is_tracked(folio) && i < folio_nr_pages(folio); i++) {
		struct page *page = &pages[folio_index(folio) + (pgoff_t)i];

		write->data[i] = page->data;
		write->loose_data[i] =
			atomic_load_explicit(&page->loose_data, memory_order_relaxed);
	}
}

/*
 * Records that the folio is on disk. It is locked or under writeback, so its versions come one by
 * one.
 */
static void data_written(const struct folio *folio, const struct write *write)
{
	for (int64_t i = 0; is_tracked(folio) && i < folio_nr_pages(folio); i++) {
		struct page *page = &pages[folio_index(folio) + (pgoff_t)i];

		CHECK(atomic_load(&page->written) <= write->data[i]);
		CHECK(atomic_load(&page->loose_written) <= write->loose_data[i]);
		atomic_store(&page->written, write->data[i]);
		atomic_store(&page->loose_written, write->loose_data[i]);
	}
	atomic_fetch_add(&nr_written, 1);
}

static void submit(struct folio *folio, struct write *write)
{
	folio_get(folio);
	write->folio = folio;
	pthread_mutex_lock(&device);
	while (nr_writes == NR_WRITES)
		pthread_cond_wait(&device_changed, &device);
	writes[nr_writes++] = *write;
	pthread_cond_broadcast(&device_changed);
	pthread_mutex_unlock(&device);
}

/* Ends writes in any order. */
static void run_device(void)
{
	for (;;) {
		struct write write;
		uint64_t i;

		pthread_mutex_lock(&device);
		while (nr_writes == 0 && !device_closed)
			pthread_cond_wait(&device_changed, &device);
		if (nr_writes == 0) {
			pthread_mutex_unlock(&device);
			return;
		}
		i = random_below(nr_writes);
		write = writes[i];
		writes[i] = writes[--nr_writes];
		pthread_cond_broadcast(&device_changed);
		pthread_mutex_unlock(&device);

		dawdle();
		data_written(write.folio, &write);
		folio_end_writeback(&mapping, write.folio);
		folio_put(&mapping, write.folio);
	}
}

/*
 * Passes
 */

static void start_write(struct folio *folio)
{
	struct write write;

	read_data(folio, &write);
	folio_start_writeback(&mapping, folio, false);
	folio_unlock(&mapping, folio);
	submit(folio, &write);
}

static void begin_pass(void)
{
	in_pass = true;
	pass_next = 0;
}

/* The pass returned this folio, locked. */
static void take(const struct folio *folio, pgoff_t grown_to)
{
	CHECK(folio_index(folio) >= pass_next);
	CHECK(folio_test_locked(folio) && folio_in_mapping(folio, &mapping));
	CHECK(!folio_test_writeback(folio));
	/* The pass does not return folios that were appended after its tagging. */
	CHECK(folio_index(folio) <= grown_to);
	pass_next = folio_next_index(folio);
}

/*
 * Writes folio by folio; other threads end the writes. @grows: whether @wbc covers the growing end.
 */
static void write_folios(struct writeback_control *wbc, bool grows)
{
	pgoff_t grown_to = UINT64_MAX;
	struct folio *folio = NULL;
	int error;

	begin_pass();
	while ((folio = writeback_iter(&mapping, wbc, folio, &error)) != NULL) {
		if (grows && grown_to == UINT64_MAX)
			grown_to = atomic_load(&append_tail);
		take(folio, grown_to);
		if (wbc->sync_mode == WB_SYNC_NONE && random_below(8) == 0) {
			folio_redirty_for_writepage(&mapping, wbc, folio);
			folio_unlock(&mapping, folio);
		} else {
			start_write(folio);
		}
	}
	CHECK(error == 0 && wbc->blocked == NULL);
	in_pass = false;
}

/* Writes run by run, each before the next. */
static void write_extents(struct writeback_control *wbc, bool grows)
{
	static _Thread_local struct writeback_extent extent;
	pgoff_t grown_to = UINT64_MAX;
	int error = 0;

	begin_pass();
	writeback_put_extent(&mapping, &extent);
	while (writeback_get_extent(&mapping, wbc, &extent, 1 + random_below(64), &error)) {
		holds_extent = true;
		if (grows && grown_to == UINT64_MAX)
			grown_to = atomic_load(&append_tail);
		for (uint32_t i = 0; i < extent.nr_folios; i++) {
			struct write write;

			take(host_extent_folio(&extent, i), grown_to);
			read_data(host_extent_folio(&extent, i), &write);
			data_written(host_extent_folio(&extent, i), &write);
		}
		error = wbc->sync_mode == WB_SYNC_NONE && random_below(8) == 0 ? -EIO : 0;
		writeback_end_extent(&mapping, &extent, error);
		holds_extent = false;
	}
	CHECK(wbc->blocked == NULL && (error == 0 || wbc->sync_mode == WB_SYNC_NONE));
	in_pass = false;
}

/* filemap_fdatawait_range() */
static void wait_for_writes(pgoff_t start, pgoff_t end)
{
	struct folio_batch fbatch;

	folio_batch_init(&fbatch);
	while (filemap_get_folios_tag(&mapping, &start, end, PAGECACHE_TAG_WRITEBACK, &fbatch) !=
	       0) {
		for (uint32_t i = 0; i < fbatch.nr; i++)
			CHECK(folio_wait_writeback(&mapping, fbatch.folios[i]) == 0);
		folio_batch_release(&mapping, &fbatch);
	}
}

struct promise {
	uint64_t life;
	uint64_t dirtied;
};

/* fsync() of these pages, and of all behind them if @grows. */
static void sync_pages(pgoff_t start, pgoff_t end, bool grows)
{
	static _Thread_local struct promise promises[NR_PAGES];
	struct writeback_control wbc = {
		.nr_to_write = INT64_MAX,
		.range_start = (int64_t)(start << PAGE_SHIFT),
		.range_end = grows ? INT64_MAX : (int64_t)(end << PAGE_SHIFT),
		.sync_mode = WB_SYNC_ALL,
	};
	uint64_t tail = atomic_load(&append_tail);

	for (pgoff_t i = start; i <= end; i++) {
		promises[i].life = atomic_load(&pages[i].life);
		promises[i].dirtied = atomic_load(&pages[i].dirtied);
	}
	if (random_below(2) == 0)
		write_folios(&wbc, grows);
	else
		write_extents(&wbc, grows);
	wait_for_writes(start, grows ? UINT64_MAX : end);
	for (pgoff_t i = start; i <= end; i++) {
		uint64_t life = promises[i].life;

		if (life % 2 != 0 || life != atomic_load(&pages[i].life))
			continue;
		if (VERSION_LIFE(promises[i].dirtied) == life / 2)
			CHECK(atomic_load(&pages[i].written) >=
			      VERSION_NUMBER(promises[i].dirtied));
	}
	if (grows)
		atomic_fetch_add(&nr_appended_beside_sync, atomic_load(&append_tail) - tail);
	atomic_fetch_add(&nr_synced, 1);
}

static void run_sync(void)
{
	while (!stop)
		sync_pages(0, NR_PAGES - 1, true);
}

static void run_sync_range(void)
{
	while (!stop) {
		pgoff_t start = random_below(NR_PAGES);

		sync_pages(start, start + random_below(NR_PAGES - start), false);
	}
}

/* The control is new each time: the mapping keeps the position. */
static void run_background(void)
{
	while (!stop) {
		struct writeback_control wbc = {
			.nr_to_write = 1 + (int64_t)random_below(100),
			.sync_mode = WB_SYNC_NONE,
			.range_cyclic = true,
		};

		if (random_below(2) == 0)
			write_folios(&wbc, false);
		else
			write_extents(&wbc, false);
		dawdle();
	}
}

/*
 * The threads that change folios
 */

static int add_folio(pgoff_t index, unsigned int order)
{
	struct folio *folio;
	int err = filemap_add_folio(&mapping, index, order, &folio);

	CHECK(err == 0 || err == -EEXIST);
	return err;
}

/* A folio that covers the page, with a reference. */
static struct folio *get_or_add(pgoff_t index)
{
	for (;;) {
		struct folio *folio = filemap_get_folio(&mapping, index);
		unsigned int order = (unsigned int)random_below(MAX_ORDER + 1);

		if (folio != NULL)
			return folio;
		/* Another thread may truncate the folio before this one has the lock. */
		add_folio(index >> order << order, order);
	}
}

/* Dirties as write() does, with the folio's lock. */
static void run_dirtier(void)
{
	while (!stop) {
		pgoff_t index = NR_LOOSE_PAGES + random_below(NR_PAGES - NR_LOOSE_PAGES);
		struct folio *folio = get_or_add(index);
		struct page *page = &pages[index];

		CHECK(folio_lock(&mapping, folio) == 0);
		if (folio_in_mapping(folio, &mapping)) {
			page->data++;
			folio_mark_dirty(&mapping, folio);
			atomic_store(&page->dirtied,
				     VERSION(atomic_load(&page->life) / 2, page->data));
			atomic_fetch_add(&nr_dirtied, 1);
		}
		folio_unlock(&mapping, folio);
		folio_put(&mapping, folio);
	}
}

/* Dirties as the unmapping of a written page does: with a reference, but without the lock. */
static void run_loose_dirtier(void)
{
	while (!stop) {
		pgoff_t index = random_below(NR_LOOSE_PAGES);
		struct folio *folio = get_or_add(index);

		atomic_fetch_add_explicit(&pages[index].loose_data, 1, memory_order_relaxed);
		folio_mark_dirty(&mapping, folio);
		folio_put(&mapping, folio);
		atomic_fetch_add(&nr_dirtied, 1);
	}
}

/* Each thread has pages of its own, so only one thread changes a life. */
static void truncate_half(unsigned int half)
{
	while (!stop) {
		pgoff_t index = (random_below(NR_PAGES) & ~UINT64_C(64)) | half * UINT64_C(64);
		struct folio *folio = filemap_get_folio(&mapping, index);
		int err;

		if (folio == NULL)
			continue;
		if (folio_index(folio) < NR_LOOSE_PAGES) {
			folio_put(&mapping, folio);
			continue;
		}
		for (pgoff_t i = folio_index(folio); i < folio_next_index(folio); i++)
			atomic_fetch_add(&pages[i].life, 1);
		err = filemap_remove_folio(&mapping, folio);
		CHECK(err == 0 || err == -EBUSY);
		for (pgoff_t i = folio_index(folio); i < folio_next_index(folio); i++)
			atomic_fetch_add(&pages[i].life, err == 0 ? 1 : UINT64_MAX);
		if (err == 0) {
			atomic_fetch_add(&nr_truncated, 1);
			/*
			 * Dirties a removed folio, which is allowed. A pass may have it in its
			 * batch.
			 */
			folio_mark_dirty(&mapping, folio);
		}
		folio_put(&mapping, folio);
		dawdle();
	}
}

static void run_truncater(void)
{
	truncate_half(0);
}

static void run_other_truncater(void)
{
	truncate_half(1);
}

/* Removes the oldest appended page, once no thread uses it. */
static void forget_head(void)
{
	struct folio *folio = filemap_get_folio(&mapping, append_head);

	CHECK(folio != NULL);
	while (filemap_remove_folio(&mapping, folio) != 0) {
		CHECK(folio_wait_writeback(&mapping, folio) == 0);
		sched_yield();
	}
	folio_put(&mapping, folio);
	append_head++;
}

/* Appends as fast as possible, and now and then truncates the file to nothing. */
static void run_appender(void)
{
	while (!stop) {
		struct folio *folio;

		CHECK(add_folio(append_tail, 0) == 0);
		folio = filemap_get_folio(&mapping, append_tail);
		CHECK(folio != NULL);
		folio_mark_dirty(&mapping, folio);
		folio_put(&mapping, folio);
		append_tail++;
		if (append_tail - append_head > APPEND_MAX)
			forget_head();
		if (random_below(4 * APPEND_MAX) == 0) {
			while (append_head != append_tail)
				forget_head();
		}
	}
}

/*
 * Dirties as the unmapping of a page does while the page is truncated: the folio may leave the page
 * cache before its mark is set, or right after.
 */
static void run_doomed_dirtier(void)
{
	while (!stop) {
		pgoff_t index = DOOMED_PAGE(random_below(NR_DOOMED_PAGES));
		struct folio *folio = filemap_get_folio(&mapping, index);

		if (folio == NULL) {
			add_folio(index, 0);
			continue;
		}
		folio_mark_dirty(&mapping, folio);
		folio_put(&mapping, folio);
	}
}

static void run_doomed_truncater(void)
{
	while (!stop) {
		pgoff_t index = DOOMED_PAGE(random_below(NR_DOOMED_PAGES));
		struct folio *folio = filemap_get_folio(&mapping, index);
		int err;

		if (folio == NULL)
			continue;
		err = filemap_remove_folio(&mapping, folio);
		CHECK(err == 0 || err == -EBUSY || err == -ENOENT);
		if (err == 0)
			atomic_fetch_add(&nr_truncated, 1);
		folio_put(&mapping, folio);
	}
}

/* Adds memory for folios, as a cache that grows under load does. */
static void run_grower(void)
{
	while (!stop && nr_chunks < MAX_CHUNKS) {
		CHECK(address_space_add_chunk(&mapping, host_alloc_chunk()) == 0);
		nr_chunks++;
		dawdle();
	}
}

/* Locks some folios, in ascending order as every thread must, and keeps them for a while. */
static void run_holder(void)
{
	while (!stop) {
		struct folio *held[4];
		unsigned int nr = 0;
		pgoff_t index = random_below(NR_PAGES);

		while (nr < 4 && index < NR_PAGES) {
			held[nr] = get_or_add(index);
			CHECK(folio_lock(&mapping, held[nr]) == 0);
			if (random_below(4) == 0)
				CHECK(folio_wait_writeback(&mapping, held[nr]) == 0);
			index = folio_next_index(held[nr]) + random_below(16);
			nr++;
		}
		dawdle();
		while (nr-- > 0) {
			folio_unlock(&mapping, held[nr]);
			folio_put(&mapping, held[nr]);
		}
		dawdle();
	}
}

/* Reads without changing anything. */
static void run_watcher(void)
{
	while (!stop) {
		pgoff_t start = random_below(NR_PAGES);
		xa_mark_t tag = (xa_mark_t)random_below(XA_NR_MARKS);
		struct folio_batch fbatch;

		folio_batch_init(&fbatch);
		filemap_get_folios_tag(&mapping, &start, UINT64_MAX, tag, &fbatch);
		for (uint32_t i = 1; i < fbatch.nr; i++)
			CHECK(folio_next_index(fbatch.folios[i - 1]) <=
			      folio_index(fbatch.folios[i]));
		folio_batch_release(&mapping, &fbatch);
		if (mapping_tagged(&mapping, tag))
			atomic_fetch_add(&nr_tagged, 1);
	}
}

/* Whether threads dirty the folio without its lock. */
static bool is_loose(const struct folio *folio)
{
	pgoff_t index = folio_index(folio);

	return index < NR_LOOSE_PAGES ||
	       (index >= DOOMED_BASE && index < DOOMED_PAGE(NR_DOOMED_PAGES));
}

static bool has_mark(const struct folio *folio, xa_mark_t tag)
{
	struct xa_state xas = folio_xas(&mapping, folio);

	return xas_get_mark(&xas, tag);
}

/* Checks the state when no thread uses it and a sync is over. */
static void check_idle(void)
{
	uint32_t nr_folios = 0;
	struct folio_batch fbatch;
	pgoff_t start = 0;

	host_check_tree(&mapping);
	CHECK(!mapping_tagged(&mapping, PAGECACHE_TAG_WRITEBACK));
	folio_batch_init(&fbatch);
	while (filemap_get_folios_tag(&mapping, &start, UINT64_MAX, XA_PRESENT, &fbatch) != 0) {
		nr_folios += fbatch.nr;
		for (uint32_t i = 0; i < fbatch.nr; i++) {
			struct folio *folio = fbatch.folios[i];

			CHECK((folio_flags(folio) & ~FOLIO_ORDER_MASK) ==
			      (PG_uptodate | PG_shared | PG_cached));
			CHECK(folio->refcount == 2);
			/*
			 * The mark of a folio that is dirtied without its lock may outlast the
			 * flag.
			 */
			if (!is_loose(folio)) {
				CHECK(!has_mark(folio, PAGECACHE_TAG_DIRTY));
				CHECK(!has_mark(folio, PAGECACHE_TAG_TOWRITE));
			}
		}
		folio_batch_release(&mapping, &fbatch);
	}
	CHECK(mapping.pool.nr_free + nr_folios == nr_chunks * FOLIO_CHUNK_FOLIOS);
	for (pgoff_t i = 0; i < NR_LOOSE_PAGES; i++)
		CHECK(pages[i].loose_written == pages[i].loose_data);
}

/*
 * The threads
 */

typedef void (*job_t)(void);

struct worker {
	pthread_t thread;
	job_t job;
	uint64_t seed;
};

static const job_t jobs[] = {
	run_sync,	    run_sync_range,	  run_background,
	run_background,	    run_dirtier,	  run_dirtier,
	run_loose_dirtier,  run_loose_dirtier,	  run_appender,
	run_truncater,	    run_other_truncater,  run_holder,
	run_watcher,	    run_grower,		  run_doomed_dirtier,
	run_doomed_dirtier, run_doomed_truncater, run_doomed_truncater,
};
#define NR_JOBS (sizeof(jobs) / sizeof(jobs[0]))
#define NR_DEVICE_THREADS 2

static void *run_worker(void *data)
{
	struct worker *worker = data;

	random_state = worker->seed;
	worker->job();
	return NULL;
}

static void start_worker(struct worker *worker, job_t job)
{
	static uint64_t nr_started;

	worker->job = job;
	worker->seed = seed + ++nr_started * UINT64_C(0xd1342543de82ef95);
	CHECK(pthread_create(&worker->thread, NULL, run_worker, worker) == 0);
}

static void hung(int signal)
{
	static const char message[] = "stress: does not end: a deadlock or a livelock\n";

	(void)signal;
	if (write(STDERR_FILENO, message, sizeof(message) - 1) > 0)
		_exit(1);
	_exit(2);
}

int main(int argc, char **argv)
{
	struct worker workers[NR_JOBS], device_workers[NR_DEVICE_THREADS];
	unsigned int seconds = argc > 1 ? (unsigned int)atoi(argv[1]) : 2;

	seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	random_state = seed;
	signal(SIGALRM, hung);
	alarm(seconds + 60);

	host_ops.wait = stress_wait;
	host_ops.wake = wake_folio;
	address_space_init(&mapping, PAGE_SHIFT, true, &host_ops);
	for (; nr_chunks < MIN_CHUNKS; nr_chunks++)
		CHECK(address_space_add_chunk(&mapping, host_alloc_chunk()) == 0);

	for (size_t i = 0; i < NR_DEVICE_THREADS; i++)
		start_worker(&device_workers[i], run_device);
	for (size_t i = 0; i < NR_JOBS; i++)
		start_worker(&workers[i], jobs[i]);
	sleep(seconds);
	stop = true;
	for (size_t i = 0; i < NR_JOBS; i++)
		CHECK(pthread_join(workers[i].thread, NULL) == 0);
	sync_pages(0, NR_PAGES - 1, true);

	pthread_mutex_lock(&device);
	device_closed = true;
	pthread_cond_broadcast(&device_changed);
	pthread_mutex_unlock(&device);
	for (size_t i = 0; i < NR_DEVICE_THREADS; i++)
		CHECK(pthread_join(device_workers[i].thread, NULL) == 0);

	check_idle();
	host_mapping_destroy(&mapping);
	printf("%" PRIu64 " dirtied, %" PRIu64 " written, %" PRIu64 " truncated, %" PRIu64
	       " syncs, %" PRIu64 " pages appended beside them, seed %" PRIu64 "\n",
	       nr_dirtied, nr_written, nr_truncated, nr_synced, nr_appended_beside_sync, seed);
	/* A run in which no thread did anything proves nothing. */
	CHECK(nr_tagged > 0 && nr_dirtied > 0 && nr_truncated > 0 && nr_written > 0);
	CHECK(nr_synced > 1 && nr_appended_beside_sync > 0 && nr_chunks > MIN_CHUNKS);
	return 0;
}
