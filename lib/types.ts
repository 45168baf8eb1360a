// SPDX-License-Identifier: GPL-2.0-only

/**
 * The public surface, which both backends implement exactly. `writeback-iter`, `writeback-iter/native` and
 * `writeback-iter/js` export all of these types.
 *
 * Indices, starts and ends are in pages unless the text says bytes; ranges include both ends. An error number
 * is a negative errno, as in the kernel: -5 is EIO, -28 is ENOSPC.
 *
 * @module types
 */

/**
 * The marks that the tree keeps per folio, by which a pass finds them: the kernel's PAGECACHE_TAG_DIRTY,
 * PAGECACHE_TAG_WRITEBACK and PAGECACHE_TAG_TOWRITE. They are not the folio's flags: see {@link Folio}.
 */
export type Mark = 'dirty' | 'writeback' | 'towrite'

/**
 * The purpose of a pass, enum writeback_sync_modes: `none` is WB_SYNC_NONE (to clean memory: writes some
 * folios, and skips busy ones), `all` is WB_SYNC_ALL (data integrity: waits for busy folios, and writes all).
 */
export type SyncMode = 'none' | 'all'

/**
 * Why an iterator has to wait: other code has the folio's lock (folio_lock), or the folio is under writeback
 * (folio_wait_writeback).
 */
export type WaitReason = 'lock' | 'writeback'

/**
 * Called where the kernel would sleep, since JavaScript's own thread must not. The iterator holds no lock
 * while the hook runs; the hook may release the folio (`folio.unlock()`, `folio.endWriteback()`). If the
 * folio is still held when the hook returns, the call throws `EDEADLK`. If the hook throws, the call throws
 * the same error. In both cases the iteration can be continued.
 */
export type WaitHook = (folio: Folio, reason: WaitReason) => void

/** What to do when a pass has to wait. */
export interface WaitOptions {
  /** Called instead of sleeping; without it, a call that has to wait throws `EDEADLK`. */
  onWait?: WaitHook | undefined
}

/** Options of {@link AddressSpace.writeExtents}. */
export interface ExtentOptions extends WaitOptions {
  /**
   * The most pages of an extent, an integer from 1 to 1024, default 256 (1 MiB at 4 KiB per page). A single
   * folio that is larger is an extent by itself. `EINVAL` for anything else.
   */
  maxPages?: number | undefined
}

/** The part of an `AbortSignal` that a pass uses. */
export interface AbortSignalLike {
  /** Whether it was aborted: then a pass with this signal does not begin. */
  readonly aborted: boolean
  /** What the pass rejects with. */
  readonly reason?: unknown
  /** The pass listens from its call on. */
  addEventListener(type: 'abort', listener: () => void): void
  /** The pass stops listening when its promise settles. */
  removeEventListener(type: 'abort', listener: () => void): void
}

/** Options of {@link AddressSpace.writePagesAsync}. */
export interface AsyncOptions {
  /** The most writes under way at once, a safe integer from 1, default 16. `EINVAL` for anything else. */
  concurrency?: number | undefined
  /**
   * Ends the pass when it is aborted: the pass starts no more writes, awaits those under way, leaves the rest
   * dirty, and rejects with the signal's reason. `EINVAL` for anything but an `AbortSignal`.
   */
  signal?: AbortSignalLike | undefined
}

/** Options of {@link AddressSpace.writeExtentsAsync}. */
export interface AsyncExtentOptions extends AsyncOptions {
  /** As for {@link ExtentOptions.maxPages}. */
  maxPages?: number | undefined
}

/**
 * What the callback of a pass that awaits returns: a promise of 0, nothing or a negative errno, or one of
 * these.
 */
export type AsyncResult = number | void | PromiseLike<number | void>

/** Options of a new {@link AddressSpace}. */
export interface AddressSpaceOptions {
  /**
   * log2 of the page size in bytes (PAGE_SHIFT), an integer from 9 to 30, default 12: 4096 bytes. `EINVAL`
   * for anything else. It converts byte ranges to pages. A byte offset has 63 bits, so the last page index is
   * 2^(63 - pageShift) - 1 if pages are larger than 4096 bytes, else 2^51 - 1.
   */
  pageShift?: number | undefined
}

