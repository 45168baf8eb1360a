// SPDX-License-Identifier: GPL-2.0-only
// The judgement of the gauge, by which .ci/run measures.

import { expect, test } from 'vitest'
import { compare, TOLERANCE } from '../bench/gauge_compare.mjs'
import recorded from '../bench/gauge.json'

const compiler = 'GNU 12.2.0 x86_64'

function judge(before: Record<string, number>, now: Record<string, number>): ReturnType<typeof compare> {
  return compare({ compiler, instructions: before }, { compiler, instructions: now })
}

test('eight operations are recorded, with their compiler', () => {
  expect(Object.keys(recorded.instructions)).toHaveLength(8)
  for (const figure of Object.values(recorded.instructions)) expect(figure).toBeGreaterThan(0)
  expect(recorded.compiler).toMatch(/^\w+ \d+\.\S+ \S+$/)
})

test('what stays within the tolerance passes', () => {
  expect(judge({ tag: 100 }, { tag: 100 }).ok).toBe(true)
  expect(judge({ tag: 100 }, { tag: 100 * (1 + TOLERANCE) - 0.01 }).ok).toBe(true)
})

test('more instructions fail, and are named', () => {
  const { ok, lines } = judge({ add: 50, tag: 100 }, { add: 50, tag: 103.1 })
  expect(ok).toBe(false)
  expect(lines.filter((line) => line.includes('slower'))).toEqual([
    expect.stringMatching(/^tag .*\+3\.1 % {2}slower$/),
  ])
})

test('fewer instructions pass, and ask to be recorded', () => {
  const { ok, lines } = judge({ tag: 100 }, { tag: 96 })
  expect(ok).toBe(true)
  expect(lines.at(-1)).toMatch(/-4\.0 % {2}faster: record it$/)
})

test('an operation that only one side has fails', () => {
  expect(judge({ add: 1, tag: 1 }, { add: 1 }).ok).toBe(false)
  expect(judge({ add: 1 }, { add: 1, tag: 1 }).ok).toBe(false)
})

test('figures of another compiler are not compared', () => {
  const { ok, lines } = compare(
    { compiler, instructions: { tag: 100 } },
    { compiler: 'GNU 14.2.0 x86_64', instructions: { tag: 100 } },
  )
  expect(ok).toBe(false)
  expect(lines[0]).toMatch('GNU 12.2.0 x86_64, and this is GNU 14.2.0 x86_64: they cannot be compared')
})
