// SPDX-License-Identifier: GPL-2.0-only
// Converts a format 2 trace to a recording: the lines that tracefs would have printed.

import type { Action, Origin, Step, Trace2 } from '../trace/format2.js'

const PG_HEAD = 64
const hex = (value: number | bigint) => `0x${value.toString(16)}`
const bit = (value: boolean) => (value ? 1 : 0)

/** The state of one mapping that its lines need and its steps do not have. */
class MappingWriter {
  readonly #fields: string
  /** Orders of the folios in the cache. */
  readonly #orders = new Map<number, number>()
  readonly #begun = new Map<string, Extract<Action, { name: 'begin' }>>()
  #wbindex = '0'

  constructor(mapping: string) {
    const [, dev, ino, address] = /^(\d+):(\d+)(?:@(0x[0-9a-f]+))?$/.exec(mapping) ?? ['', '0', '0']
    this.#fields = `ino=${ino} dev=${dev}${address === undefined ? '' : ` mapping=${address}`}`
  }

  /** The events of a step, each with its name, its place and its fields. */
  *events({
    action,
    result,
    origin,
  }: Step): Generator<readonly [name: string, place: string, fields: string]> {
    this.#apply(action, result)
    if (origin === null) return
    const place = (traced: string) => `(${origin.caller ?? 'unknown'} <- ${traced})`
    const entry = (traced: string) => `(${traced})`
    const folio = (index: number) => this.#folio(index, origin)
    switch (action.name) {
      case 'add': {
        const ret = result === 'ok' ? 0 : -17
        const flags = this.#flags(action.order, origin)
        return yield [
          'add',
          place('__filemap_add_folio'),
          `${this.#fields} index=${action.index} ${flags} ret=${ret}`,
        ]
      }
      case 'dirty':
        return yield ['dirty', entry('__folio_mark_dirty'), folio(action.index)]
      case 'cancel':
        return yield ['cancel', entry('__folio_cancel_dirty'), folio(action.index)]
      case 'clear':
        return yield ['clear', place('folio_clear_dirty_for_io'), `${folio(action.index)} ret=${result}`]
      case 'look':
        return yield ['clear', place('folio_clear_dirty_for_io'), `${folio(action.index)} ret=1`]
      case 'remove':
        yield ['delete', entry('mm_filemap_delete_from_page_cache'), folio(action.index)]
        this.#orders.delete(action.index)
        return
      case 'start':
        return yield [
          'start',
          entry('__folio_start_writeback'),
          `${folio(action.index)} keep=${bit(action.keep)}`,
        ]
      case 'end':
        return yield ['end', place('__folio_end_writeback'), folio(action.index)]
      case 'unlock':
        return yield ['unlock', entry('folio_unlock'), folio(action.index)]
      case 'wait':
        if (action.reason === 'lock') return yield ['lockwait', entry('__folio_lock'), folio(action.index)]
        return yield ['wbwait', entry('folio_wait_writeback'), folio(action.index)]
      case 'redirty': {
        const [ret, skipped] = result.split(' skipped=')
        if (ret === '1') yield ['dirty', entry('__folio_mark_dirty'), folio(action.index)]
        const more = `wbc=${this.#wbc(action.pass)} skipped=${skipped} ret=${ret}`
        return yield ['redirty', place('folio_redirty_for_writepage'), `${folio(action.index)} ${more}`]
      }
      case 'split': {
        const { index, order } = action
        yield ['split', entry('split_huge_page_to_list_to_order'), `${folio(index)} new_order=${order}`]
        yield ['splitret', place('split_huge_page_to_list_to_order'), `${this.#fields} index=${index} ret=0`]
        for (let page = 0, whole = 2 ** this.#order(index); page < whole; page += 2 ** order) {
          this.#orders.set(index + page, order)
        }
        return
      }
      case 'tag':
        yield [
          'tag',
          entry('tag_pages_for_writeback'),
          `${this.#fields} start=${action.start} end=${action.end}`,
        ]
        return yield ['tagged', place('tag_pages_for_writeback'), this.#fields]
      case 'lookup':
        return yield ['lookup', place('filemap_get_folios_tag'), this.#lookup(action.pass, result)]
      case 'begin':
        return yield ['call', entry('writeback_iter'), this.#call(action, false, 0, action.nr)]
      case 'call':
        return yield [
          'call',
          entry('writeback_iter'),
          this.#call(this.#control(action.pass), true, action.error, action.nr),
        ]
      case 'next':
        return yield ['next', place('writeback_iter'), this.#next(action.pass, result, origin)]
    }
  }

  #apply(action: Action, result: string): void {
    if (action.name === 'folio' || (action.name === 'add' && result === 'ok')) {
      this.#orders.set(action.index, action.order)
    } else if (action.name === 'begin') {
      this.#begun.set(action.pass, action)
    } else if (action.name === 'wbindex') {
      this.#wbindex = `${action.value}`
    }
  }

  #order(index: number): number {
    return this.#orders.get(index) ?? 0
  }

  #flags(order: number, { flags }: Origin): string {
    const has = (letter: string, value: number) => ((flags ?? '').includes(letter) ? value : 0)
    const bits = has('l', 1) + has('w', 2) + has('d', 16) + (order > 0 ? PG_HEAD : 0)
    return `flags=${hex(bits)} f1=${hex(order)}`
  }

  #folio(index: number, origin: Origin): string {
    return `${this.#fields} index=${index} ${this.#flags(this.#order(index), origin)}`
  }

