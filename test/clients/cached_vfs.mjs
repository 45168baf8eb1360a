import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { FacadeVFS } from '@journeyapps/wa-sqlite/src/FacadeVFS.js'
import * as VFS from '@journeyapps/wa-sqlite/src/VFS.js'
import { CachedFile } from 'writeback-iter/file'

/** Files whose names have to be on the device before SQLite relies on them. */
const JOURNALS = VFS.SQLITE_OPEN_MAIN_JOURNAL | VFS.SQLITE_OPEN_SUPER_JOURNAL | VFS.SQLITE_OPEN_WAL

/** SQLite's files as CachedFiles. Register it with `sqlite3.vfs_register(new CachedVFS(module))`. */
export class CachedVFS extends FacadeVFS {
  /** The open files by SQLite's number of them. */
  #files = new Map()
  #engine

  constructor(module, { name = 'cached', engine } = {}) {
    super(name, module)
    this.#engine = engine
  }

  openFile(path, options) {
    return CachedFile.openSync(path, { ...options, engine: this.#engine })
  }

  jOpen(name, id, flags, outFlags) {
    const path = name === null ? join(tmpdir(), `sqlite-${randomUUID()}`) : resolve(name)
    const access = flags & VFS.SQLITE_OPEN_READONLY ? fs.constants.O_RDONLY : fs.constants.O_RDWR
    const create = flags & VFS.SQLITE_OPEN_CREATE ? fs.constants.O_CREAT : 0
    const exclusive = flags & VFS.SQLITE_OPEN_EXCLUSIVE ? fs.constants.O_EXCL : 0
    return attempt(VFS.SQLITE_CANTOPEN, () => {
      // The lock of the database covers its journals.
      const lock = flags & VFS.SQLITE_OPEN_MAIN_DB ? undefined : false
      const file = this.openFile(path, { flags: access | create | exclusive, lock })
      const temporary = (flags & VFS.SQLITE_OPEN_DELETEONCLOSE) !== 0
      const named = create === 0 || (flags & JOURNALS) === 0
      this.#files.set(id, { file, path, temporary, named })
      outFlags.setInt32(0, flags, true)
    })
  }

  jClose(id) {
    const { file, path, temporary } = this.#files.get(id)
    this.#files.delete(id)
    // SQLite does not need what it did not sync, but writing it back costs little.
    return attempt(VFS.SQLITE_IOERR_CLOSE, () => {
      file.closeSync({ discard: temporary })
      if (temporary) fs.unlinkSync(path)
    })
  }

  jRead(id, into, position) {
    return attempt(VFS.SQLITE_IOERR_READ, () => {
      // wa-sqlite hands over proxies of views of its memory; subarray() is of the view itself.
      const length = this.#files.get(id).file.readSync(into.subarray(), position)
      if (length === into.length) return VFS.SQLITE_OK
      into.fill(0, length)
      return VFS.SQLITE_IOERR_SHORT_READ
    })
  }

  jWrite(id, bytes, position) {
    return attempt(VFS.SQLITE_IOERR_WRITE, () => {
      this.#files.get(id).file.writeSync(bytes.subarray(), position)
    })
  }

  jTruncate(id, length) {
    return attempt(VFS.SQLITE_IOERR_TRUNCATE, () => this.#files.get(id).file.truncateSync(length))
  }

  jSync(id, flags) {
    const open = this.#files.get(id)
    return attempt(VFS.SQLITE_IOERR_FSYNC, () => {
      if (flags & VFS.SQLITE_SYNC_DATAONLY) open.file.fdatasyncSync()
      else open.file.fsyncSync()
      if (!open.named) fsyncFolder(dirname(open.path))
      open.named = true
    })
  }

  jFileSize(id, out) {
    out.setBigInt64(0, BigInt(this.#files.get(id).file.size), true)
    return VFS.SQLITE_OK
  }

  jDelete(name, syncDirectory) {
    return attempt(VFS.SQLITE_IOERR_DELETE, () => {
      if (!fs.existsSync(resolve(name))) return VFS.SQLITE_IOERR_DELETE_NOENT
      fs.unlinkSync(resolve(name))
      // A journal that reappears after a power failure would undo a committed transaction.
      if (syncDirectory) fsyncFolder(dirname(resolve(name)))
    })
  }

  jAccess(name, _flags, out) {
    out.setInt32(0, fs.existsSync(resolve(name)) ? 1 : 0, true)
    return VFS.SQLITE_OK
  }

  // One connection at a time: CachedFile's own lock keeps every other process and engine out of the file.
}

/** SQLite expects a result code, not an exception: that of the method, or one that says more. */
function attempt(code, work) {
  try {
    return work() ?? VFS.SQLITE_OK
  } catch (error) {
    if (error.code === 'EBUSY') return VFS.SQLITE_BUSY
    return error.code === 'ENOSPC' ? VFS.SQLITE_FULL : code
  }
}

function fsyncFolder(path) {
  const fd = fs.openSync(path, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
