/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Node-API is imported from node.exe at the first call, not when the addon is loaded, and this says
 * where from: whatever the process's program is called.
 */
#include <windows.h>

/* Its types are those of windows.h. */
#include <delayimp.h>

#include <node_api.h>
#include <string.h>

static FARPROC WINAPI load_host(unsigned int event, PDelayLoadInfo info)
{
	if (event == dliNotePreLoadLibrary && _stricmp(info->szDll, "node.exe") == 0)
		return (FARPROC)(void *)GetModuleHandleW(NULL);
	return NULL;
}

/*
 * The code that binutils generates for a first call keeps the arguments in general registers only,
 * so that a double is lost. The one function of Node-API that takes one is called here for the
 * first time; without an environment it does nothing.
 */
__attribute__((constructor)) static void set_hook(void)
{
	__pfnDliNotifyHook2 = load_host;
	napi_create_double(NULL, 0, NULL);
}
