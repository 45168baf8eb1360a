// SPDX-License-Identifier: GPL-2.0-only
export default function Page() {
  return <p>writeback-iter</p>
}
