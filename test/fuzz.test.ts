// SPDX-License-Identifier: GPL-2.0-only

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { loadBackend } from '../lib/backend.js'
import { campaign, minimize, programOf } from '../lib/fuzz/campaign.js'
import { type Backends, compare, foreignOf } from '../lib/fuzz/compare.js'
import type { Form } from '../lib/fuzz/operations/form.js'
import { FORMS } from '../lib/fuzz/operations/table.js'
import { Log } from '../lib/fuzz/log.js'
import { formatProgram, ProgramError, parseProgram } from '../lib/fuzz/program_text.js'
import {
  CONTROLS,
  countOperations,
  HAND,
  HANDLES,
  ITERATORS,
  MAPPINGS,
  NULL,
  type Operation,
  operation,
  type Program,
  RESULTS,
  RIGHT,
  withBody,
} from '../lib/fuzz/operation.js'
import { diverges, toTraces } from '../lib/fuzz/trace.js'
import { World } from '../lib/fuzz/world.js'
import { wrongUses } from '../lib/fuzz/wrong_uses.js'
import type { AsyncOptions, AsyncResult, Backend, Folio, WritebackControl } from '../lib/types.js'
import { nativeMissing } from './backends.js'
import { EIO, write } from './helpers.js'

const js = loadBackend('js')
const root = join(__dirname, '..')
const cli = join(root, 'dist/cli/main.js')

beforeAll(() => {
  if (!existsSync(cli)) throw new Error('dist is not built: npm run build:ts')
})

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'writeback-iter-fuzz-'))
})
afterEach(() => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true })
})
afterAll(() => rmSync(folder, { recursive: true }))

function run(...args: string[]) {
  return spawnSync(process.execPath, [cli, 'fuzz', ...args], { encoding: 'utf8', cwd: folder })
}

/** A small program that makes the backends differ. */
async function find(backends: Backends): Promise<Program> {
  const failure = await campaign(backends, { seed: 2, runs: 2000, seconds: 60, operations: 300 }, () => {})
  if (failure === null) throw new Error('no difference was found')
  let smallest = failure.program
  await minimize(
    failure.program,
    async (program) => (await compare(program, backends)) !== null,
    (program) => {
      smallest = program
    },
  )
  return smallest
}

describe('programs', () => {
  test('are determined by seed and run', () => {
    expect(programOf(7, 3, 300)).toEqual(programOf(7, 3, 300))
    expect(programOf(7, 3, 300)).not.toEqual(programOf(8, 3, 300))
    expect(programOf(7, 3, 300)).not.toEqual(programOf(7, 4, 300))
  })

  test('have about the size that was asked for, and every operation is among them', () => {
    const kinds = new Set<string>()
    const count = (program: Program) => {
      for (const { kind, body } of program) {
        kinds.add(kind)
        count(body)
      }
    }
    for (let i = 0; i < 300; i++) {
      const program = programOf(1, i, 300)
      expect(countOperations(program)).toBeGreaterThanOrEqual(300)
      expect(countOperations(program)).toBeLessThan(700)
      count(program)
    }
    expect(kinds.size).toBe(FORMS.length)
  })

  test('are read back from their text', () => {
    for (let i = 0; i < 100; i++) {
      const program = programOf(2, i, 200)
      expect(parseProgram(`# a comment\n\n${formatProgram(program)}`)).toEqual(program)
    }
  })

  test.each([
    ['unlock handle=1\nunlok handle=1\n', 2, 'operation is "unlok", which is unknown'],
    ['unlock\n', 1, '0 arguments, expected unlock handle'],
    ['unlock handle=x\n', 1, 'argument is "handle=x", expected handle= and an integer'],
    ['unlock index=1\n', 1, 'argument is "index=1", expected handle= and an integer'],
    ['close mapping=2\n', 1, 'mapping is 2, expected 0 to 1'],
    ['check\n    check\n', 2, 'wrong indent'],
  ])('%j is none', (text, line, message) => {
    expect(() => parseProgram(text)).toThrow(ProgramError)
    expect(() => parseProgram(text)).toThrow(expect.objectContaining({ line, message }))
  })
})

