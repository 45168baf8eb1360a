/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The calls that take no arguments: what they share with JavaScript, and the table of them.
 *
 * JavaScript and the core share memory that JavaScript allocates and keeps alive: one control block
 * per instance for arguments and results, a block per pass, the folios, and the list of deferred
 * marks. So the calls of a loop take no arguments and return nothing, which is what makes them
 * cheap; which mapping and which pass they are about stands in the control block.
 * lib/native/layout.ts has the same layouts; the static_asserts in calls.c hold the two together.
 *
 * Nothing here calls back into JavaScript: where the core would wait, it returns, and TypeScript
 * decides.
 */
#ifndef WRITEBACK_ITER_CALLS_H
#define WRITEBACK_ITER_CALLS_H

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Counted up with every change of a layout or a call, so that TypeScript refuses an older build. */
#define LAYOUT_VERSION 6

/* The least size of each block of shared memory. */
#define CONTROL_BYTES 256
#define PASS_BYTES 512
#define STRETCH_BYTES 32848
#define DEFERRED_BYTES 4
/* A slab of n chunks of folios has n times the one and the other. */
#define FOLIO_CHUNK_BYTES 8192
#define SLAB_EXTRA_BYTES 4096

struct instance;
struct mapping;

struct instance *instance_new(napi_env env, napi_value memory);
struct mapping *instance_open_mapping(struct instance *instance, void *deferred,
				      unsigned int page_shift);
void mapping_close(struct mapping *mapping);
void mapping_free(struct mapping *mapping);

/* What follows is about the mapping, and the pass, that the control block names. */
void instance_add_chunk(struct instance *instance, void *slab, uint32_t number);
void instance_open_pass(struct instance *instance, void *pass);
void instance_open_stretch(struct instance *instance, void *stretch);

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
