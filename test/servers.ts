// SPDX-License-Identifier: GPL-2.0-only
// Servers that tests start, kill and start again.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

/** The environment without a sanitizer that is preloaded into the tests: with it, initdb never ends. */
const { LD_PRELOAD, ...ENVIRONMENT } = process.env

/** The first of these files that is there. */
function findFile(...files: string[]): string | undefined {
  return files.find((file) => fs.existsSync(file))
}

/** A program of PostgreSQL. Debian keeps them out of PATH, a folder per version. */
function postgresProgram(name: string): string | undefined {
  const versions = '/usr/lib/postgresql'
  const folders = fs.existsSync(versions) ? fs.readdirSync(versions).sort().reverse() : []
  return findFile(
    ...folders.map((version) => join(versions, version, 'bin', name)),
    `/usr/bin/${name}`,
    `/usr/local/bin/${name}`,
    `/opt/homebrew/bin/${name}`,
  )
}

const lighttpd = () => findFile('/usr/sbin/lighttpd', '/usr/bin/lighttpd', '/usr/local/sbin/lighttpd')
const webdav = () => findFile('/usr/lib/lighttpd/mod_webdav.so', '/usr/lib64/lighttpd/mod_webdav.so')

/** Which Debian packages are missing for the servers. */
export function missingServers(): string[] {
  const missing: string[] = []
  if (postgresProgram('postgres') === undefined) missing.push('postgresql')
  if (lighttpd() === undefined) missing.push('lighttpd')
  if (webdav() === undefined) missing.push('lighttpd-mod-webdav')
  return missing
}

/** A process that serves from a folder of its own. */
abstract class Server {
  readonly folder: string
  #process: ChildProcess | null = null

  constructor(name: string) {
    this.folder = fs.mkdtempSync(join(tmpdir(), `writeback-iter-${name}-`))
  }

  protected abstract launch(): ChildProcess
  /** Whether the server answers. */
  protected abstract isUp(): Promise<boolean>

  async start(): Promise<void> {
    for (const end = Date.now() + 30_000; ; ) {
      const process = this.launch()
      this.#process = process
      let output = ''
      process.stderr?.on('data', (data) => {
        output += data
      })
      while (process.exitCode === null && process.signalCode === null) {
        if (await this.isUp()) return
        await setTimeout(20)
      }
      // Files left by the killed server may delay the start.
      if (Date.now() > end) throw new Error(`it does not start: ${output}`)
      await setTimeout(50)
    }
  }

  /** Kills the server, as if the machine lost power. */
  async kill(): Promise<void> {
    const process = this.#process
    this.#process = null
    if (process === null) return
    const exit = once(process, 'exit')
    process.kill('SIGKILL')
    await exit
  }

  async stop(): Promise<void> {
    await this.kill()
    fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 50, retryDelay: 20 })
  }
}

export class PostgresServer extends Server {
  /** PostgreSQL refuses to run as root: Debian's package makes a user for it. */
  readonly #user: { uid: number; gid: number } | undefined

  constructor() {
    super('postgres')
    const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
    this.#user = process.getuid?.() === 0 ? { uid: id('-u'), gid: id('-g') } : undefined
    if (this.#user !== undefined) fs.chownSync(this.folder, this.#user.uid, this.#user.gid)
    const args = [
      '-D',
      join(this.folder, 'data'),
      '-U',
      'test',
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--locale=C',
      '-N',
    ]
    const { status, stderr } = spawnSync(postgresProgram('initdb') as string, args, {
      ...this.#user,
      env: ENVIRONMENT,
      cwd: this.folder,
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error(`initdb: ${stderr}`)
  }

  /** For `pg`: over a socket in the folder. */
  get connection(): { host: string; user: string; database: string } {
    return { host: this.folder, user: 'test', database: 'postgres' }
  }

  protected launch(): ChildProcess {
    const args = ['-D', join(this.folder, 'data'), '-k', this.folder, '-c', 'listen_addresses=']
    return spawn(postgresProgram('postgres') as string, args, {
      ...this.#user,
      env: ENVIRONMENT,
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
  }

  protected async isUp(): Promise<boolean> {
    const args = ['-h', this.folder, '-U', 'test', '-d', 'postgres', '-q']
    return spawnSync(postgresProgram('pg_isready') as string, args, { env: ENVIRONMENT }).status === 0
  }
}

/** lighttpd with WebDAV: takes PUT with Content-Range and GET with Range. */
export class HttpServer extends Server {
  #port = 0

  constructor() {
    super('http')
    fs.mkdirSync(join(this.folder, 'files'))
  }

  override async start(): Promise<void> {
    if (this.#port === 0) this.#port = await freePort()
    fs.writeFileSync(
      join(this.folder, 'lighttpd.conf'),
      `server.bind = "127.0.0.1"
       server.port = ${this.#port}
       server.document-root = "${join(this.folder, 'files')}"
       server.upload-dirs = ("${this.folder}")
       server.modules = ("mod_webdav")
       webdav.activate = "enable"
       webdav.opts = ("deprecated-unsafe-partial-put" => "enable")
      `,
    )
    await super.start()
  }

  /** The address of a file. */
  url(name: string): string {
    return `http://127.0.0.1:${this.#port}/${name}`
  }

  protected launch(): ChildProcess {
    const args = ['-D', '-f', join(this.folder, 'lighttpd.conf')]
    return spawn(lighttpd() as string, args, { env: ENVIRONMENT, stdio: ['ignore', 'ignore', 'pipe'] })
  }

  protected async isUp(): Promise<boolean> {
    return fetch(this.url('')).then(
      () => true,
      () => false,
    )
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
