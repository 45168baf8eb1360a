/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file engine's calls for JavaScript.
 */
#ifndef WRITEBACK_ITER_FILE_CALLS_H
#define WRITEBACK_ITER_FILE_CALLS_H

#include <node_api.h>

#ifdef __cplusplus
extern "C" {
#endif

napi_value create_file_engine(napi_env env, napi_callback_info info);

#ifdef __cplusplus
}
#endif

#endif
