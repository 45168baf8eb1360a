// SPDX-License-Identifier: GPL-2.0-only
// Says once per run, not once per file, which tests are left out.

import { nativeMissing } from './backends.js'
import { missingServers } from './servers.js'
import { missingTools } from './tools.js'

export default function setup(): void {
  if (nativeMissing !== null) {
    console.warn(`Tests run on the TypeScript backend only: ${nativeMissing}`)
  }
  for (const missing of missingTools()) console.warn(`Tests are left out: ${missing}`)
  const servers = missingServers()
  if (servers.length > 0) console.warn(`Tests are left out: apt-get install ${servers.join(' ')}`)
}
