// SPDX-License-Identifier: GPL-2.0-only
// The README and the pages of docs/ are correct: every sample in them is run. The language of a fenced block
// says what it is:
//
// - ts, js: a program, or more of the one before if it imports nothing. Type-checked (ts) and run against the
//   built package on both backends; a text block right behind it is what it prints. If it writes, it is run
//   again with a write that fails, and one that is cut short: no page may be lost, no folio left locked or
//   under writeback, no rejection unhandled.
// - js NAME: a module that programs of the page import.
// - console: commands after "$ ", each with what it prints. Help is compared to the letter, the rest but for
//   its figures.
// - sh: commands that are there: npm scripts, and the package's own with their options.
// - trace NAME, fuzz NAME, iolog NAME: a file that commands of the page take.
// - bash: a recipe, with the files in mjs and json blocks before it: test/package runs them.
// - c, mermaid, and text elsewhere: just shown.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CachedFile } from '../lib/file/index.js'
import * as js from '../lib/js/index.js'
import { backends, nativeMissing } from './backends.js'
import { checks } from './checks.mjs'
import { type Block, blocks, type Program, programs } from './samples.js'

const root = join(__dirname, '..')
const main = join(root, 'dist/cli/main.js')
const pages = [
  'README.md',
  ...fs.readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? `docs/${name}` : [])),
]
const SHOWN = ['bash', 'c', 'json', 'mermaid', 'mjs', 'text']

interface Command {
  readonly command: string
  readonly output: string
}

function commands({ text }: Block): Command[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf('\n')
      return { command: part.slice(0, end), output: part.slice(end + 1) }
    })
}

let folder: string
beforeAll(() => {
  if (!fs.existsSync(main)) throw new Error('dist is not built: npm run build:ts')
  folder = fs.mkdtempSync(join(tmpdir(), 'writeback-iter-docs-'))
  fs.mkdirSync(join(folder, 'node_modules'))
  fs.symlinkSync(root, join(folder, 'node_modules/writeback-iter'))
  for (const scope of ['@types', '@journeyapps']) {
    fs.symlinkSync(join(root, 'node_modules', scope), join(folder, 'node_modules', scope))
  }
  fs.symlinkSync(join(root, 'test'), join(folder, 'test'))
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

/** The extension of the file that a program is written to. */
function extension({ language, text }: Program): string {
  if (language === 'ts') return 'mts'
  return /^import /m.test(text) ? 'mjs' : 'cjs'
}

/** Runs a command of the package without the variables of the caller's environment that affect it. */
function run(args: string[], env: NodeJS.ProcessEnv = {}, cwd = folder) {
  const { FORCE_COLOR, CLICOLOR_FORCE, WRITEBACK_ITER_BACKEND, ...rest } = process.env
  return spawnSync(process.execPath, args, { cwd, encoding: 'utf8', env: { ...rest, ...env } })
}

test('every block is of a language that is checked here', () => {
  for (const page of pages) {
    for (const { language, line } of blocks(page)) {
      expect(
        ['', 'ts', 'js', 'console', 'sh', 'trace', 'fuzz', 'iolog', ...SHOWN],
        `${page}:${line}`,
      ).toContain(language)
    }
  }
})

describe('programs', () => {
  const all = pages.flatMap(programs)
  const fileOf = (program: Program) =>
    `${program.page.replaceAll(/\W/g, '_')}_${program.line}.${extension(program)}`
  const compiled = (program: Program) => fileOf(program).replace(/\.mts$/, '.mjs')

  beforeAll(() => {
    for (const program of all) fs.writeFileSync(join(folder, fileOf(program)), program.text)
    for (const { language, name, text } of pages.flatMap(blocks)) {
      if (language === 'js' && name !== '') fs.writeFileSync(join(folder, name), text)
    }
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      types: ['node'],
      strict: true,
      skipDefaultLibCheck: true,
    }
    const files = all.map(fileOf).filter((file) => file.endsWith('.mts'))
    fs.writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout, status } = run([tsc, '-p', folder])
    expect({ stdout, status }).toEqual({ stdout: '', status: 0 })
  })

  test('there are some in the README and in the pages', () => {
    expect(new Set(all.map(({ page }) => page)).size).toBeGreaterThan(3)
  })

  describe.each(backends.map(({ backend }) => backend))('%s', (backend) => {
    /** Runs the program with a write that goes wrong: the n-th, from 1; 0 for none. */
    function runFailing(program: Program, n: number, kind: string) {
      const report = join(folder, 'report.json')
      const result = run(['--require', join(root, 'test/failing_write.cjs'), compiled(program)], {
        WRITEBACK_ITER_BACKEND: backend,
        FAILING_WRITE: String(n),
        FAILING_WRITE_KIND: kind,
        FAILING_WRITE_REPORT: report,
      })
      const { writes, wrong } = JSON.parse(fs.readFileSync(report, 'utf8'))
      fs.rmSync(report)
      return { ...result, writes: writes as number, wrong: wrong as string[] }
    }

    /** The pages that have programs that write. */
    const written = new Set<string>()

    test.each(all.map((program) => [`${program.page}:${program.line}`, program] as const))(
      '%s',
      (_, program) => {
        const { stdout, stderr, status, writes, wrong } = runFailing(program, 0, '')
        expect({ stderr, status, wrong }).toEqual({ stderr: '', status: 0, wrong: [] })
        if (program.output !== null) expect(stdout).toBe(program.output)
        if (writes === 0) return
        written.add(program.page)

        const middle = Math.ceil(writes / 2)
        for (const [n, kind] of [[middle, 'EIO'] as const, [writes, 'short'] as const]) {
          const { stderr, status, wrong } = runFailing(program, n, kind)
          expect({ kind, status, stderr, wrong }).toEqual({
            kind,
            // The program continues, or ends with an error that says what happened.
            status: expect.toBeOneOf([0, 1]),
            stderr:
              status === 0
                ? expect.any(String)
                : expect.stringMatching(/EIO: i\/o error|short write|disk I\/O error/),
            wrong: [],
          })
        }
      },
    )

    test('programs of these pages write', () => {
      const pages = ['README.md', 'docs/choosing.md', 'docs/errors.md', 'docs/pass.md', 'docs/stopping.md']
      // The native engine does not write by node:fs.
      if (backend === 'js') pages.push('docs/sqlite.md')
      expect([...written].sort()).toEqual(pages.sort())
    })
  })
})

