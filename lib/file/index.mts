// SPDX-License-Identifier: GPL-2.0-only

export * from './index.js'
export type { ErrorCode } from '../errors.js'
