// SPDX-License-Identifier: GPL-2.0-only
// Programs that some tests run for real. In CI a missing program fails its tests, with the command that
// installs it. Elsewhere those tests are left out, and the run says so.

import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const packages = { fio: 'fio', chromium: 'chromium', 'firefox-esr': 'firefox-esr' }

/**
 * Whether the program is in PATH. The test does not run it: with a preloaded sanitizer, Chromium does not
 * return.
 */
function isInstalled(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, command)))
}

/** Why the tests that run this program are left out; null if they are not. */
export function toolMissing(command: keyof typeof packages): string | null {
  if (process.env.CI || isInstalled(command)) return null
  return `${command} is missing: apt-get install ${packages[command]}`
}

/** The tests that are left out in this run. */
export function missingTools(): string[] {
  return Object.keys(packages).flatMap((command) => toolMissing(command as keyof typeof packages) ?? [])
}
