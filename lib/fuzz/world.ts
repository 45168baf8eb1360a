// SPDX-License-Identifier: GPL-2.0-only
// A backend under the fuzzer: executes operations, and logs all that they answer and change.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { WritebackError } from '../errors.js'
import type {
  AddressSpace,
  AsyncResult,
  Backend,
  Extent,
  Folio,
  Mark,
  WaitOptions,
  WritebackControl,
  WritebackIterator,
} from '../types.js'
import { Log } from './log.js'
import {
  Action,
  CONTROLS,
  HAND,
  HANDLES,
  Hook,
  ITERATORS,
  Kind,
  MAPPINGS,
  Mode,
  NULL,
  type Operation,
  RIGHT,
} from './operation.js'
import { wrongUses } from './wrong_uses.js'

const PAGE_SIZE = 4096
/** The marks by number; 0 stands for every folio. */
export const MARKS: readonly (Mark | undefined)[] = [undefined, 'dirty', 'writeback', 'towrite']

/** What callbacks throw. */
const THROWN = new Error('thrown by a callback')

/** What callbacks return, by the argument of `give`: success, errors, and what is none of both. */
export const RESULTS: readonly unknown[] = [0, undefined, -5, -28, 0x80000, 1, Number.NaN, 0.5, 'x', null]

/** Objects of another backend. */
export interface Foreign {
  readonly mapping: AddressSpace
  readonly folio: Folio
}

/** A write under way, of a pass that awaits. */
interface Awaited {
  resolve(result: number | void): void
  reject(reason: unknown): void
}

/** How far the turns of a body have come. */
interface Turns {
  readonly body: readonly Operation[]
  next: number
}

/** log2 of the page size where none is asked for. */
const PAGE_SHIFT = 12

export class World {
  readonly log: Log
  readonly api: Backend
  readonly foreign: Foreign
  /** Made when they are first used. */
  readonly mappings: (AddressSpace | null)[] = new Array(MAPPINGS).fill(null)
  readonly controls: WritebackControl[] = []
  /** The error argument of `writebackIter` with each control, and the folio that it returned last. */
  readonly errors: { value: number }[] = []
  readonly last: (Folio | null)[] = []
  /** The mapping that the pass of each control began on. */
  readonly passes: AddressSpace[] = []
  readonly iterators: (WritebackIterator | null)[] = new Array(ITERATORS).fill(null)
  /** The control that each iterator was made with. */
  readonly iteratorControls: WritebackControl[] = []
  readonly folios: (Folio | null)[] = new Array(HANDLES).fill(null)
  hand: Folio | null = null
  /**
   * Operations executed: with those in bodies, each folio of a fill, and each turn of a pass or a loop; without checks, and
   * without those that had no folio to act on.
   */
  operations = 0
  /** Passes that await and are not over: while there are any, something may happen between two operations. */
  awaiting = 0
  #extent: Extent | null = null
  /** Writes under way, in the order of their starts, and how to abort each pass that is not over. */
  readonly #writes: Awaited[] = []
  readonly #aborts: (() => void)[] = []

  /** @param readable - whether somebody will read the log */
  constructor(api: Backend, foreign: Foreign, readable: boolean) {
    this.api = api
    this.foreign = foreign
    this.log = new Log(readable)
    for (let i = 0; i < CONTROLS; i++) {
      this.controls.push(new api.WritebackControl())
      this.errors.push({ value: 0 })
      this.last.push(null)
    }
  }

  close(): void {
    for (const mapping of this.mappings) mapping?.close()
  }

  mapping(i: number): AddressSpace {
    let mapping = this.mappings[i]
    if (mapping === null) {
      mapping = new this.api.AddressSpace()
      this.mappings[i] = mapping
    }
    return mapping
  }

  /** The folio of a handle. */
  folio(handle: number): Folio | null {
    return handle === HAND ? this.hand : (this.folios[handle] ?? null)
  }

