// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file engine for JavaScript: arguments in, a call of native/file, its result out.
 *
 * Each environment (thread, context) has a table of its handles. A call that must not sleep and
 * cannot be done at once returns a promise, and a thread of the engine executes it. The
 * environment's own thread resolves the promises of completed calls, many at a time. Only that
 * thread touches JavaScript's memory: it copies written bytes before the call returns, and read
 * bytes when it resolves the promise.
 */
#include "file_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define MAX_ARGUMENTS 8

/**
 * struct file_env - the engine's handles of one environment
 * @env: the environment
 * @resolver: runs resolve_done() on the environment's thread
 * @lock: protects @done, @nr_pending and @nr_closed
 * @idle: the environment's end waits for @nr_pending to be 0
 * @done: calls that are done, the last one first
 * @nr_pending: calls that the engine has
 * @unresolved: calls whose promises are open; for the environment's thread only
 * @handles: by number
 * @nr_handles: the number that there is room for
 */
struct file_env {
	napi_env env;
	napi_threadsafe_function resolver;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct async_call *done;
	uint32_t nr_pending;
	uint32_t unresolved;
	struct file **handles;
	uint32_t nr_handles;
};

/**
 * struct async_call - a call that a thread of the engine makes
 * @call: for the engine; the first member
 * @file_env: the environment that made it
 * @next: in the list of completed calls
 * @deferred: the promise
 * @into: for a read, the typed array
 * @before: for a write, the number of bytes that were written at once
 * @handle: for a close, its number
 * @bytes: for a write, the rest of the bytes; for a read, the bytes read
 */
struct async_call {
	struct file_call call;
	struct file_env *file_env;
	struct async_call *next;
	napi_deferred deferred;
	napi_ref into;
	size_t before;
	uint32_t handle;
	char bytes[];
};

static napi_value number(napi_env env, int64_t value)
{
	napi_value result = NULL;

	napi_create_int64(env, value, &result);
	return result;
}

/**
 * struct arguments - the arguments of a callback
 * @file_env: the environment's
 * @values: undefined where there was no argument
 */
struct arguments {
	struct file_env *file_env;
	napi_value values[MAX_ARGUMENTS];
};

static struct arguments get_arguments(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	size_t count = MAX_ARGUMENTS;
	void *data = NULL;

	napi_get_cb_info(env, info, &count, arguments.values, NULL, &data);
	arguments.file_env = data;
	return arguments;
}

static int64_t get_integer(napi_env env, napi_value value)
{
	int64_t integer = 0;

	napi_get_value_int64(env, value, &integer);
	return integer;
}

static bool get_boolean(napi_env env, napi_value value)
{
	bool boolean = false;

	napi_get_value_bool(env, value, &boolean);
	return boolean;
}

/* The handle of this number, or NULL. */
static struct file *get_file(napi_env env, struct file_env *file_env, napi_value value)
{
	double id;

	/* As a double, so that a fraction or a number above 2^32 does not become another
	 * number. */
	if (napi_get_value_double(env, value, &id) != napi_ok ||
	    !(id >= 0 && id < file_env->nr_handles) || id != (double)(uint32_t)id)
		return NULL;
	return file_env->handles[(uint32_t)id];
}

/* The bytes of a Uint8Array; false for anything else. */
static bool get_bytes(napi_env env, napi_value value, char **bytes, size_t *length)
{
	napi_typedarray_type type;
	void *data = NULL;

	if (napi_get_typedarray_info(env, value, &type, length, &data, NULL, NULL) != napi_ok ||
	    type != napi_uint8_array)
		return false;
	*bytes = data;
	return true;
}

/* A number that no handle has, with room for it; negative where there is no memory. */
static int64_t unused_handle(struct file_env *file_env)
{
	struct file **handles;
	uint32_t id = 0;
	uint32_t nr;

	while (id < file_env->nr_handles && file_env->handles[id] != NULL)
		id++;
	if (id < file_env->nr_handles)
		return id;
	nr = id == 0 ? 16 : 2 * id;
	handles = realloc(file_env->handles, nr * sizeof(*handles));
	if (handles == NULL)
		return -ENOMEM;
	memset(handles + id, 0, (nr - id) * sizeof(*handles));
	file_env->handles = handles;
	file_env->nr_handles = nr;
	return id;
}

