// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replays golden traces (test/fixtures/FORMAT.md) on the core: replay FILE.trace.gz ...
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "host.h"
#include "page_writeback.h"

#define MAX_LINE (1 << 20)

static struct address_space mapping;
static struct writeback_control wbc;
static struct folio *current;

/* The result of one line, as the format has it. */
static char result[MAX_LINE];
static size_t result_length;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(result + result_length, MAX_LINE - result_length, format, arguments);
	va_end(arguments);
	CHECK(length >= 0 && (size_t)length < MAX_LINE - result_length);
	result_length += (size_t)length;
}

/* Ends the wait at once. */
static int replay_wait(struct address_space *waited, struct folio *folio, unsigned int flag)
{
	say("wait %s %" PRIu64 "; ", flag == PG_locked ? "lock" : "writeback", folio_index(folio));
	if (flag == PG_locked)
		folio_unlock(waited, folio);
	else
		folio_end_writeback(waited, folio);
	return 0;
}

static struct folio *folio_at(uint64_t index)
{
	struct folio *folio = filemap_get_folio(&mapping, index);

	CHECK(folio != NULL && folio_index(folio) == index);
	folio_put(&mapping, folio);
	return folio;
}

static void say_marks(const char *name, xa_mark_t tag)
{
	struct folio_batch fbatch;
	pgoff_t start = 0;
	const char *comma = "";

	say("%s:", name);
	folio_batch_init(&fbatch);
	while (filemap_get_folios_tag(&mapping, &start, UINT64_MAX, tag, &fbatch) != 0) {
		for (uint32_t i = 0; i < fbatch.nr; i++) {
			say("%s%" PRIu64, comma, folio_index(fbatch.folios[i]));
			comma = ",";
		}
		folio_batch_release(&mapping, &fbatch);
	}
}

static void next(int error)
{
	current = writeback_iter(&mapping, &wbc, current, &error);
	if (current != NULL)
		say("folio %" PRIu64 " %u", folio_index(current), folio_order(current));
	else
		say("done %d", error);
	say(" nr=%" PRId64 " wbindex=%" PRIu64, wbc.nr_to_write, mapping.writeback_index);
}

static void begin(const char *line)
{
	char sync[5];
	int tagged, cyclic;

	folio_batch_release(&mapping, &wbc.fbatch);
	memset(&wbc, 0, sizeof(wbc));
	CHECK(sscanf(line,
		     "begin sync=%4s tagged=%d cyclic=%d start=%" SCNd64 " end=%" SCNd64
		     " nr=%" SCNd64,
		     sync, &tagged, &cyclic, &wbc.range_start, &wbc.range_end,
		     &wbc.nr_to_write) == 6);
	wbc.sync_mode = strcmp(sync, "all") == 0 ? WB_SYNC_ALL : WB_SYNC_NONE;
	wbc.tagged_writepages = tagged != 0;
	wbc.range_cyclic = cyclic != 0;
	current = NULL;
}

static void operation(const char *line)
{
	char name[16];
	int64_t a = 0, b = 0;

	if (strncmp(line, "begin ", 6) == 0) {
		begin(line);
		return;
	}
	CHECK(sscanf(line, "%15s %" SCNd64 " %" SCNd64, name, &a, &b) >= 1);
	if (strcmp(name, "add") == 0)
		say("%s", host_add_folio(&mapping, (pgoff_t)a, (unsigned int)b) != NULL ? "ok"
											: "EEXIST");
	else if (strcmp(name, "dirty") == 0)
		say("%d", folio_mark_dirty(&mapping, folio_at((pgoff_t)a)));
	else if (strcmp(name, "remove") == 0)
		CHECK(filemap_remove_folio(&mapping, folio_at((pgoff_t)a)) == 0);
	else if (strcmp(name, "lock") == 0)
		say("%d", folio_trylock(folio_at((pgoff_t)a)));
	else if (strcmp(name, "unlock") == 0)
		folio_unlock(&mapping, folio_at((pgoff_t)a));
	else if (strcmp(name, "start") == 0)
		folio_start_writeback(&mapping, folio_at((pgoff_t)a), b != 0);
	else if (strcmp(name, "end") == 0)
		folio_end_writeback(&mapping, folio_at((pgoff_t)a));
	else if (strcmp(name, "redirty") == 0) {
		say("%d", folio_redirty_for_writepage(&mapping, &wbc, folio_at((pgoff_t)a)));
		say(" skipped=%" PRId64, wbc.pages_skipped);
	} else if (strcmp(name, "tag") == 0)
		tag_pages_for_writeback(&mapping, (pgoff_t)a, (pgoff_t)b);
	else if (strcmp(name, "next") == 0)
		next((int)a);
	else if (strcmp(name, "marks") == 0) {
		say_marks("dirty", PAGECACHE_TAG_DIRTY);
		say_marks(" writeback", PAGECACHE_TAG_WRITEBACK);
		say_marks(" towrite", PAGECACHE_TAG_TOWRITE);
	} else {
		CHECK(!"a known operation");
	}
}

static int replay(const char *path)
{
	static char line[MAX_LINE];
	char command[4096];
	int number = 0;
	FILE *trace;

	CHECK((size_t)snprintf(command, sizeof(command), "gzip -dc '%s'", path) < sizeof(command));
	trace = popen(command, "r");
	CHECK(trace != NULL);
	host_mapping_init(&mapping);
	memset(&wbc, 0, sizeof(wbc));
	current = NULL;
	while (fgets(line, sizeof(line), trace) != NULL) {
		char *expected;

		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		/* Finds the `=` that stands alone; those of `begin` are within words. */
		expected = strstr(line, " = ");
		if (expected != NULL)
			*expected = '\0';
		result_length = 0;
		result[0] = '\0';
		operation(line);
		if (strcmp(result, expected != NULL ? expected + 3 : "") != 0) {
			printf("%s:%d: expected «%s» got «%s»\n", path, number,
			       expected != NULL ? expected + 3 : "", result);
			exit(1);
		}
		if (strncmp(line, "marks", 5) == 0)
			host_check_tree(&mapping);
	}
	CHECK(pclose(trace) == 0 && number > 0);
	folio_batch_release(&mapping, &wbc.fbatch);
	host_mapping_destroy(&mapping);
	CHECK(host_allocated == 0);
	return number;
}

int main(int argc, char **argv)
{
	int lines = 0;

	host_ops.wait = replay_wait;
	CHECK(argc > 1);
	for (int i = 1; i < argc; i++)
		lines += replay(argv[i]);
	printf("%d traces, %d lines, 0 divergences\n", argc - 1, lines);
	return 0;
}
