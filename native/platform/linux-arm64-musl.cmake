# SPDX-License-Identifier: GPL-2.0-only
# As linux-x64-musl.cmake, with Debian's cross compiler and its musl for arm64 (musl-dev:arm64).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

execute_process(COMMAND ${CMAKE_C_COMPILER} -dumpversion OUTPUT_VARIABLE GCC_MAJOR OUTPUT_STRIP_TRAILING_WHITESPACE)
# GCC's own atomics in place of libgcc's, which ask glibc for the processor's features.
set(MUSL_SPECS "-specs=/usr/lib/aarch64-linux-musl/musl-gcc.specs -mno-outline-atomics")
set(CMAKE_C_FLAGS_INIT ${MUSL_SPECS})
set(CMAKE_CXX_FLAGS_INIT "${MUSL_SPECS} -include ${CMAKE_CURRENT_LIST_DIR}/musl_cxx.h \
-isystem /usr/aarch64-linux-gnu/include/c++/${GCC_MAJOR} \
-isystem /usr/aarch64-linux-gnu/include/c++/${GCC_MAJOR}/aarch64-linux-gnu")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