/** Compares texts without their figures and without the machine on which those were measured. */
function shape(text: string): string {
  return text
    .replace(/^Node\.js v.*$/m, 'Node.js')
    .replace(/^bounded by .*$/m, 'bounded by')
    .replaceAll(/\d[\d,.]*/g, '#')
    .replaceAll(/ +/g, ' ')
}

const needsNative = (command: string) => / (?:fuzz|bench|run|replay .*both)\b(?!.*--help)/.test(command)

describe('commands', () => {
  const screens = pages.flatMap((page) =>
    blocks(page)
      .filter(({ language }) => language === 'console')
      .flatMap(commands)
      .map((command) => [page, command.command, command] as const),
  )

  beforeAll(() => {
    for (const page of pages) {
      for (const { language, name, text } of blocks(page)) {
        if (['trace', 'fuzz', 'iolog'].includes(language)) fs.writeFileSync(join(folder, name), text)
      }
    }
  })

  test.each(screens)('%s: $ %s', (_, command, { output }) => {
    if (nativeMissing !== null && needsNative(command)) return
    const [name, ...args] = command.split(' ')
    expect(name).toBe('writeback-iter')
    const { stdout, stderr } = run([main, ...args])
    const printed = stdout + stderr
    if (args.includes('--help')) expect(printed).toBe(output)
    else expect(shape(printed)).toBe(shape(output))
  })

  test('of every command there is a help screen', () => {
    const { stdout } = run([main, '--help'])
    const names = Array.from(stdout.matchAll(/^ {2}(\w+) (?:\[|<)/gm), ([, name]) => name)
    expect(names).toContain('run')
    for (const name of names.filter((name) => name !== 'help')) {
      expect(screens.map(([, command]) => command)).toContain(`writeback-iter ${name} --help`)
    }
  })
})

describe('shell commands', () => {
  const { scripts } = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8'))
  const lines = pages.flatMap((page) =>
    blocks(page)
      .filter(({ language }) => language === 'sh')
      .flatMap(({ text }) => text.trimEnd().split('\n'))
      .map((line) => [page, line.replace(/ +# .*/, '')] as const),
  )

  test.each(lines)('%s: %s', (_, line) => {
    for (const command of line.split(' && ')) {
      const [name, ...args] = command.replace(/^[A-Z_]+=\S+ /, '').split(' ')
      const words = name === 'npx' ? args : [name, ...args]
      if (words[0] === 'npm') expectNpm(words.slice(1), scripts)
      else if (words[0] === 'writeback-iter') expectOptions(words.slice(1))
      else expect(['node', 'gdb']).toContain(words[0])
    }
  })
})

function expectNpm([command, name, ...rest]: string[], scripts: Record<string, string>): void {
  // `npm explore writeback-iter -- npm run …` runs a script of the package, too.
  if (command === 'explore') expectNpm(rest.slice(2), scripts)
  else if (command === 'run') expect(Object.keys(scripts)).toContain(name)
  else if (command === 'test' || command === 'start') expect(scripts).toHaveProperty(command)
  else expect(['ci', 'install', 'rebuild']).toContain(command)
}

/** The command has these options. */
function expectOptions([command, ...args]: string[]): void {
  const { stdout, status } = run([main, command, '--help'])
  expect(status).toBe(0)
  for (const option of args.filter((arg) => arg.startsWith('--'))) expect(stdout).toContain(` ${option}`)
}

/** The published pages use this address for links to files that the package does not have. */
const REPOSITORY = 'https://github.com/writeback-iter/writeback-iter/blob/main/'

/** Every document: also those that are no page of the package. */
const documents = [
  ...pages,
  ...['bench', 'native', 'test'].flatMap((folder) =>
    (fs.readdirSync(join(root, folder), { recursive: true }) as string[])
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  ),
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
]

/** The files of this project that a document links to, with their anchors. */
function links(page: string): { target: string; file: string; anchor: string | undefined }[] {
  const found = []
  for (const [, target] of fs.readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)]+)\)/g)) {
    const ours = target.startsWith(REPOSITORY)
    if (/^https?:/.test(target) && !ours) continue
    const [path, anchor] = target.replace(REPOSITORY, '').split('#')
    found.push({ target, file: ours ? path : path === '' ? page : join(dirname(page), path), anchor })
  }
  return found
}

