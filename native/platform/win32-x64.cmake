# SPDX-License-Identifier: GPL-2.0-only
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
# Where Debian has it beside one whose C++ library has no threads, which node-addon-api's headers want.
find_program(MINGW_POSIX x86_64-w64-mingw32-g++-posix)
if(MINGW_POSIX)
  set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
else()
  set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++)
endif()
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
