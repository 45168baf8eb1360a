// SPDX-License-Identifier: GPL-2.0-only
export function check(entries: Record<'main' | 'js' | 'native' | 'file', object>): void
