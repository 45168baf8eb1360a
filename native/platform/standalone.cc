// SPDX-License-Identifier: GPL-2.0-only
//
// What the addon names of the C++ library, for prebuilt addons, which are linked without one: then
// they run beside any, or none. node-addon-api's virtual destructors name them; nothing calls
// those.

#include <cstdlib>
#include <new>

void operator delete(void *memory) noexcept
{
	std::free(memory);
}

void operator delete(void *memory, size_t) noexcept
{
	std::free(memory);
}
