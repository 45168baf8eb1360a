// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of deferred marks: each note does to the marks what it says, to all its folios and to no
 * other.
 */
#include "deferred_marks.h"

#include "folio_state.h"
#include "host.h"

static struct address_space mapping;
static struct deferred_marks deferred;

static void defer(struct folio *folio, unsigned int note)
{
	CHECK((folio_flags(folio) & PG_deferred) == 0);
	folio_change_flags(folio, note, 0);
	host_note(&deferred, folio);
}

static void apply(void)
{
	apply_deferred_marks(&mapping, &deferred);
	CHECK(deferred.chunks == DEFERRED_END);
	for (uint32_t i = 0; i < mapping.pool.nr_chunks; i++) {
		const struct folio_chunk *chunk = mapping.pool.chunks[i];

		CHECK(chunk->noted_next == 0);
		for (uint32_t word = 0; word < FOLIO_CHUNK_SIZE / 64; word++)
			CHECK(chunk->noted[word] == 0);
	}
	host_check_tree(&mapping);
}

static void set_marks(struct folio *folio, unsigned int marks)
{
	struct xa_state xas = folio_xas(&mapping, folio);

	for (unsigned int mark = 0; mark < XA_PRESENT; mark++) {
		if ((marks >> mark & 1) != 0)
			xas_set_mark(&xas, (xa_mark_t)mark);
		else
			xas_clear_mark(&xas, (xa_mark_t)mark);
	}
}

/* What the marks are after a note. */
static unsigned int noted(unsigned int marks, unsigned int note)
{
	if ((note & PG_set_dirty) != 0)
		marks |= DIRTY;
	if ((note & PG_clear_dirty) != 0)
		marks &= ~DIRTY;
	if ((note & PG_set_writeback) != 0)
		marks |= WRITEBACK;
	if ((note & PG_clear_writeback) != 0)
		marks &= ~WRITEBACK;
	if ((note & PG_clear_towrite) != 0)
		marks &= ~TOWRITE;
	return marks;
}

static const unsigned int notes[] = {
	PG_set_dirty,
	PG_clear_dirty,
	PG_set_writeback,
	PG_clear_writeback,
	PG_clear_towrite,
	PG_set_dirty | PG_set_writeback,
	PG_clear_dirty | PG_clear_writeback | PG_clear_towrite,
	PG_set_dirty | PG_clear_writeback,
	PG_clear_dirty | PG_set_writeback | PG_clear_towrite,
};
#define NR_NOTES (sizeof(notes) / sizeof(notes[0]))

static_assert(PG_set_dirty == 64 && PG_clear_dirty == 128 && PG_set_writeback == 256 &&
		      PG_clear_writeback == 512 && PG_clear_towrite == 1024,
	      "TypeScript knows them too");

/* Every note on every state of the marks, alone. */
static void test_each(void)
{
	struct folio *folio, *neighbour;

	host_mapping_init(&mapping);
	folio = host_add_folio(&mapping, 200, 0);
	neighbour = host_add_folio(&mapping, 201, 0);
	for (unsigned int marks = 0; marks < 1U << XA_PRESENT; marks++) {
		for (size_t i = 0; i < NR_NOTES; i++) {
			unsigned int other = ~marks & (DIRTY | WRITEBACK | TOWRITE);

			set_marks(folio, marks);
			set_marks(neighbour, other);
			folio_change_flags(folio, PG_dirty, 0);
			defer(folio, notes[i]);
			CHECK(marks_of(&mapping, folio) == marks);
			apply();
			CHECK(marks_of(&mapping, folio) == noted(marks, notes[i]));
			CHECK(marks_of(&mapping, neighbour) == other &&
			      state_of(folio) == PG_dirty);
			apply();
			CHECK(marks_of(&mapping, folio) == noted(marks, notes[i]));
		}
	}
	host_mapping_destroy(&mapping);
}

/* More than a chunk has, so that the list has two. */
#define NR_FOLIOS 1500

/*
 * Many at once: runs of the same note, and of the same node, of all lengths; folios that are
 * neighbours in memory (@distance 1), and others.
 */
static void test_runs(pgoff_t distance)
{
	static struct folio *folios[NR_FOLIOS];
	static unsigned int expected[NR_FOLIOS];

	host_mapping_init(&mapping);
	for (unsigned int i = 0; i < NR_FOLIOS; i++)
		folios[i] = host_add_folio(&mapping, i * distance, 0);
	for (unsigned int run = 1; run < 80; run++) {
		for (unsigned int i = 0; i < NR_FOLIOS; i++) {
			/* A step that visits each folio once, and leaves a node now and then. */
			unsigned int which = run % 2 == 0 ? i : i * 101 % NR_FOLIOS;
			unsigned int marks = (i + run) % (1U << XA_PRESENT);
			unsigned int note = notes[(i / run + run) % NR_NOTES];

			set_marks(folios[which], marks);
			expected[which] = marks;
			/* And some that nothing was noted of, between the others. */
			if (run % 3 == 0 && i % (run + 1) == 0)
				continue;
			defer(folios[which], note);
			expected[which] = noted(marks, note);
		}
		apply();
		for (unsigned int i = 0; i < NR_FOLIOS; i++) {
			CHECK(marks_of(&mapping, folios[i]) == expected[i]);
			CHECK((folio_flags(folios[i]) & PG_deferred) == 0);
		}
	}
	host_mapping_destroy(&mapping);
	CHECK(host_allocated == 0);
}

int main(void)
{
	deferred_marks_init(&deferred);
	test_each();
	test_runs(1);
	test_runs(2);
	printf("deferred marks are told to the tree\n");
	return 0;
}
