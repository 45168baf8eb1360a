// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command cannot do what the user asked, and the message says why. The exit code is 2, without a stack
 * trace.
 */
export class CommandError extends Error {}
