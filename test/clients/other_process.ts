// SPDX-License-Identifier: GPL-2.0-only

import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Calls a function while another process has these files open on an engine. */
export async function whileOpenElsewhere(
  engine: 'native' | 'js',
  paths: readonly string[],
  act: () => void | Promise<void>,
): Promise<void> {
  const holder = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { CachedFile } from 'writeback-iter/file'
       const files = process.argv.slice(1).map((path) => CachedFile.openSync(path, { engine: '${engine}' }))
       process.stdout.write('open')
       setInterval(() => files, 1000)`,
      ...paths,
    ],
    { cwd: __dirname, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  try {
    await once(holder.stdout, 'data')
    await act()
  } finally {
    holder.kill('SIGKILL')
    await once(holder, 'close')
  }
}