/* A string in its own memory, or NULL. */
static char *get_string(napi_env env, napi_value value)
{
	size_t length;
	char *string;

	if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok)
		return NULL;
	string = malloc(length + 1);
	if (string != NULL)
		napi_get_value_string_utf8(env, value, string, length + 1, &length);
	return string;
}

/*
 * open(fd, path, writable, direct, lock): the number of the handle, or a negative errno. The
 * descriptor stays the caller's: the end of a worker closes all that were opened there by node:fs,
 * so the engine needs one of its own.
 */
static napi_value call_open(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	int fd = fcntl((int)get_integer(env, arguments.values[0]), F_DUPFD_CLOEXEC, 0);
	int64_t id = unused_handle(arguments.file_env);
	char *path = get_string(env, arguments.values[1]);
	struct file_options options = {
		.path = path,
		.writable = get_boolean(env, arguments.values[2]),
		.direct = (enum file_direct)get_integer(env, arguments.values[3]),
		.lock = (enum file_lock)get_integer(env, arguments.values[4]),
	};
	int err;

	if (fd < 0 || id < 0 || path == NULL) {
		err = fd < 0 ? -errno : -ENOMEM;
		if (fd >= 0)
			close(fd);
		free(path);
		return number(env, err);
	}
	err = file_open(fd, &options, &arguments.file_env->handles[id]);
	free(path);
	return number(env, err != 0 ? err : id);
}

/* An array of numbers, or NULL. */
static napi_value numbers(napi_env env, const uint64_t *values, uint32_t nr)
{
	napi_value result;

	if (napi_create_array(env, &result) != napi_ok)
		return NULL;
	for (uint32_t i = 0; i < nr; i++)
		napi_set_element(env, result, i, number(env, (int64_t)values[i]));
	return result;
}

/* configured(): how often, then the arguments of configure() but its first */
static napi_value call_configured(napi_env env, napi_callback_info info)
{
	struct file_limits limits;
	uint32_t nr = file_configured(&limits);
	const uint64_t values[] = {nr,
				   limits.chosen,
				   limits.memory,
				   limits.dirty_background,
				   limits.dirty,
				   limits.dirty_expire,
				   limits.writeback_interval,
				   limits.writers};

	(void)info;
	return numbers(env, values, sizeof(values) / sizeof(values[0]));
}

/*
 * configure(seen, chosen, memory, dirtyBackground, dirty, dirtyExpire, writebackInterval, writers)
 */
static napi_value call_configure(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	struct file_limits limits = {
		.chosen = (uint32_t)get_integer(env, arguments.values[1]),
		.memory = (uint64_t)get_integer(env, arguments.values[2]),
		.dirty_background = (uint64_t)get_integer(env, arguments.values[3]),
		.dirty = (uint64_t)get_integer(env, arguments.values[4]),
		.dirty_expire = (uint32_t)get_integer(env, arguments.values[5]),
		.writeback_interval = (uint32_t)get_integer(env, arguments.values[6]),
		.writers = (uint32_t)get_integer(env, arguments.values[7]),
	};

	return number(env,
		      file_configure(&limits, (uint32_t)get_integer(env, arguments.values[0])));
}

/* A thread of the engine has executed the call. */
static void call_done(struct file_call *call)
{
	struct async_call *async = (struct async_call *)call;
	struct file_env *file_env = async->file_env;
	bool first;

	pthread_mutex_lock(&file_env->lock);
	first = file_env->done == NULL;
	async->next = file_env->done;
	file_env->done = async;
	/* Under the lock, so that the environment's end, which waits for it, finds no call in the
	 * function. */
	if (first && file_env->resolver != NULL)
		napi_call_threadsafe_function(file_env->resolver, NULL, napi_tsfn_nonblocking);
	if (--file_env->nr_pending == 0)
		pthread_cond_broadcast(&file_env->idle);
	pthread_mutex_unlock(&file_env->lock);
}

