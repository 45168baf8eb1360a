// SPDX-License-Identifier: GPL-2.0-only
const main = require('writeback-iter')
const js = require('writeback-iter/js')
const file = require('writeback-iter/file')
const { check } = require('./checks.cjs')

let native
try {
  native = require('writeback-iter/native')
} catch (error) {
  native = error
}
check({ main, js, native, file })
