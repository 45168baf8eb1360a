// SPDX-License-Identifier: GPL-2.0-only
// Measures sides in turn: every side once, then every side once more. What else the machine does meanwhile
// meets all of them, and so does its clock.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Bench } from 'tinybench'
import { run } from './build.mjs'

const SIDE = fileURLToPath(new URL('side.mjs', import.meta.url))
/** A cache of 10,000,000 folios of objects is more than V8 takes by default. */
const NODE_FLAGS = ['--expose-gc', '--max-old-space-size=12288']

/**
 * A side: its operations are measured one at a time, by ask().
 * @typedef {{ ask: (operation: string, repeat: number) => Promise<number>, close: () => void }} Side
 */

/**
 * A side in a process of its own.
 * @param {string} module - of sides/
 * @param {string} name
 * @param {object} shape
 * @param {string[]} [flags] - of Node.js
 * @returns {Promise<Side>}
 */
export async function openSide(module, name, shape, flags = []) {
  const child = fork(SIDE, [module, name, JSON.stringify(shape)], { execArgv: [...NODE_FLAGS, ...flags] })
  /** @type {{ resolve: (value: number) => void, reject: (error: Error) => void } | null} */
  let asked = null
  /** @returns {Promise<number>} */
  const answer = () =>
    new Promise((resolve, reject) => {
      asked = { resolve, reject }
    })
  child.on('message', (/** @type {{ value: number, error?: string }} */ { value, error }) => {
    if (error === undefined) asked?.resolve(value)
    else asked?.reject(new Error(error))
  })
  child.on('exit', (code, signal) => asked?.reject(new Error(`${name} ended with ${signal ?? code}`)))
  const side = {
    /** @param {string} operation @param {number} repeat */
    ask: (operation, repeat) => {
      child.send({ operation, repeat })
      return answer()
    },
    close: () => {
      if (child.connected) child.disconnect()
    },
  }
  try {
    await answer()
  } catch (error) {
    side.close()
    throw error
  }
  return side
}

/**
 * A side that is a new process every time.
 * @param {() => Promise<Side>} open
 * @returns {Side}
 */
export function freshSide(open) {
  return {
    async ask(operation, repeat) {
      const side = await open()
      try {
        return await side.ask(operation, repeat)
      } finally {
        side.close()
      }
    },
    close: () => {},
  }
}

/**
 * A side that is a new process for each round of its operations: its program ran all of them, and answers for
 * each once.
 * @param {() => Promise<Side>} open
 * @returns {Side}
 */
export function programSide(open) {
  /** @type {Side | null} */
  let side = null
  /** @type {Set<string>} */
  const answered = new Set()
  const close = () => {
    side?.close()
    side = null
    answered.clear()
  }
  return {
    async ask(operation, repeat) {
      if (answered.has(operation)) close()
      side ??= await open()
      answered.add(operation)
      return await side.ask(operation, repeat)
    },
    close,
  }
}

/**
 * The core without JavaScript: core.c, whose one run answers for every phase once.
 * @param {string} program
 * @param {import('./sides/shape.mjs').Shape} shape
 * @returns {Side}
 */
export function coreSide(program, { folios, stride, order }) {
  /** @type {Map<string, number>} */
  let phases = new Map()
  return {
    async ask(phase, repeat) {
      if (!phases.has(phase)) {
        const { stdout } = run(program, [folios, stride, order, repeat].map(String), '')
        phases = new Map(
          Array.from(stdout.matchAll(/(\S+)=(\S+)/g), ([, name, value]) => [name, Number(value)]),
        )
      }
      const nanoseconds = phases.get(phase)
      if (nanoseconds === undefined) throw new Error(`${program} does not know of ${phase}`)
      phases.delete(phase)
      return (nanoseconds * folios) / 1e6
    },
    close: () => {},
  }
}

/** Lets one in at a time, in the order of their numbers, over and over. */
class Turnstile {
  #turn = 0
  #size
  /** @type {Map<number, () => void>} */
  #waiting = new Map()

  /** @param {number} size */
  constructor(size) {
    this.#size = size
  }

  /** @param {number} number @returns {Promise<void>} */
  enter(number) {
    if (number === this.#turn) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.set(number, resolve))
  }

  leave() {
    this.#turn = (this.#turn + 1) % this.#size
    const next = this.#waiting.get(this.#turn)
    this.#waiting.delete(this.#turn)
    next?.()
  }
}

/**
 * @typedef {object} Task
 * @property {Side} side
 * @property {string} operation
 * @property {number} repeat - runs a measurement
 * @property {number} scale - what a millisecond of one run is in the unit of the figures
 */

/** @typedef {{ min: number, median: number, mean: number, max: number, runs: number }} Figures */

/**
 * Measures tasks in turn.
 * @param {Task[]} tasks
 * @param {{ runs: number, warmup: number }} options - how often each is measured, and before that without
 * effect
 * @returns {Promise<Figures[]>}
 */
export async function measure(tasks, { runs, warmup }) {
  // All tasks run at once, as far as tinybench can see; the turnstile lets each do a run in turn.
  const bench = new Bench({
    concurrency: 'bench',
    time: 0,
    iterations: runs,
    warmup: warmup > 0,
    warmupTime: 0,
    warmupIterations: warmup,
    throws: true,
  })
  const turnstile = new Turnstile(tasks.length)
  for (const [number, { side, operation, repeat, scale }] of tasks.entries()) {
    bench.add(`${number}`, async () => {
      await turnstile.enter(number)
      const milliseconds = await side.ask(operation, repeat)
      // Not if that failed: the process has ended.
      turnstile.leave()
      return { overriddenDuration: milliseconds * scale }
    })
  }
  await bench.run()
  return bench.tasks.map(({ result }) => {
    if (!('latency' in result)) throw new Error(`a task is ${result.state}`)
    const { min, p50, mean, max, samplesCount } = result.latency
    return { min, median: p50, mean, max, runs: samplesCount }
  })
}
