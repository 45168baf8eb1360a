// SPDX-License-Identifier: GPL-2.0-only
//
// What the addon uses of the C++ library, for prebuilt addons, which are linked without one: then
// they run beside any, or none. They are compiled without exceptions; where the library would throw
// one, the process ends, as it does at an exception that reaches Node-API.

#include <cstdlib>
#include <new>

void *operator new(size_t size)
{
	void *memory = std::malloc(size);

	if (memory == nullptr)
		std::abort();
	return memory;
}

void *operator new[](size_t size)
{
	return operator new(size);
}

void operator delete(void *memory) noexcept
{
	std::free(memory);
}

void operator delete(void *memory, size_t) noexcept
{
	std::free(memory);
}

void operator delete[](void *memory) noexcept
{
	std::free(memory);
}

void operator delete[](void *memory, size_t) noexcept
{
	std::free(memory);
}

namespace std
{

void __throw_length_error(const char *)
{
	std::abort();
}

} // namespace std

#ifdef __GLIBC__
// glibc 2.32's answer whether there is but one thread; std::shared_ptr asks, and is told that there
// are more, so that the addon loads where glibc is older.
extern "C" {
__attribute__((visibility("hidden"))) extern char __libc_single_threaded;
char __libc_single_threaded = 0;
}
#endif
