/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that sleep until a folio loses a flag: what a host with threads gives the core as its
 * a_ops->wait and a_ops->wake.
 */
#ifndef WRITEBACK_ITER_TEST_WAIT_QUEUE_H
#define WRITEBACK_ITER_TEST_WAIT_QUEUE_H

#include "address_space.h"

int wait_on_folio(struct address_space *mapping, struct folio *folio, unsigned int flag);
void wake_folio(struct address_space *mapping, struct folio *folio, unsigned int flag);

#endif
