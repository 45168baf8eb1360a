// SPDX-License-Identifier: GPL-2.0-only
// `npm run check -- live [--keep FOLDER] [JOB...]`: boots Debian's 6.12 kernel under QEMU, records jobs there
// with lib/live/record.sh as a user would, and replays and checks every recording here, on both backends.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { HEAD, measure } from './table.mjs'

const here = import.meta.dirname
const root = join(here, '../..')
const cache = join(root, 'build/live')

/** Commands, and the Debian packages that have them. */
const NEEDS = {
  'qemu-system-x86_64': 'qemu-system-x86',
  busybox: 'busybox-static',
  cpio: 'cpio',
  depmod: 'kmod',
  xz: 'xz-utils',
  gcc: 'gcc',
  make: 'make',
  'mkfs.xfs': 'xfsprogs',
  'mkfs.vfat': 'dosfstools',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.exfat': 'exfatprogs',
  'mkfs.minix': 'util-linux',
  dmsetup: 'dmsetup',
  'trace-cmd': 'trace-cmd',
}

/** The commands that the guest runs. */
const PROGRAMS = Object.keys(NEEDS).filter(
  (name) => name.startsWith('mkfs.') || ['dmsetup', 'trace-cmd'].includes(name),
)

/** What wrongfs breaks: every rule of docs/check.md. */
const RULES = [...readFileSync(join(root, 'docs/check.md'), 'utf8').matchAll(/^## (.*)$/gm)].map(
  ([, rule]) => rule,
)

const JOBS = [
  'xfs-small',
  'vfat-small',
  'exfat-small',
  'minix-full',
  'xfs-storm',
  'xfs-punch',
  'vfat-storm',
  'vfat-mmap',
  'xfs-shutdown',
  'ext4-journal',
  'block',
  'syncfs',
  'fuse',
  'fuse-slow',
  '9p',
  'badblocks',
  'dm-error',
  'nfs',
  'trace-cmd',
  'split',
  'killed',
  'broken-none',
  ...RULES.map((rule) => `broken-${rule}`),
]

/** Modules, with the modules that they need, and their options. */
const MODULES = {
  // libcrc32c requests this module by name when it is loaded.
  crc32c_generic: '',
  virtio_pci: '',
  '9pnet_virtio': '',
  '9p': '',
  brd: 'rd_nr=2 rd_size=409600',
  null_blk: 'nr_devices=0',
  xfs: '',
  ext4: '',
  vfat: '',
  nls_cp437: '',
  nls_ascii: '',
  nls_utf8: '',
  exfat: '',
  minix: '',
  fuse: '',
  dm_mod: '',
  nfsd: '',
  nfsv4: '',
}

const sbin = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
const run = (command, args, options = {}) => execFileSync(command, args, { env: sbin, ...options })
const has = (command) => spawnSync('which', [command], { env: sbin }).status === 0

function checkNeeds() {
  const missing = Object.keys(NEEDS).filter((command) => !has(command))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((command) => NEEDS[command]))].join(' ')
  console.error(`live needs ${missing.join(', ')}: apt-get install --no-install-recommends ${packages}`)
  process.exit(2)
}

/** Debian's current 6.12 kernel and its headers, unpacked; fetched once. */
function kernel() {
  const folder = join(cache, 'kernel')
  if (!existsSync(join(folder, 'boot'))) {
    mkdirSync(cache, { recursive: true })
    const name = (meta) => /Depends: (\S+)/.exec(run('apt-cache', ['depends', meta]).toString())[1]
    const image = name('linux-image-6.12-amd64')
    const headers = name('linux-headers-6.12-amd64')
    const version = image.replace('linux-image-', '')
    const common = headers.replace('-amd64', '-common')
    const kbuild = `linux-kbuild-${version.replace('-amd64', '')}`
    run('apt-get', ['download', image, headers, common, kbuild], { cwd: cache, stdio: 'inherit' })
    for (const file of readdirSync(cache).filter((name) => name.endsWith('.deb'))) {
      run('dpkg', ['-x', join(cache, file), folder])
      rmSync(join(cache, file))
    }
  }
  const image = readdirSync(join(folder, 'boot')).find((name) => name.startsWith('vmlinuz-'))
  return { folder, image: join(folder, 'boot', image), version: image.replace('vmlinuz-', '') }
}

