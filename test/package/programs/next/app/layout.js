// SPDX-License-Identifier: GPL-2.0-only
export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  )
}
