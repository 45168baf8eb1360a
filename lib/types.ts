// SPDX-License-Identifier: GPL-2.0-only
// The public surface. Both backends implement exactly this.

/** The marks that the tree keeps per folio: the kernel's PAGECACHE_TAG_DIRTY, _WRITEBACK and _TOWRITE. */
export type Mark = 'dirty' | 'writeback' | 'towrite'

/** `none` is WB_SYNC_NONE (write some, skip what is busy); `all` is WB_SYNC_ALL (data integrity: wait and write all). */
export type SyncMode = 'none' | 'all'

/** What an iterator has to wait for: another's lock on the folio, or writeback in flight on it. */
export type WaitReason = 'lock' | 'writeback'

/**
 * Called where the kernel would sleep, since JavaScript's own thread must not. The iterator holds nothing while
 * the hook runs; the hook may release what is waited for (`folio.unlock()`, `folio.endWriteback()`). If it is still
 * held when the hook returns, the call throws `EDEADLK`, and the iteration can be taken up again where it stood.
 */
export type WaitHook = (folio: Folio, reason: WaitReason) => void

export interface WaitOptions {
  /** Called instead of sleeping; without it, having to wait throws `EDEADLK`. */
  onWait?: WaitHook | undefined
}

export interface ExtentOptions extends WaitOptions {
  /** The most pages an extent takes, 1 to 1024 (default 256). A larger single folio is an extent of its own. */
  maxPages?: number | undefined
}

export interface AddressSpaceOptions {
  /** log2 of the page size in bytes, 9 to 30 (default 12: 4096 bytes). Only byte ranges depend on it. */
  pageShift?: number | undefined
}

/**
 * One folio of a mapping's page cache: 2^order pages that are locked, dirtied and written as one. There is one `Folio`
 * object per folio as long as it is in the mapping, so `===` compares folios.
 *
 * Flags live in the folio, marks in the mapping's tree, and they are deliberately not always in step: see the methods.
 * After its removal a handle keeps answering what the folio was and refuses every change with `ESTALE`; after
 * `mapping.close()` it refuses with `EBADF`.
 */
export interface Folio {
  /** Index of the first page: a multiple of `nrPages`, 0 to 2^51 - 1. */
  readonly index: number
  /** log2 of the number of pages, 0 to 18. */
  readonly order: number
  /** Number of pages, 2^order (folio_nr_pages). */
  readonly nrPages: number
  /** The mapping it belongs to; null once removed. */
  readonly mapping: AddressSpace | null
  /** The lock flag (folio_test_locked). */
  readonly locked: boolean
  /** The dirty flag (folio_test_dirty), which need not agree with the DIRTY mark. */
  readonly dirty: boolean
  /** The writeback flag (folio_test_writeback). */
  readonly writeback: boolean
  /** Whether the contents are valid (folio_test_uptodate); true for a new folio, and the owner's to change. */
  uptodate: boolean
  /** Takes the lock if it is free (folio_trylock); false if it is held, by whomever. */
  tryLock(): boolean
  /** Releases the lock (folio_unlock). `EINVAL` if the folio is not locked. */
  unlock(): void
  /**
   * folio_mark_dirty: sets the dirty flag and the DIRTY mark.
   * @returns false, with nothing done, if the flag was set already
   */
  markDirty(): boolean
  /**
   * folio_start_writeback: sets the writeback flag and WRITEBACK mark, clears the DIRTY mark unless the folio was
   * dirtied again, and clears TOWRITE unless `keepWrite`. `EINVAL` if the folio is not locked or already under writeback.
   */
  startWriteback(keepWrite?: boolean): void
  /** folio_end_writeback: clears the writeback flag and mark. `EINVAL` if the folio is not under writeback. */
  endWriteback(): void
  /**
   * folio_redirty_for_writepage: adds the folio's pages to `wbc.pagesSkipped`, then `markDirty()`.
   * @returns as `markDirty()`
   */
  redirtyForWritepage(wbc: WritebackControl): boolean
}

