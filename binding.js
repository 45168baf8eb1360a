// SPDX-License-Identifier: GPL-2.0-only
// Loads the addon: that of build/, or else the prebuilt one. At the top of the package and in this very form,
// since bundlers look for it, and since __dirname is the bundle's folder where they put this into one.
module.exports = () => require('node-gyp-build')(__dirname)
