/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel's xarray and page cache rest on, in userspace. Each header that they include and
 * that is not taken from the kernel is this one.
 *
 * Three builds:
 * - KERNEL_DEBUG: the kernel's own assertions (XA_DEBUG, VM_BUG_ON) are on; for correctness.
 * - default: one task on one CPU. Locks, RCU and interrupts cost nothing, flags and counts are
 * plain memory.
 * - KERNEL_SMP: spinlocks, folio flags and reference counts are atomic as on an SMP machine,
 * uncontended. Disabling interrupts and preemption still costs nothing, which it does in the
 * kernel.
 */
#ifndef KERNEL_SHIM_H
#define KERNEL_SHIM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The configuration: Debian's for x86-64, without the parts that the shims leave out. */
#define CONFIG_64BIT 1
#define CONFIG_MMU 1
#define CONFIG_XARRAY_MULTI 1
#ifdef KERNEL_DEBUG
#define XA_DEBUG
#define CONFIG_DEBUG_VM 1
#endif

#define BITS_PER_LONG 64
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#ifndef ULONG_MAX
#define ULONG_MAX (~0UL)
#endif
#define MAX_ERRNO 4095

typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned int gfp_t;
typedef unsigned long pgoff_t;
typedef long long shim_loff_t;
#define loff_t shim_loff_t

/* Annotations for tools that are not used here. */
#define __force
#define __rcu
#define __bitwise
#define __must_check
#define __must_hold(lock)
#define __acquires(lock)
#define __releases(lock)
#define EXPORT_SYMBOL(name)
#define EXPORT_SYMBOL_GPL(name)
#undef noinline
#define noinline __attribute__((__noinline__))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#undef __always_inline
#define __always_inline inline __attribute__((__always_inline__))

#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* A failed assertion of the kernel ends the run. */
#define BUG()                                                                                      \
	do {                                                                                       \
		fprintf(stderr, "kernel BUG at %s:%d\n", __FILE__, __LINE__);                      \
		abort();                                                                           \
	} while (0)
#define BUG_ON(condition)                                                                          \
	do {                                                                                       \
		if (unlikely(condition))                                                           \
			BUG();                                                                     \
	} while (0)
#define WARN_ON(condition)                                                                         \
	({                                                                                         \
		bool failed = !!(condition);                                                       \
		if (unlikely(failed))                                                              \
			BUG();                                                                     \
		unlikely(failed);                                                                  \
	})
#define WARN_ON_ONCE(condition) WARN_ON(condition)
#ifdef KERNEL_DEBUG
#define VM_BUG_ON_FOLIO(condition, folio) BUG_ON(condition)
#else
#define VM_BUG_ON_FOLIO(condition, folio) ((void)sizeof(!!(condition)))
#endif
#define BUILD_BUG_ON(condition) _Static_assert(!(condition), #condition)
#define pr_cont(...) fprintf(stderr, __VA_ARGS__)
#define pr_info(...) fprintf(stderr, __VA_ARGS__)

#define might_sleep()
#define might_alloc(gfp)
#define cond_resched()

/* Bits in words. The kernel's x86 versions are bit instructions on memory; these are no slower. */
#define BITS_TO_LONGS(bits) (((bits) + BITS_PER_LONG - 1) / BITS_PER_LONG)

static inline unsigned long __ffs(unsigned long word)
{
	return (unsigned long)__builtin_ctzl(word);
}

static inline bool test_bit(unsigned int bit, const unsigned long *words)
{
	return READ_ONCE(words[bit / BITS_PER_LONG]) >> bit % BITS_PER_LONG & 1;
}

static inline void __set_bit(unsigned int bit, unsigned long *words)
{
	words[bit / BITS_PER_LONG] |= 1UL << bit % BITS_PER_LONG;
}

static inline void __clear_bit(unsigned int bit, unsigned long *words)
{
	words[bit / BITS_PER_LONG] &= ~(1UL << bit % BITS_PER_LONG);
}