/** A contiguous run of folios, all locked and cleared for I/O, that one write can take. Valid during its callback. */
export interface Extent {
  /** Index of the first page. */
  readonly index: number
  /** Number of pages in the run. */
  readonly nrPages: number
  /** The folios of the run, ascending. */
  readonly folios: readonly Folio[]
}

/** Fields that a new control may be given; the rest get the defaults of {@link WritebackControl}. */
export type WritebackControlInit = Partial<
  Pick<
    WritebackControl,
    'nrToWrite' | 'pagesSkipped' | 'rangeStart' | 'rangeEnd' | 'syncMode' | 'taggedWritepages' | 'rangeCyclic'
  >
>

/**
 * struct writeback_control: what a pass is to do. A pass reads the range and the modes once, when it starts;
 * `nrToWrite` and `pagesSkipped` are live. Every assignment is checked and throws `EINVAL`.
 */
export interface WritebackControl {
  /**
   * Pages still to write, a safe integer; counted down as folios are handed back and may go negative (it stops at
   * Number.MIN_SAFE_INTEGER). Without limit by default: Number.MAX_SAFE_INTEGER. WB_SYNC_ALL ignores it.
   */
  nrToWrite: number
  /** Pages passed over by `redirtyForWritepage`, a safe integer from 0. */
  pagesSkipped: number
  /** First byte of the range, 0 to 2^63 - 1; a number must be a safe integer. Default 0. Ignored when cyclic. */
  rangeStart: number | bigint
  /** Last byte of the range, included, 0 to 2^63 - 1 (the default, the whole file). Ignored when cyclic. */
  rangeEnd: number | bigint
  /** Default `none`. */
  syncMode: SyncMode
  /** Tag the dirty folios with TOWRITE first and write just those, in `none` too (livelock avoidance). Default false. */
  taggedWritepages: boolean
  /** Start at the mapping's `writebackIndex` and remember there where the pass stopped. Default false. */
  rangeCyclic: boolean
}

/**
 * One pass over a mapping, as `for (const folio of mapping.writeback(wbc))`. Each folio comes locked and cleared for I/O.
 * The body writes it: `startWriteback()`, `unlock()`, and `endWriteback()` when the data is down.
 *
 * Leaving the loop by `break`, `return` or a throw is safe, unlike in the kernel: the rest of the batch is released, and
 * the folio in hand, if still locked and not under writeback, is made dirty again and unlocked.
 *
 * `for await` waits by promise where the synchronous loop would throw `EDEADLK`.
 */
export interface WritebackIterator extends IterableIterator<Folio>, Disposable {
  /**
   * In: the error (0 or a negative errno) of the folio in hand, set by the body. Out, once the loop is done: the result
   * of the pass as writeback_iter defines it.
   */
  error: number
  return(): IteratorResult<Folio>
  [Symbol.iterator](): WritebackIterator
  [Symbol.asyncIterator](): AsyncIterableIterator<Folio>
}

/**
 * struct address_space: a file's page cache, from page index to folio. Not shared between threads.
 *
 * Bad arguments throw `EINVAL`, a closed mapping throws `EBADF`; both leave everything as it was.
 */
