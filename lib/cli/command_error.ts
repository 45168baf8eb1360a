// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command cannot do what was asked, and the user can tell why from the message: exit code 2, no stack
 * trace.
 */
export class CommandError extends Error {}
