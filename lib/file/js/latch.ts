// SPDX-License-Identifier: GPL-2.0-only

/** Something that happens once, to be waited for. */
export class Latch {
  readonly opened: Promise<void>
  open!: () => void

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve
    })
  }
}
