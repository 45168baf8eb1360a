// SPDX-License-Identifier: GPL-2.0-only
// Any call throws a RangeError where the stack ends, also one in the middle of a change. What is changed by
// several calls takes room for them first, as it takes memory first.

/** 2 KiB of arguments: more than any call of this library takes, with all that it calls. */
const ROOM: readonly number[] = new Array(256).fill(0)

function nothing(): void {}

/**
 * Sees to it that the calls which follow in the caller do not meet the end of the stack.
 * @throws RangeError
 */
export function reserveStack(): void {
  // The arguments are put on the stack, and no compiler leaves that out: how many there are is not known to
  // it.
  Reflect.apply(nothing, undefined, ROOM)
}
