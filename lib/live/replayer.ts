// SPDX-License-Identifier: GPL-2.0-only
// Executes the steps of a format 2 trace on a backend, by its public surface alone.
//
// The kernel's writeback_iter() tags, looks up a batch, and looks at each folio of it at moments of their
// own; a backend does all of that in one call. The replayer splits the call: before it, it locks the folio
// that the pass is to look at next but not yet, so that the call throws EDEADLK there; the call is taken up
// again at the next moment. Nothing but these calls sees these locks.

import { FOLIO_BATCH_SIZE, MAX_INDEX } from '../arguments.js'
import { WritebackError } from '../errors.js'
import type { Action, Control, Int64 } from '../trace/format2.js'
import { MisplacedOperation } from '../trace/replay.js'
import type { AddressSpace, Backend, Folio, WritebackControl } from '../types.js'

type Of<N extends Action['name']> = Extract<Action, { readonly name: N }>

const PAGE_SHIFT = 12n
const ULONG_MAX = 2n ** 64n - 1n

/** A pass: the steps from a `begin` on. */
export class ReplayPass {
  readonly wbc: WritebackControl
  readonly byTowrite: boolean
  readonly syncAll: boolean
  /** What is added to the backend's nr_to_write: a control's limit is 2^53 - 1, the kernel's 2^63 - 1. */
  nrOffset = 0n
  /** The folio returned last, which the next call hands back. */
  folio: Folio | null = null
  /** What the next call hands in. */
  error = 0
  /** In place of a positive error, which a backend refuses. */
  positive: number | null = null
  /** Folios that the last lookup found and the pass has not looked at, the next one first. */
  batch: Folio[] = []
  /** How many the last lookup found. */
  found = 0
  /** Where the next lookup begins. */
  position: number
  readonly end: number
  /** Whether the range has no end: to ULONG_MAX. */
  readonly endless: boolean
  /** Whether the first call is still to come to its lookup. */
  fresh = true
  /** What the running call returned; undefined while it has not. */
  returned: Folio | null | undefined = undefined
  /** Whether a `next` has ended the pass. */
  done = false

  constructor(backend: Backend, control: Control, position: number) {
    this.wbc = new backend.WritebackControl({
      syncMode: control.syncAll ? 'all' : 'none',
      taggedWritepages: control.tagged,
      rangeCyclic: control.cyclic,
      rangeStart: control.start,
      rangeEnd: control.end,
    })
    this.syncAll = control.syncAll
    this.byTowrite = control.syncAll || control.tagged
    this.position = control.cyclic ? position : pageOf(control.start)
    this.endless = control.cyclic
    this.end = control.cyclic ? MAX_INDEX : Math.min(pageOf(control.end), MAX_INDEX)
    this.setNr(control.nr)
  }

  setNr(nr: Int64): void {
    const limit = BigInt(Number.MAX_SAFE_INTEGER)
    const value = BigInt(nr)
    this.nrOffset = value > limit ? value - limit : 0n
    this.wbc.nrToWrite = Number(value - this.nrOffset)
  }

  get nr(): bigint {
    return BigInt(this.wbc.nrToWrite) + this.nrOffset
  }
}

function pageOf(offset: Int64): number {
  return Number(BigInt(offset) >> PAGE_SHIFT)
}

function bit(value: boolean): string {
  return value ? '1' : '0'
}

/** A page cache that is driven by steps. */
export class StepReplayer {
  readonly #backend: Backend
  readonly mapping: AddressSpace
  readonly #passes = new Map<string, ReplayPass>()

  constructor(backend: Backend) {
    this.#backend = backend
    this.mapping = new backend.AddressSpace()
  }

  close(): void {
    this.mapping.close()
  }

  pass(name: string): ReplayPass {
    const pass = this.#passes.get(name)
    if (pass === undefined) throw new MisplacedOperation(`no pass ${name} has begun`)
    return pass
  }

  /** The folio that begins at a page, or null. */
  find(index: number): Folio | null {
    const folio = this.mapping.getFolio(index)
    return folio !== null && folio.index === index ? folio : null
  }

  /**
   * Executes a step.
   * @returns its result as a line has it, empty where it has none; what the backend throws is a result, too
   * @throws {@link MisplacedOperation}, with nothing done
   */
  execute(action: Action): string {
    try {
      return this.#apply(action) ?? ''
    } catch (error) {
      if (error instanceof WritebackError) return error.code === 'EEXIST' ? 'EEXIST' : error.message
      throw error
    }
  }