export interface AddressSpace extends Disposable {
  /** Where a cyclic pass starts: a page index, 0 to 2^51 (2^51 after a pass that stopped behind the last page). */
  writebackIndex: number
  /** Number of pages in the cache. */
  readonly nrPages: number
  /** log2 of the page size in bytes. */
  readonly pageShift: number
  /**
   * filemap_add_folio: adds a clean, up-to-date, unlocked folio of 2^order pages.
   * @param index - its first page, a multiple of 2^order
   * @throws `EEXIST` where any page of the range is covered, `EINVAL`, `ENOMEM`
   */
  addFolio(index: number, order?: number): Folio
  /** filemap_get_folio: the folio that covers this page, or null. */
  getFolio(index: number): Folio | null
  /**
   * filemap_remove_folio, as truncation does: clears its dirty flag and every mark and takes it from the cache.
   * @throws `EBUSY` while it is locked or under writeback
   */
  removeFolio(folio: Folio): void
  /**
   * The folios that bear the mark (all without one) and overlap pages `start` to `end`, both included, ascending.
   * Looked up by batches of 31 as the iteration goes; the mapping may change meanwhile, removed folios are left out.
   */
  folios(mark?: Mark, start?: number, end?: number): IterableIterator<Folio>
  /** mapping_tagged: whether any folio bears the mark. */
  tagged(mark: Mark): boolean
  /** tag_pages_for_writeback: sets TOWRITE on every folio with DIRTY that overlaps `start` to `end`, both included. */
  tagPagesForWriteback(start: number, end: number): void
  /** A pass as an iterator; it starts at the first `next()`. */
  writeback(wbc: WritebackControl, options?: WaitOptions): WritebackIterator
  /**
   * A pass with one callback a folio. The folio comes locked and cleared for I/O.
   *
   * - It returns 0 or nothing: the folio is started, unlocked and ended. A folio that the callback unlocked itself is the
   *   callback's own business from then on and is left alone; one that it started is unlocked and ended.
   * - It returns a negative errno: the folio is made dirty again and unlocked; the pass goes on or ends as
   *   writeback_iter does.
   * - It throws, or returns anything else (`EINVAL`): the folio is made dirty again and unlocked, the pass ends and the
   *   error goes on to the caller.
   *
   * @returns 0 or the negative errno of the pass
   * @throws `EDEADLK` if it had to wait: the pass ends, nothing is in hand, a later pass writes the rest
   */
  writePages(wbc: WritebackControl, writepage: (folio: Folio) => number | void, options?: WaitOptions): number
  /**
   * A pass with one callback a contiguous run of folios; the rules of `writePages` hold for every folio of the run.
   * A run ends at a hole, at `maxPages`, where `nrToWrite` runs out, and before a folio that would have to be waited for.
   */
  writeExtents(
    wbc: WritebackControl,
    write: (extent: Extent) => number | void,
    options?: ExtentOptions,
  ): number
  /** Drops the cache, dirty folios included, and releases its memory. A second call does nothing. */
  close(): void
}

export type AddressSpaceConstructor = new (options?: AddressSpaceOptions) => AddressSpace
export type WritebackControlConstructor = new (init?: WritebackControlInit) => WritebackControl

/**
 * writeback_iter, one to one: NULL first, then the folio returned last, with its error in `error.value`, until it returns
 * null; then `error.value` is the result of the pass.
 *
 * As in the kernel, do not leave the loop before it returned null: the folio in hand would stay locked. (A loop that is
 * never finished leaks nothing for good: its batch goes when the control does, or starts a new pass.)
 *
 * @throws `EINVAL` for a folio that is not the one returned last, or a positive error; `EDEADLK` if it had to wait: call
 * again with the same folio to go on where it stood
 */
export type WritebackIter = (
  mapping: AddressSpace,
  wbc: WritebackControl,
  folio: Folio | null,
  error: { value: number },
  options?: WaitOptions,
) => Folio | null

/**
 * write_cache_pages, the legacy wrapper: the callback starts and unlocks the folio itself. If it returns
 * `AOP_WRITEPAGE_ACTIVATE`, the folio is unlocked for it, which counts as no error.
 *
 * If the callback throws, the folio in hand, if still locked and not under writeback, is made dirty again and unlocked.
 */
export type WriteCachePages = (
  mapping: AddressSpace,
  wbc: WritebackControl,
  writepage: (folio: Folio, wbc: WritebackControl) => number | void,
  options?: WaitOptions,
) => number

/** What each backend exports. */
export interface Backend {
  readonly backend: 'native' | 'js'
  readonly AddressSpace: AddressSpaceConstructor
  readonly WritebackControl: WritebackControlConstructor
  readonly writebackIter: WritebackIter
  readonly writeCachePages: WriteCachePages
  /** Returned by a `writeCachePages` callback: "unlock it yourself"; no error. */
  readonly AOP_WRITEPAGE_ACTIVATE: number
}
