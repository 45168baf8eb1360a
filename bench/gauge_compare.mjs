// SPDX-License-Identifier: GPL-2.0-only
// What the gauge says of figures that were recorded and figures that were measured.

/** The share by which an operation may differ. */
export const TOLERANCE = 0.03

/**
 * @typedef {object} Gauge
 * @property {string} compiler - by name, version and processor: with another one, instructions are others
 * @property {Record<string, number>} instructions - a folio, by operation
 */

/**
 * @param {Gauge} recorded
 * @param {Gauge} measured
 * @returns {{ ok: boolean, lines: string[] }} whether nothing is slower, and what to tell
 */
export function compare(recorded, measured) {
  if (recorded.compiler !== measured.compiler) {
    return {
      ok: false,
      lines: [
        `The figures were recorded with ${recorded.compiler}, and this is ${measured.compiler}: they cannot be compared.`,
        'Record those of the commit before with this compiler, by `npm run check -- gauge --update`, and compare with them.',
      ],
    }
  }
  const names = [...new Set([...Object.keys(recorded.instructions), ...Object.keys(measured.instructions)])]
  let ok = true
  const lines = names.map((name) => {
    const before = recorded.instructions[name]
    const now = measured.instructions[name]
    if (before === undefined || now === undefined) {
      ok = false
      return `${name.padEnd(16)} is ${before === undefined ? 'not recorded' : 'not measured any more'}`
    }
    const change = now / before - 1
    if (change > TOLERANCE) ok = false
    const verdict = change > TOLERANCE ? '  slower' : change < -TOLERANCE ? '  faster: record it' : ''
    const percent = `${change < 0 ? '' : '+'}${(change * 100).toFixed(1)} %`
    return `${name.padEnd(16)}${before.toFixed(2).padStart(10)}${now.toFixed(2).padStart(10)}${percent.padStart(10)}${verdict}`
  })
  return { ok, lines: [`${'operation'.padEnd(16)}${'recorded'.padStart(10)}${'now'.padStart(10)}`, ...lines] }
}
