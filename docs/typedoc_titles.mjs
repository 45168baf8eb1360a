// SPDX-License-Identifier: GPL-2.0-only
// For typedoc: a page of docs/ has its heading as its name in the navigation, instead of its file's.

import { Converter } from 'typedoc'

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, page) => {
    const [text] = page.content
    const heading = /^# (.*)\n/.exec(text?.text ?? '')
    if (heading === null) return
    page.name = heading[1]
    // The template shows the name as the heading.
    text.text = text.text.slice(heading[0].length)
  })
}
