// SPDX-License-Identifier: GPL-2.0-only
// Traces, format 2: what a live kernel did to its page caches, in an order that explains it. A line is
// `operation arguments [= result] [@TIME TASK CALLER FLAGS]`.

import { MAX_INDEX, MAX_OFFSET, MAX_ORDER } from '../arguments.js'
import { describe } from '../errors.js'
import { InputError } from '../input/input_error.js'

/** The first line of every trace of format 2. */
export const HEADER2 = '# writeback-trace 2'

/** A 64-bit number: a bigint only where a double does not hold it. */
export type Int64 = number | bigint

/** The task that did it, and the time; a step that follows from others has none. */
export interface Origin {
  readonly time: number
  /** Number of a `task` line. */
  readonly task: number
  readonly caller: string | null
  /**
   * The folio's flags as the event had them: `l`ocked, `w`riteback, `d`irty; null for an event without a
   * folio.
   */
  readonly flags: string | null
}

/** What a `begin` line says of the control. */
export interface Control {
  readonly syncAll: boolean
  readonly tagged: boolean
  readonly cyclic: boolean
  readonly start: Int64
  readonly end: Int64
  readonly nr: Int64
  readonly forKupdate: boolean
  readonly forBackground: boolean
  readonly forSync: boolean
}

/** One member of the union per name. */
type Each<N extends string, Fields> = N extends string ? { readonly name: N } & Fields : never

export type Action =
  | { readonly name: 'folio'; readonly index: number; readonly order: number; readonly state: string }
  | { readonly name: 'wbindex'; readonly value: Int64 }
  | { readonly name: 'add'; readonly index: number; readonly order: number }
  | Each<'dirty' | 'clear' | 'cancel' | 'remove' | 'end' | 'unlock', { readonly index: number }>
  | { readonly name: 'split'; readonly index: number; readonly order: number }
  | { readonly name: 'start'; readonly index: number; readonly keep: boolean }
  | { readonly name: 'wait'; readonly reason: 'lock' | 'writeback'; readonly index: number }
  | Each<'redirty' | 'look', { readonly pass: string; readonly index: number }>
  | { readonly name: 'tag'; readonly pass: string; readonly start: number; readonly end: number }
  | ({ readonly name: 'begin'; readonly pass: string } & Control)
  | { readonly name: 'call'; readonly pass: string; readonly error: number; readonly nr: Int64 }
  | Each<'lookup' | 'next', { readonly pass: string }>

export interface Step {
  /** Line number in the file, from 1: of the recording, where the steps come from one. */
  readonly line: number
  readonly action: Action
  /** Empty for an action without a result. */
  readonly result: string
  readonly origin: Origin | null
}

export interface Task {
  readonly pid: number
  readonly comm: string
}

/** What happened to one page cache. */
export interface MappingTrace {
  readonly mapping: string
  readonly steps: Step[]
}

export interface Trace2 {
  readonly file: string
  /** `# record: KEY VALUE` comments. */
  readonly fields: ReadonlyMap<string, string>
  readonly tasks: ReadonlyMap<number, Task>
  readonly mappings: readonly MappingTrace[]
}

class Malformed extends Error {}

function int64(what: string, text: string, min: bigint, max: bigint): Int64 {
  if (!/^(?:0|-?[1-9]\d{0,19})$/.test(text)) {
    throw new Malformed(`${what} is ${describe(text)}, expected a decimal number`)
  }
  const value = BigInt(text)
  if (value < min || value > max) throw new Malformed(`${what} is ${text}, expected ${min} to ${max}`)
  return Number.isSafeInteger(Number(text)) ? Number(text) : value
}

function number(what: string, text: string, min: number, max: number): number {
  return Number(int64(what, text, BigInt(min), BigInt(max)))
}

function keyed(key: string, text: string): string {
  if (!text.startsWith(`${key}=`)) throw new Malformed(`argument is ${describe(text)}, expected ${key}=`)
  return text.slice(key.length + 1)
}

function flag(what: string, text: string): boolean {
  if (text !== '0' && text !== '1') throw new Malformed(`${what} is ${describe(text)}, expected 0 or 1`)
  return text === '1'
}

const page = (text: string) => number('index', text, 0, MAX_INDEX)
const order = (text: string) => number('order', text, 0, MAX_ORDER)
const S64 = 2n ** 63n
const anyNr = (text: string) => int64('nr', text, -S64, S64 - 1n)

function passName(text: string): string {
  if (!/^P\d+$/.test(text)) throw new Malformed(`pass is ${describe(text)}, expected P and a number`)
  return text
}

/** As {@link passName}; `-` is no pass. */
function passOrNone(text: string): string {
  return text === '-' ? text : passName(text)
}

function waitReason(text: string): 'lock' | 'writeback' {
  if (text === 'lock' || text === 'writeback') return text
  throw new Malformed(`reason is ${describe(text)}, expected lock or writeback`)
}

interface Form {
  readonly parameters: readonly string[]
  parse(args: readonly string[]): Action
  format(action: Action): string
  readonly result: RegExp | null
}

