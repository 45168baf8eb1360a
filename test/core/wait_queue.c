// SPDX-License-Identifier: GPL-2.0-only
#include "wait_queue.h"

#include <pthread.h>

/* Sleepers that wait for different folios may share one of these queues. */
#define NR_QUEUES 16

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t woken;
} queues[NR_QUEUES] = {
#define QUEUE                                                                                      \
	{                                                                                          \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER                                \
	}
	QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE,
	QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE, QUEUE,
};

/* The slot may have another folio when the sleeper wakes, so the address alone is used. */
static unsigned int queue_of(const struct folio *folio)
{
	return (unsigned int)((uintptr_t)folio / sizeof(*folio)) % NR_QUEUES;
}

int wait_on_folio(struct address_space *mapping, struct folio *folio, unsigned int flag)
{
	unsigned int i = queue_of(folio);

	(void)mapping;
	pthread_mutex_lock(&queues[i].mutex);
	/* The flag is cleared before the waker takes the mutex, so no wake-up is missed. */
	while ((folio_flags(folio) & flag) != 0)
		pthread_cond_wait(&queues[i].woken, &queues[i].mutex);
	pthread_mutex_unlock(&queues[i].mutex);
	return 0;
}

void wake_folio(struct address_space *mapping, struct folio *folio, unsigned int flag)
{
	unsigned int i = queue_of(folio);

	(void)mapping;
	(void)flag;
	pthread_mutex_lock(&queues[i].mutex);
	pthread_cond_broadcast(&queues[i].woken);
	pthread_mutex_unlock(&queues[i].mutex);
}
