// SPDX-License-Identifier: GPL-2.0-only
// npm run check -- fuzz-core [SECONDS]: the core against the model under libFuzzer, AddressSanitizer and
// UndefinedBehaviorSanitizer. Starts from the seeds in test/fuzz/corpus and the inputs that earlier runs
// found. Exit code 1 if the core and the model differ on an input, or a sanitizer reports an error.

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const INSTALL = 'apt-get install clang libclang-rt-14-dev zip'
/** Bytes of an input: some hundred operations. */
const MAX_LENGTH = 1024
/** Seconds that one input may take. */
const TIMEOUT = 20

const here = fileURLToPath(new URL('.', import.meta.url))
const out = fileURLToPath(new URL('../../build/fuzz', import.meta.url))

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } })
  if (error !== undefined) throw new Error(`${error.message}: ${INSTALL}`)
  return status === 0
}

function build() {
  const options = '-O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all'
  const sanitizers = '-fsanitize=address,undefined,fuzzer-no-link'
  return run('bash', [join(here, 'build.sh')], {
    CC: 'clang',
    CXX: 'clang++',
    CFLAGS: `${options} ${sanitizers}`,
    CXXFLAGS: `${options} -fsanitize=address,undefined`,
    LIB_FUZZING_ENGINE: '-fsanitize=fuzzer',
    OUT: out,
    WORK: out,
  })
}

function fuzz(seconds) {
  const corpus = join(out, 'corpus')
  mkdirSync(corpus, { recursive: true })
  return run(join(out, 'core_fuzzer'), [
    `-max_total_time=${seconds}`,
    `-max_len=${MAX_LENGTH}`,
    `-timeout=${TIMEOUT}`,
    `-artifact_prefix=${out}/`,
    '-print_final_stats=1',
    corpus,
    join(here, 'corpus'),
  ])
}

function main([seconds = '60', ...rest]) {
  if (!/^[1-9]\d*$/.test(seconds) || rest.length > 0) {
    console.error('usage: npm run check -- fuzz-core [SECONDS]')
    return 2
  }
  mkdirSync(out, { recursive: true })
  try {
    if (!build()) {
      console.error(`the fuzz target does not build; needs: ${INSTALL}`)
      return 2
    }
    return fuzz(seconds) ? 0 : 1
  } catch (error) {
    console.error(error.message)
    return 2
  }
}

process.exitCode = main(process.argv.slice(2))