/** Makes a form of an action's own type; the table below holds them all. */
function form<N extends Action['name']>(
  name: N,
  parameters: string,
  parse: (args: readonly string[]) => Omit<Extract<Action, { name: N }>, 'name'>,
  format: (action: Extract<Action, { name: N }>) => string,
  result: RegExp | null = null,
): [string, Form] {
  return [
    name,
    {
      parameters: parameters.split(' '),
      // TypeScript does not see that the two make the action of this name.
      parse: (args) => ({ name, ...parse(args) }) as unknown as Action,
      format: (action) => format(action as Extract<Action, { name: N }>),
      result,
    },
  ]
}

const BIT = /^[01]$/
const bit = (value: boolean) => (value ? '1' : '0')
const index = ([i]: readonly string[]) => ({ index: page(i) })
const byIndex = (action: { readonly index: number }) => `${action.index}`
const passAndIndex = ([p, i]: readonly string[]) => ({ pass: passOrNone(p), index: page(i) })
const U = '(?:0|[1-9]\\d*)'
const I = '(?:0|-?[1-9]\\d*)'

const FORMS: ReadonlyMap<string, Form> = new Map([
  form(
    'folio',
    'I O STATE',
    ([i, o, state]) => {
      if (!/^(?:clean|dirty|writeback|dirty,writeback)$/.test(state)) {
        throw new Malformed(
          `state is ${describe(state)}, expected clean, dirty, writeback or dirty,writeback`,
        )
      }
      return { index: page(i), order: order(o), state }
    },
    (action) => `${action.index} ${action.order} ${action.state}`,
  ),
  form(
    'wbindex',
    'N',
    ([n]) => ({ value: int64('wbindex', n, 0n, 2n ** 64n - 1n) }),
    (action) => `${action.value}`,
  ),
  form(
    'add',
    'I O',
    ([i, o]) => ({ index: page(i), order: order(o) }),
    (action) => `${action.index} ${action.order}`,
    /^(?:ok|EEXIST)$/,
  ),
  form('dirty', 'I', index, byIndex, BIT),
  form('clear', 'I', index, byIndex, BIT),
  form('cancel', 'I', index, byIndex),
  form('remove', 'I', index, byIndex),
  form('end', 'I', index, byIndex),
  form('unlock', 'I', index, byIndex),
  form(
    'split',
    'I O',
    ([i, o]) => ({ index: page(i), order: order(o) }),
    (action) => `${action.index} ${action.order}`,
  ),
  form(
    'start',
    'I K',
    ([i, k]) => ({ index: page(i), keep: flag('keep', k) }),
    (action) => `${action.index} ${bit(action.keep)}`,
  ),
  form(
    'wait',
    'lock|writeback I',
    ([reason, i]) => ({ reason: waitReason(reason), index: page(i) }),
    (action) => `${action.reason} ${action.index}`,
  ),
  form(
    'redirty',
    'P I',
    passAndIndex,
    (action) => `${action.pass} ${action.index}`,
    new RegExp(`^[01] skipped=${U}$`),
  ),
  form('look', 'P I', passAndIndex, (action) => `${action.pass} ${action.index}`),
  form(
    'tag',
    'P A B',
    ([p, a, b]) => ({ pass: passOrNone(p), start: page(a), end: page(b) }),
    (action) => `${action.pass} ${action.start} ${action.end}`,
  ),
  form(
    'begin',
    'P sync=none|all tagged=0|1 cyclic=0|1 start=BYTES end=BYTES nr=N kupdate=0|1 background=0|1 forsync=0|1',
    ([p, sync, tagged, cyclic, start, end, nr, kupdate, background, forsync]) => {
      const mode = keyed('sync', sync)
      if (mode !== 'none' && mode !== 'all') {
        throw new Malformed(`sync is ${describe(mode)}, expected none or all`)
      }
      return {
        pass: passName(p),
        syncAll: mode === 'all',
        tagged: flag('tagged', keyed('tagged', tagged)),
        cyclic: flag('cyclic', keyed('cyclic', cyclic)),
        start: int64('start', keyed('start', start), 0n, MAX_OFFSET),
        end: int64('end', keyed('end', end), 0n, MAX_OFFSET),
        nr: anyNr(keyed('nr', nr)),
        forKupdate: flag('kupdate', keyed('kupdate', kupdate)),
        forBackground: flag('background', keyed('background', background)),
        forSync: flag('forsync', keyed('forsync', forsync)),
      }
    },
    (a) =>
      `${a.pass} sync=${a.syncAll ? 'all' : 'none'} tagged=${bit(a.tagged)} cyclic=${bit(a.cyclic)} ` +
      `start=${a.start} end=${a.end} nr=${a.nr} ` +
      `kupdate=${bit(a.forKupdate)} background=${bit(a.forBackground)} forsync=${bit(a.forSync)}`,
  ),
  form(
    'call',
    'P E nr=N',
    ([p, e, nr]) => ({
      pass: passName(p),
      error: number('error', e, -(2 ** 31), 2 ** 31 - 1),
      nr: anyNr(keyed('nr', nr)),
    }),
    (action) => `${action.pass} ${action.error} nr=${action.nr}`,
  ),
  form(
    'lookup',
    'P',
    ([p]) => ({ pass: passName(p) }),
    (action) => action.pass,
    new RegExp(`^${U} next=${U}$`),
  ),
  form(
    'next',
    'P',
    ([p]) => ({ pass: passName(p) }),
    (action) => action.pass,
    new RegExp(`^(?:folio ${U} ${U}|done ${I}) nr=${I} wbindex=${U}$`),
  ),
])