/* The result of the call for JavaScript; copies the bytes of a read to its array. */
static int64_t finish_call(napi_env env, struct async_call *async)
{
	int64_t result = async->call.result;
	napi_value into = NULL;
	size_t length = 0;
	char *bytes;

	if (async->call.operation == FILE_CLOSE && result == 0)
		async->file_env->handles[async->handle] = NULL;
	if (result < 0)
		return result;
	if (async->call.operation == FILE_READ) {
		napi_get_reference_value(env, async->into, &into);
		/* The array may have been detached: then there is no place for the bytes. */
		if (!get_bytes(env, into, &bytes, &length) || length < (size_t)result)
			return -EINVAL;
		memcpy(bytes, async->bytes, (size_t)result);
	}
	return result + (int64_t)async->before;
}

static void free_call(napi_env env, struct async_call *async)
{
	if (async->into != NULL)
		napi_delete_reference(env, async->into);
	free(async);
}

/* Resolves the completed calls, in the order of completion. */
static void resolve_done(napi_env env, napi_value callback, void *context, void *data)
{
	struct file_env *file_env = context;
	struct async_call *done, *async = NULL;

	(void)callback;
	(void)data;
	if (env == NULL)
		return;
	pthread_mutex_lock(&file_env->lock);
	done = file_env->done;
	file_env->done = NULL;
	pthread_mutex_unlock(&file_env->lock);
	while (done != NULL) {
		struct async_call *next = done->next;

		done->next = async;
		async = done;
		done = next;
	}
	while (async != NULL) {
		struct async_call *next = async->next;
		napi_handle_scope scope;

		napi_open_handle_scope(env, &scope);
		napi_resolve_deferred(env, async->deferred, number(env, finish_call(env, async)));
		napi_close_handle_scope(env, scope);
		free_call(env, async);
		if (--file_env->unresolved == 0)
			napi_unref_threadsafe_function(env, file_env->resolver);
		async = next;
	}
}

/* Memory for a call of a handle, with room for bytes; NULL where there is none. */
static struct async_call *new_call(struct file_env *file_env, struct file *file,
				   enum file_operation operation, size_t length)
{
	struct async_call *async = malloc(sizeof(*async) + length);

	if (async == NULL)
		return NULL;
	memset(async, 0, sizeof(*async));
	async->file_env = file_env;
	async->call.operation = operation;
	async->call.file = file;
	async->call.buffer = async->bytes;
	async->call.length = length;
	async->call.done = call_done;
	return async;
}

/* Gives the call to the engine. Returns its promise, or the errno. */
static napi_value submit(napi_env env, struct async_call *async)
{
	struct file_env *file_env = async->file_env;
	napi_value promise = NULL;
	int err;

	if (napi_create_promise(env, &async->deferred, &promise) != napi_ok) {
		free_call(env, async);
		return NULL;
	}
	pthread_mutex_lock(&file_env->lock);
	file_env->nr_pending++;
	pthread_mutex_unlock(&file_env->lock);
	if (file_env->unresolved++ == 0)
		napi_ref_threadsafe_function(env, file_env->resolver);
	err = file_submit(&async->call);
	if (err != 0) {
		async->call.result = err;
		call_done(&async->call);
	}
	return promise;
}

/* read(handle, into, position): the number of bytes, or a promise of it. */
static napi_value call_read(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	struct file *file = get_file(env, arguments.file_env, arguments.values[0]);
	int64_t position = get_integer(env, arguments.values[2]);
	struct async_call *async;
	size_t length;
	char *bytes;
	int64_t n = -EAGAIN;

	if (file == NULL || !get_bytes(env, arguments.values[1], &bytes, &length))
		return number(env, file == NULL ? -EBADF : -EINVAL);
	if (!file_has_writes(file)) {
		n = file_read_nowait(file, bytes, length, position);
		/* No more memory than there are bytes. */
		if (n == -EAGAIN && (int64_t)length > file_size(file) - position)
			length = file_size(file) > position ? (size_t)(file_size(file) - position)
							    : 0;
	}
	if (n != -EAGAIN)
		return number(env, n);
	async = new_call(arguments.file_env, file, FILE_READ, length);
	if (async == NULL ||
	    napi_create_reference(env, arguments.values[1], 1, &async->into) != napi_ok) {
		free(async);
		return number(env, -ENOMEM);
	}
	async->call.position = position;
	return submit(env, async);
}

