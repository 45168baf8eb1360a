// SPDX-License-Identifier: GPL-2.0-only
// Takes from a kernel source the text that the oracle is compiled from, unchanged: some files whole, and from
// others the functions, types and macros named below. Nothing of it is kept outside the build directory.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export const PACKAGE = 'linux-source-6.12'
const TARBALL = `/usr/src/${PACKAGE}.tar.xz`

/** The files that are compiled or included unchanged. */
const WHOLE = [
  'include/linux/kconfig.h',
  'include/linux/pagevec.h',
  'include/linux/xarray.h',
  'lib/radix-tree.h',
  'lib/xarray.c',
]

/** The files of which only the named definitions are taken, in the order of the list. */
const PARTS = {
  'include/linux/fs.h': [
    'PAGECACHE_TAG_DIRTY',
    'PAGECACHE_TAG_WRITEBACK',
    'PAGECACHE_TAG_TOWRITE',
    'mapping_tagged',
  ],
  'include/linux/mm.h': ['folio_order', 'folio_nr_pages'],
  'include/linux/page-flags.h': [
    'enum pageflags',
    'folio_xor_flags_has_waiters',
    'folio_start_writeback',
    'folio_start_writeback_keepwrite',
  ],
  'include/linux/pagemap.h': [
    'enum mapping_flags',
    'mapping_use_writeback_tags',
    'folio_next_index',
    'folio_trylock',
    'folio_lock',
    'folio_cancel_dirty',
  ],
  'include/linux/writeback.h': ['enum writeback_sync_modes', 'struct writeback_control'],
  'lib/radix-tree.c': ['radix_tree_node_rcu_free', 'radix_tree_node_ctor'],
  'mm/filemap.c': [
    'page_cache_delete',
    'filemap_unaccount_folio',
    '__filemap_remove_folio',
    'filemap_free_folio',
    'filemap_remove_folio',
    '__filemap_add_folio',
    'filemap_add_folio',
    'folio_unlock',
    'folio_end_writeback',
    '__folio_lock',
    'filemap_get_entry',
    'find_get_entry',
    'filemap_get_folios_tag',
  ],
  'mm/page-writeback.c': [
    'tag_pages_for_writeback',
    'folio_prepare_writeback',
    'wbc_to_tag',
    'wbc_end',
    'writeback_get_folio',
    'writeback_iter',
    'noop_dirty_folio',
    'folio_account_dirtied',
    'folio_account_cleaned',
    '__folio_mark_dirty',
    'filemap_dirty_folio',
    'folio_redirty_for_writepage',
    'folio_mark_dirty',
    '__folio_cancel_dirty',
    'folio_clear_dirty_for_io',
    'wb_inode_writeback_start',
    'wb_inode_writeback_end',
    '__folio_end_writeback',
    '__folio_start_writeback',
    'folio_wait_writeback',
  ],
  'mm/swap.c': ['__folio_batch_release'],
}

const FILES = [...WHOLE, 'Makefile', ...Object.keys(PARTS)]

/**
 * Reads FILES from the Debian package's tarball, or from a kernel tree. Unpacking takes half a minute, so the
 * files of a tarball are kept below `cache` until the tarball changes.
 * @returns text by path in the kernel tree
 */
function readSources(cache, tree) {
  if (tree === undefined) {
    if (!existsSync(TARBALL)) {
      throw new Error(
        `${TARBALL} is missing: apt-get install ${PACKAGE}, or give a kernel tree by --kernel PATH`,
      )
    }
    const { size, mtimeMs } = statSync(TARBALL)
    const stamp = JSON.stringify({ size, mtimeMs, FILES })
    const stampFile = join(cache, 'stamp.json')
    if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
      console.log(`unpacking ${FILES.length} files of ${basename(TARBALL)}`)
      rmSync(cache, { recursive: true, force: true })
      mkdirSync(cache, { recursive: true })
      const { status, error } = spawnSync(
        'tar',
        ['-xJf', TARBALL, '-C', cache, '--strip-components=1', ...FILES.map((file) => `${PACKAGE}/${file}`)],
        { stdio: 'inherit' },
      )
      if (status !== 0) {
        throw new Error(
          `tar could not unpack ${TARBALL} (${error?.message ?? `status ${status}`}): apt-get install xz-utils`,
        )
      }
      writeFileSync(stampFile, stamp)
    }
  }
  const root = tree ?? cache
  return new Map(
    FILES.map((file) => {
      const path = join(root, file)
      if (!existsSync(path)) throw new Error(`${root} is no kernel tree: it has no ${file}`)
      return [file, readFileSync(path, 'utf8')]
    }),
  )
}

/**
 * First and last line (from 0, both included) of the one definition of `name`; the kernel's coding style is
 * relied on.
 */
function findDefinition(file, lines, name) {
  const found = []
  const end = (start, isLast) => {
    let line = start
    while (!isLast(lines[line])) {
      if (++line === lines.length) throw new Error(`${file}: the definition of ${name} does not end`)
    }
    return line
  }
  const word = name.split(' ').at(-1)
  const functionHead = new RegExp(`^[A-Za-z_].*\\b${word}\\(|^${word}\\(`)
  const macroHead = new RegExp(`^#define\\s+${word}\\b`)
  lines.forEach((text, line) => {
    if (text === `${name} {` && word !== name) {
      found.push([line, end(line, (last) => last === '};')])
    } else if (macroHead.test(text)) {
      found.push([line, end(line, (last) => !last.endsWith('\\'))])
    } else if (functionHead.test(text)) {
      const body = end(line, (last) => last === '{' || last.endsWith(';') || last === '')
      if (lines[body] !== '{') return
      const typeAbove = /^[a-z][\w *]*$/.test(lines[line - 1])
      found.push([typeAbove ? line - 1 : line, end(body, (last) => last === '}')])
    }
  })
  if (found.length !== 1) throw new Error(`${file}: ${found.length} definitions of ${name}, expected one`)
  return found[0]
}

/** The named definitions of a file, each behind the `#line` it comes from. */
function cutParts(file, text, names) {
  const lines = text.split('\n')
  return names
    .map((name) => {
      const [first, last] = findDefinition(file, lines, name)
      return `#line ${first + 1} "${file}"\n${lines.slice(first, last + 1).join('\n')}\n`
    })
    .join('\n')
}

/** Does not rewrite an unchanged file, so that it is not compiled again. */
function writeIfChanged(path, text) {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/**
 * Prepares `build`: `tree/` has the whole files, `parts/` the cut ones, and `stub/` a header for each that
 * they include and that is not among them, which includes our shim in its place.
 * @returns the kernel's version
 */
export function extract(build, tree) {
  const sources = readSources(join(build, 'source'), tree)
  for (const file of WHOLE) writeIfChanged(join(build, 'tree', file), sources.get(file))
  for (const [file, names] of Object.entries(PARTS)) {
    writeIfChanged(join(build, 'parts', file), cutParts(file, sources.get(file), names))
  }
  for (const file of WHOLE) {
    for (const [, header] of sources.get(file).matchAll(/^#include <(.*)>/gm)) {
      if (!WHOLE.includes(`include/${header}`)) {
        writeIfChanged(join(build, 'stub', header), '#include "kernel.h"\n')
      }
    }
  }
  const number = (name) => sources.get('Makefile').match(new RegExp(`^${name} = (.*)$`, 'm'))?.[1]
  return [number('VERSION'), number('PATCHLEVEL'), number('SUBLEVEL')].join('.')
}
