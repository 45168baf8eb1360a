// SPDX-License-Identifier: GPL-2.0-only
#include "wait_queue.h"

#include <pthread.h>

/* Sleepers are told apart by the folio they wait for, as far as this many queues do. */
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

/* The folio may be gone from its slot when it is woken, so only its address is looked at. */
static unsigned int queue_of(const struct folio *folio)
{
	return (unsigned int)((uintptr_t)folio / sizeof(*folio)) % NR_QUEUES;
}

int wait_on_folio(struct address_space *mapping, struct folio *folio, unsigned int flag)
{
	unsigned int i = queue_of(folio);

	(void)mapping;
	pthread_mutex_lock(&queues[i].mutex);
	/* The flag goes before the waker takes the mutex, so no wake-up is missed. */
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
