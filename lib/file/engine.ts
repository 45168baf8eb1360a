// SPDX-License-Identifier: GPL-2.0-only
// The interface between CachedFile and an engine. There are two: js/ in TypeScript, for one thread, and
// native/file in C.
//
// Before it calls an engine, CachedFile has
// - checked every argument, and made each view a Uint8Array; position + length is a safe integer. The view
//   may be of a subclass, with methods and properties of its own: an engine uses its memory only
// - refused calls on a closed handle, writes to a read-only one and reads of a write-only one
// - opened the file by node:fs, so that messages, path types and the permission model are node:fs's. The
//   engine owns the descriptor from the call of open() on, whatever that returns. A handle that may write is
//   always O_RDWR beneath, since pages that are written in part are read first; O_TRUNC, O_APPEND, O_SYNC and
//   O_DIRECT are never among the flags.
// - counted the asynchronous calls under way: close() waits for those of its handle, closeSync() refuses
//   while there are any. An engine sees no call of a handle after its close() or release(), and no close()
//   during another call of that handle. Other handles of the file may do anything at any time.
//
// Every call returns a number from 0 or a negative errno, by libuv's numbers, and CachedFile makes the error.
// An error that an engine throws reaches the caller unchanged. `x()` may return a promise; `xSync()` blocks.

/** number >= 0, or a negative errno. */
export type Result = number

export interface EngineOptions {
  /** For messages and inspect only. */
  readonly path: string
  readonly writable: boolean
  /** O_DIRECT: true requires it (-EINVAL if the file system refuses), 'auto' uses it if possible. */
  readonly direct: boolean | 'auto'
  /**
   * flock(2) on the descriptor that the inode keeps: LOCK_EX, LOCK_SH while all handles are read-only
   * (converted on the same descriptor when a writer opens the file), LOCK_NB; -EBUSY if another process, or
   * another cache in this one, has it. flock, not fcntl OFD: it does not interfere with fcntl locks of SQLite
   * and others, and the TypeScript engine can take flock too (flock(1) on an inherited descriptor), so the
   * two engines see each other. true: -ENOTSUP if it cannot be taken; 'auto': opens without it if the system
   * or file system has no such lock.
   */
  readonly lock: boolean | 'auto'
}

/**
 * Bytes and milliseconds; all of them set (CachedFile's configure() has merged and checked: background <=
 * dirty <= memory).
 */
export interface Limits {
  /** Page data and bookkeeping of all files of the process (js engine: of the thread). */
  readonly memory: number
  /** Dirty bytes above which the flusher starts. */
  readonly dirtyBackground: number
  /** Dirty bytes (under writeback counted in) above which a writer is held back. */
  readonly dirty: number
  /** Age in ms at which a dirty page is written even below the limits (dirty_expire_centisecs). */
  readonly dirtyExpire: number
  /** ms between the flusher's searches for old pages (dirty_writeback_centisecs); 0: it never searches. */
  readonly writebackInterval: number
  /** Writes to the device under way at a time. */
  /** If the engine is not to take its own. */
  readonly writers: number | undefined
}

export interface Engine {
  readonly name: 'native' | 'js'
  /**
   * Takes the descriptor; finds the inode by device and number, or makes it. -EBUSY (lock), -EINVAL (no
   * regular file).
   */
  open(fd: number, options: EngineOptions): Promise<EngineFile | Result>
  openSync(fd: number, options: EngineOptions): EngineFile | Result
}

/** One handle: its cursor in the error sequence, and its reference to the inode. */
export interface EngineFile {
  /** Whether it has blocking calls: a device has none. */
  readonly blocking: boolean
  /** A descriptor of the file, open as long as the handle: CachedFile calls fstat(2) on it. -1: a device. */
  readonly fd: number
  /** i_size. */
  readonly size: number
  /** Pages (4 KiB) that differ from the file: dirty, or under writeback. */
  readonly dirtyPages: number
  /** Pages in memory, clean and dirty. */
  readonly cachedPages: number
  readonly stats: CachedFileStats

  /**
   * Bytes read, fewer than asked for only at the end of the file. `into` must not be touched after the call
   * is done.
   */
  read(into: Uint8Array, position: number): Result | Promise<Result>
  readSync(into: Uint8Array, position: number): Result
  /**
   * bytes.length, or an error; it is then undefined which of the bytes are in the cache. The bytes have been
   * copied when the call returns, also where it returns a promise (read-modify-write, throttled). Writes of
   * one thread to one file take effect in the order of their calls, and a read sees every write called before
   * it.
   */
  write(bytes: Uint8Array, position: number): Result | Promise<Result>
  writeSync(bytes: Uint8Array, position: number): Result
  /**
   * vfs_fsync_range (both ends included; end <= MAX_SAFE_INTEGER means to the end of the file); `dataOnly`:
   * fdatasync(2). The error of this write-back, else of the error sequence since this handle's last
   * fsync/close (both advance the cursor).
   */
  fsync(start: number, end: number, dataOnly: boolean): Promise<Result>
  fsyncSync(start: number, end: number, dataOnly: boolean): Result
  /**
   * WB_SYNC_NONE, cyclic, about nrToWrite pages, with a second pass if the first reached the end of the file:
   * 0 only if no page is dirty, or each dirty page is under writeback by another pass. Pages written; an
   * error is returned AND left in the error sequence.
   */
  writeback(nrToWrite: number): Promise<Result>
  writebackSync(nrToWrite: number): Result
  /** ftruncate(2), in cache and file at once; frees memory beyond the end at once. */
  truncate(length: number): Promise<Result>
  truncateSync(length: number): Result
  /** A hole (FALLOC_FL_PUNCH_HOLE, size kept), both ends included; bytes of partial pages are zeroed. */
  deallocate(start: number, end: number): Promise<Result>
  deallocateSync(start: number, end: number): Result
  /**
   * Writes back dirty pages (at every handle's close, without fsync) and reports as fsync does. On an error
   * the handle stays open. `discard`: does not write; if it is the last handle, drops dirty pages; always 0.
   * The last close frees at once, releases the lock and closes the descriptors.
   */
  close(discard: boolean): Promise<Result>
  closeSync(discard: boolean): Result
  /**
   * The handle was collected without close(): drops its reference; dirty pages are written soon, errors go to
   * stderr or a warning.
   */
  release(): void
}

/** Counts of a file's cache since it was opened, for all handles. */
export interface CachedFileStats {
  /** Passes over the mapping. */
  passes: number
  /** Folios written back. */
  foliosWritten: number
  /** Pages of 4 KiB written back: the same number, because the engines' folios are single pages. */
  pagesWritten: number
  /** Writes that the system accepted, short ones included. */
  deviceWrites: number
  /** The bytes of these writes. */
  bytesWritten: number
  /** Reads from the file. */
  deviceReads: number
  /** The bytes of these reads. */
  bytesRead: number
}

/** The stats of a file that has just been opened. */
export const NO_STATS: Readonly<CachedFileStats> = {
  passes: 0,
  foliosWritten: 0,
  pagesWritten: 0,
  deviceWrites: 0,
  bytesWritten: 0,
  deviceReads: 0,
  bytesRead: 0,
}