  /** An address for a pass. */
  #wbc(pass: string): string {
    return pass === '-' ? '0x1' : hex(0x1000 + Number(pass.slice(1)))
  }

  #control(pass: string): Extract<Action, { name: 'begin' }> {
    const control = this.#begun.get(pass)
    if (control === undefined) throw new Error(`no pass ${pass} has begun`)
    return control
  }

  #call(
    control: Extract<Action, { name: 'begin' }>,
    handsBack: boolean,
    error: number,
    nr: number | bigint,
  ): string {
    const { pass, syncAll, tagged, cyclic, start, end, forKupdate, forBackground, forSync } = control
    return (
      `${this.#fields} wbc=${this.#wbc(pass)} folio=${handsBack ? '0x2' : '0x0'} error=${error} ` +
      `sync=${bit(syncAll)} tagged=${bit(tagged)} cyclic=${bit(cyclic)} start=${start} end=${end} nr=${nr} ` +
      `wbindex=${this.#wbindex} kupdate=${bit(forKupdate)} background=${bit(forBackground)} forsync=${bit(forSync)}`
    )
  }

  #lookup(pass: string, result: string): string {
    const [found, next] = result.split(' next=')
    const { syncAll, tagged, cyclic, end } = this.#control(pass)
    const last = cyclic ? 2n ** 64n - 1n : BigInt(end) >> 12n
    return `${this.#fields} next=${next} end=${last} tag=${syncAll || tagged ? 2 : 0} ret=${found}`
  }

  #next(pass: string, result: string, origin: Origin): string {
    const [, what, rest, nr, wbindex] = /^(folio|done) (.*) nr=(\S+) wbindex=(\S+)$/.exec(result) ?? []
    this.#wbindex = wbindex
    const wbc = `${this.#fields} wbc=${this.#wbc(pass)}`
    if (what === 'done') {
      return `${wbc} folio=0x0 index=0 flags=0x0 f1=0x0 error=${rest} nr=${nr} wbindex=${wbindex}`
    }
    const [index, order] = rest.split(' ')
    return `${wbc} folio=0x2 index=${index} ${this.#flags(Number(order), origin)} error=0 nr=${nr} wbindex=${wbindex}`
  }
}

/** A line of a recording, and the line of the trace that it comes from. */
export interface RecordingLine {
  readonly text: string
  readonly line: number
}

/** The lines of a recording, mapping by mapping. A reader sorts the lines of each mapping by time. */
export function* recordingLines(trace: Omit<Trace2, 'file'>): Generator<RecordingLine> {
  yield { text: '# tracer: nop', line: 1 }
  for (const [key, value] of trace.fields) yield { text: `# record: ${key} ${value}`, line: 1 }
  for (const { mapping, steps } of trace.mappings) {
    const writer = new MappingWriter(mapping)
    // A step that was taken out of turn keeps its place: it gets the time of the step before it.
    let clock = 0
    for (const step of steps) {
      for (const [name, place, fields] of writer.events(step)) {
        const { time, task } = step.origin as Origin
        clock = Math.max(clock, time)
        const { pid, comm } = trace.tasks.get(task) ?? { pid: 0, comm: 'unknown' }
        const who = `${comm}-${pid}`.padStart(24)
        yield {
          text: `${who} [000] ${String(clock).padStart(12)}: ${name}: ${place} ${fields}`,
          line: step.line,
        }
      }
    }
  }
}

/** The text of {@link recordingLines}. */
export function* toRecording(trace: Omit<Trace2, 'file'>): Generator<string> {
  for (const { text } of recordingLines(trace)) yield text
}
