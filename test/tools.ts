// SPDX-License-Identifier: GPL-2.0-only
// Programs that some tests run for real. In CI a missing one fails its tests, with the line that installs it;
// elsewhere they are left out, and the run says so.

import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const packages = { fio: 'fio', chromium: 'chromium', 'firefox-esr': 'firefox-esr' }

/** Whether the program is in PATH. It is not run: Chromium does not come back if a sanitizer is preloaded. */
function isInstalled(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, command)))
}

/** Why the tests that run this program are left out; null if they are not. */
export function toolMissing(command: keyof typeof packages): string | null {
  if (process.env.CI || isInstalled(command)) return null
  return `${command} is missing: apt-get install ${packages[command]}`
}

/** What is left out in this run. */
export function missingTools(): string[] {
  return Object.keys(packages).flatMap((command) => toolMissing(command as keyof typeof packages) ?? [])
}
