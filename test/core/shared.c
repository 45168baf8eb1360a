// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads on one folio: no change of a flag, of a reference or of the tree is lost, and only one
 * thread holds a lock at a time.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "folio_state.h"
#include "host.h"
#include "page_writeback.h"

#define NR_THREADS 3
/* Long enough for threads to run at the same time on a busy machine, too. */
#define JOB_MILLISECONDS 80

static struct address_space mapping;
static struct folio *folio;

/* Not atomic on purpose: the lock under test protects the counter. */
static uint64_t counter;
static _Atomic uint64_t nr_turns;
static _Atomic uint64_t nr_locked, nr_dirtied, nr_interrupts, nr_lost;
static atomic_uint nr_started;
static atomic_bool got_it;

static struct timespec begun;

/* Whether a job has time for another turn; counts the turns. */
static bool goes_on(uint64_t turn)
{
	struct timespec now;

	if (turn % 256 == 0 && turn != 0) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 >=
		    JOB_MILLISECONDS) {
			nr_turns += turn;
			return false;
		}
	}
	return true;
}

typedef void *(*job_t)(void *data);

static void run(job_t first, job_t second, job_t third)
{
	const job_t jobs[NR_THREADS] = {first, second, third};
	pthread_t threads[NR_THREADS];

	nr_started = 0;
	nr_turns = 0;
	counter = 0;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, jobs[i], NULL) == 0);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

/* The threads start together, so that they run at the same time. */
static void start_together(void)
{
	nr_started++;
	while (nr_started < NR_THREADS)
		sched_yield();
}

static void *take_references(void *data)
{
	start_together();
	for (uint64_t turn = 0; goes_on(turn); turn++) {
		folio_get(folio);
		folio_get(folio);
		folio_put(&mapping, folio);
		folio_put(&mapping, folio);
	}
	return data;
}

static void *take_tree_lock(void *data)
{
	start_together();
	for (uint64_t turn = 0; goes_on(turn); turn++) {
		xa_lock(&mapping.i_pages);
		counter++;
		xa_unlock(&mapping.i_pages);
	}
	return data;
}

static void *take_folio_lock(void *data)
{
	start_together();
	for (uint64_t turn = 0; goes_on(turn); turn++) {
		while (!folio_trylock(folio))
			;
		counter++;
		CHECK(folio_test_locked(folio));
		folio_unlock(&mapping, folio);
	}
	return data;
}

/* Each thread owns one flag, and the others' never change it. */
static void *flip(unsigned int flag)
{
	start_together();
	for (uint64_t turn = 0; goes_on(turn); turn++) {
		CHECK((folio_change_flags(folio, flag, 0) & flag) == 0);
		CHECK((folio_change_flags(folio, 0, flag) & flag) != 0);
	}
	return NULL;
}

static void *flip_writeback(void *data)
{
	(void)data;
	return flip(PG_writeback);
}

static void *flip_locked(void *data)
{
	(void)data;
	return flip(PG_locked);
}

static void *flip_uptodate(void *data)
{
	(void)data;
	return flip(PG_uptodate);
}

/* Locks and cleans the folio each time that it becomes dirty. */
static void *write_out(void *data)
{
	start_together();
	for (uint64_t turn = 0; goes_on(turn); turn++) {
		if (folio_trylock_for_io(folio)) {
			nr_locked++;
			counter++;
			folio_unlock(&mapping, folio);
		}
	}
	return data;
}

static void *make_dirty(void *data)
{
	start_together();
	for (uint64_t turn = 0; goes_on(turn); turn++)
		nr_dirtied += folio_mark_dirty(&mapping, folio);
	return data;
}

static void test_flags(void)
{
	folio_change_flags(folio, 0, PG_uptodate);
	run(flip_writeback, flip_locked, flip_uptodate);
	CHECK(folio_flags(folio) == (PG_shared | PG_cached));
	folio_change_flags(folio, PG_uptodate, 0);
}

static void test_references(void)
{
	run(take_references, take_references, take_references);
	CHECK(folio->refcount == 1);
}

static void test_locks(void)
{
	run(take_tree_lock, take_tree_lock, take_tree_lock);
	CHECK(counter == nr_turns);
	run(take_folio_lock, take_folio_lock, take_folio_lock);
	CHECK(counter == nr_turns && state_of(folio) == 0);
}

