/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For prebuilt addons: the versions that glibc 2.28 has of functions that later moved from
 * libpthread into libc, where they have a later version. Node.js has loaded both.
 */
#ifndef WRITEBACK_ITER_GLIBC_SYMBOLS_H
#define WRITEBACK_ITER_GLIBC_SYMBOLS_H

#include <features.h>
#include <sys/stat.h>

#ifdef __GLIBC__
#ifdef __x86_64__
#define FIRST_VERSION "GLIBC_2.2.5"
#define CONDATTR_VERSION "GLIBC_2.3.3"
#define STAT_VERSION 1
#else
#define FIRST_VERSION "GLIBC_2.17"
#define CONDATTR_VERSION "GLIBC_2.17"
#define STAT_VERSION 0
#endif

#define BIND(name, version) __asm__(".symver " #name "," #name "@" version)
BIND(pthread_create, FIRST_VERSION);
BIND(pthread_condattr_setclock, CONDATTR_VERSION);
BIND(pthread_rwlock_destroy, FIRST_VERSION);
BIND(pthread_rwlock_init, FIRST_VERSION);
BIND(pthread_rwlock_rdlock, FIRST_VERSION);
BIND(pthread_rwlock_tryrdlock, FIRST_VERSION);
BIND(pthread_rwlock_unlock, FIRST_VERSION);
BIND(pthread_rwlock_wrlock, FIRST_VERSION);
BIND(pthread_sigmask, FIRST_VERSION);

/* What fstat() was in its headers until 2.33. */
int __fxstat(int version, int fd, struct stat *stat);
BIND(__fxstat, FIRST_VERSION);
#define fstat(fd, stat) __fxstat(STAT_VERSION, fd, stat)
#endif

#endif
