// SPDX-License-Identifier: GPL-2.0-only
#include "deferred_marks.h"

/* Does to the marks of these slots of a node what the note says. */
static void apply_note(struct xa_node *node, uint64_t bits, unsigned int note)
{
	if ((note & PG_set_dirty) != 0)
		xas_set_marks(node, bits, PAGECACHE_TAG_DIRTY);
	if ((note & PG_clear_dirty) != 0)
		xas_clear_marks(node, bits, PAGECACHE_TAG_DIRTY);
	if ((note & PG_set_writeback) != 0)
		xas_set_marks(node, bits, PAGECACHE_TAG_WRITEBACK);
	if ((note & PG_clear_writeback) != 0)
		xas_clear_marks(node, bits, PAGECACHE_TAG_WRITEBACK);
	if ((note & PG_clear_towrite) != 0)
		xas_clear_marks(node, bits, PAGECACHE_TAG_TOWRITE);
}

/* How many of these folios, from the first on, have the same note; @nr at most. */
static inline uint32_t same_note(const folio_word_t *words, uint32_t nr)
{
	uint32_t differ = 0;
	uint32_t i;

	for (i = 1; i < nr; i++)
		differ |= (words[i] ^ words[0]) & PG_deferred;
	if (likely(differ == 0))
		return nr;
	for (i = 1; ((words[i] ^ words[0]) & PG_deferred) == 0; i++)
		;
	return i;
}

/*
 * Neighbours with the same note are told at once, a word of marks at a time; of neighbours in
 * memory, too, only the first one's index is looked at.
 */
static void apply_notes(struct address_space *mapping, struct folio_chunk *chunk)
{
	struct xa_node *node = NULL;
	unsigned int note = 0;
	uint64_t bits = 0;

	for (uint32_t word = 0; word < FOLIO_CHUNK_SIZE / 64; word++) {
		uint64_t noted = chunk->noted[word];

		chunk->noted[word] = 0;
		while (noted != 0) {
			uint32_t at = (uint32_t)__builtin_ctzll(noted);
			struct folio *folio = &chunk->folios[word * 64 + at];
			folio_word_t *words = folio_words(folio);
			uint32_t nr = folio_run_length(folio, word_ones(noted >> at));

			nr = same_note(words, nr);
			noted &= ~(word_of_ones(nr) << at);
			if ((words[0] & PG_deferred) != note || !folio_is_in(folio, node)) {
				if (node != NULL)
					apply_note(node, bits, note);
				node = folio_xas(mapping, folio).xa_node;
				note = words[0] & PG_deferred;
				bits = 0;
			}
			bits |= folio_bit(folio, node) * word_of_ones(nr);
			for (uint32_t i = 0; i < nr; i++) {
				assert((words[i] & PG_deferred) != 0);
				words[i] &= ~(folio_word_t)PG_deferred;
			}
		}
	}
	assert(node != NULL);
	apply_note(node, bits, note);
}

/**
 * apply_deferred_marks - tell the tree what was noted
 * @mapping: the page cache, not shared
 * @deferred: the list; empty afterwards
 */
void apply_deferred_marks(struct address_space *mapping, struct deferred_marks *deferred)
{
	assert(!mapping->i_pages.xa_shared);
	while (deferred->chunks != DEFERRED_END) {
		struct folio_chunk *chunk;

		assert(deferred->chunks - 1 < mapping->pool.nr_chunks);
		chunk = mapping->pool.chunks[deferred->chunks - 1];
		deferred->chunks = chunk->noted_next;
		chunk->noted_next = 0;
		apply_notes(mapping, chunk);
	}
}
