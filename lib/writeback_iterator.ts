// SPDX-License-Identifier: GPL-2.0-only
// writeback_iter as an iterator of JavaScript.

import { checkError } from './arguments.js'
import { notCloneable, WritebackError } from './errors.js'
import { INSPECT, type InspectArguments, inspectAs } from './inspect.js'
import type { Mapping, Pass } from './page_cache.js'
import type * as api from './types.js'
import { folio_wait } from './wait_table.js'
import type { ControlState } from './writeback_control.js'
import { abandon, giveBack, iterate, start } from './writeback_pass.js'

/** AddressSpace.writeback(), its arguments checked. */
export let newIterator: (
  mapping: Mapping,
  control: ControlState,
  onWait: api.WaitHook | undefined,
) => WritebackIterator

/** Only code that has this makes an iterator. */
const NEW = Symbol('newIterator')

/** One pass over a mapping; see {@link api.WritebackIterator}. */
export class WritebackIterator implements api.WritebackIterator {
  /** See {@link notCloneable}. */
  readonly notCloneable = notCloneable
  readonly #mapping: Mapping
  readonly #control: ControlState
  readonly #onWait: api.WaitHook
  readonly #error = { value: 0 }
  /** The folio returned last; null before the first and behind the last. */
  #folio: api.Folio | null = null
  /**
   * Whether the body still has it. It was handed back once next() was called, also where the pass was blocked
   * then.
   */
  #inHand = false
  /**
   * The pass as it hangs on the control, null before it began: another one there means that the control was
   * used for another pass.
   */
  #pass: Pass | null = null
  #done = false
  /** The folio that the last step was blocked on, where no hook of the user's threw. */
  #blocked: api.Folio | null = null

  static {
    newIterator = (mapping, control, onWait) => new WritebackIterator(NEW, mapping, control, onWait)
  }

  constructor(made: symbol, mapping: Mapping, control: ControlState, onWait: api.WaitHook | undefined) {
    if (made !== NEW) throw new WritebackError('EINVAL', 'a WritebackIterator is made by writeback')
    this.#mapping = mapping
    this.#control = control
    this.#onWait = (folio, reason) => {
      this.#pass = control.pass
      onWait?.(folio, reason)
      this.#blocked = folio
    }
  }

  get error(): number {
    return this.#error.value
  }
  set error(value: number) {
    this.#error.value = checkError(value)
  }

  next(): IteratorResult<api.Folio> {
    if (this.#done) return { value: undefined, done: true }
    if (this.#pass !== null && this.#control.pass !== this.#pass) {
      this.#giveUp()
      throw new WritebackError('EINVAL', 'another pass was started on this control')
    }
    let folio: api.Folio | null
    this.#blocked = null
    this.#inHand = false
    try {
      folio =
        this.#pass === null
          ? start(this.#mapping, this.#control, this.#error, this.#onWait)
          : iterate(this.#mapping, this.#control, this.#folio, this.#error, this.#onWait)
    } catch (error) {
      // No memory to begin the pass: the next call may have it.
      if (this.#pass === null && error instanceof WritebackError && error.code === 'ENOMEM') throw error
      // If the pass is still there, next() takes it up where it stood (EDEADLK, or the hook threw).
      if (this.#pass === null || this.#control.pass !== this.#pass) this.#giveUp()
      throw error
    }
    this.#folio = folio
    if (folio === null) {
      this.#done = true
      return { value: undefined, done: true }
    }
    this.#inHand = true
    this.#pass = this.#control.pass
    this.#error.value = 0
    return { value: folio, done: false }
  }

  return(): IteratorResult<api.Folio> {
    if (!this.#done) {
      if (this.#control.pass === this.#pass) abandon(this.#control)
      this.#giveUp()
    }
    return { value: undefined, done: true }
  }

  #giveUp(): void {
    const folio = this.#folio
    this.#done = true
    this.#folio = null
    if (folio !== null && this.#inHand) giveBack(this.#mapping, folio)
  }

  [INSPECT](...args: InspectArguments): string {
    const fields = { folio: this.#folio, error: this.error, done: this.#done }
    return inspectAs('WritebackIterator', fields, args)
  }

  [Symbol.dispose](): void {
    this.return()
  }

  [Symbol.iterator](): this {
    return this
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<api.Folio, undefined, undefined> {
    try {
      for (;;) {
        const result = await this.#nextUnblocked()
        if (result.done) return
        yield result.value
      }
    } finally {
      // A pass that did not begin for want of memory may begin again.
      if (this.#pass !== null) this.return()
    }
  }

  /** next(), once nothing has to be waited for any more. */
  async #nextUnblocked(): Promise<IteratorResult<api.Folio>> {
    for (;;) {
      try {
        return this.next()
      } catch (error) {
        const isDeadlock = error instanceof WritebackError && error.code === 'EDEADLK'
        if (!isDeadlock || this.#blocked === null) throw error
        await folio_wait(this.#mapping, this.#blocked)
      }
    }
  }
}
