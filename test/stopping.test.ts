// SPDX-License-Identifier: GPL-2.0-only
// docs/stopping.md says what happens when a pass is stopped early: every cell of its tables is tried here, in
// every form of a pass that there is.

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { AddressSpace, Folio, SyncMode, WritebackControl } from '../lib/types.js'
import { backends } from './backends.js'
import { addDirty, EIO, flags, pass, range, startAndUnlock, thrown, write } from './helpers.js'

type Body = (folio: Folio, wbc: WritebackControl) => number | void

/** The folio that the body does not simply write. */
const STOP = 2
const LAST = 99

/**
 * A table of the page by its first column's heading: rows by their first cell, cells by the column's heading.
 */
function table(heading: string): Map<string, Map<string, string>> {
  const text = fs.readFileSync(join(__dirname, '../docs/stopping.md'), 'utf8')
  const cells = (line: string) => line.slice(2, -2).split(' | ')
  const lines = text.split('\n')
  const start = lines.findIndex((line) => line.startsWith(`| ${heading} |`))
  const [, ...columns] = cells(lines[start])
  const rows = new Map<string, Map<string, string>>()
  for (const line of lines.slice(start + 2, lines.indexOf('', start))) {
    const [name, ...row] = cells(line)
    rows.set(name, new Map(columns.map((column, i) => [column.replaceAll(/[`']/g, ''), row[i]])))
  }
  return rows
}

describe.each(backends)('stopping early, $backend', (backend) => {
  /** Thrown by a body to leave the pass. */
  const BREAK = new Error('break')

  /** Each form of a pass, with a body that writes the folio itself and returns its error. */
  const forms: Record<string, (mapping: AddressSpace, wbc: WritebackControl, body: Body) => unknown> = {
    writebackIter: (mapping, wbc, body) => pass(backend, mapping, wbc, (folio) => body(folio, wbc)).error,
    'for…of': (mapping, wbc, body) => {
      const iterator = mapping.writeback(wbc)
      for (const folio of iterator) {
        const error = body(folio, wbc)
        if (error === 1) break
        iterator.error = error ?? 0
      }
      return iterator.error
    },
    'for await': async (mapping, wbc, body) => {
      const iterator = mapping.writeback(wbc)
      for await (const folio of iterator) {
        const error = body(folio, wbc)
        if (error === 1) break
        iterator.error = error ?? 0
      }
      return iterator.error
    },
    writePages: (mapping, wbc, body) => mapping.writePages(wbc, (folio) => body(folio, wbc)),
    writeExtents: (mapping, wbc, body) =>
      mapping.writeExtents(wbc, ({ folios }) => body(folios[0], wbc), { maxPages: 1 }),
    writeCachePages: (mapping, wbc, body) => backend.writeCachePages(mapping, wbc, body),
    writePagesAsync: (mapping, wbc, body) =>
      mapping.writePagesAsync(wbc, async (folio) => body(folio, wbc), { concurrency: 1 }),
    writeExtentsAsync: (mapping, wbc, body) =>
      mapping.writeExtentsAsync(wbc, async ({ folios }) => body(folios[0], wbc), {
        concurrency: 1,
        maxPages: 1,
      }),
  }
  const modes: SyncMode[] = ['none', 'all']
  const everywhere = Object.keys(forms).flatMap((form) => modes.map((mode) => [form, mode] as const))

  /** A pass by this form over dirty folios, whose body treats one of them otherwise. */
  function run(form: string, syncMode: SyncMode, stop: Body) {
    const mapping = new backend.AddressSpace()
    const folios = addDirty(mapping, ...range(0, LAST))
    const wbc = new backend.WritebackControl({ syncMode })
    const outcome = () =>
      forms[form](mapping, wbc, (folio) => (folio.index === STOP ? stop(folio, wbc) : write(folio)))
    return { mapping, folios, wbc, outcome }
  }

  function decline(folio: Folio, wbc: WritebackControl): void {
    folio.redirtyForWritepage(wbc)
    folio.unlock()
  }

  describe('tell the pass to end', () => {
    const bodies: Record<string, Body> = {
      'sets `wbc.nrToWrite = 0` and writes the folio': (folio, wbc) => {
        wbc.nrToWrite = 0
        write(folio)
      },
      'fails: the folio is dirty again, the error is an errno': (folio, wbc) => {
        decline(folio, wbc)
        return -EIO
      },
      'declines: `folio.redirtyForWritepage(wbc)`, `folio.unlock()`, no error': decline,
      'sets `wbc.nrToWrite = 0` and declines': (folio, wbc) => {
        wbc.nrToWrite = 0
        decline(folio, wbc)
      },
    }
    const rows = table('what the body does with a folio')

    test('every row is tried', () => {
      expect([...rows.keys()]).toEqual(Object.keys(bodies))
    })

    test.each(Object.keys(bodies).flatMap((row) => everywhere.map((where) => [row, ...where] as const)))(
      '%s: %s, %s',
      async (row, form, mode) => {
        const { folios, outcome } = run(form, mode, bodies[row])
        const result = await outcome()
        const behind = folios.slice(STOP + 1).filter(({ dirty }) => dirty).length
        expect([0, LAST - STOP]).toContain(behind)
        const cells = rows.get(row)
        expect(`${behind === 0 ? 'goes on' : 'ends'}, ${result === -EIO ? 'the errno' : result}`).toBe(
          cells?.get(mode),
        )
        expect(flags(folios[STOP]) || 'written').toBe(cells?.get('the folio afterwards'))
      },
    )
  })

  describe('leave it', () => {
    const after: Record<string, (folio: Folio) => void> = {
      'before `startWriteback()`': () => {},
      'between `startWriteback()` and `unlock()`': (folio) => folio.startWriteback(),
      'between `unlock()` and `endWriteback()`': startAndUnlock,
      'after `endWriteback()`': write,
    }
    const rows = table('the body leaves')
    const cases = [...rows].flatMap(([row, cells]) => {
      const [, by, when] = /^by (a throw|`break`), (.*)$/.exec(row) as RegExpExecArray
      return [...cells]
        .filter(([, cell]) => cell !== '–')
        .flatMap(([form, cell]) => modes.map((mode) => [by, when, form, mode, cell] as const))
    })

    test('every form and every stage is tried', () => {
      expect(new Set(cases.map(([, , form]) => form))).toEqual(new Set(Object.keys(forms)))
      expect(new Set(cases.map(([, when]) => when))).toEqual(new Set(Object.keys(after)))
    })

    test.each(cases)('by %s, %s: %s, %s', async (by, when, form, mode, cell) => {
      const isBreak = by === '`break`'
      const { mapping, folios, wbc, outcome } = run(form, mode, (folio) => {
        after[when](folio)
        // The kernel's loop has no iterator that would notice a break: the test leaves it by a throw.
        if (isBreak && form !== 'writebackIter') return 1
        throw BREAK
      })
      if (isBreak && form !== 'writebackIter') await outcome()
      else if (form === 'for await' || form.endsWith('Async')) await expect(outcome()).rejects.toBe(BREAK)
      else expect(thrown(outcome)).toBe(BREAK)

      expect(flags(folios[STOP]).replaceAll(' ', ', ') || 'none').toBe(cell)
      expect(new Set(folios.slice(STOP + 1).map(flags))).toEqual(new Set(['dirty']))
      expect(folios.slice(0, STOP).map(flags)).toEqual(['', ''])

      // The next pass writes the rest, after the body has done what the page requires.
      const folio = folios[STOP]
      if (!folio.dirty && (folio.locked || folio.writeback)) folio.markDirty()
      if (folio.locked) folio.unlock()
      if (folio.writeback) folio.endWriteback()
      wbc.syncMode = 'all'
      expect(mapping.writePages(wbc, () => {})).toBe(0)
      expect(folios.every((folio) => flags(folio) === '')).toBe(true)
      expect(mapping.tagged('dirty')).toBe(false)
    })
  })
})
