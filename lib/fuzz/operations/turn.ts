// SPDX-License-Identifier: GPL-2.0-only
// The ends of a turn of a body. By themselves they do nothing: World.turn() hands them to the operation that
// began the turn.

import type { Form } from './form.js'

/** @param parameters - of which one is drawn where the end of a turn is */
function end(name: string, parameters: readonly string[]): Form {
  return { name, parameters, generate: () => [], run() {} }
}

export const turnForms: readonly Form[] = [end('give', ['result']), end('throw', []), end('break', [])]