  /** Executes an operation, and logs what it answers or throws. */
  run(op: Operation): void {
    if (op.kind !== Kind.check) this.operations++
    try {
      this.#apply(op)
    } catch (error) {
      this.#logError(error)
    }
  }

  #logError(error: unknown): void {
    if (error === THROWN) this.log.put('thrown', 1)
    else if (error instanceof WritebackError) this.log.text(error.message)
    // Nothing else is ever to be thrown: the name of the backend makes it a difference.
    else this.log.text(`${this.api.backend}: ${error instanceof Error ? error.stack : String(error)}`)
  }

  #apply(op: Operation): void {
    const { log } = this
    switch (op.kind) {
      case Kind.add: {
        const folio = this.mapping(op.a).addFolio(op.c, op.d)
        this.folios[op.b] = folio
        this.#see(folio)
        break
      }
      case Kind.fill:
        this.#fill(op)
        break
      case Kind.addFolios:
        this.mapping(op.a).addFolios(op.b, op.c, op.d)
        break
      case Kind.dirtyRange:
        log.put('dirtied', this.mapping(op.a).dirtyRange(op.b, op.c))
        break
      case Kind.get: {
        const folio = this.mapping(op.a).getFolio(op.c)
        if (folio !== null) this.folios[op.b] = folio
        this.#see(folio)
        break
      }
      case Kind.tag:
        this.mapping(op.a).tagPagesForWriteback(op.b, op.c)
        break
      case Kind.tagged:
        log.put('tagged', this.mapping(op.a).tagged(MARKS[op.b] as Mark) ? 1 : 0)
        break
      case Kind.list:
        this.#list(op)
        break
      case Kind.each:
        this.#each(op)
        break
      case Kind.setWritebackIndex:
        this.mapping(op.a).writebackIndex = op.b
        break
      case Kind.counters:
        this.#seeMapping(this.mapping(op.a))
        break
      case Kind.open:
        this.#open(op)
        break
      case Kind.close:
        this.mapping(op.a).close()
        break
      case Kind.check:
        this.check()
        break
      case Kind.wrong:
        this.#wrong(op)
        break
      case Kind.control:
        this.#control(op)
        break
      case Kind.assign:
        this.#assign(op)
        break
      case Kind.iter:
        this.#iter(op)
        break
      case Kind.iterator:
        this.iterators[op.c]?.return()
        this.iteratorControls[op.c] = this.controls[op.b]
        this.iterators[op.c] = this.mapping(op.a).writeback(
          this.controls[op.b],
          this.#options(op.d, { body: op.body, next: 0 }),
        )
        break
      case Kind.next:
        this.#next(op)
        break
      case Kind.return:
        this.iterators[op.a]?.return()
        this.#see(this.hand)
        break
      case Kind.forOf:
      case Kind.writePages:
      case Kind.writeExtents:
      case Kind.writeCachePages:
        this.#wholePass(op)
        break
      case Kind.writePagesAsync:
      case Kind.writeExtentsAsync:
        this.#await(op)
        break
      case Kind.settle:
        this.#settle(op.a, op.b)
        break
      case Kind.abort:
        this.#aborts[Math.abs(op.a) % this.#aborts.length]?.()
        break
      case Kind.extent:
        this.#seeExtent(op.a)
        break
      case Kind.give:
      case Kind.throw:
      case Kind.break:
        break
      default:
        this.#applyToFolio(op)
    }
  }

  #applyToFolio(op: Operation): void {
    const { log } = this
    const folio = this.folio(op.kind === Kind.remove ? op.b : op.a)
    if (folio === null) {
      this.operations--
      return
    }
    switch (op.kind) {
      case Kind.remove:
        this.mapping(op.a).removeFolio(folio)
        if (op.c !== 0 && op.b !== HAND) this.folios[op.b] = null
        break
      case Kind.tryLock:
        log.put('tryLock', folio.tryLock() ? 1 : 0)
        break
      case Kind.unlock:
        folio.unlock()
        break
      case Kind.markDirty:
        log.put('markDirty', folio.markDirty() ? 1 : 0)
        break
      case Kind.startWriteback:
        folio.startWriteback(op.b !== 0)
        break
      case Kind.endWriteback:
        folio.endWriteback()
        break
      case Kind.redirty:
        log.put('redirty', folio.redirtyForWritepage(this.controls[op.b]) ? 1 : 0)
        this.#seeControl(this.controls[op.b])
        break
      case Kind.setUptodate:
        folio.uptodate = op.b !== 0
        break
      case Kind.write:
        write(folio, op.b !== 0)
        break
      case Kind.advance:
        advance(folio)
    }
    this.#see(folio)
  }

  #open({ a, b, c }: Operation): void {
    const old = this.mappings[a]
    old?.close()
    this.mappings[a] = new this.api.AddressSpace({ pageShift: b })
    if (c === 0 || old === null) return
    for (const [i, folio] of this.folios.entries()) if (folio?.mapping === old) this.folios[i] = null
    for (const [i, mapping] of this.passes.entries()) if (mapping === old) this.last[i] = null
  }

  #fill({ a, b, c, d, e, f }: Operation): void {
    const mapping = this.mapping(a)
    let added = 0
    for (let i = 0; i < e; i++) {
      const index = c + i * d
      if (mapping.getFolio(index) !== null) continue
      const folio = mapping.addFolio(index)
      this.folios[(b + i) % HANDLES] = folio
      if (f !== 0) folio.markDirty()
      this.#see(folio)
      added++
    }
    this.operations += added
  }

  #list(op: Operation): void {
    const turns = { body: op.body, next: 0 }
    const start = op.c === -1 ? undefined : op.c
    const end = op.d === -1 ? undefined : op.d
    for (const folio of this.mapping(op.a).folios(MARKS[op.b], start, end)) {
      this.hand = folio
      this.#see(folio)
      const end = this.#turn(turns)
      if (end?.kind === Kind.break) break
      if (end?.kind === Kind.throw) throw THROWN
    }
  }

  /** Much at once, and no call in between that tells a core of it. */
  #each({ a, b, c }: Operation): void {
    for (const folio of Array.from(this.mapping(a).folios(MARKS[b]))) {
      this.operations++
      if (c === Action.markDirty) this.log.put('markDirty', folio.markDirty() ? 1 : 0)
      else if (c === Action.advance) advance(folio)
      else if (c === Action.write) write(folio, false)
      else this.log.put('tryLock', folio.tryLock() ? 1 : 0)
      this.#see(folio)
    }
  }

  #wrong({ a, b, c, d }: Operation): void {
    const answer = wrongUses[a % wrongUses.length](this, this.mapping(b), this.folio(c), this.controls[d])
    // Some are no use at all, or not wrong as things are.
    if (typeof answer === 'number') this.log.put('answer', answer)
  }

  #control({ a, b, c, d, e }: Operation): void {
    this.controls[a] = new this.api.WritebackControl({
      syncMode: (b & Mode.syncAll) !== 0 ? 'all' : 'none',
      taggedWritepages: (b & Mode.tagged) !== 0,
      rangeCyclic: (b & Mode.cyclic) !== 0,
      nrToWrite: c,
      ...(d === -1 ? {} : { rangeStart: byteOffset(d, (b & Mode.lastByteOfStart) !== 0) }),
      ...(e === -1 ? {} : { rangeEnd: byteOffset(e, (b & Mode.firstByteOfEnd) === 0) }),
    })
    this.last[a] = null
  }

  #assign({ a, b, c }: Operation): void {
    const wbc = this.controls[a]
    try {
      switch (b) {
        case 0:
          wbc.nrToWrite = c
          break
        case 1:
          wbc.pagesSkipped = c
          break
        case 2:
          wbc.rangeStart = byteOffset(c, false)
          break
        case 3:
          wbc.rangeEnd = byteOffset(c, true)
          break
        case 4:
          wbc.syncMode = c % 2 === 0 ? 'none' : 'all'
          break
        case 5:
          wbc.taggedWritepages = c % 2 !== 0
          break
        default:
          wbc.rangeCyclic = c % 2 !== 0
      }
    } finally {
      this.#seeControl(wbc)
    }
  }

  /** The folio that an `iter` hands back; null starts a pass. */
  argumentOfIter({ b, c }: Operation): Folio | null {
    return c === RIGHT ? this.last[b] : c === NULL ? null : this.folio(c)
  }

  #iter(op: Operation): void {
    const { b: c } = op
    const error = this.errors[c]
    const right = op.c === RIGHT
    const folio = this.argumentOfIter(op)
    // A pass goes on where it began, unless the folio is not its own either.
    if (!right || folio === null) this.passes[c] = this.mapping(op.a)
    error.value = op.d
    try {
      const options = this.#options(op.e, { body: op.body, next: 0 })
      const next = this.api.writebackIter(this.passes[c], this.controls[c], folio, error, options)
      this.last[c] = next
      this.hand = next
      this.#see(next)
    } catch (error) {
      if (right && !isBlocked(error)) this.last[c] = null
      throw error
    } finally {
      this.log.put('error', error.value)
      this.#seeControl(this.controls[c])
    }
  }

  #next(op: Operation): void {
    const iterator = this.iterators[op.a]
    if (iterator === null) return
    iterator.error = op.b
    try {
      const { value, done } = iterator.next()
      this.log.put('done', done ? 1 : 0)
      if (value !== undefined) this.hand = value
      this.#see(value ?? null)
    } finally {
      this.log.put('error', iterator.error)
    }
  }

  #wholePass(op: Operation): void {
    const mapping = this.mapping(op.a)
    const wbc = this.controls[op.b]
    const turns = { body: op.body, next: 0 }
    const options = this.#options(op.c, turns)
    try {
      switch (op.kind) {
        case Kind.forOf:
          this.log.put('error', this.#forOf(mapping.writeback(wbc, options), turns))
          break
        case Kind.writePages:
          this.log.put(
            'error',
            mapping.writePages(wbc, (folio) => this.#writepage(folio, turns), options),
          )
          break
        case Kind.writeExtents:
          this.log.put(
            'error',
            mapping.writeExtents(wbc, (extent) => this.#writeExtent(extent, turns), {
              ...options,
              maxPages: op.d,
            }),
          )
          break
        default:
          this.log.put(
            'error',
            this.api.writeCachePages(mapping, wbc, (folio) => this.#legacyWritepage(folio, turns), options),
          )
      }
    } finally {
      this.#seeControl(wbc)
    }
  }

  #forOf(iterator: WritebackIterator, turns: Turns): number {
    for (const folio of iterator) {
      this.hand = folio
      this.#see(folio)
      const end = this.#turn(turns)
      if (end === null) write(folio, false)
      else if (end.kind === Kind.break) break
      else if (end.kind === Kind.throw) throw THROWN
      else iterator.error = RESULTS[end.a] as number
    }
    return iterator.error
  }

  #writepage(folio: Folio, turns: Turns): number | void {
    this.hand = folio
    this.#see(folio)
    return this.#result(this.#turn(turns))
  }

  #legacyWritepage(folio: Folio, turns: Turns): number | void {
    this.hand = folio
    this.#see(folio)
    const end = this.#turn(turns)
    if (end === null) write(folio, false)
    return this.#result(end)
  }

  #writeExtent(extent: Extent, turns: Turns): number | void {
    this.#extent = extent
    this.log.put('extent', extent.index)
    this.log.put('nrPages', extent.nrPages)
    return this.#result(this.#turn(turns))
  }

  /** Begins a pass that awaits. Its writes are under way until they are settled. */
  #await({ kind, a, b, c, d, body }: Operation): void {
    const mapping = this.mapping(a)
    const wbc = this.controls[b]
    const turns = { body, next: 0 }
    const listeners = new Set<() => void>()
    const signal = {
      aborted: false,
      reason: THROWN,
      addEventListener: (_: 'abort', listener: () => void) => void listeners.add(listener),
      removeEventListener: (_: 'abort', listener: () => void) => void listeners.delete(listener),
    }
    const abort = () => {
      signal.aborted = true
      for (const listener of listeners) listener()
    }
    const options = { concurrency: c, signal }
    this.awaiting++
    this.#aborts.push(abort)
    const pass =
      kind === Kind.writePagesAsync
        ? mapping.writePagesAsync(wbc, (folio) => this.#submitPage(folio, turns), options)
        : mapping.writeExtentsAsync(wbc, (extent) => this.#submitExtent(extent, turns), {
            ...options,
            maxPages: d,
          })
    void pass
      .then(
        (result) => this.log.put('error', result),
        (error) => this.#logError(error),
      )
      .then(() => {
        this.awaiting--
        this.#aborts.splice(this.#aborts.indexOf(abort), 1)
        this.log.put('listeners', listeners.size)
        this.#seeControl(wbc)
      })
  }

  #submitPage(folio: Folio, turns: Turns): AsyncResult {
    this.hand = folio
    this.#see(folio)
    return this.#submit(this.#turn(turns))
  }

  #submitExtent(extent: Extent, turns: Turns): AsyncResult {
    this.#extent = extent
    this.log.put('extent', extent.index)
    this.log.put('nrPages', extent.nrPages)
    return this.#submit(this.#turn(turns))
  }

  #submit(end: Operation | null): AsyncResult {
    if (end !== null && end.kind !== Kind.break) return this.#result(end)
    return new Promise((resolve, reject) => this.#writes.push({ resolve, reject }))
  }

  /** A write under way is over, whichever it is: with a result of RESULTS, or by a rejection. */
  #settle(nth: number, result: number): void {
    const writes = this.#writes
    if (writes.length === 0) return
    const [write] = writes.splice(Math.abs(nth) % writes.length, 1)
    if (result < RESULTS.length) write.resolve(RESULTS[result] as number)
    else write.reject(THROWN)
  }

  /** All passes that await come to their end: by their writes, and those that wait for a folio by their signals. */
  async drain(): Promise<void> {
    for (let turn = 0; this.awaiting > 0; turn++) {
      while (this.#writes.length > 0) this.#settle(0, 0)
      await nextTurn()
      if (this.#writes.length === 0) for (const abort of [...this.#aborts]) abort()
      // Every pass was aborted, and none has a write under way.
      if (turn === 100) this.log.text(`${this.api.backend}: a pass does not end`)
      if (turn === 100) return
    }
  }

  #result(end: Operation | null): number | void {
    if (end === null || end.kind === Kind.break) return
    if (end.kind === Kind.throw) throw THROWN
    return RESULTS[end.a] as number
  }

  /** Runs the body up to the end of a turn. Null if the turn is none, or has no end of its own: the usual is done then. */
  #turn(turns: Turns): Operation | null {
    this.operations++
    while (turns.next < turns.body.length) {
      const op = turns.body[turns.next++]
      if (op.kind === Kind.give || op.kind === Kind.throw || op.kind === Kind.break) return op
      this.run(op)
    }
    return null
  }

  #options(hook: Hook, turns: Turns): WaitOptions | undefined {
    if (hook === Hook.none) return undefined
    return {
      onWait: (folio, reason) => {
        this.hand = folio
        this.log.put(reason, folio.index)
        if (hook === Hook.body || hook === Hook.bodyOnly) {
          if (this.#turn(turns)?.kind === Kind.throw) throw THROWN
        }
        if (hook === Hook.release || hook === Hook.body) {
          if (reason === 'lock') {
            if (folio.locked) folio.unlock()
          } else if (folio.writeback) {
            folio.endWriteback()
          }
        }
      },
    }
  }

  /** Logs a folio: which it is, and its flags. This calls nothing in a core. */
  #see(folio: Folio | null): void {
    const { log } = this
    if (folio === null) {
      log.put('folio', -1)
      return
    }
    const { mapping } = folio
    log.put('folio', folio.index)
    log.put('order', folio.order)
    log.put(
      'flags',
      (folio.locked ? 1 : 0) +
        (folio.dirty ? 2 : 0) +
        (folio.writeback ? 4 : 0) +
        (folio.uptodate ? 8 : 0) +
        (mapping === null ? 0 : mapping === this.mappings[0] ? 16 : mapping === this.mappings[1] ? 32 : 48),
    )
  }

  #seeControl(wbc: WritebackControl): void {
    this.log.put('nrToWrite', wbc.nrToWrite)
    this.log.put('pagesSkipped', wbc.pagesSkipped)
  }

  #seeMapping(mapping: AddressSpace): void {
    this.log.put('nrPages', mapping.nrPages)
    this.log.put('writebackIndex', mapping.writebackIndex)
    this.log.put('pageShift', mapping.pageShift)
  }

  #seeExtent(k: number): void {
    const extent = this.#extent
    if (extent === null) return
    const { folios } = extent
    this.log.put('nrFolios', extent.nrFolios)
    this.log.put('folios', folios === extent.folios ? folios.length : -1)
    for (const folio of folios) this.log.put('of', folio.index)
    if (folios.length > 0) this.hand = folios[k % folios.length]
    this.#see(this.hand)
  }

  /** Logs the whole state. */
  check(): void {
    for (const mapping of this.mappings) {
      if (mapping !== null) this.#checkMapping(mapping)
    }
    for (const folio of this.folios) {
      if (folio !== null) this.#see(folio)
    }
    for (const wbc of this.controls) {
      this.#seeControl(wbc)
      this.log.put('rangeStart', Number(wbc.rangeStart))
      this.log.put('rangeEnd', Number(wbc.rangeEnd))
    }
  }

  #checkMapping(mapping: AddressSpace): void {
    const { log } = this
    this.#seeMapping(mapping)
    // A closed one says so, once.
    try {
      mapping.getFolio(0)
    } catch (error) {
      log.text(String(error))
      return
    }
    for (const mark of MARKS) {
      for (const folio of mapping.folios(mark)) {
        if (mark !== undefined) log.put(mark, folio.index)
        else this.#see(folio)
      }
      if (mark !== undefined) log.put(mark, mapping.tagged(mark) ? -1 : -2)
    }
    // There is one object a folio.
    for (const folio of this.folios) {
      if (folio !== null && folio.mapping === mapping) {
        log.put('same', mapping.getFolio(folio.index + folio.nrPages - 1) === folio ? 1 : 0)
      }
    }
  }
}