/** Builds wrongfs against the headers where they were unpacked. */
function buildWrongfs(to, { folder, version }) {
  const headers = join(folder, 'usr/src', `linux-headers-${version}`)
  const makefile = join(headers, 'Makefile')
  writeFileSync(
    makefile,
    readFileSync(makefile, 'utf8').replace('include /usr/src', `include ${folder}/usr/src`),
  )
  rmSync(join(headers, 'vmlinux'), { force: true }) // the module needs no BTF, and pahole is not there to make it
  cpSync(join(here, 'wrongfs'), to, { recursive: true })
  run('make', ['-s', '-C', headers, `M=${to}`, 'modules'], { stdio: ['ignore', 'ignore', 'inherit'] })
  return join(to, 'wrongfs.ko')
}

/** Copies modules, unpacked, and says in which order to load them. */
function addModules(to, { folder, version }) {
  run('depmod', ['-b', folder, version])
  const base = join(folder, 'lib/modules', version)
  const dependencies = new Map(
    readFileSync(join(base, 'modules.dep'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(': ').map((part) => part.replace(/:$/, '')))
      .map(([path, needs]) => [path, (needs ?? '').split(' ').filter((need) => need !== '')]),
  )
  const nameOf = (path) =>
    basename(path)
      .replace(/\.ko(\.xz)?$/, '')
      .replaceAll('-', '_')
  const order = []
  mkdirSync(to, { recursive: true })
  const load = (path) => {
    if (order.includes(path)) return
    for (const need of dependencies.get(path).toReversed()) load(need)
    order.push(path)
    const file = join(to, `${nameOf(path)}.ko`)
    writeFileSync(
      file,
      path.endsWith('.xz')
        ? run('xz', ['-dc', join(base, path)], { maxBuffer: 2 ** 28 })
        : readFileSync(join(base, path)),
    )
  }
  for (const name of Object.keys(MODULES)) {
    const path = [...dependencies.keys()].find((path) => nameOf(path) === name)
    if (path !== undefined) load(path)
  }
  writeFileSync(
    join(to, 'order'),
    order.map((path) => `${nameOf(path)}.ko ${MODULES[nameOf(path)] ?? ''}\n`).join(''),
  )
}

/** Copies a program with the libraries that it loads. */
function addProgram(to, name) {
  const path = run('which', [name]).toString().trim()
  copyFileSync(path, join(to, 'bin', name))
  const libraries = spawnSync('ldd', [path]).stdout.toString().match(/\/\S+/g) ?? []
  for (const library of libraries) {
    mkdirSync(join(to, dirname(library)), { recursive: true })
    copyFileSync(library, join(to, library))
  }
}

/** The guest's file system, as the kernel unpacks it. */
function initramfs(work, built) {
  const to = join(work, 'root')
  for (const folder of ['bin', 'proc', 'sys', 'dev', 'etc', 'lib64', 'tmp'])
    mkdirSync(join(to, folder), { recursive: true })
  copyFileSync(run('which', ['busybox']).toString().trim(), join(to, 'bin/busybox'))
  for (const name of PROGRAMS) addProgram(to, name)
  for (const name of ['work', 'fuse']) {
    run('gcc', ['-O1', '-static', '-o', join(to, 'bin', name), join(here, `guest/${name}.c`)])
  }
  cpSync('/etc/mke2fs.conf', join(to, 'etc/mke2fs.conf'))
  cpSync(join(here, 'guest/init'), join(to, 'init'))
  chmodSync(join(to, 'init'), 0o755)
  cpSync(join(here, 'guest/jobs.sh'), join(to, 'jobs.sh'))
  cpSync(join(root, 'lib/live/record.sh'), join(to, 'record.sh'))
  addModules(join(to, 'modules'), built)
  cpSync(buildWrongfs(join(work, 'wrongfs'), built), join(to, 'modules/wrongfs.ko'))
  appendFileSync(join(to, 'modules/order'), 'wrongfs.ko\n')
  const image = join(work, 'initrd')
  run('sh', ['-c', `find . | cpio --quiet -o -H newc | gzip -1 > ${image}`], { cwd: to })
  return image
}

/**
 * Boots the guest for one job, so that a job that hangs or breaks its kernel affects no other. Returns what
 * the job printed.
 */
function boot(job, { image }, initrd, out) {
  const accel = process.env.WRITEBACK_ITER_ACCEL ?? 'tcg'
  const share = join(out, 'share')
  mkdirSync(share, { recursive: true })
  const args = [
    '-machine',
    `q35,accel=${accel}`,
    '-cpu',
    accel === 'kvm' ? 'host' : 'max',
    '-smp',
    '2',
    '-m',
    '3072',
  ]
  args.push('-nographic', '-no-reboot', '-kernel', image, '-initrd', initrd)
  args.push('-append', `console=ttyS0 quiet panic=-1 jobs=${job}`)
  for (const [tag, path] of Object.entries({ out, share })) {
    args.push('-virtfs', `local,path=${path},mount_tag=${tag},security_model=none`)
  }
  const { stdout, status } = spawnSync('qemu-system-x86_64', args, { timeout: 900_000, maxBuffer: 2 ** 28 })
  writeFileSync(join(out, `${job}.console`), stdout)
  rmSync(share, { recursive: true, force: true })
  const log = join(out, 'log')
  const text = existsSync(log) ? readFileSync(log, 'utf8') : ''
  rmSync(log, { force: true })
  return status === 0 ? text : `${text}qemu-system-x86_64 ended with ${status}\n`
}

/** Recordings that a job leaves in the folder. */
const FILES = { killed: ['killed-2'], 'trace-cmd': ['trace-cmd', 'trace-cmd-report'] }

/** The fault of a recording; null if it has none. */
function wrong(job, { divergences, rules, lost }) {
  const rule = job.startsWith('broken-') ? job.slice('broken-'.length) : 'none'
  if (lost) return 'events were lost'
  if (rule === 'none') {
    if (rules.length > 0) return `check found ${rules.join()}`
    return divergences > 0 ? 'replay diverged' : null
  }
  // The replay is not checked: a backend may refuse an operation by which the file system breaks the rule.
  return rules.includes(rule) ? null : `check should have found ${rule}`
}

checkNeeds()
const args = process.argv.slice(2)
const keep = args[0] === '--keep' ? args.splice(0, 2)[1] : null
const jobs = args.length > 0 ? args : JOBS
const work = mkdtempSync(join(tmpdir(), 'writeback-iter-live-'))
const out = keep ?? join(work, 'out')
mkdirSync(out, { recursive: true })
const failures = []
try {
  const built = kernel()
  const initrd = initramfs(work, built)
  const rows = []
  for (const job of jobs) {
    const start = performance.now()
    const log = boot(job, built, initrd, out)
    console.log(`== ${job}: ${Math.round((performance.now() - start) / 1000)} s\n${log.trimEnd()}`)
    if (job === 'killed' && /^killed-2: .*\n(?!init: )/m.test(log)) failures.push('killed: something is left')
    for (const name of FILES[job] ?? [job]) {
      const file = join(out, `${name}.txt.gz`)
      if (!existsSync(file)) {
        failures.push(`${name}: no recording`)
        continue
      }
      const measured = measure(file)
      rows.push(measured.row)
      const problem = wrong(job, measured)
      if (problem !== null) failures.push(`${name}: ${problem}`)
    }
  }
  console.log(`\n${built.version}\n\n${[...HEAD, ...rows].join('\n')}\n`)
} finally {
  rmSync(work, { recursive: true, force: true })
}
for (const failure of failures) console.log(failure)
process.exitCode = failures.length > 0 ? 1 : 0
