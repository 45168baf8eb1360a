// SPDX-License-Identifier: GPL-2.0-only

import { type Dirent, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** A path that cannot be read, and the reason. */
export interface Unreadable {
  readonly file: string
  readonly problem: string
}

/**
 * The files that a path of the command line names: the path itself, or every regular file below the folder
 * whose name matches, sorted. Symbolic links to files are followed, and those to folders are not.
 *
 * @param unreadable - receives the folders below that cannot be read; the search continues without them
 * @throws what stat(2) and readdir(3) report for `path` itself
 */
export function findFiles(path: string, pattern: RegExp, unreadable: Unreadable[]): string[] {
  if (!statSync(path).isDirectory()) return [path]
  const found: string[] = []
  const folders = [path]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of entries(folder, folder === path ? null : unreadable)) {
      const file = join(folder, entry.name)
      if (entry.isDirectory()) folders.push(file)
      else if (pattern.test(entry.name) && isFile(entry, file)) found.push(file)
    }
  }
  return found.sort()
}

function entries(folder: string, unreadable: Unreadable[] | null): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (unreadable === null) throw error
    unreadable.push({ file: folder, problem: (error as Error).message })
    return []
  }
}

function isFile(entry: Dirent, file: string): boolean {
  if (!entry.isSymbolicLink()) return entry.isFile()
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false
}
