/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The calls that take no arguments: the memory that they share with JavaScript, and their table.
 *
 * JavaScript and the core share memory that JavaScript allocates and keeps alive: one control block
 * per instance for arguments and results, a block per pass, the folios, and the nodes of their
 * trees. So the calls of a loop take no arguments and return nothing, which makes them cheap; the
 * control block names the mapping and the pass. lib/native/layout.ts has the layouts:
 * layout.mjs makes layout.h of it when the addon is built, and calls.c asserts that the structs
 * agree.
 *
 * Nothing here calls back into JavaScript: where the core would wait, it returns, and TypeScript
 * decides.
 */
#ifndef WRITEBACK_ITER_CALLS_H
#define WRITEBACK_ITER_CALLS_H

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

#ifdef __cplusplus
extern "C" {
#endif

struct instance;

struct instance *instance_new(napi_env env, napi_value memory);
int instance_open_mapping(struct instance *instance, unsigned int page_shift);

/* The following calls apply to the mapping that the control block names. */
void instance_add_chunk(struct instance *instance, void *slab, uint32_t number);
void instance_give_nodes(struct instance *instance, void *nodes, uint32_t max);
void instance_open_pass(struct instance *instance, void *pass);

/* Callbacks whose data is the instance. */
struct call {
	const char *name;
	napi_callback function;
};

extern const struct call calls[];
extern const size_t nr_calls;

#ifdef __cplusplus
}
#endif

#endif
