// SPDX-License-Identifier: GPL-2.0-only
/*
 * The last folio of a cyclic pass is truncated while the pass still has it in hand. The batch then
 * holds the last reference, so its index has to be read before the batch is released. With the
 * order of the patch as it was first sent, AddressSanitizer stops this program.
 */
#include "host.h"
#include "page_writeback.h"

int main(void)
{
	struct writeback_control wbc = {.nr_to_write = 1, .range_cyclic = true};
	struct address_space mapping;
	struct folio *folio;
	int error;

	host_mapping_init(&mapping);
	/*
	 * AddressSanitizer checks eight bytes at once. It detects the use of the second of two
	 * folios if the first is in use, but not the reverse. It reports an unknown crash.
	 */
	host_add_folio(&mapping, 0, 0);
	folio_mark_dirty(&mapping, host_add_folio(&mapping, 8, 2));
	folio_mark_dirty(&mapping, host_add_folio(&mapping, 12, 0));

	folio = writeback_iter(&mapping, &wbc, NULL, &error);
	CHECK(folio != NULL && folio_index(folio) == 8);
	folio_start_writeback(&mapping, folio, false);
	folio_unlock(&mapping, folio);
	folio_end_writeback(&mapping, folio);
	CHECK(filemap_remove_folio(&mapping, folio) == 0);

	error = 0;
	CHECK(writeback_iter(&mapping, &wbc, folio, &error) == NULL);
	CHECK(error == 0 && wbc.nr_to_write == -3 && mapping.writeback_index == 12);
	host_mapping_destroy(&mapping);
	printf("writeback_index is right\n");
	return 0;
}
