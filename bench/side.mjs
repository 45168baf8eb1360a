// SPDX-License-Identifier: GPL-2.0-only
// One side of the benchmark in a process of its own, so that no other's objects are on its heap and no
// other's types in its compiled code. Measures when its parent sends a message. Arguments: a module of
// sides/, a name and a shape for its open().

const [module, name, shape] = process.argv.slice(2)

/** @param {Promise<number | void>} answer */
async function send(answer) {
  const message = await answer.then(
    (value) => ({ value }),
    (error) => ({ error: `${name}: ${error instanceof Error ? error.message : error}` }),
  )
  if (process.connected) process.send?.(message)
}

/** @type {Record<string, import('./sides/shape.mjs').Operation | import('./sides/shape.mjs').AsyncOperation>} */
let operations

async function open() {
  operations = await (await import(`./sides/${module}.mjs`)).open(name, JSON.parse(shape))
  gc?.()
}

/**
 * @param {string} operation
 * @param {number} repeat - how often: short ones are too short for the clock, and for the compiler
 * @returns {Promise<number>} milliseconds, or what stands in for them, of one run
 */
async function measure(operation, repeat) {
  const { prepare, run } = operations[operation]
  let sum = 0
  for (let i = 0; i < repeat; i++) {
    prepare()
    // Young garbage of what came before; the rest of the heap does not change from run to run.
    if (i === 0) gc?.({ type: 'minor' })
    const begin = performance.now()
    // Only a promise is awaited: that takes time, too.
    const answer = run()
    const value = answer instanceof Promise ? await answer : answer
    sum += value ?? performance.now() - begin
  }
  return sum / repeat
}

process.on('message', (/** @type {{ operation: string, repeat: number }} */ { operation, repeat }) =>
  send(measure(operation, repeat)),
)
process.on('disconnect', () => process.exit())
send(open())
