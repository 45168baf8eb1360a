// SPDX-License-Identifier: GPL-2.0-only
// Runtimes of other machines: musl by its loader, arm64 by qemu, Windows by wine.

import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from './run_program.mjs'
import { tool } from './tools.mjs'
import { parseChecked, TRACES } from './user_folder.mjs'

/** The commands, and the Debian package of each. */
export const EMULATORS = {
  'musl-gcc': 'musl-tools',
  'aarch64-linux-musl-gcc': 'musl-dev:arm64',
  'qemu-aarch64': 'qemu-user',
  'aarch64-linux-gnu-g++': 'g++-aarch64-linux-gnu',
  '/usr/lib/wine/wine64': 'wine64',
}

export function arm64Node() {
  return {
    name: 'Node 22 arm64, qemu',
    command: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', tool('node-arm64/bin/node')],
  }
}

/** For each machine: how Bun for musl is run, and the compiler of its libraries. */
const MUSL = {
  x64: {
    bun: '@oven/bun-linux-x64-musl-baseline/bin/bun',
    emulator: [],
    libc: '/lib/ld-musl-x86_64.so.1',
    compilers: ['musl-gcc', 'g++'],
  },
  arm64: {
    bun: '@oven/bun-linux-aarch64-musl/bin/bun',
    emulator: ['qemu-aarch64'],
    libc: '/lib/ld-musl-aarch64.so.1',
    compilers: ['aarch64-linux-musl-gcc', 'aarch64-linux-gnu-g++'],
  },
}

/**
 * Bun is the only runtime for musl in the npm registry. Bun needs a libstdc++ for musl, which Debian does not
 * have: the parts that Bun uses are taken from the static libstdc++ for glibc.
 */
export function muslBun(home, arch) {
  const { emulator, libc, compilers, ...machine } = MUSL[arch]
  const [muslCompiler, glibcCompiler] = compilers
  const bun = tool(machine.bun)
  const library = join(home, `musl-${arch}`)
  mkdirSync(library)
  const symbols = (args) => run(['nm', '-D', '--format=posix', ...args]).stdout.match(/^\S+/gm)
  const ofMusl = new Set(symbols(['--defined-only', libc]))
  const wanted = symbols([bun]).filter((name) =>
    /^(_ZN?K?S|_ZTVN10__cxxabiv1|__cxa_|__dynamic_cast|__once_proxy)/.test(name),
  )
  const ask = wanted
    .filter((name) => !ofMusl.has(name) && name !== '__cxa_thread_atexit_impl')
    .map((name) => `-Wl,-u,${name}`)
  const file = (name) => run([glibcCompiler, `-print-file-name=${name}`]).stdout.trim()
  run([
    muslCompiler,
    '-shared',
    '-fPIC',
    '-o',
    join(library, 'libstdc++.so.6'),
    '-Wl,-soname,libstdc++.so.6',
    join(ROOT, 'test/package/musl_libstdcxx.c'),
    ...ask,
    ...['libstdc++.a', 'libgcc_eh.a', 'libgcc.a'].map(file),
  ])
  return {
    name: `Bun 1.4, musl, ${arch}`,
    command: [...emulator, bun, '--no-install'],
    env: { LIBC: 'musl', LD_LIBRARY_PATH: library },
  }
}

export function wineNode(home) {
  return {
    name: 'Node 22 win32, wine',
    command: ['/usr/lib/wine/wine64', tool('node-win32/bin/node.exe')],
    env: {
      WINEPREFIX: join(home, 'wine'),
      WINEDEBUG: '-all',
      // Debian's wine reports Windows 7.
      NODE_SKIP_PLATFORM_CHECK: '1',
    },
  }
}

/** As runProgram; under wine Node.js writes to files, but not to pipes. */
export function runInWine(runtime, folder, program) {
  const file = join(folder, 'output')
  const output = openSync(file, 'w')
  try {
    run([...runtime.command, program], { cwd: folder, env: { ...runtime.env, TRACES }, output })
  } catch (error) {
    throw new Error(`${error.message}${readFileSync(file, 'utf8')}`)
  } finally {
    closeSync(output)
  }
  return { checked: parseChecked(readFileSync(file, 'utf8')) }
}

/** Ends the servers that wine leaves behind for this prefix. */
export function stopWine(runtime) {
  spawnSync('/usr/lib/wine/wineserver64', ['-k'], { env: { ...process.env, ...runtime.env } })
}