/** Whether the pass is still there after this error, to be taken up again. */
function isBlocked(error: unknown): boolean {
  return error === THROWN || (error instanceof WritebackError && error.code === 'EDEADLK')
}

/** The first or the last byte of a page, as a number where that is exact. */
function byteOffset(page: number, last: boolean): number | bigint {
  const offset = page * PAGE_SIZE + (last ? PAGE_SIZE - 1 : 0)
  if (Number.isSafeInteger(offset)) return offset
  return (BigInt(page) << BigInt(PAGE_SHIFT)) + (last ? BigInt(PAGE_SIZE - 1) : 0n)
}

/** What a file system does with a folio of a pass: whatever is left of start, unlock and end. */
export function write(folio: Folio, keepWrite: boolean): void {
  if (folio.locked && !folio.writeback) folio.startWriteback(keepWrite)
  if (folio.locked) folio.unlock()
  if (folio.writeback) folio.endWriteback()
}

/** The next step of a folio's life: dirty, locked, under writeback, unlocked, written. */
export function advance(folio: Folio): void {
  if (folio.writeback) {
    if (folio.locked) folio.unlock()
    else folio.endWriteback()
  } else if (folio.locked) {
    folio.startWriteback()
  } else if (folio.dirty) {
    folio.tryLock()
  } else {
    folio.markDirty()
  }
}
