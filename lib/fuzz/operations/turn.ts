// SPDX-License-Identifier: GPL-2.0-only
// The operations that end a turn of a body. By themselves they do nothing: World.turn() returns them to the
// operation that began the turn.

import type { Form } from './form.js'

/** @param parameters - the names of the parameters, which the generator draws for each end of a turn */
function end(name: string, parameters: readonly string[]): Form {
  return { name, parameters, generate: () => [], run() {} }
}

export const turnForms: readonly Form[] = [end('give', ['result']), end('throw', []), end('break', [])]
