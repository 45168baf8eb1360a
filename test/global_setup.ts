// SPDX-License-Identifier: GPL-2.0-only
// Says once a run, not once a file, that the native backend is left out.

import { nativeMissing } from './backends.js'

export default function setup(): void {
  if (nativeMissing !== null) {
    console.warn(`Tests run on the TypeScript backend only: ${nativeMissing}`)
  }
}
