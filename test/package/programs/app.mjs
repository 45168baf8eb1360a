// SPDX-License-Identifier: GPL-2.0-only
// The program that docs/loading.md bundles.
import * as main from 'writeback-iter'
import { CachedFile } from 'writeback-iter/file'
import * as js from 'writeback-iter/js'
import { checkBundled } from './bundled.mjs'

console.log(checkBundled({ main, js, CachedFile }))
