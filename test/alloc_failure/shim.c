// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes one allocation of a Node process fail: to be preloaded (LD_PRELOAD), and loaded as an addon
 * by the process itself, which gets the words below as an ArrayBuffer.
 *
 * What counts as an allocation is a call of malloc, calloc or realloc from within
 * writeback_iter.node, and one memory of an ArrayBuffer's, for which V8 asks several times, with
 * garbage collections in between. Those of other threads do not count.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <node_api.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define MAX_SITES 64
#define MAX_FRAMES 16

/* child.mjs has these numbers, and the places of the words. */
enum {
	OF_ADDON = 1,
	OF_BUFFERS = 2,
};

static struct {
	/* OF_ADDON, OF_BUFFERS or both count; 0: nothing does. */
	int32_t kinds;
	/* The allocation that fails, counted down to 0. */
	int32_t countdown;
	/* Only allocations of this many bytes count; 0: all. */
	int32_t size;
	int32_t failed;
	/* The return addresses in the addon of its calls of an allocator, each once. */
	int32_t nr_sites;
	int32_t sites[MAX_SITES];
} state;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
void *__libc_realloc(void *memory, size_t size);

static void add_site(int32_t site)
{
	for (int32_t i = 0; i < state.nr_sites; i++) {
		if (state.sites[i] == site)
			return;
	}
	if (state.nr_sites < MAX_SITES)
		state.sites[state.nr_sites++] = site;
}

/* Code, from @start up to @end. */
struct range {
	uintptr_t start;
	uintptr_t end;
};

/* The functions of Node that V8 gets the memory of ArrayBuffers from. */
static const char *const allocators[] = {
	"_ZN4node24NodeArrayBufferAllocator8AllocateEm",
	"_ZN4node24NodeArrayBufferAllocator21AllocateUninitializedEm",
};
static struct range allocator_ranges[2];

/* Finds the functions above; false if one is not where the shim expects it. */
static bool find_allocators(void)
{
	for (size_t i = 0; i < 2; i++) {
		const void *start = dlsym(RTLD_DEFAULT, allocators[i]);
		const ElfW(Sym) * symbol;
		Dl_info info;

		if (start == NULL || dladdr1(start, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0)
			return false;
		allocator_ranges[i].start = (uintptr_t)start;
		allocator_ranges[i].end = (uintptr_t)start + symbol->st_size;
	}
	return true;
}

/* Whether V8 asks for the memory of an ArrayBuffer. */
static bool for_buffer(void)
{
	void *frames[MAX_FRAMES];
	int nr = backtrace(frames, MAX_FRAMES);

	for (int i = 0; i < nr; i++) {
		for (int j = 0; j < 2; j++) {
			if ((uintptr_t)frames[i] >= allocator_ranges[j].start &&
			    (uintptr_t)frames[i] < allocator_ranges[j].end)
				return true;
		}
	}
	return false;
}

struct search {
	uintptr_t address;
	uintptr_t base;
};

/* Ends the search at the addon, if it contains the address. */
static int in_addon(struct dl_phdr_info *object, size_t size, void *data)
{
	struct search *search = data;

	(void)size;
	if (strstr(object->dlpi_name, "/writeback_iter.node") == NULL)
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD &&
		    search->address - object->dlpi_addr - segment->p_vaddr < segment->p_memsz) {
			search->base = object->dlpi_addr;
			return 1;
		}
	}
	return 0;
}

static int kind_of(const void *caller)
{
	struct search search = {.address = (uintptr_t)caller};

	if (dl_iterate_phdr(in_addon, &search) == 0)
		return for_buffer() ? OF_BUFFERS : 0;
	add_site((int32_t)(search.address - search.base));
	return OF_ADDON;
}

static bool fails(const void *caller, size_t size)
{
	static bool inside;
	static bool buffer_fails;
	bool result = false;
	int kind;

	if (state.kinds == 0 || inside || gettid() != getpid())
		return false;
	/* The functions called from here on may allocate. */
	inside = true;
	kind = kind_of(caller);
	if ((kind & state.kinds) != 0 && (state.size == 0 || size == (size_t)state.size)) {
		if (state.countdown == 0) {
			state.failed = 1;
			buffer_fails = kind == OF_BUFFERS;
			result = true;
		} else if (state.countdown < 0 && buffer_fails && kind == OF_BUFFERS) {
			/* V8 tries the same allocation again. */
			result = true;
		}
		if (state.countdown >= 0)
			state.countdown--;
	}
	inside = false;
	return result;
}

void *malloc(size_t size)
{
	if (fails(__builtin_return_address(0), size)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	if (fails(__builtin_return_address(0), nr * size)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(nr, size);
}

void *realloc(void *memory, size_t size)
{
	if (fails(__builtin_return_address(0), size)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(memory, size);
}

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */)
{
	napi_value buffer;

	(void)exports;
	if (!find_allocators()) {
		napi_throw_error(env, NULL, "Node's allocator of ArrayBuffers is not found");
		return NULL;
	}
	if (napi_create_external_arraybuffer(env, &state, sizeof(state), NULL, NULL, &buffer) !=
	    napi_ok)
		return NULL;
	return buffer;
}
