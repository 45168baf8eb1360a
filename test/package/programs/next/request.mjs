// SPDX-License-Identifier: GPL-2.0-only
// Starts the standalone server of a folder, prints what its route answers, and stops it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'

const free = createServer().listen(0, '127.0.0.1')
await once(free, 'listening')
const { port } = free.address()
free.close()

const env = { ...process.env, PORT: String(port), HOSTNAME: '127.0.0.1' }
const server = spawn(process.execPath, [join(process.argv[2], 'server.js')], {
  env,
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  for await (const text of server.stdout.setEncoding('utf8')) if (text.includes('Ready')) break
  const response = await fetch(`http://127.0.0.1:${port}/api`)
  console.log(await response.text())
} finally {
  server.kill()
}
