/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the headers of a libstdc++ that was configured for glibc take for given, and musl does not
 * have. Declared so that inline functions compile which the addon never calls.
 */
#ifndef WRITEBACK_ITER_MUSL_CXX_H
#define WRITEBACK_ITER_MUSL_CXX_H

#include <locale.h>
#include <pthread.h>

#define __GLIBC_PREREQ(major, minor) 0

typedef locale_t __locale_t;

int pthread_cond_clockwait(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
int pthread_mutex_clocklock(pthread_mutex_t *, clockid_t, const struct timespec *);

#endif
