// SPDX-License-Identifier: GPL-2.0-only

import { Command } from 'commander'
import picocolors from 'picocolors'

/**
 * Colours for stdout, by the same decision as for --help: NO_COLOR disables them and FORCE_COLOR enables
 * them. Without either, a terminal with colours gets them and a pipe does not.
 */
export const colours = picocolors.createColors(new Command().configureOutput().getOutHasColors?.() ?? false)