  #apply(action: Action): string | void {
    switch (action.name) {
      case 'folio':
        return this.#initial(action)
      case 'wbindex':
        this.mapping.writebackIndex = Number(action.value)
        return
      case 'add':
        this.mapping.addFolio(action.index, action.order)
        return 'ok'
      case 'dirty':
        return bit(this.#folio(action.index).markDirty())
      case 'clear':
        return bit(this.#clearDirtyForIo(this.#folio(action.index)))
      case 'cancel':
        this.#clearDirtyForIo(this.#folio(action.index))
        return
      case 'remove':
        return this.mapping.removeFolio(this.#folio(action.index))
      case 'split':
        return this.#split(this.#folio(action.index), action.order)
      case 'start':
        return this.#start(this.#folio(action.index), action.keep)
      case 'end':
        return this.#folio(action.index).endWriteback()
      case 'unlock':
        return this.#folio(action.index).unlock()
      case 'wait':
        return
      case 'redirty':
        return this.#redirty(action)
      case 'tag':
        return this.mapping.tagPagesForWriteback(action.start, action.end)
      case 'begin':
        this.#passes.set(action.pass, new ReplayPass(this.#backend, action, this.mapping.writebackIndex))
        return
      case 'call':
        return this.#call(this.pass(action.pass), action)
      case 'lookup':
        return this.#lookup(this.pass(action.pass))
      case 'look':
        return this.#look(this.pass(action.pass))
      case 'next':
        return this.#next(action.pass)
    }
  }

  #folio(index: number): Folio {
    const folio = this.find(index)
    if (folio === null) throw new MisplacedOperation(`no folio in the cache has the head index ${index}`)
    return folio
  }

  #initial({ index, order, state }: Of<'folio'>): void {
    const folio = this.mapping.addFolio(index, order)
    if (state.includes('writeback')) this.#start(folio, false)
    if (state.includes('dirty')) folio.markDirty()
  }