/* Each time that the folio became dirty, a writer cleaned it, or it is still dirty. */
static void test_writers(void)
{
	nr_locked = nr_dirtied = 0;
	run(write_out, write_out, make_dirty);
	CHECK(nr_locked != 0 && counter == nr_locked);
	CHECK(nr_dirtied == nr_locked + folio_test_dirty(folio));
	CHECK(marks_of(&mapping, folio) == DIRTY);
}

/*
 * Interrupts: in the middle of an operation, the handler takes a reference and changes a flag. The
 * operation then tries again, on a single processor too.
 */
static void interrupt(int signal)
{
	unsigned int expected = nr_interrupts % 2 == 0 ? PG_uptodate : 0;

	(void)signal;
	folio_get(folio);
	/* The flag must be as the last interrupt left it. */
	if ((folio_change_flags(folio, expected ^ PG_uptodate, expected) & PG_uptodate) != expected)
		nr_lost++;
	nr_interrupts++;
}

static void *send_interrupts(void *data)
{
	static const struct timespec moment = {.tv_nsec = 10000};

	while (!got_it) {
		CHECK(pthread_kill(*(pthread_t *)data, SIGUSR1) == 0);
		nanosleep(&moment, NULL);
	}
	return NULL;
}

static void test_interrupted(void)
{
	struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
	pthread_t self = pthread_self(), thread;
	uint64_t nr_references = 0;

	folio_change_flags(folio, 0, PG_dirty);
	got_it = false;
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	CHECK(pthread_create(&thread, NULL, send_interrupts, &self) == 0);
	for (uint64_t turn = 0; goes_on(turn) || nr_interrupts < 300; turn++) {
		CHECK((folio_change_flags(folio, PG_dirty, 0) & PG_dirty) == 0);
		CHECK(folio_trylock_for_io(folio));
		CHECK((folio_change_flags(folio, 0, PG_locked) & PG_locked) != 0);
		if (turn % 2 == 0)
			folio_get(folio);
		else
			folio_get_run(folio, 1);
		/* Drops the references that the interrupts took. */
		for (; folio->refcount > 2; nr_references++)
			folio_put(&mapping, folio);
		folio_put(&mapping, folio);
	}
	got_it = true;
	CHECK(pthread_join(thread, NULL) == 0);
	while (folio->refcount > 1) {
		folio_put(&mapping, folio);
		nr_references++;
	}
	CHECK(nr_references == nr_interrupts);
	CHECK(nr_lost == 0 && state_of(folio) == 0);
}

#define NR_TAGGED (10 * XA_CHECK_SCHED)

static _Atomic uint64_t nr_inside, nr_free;
static atomic_bool is_tagging;

static void look_at_lock(int signal)
{
	(void)signal;
	nr_interrupts++;
	if (!is_tagging)
		return;
	nr_inside++;
	if (atomic_exchange(&mapping.i_pages.xa_lock, true))
		return;
	xa_unlock(&mapping.i_pages);
	nr_free++;
}

/* tag_pages_for_writeback() drops the lock between its turns, and takes it again. */
static void test_tag_turns(void)
{
	struct sigaction action = {.sa_handler = look_at_lock, .sa_flags = SA_RESTART};
	pthread_t self = pthread_self(), thread;
	struct folio *last = NULL;

	for (pgoff_t i = 0; i < NR_TAGGED; i++) {
		last = host_add_folio(&mapping, 64 + i, 0);
		folio_mark_dirty(&mapping, last);
	}
	nr_interrupts = 0;
	got_it = false;
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(pthread_create(&thread, NULL, send_interrupts, &self) == 0);
	while (nr_inside < 100) {
		is_tagging = true;
		tag_pages_for_writeback(&mapping, 64, UINT64_MAX);
		is_tagging = false;
	}
	got_it = true;
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(nr_free < nr_inside / 2);
	CHECK(marks_of(&mapping, last) == (DIRTY | TOWRITE));
}

static struct folio *victim;
static atomic_bool is_removing;

static void dirty_victim(int signal)
{
	(void)signal;
	nr_interrupts++;
	if (!is_removing || atomic_exchange(&mapping.i_pages.xa_lock, true))
		return;
	xa_unlock(&mapping.i_pages);
	folio_mark_dirty(&mapping, victim);
	nr_inside++;
}

/*
 * One thread dirties a folio without its lock while another removes the folio: the mark is set
 * before the removal, or not at all. The folio is the only one of its node, which is freed with it.
 * A mark set too late would be in a free node.
 */
