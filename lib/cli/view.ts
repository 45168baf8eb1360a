// SPDX-License-Identifier: GPL-2.0-only

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Command, Option } from 'commander'
import { printableLine } from '../input/printable.js'
import type { PageData } from '../view/data.js'
import { viewPage } from '../view/html.js'
import { perfetto } from '../view/perfetto.js'
import { readPageData } from '../view/read.js'
import { CommandError } from './command_error.js'
import { INPUT_ARGUMENT } from './input.js'
import { interruption } from './interrupt.js'
import { backendOption, integer, namedBackends, pickedBackend } from './options.js'

interface Options {
  readonly out?: string
  readonly open?: boolean
  readonly line?: number
  readonly png?: string
  readonly size: readonly [number, number]
  readonly perfetto?: string
  readonly backend?: 'native' | 'js'
}

export function viewCommand(): Command {
  return new Command('view')
    .summary('write an HTML page that steps through a replay')
    .description(
      'Replays a trace or a recording and writes one HTML file that shows it: the pages of the file, each step, each pass. ' +
        'The file needs no network and no server. The page opens where the replay diverges, otherwise at the first ' +
        'finding of check, if there is one.\n\n' +
        'Exit code: 0 done, 2 malformed input or wrong use, 130 interrupted.',
    )
    .argument(
      '<file>',
      INPUT_ARGUMENT.replace(/;.*/, '').replace('traces or recordings', 'a trace or a recording'),
    )
    .option(
      '--out <file>',
      'where to write the page; default: the name of FILE with .html, in the working directory',
    )
    .option('--open', 'open the page in the browser')
    .option('--line <n>', 'open the page at this line of the file', integer(1))
    .option('--png <file>', 'also write a picture of the page, with Chromium')
    .addOption(
      new Option('--size <WxH>', 'of the picture').argParser(pictureSize).default([1400, 900], '1400x900'),
    )
    .option(
      '--perfetto <file>',
      'also write the timeline as Chrome trace JSON, for Perfetto or the Firefox profiler',
    )
    .addOption(backendOption('what the package picks').choices(['native', 'js']))
    .action(async (file: string, options: Options) => {
      const backend = options.backend === undefined ? pickedBackend() : namedBackends(options.backend)[0]
      const data = await readPageData(file, backend, options.line ?? null, interruption())
      const out = options.out ?? `${basename(file).replace(/(?:\.(?:trace|txt))?(?:\.gz)?$/, '')}.html`
      writeBeside(file, out, viewPage(data))
      printFindings(data)
      if (options.perfetto !== undefined) writeBeside(file, options.perfetto, perfetto(data))
      if (options.png !== undefined) picture(out, options.png, options.size)
      if (options.open) openInBrowser(out)
    })
}

function printFindings({ mappings }: PageData): void {
  const count = mappings.reduce((sum, { findings }) => sum + findings.length, 0)
  if (count > 0) console.log(`findings: ${count} (the page has them; check prints them)`)
}

function pictureSize(text: string): readonly [number, number] {
  const size = /^(\d{2,5})x(\d{2,5})$/.exec(text)
  if (size === null) throw new CommandError(`--size is ${text}, expected WIDTHxHEIGHT in pixels`)
  return [Number(size[1]), Number(size[2])]
}

/** Writes a file, but never over the input file. */
export function writeBeside(input: string | null, file: string, text: string, say = true): void {
  const shown = input === null ? null : statSync(input)
  const there = statSync(file, { throwIfNoEntry: false })
  if (there !== undefined && there.dev === shown?.dev && there.ino === shown.ino) {
    throw new CommandError(`${file}: is the input, and would be overwritten`)
  }
  writeFileSync(file, text)
  if (say) console.log(`${printableLine(file)}: ${text.length} bytes`)
}

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'chrome']

/** Takes a picture of the page with headless Chromium, in a temporary profile. */
function picture(page: string, png: string, [width, height]: readonly [number, number]): void {
  const profile = mkdtempSync(join(tmpdir(), 'writeback-iter-view-'))
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--hide-scrollbars',
    '--virtual-time-budget=10000',
    `--user-data-dir=${profile}`,
    `--window-size=${width},${height}`,
    `--screenshot=${resolve(png)}`,
    pathToFileURL(resolve(page)).href,
  ]
  try {
    for (const browser of BROWSERS) {
      const { error, status, stderr } = spawnSync(browser, flags, { encoding: 'utf8', timeout: 60_000 })
      if (error !== undefined && 'code' in error && error.code === 'ENOENT') continue
      if (error !== undefined || status !== 0) {
        throw new CommandError(
          `--png: ${browser} failed: ${error?.message ?? stderr.trim().split('\n').at(-1)}`,
        )
      }
      console.log(`${printableLine(png)}: ${statSync(png).size} bytes`)
      return
    }
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
  throw new CommandError(`--png needs one of ${BROWSERS.join(', ')}: apt-get install chromium`)
}

const OPENERS: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: ['open'],
  win32: ['explorer.exe'],
}

function openInBrowser(page: string): void {
  const [command, ...args] = OPENERS[process.platform] ?? ['xdg-open']
  const child = spawn(command, [...args, resolve(page)], { detached: true, stdio: 'ignore' })
  child.on('error', (error) => {
    console.error(printableLine(`writeback-iter: --open: ${error.message}; open ${page} yourself`))
    process.exitCode = 2
  })
  child.unref()
}