test.each(documents)('what %s links to is there', (page) => {
  for (const { target, file, anchor } of links(page)) {
    expect(fs.existsSync(join(root, file)), `${page}: ${target}`).toBe(true)
    if (anchor === undefined) continue
    const headings = Array.from(
      fs.readFileSync(join(root, file), 'utf8').matchAll(/^#+ (.*)$/gm),
      ([, heading]) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
    )
    expect(headings, `${page}: ${target}`).toContain(anchor)
  }
})

test('at most two links lead from README.md to the answer of each of twenty questions', () => {
  const near = new Set(['README.md'])
  for (let link = 1; link <= 2; link++) {
    for (const page of [...near].filter((file) => file.endsWith('.md'))) {
      for (const { file } of links(page)) near.add(file)
    }
  }
  const rows = fs.readFileSync(join(root, 'test/docs_questions.md'), 'utf8').match(/^\| .*\? \|.*$/gm) ?? []
  expect(rows.length).toBe(20)
  for (const row of rows) expect(row).toMatch(/\]\(/)
  const answers = links('test/docs_questions.md')
  expect(answers.length).toBeGreaterThanOrEqual(20)
  for (const { file } of answers) expect([...near]).toContain(file)
})

test('the names in the table for kernel engineers are there', () => {
  const classes: Record<string, { prototype: object }> = {
    AddressSpace: js.AddressSpace,
    Folio: js.Folio,
    WritebackControl: js.WritebackControl,
    CachedFile,
  }
  const table = fs.readFileSync(join(root, 'docs/kernel.md'), 'utf8').match(/^\| `.*$/gm) ?? []
  const names = table.flatMap((row) =>
    Array.from(row.split('|')[2].matchAll(/`([\w.]+)/g), ([, name]) => name),
  )
  expect(names.length).toBeGreaterThan(40)
  for (const name of names) {
    const [owner, member] = name.split('.')
    if (member !== undefined && owner in classes) expect(member in classes[owner].prototype, name).toBe(true)
    else expect({ ...js, ...classes }, name).toHaveProperty(owner)
  }
})

