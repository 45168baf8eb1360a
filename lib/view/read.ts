// SPDX-License-Identifier: GPL-2.0-only

import { InputError } from '../input/input_error.js'
import { readLines } from '../input/lines.js'
import { check } from '../live/check.js'
import { InputReader } from '../live/read.js'
import { convertRecording } from '../live/replay.js'
import type { TraceLine } from '../trace/format.js'
import type { Trace2 } from '../trace/format2.js'
import type { Backend } from '../types.js'
import type { MappingData, PageData } from './data.js'
import { withFindings } from './findings.js'
import { whereToBegin } from './timeline.js'
import { Timeline1 } from './timeline1.js'
import { timeline2 } from './timeline2.js'

/** The greatest number of steps in a page, because the timeline is one string in the browser. */
export const MAX_STEPS = 2_000_000

/**
 * Reads a trace or a recording, replays and checks it, and makes the data of the page.
 * @param line - where the page opens; null for the divergence, else the first finding, else the begin
 * @throws {@link InputError} if the file is malformed or too long, or has no such line, and what {@link
 * readLines} throws
 */
export async function readPageData(
  file: string,
  backend: Backend,
  line: number | null,
  signal?: AbortSignal,
): Promise<PageData> {
  const timeline = new Timeline1(file, backend)
  const lines: TraceLine[] = []
  try {
    const reader = new InputReader(file, (line) => {
      if (lines.push(line) > MAX_STEPS) throw tooLong(file, line.line)
      timeline.step(line)
    })
    await readLines(file, (text) => reader.push(text), signal)
    const input = reader.end()
    if (input.kind === 'trace') {
      const { findings } = check({ kind: 'trace', trace: { file, lines } })
      return pageData(file, backend, null, [withFindings(timeline.end(), findings)], line)
    }
    const { findings } = check(input)
    const trace = input.kind === 'recording' ? convertRecording(input.recording).trace : input.trace
    const steps = trace.mappings.reduce((sum, { steps }) => sum + steps.length, 0)
    if (steps > MAX_STEPS) throw tooLong(file, 1)
    const mappings = trace.mappings.map((mapping) =>
      withFindings(
        timeline2(trace, mapping, backend),
        findings.filter((finding) => finding.mapping === mapping.mapping),
      ),
    )
    return pageData(file, backend, trace, mappings, line)
  } finally {
    timeline.close()
  }
}

/** The data of the page for a trace that this process has made. */
export function tracePageData(trace: Trace2, backend: Backend): PageData {
  const mappings = trace.mappings.map((mapping) => timeline2(trace, mapping, backend))
  return pageData(trace.file, backend, trace, mappings, null)
}

function tooLong(file: string, line: number): InputError {
  return new InputError(file, line, `more than ${MAX_STEPS} steps, which is the most that a page shows`)
}

function pageData(
  file: string,
  { backend }: Backend,
  trace: Trace2 | null,
  mappings: readonly MappingData[],
  line: number | null,
): PageData {
  const at = whereToBegin(mappings, line)
  if (at === null) throw new InputError(file, line ?? 1, 'no step comes from this line')
  return {
    file,
    backend,
    fields: trace === null ? [] : [...trace.fields],
    tasks: trace === null ? [] : [...trace.tasks.values()],
    mappings,
    at,
  }
}
