// SPDX-License-Identifier: GPL-2.0-only
import * as main from 'writeback-iter'
import * as file from 'writeback-iter/file'
import * as js from 'writeback-iter/js'
import { check } from './checks.cjs'

const native = await import('writeback-iter/native').catch((error) => error)
check({ main, js, native, file })
