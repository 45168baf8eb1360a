# SPDX-License-Identifier: GPL-2.0-only
# Debian's musl-gcc is the system's gcc with other headers and libraries. It comes without a C++ library; the headers of the
# system's do, after musl_cxx.h, as the addon is linked without one (WB_STANDALONE).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER x86_64-linux-gnu-g++)

execute_process(COMMAND ${CMAKE_C_COMPILER} -dumpversion OUTPUT_VARIABLE GCC_MAJOR OUTPUT_STRIP_TRAILING_WHITESPACE)
set(MUSL_SPECS -specs=/usr/lib/x86_64-linux-musl/musl-gcc.specs)
set(CMAKE_C_FLAGS_INIT ${MUSL_SPECS})
set(CMAKE_CXX_FLAGS_INIT "${MUSL_SPECS} -include ${CMAKE_CURRENT_LIST_DIR}/musl_cxx.h \
-isystem /usr/include/c++/${GCC_MAJOR} -isystem /usr/include/x86_64-linux-gnu/c++/${GCC_MAJOR}")
# Without a C++ library no C++ program links.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
