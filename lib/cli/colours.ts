// SPDX-License-Identifier: GPL-2.0-only

import { Command } from 'commander'
import picocolors from 'picocolors'

/**
 * Colours for stdout, if it shows any, decided as for --help: NO_COLOR says no, FORCE_COLOR yes, else a
 * terminal that has colours does and a pipe does not.
 */
export const colours = picocolors.createColors(new Command().configureOutput().getOutHasColors?.() ?? false)