/**
 * struct folio: one folio of a mapping's page cache, 2^order pages that are locked, dirtied and written as
 * one. There is one `Folio` object per folio as long as it is in the mapping, so `===` compares folios. It is
 * made by {@link AddressSpace.addFolio}.
 *
 * The folio has the flags, the mapping's tree has the marks, and the two may differ on purpose: see the
 * methods. After the folio's removal, its handle still has the folio's properties and refuses every change
 * with `ESTALE`; after `mapping.close()` it refuses with `EBADF`.
 */
export interface Folio {
  /**
   * Index of its first page (folio->index): a multiple of `nrPages`, 0 to 2^51 - 1 at 4096 bytes per page.
   */
  readonly index: number
  /** log2 of the number of pages (folio_order), 0 to 18. */
  readonly order: number
  /** Number of pages, 2^order (folio_nr_pages): 1 to 262,144. */
  readonly nrPages: number
  /** The mapping it belongs to (folio->mapping), closed or not; null once removed. */
  readonly mapping: AddressSpace | null
  /** The lock flag (folio_test_locked). It has no owner: any code that has the folio may release it. */
  readonly locked: boolean
  /** The dirty flag (folio_test_dirty), which need not agree with the DIRTY mark. */
  readonly dirty: boolean
  /** The writeback flag (folio_test_writeback): its data is being written to the device. */
  readonly writeback: boolean
  /**
   * Whether the contents are valid (folio_test_uptodate); true for a new folio; the program may change it.
   * Passes do not use it.
   *
   * Assigning throws `EINVAL` for anything but a boolean, `ESTALE` for a removed folio, `EBADF` in a closed
   * mapping.
   */
  uptodate: boolean
  /**
   * folio_trylock: takes the lock if it is free.
   * @returns false, with nothing done, if it is held
   * @throws `ESTALE` for a removed folio, `EBADF` in a closed mapping
   */
  tryLock(): boolean
  /**
   * folio_unlock: releases the lock, and wakes a `for await` that waits for it.
   * @throws `EINVAL` if the folio is not locked, `ESTALE` for a removed folio, `EBADF` in a closed mapping
   */
  unlock(): void
  /**
   * folio_mark_dirty: sets the dirty flag and the DIRTY mark. Neither the lock nor writeback prevents it: a
   * folio that is dirtied while it is being written is written again by a later pass.
   * @returns false, with nothing done, if the flag was set already
   * @throws `ESTALE` for a removed folio, `EBADF` in a closed mapping
   */
  markDirty(): boolean
  /**
   * folio_start_writeback: sets the writeback flag and the WRITEBACK mark, clears the DIRTY mark unless the
   * folio was dirtied again, and clears TOWRITE unless `keepWrite`.
   * @param keepWrite - folio_start_writeback_keepwrite: only part of the folio is being written, and a pass
   * over TOWRITE has to return for the rest; default false
   * @throws `EINVAL` if the folio is not locked or under writeback already, `ESTALE` for a removed folio,
   * `EBADF` in a closed mapping
   */
  startWriteback(keepWrite?: boolean): void
  /**
   * folio_end_writeback: to be called when the data is on the device, possibly long after the pass. Clears
   * the writeback flag and the WRITEBACK mark, and wakes a `for await` that waits for it. It needs no lock.
   * @throws `EINVAL` if the folio is not under writeback, `ESTALE` for a removed folio, `EBADF` in a closed
   * mapping
   */
  endWriteback(): void
  /**
   * folio_redirty_for_writepage: the folio is not written this time. Adds its pages to `wbc.pagesSkipped`,
   * then `markDirty()`. It stays locked.
   * @returns as `markDirty()`
   * @throws `EINVAL` for anything but a control, `ESTALE` for a removed folio, `EBADF` in a closed mapping
   */
  redirtyForWritepage(wbc: WritebackControl): boolean
}