/* write(handle, bytes, position): the number of bytes, or a promise of it. */
static napi_value call_write(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	struct file *file = get_file(env, arguments.file_env, arguments.values[0]);
	int64_t position = get_integer(env, arguments.values[2]);
	struct async_call *async;
	bool throttle = false;
	size_t length;
	char *bytes;
	int64_t n = 0;

	if (file == NULL || !get_bytes(env, arguments.values[1], &bytes, &length))
		return number(env, file == NULL ? -EBADF : -EINVAL);
	if (!file_has_writes(file)) {
		n = file_write_nowait(file, bytes, length, position, &throttle);
		if (n == -EAGAIN)
			n = 0;
		if (n < 0 || ((size_t)n == length && !throttle))
			return number(env, n);
	}
	length -= (size_t)n;
	async = new_call(arguments.file_env, file, length > 0 ? FILE_WRITE : FILE_THROTTLE, length);
	if (async == NULL)
		return number(env, -ENOMEM);
	memcpy(async->bytes, bytes + n, length);
	async->before = (size_t)n;
	async->call.position = position + n;
	return submit(env, async);
}

/* The arguments after the handle: two numbers and a boolean, as far as the operation has them. */
static void get_operands(napi_env env, const struct arguments *arguments, struct file_call *call)
{
	call->position = get_integer(env, arguments->values[1]);
	call->end = get_integer(env, arguments->values[2]);
	call->flag = get_boolean(env, arguments->values[3]);
}

/* A call of a handle, two numbers and a boolean, executed by a thread of the engine. */
static napi_value submit_call(napi_env env, napi_callback_info info, enum file_operation operation)
{
	struct arguments arguments = get_arguments(env, info);
	struct file *file = get_file(env, arguments.file_env, arguments.values[0]);
	struct async_call *async;

	if (file == NULL)
		return number(env, -EBADF);
	async = new_call(arguments.file_env, file, operation, 0);
	if (async == NULL)
		return number(env, -ENOMEM);
	get_operands(env, &arguments, &async->call);
	async->handle = (uint32_t)get_integer(env, arguments.values[0]);
	return submit(env, async);
}

/* fsync(handle, start, end, dataOnly) */
static napi_value call_fsync(napi_env env, napi_callback_info info)
{
	return submit_call(env, info, FILE_FSYNC);
}

/* writeback(handle, nrToWrite) */
static napi_value call_writeback(napi_env env, napi_callback_info info)
{
	return submit_call(env, info, FILE_WRITEBACK);
}

/* truncate(handle, length) */
static napi_value call_truncate(napi_env env, napi_callback_info info)
{
	return submit_call(env, info, FILE_TRUNCATE);
}

/* deallocate(handle, start, end) */
static napi_value call_deallocate(napi_env env, napi_callback_info info)
{
	return submit_call(env, info, FILE_DEALLOCATE);
}

/* close(handle, 0, 0, discard) */
static napi_value call_close(napi_env env, napi_callback_info info)
{
	return submit_call(env, info, FILE_CLOSE);
}

/* readSync(handle, into, position), writeSync(handle, bytes, position) */
static napi_value transfer_sync(napi_env env, napi_callback_info info,
				enum file_operation operation)
{
	struct arguments arguments = get_arguments(env, info);
	struct file_call call = {
		.operation = operation,
		.file = get_file(env, arguments.file_env, arguments.values[0]),
		.position = get_integer(env, arguments.values[2]),
	};
	char *bytes;

	if (call.file == NULL)
		return number(env, -EBADF);
	if (!get_bytes(env, arguments.values[1], &bytes, &call.length))
		return number(env, -EINVAL);
	call.buffer = bytes;
	return number(env, file_make_call(&call));
}