  /** folio_start_writeback by the task that holds the lock, which no step shows. */
  #start(folio: Folio, keep: boolean): void {
    const took = folio.tryLock()
    try {
      folio.startWriteback(keep)
    } finally {
      if (took) folio.unlock()
    }
  }

  /**
   * folio_clear_dirty_for_io outside a pass, and folio_cancel_dirty, which does the same to the flag: the
   * surface has neither, but a pass over one page clears the flag and nothing else. It leaves the lock as it
   * was.
   */
  #clearDirtyForIo(folio: Folio): boolean {
    if (!folio.dirty) return false
    const wasLocked = folio.locked
    if (wasLocked) folio.unlock()
    const start = BigInt(folio.index) << PAGE_SHIFT
    const wbc = new this.#backend.WritebackControl({ rangeStart: start, rangeEnd: start })
    const found = this.#backend.writebackIter(this.mapping, wbc, null, { value: 0 })
    if (found !== null && !wasLocked) found.unlock()
    if (found === null && wasLocked) folio.tryLock()
    return found !== null
  }

  /** split_folio: the parts have the flags and the marks of the whole. */
  #split(folio: Folio, order: number): void {
    const { index, dirty } = folio
    const has = (mark: 'dirty' | 'towrite') => !this.mapping.folios(mark, index, index).next().done
    const [markedDirty, markedTowrite] = [has('dirty'), has('towrite')]
    const last = index + folio.nrPages - 1
    if (folio.locked) folio.unlock()
    this.mapping.removeFolio(folio)
    for (let page = index; page <= last; page += 2 ** order) {
      const part = this.mapping.addFolio(page, order)
      if (!markedDirty && !markedTowrite) continue
      part.markDirty()
      if (markedTowrite) this.mapping.tagPagesForWriteback(page, page)
      if (!dirty) this.#clearDirtyForIo(part)
      if (!markedDirty) {
        this.#start(part, true)
        part.endWriteback()
      }
    }
  }

  #redirty({ pass, index }: Of<'redirty'>): string {
    const wbc = pass === '-' ? new this.#backend.WritebackControl() : this.pass(pass).wbc
    return `${bit(this.#folio(index).redirtyForWritepage(wbc))} skipped=${wbc.pagesSkipped}`
  }

  #call(pass: ReplayPass, { error, nr }: Of<'call'>): void {
    if (pass.done) throw new MisplacedOperation('call after the end of the pass, expected a begin first')
    if (pass.nr !== BigInt(nr)) pass.setNr(nr)
    pass.returned = undefined
    // The kernel warns and takes it for an error; a backend refuses it. Its negation takes the same way
    // through the pass.
    pass.positive = error > 0 ? error : pass.positive
    pass.error = error > 0 ? -error : error
  }

  #lookup(pass: ReplayPass): string {
    // The first call tags, too, in the backend; the pass has done that before.
    const hidden = pass.fresh && pass.byTowrite ? this.#untagged(pass).map((folio) => this.#hide(folio)) : []
    pass.fresh = false
    pass.batch = this.#upcoming(pass)
    pass.found = pass.batch.length
    pass.position = this.#behind(pass)
    this.#run(pass, pass.batch[0])
    for (const show of hidden) show()
    const past = pass.endless && pass.position > pass.end ? ULONG_MAX : pass.position
    return `${pass.found} next=${past}`
  }

  /**
   * The folios in the pass's range that have DIRTY and not TOWRITE: they were dirtied after the pass had
   * tagged.
   */
  #untagged({ position, end }: ReplayPass): Folio[] {
    const tagged = new Set(this.mapping.folios('towrite', position, end))
    return [...this.mapping.folios('dirty', position, end)].filter((folio) => !tagged.has(folio))
  }

  /** Takes a folio's DIRTY mark away. The function that it returns gives the folio back what it had. */
  #hide(folio: Folio): () => void {
    const { locked, dirty, writeback } = folio
    if (writeback) folio.endWriteback()
    this.#clearDirtyForIo(folio)
    this.#start(folio, true)
    folio.endWriteback()
    return () => {
      if (writeback) this.#start(folio, true)
      folio.markDirty()
      if (!dirty) this.#clearDirtyForIo(folio)
      if (locked && !folio.locked) folio.tryLock()
    }
  }

  /** What a lookup would find now. */
  #upcoming(pass: ReplayPass): Folio[] {
    const found: Folio[] = []
    if (pass.position > pass.end) return found
    for (const folio of this.mapping.folios(pass.byTowrite ? 'towrite' : 'dirty', pass.position, pass.end)) {
      if (found.push(folio) === FOLIO_BATCH_SIZE) break
    }
    return found
  }

  /**
   * filemap_get_folios_tag() moves its start behind the last folio if the batch is full, else behind the
   * range.
   */
  #behind({ batch, end }: ReplayPass): number {
    const last = batch.at(-1)
    return batch.length === FOLIO_BATCH_SIZE && last !== undefined ? last.index + last.nrPages : end + 1
  }

  #look(pass: ReplayPass): void {
    const [folio, next] = pass.batch
    if (folio === undefined) return
    if (next === undefined && wouldSkip(pass, folio)) {
      // The backend goes on to the next lookup at once: look when its moment has come.
      return
    }
    pass.batch.shift()
    // A folio that was removed cannot be locked, and the backend passes it over.
    const stop = pass.batch.find(({ mapping }) => mapping !== null)
    if (stop === undefined && wouldSkip(pass, folio)) return
    this.#run(pass, stop)
  }

  #next(name: string): string {
    const pass = this.pass(name)
    if (pass.returned === undefined) this.#run(pass, undefined)
    const folio = pass.returned ?? null
    pass.folio = folio
    const end = pass.positive !== null && pass.error === -pass.positive ? pass.positive : pass.error
    const returned = folio === null ? `done ${end}` : `folio ${folio.index} ${folio.order}`
    if (folio === null) {
      pass.done = true
      this.#passes.delete(name)
    }
    return `${returned} nr=${pass.nr} wbindex=${this.mapping.writebackIndex}`
  }

  /** Goes on with the pass's call, up to the folio before which it is to stop. */
  #run(pass: ReplayPass, stopBefore: Folio | undefined): void {
    if (pass.returned !== undefined) return
    const holds = stopBefore !== undefined && stopBefore.mapping !== null && stopBefore.tryLock()
    const error = { value: pass.error }
    try {
      pass.returned = this.#backend.writebackIter(this.mapping, pass.wbc, pass.folio, error)
      pass.error = error.value
    } catch (thrown) {
      if (!(thrown instanceof WritebackError && thrown.code === 'EDEADLK')) throw thrown
    } finally {
      if (holds) stopBefore.unlock()
    }
  }
}

/** Whether writeback_get_folio() passes the folio over as it is now. */
export function wouldSkip(pass: ReplayPass, folio: Folio): boolean {
  return folio.mapping === null || !folio.dirty || (folio.writeback && !pass.syncAll)
}
