// SPDX-License-Identifier: GPL-2.0-only
// Executes the steps of a format 2 trace on a backend, through its public surface alone.
//
// The kernel's writeback_iter() tags, looks up a batch, and looks at each folio of the batch at separate
// moments. A backend does all of that in one call. The replayer splits the call. Before the call it locks the
// next folio that the pass must not look at yet, so that the call throws EDEADLK at that folio. At the next
// moment the replayer repeats the call, which continues. Nothing but these calls sees these locks.

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
  /** Added to the backend's nr_to_write: a control's limit is 2^53 - 1, the kernel's 2^63 - 1. */
  nrOffset = 0n
  /** The folio returned last, which the next call hands back. */
  folio: Folio | null = null
  /** What the next call hands in. */
  error = 0
  /**
   * The positive error that the caller handed in, which a backend refuses; the replay hands in its negation.
   */
  positive: number | null = null
  /** Folios that the last lookup found and the pass has not looked at, the next one first. */
  batch: Folio[] = []
  /** The number of folios that the last lookup found. */
  found = 0
  /** Where the next lookup begins. */
  position: number
  readonly end: number
  /** Whether the range ends at ULONG_MAX, and so has no end. */
  readonly endless: boolean
  /** Whether the first call has yet to do its lookup. */
  fresh = true
  /** What the running call returned; undefined until it returns. */
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

/** A page cache that steps drive. */
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
   * @returns the result as in a line of the trace, or an empty string; an error of the backend is a result,
   * too
   * @throws {@link MisplacedOperation}, before the step has changed anything
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

  /** folio_start_writeback by the task that holds the lock. No step shows that lock. */
  #start(folio: Folio, keep: boolean): void {
    const took = folio.tryLock()
    try {
      folio.startWriteback(keep)
    } finally {
      if (took) folio.unlock()
    }
  }

  /**
   * folio_clear_dirty_for_io outside a pass, and folio_cancel_dirty, which does the same to the flag. The
   * public surface has neither. A pass over one page clears the flag and changes nothing else. This function
   * preserves the lock.
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
    // The kernel warns and treats the number as an error. A backend refuses it. Its negation has the same
    // effect on the pass.
    pass.positive = error > 0 ? error : pass.positive
    pass.error = error > 0 ? -error : error
  }

  #lookup(pass: ReplayPass): string {
    // In the backend, the first call also tags. The pass has tagged before.
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
   * The folios in the pass's range that have DIRTY and not TOWRITE, because they were dirtied after the pass
   * had tagged.
   */
  #untagged({ position, end }: ReplayPass): Folio[] {
    const tagged = new Set(this.mapping.folios('towrite', position, end))
    return [...this.mapping.folios('dirty', position, end)].filter((folio) => !tagged.has(folio))
  }

  /** Clears a folio's DIRTY mark. The returned function restores what the folio had. */
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
   * Where the next lookup begins. filemap_get_folios_tag() moves its start after the last folio if the batch
   * is full, else after the range.
   */
  #behind({ batch, end }: ReplayPass): number {
    const last = batch.at(-1)
    return batch.length === FOLIO_BATCH_SIZE && last !== undefined ? last.index + last.nrPages : end + 1
  }

  #look(pass: ReplayPass): void {
    const [folio, next] = pass.batch
    if (folio === undefined) return
    if (next === undefined && wouldSkip(pass, folio)) {
      // After this folio, the backend does the next lookup at once. Delay the look until the moment of that
      // lookup.
      return
    }
    pass.batch.shift()
    // A removed folio cannot be locked. The backend skips it.
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

  /** Continues the pass's call, up to the folio before which the call must stop. */
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

/** Whether writeback_get_folio() skips the folio in its present state. */
export function wouldSkip(pass: ReplayPass, folio: Folio): boolean {
  return folio.mapping === null || !folio.dirty || (folio.writeback && !pass.syncAll)
}
