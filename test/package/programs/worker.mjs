// SPDX-License-Identifier: GPL-2.0-only
// Two worker threads at once, each with the package to itself, beside the main thread's.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import 'writeback-iter'

const workers = [1, 2].map(() => new Worker(new URL('./check.mjs', import.meta.url)))
const codes = await Promise.all(workers.map((worker) => once(worker, 'exit')))
process.exitCode = Math.max(...codes.flat())