static napi_value call_read_sync(napi_env env, napi_callback_info info)
{
	return transfer_sync(env, info, FILE_READ);
}

static napi_value call_write_sync(napi_env env, napi_callback_info info)
{
	return transfer_sync(env, info, FILE_WRITE);
}

/* As submit_call(), made by this thread. */
static napi_value call_sync(napi_env env, napi_callback_info info, enum file_operation operation)
{
	struct arguments arguments = get_arguments(env, info);
	struct file_call call = {
		.operation = operation,
		.file = get_file(env, arguments.file_env, arguments.values[0]),
	};

	if (call.file == NULL)
		return number(env, -EBADF);
	get_operands(env, &arguments, &call);
	return number(env, file_make_call(&call));
}

static napi_value call_fsync_sync(napi_env env, napi_callback_info info)
{
	return call_sync(env, info, FILE_FSYNC);
}

static napi_value call_writeback_sync(napi_env env, napi_callback_info info)
{
	return call_sync(env, info, FILE_WRITEBACK);
}

static napi_value call_truncate_sync(napi_env env, napi_callback_info info)
{
	return call_sync(env, info, FILE_TRUNCATE);
}

static napi_value call_deallocate_sync(napi_env env, napi_callback_info info)
{
	return call_sync(env, info, FILE_DEALLOCATE);
}

/* closeSync(handle, discard) */
static napi_value call_close_sync(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	struct file_call call = {
		.operation = FILE_CLOSE,
		.file = get_file(env, arguments.file_env, arguments.values[0]),
		.flag = get_boolean(env, arguments.values[1]),
	};
	int64_t err;

	if (call.file == NULL)
		return number(env, -EBADF);
	err = file_make_call(&call);
	if (err == 0)
		arguments.file_env->handles[get_integer(env, arguments.values[0])] = NULL;
	return number(env, err);
}

/* release(handle): its dirty pages are written soon. */
static napi_value call_release(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	struct file *file = get_file(env, arguments.file_env, arguments.values[0]);

	struct async_call *async;

	if (file == NULL)
		return NULL;
	arguments.file_env->handles[get_integer(env, arguments.values[0])] = NULL;
	async = new_call(arguments.file_env, file, FILE_RELEASE, 0);
	if (async != NULL)
		return submit(env, async);
	file_release(file);
	return NULL;
}

/* descriptor(handle) */
static napi_value call_descriptor(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	struct file *file = get_file(env, arguments.file_env, arguments.values[0]);

	return number(env, file == NULL ? -EBADF : file_fd(file));
}

/* size(handle) */
static napi_value call_size(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	struct file *file = get_file(env, arguments.file_env, arguments.values[0]);

	return number(env, file == NULL ? -EBADF : file_size(file));
}

/* stat(handle): the numbers of struct file_stats, in an array. */
static napi_value call_stat(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	struct file *file = get_file(env, arguments.file_env, arguments.values[0]);
	struct file_stats stats;
	if (file == NULL)
		return number(env, -EBADF);
	file_stat(file, &stats);
	const uint64_t values[] = {(uint64_t)stats.size, stats.dirty_pages,    stats.cached_pages,
				   stats.passes,	 stats.folios_written, stats.device_writes,
				   stats.bytes_written,	 stats.device_reads,   stats.bytes_read};

	return numbers(env, values, sizeof(values) / sizeof(values[0]));
}

struct failed_list {
	napi_env env;
	napi_value array;
	uint32_t length;
};

static void add_failed(const char *path, int error, void *data)
{
	struct failed_list *list = data;
	napi_value string;

	if (napi_create_string_utf8(list->env, path, NAPI_AUTO_LENGTH, &string) != napi_ok)
		return;
	napi_set_element(list->env, list->array, list->length++, string);
	napi_set_element(list->env, list->array, list->length++, number(list->env, error));
}