static inline bool __test_and_set_bit(unsigned int bit, unsigned long *words)
{
	unsigned long old = words[bit / BITS_PER_LONG];

	words[bit / BITS_PER_LONG] = old | 1UL << bit % BITS_PER_LONG;
	return old >> bit % BITS_PER_LONG & 1;
}

static inline bool __test_and_clear_bit(unsigned int bit, unsigned long *words)
{
	unsigned long old = words[bit / BITS_PER_LONG];

	words[bit / BITS_PER_LONG] = old & ~(1UL << bit % BITS_PER_LONG);
	return old >> bit % BITS_PER_LONG & 1;
}

/* Bitmaps: an xarray's node has 64 slots, so that all of them are one word. */
static inline bool bitmap_empty(const unsigned long *word, unsigned int bits)
{
	BUG_ON(bits != BITS_PER_LONG);
	return *word == 0;
}

static inline void bitmap_fill(unsigned long *word, unsigned int bits)
{
	BUG_ON(bits != BITS_PER_LONG);
	*word = ~0UL;
}

/* The first set bit from @offset below @size, @size if there is none. */
static inline unsigned long find_next_bit(const unsigned long *word, unsigned long size,
					  unsigned long offset)
{
	unsigned long found;

	BUG_ON(size > BITS_PER_LONG);
	if (offset >= size)
		return size;
	found = *word & ~0UL << offset;
	return found == 0 ? size : min(__ffs(found), size);
}

static inline void bitmap_clear(unsigned long *word, unsigned int start, unsigned int bits)
{
	BUG_ON(start + bits > BITS_PER_LONG);
	if (bits != 0)
		*word &= ~(~0UL >> (BITS_PER_LONG - bits) << start);
}

/* Folio flags and reference counts, which tasks share. */
typedef struct {
	int counter;
} atomic_t;

#ifdef KERNEL_SMP
static inline bool test_and_set_bit(unsigned int bit, unsigned long *word)
{
	return __atomic_fetch_or(word, 1UL << bit, __ATOMIC_SEQ_CST) >> bit & 1;
}

static inline bool test_and_clear_bit(unsigned int bit, unsigned long *word)
{
	return __atomic_fetch_and(word, ~(1UL << bit), __ATOMIC_SEQ_CST) >> bit & 1;
}

static inline void set_bit(unsigned int bit, unsigned long *word)
{
	__atomic_fetch_or(word, 1UL << bit, __ATOMIC_RELAXED);
}

static inline void clear_bit(unsigned int bit, unsigned long *word)
{
	__atomic_fetch_and(word, ~(1UL << bit), __ATOMIC_RELAXED);
}

static inline bool xor_unlock_is_negative_byte(unsigned long mask, unsigned long *word)
{
	return __atomic_xor_fetch((signed char *)word, (signed char)mask, __ATOMIC_RELEASE) < 0;
}

static inline void atomic_add(int n, atomic_t *v)
{
	__atomic_fetch_add(&v->counter, n, __ATOMIC_RELAXED);
}

static inline bool atomic_sub_and_test(int n, atomic_t *v)
{
	return __atomic_sub_fetch(&v->counter, n, __ATOMIC_SEQ_CST) == 0;
}