/**
 * Contiguous folios for one write, all locked and cleared for I/O: a file system gathers them into a bio or
 * an ioend in its loop over writeback_iter. Valid during the callback, and until the promise that the
 * callback returned settles; after that, `folios` is empty.
 */
export interface Extent {
  /** Index of the first page. */
  readonly index: number
  /** Number of pages: 1 to `maxPages`, or that of a single larger folio. */
  readonly nrPages: number
  /** Number of folios. */
  readonly nrFolios: number
  /**
   * The folios, ascending and contiguous. Do not change the array. It is made at the first use of this
   * property, and is empty if the mapping was closed before that.
   */
  readonly folios: readonly Folio[]
}

/**
 * The fields of a new control; those omitted or undefined get the defaults of {@link WritebackControl}.
 */
export type WritebackControlInit = {
  [Field in keyof WritebackControl]?: WritebackControl[Field] | undefined
}

/** The type of that property; `never` if there is none. */
export type PropertyOf<T, Key> = Key extends keyof T ? T[Key] : never
/** `Symbol.dispose`, if TypeScript knows it; else `never`. */
export type DisposeKey = PropertyOf<SymbolConstructor, 'dispose'>

/**
 * The type that `using` requires, if TypeScript knows `Symbol.dispose`: from 5.2 with `esnext.disposable` in
 * `lib`, or with `@types/node`. Otherwise the objects have that method, too, without a type, so that the
 * other types need no `lib`.
 */
export type Disposable = { [Key in DisposeKey]: () => void }

/**
 * struct writeback_control: the parameters of a pass, and its progress. A pass reads the range and the modes
 * once, when it starts; `nrToWrite` and `pagesSkipped` change as it proceeds. An assignment of a wrong value
 * throws `EINVAL` and changes nothing.
 *
 * A control works with either backend, and may serve one pass after another; starting a pass ends an
 * unfinished one.
 */
export interface WritebackControl {
  /**
   * nr_to_write: pages still to write, a safe integer; counted down as folios are handed back, and may become
   * negative (it stops at Number.MIN_SAFE_INTEGER). Default Number.MAX_SAFE_INTEGER: no limit. A pass ignores
   * it before the first folio, and always in `all`.
   */
  nrToWrite: number
  /** pages_skipped: pages that `redirtyForWritepage` declined, a safe integer from 0, default 0. */
  pagesSkipped: number
  /**
   * range_start: the first byte of the range, 0 to 2^63 - 1, default 0; the range includes the whole page of
   * this byte. A number must be a safe integer: another is refused, not rounded. A cyclic pass ignores it.
   */
  rangeStart: number | bigint
  /**
   * range_end: the last byte of the range, included, 0 to 2^63 - 1 (the default: the whole file); otherwise
   * as `rangeStart`.
   */
  rangeEnd: number | bigint
  /** sync_mode: default `none`. */
  syncMode: SyncMode
  /**
   * tagged_writepages: in `none`, too, first tag the dirty folios with TOWRITE and write only those, as `all`
   * always does, so that a pass ends however fast other code dirties more. Default false.
   */
  taggedWritepages: boolean
  /**
   * range_cyclic: start at the mapping's `writebackIndex`, iterate to the end of the file, and store there
   * where the pass stopped: the page after the last folio, or 0 if no folio was left. Default false.
   */
  rangeCyclic: boolean
}

/**
 * writeback_iter as an iterator: one pass over a mapping, as `for (const folio of mapping.writeback(wbc))`.
 * Each folio is returned locked and cleared for I/O. The body writes it: `startWriteback()`, `unlock()`, and
 * `endWriteback()` when the data is on the device.
 *
 * The loop may be left by `break`, `return` or a throw, unlike in the kernel: the rest of the batch is
 * released, and the folio in hand, if locked and not under writeback, is made dirty again and unlocked. A
 * folio whose writeback the body started is left as it is, because the write may be under way. So a
 * synchronous body writes first and calls `startWriteback()` afterwards; an asynchronous one makes the folio
 * dirty if the write fails, and always ends writeback.
 *
 * `for await` waits by promise where the synchronous loop would throw `EDEADLK`.
 *
 * `next()` throws `EDEADLK` if it had to wait (call it again to continue), `EINVAL` if another pass was
 * started on the control in between, and `EBADF` if the mapping was closed.
 */