describe.skipIf(nativeMissing !== null)('native against js', () => {
  const native = nativeMissing === null ? loadBackend('native') : js

  test('random programs', async () => {
    const tally = { operations: 0 }
    for (let i = 0; i < 600; i++) {
      const program = programOf(20, i, 500)
      const difference = await compare(program, [native, js], tally)
      expect(difference, `program ${i} of seed 20`).toBeNull()
    }
    expect(tally.operations).toBeGreaterThan(200_000)
  })

  test('random programs have passes that await, which are settled, aborted and end in every way', async () => {
    const seen: Record<string, number> = {}
    for (let i = 0; i < 100; i++) {
      const program = programOf(22, i, 500)
      if (!program.some(({ kind }) => kind === 'writePagesAsync')) continue
      const world = new World(js, foreignOf(native), true)
      for (const op of program) {
        world.log.clear()
        const before = world.awaiting
        world.run(op)
        if (world.awaiting > 0) await nextTurn()
        if (before > world.awaiting) {
          const [how] =
            /thrown|EBADF|another pass|error=-?\d+/.exec(world.log.differenceTo(new Log(true), 1000)) ?? []
          seen[how ?? 'other'] = (seen[how ?? 'other'] ?? 0) + 1
        }
      }
      await world.drain()
      expect(world.awaiting).toBe(0)
      world.close()
    }
    expect(Object.keys(seen)).toEqual(
      expect.arrayContaining(['error=0', 'error=-5', 'thrown', 'another pass']),
    )
  })

  test("what traces can say of random programs replays on native as js's results", () => {
    let lines = 0
    for (let i = 0; i < 200; i++) {
      for (const trace of toTraces(programOf(21, i, 300), js)) {
        expect(diverges(trace, native), trace).toBe(false)
        lines += trace.split('\n').length
      }
    }
    expect(lines).toBeGreaterThan(40_000)
  })

  test('fast-check, model-based: the model is js', async () => {
    await fc.assert(
      fc.asyncProperty(fc.commands([commands], { maxCommands: 60 }), async (commands) => {
        const worlds = () => ({
          model: new World(js, foreignOf(native), true),
          real: new World(native, foreignOf(js), true),
        })
        await fc.asyncModelRun(worlds, commands)
      }),
      { numRuns: 400 },
    )
  })
})

/** An operation on the model (js) and on the native backend. */
class Command implements fc.AsyncCommand<World, World> {
  readonly #op: Operation

  constructor(op: Operation) {
    this.#op = op
  }

  check(): boolean {
    return true
  }