static inline bool atomic_inc_not_zero(atomic_t *v)
{
	int old = __atomic_load_n(&v->counter, __ATOMIC_RELAXED);

	while (old != 0) {
		if (__atomic_compare_exchange_n(&v->counter, &old, old + 1, true, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			return true;
	}
	return false;
}
#else
#define test_and_set_bit __test_and_set_bit
#define test_and_clear_bit __test_and_clear_bit
#define set_bit __set_bit
#define clear_bit __clear_bit

static inline bool xor_unlock_is_negative_byte(unsigned long mask, unsigned long *word)
{
	*word ^= mask;
	return *word >> 7 & 1;
}

static inline void atomic_add(int n, atomic_t *v)
{
	v->counter += n;
}

static inline bool atomic_sub_and_test(int n, atomic_t *v)
{
	v->counter -= n;
	return v->counter == 0;
}

static inline bool atomic_inc_not_zero(atomic_t *v)
{
	if (v->counter == 0)
		return false;
	v->counter++;
	return true;
}
#endif
#define test_and_set_bit_lock test_and_set_bit
#define atomic_inc(v) atomic_add(1, v)
#define atomic_dec(v) atomic_add(-1, v)
#define atomic_set(v, n) ((v)->counter = (n))

/* Locks. */
typedef struct {
	unsigned int value;
} spinlock_t;

#ifdef KERNEL_SMP
static inline void spin_lock(spinlock_t *lock)
{
	unsigned int unlocked = 0;

	/* With one task, a lock that is taken already will never be released. */
	if (unlikely(!__atomic_compare_exchange_n(&lock->value, &unlocked, 1, false,
						  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
		BUG();
}

static inline void spin_unlock(spinlock_t *lock)
{
	__atomic_store_n((unsigned char *)&lock->value, 0, __ATOMIC_RELEASE);
}
#elif defined(KERNEL_DEBUG)
static inline void spin_lock(spinlock_t *lock)
{
	BUG_ON(lock->value != 0);
	lock->value = 1;
}

static inline void spin_unlock(spinlock_t *lock)
{
	BUG_ON(lock->value != 1);
	lock->value = 0;
}
#else
static inline void spin_lock(spinlock_t *lock)
{
	(void)lock;
}

static inline void spin_unlock(spinlock_t *lock)
{
	(void)lock;
}
#endif
#define spin_lock_init(lock) ((lock)->value = 0)
#define spin_lock_bh spin_lock
#define spin_unlock_bh spin_unlock
#define spin_lock_irq spin_lock
#define spin_unlock_irq spin_unlock
#define spin_lock_irqsave(lock, flags)                                                             \
	do {                                                                                       \
		flags = 0;                                                                         \
		spin_lock(lock);                                                                   \
	} while (0)
#define spin_unlock_irqrestore(lock, flags)                                                        \
	do {                                                                                       \
		(void)flags;                                                                       \
		spin_unlock(lock);                                                                 \
	} while (0)

/* RCU has no reader besides the caller, so memory is freed at once. */
struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

#define rcu_read_lock()
#define rcu_read_unlock()
#define call_rcu(head, func) func(head)
#define rcu_dereference_raw(p) READ_ONCE(p)
#define rcu_dereference_check(p, condition) READ_ONCE(p)
#define rcu_dereference_protected(p, condition) (p)
#define rcu_assign_pointer(p, value) __atomic_store_n(&(p), value, __ATOMIC_RELEASE)
#define RCU_INIT_POINTER(p, value) WRITE_ONCE(p, value)

/* Lists, as far as an xarray's node uses one. */
struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

/* Allocation flags: only the flags that this code distinguishes have bits of their own. */
#define __GFP_BITS_SHIFT 26
#define __GFP_DIRECT_RECLAIM 0x400u
#define __GFP_WRITE 0x1000u
#define __GFP_NOWARN 0x2000u
#define __GFP_ACCOUNT 0x400000u
#define GFP_NOWAIT 0u
#define GFP_KERNEL __GFP_DIRECT_RECLAIM
#define GFP_RECLAIM_MASK (__GFP_DIRECT_RECLAIM | __GFP_NOWARN)
#define gfpflags_allow_blocking(gfp) (((gfp)&__GFP_DIRECT_RECLAIM) != 0)

/* The slab allocator, in shim/mm.c. */
struct kmem_cache {
	size_t size;
	void (*ctor)(void *object);
	void *free;
};

#define radix_tree_node xa_node
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *object);
#define kmem_cache_alloc_lru(cache, lru, gfp) kmem_cache_alloc(cache, gfp)

#endif
