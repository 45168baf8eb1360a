/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last error of a file, and whether a handle has seen it, in one word. After lib/errseq.c.
 *
 * Bits 0 to 11 are the errno, bit 12 says that a handle has seen it, the rest counts. The counter
 * moves only when an error comes after one that was seen.
 */
#ifndef WRITEBACK_ITER_ERRSEQ_H
#define WRITEBACK_ITER_ERRSEQ_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

typedef uint64_t errseq_t;

#define ERRSEQ_MAX_ERRNO 4095
#define ERRSEQ_SEEN (UINT64_C(1) << 12)
#define ERRSEQ_CTR_INC (UINT64_C(1) << 13)

/**
 * errseq_set - record an error
 * @eseq: the sequence
 * @err: a negative errno
 */
static inline void errseq_set(_Atomic errseq_t *eseq, int err)
{
	errseq_t old = atomic_load(eseq);
	errseq_t new;

	assert(err < 0 && err >= -ERRSEQ_MAX_ERRNO);
	do {
		new = (old & ~(errseq_t)(ERRSEQ_MAX_ERRNO | ERRSEQ_SEEN)) | (errseq_t)-err;
		if ((old & ERRSEQ_SEEN) != 0)
			new += ERRSEQ_CTR_INC;
	} while (!atomic_compare_exchange_weak(eseq, &old, new));
}

/* The cursor of a new handle: an error that no handle has seen is news to it, too. */
static inline errseq_t errseq_sample(_Atomic errseq_t *eseq)
{
	errseq_t old = atomic_load(eseq);

	return (old & ERRSEQ_SEEN) != 0 ? old : 0;
}

/**
 * errseq_check_and_advance - what happened since a cursor
 * @eseq: the sequence
 * @since: the cursor, moved to now
 *
 * Return: the negative errno, 0 if there was none.
 */
static inline int errseq_check_and_advance(_Atomic errseq_t *eseq, _Atomic errseq_t *since)
{
	errseq_t old = atomic_load(eseq);
	errseq_t seen = atomic_load(since);

	/* Only one of several calls on one handle reports it. */
	do {
		if (old == seen)
			return 0;
		if ((old & ERRSEQ_SEEN) == 0) {
			atomic_compare_exchange_strong(eseq, &old, old | ERRSEQ_SEEN);
			old = atomic_load(eseq);
		}
	} while (!atomic_compare_exchange_weak(since, &seen, old));
	return -(int)(old & ERRSEQ_MAX_ERRNO);
}

#endif