const ORIGIN = /^(.*) @(\d+) (\d+) (\S+) (-|l?w?d?)$/

function parseStep(line: number, text: string): Step {
  const who = ORIGIN.exec(text)
  const body = who === null ? text : who[1]
  const equals = body.indexOf(' = ')
  const [name, ...args] = (equals < 0 ? body : body.slice(0, equals)).split(' ')
  const result = equals < 0 ? '' : body.slice(equals + 3)
  const found = FORMS.get(name)
  if (found === undefined) throw new Malformed(`operation is ${describe(name)}, which is unknown`)
  if (args.length !== found.parameters.length) {
    const usage = [name, ...found.parameters].join(' ')
    throw new Malformed(`${args.length} arguments, expected ${found.parameters.length}: ${usage}`)
  }
  if (found.result === null ? equals >= 0 : !found.result.test(result)) {
    const expected = found.result === null ? `none: ${name} has no result` : String(found.result)
    throw new Malformed(`result of ${name} is ${describe(result)}, expected ${expected}`)
  }
  const origin =
    who === null
      ? null
      : {
          time: number('time', who[2], 0, Number.MAX_SAFE_INTEGER),
          task: number('task', who[3], 0, 2 ** 31 - 1),
          caller: who[4] === '-' ? null : who[4],
          flags: who[5] === '-' ? null : who[5],
        }
  return { line, action: found.parse(args), result, origin }
}

/** Reads a trace of format 2 line by line; `end` gives the whole. */
export class Trace2Reader {
  readonly #file: string
  readonly #fields = new Map<string, string>()
  readonly #tasks = new Map<number, Task>()
  readonly #mappings: MappingTrace[] = []
  #line = 0

  constructor(file: string) {
    this.#file = file
  }

  /**
   * Takes the next line, without its line feed.
   * @throws {@link InputError} for a line that is not of the format
   */
  push(text: string): void {
    this.#line++
    try {
      this.#push(text)
    } catch (error) {
      if (error instanceof Malformed) throw new InputError(this.#file, this.#line, error.message)
      throw error
    }
  }

  #push(text: string): void {
    if (this.#line === 1) {
      if (text !== HEADER2)
        throw new Malformed(`first line is ${describe(text)}, expected ${describe(HEADER2)}`)
      return
    }
    if (text.startsWith('#')) {
      const field = /^# record: (\w+) (.*)$/.exec(text)
      if (field !== null) this.#fields.set(field[1], field[2])
      return
    }
    const mapping = /^mapping (\S+)$/.exec(text)
    if (mapping !== null) {
      this.#mappings.push({ mapping: mapping[1], steps: [] })
      return
    }
    const task = /^task (\d+) (\d+) (.+)$/.exec(text)
    if (task !== null) {
      this.#tasks.set(Number(task[1]), { pid: Number(task[2]), comm: task[3] })
      return
    }
    const current = this.#mappings.at(-1)
    if (current === undefined) throw new Malformed('an operation before the first mapping line')
    const step = parseStep(this.#line, text)
    if (step.origin !== null && !this.#tasks.has(step.origin.task)) {
      throw new Malformed(`task is ${step.origin.task}, which no task line names`)
    }
    current.steps.push(step)
  }

  end(): Trace2 {
    if (this.#line === 0) {
      throw new InputError(this.#file, 1, `first line is missing, expected ${describe(HEADER2)}`)
    }
    return { file: this.#file, fields: this.#fields, tasks: this.#tasks, mappings: this.#mappings }
  }
}

/** The line of a step, without the line feed. */
export function formatStep({ action, result, origin }: Step): string {
  const found = FORMS.get(action.name)
  if (found === undefined) throw new Error(`no form of ${action.name}`)
  let text = `${action.name} ${found.format(action)}`
  if (found.result !== null) text += ` = ${result}`
  if (origin !== null) {
    text += ` @${origin.time} ${origin.task} ${origin.caller ?? '-'} ${origin.flags ?? '-'}`
  }
  return text
}

/** The lines of a whole trace as {@link Trace2Reader} reads them. */
export function* formatTrace2(trace: Omit<Trace2, 'file'>): Generator<string> {
  yield HEADER2
  for (const [key, value] of trace.fields) yield `# record: ${key} ${value}`
  for (const [id, { pid, comm }] of trace.tasks) yield `task ${id} ${pid} ${comm}`
  for (const { mapping, steps } of trace.mappings) {
    yield `mapping ${mapping}`
    for (const step of steps) yield formatStep(step)
  }
}
