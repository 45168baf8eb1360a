// SPDX-License-Identifier: GPL-2.0-only
// What addons are built for: `platform-arch` or, on Linux, `platform-arch-libc`.

const MUSL_X64 = '/usr/lib/x86_64-linux-musl/libc.so'
const MUSL_ARM64 = '/usr/lib/aarch64-linux-musl/libc.so'

/**
 * Each target: the platform it is built on, the commands and files that it takes with the Debian package of
 * each, its C library where that is not the system's, and the libraries that it may need on its user's
 * machine.
 */
export const targets = {
  'linux-x64-glibc': {
    host: 'linux',
    tools: { 'x86_64-linux-gnu-g++': 'g++' },
    libraries: ['libc.so.6'],
  },
  'linux-x64-musl': {
    host: 'linux',
    tools: { 'x86_64-linux-gnu-g++': 'g++', [MUSL_X64]: 'musl-tools' },
    libc: MUSL_X64,
    libraries: ['libc.so'],
  },
  'linux-arm64-glibc': {
    host: 'linux',
    tools: { 'aarch64-linux-gnu-g++': 'g++-aarch64-linux-gnu' },
    libraries: ['libc.so.6', 'ld-linux-aarch64.so.1'],
  },
  'linux-arm64-musl': {
    host: 'linux',
    tools: { 'aarch64-linux-gnu-g++': 'g++-aarch64-linux-gnu', [MUSL_ARM64]: 'musl-dev:arm64' },
    libc: MUSL_ARM64,
    libraries: ['libc.so'],
  },
  'win32-x64': {
    host: 'linux',
    tools: { 'x86_64-w64-mingw32-g++-posix': 'g++-mingw-w64-x86-64' },
    libraries: ['KERNEL32.dll', 'msvcrt.dll'],
  },
  'win32-arm64': {
    host: 'win32',
    tools: {},
  },
  'darwin-x64': {
    host: 'darwin',
    tools: {},
    libraries: ['/usr/lib/libc++.1.dylib', '/usr/lib/libSystem.B.dylib'],
  },
  'darwin-arm64': {
    host: 'darwin',
    tools: {},
    libraries: ['/usr/lib/libc++.1.dylib', '/usr/lib/libSystem.B.dylib'],
  },
}

/** Where node-gyp-build looks for the addon of a target. */
export function prebuilt(target) {
  const [platform, arch, libc] = target.split('-')
  return `prebuilds/${platform}-${arch}/writeback-iter${libc === undefined ? '' : `.${libc}`}.node`
}
