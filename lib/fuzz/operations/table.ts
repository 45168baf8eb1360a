// SPDX-License-Identifier: GPL-2.0-only
// The table of operations. To add an operation, add its row to one of the files that this table combines.

import { asyncPassForms } from './async_pass.js'
import { folioForms } from './folio.js'
import type { Form } from './form.js'
import { pageCacheForms } from './page_cache.js'
import { passForms } from './pass.js'
import { turnForms } from './turn.js'

/** The order is the order in which a program's shape draws the frequency of each operation. */
export const FORMS: readonly Form[] = [
  ...pageCacheForms,
  ...folioForms,
  ...passForms,
  ...asyncPassForms,
  ...turnForms,
]

const byName = new Map(FORMS.map((form) => [form.name, form]))

export function formOf(kind: string): Form {
  const form = byName.get(kind)
  if (form === undefined) throw new Error(`no operation has the name ${kind}`)
  return form
}