/* syncAll(): path and errno of each file that could not be written, one after the other. */
static napi_value call_sync_all(napi_env env, napi_callback_info info)
{
	struct arguments arguments = get_arguments(env, info);
	struct failed_list list = {.env = env};

	if (napi_create_array(env, &list.array) != napi_ok)
		return NULL;
	/* Not those of other threads: they may go on. */
	for (uint32_t i = 0; i < arguments.file_env->nr_handles; i++) {
		if (arguments.file_env->handles[i] != NULL)
			file_wait_for_writes(arguments.file_env->handles[i]);
	}
	file_sync_all(add_failed, &list);
	return list.array;
}

/* The environment ends, perhaps with calls under way. */
static void end_env(void *data)
{
	struct file_env *file_env = data;
	struct async_call *async;

	pthread_mutex_lock(&file_env->lock);
	while (file_env->nr_pending > 0)
		pthread_cond_wait(&file_env->idle, &file_env->lock);
	pthread_mutex_unlock(&file_env->lock);
	napi_release_threadsafe_function(file_env->resolver, napi_tsfn_abort);
	while ((async = file_env->done) != NULL) {
		file_env->done = async->next;
		if (async->call.operation == FILE_CLOSE && async->call.result == 0)
			file_env->handles[async->handle] = NULL;
		free(async);
	}
	for (uint32_t i = 0; i < file_env->nr_handles; i++) {
		if (file_env->handles[i] != NULL)
			file_release(file_env->handles[i]);
	}
	free(file_env->handles);
	pthread_mutex_destroy(&file_env->lock);
	pthread_cond_destroy(&file_env->idle);
	free(file_env);
}

static const struct {
	const char *name;
	napi_callback function;
} file_calls[] = {
	{"open", call_open},
	{"configure", call_configure},
	{"configured", call_configured},
	{"read", call_read},
	{"readSync", call_read_sync},
	{"write", call_write},
	{"writeSync", call_write_sync},
	{"fsync", call_fsync},
	{"fsyncSync", call_fsync_sync},
	{"writeback", call_writeback},
	{"writebackSync", call_writeback_sync},
	{"truncate", call_truncate},
	{"truncateSync", call_truncate_sync},
	{"deallocate", call_deallocate},
	{"deallocateSync", call_deallocate_sync},
	{"close", call_close},
	{"closeSync", call_close_sync},
	{"release", call_release},
	{"descriptor", call_descriptor},
	{"size", call_size},
	{"stat", call_stat},
	{"syncAll", call_sync_all},
};

static bool start_resolver(napi_env env, struct file_env *file_env)
{
	napi_value name;

	return napi_create_string_utf8(env, "writeback-iter", NAPI_AUTO_LENGTH, &name) == napi_ok &&
	       napi_create_threadsafe_function(env, NULL, NULL, name, 0, 1, NULL, NULL, file_env,
					       resolve_done, &file_env->resolver) == napi_ok &&
	       napi_unref_threadsafe_function(env, file_env->resolver) == napi_ok;
}

/* createFileEngine(): the calls, for this environment; undefined if there is no memory. */
napi_value create_file_engine(napi_env env, napi_callback_info info)
{
	struct file_env *file_env = calloc(1, sizeof(*file_env));
	napi_value functions, function;

	(void)info;
	if (file_env == NULL)
		return NULL;
	file_env->env = env;
	if (!start_resolver(env, file_env)) {
		free(file_env);
		return NULL;
	}
	pthread_mutex_init(&file_env->lock, NULL);
	pthread_cond_init(&file_env->idle, NULL);
	/* Later than the resolver's own, so that it runs before that. */
	napi_add_env_cleanup_hook(env, end_env, file_env);
	if (napi_create_object(env, &functions) != napi_ok)
		return NULL;
	for (size_t i = 0; i < sizeof(file_calls) / sizeof(file_calls[0]); i++) {
		if (napi_create_function(env, file_calls[i].name, NAPI_AUTO_LENGTH,
					 file_calls[i].function, file_env, &function) != napi_ok ||
		    napi_set_named_property(env, functions, file_calls[i].name, function) !=
			    napi_ok)
			return NULL;
	}
	return functions;
}