static void test_dirtied_in_removal(void)
{
	struct sigaction action = {.sa_handler = dirty_victim, .sa_flags = SA_RESTART};
	pthread_t self = pthread_self(), thread;

	nr_interrupts = 0;
	got_it = false;
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(pthread_create(&thread, NULL, send_interrupts, &self) == 0);
	while (nr_inside < 200) {
		CHECK(filemap_add_folio(&mapping, UINT64_C(1) << 40, 0, &victim) == 0);
		folio_get(victim);
		is_removing = true;
		CHECK(filemap_remove_folio(&mapping, victim) == 0);
		is_removing = false;
		for (uint32_t number = mapping.i_pages.xa_free_node; number != 0;
		     number = mapping.i_pages.xa_nodes[number].parent)
			CHECK(mapping.i_pages.xa_nodes[number].marks[PAGECACHE_TAG_DIRTY] == 0);
		folio_put(&mapping, victim);
	}
	got_it = true;
	CHECK(pthread_join(thread, NULL) == 0);
	nr_inside = 0;
}

/* Every function that reads or changes the tree or the pool does so under the tree's lock. */

static struct folio_chunk *chunk;
static struct folio *other;

static void add_chunk(void)
{
	CHECK(address_space_add_chunk(&mapping, chunk) == 0);
}

static void add(void)
{
	CHECK(filemap_add_folio(&mapping, 1, 0, &other) == 0);
}

static void get(void)
{
	CHECK(filemap_get_folio(&mapping, 1) == other);
}

static void mark_dirty(void)
{
	CHECK(folio_mark_dirty(&mapping, other));
}

static void tag(void)
{
	tag_pages_for_writeback(&mapping, 0, 1);
}

static void look_up(void)
{
	struct folio_batch fbatch;
	pgoff_t start = 1;

	folio_batch_init(&fbatch);
	CHECK(filemap_get_folios_tag(&mapping, &start, 1, PAGECACHE_TAG_TOWRITE, &fbatch) == 1);
	folio_batch_release(&mapping, &fbatch);
}

static void start_writeback(void)
{
	folio_start_writeback(&mapping, other, false);
}

static void end_writeback(void)
{
	folio_end_writeback(&mapping, other);
}

static void remove_folio(void)
{
	CHECK(filemap_remove_folio(&mapping, other) == 0);
}

static void put_last(void)
{
	folio_put(&mapping, other);
}

static void (*held_up)(void);

static void *call_held_up(void *data)
{
	nr_started = 1;
	held_up();
	got_it = true;
	return data;
}

/* Calls the function in another thread while this thread has the lock. */
static void hold_up(void (*call)(void))
{
	static const struct timespec moment = {.tv_nsec = 10000000};
	pthread_t thread;

	held_up = call;
	nr_started = 0;
	got_it = false;
	xa_lock(&mapping.i_pages);
	CHECK(pthread_create(&thread, NULL, call_held_up, NULL) == 0);
	while (nr_started == 0)
		sched_yield();
	nanosleep(&moment, NULL);
	CHECK(!got_it);
	xa_unlock(&mapping.i_pages);
	CHECK(pthread_join(thread, NULL) == 0);
	/* The function has released the lock. */
	CHECK(!atomic_exchange(&mapping.i_pages.xa_lock, true));
	xa_unlock(&mapping.i_pages);
}

static void test_tree_lock(void)
{
	chunk = host_alloc_chunk();
	hold_up(add_chunk);
	hold_up(add);
	hold_up(get);
	hold_up(mark_dirty);
	hold_up(tag);
	hold_up(look_up);
	CHECK(folio_trylock(other));
	hold_up(start_writeback);
	folio_unlock(&mapping, other);
	hold_up(end_writeback);
	hold_up(remove_folio);
	hold_up(put_last);
}

int main(void)
{
	address_space_init(&mapping, PAGE_SHIFT, true, &host_ops);
	folio = host_add_folio(&mapping, 0, 0);
	test_flags();
	test_references();
	test_locks();
	test_writers();
	test_tree_lock();
	test_interrupted();
	test_dirtied_in_removal();
	test_tag_turns();
	host_check_tree(&mapping);
	host_mapping_destroy(&mapping);
	CHECK(host_allocated == 0);
	printf("%d threads lost nothing\n", NR_THREADS);
	return 0;
}