test('every exported name is documented, and every link in the documentation leads somewhere', () => {
  const typedoc = join(root, 'node_modules/typedoc/bin/typedoc')
  const options = ['--options', join(root, 'docs/typedoc.json'), '--out', join(folder, 'api')]
  // As `npm run docs` does: the types that TypeScript finds depend on the folder that it runs in.
  const { stdout, stderr, status } = run([typedoc, ...options], {}, root)
  expect({ output: stdout + stderr, status }).toMatchObject({ status: 0 })
  // The navigation has every page, and its index names each.
  const inDocs = pages.filter((page) => page.startsWith('docs/')).map((page) => page.replace('docs/', ''))
  const titles = inDocs.map((page) =>
    fs
      .readFileSync(join(root, 'docs', page), 'utf8')
      .split('\n')[0]
      .slice(2),
  )
  const files = titles.map((title) => `${title.replaceAll(/[^\w,-]/g, '_')}.html`)
  expect(fs.readdirSync(join(folder, 'api/documents')).sort()).toEqual(files.sort())
  const index = fs.readFileSync(join(root, 'docs/README.md'), 'utf8')
  for (const page of inDocs.filter((page) => page !== 'README.md')) expect(index).toContain(`](${page})`)
})

// Line numbers change with every change to the file.
test('no page names a line of a source file', () => {
  for (const page of [...pages, 'CONTRIBUTING.md', 'native/README.md', 'SECURITY.md']) {
    expect(fs.readFileSync(join(root, page), 'utf8'), page).not.toMatch(/\.(?:c|h|cc|ts|mjs):\d/)
  }
})

describe('scripts and checks', () => {
  const { scripts } = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8'))
  const check = (...args: string[]) => run([join(root, 'test/checks.mjs'), ...args])

  test('CONTRIBUTING.md tells what each npm script does, and test/README.md what each check proves', () => {
    const text = fs.readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')
    for (const name of Object.keys(scripts)) {
      // npm runs these by itself.
      if (['prepare', 'pretest', 'prepublishOnly', 'prepack', 'postpack'].includes(name)) continue
      const command = name === 'test' || name === 'start' ? `npm ${name}` : `npm run ${name}`
      expect(text, name).toContain(command)
    }
    const proofs = fs.readFileSync(join(root, 'test/README.md'), 'utf8') + benchmarks()
    for (const name of Object.keys(checks)) expect(proofs).toMatch(new RegExp(`npm run check -- ${name}\\b`))
  })

  /** The benchmarks: a benchmark proves nothing, and has a page of its own. */
  const benchmarks = () => fs.readFileSync(join(root, 'bench/README.md'), 'utf8')

  test('every script and check that a file names is there', () => {
    const folders = ['.ci', '.github', 'bench', 'docs', 'lib', 'native', 'test']
    const files = [
      ...folders.flatMap((folder) =>
        (fs.readdirSync(join(root, folder), { recursive: true }) as string[]).map((name) =>
          join(folder, name),
        ),
      ),
      ...fs.readdirSync(root),
    ].filter((name) => /\.(?:c|cc|h|json|md|mjs|ts|txt|yml)$|^\.ci/.test(name))
    const named = { script: new Set<string>(), check: new Set<string>() }
    for (const file of files) {
      if (!fs.statSync(join(root, file)).isFile()) continue
      const text = fs.readFileSync(join(root, file), 'utf8')
      const uses = [
        ...text.matchAll(/npm run (?:--silent )?([a-z][\w:-]*)(?: -- ([a-z][\w-]*))?/g),
        ...(file === '.ci/run' ? text.matchAll(/^ *stage ([a-z][\w:-]*)(?: ([a-z][\w-]*))?/gm) : []),
      ]
      for (const [, script, argument] of uses) {
        expect(scripts, file).toHaveProperty([script])
        named.script.add(script)
        if (script !== 'check' || argument === undefined) continue
        expect(checks, file).toHaveProperty([argument])
        named.check.add(argument)
      }
    }
    expect([...named.check].sort()).toEqual(Object.keys(checks).sort())
    expect(named.script.size).toBeGreaterThan(5)
  })

  test('npm run check lists the checks, whose programs are there', () => {
    const { status, stdout } = check()
    expect(status).toBe(0)
    for (const [name, { does, command }] of Object.entries(checks)) {
      expect(stdout).toContain(`\n  ${name} `)
      expect(stdout).toContain(does)
      if (command[0] === 'node') expect(fs.existsSync(join(root, command[1])), name).toBe(true)
    }
  })

  test('a name that no check has is an error that names it, with exit code 2', () => {
    for (const name of ['asan2', 'constructor', '']) {
      const { status, stdout, stderr } = check(name)
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
      expect(stderr).toContain(`no check has the name ${JSON.stringify(name)}; there are: asan, `)
    }
  })

  test('arguments and the exit code are the check’s', () => {
    const { status, stderr } = check('fuzz-core', '0')
    expect(status).toBe(2)
    expect(stderr).toContain('usage: npm run check -- fuzz-core')
  })
})
