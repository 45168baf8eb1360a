// SPDX-License-Identifier: GPL-2.0-only
// Programs that some tests run for real. In CI a missing one fails its tests, with the line that installs it; elsewhere
// they are left out, and the run says so.

import { spawnSync } from 'node:child_process'

const packages = { fio: 'fio', chromium: 'chromium' }

/** Why the tests that run this program are left out; null if they are not. */
export function toolMissing(command: keyof typeof packages): string | null {
  if (process.env.CI || spawnSync(command, ['--version']).error === undefined) return null
  return `${command} is missing: apt-get install ${packages[command]}`
}

/** What is left out in this run. */
export function missingTools(): string[] {
  return Object.keys(packages).flatMap((command) => toolMissing(command as keyof typeof packages) ?? [])
}
