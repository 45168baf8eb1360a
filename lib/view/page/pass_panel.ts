// SPDX-License-Identifier: GPL-2.0-only
// The state of a pass: its control, the kernel's steps in the current call, its batch.

import * as bits from '../data.js'
import type { Moment, Timeline } from './timeline.js'
import { insideWords, momentWords, number } from './words.js'

function element(name: string, text: string, className = ''): HTMLElement {
  const made = document.createElement(name)
  made.textContent = text
  if (className !== '') made.className = className
  return made
}

function get(id: string): HTMLElement {
  return document.getElementById(id) as HTMLElement
}

/** The control's values in the latest `next` or `call` line. */
function counters(timeline: Timeline, pass: number): { nr: string; wbindex: string; returned: string } {
  const found = { nr: '', wbindex: '', returned: '' }
  const moments = timeline.passMoments[pass]
  for (let i = moments.length - 1; i >= 0; i--) {
    const step = timeline.momentStep[moments[i]]
    if (step >= timeline.step) continue
    const text = timeline.text[step]
    found.nr ||= / nr=(-?\d+)/.exec(text)?.[1] ?? ''
    found.wbindex ||= / wbindex=(\d+)/.exec(text)?.[1] ?? ''
    found.returned ||= /(?:= |; )((?:folio \d+|done -?\d+))/.exec(text)?.[1] ?? ''
    if (found.nr !== '' && (found.wbindex !== '' || text.startsWith('begin'))) break
  }
  return found
}

/** Shows a pass; -1 for none. Returns the folios that its batch still holds. */
export function showPass(timeline: Timeline, pass: number): readonly number[] {
  const moment = pass < 0 ? null : timeline.moment(pass)
  if (moment === null) {
    get('pass-title').textContent =
      timeline.data.passes.length === 0 ? 'No pass in this page cache' : 'No pass has begun'
    for (const id of ['pass-facts', 'pass-steps', 'batch', 'batch-title']) get(id).replaceChildren()
    return []
  }
  const { begin, end, control, pid, comm } = timeline.data.passes[pass]
  const who = pid < 0 ? '' : ` by ${comm} ${pid}`
  const over = end >= 0 && end < timeline.step ? ', ended' : ''
  get('pass-title').textContent =
    `Pass ${pass + 1} of ${timeline.data.passes.length}${who}, from line ${timeline.line[begin]}${over}`
  showFacts(timeline, pass, control, moment)
  showSteps(timeline, pass, moment)
  return showBatch(timeline, moment)
}

function showFacts(timeline: Timeline, pass: number, control: string, moment: Moment): void {
  const { nr, wbindex, returned } = counters(timeline, pass)
  const facts = [
    ['control', control],
    ['nr_to_write', nr],
    ['writeback_index', wbindex],
    ['returned', returned],
    ['saved_err', String(moment.savedError)],
  ]
  get('pass-facts').replaceChildren(
    ...facts.flatMap(([name, value]) => [element('dt', name), element('dd', value === '' ? '-' : value)]),
  )
}

function showSteps(timeline: Timeline, pass: number, moment: Moment): void {
  const list = get('pass-steps')
  if (moment.inside !== '') {
    const last = moment.step === timeline.step - 1 ? 'now' : ''
    list.replaceChildren(...moment.inside.split(';').map((what) => element('li', insideWords(what), last)))
    return
  }
  if (timeline.data.times.length === 0) {
    list.replaceChildren(element('li', timeline.text[moment.step]))
    return
  }
  const className = (step: number) =>
    step === timeline.step - 1 ? 'now' : step >= timeline.step ? 'later' : ''
  list.replaceChildren(
    ...timeline.callOf(pass).map((step) => element('li', momentWords(timeline.text[step]), className(step))),
  )
}

function showBatch(timeline: Timeline, { lookup, used }: Moment): readonly number[] {
  get('batch-title').textContent = `Batch: ${number(lookup.length - used)} of ${lookup.length} left`
  const nodes: (Node | string)[] = []
  for (const [i, folio] of lookup.entries()) {
    const gone = timeline.state[folio] === bits.PRESENT ? '' : timeline.state[folio] === 0 ? ' (gone)' : ''
    nodes.push(element(i < used ? 's' : i === used ? 'b' : 'span', `${timeline.index[folio]}${gone}`), ' ')
  }
  get('batch').replaceChildren(...nodes)
  return lookup.slice(used)
}
