// SPDX-License-Identifier: GPL-2.0-only

declare module 'node-gyp-build' {
  /** Loads the addon of the package in this directory: its own build if there is one, else a prebuild. */
  export default function load<T>(directory: string): T
}
