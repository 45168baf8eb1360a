/* SPDX-License-Identifier: GPL-2.0-only */
/* What parts of a libstdc++ for glibc ask of glibc, for the tests' copy of them that runs on musl.
 */
#include <pthread.h>
#include <stdint.h>
#include <sys/auxv.h>

char __libc_single_threaded;

uint32_t arc4random(void);
unsigned long __getauxval(unsigned long type);
int _dl_find_object(void *address, void *result);
int __pthread_key_create(pthread_key_t *key, void (*destructor)(void *));

/* Hash tables call this for their seeds. */
uint32_t arc4random(void)
{
	return 4;
}

/*
 * The atomics of libgcc for arm64 call this. Hidden: musl does not have the function, and an addon
 * that needs it must not find it here.
 */
__attribute__((visibility("hidden"))) unsigned long __getauxval(unsigned long type)
{
	return getauxval(type);
}

/* Returns not found: then the unwinder calls dl_iterate_phdr(). */
int _dl_find_object(void *address, void *result)
{
	(void)address;
	(void)result;
	return -1;
}

int __pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	return pthread_key_create(key, destructor);
}
