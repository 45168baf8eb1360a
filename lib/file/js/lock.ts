// SPDX-License-Identifier: GPL-2.0-only
// flock(2), which node:fs does not have. The lock belongs to the open file description, so flock(1) can take
// it on a descriptor that it inherits, and it stays when flock(1) has ended.

import { spawn, spawnSync } from 'node:child_process'
import { errno } from '../system_error.js'
import type { Wait } from './steps.js'

/** flock(1) exits with 1 if another process has the lock, in util-linux and in busybox. */
const CONFLICT = 1

function outcome(status: number | null): number {
  return status === 0 ? 0 : status === CONFLICT ? errno('EBUSY') : errno('ENOTSUP')
}

/** Once it turned out not to be there, or not to be allowed, it is not tried again. */
let missing = process.platform === 'win32'

function failed(error: NodeJS.ErrnoException): number {
  missing = error.code === 'ENOENT' || error.code === 'ERR_ACCESS_DENIED'
  return errno('ENOTSUP')
}

/**
 * Takes the lock, or changes it from shared to exclusive, without waiting.
 * @returns 0, `-EBUSY` if another process has it, `-ENOTSUP` if there is no flock(1) or it may not be run
 */
export function flock(fd: number, exclusive: boolean): Wait<number> {
  const args = [exclusive ? '-x' : '-s', '-n', '3']
  return {
    sync() {
      if (missing) return errno('ENOTSUP')
      try {
        const { status, error } = spawnSync('flock', args, { stdio: ['ignore', 'ignore', 'ignore', fd] })
        return error === undefined ? outcome(status) : failed(error)
      } catch (error) {
        return failed(error as NodeJS.ErrnoException)
      }
    },
    async() {
      if (missing) return Promise.resolve(errno('ENOTSUP'))
      return new Promise((resolve) => {
        try {
          const child = spawn('flock', args, { stdio: ['ignore', 'ignore', 'ignore', fd] })
          child.once('error', (error) => resolve(failed(error)))
          child.once('exit', (status) => resolve(outcome(status)))
        } catch (error) {
          resolve(failed(error as NodeJS.ErrnoException))
        }
      })
    },
  }
}