export interface WritebackIterator extends IterableIterator<Folio>, Disposable {
  /**
   * In: the error (0 or a negative errno) of the folio in hand, set by the body. Out, after the loop: the
   * result of the pass as writeback_iter defines it: in `all` the first error, in `none` the error that ended
   * the pass.
   *
   * Assigning throws `EINVAL` for anything but 0 and integers from -2^31 to -1.
   */
  error: number
  /**
   * Ends the pass, as leaving the loop does: it releases the rest of the batch, which stays dirty. The folio
   * in hand, if locked and not under writeback, is made dirty again and unlocked. A folio whose writeback the
   * body started is left as it is: the body, or the completion of its write, unlocks and ends it, and makes
   * it dirty if the write failed. A second call does nothing.
   */
  return(): IteratorResult<Folio>
  /** The iterator itself. */
  [Symbol.iterator](): WritebackIterator
  /** The same pass for `for await`, which waits by promise for a lock or for writeback. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Folio>
}

/**
 * struct address_space: a file's page cache, from page index to folio. Not shared between threads. It tracks
 * pages; the caller keeps their contents.
 *
 * Wrong arguments throw `EINVAL`, a closed mapping throws `EBADF`; both change nothing.
 */
export interface AddressSpace extends Disposable {
  /**
   * mapping->writeback_index: where a cyclic pass starts. It is a page index, or, after a pass that stopped
   * behind the last page, the last index + 1 (2^51 at 4096 bytes per page). Assigning throws `EINVAL` for
   * anything else, `EBADF` after close.
   */
  writebackIndex: number
  /** mapping->nrpages: number of pages in the cache, dirty or not. */
  readonly nrPages: number
  /** log2 of the page size in bytes (PAGE_SHIFT), 9 to 30. */
  readonly pageShift: number
  /**
   * filemap_add_folio: adds a clean, up-to-date, unlocked folio of 2^order pages.
   * @param index - its first page, a multiple of 2^order, 0 to 2^51 - 1 at 4096 bytes per page (see {@link
   * AddressSpaceOptions.pageShift})
   * @param order - log2 of its pages, 0 to 18, default 0
   * @throws `EEXIST` if a folio covers a page of the range; `EINVAL`, `EBADF`; `ENOMEM`, also on the native
   * backend for 2^30 folios or more
   */
  addFolio(index: number, order?: number): Folio
  /**
   * As `addFolio()` for contiguous folios, all of them or none, as a file system adds them for a large write.
   * It creates no objects; a later lookup does.
   * @param index - the first page of the first folio, a multiple of 2^order, 0 to 2^51 - 1
   * @param count - how many, from 0
   * @param order - log2 of the pages of each, 0 to 18, default 0
   * @throws `EEXIST` if a folio covers a page of the range, `EINVAL`, `EBADF`, `ENOMEM`; nothing has changed
   * then
   */
  addFolios(index: number, count: number, order?: number): void
  /**
   * As `markDirty()` for every folio that overlaps the pages from `start` to `end`, both included.
   * @returns how many folios became dirty: those whose flag was clear
   * @throws `EINVAL`, `EBADF`
   */
  dirtyRange(start: number, end: number): number
  /**
   * filemap_get_folio: the folio that covers this page, or null. It may begin at an earlier page.
   * @throws `EINVAL`, `EBADF`
   */
  getFolio(index: number): Folio | null
  /**
   * filemap_remove_folio, as truncation does: clears its dirty flag and every mark and removes it from the
   * cache. Its data is not written.
   * @throws `EBUSY` while it is locked or under writeback, `ESTALE` if it was removed before, `EINVAL` for a
   * folio of another mapping, `EBADF`
   */
  removeFolio(folio: Folio): void
  /**
   * filemap_get_folios_tag: the folios that have the mark (all without one) and overlap pages `start` to
   * `end`, both included, ascending. Each lookup finds a batch of up to 31; the mapping may change during the
   * iteration, which leaves out removed folios.
   * @param start - a page index, default 0
   * @param end - a page index, default the last
   * @throws `EINVAL`, `EBADF`, which `next()` also throws if the mapping was closed since
   */
  folios(mark?: Mark, start?: number, end?: number): IterableIterator<Folio>
  /**
   * mapping_tagged: whether any folio has the mark.
   * @throws `EINVAL`, `EBADF`
   */
  tagged(mark: Mark): boolean
  /**
   * tag_pages_for_writeback: sets TOWRITE on every folio with DIRTY that overlaps pages `start` to `end`,
   * both included.
   * @throws `EINVAL`, `EBADF`
   */
  tagPagesForWriteback(start: number, end: number): void
  /**
   * writeback_iter as an iterator of JavaScript; the pass starts at the first `next()`.
   * @throws `EINVAL`, `EBADF`
   */
  writeback(wbc: WritebackControl, options?: WaitOptions): WritebackIterator
  /**
   * writeback_iter with one callback per folio, which is passed locked and cleared for I/O. The pass starts,
   * unlocks and ends it.
   *
   * - It returns 0 or nothing: the folio is started, unlocked and ended. The pass leaves a folio alone that
   *   the callback unlocked itself; it unlocks and ends one that the callback started.
   * - It returns a negative errno: the folio is made dirty again and unlocked, and its writeback ended if the
   *   callback started it; the pass continues or ends as writeback_iter does. A folio that the callback
   *   unlocked itself is made dirty, and the callback has to end its writeback.
   * - It throws, or returns anything else (`EINVAL`): the same happens to the folio, the pass ends and throws
   *   the error.
   *
   * @param writepage - called with each folio; its write has to be done when it returns (a promise is
   * refused: `EINVAL`)
   * @returns 0, or the negative errno of the pass: in `all` of its first error, in `none` of the one that
   * ended it
   * @throws `EDEADLK` if it had to wait: the pass ends without a folio in hand, and a later pass writes the
   * rest; `EBADF`, also if the callback closed the mapping; `EINVAL`
   */
  writePages(wbc: WritebackControl, writepage: (folio: Folio) => number | void, options?: WaitOptions): number
  /**
   * writeback_iter with one callback per extent, a run of contiguous folios for one write. The rules of
   * `writePages` apply to each folio of the run; the callback's error applies to all of them.
   *
   * A run ends at a hole, at `maxPages`, where `nrToWrite` runs out, and before a folio that the pass would
   * have to wait for.
   * @param write - called with each extent
   * @returns as `writePages`
   * @throws as `writePages`
   */
  writeExtents(
    wbc: WritebackControl,
    write: (extent: Extent) => number | void,
    options?: ExtentOptions,
  ): number
  /**
   * `writePages` for writes that are promises. The pass starts with the folios of lowest index and calls
   * `writepage` for one after the other, while at most `concurrency` writes are under way. They may end in
   * any order.
   *
   * - `writepage` is called with the folio locked and cleared for I/O, and may copy its contents. When it
   *   returns, the folio is put under writeback and unlocked: from then on it may be dirtied again, and a
   *   later pass writes it again. When the promise settles, writeback ends. Another pass that needs the folio
   *   before that waits.
   * - The promise resolves to 0 or nothing: the folio is written. The pass leaves a folio alone that
   *   `writepage` unlocked or removed itself, as in `writePages`.
   * - It resolves to a negative errno: the folio is dirty again. `all` continues to the end. `none` starts no
   *   more writes. The result is the errno of the failed write that was started first.
   * - It rejects, or resolves to anything else (`EINVAL`), or `writepage` throws: the folio is dirty again.
   *   The pass starts no more writes, awaits those under way, and rejects with the error, the first one if
   *   there are several. The same happens when the signal aborts.
   *
   * If the pass has to wait for a lock or for writeback, it waits by promise. A callback whose promise never
   * settles leaves its folio under writeback.
   *
   * @param writepage - called with each folio, never before `writePagesAsync` returned
   * @returns a promise of 0, or of the negative errno of the pass; it rejects for wrong arguments, too
   * @throws `EBADF`, also if the mapping was closed before the last write ended; `EINVAL`, also if another
   * pass was started on the control before the last write was started
   */
  writePagesAsync(
    wbc: WritebackControl,
    writepage: (folio: Folio) => AsyncResult,
    options?: AsyncOptions,
  ): Promise<number>
  /**
   * `writeExtents` for writes that are promises, one per contiguous run of folios; the rules of
   * `writePagesAsync` apply to each folio of the run. The extent has its folios until its promise settles.
   * @param write - called with each extent, never before `writeExtentsAsync` returned
   * @returns as `writePagesAsync`
   * @throws as `writePagesAsync`
   */
  writeExtentsAsync(
    wbc: WritebackControl,
    write: (extent: Extent) => AsyncResult,
    options?: AsyncExtentOptions,
  ): Promise<number>
  /**
   * Drops the cache, dirty folios included, and releases its memory, as evicting an inode does, without
   * waiting. A second call does nothing. Properties of the mapping and its folios may still be read; every
   * change throws `EBADF`.
   */
  close(): void
}

/**
 * A new, empty mapping.
 * @throws `EINVAL` for wrong options, `ENOMEM`
 */
export type AddressSpaceConstructor = new (options?: AddressSpaceOptions) => AddressSpace
/** The class of a backend's folios, for `instanceof`: only {@link AddressSpace.addFolio} makes one. */
export type FolioClass = abstract new (...args: never[]) => Folio
/**
 * A new control.
 * @throws `EINVAL` that names the field
 */
export type WritebackControlConstructor = new (init?: WritebackControlInit) => WritebackControl

/**
 * writeback_iter, one to one: NULL first, then the folio returned last, with its error in `error.value`,
 * until it returns null; then `error.value` is the result of the pass.
 *
 * As in the kernel, do not leave the loop before it returns null, nor by a throw: the folio in hand would
 * stay locked and without its dirty flag, or under writeback. (An unfinished loop leaks no memory: its batch
 * is released when the control is collected, or starts a new pass.)
 *
 * @param folio - null to start, then the folio returned last
 * @param error - in: 0 or the negative errno of that folio; out: 0, or with null the result of the pass
 * @returns the next folio, locked and cleared for I/O; null at the end
 * @throws `EINVAL` for a folio that is not the one returned last, or a positive error; `EDEADLK` if it had to
 * wait: call again with the same folio to continue; `EBADF`
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
 * `AOP_WRITEPAGE_ACTIVATE`, the wrapper unlocks the folio, and this is no error.
 *
 * A negative errno is the folio's error; the callback then has to dirty and unlock it. If the callback
 * throws, the folio in hand, if still locked and not under writeback, is made dirty again and unlocked.
 *
 * @returns 0 or the negative errno of the pass, as `writePages`
 * @throws as `writePages`
 */
export type WriteCachePages = (
  mapping: AddressSpace,
  wbc: WritebackControl,
  writepage: (folio: Folio, wbc: WritebackControl) => number | void,
  options?: WaitOptions,
) => number

/** What each backend exports. */
export interface Backend {
  /** Which backend this is. */
  readonly backend: 'native' | 'js'
  /** struct address_space; see {@link AddressSpace}. */
  readonly AddressSpace: AddressSpaceConstructor
  /** struct writeback_control; see {@link WritebackControl}. */
  readonly WritebackControl: WritebackControlConstructor
  /** writeback_iter; see {@link WritebackIter}. */
  readonly writebackIter: WritebackIter
  /** write_cache_pages; see {@link WriteCachePages}. */
  readonly writeCachePages: WriteCachePages
  /**
   * 0x80000, returned by a `writeCachePages` callback: the wrapper unlocks the folio, and this is no error.
   */
  readonly AOP_WRITEPAGE_ACTIVATE: number
}