  async run(model: World, real: World): Promise<void> {
    for (const world of [model, real]) {
      world.log.clear()
      world.run(this.#op)
    }
    if (model.awaiting > 0) await nextTurn()
    for (const world of [model, real]) world.check()
    expect(real.log.differenceTo(model.log, 20)).toBe(model.log.differenceTo(real.log, 20))
  }

  toString(): string {
    return formatProgram([this.#op])
  }
}

/** The values of an argument, by its name. */
const ARGUMENTS: Record<string, fc.Arbitrary<number>> = {
  mapping: fc.oneof({ weight: 7, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(MAPPINGS - 1) }),
  control: fc.nat(CONTROLS - 1),
  iterator: fc.nat(ITERATORS - 1),
  handle: fc.oneof(fc.nat(7), fc.constant(HAND), fc.nat(HANDLES - 1)),
  index: fc.oneof(
    { weight: 12, arbitrary: fc.nat(40) },
    { weight: 2, arbitrary: fc.nat(2 ** 13) },
    { weight: 1, arbitrary: fc.integer({ min: 2 ** 51 - 3, max: 2 ** 51 + 1 }) },
  ),
  order: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(18) }),
  stride: fc.constantFrom(1, 2, 64),
  count: fc.integer({ min: 1, max: 80 }),
  mark: fc.nat(3),
  pageShift: fc.constantFrom(12, 9, 30),
  which: fc.nat(wrongUses.length - 1),
  mode: fc.nat(31),
  nrToWrite: fc.oneof(fc.integer({ min: -1, max: 70 }), fc.constant(Number.MAX_SAFE_INTEGER)),
  field: fc.nat(6),
  folio: fc.oneof(
    { weight: 8, arbitrary: fc.constant(RIGHT) },
    { weight: 1, arbitrary: fc.constant(NULL) },
    { weight: 1, arbitrary: fc.nat(7) },
  ),
  error: fc.constantFrom(0, 0, 0, -EIO, -28, 1),
  hook: fc.nat(4),
  maxPages: fc.constantFrom(1, 2, 8, 256),
  action: fc.nat(3),
  nth: fc.nat(5),
  result: fc.nat(RESULTS.length - 1),
  concurrency: fc.constantFrom(1, 2, 16, 0),
}
/** The arguments that have no entry above: flags, and pages that may be left out. */
const OTHERS: Record<string, fc.Arbitrary<number>> = {
  start: fc.oneof(fc.constant(-1), fc.nat(40)),
  end: fc.oneof(fc.constant(-1), fc.nat(40)),
  value: fc.nat(40),
}
const FLAG = fc.nat(1)

/** Operations of this form; with a body where it takes one. */
function ofForm({ name, parameters, body: hasBody }: Form, body: fc.Arbitrary<Operation[]>) {
  const args = parameters.map((name) => ARGUMENTS[name] ?? OTHERS[name] ?? FLAG)
  return fc
    .tuple(fc.tuple(...args), hasBody === undefined ? fc.constant([]) : body)
    .map(([values, body]) => withBody(operation(name, ...values), body))
}

const { operations } = fc.letrec<{ operations: Operation[] }>((tie) => ({
  operations: fc.array(fc.oneof({ maxDepth: 2 }, ...FORMS.map((form) => ofForm(form, tie('operations')))), {
    maxLength: 5,
  }),
}))

const commands: fc.Arbitrary<fc.AsyncCommand<World, World>> = fc
  .oneof(...FORMS.map((form) => ofForm(form, operations)))
  .map((op) => new Command(op))

describe('a broken backend is found', () => {
  test('that returns the last error of a sync instead of the first', async () => {
    const broken: Backend = {
      ...js,
      writebackIter(mapping, wbc, folio, error, options) {
        // The backend itself sets the errors for wrong uses.
        const last = error?.value
        const next = js.writebackIter(mapping, wbc, folio, error, options)
        if (next === null && error.value !== 0 && last !== 0) error.value = last
        return next
      },
    }
    const program = await find([broken, js])
    expect(countOperations(program)).toBeLessThan(12)
    expect(toTraces(program, js).map((trace) => diverges(trace, broken))).toContain(true)
  })

  test('that tags only the first page', async () => {
    class AddressSpace extends js.AddressSpace {
      override tagPagesForWriteback(start: number, end: number): void {
        super.tagPagesForWriteback(start, end >= 2 ** 51 ? end : Math.min(start, end))
      }
    }
    const broken: Backend = { ...js, AddressSpace }
    const program = await find([broken, js])
    expect(countOperations(program)).toBeLessThan(5)
    expect(toTraces(program, js).map((trace) => diverges(trace, broken))).toContain(true)
    const difference = await compare(program, [broken, js], undefined, true)
    expect(difference?.logs.join()).toMatch(/towrite/)
  })

  test('that throws an error other than a WritebackError', async () => {
    class AddressSpace extends js.AddressSpace {
      override getFolio(index: number) {
        if (index % 8 === 7) throw new TypeError('undefined is not a folio')
        return super.getFolio(index) as ReturnType<Backend['AddressSpace']['prototype']['getFolio']>
      }
    }
    const broken: Backend = { ...js, AddressSpace }
    const difference = await compare(await find([broken, js]), [broken, js], undefined, true)
    expect(difference?.logs[0]).toMatch(/TypeError: undefined/)
  })

  test('that ends writeback of a pass that awaits too early', async () => {
    class AddressSpace extends js.AddressSpace {
      override writePagesAsync(
        wbc: WritebackControl,
        writepage: (folio: Folio) => AsyncResult,
        options?: AsyncOptions,
      ): Promise<number> {
        const endEarly = (folio: Folio) => {
          const written = writepage(folio)
          if (folio.index % 8 === 7 && folio.locked) write(folio)
          return written
        }
        return super.writePagesAsync(wbc, endEarly, options)
      }
    }
    const broken: Backend = { ...js, AddressSpace }
    const program = await find([broken, js])
    expect(countOperations(program)).toBeLessThan(12)
    expect(formatProgram(program)).toContain('writePagesAsync')
  })
})

describe.skipIf(nativeMissing !== null)('the command', () => {
  test('the same seed gives the same programs and outcome', () => {
    const args = ['--seed', '5', '--runs', '100', '--ops', '200', '--json']
    const [first, second] = [run(...args), run(...args)].map(({ stdout }) => JSON.parse(stdout))
    expect(first).toMatchObject({ seed: 5, runs: 100, finding: null, files: null })
    expect(first.operations).toBeGreaterThan(10_000)
    expect(second.operations).toBe(first.operations)
    expect(readdirSync(folder)).toEqual([])
  })

  test('says what it did', () => {
    const { stdout, stderr, status } = run('--seed', '5', '--time', '1')
    expect(stderr).toBe('')
    expect(stdout).toMatch(
      /^seed 5: [\d,]+ programs, [\d,]+ operations on each backend, [\d,]+ a second: no difference\n$/,
    )
    expect(status).toBe(0)
  })

  test('runs a program that was written before', () => {
    const file = join(folder, 'p.fuzz')
    writeFileSync(file, `# a comment\n${formatProgram(programOf(1, 1, 100))}`)
    expect(run(file)).toMatchObject({ stdout: `${file}: no difference\n`, status: 0 })
    writeFileSync(file, 'add mapping=0\n')
    expect(run(file)).toMatchObject({
      stderr: `${file}:1: 1 arguments, expected add mapping handle index order\n`,
      status: 2,
    })
  })

  test.each([
    [['--runs', '0'], 'Expected an integer from 1.'],
    [['--runs', '1e3'], 'Expected an integer from 1.'],
    [['--seed', '4294967296'], 'Expected an integer from 0 to 4294967295.'],
    [['--ops', '100001'], 'Expected an integer from 1 to 100000.'],
    [['no-such-file'], 'ENOENT'],
    [['/dev/zero'], 'ENOTSUP: not a regular file'],
  ])('wrong use: %j', (args, message) => {
    const { stderr, status } = run(...args)
    expect(stderr).toContain(message)
    expect(status).toBe(2)
  })

  /** Runs the command, acts on the process that runs its programs, and waits for the command's end. */
  async function disturb(signal: NodeJS.Signals) {
    const command = spawn(process.execPath, [cli, 'fuzz', '--seed', '9', '--time', '60', '--json'], {
      cwd: folder,
    })
    let stdout = ''
    command.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    const ended = new Promise<number | null>((resolve) => command.on('close', resolve))
    process.kill(await childOf(command), signal)
    return { status: await ended, outcome: JSON.parse(stdout) }
  }

  // With AddressSanitizer, a process takes longer to end than the time after which the command reports a
  // hang.
  test.skipIf('ASAN_OPTIONS' in process.env).each([
    ['crash', 'SIGSEGV'],
    ['hang', 'SIGSTOP'],
  ] as const)('a %s is found, and its program written', async (kind, signal) => {
    const { status, outcome } = await disturb(signal)
    expect(status).toBe(1)
    expect(outcome).toMatchObject({
      seed: 9,
      finding: { kind, run: outcome.runs },
      files: [expect.any(String)],
    })
    // This program did not cause the end of the process, so reducing it removes no operation.
    const text = readFileSync(join(folder, outcome.files[0]), 'utf8')
    expect(parseProgram(text)).toEqual(programOf(9, outcome.runs, 500))
  })

  test('where the native backend does not load, says why', () => {
    cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
    for (const file of ['package.json', 'binding.js']) cpSync(join(root, file), join(folder, file))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    const { stderr, status } = spawnSync(process.execPath, [join(folder, 'dist/cli/main.js'), 'fuzz'], {
      encoding: 'utf8',
    })
    expect(stderr).toMatch(
      /^writeback-iter: ELIBACC: the native backend does not load: No native build was found/,
    )
    expect(status).toBe(2)
  })
})

/** The process id of the command's child, once it has run for a while. */
async function childOf(command: ChildProcess): Promise<number> {
  const file = `/proc/${command.pid}/task/${command.pid}/children`
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 300))
    const [pid] = readFileSync(file, 'utf8').split(' ')
    if (pid !== '') {
      await new Promise((resolve) => setTimeout(resolve, 1000))
      return Number(pid)
    }
  }
}
