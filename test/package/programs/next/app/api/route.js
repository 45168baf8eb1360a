// SPDX-License-Identifier: GPL-2.0-only
// The program of docs/loading.md as a route handler: it answers what the program prints.
import * as main from 'writeback-iter'
import { CachedFile } from 'writeback-iter/file'
import * as js from 'writeback-iter/js'
import { checkBundled } from '../../bundled.mjs'

export const dynamic = 'force-dynamic'

export function GET() {
  return new Response(checkBundled({ main, js, CachedFile }))
}
