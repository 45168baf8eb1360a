#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# record.sh records what a live kernel's page cache does, as text, for `writeback-iter replay` and `check`. It
# needs root, a POSIX shell, and Linux 6.9 or later with CONFIG_FPROBE_EVENTS and CONFIG_DEBUG_INFO_BTF, which
# most distributions' kernels have.
#
# Every run has its own tracing instance and its own event group, both named after its process. Therefore
# recordings disturb neither each other nor other tracing, and a later run finds what a killed run has left.
set -eu

self=${RECORD_NAME:-${0##*/}}

usage() {
  cat <<USAGE
Usage: $self [--for SECONDS] [--dev MAJOR:MINOR | --file PATH] [--out FILE] [--drop-caches] [--unlock] [--buffer MIB]

Records the page cache's events of a device, or of one file, until Ctrl-C.

  --for SECONDS      stop after this time
  --dev MAJOR:MINOR  record the files of this device (mountpoint -d names it)
  --file PATH        record this file, which may be a block device
  --out FILE         where to write the recording (default: recording.txt); gzipped if it ends in .gz
  --drop-caches      first drop clean pages from the page cache, so that the recording sees folios added
  --unlock           also record unlocks of folios
  --buffer MIB       memory for the events of all processors together (default: 256)

Exit code: 0 recorded, 1 recorded but events were lost, 2 wrong use, or not possible here.
USAGE
}

say() { echo "$self: $*" >&2; }
fail() { say "$@"; exit 2; }

# -- arguments

seconds='' device='' file='' out=recording.txt drop=no unlock=no buffer=256
value() { [ $# -ge 2 ] || fail "$1 needs a value (--help tells what there is)"; }
number() { case $2 in '' | *[!0-9]* | 0*) fail "$1 is '$2', expected an integer from 1" ;; esac }
while [ $# -gt 0 ]; do
  case $1 in
    --for) value "$@"; number "$1" "$2"; seconds=$2; shift ;;
    --dev)
      value "$@"; device=$2; shift
      case $device in
        *:*:* | *[!0-9:]* | :* | *:) fail "--dev is '$device', expected MAJOR:MINOR" ;;
        *:*) ;;
        *) fail "--dev is '$device', expected MAJOR:MINOR" ;;
      esac ;;
    --file) value "$@"; file=$2; shift; [ -e "$file" ] || fail "--file is '$file', which does not exist" ;;
    --out) value "$@"; out=$2; shift ;;
    --drop-caches) drop=yes ;;
    --unlock) unlock=yes ;;
    --buffer) value "$@"; number "$1" "$2"; buffer=$2; shift ;;
    --help | -h) usage; exit 0 ;;
    *) fail "'$1' is unknown (--help tells what there is)" ;;
  esac
  shift
done
[ -z "$device" ] || [ -z "$file" ] || fail 'either --dev or --file, not both'
[ ! -e "$out" ] || fail "--out is '$out', which exists"
: > "$out" || fail "--out is '$out', which cannot be written"
rm -f "$out"
case $out in *.gz) command -v gzip > /dev/null || fail "--out is '$out', but there is no gzip here" ;; esac

# -- what is there

[ "$(id -u)" = 0 ] || fail 'must be root: tracefs is'
t=${TRACEFS:-}
for folder in /sys/kernel/tracing /sys/kernel/debug/tracing; do
  [ -n "$t" ] || [ ! -e "$folder/dynamic_events" ] || t=$folder
done
[ -n "$t" ] || fail 'no tracefs with dynamic events (mount -t tracefs tracefs /sys/kernel/tracing; CONFIG_DYNAMIC_EVENTS)'

# -- the filter: the kernel counts a device as major << 20 | minor

filter='' mount=''
if [ -n "$device" ]; then
  filter="dev == $(( ${device%:*} << 20 | ${device#*:} ))" mount=$device
elif [ -b "$file" ]; then
  # The inode of a block device's page cache has the device's number.
  filter="ino == $(( 0x$(stat -L -c %t "$file") << 20 | 0x$(stat -L -c %T "$file") ))"
elif [ -n "$file" ]; then
  number=$(stat -L -c %d "$file")
  major=$(( number >> 8 & 0xfff )) minor=$(( number & 0xff | number >> 12 & 0xfff00 ))
  filter="ino == $(stat -L -c %i "$file") && dev == $(( major << 20 | minor ))" mount=$major:$minor
else
  say 'neither --dev nor --file: records every file of the system'
fi
type=''
while [ -n "$mount" ] && read -r _ _ number _ rest; do
  [ "$number" != "$mount" ] || { type=${rest#* - }; type=${type%% *}; }
done < "${MOUNTINFO:-/proc/self/mountinfo}"
case $type in
  ext2 | ext3 | ext4) say "$type writes its files with its own loop: it calls writeback_iter only with data=journal, after writes by mmap" ;;
  btrfs | f2fs | tmpfs | ramfs | devtmpfs | hugetlbfs | nilfs2 | overlay)
    say "$type never calls writeback_iter for its files: the recording will have no pass" ;;
esac

# -- what is in the page cache

stopped=no
trap 'stopped=yes' INT TERM HUP
if [ "$drop" = no ]; then
  say 'the recording will not show how folios that are in the page cache now were added: use --drop-caches, or create the files later'
  if [ -t 0 ] && [ -t 2 ]; then
    printf '%s' "$self: drop its clean pages first (yes or no)? [no] " >&2
    read -r answer || true
    case ${answer:-} in [yY]*) drop=yes ;; esac
    [ $stopped = no ] || exit 130
  fi
fi

# -- the events

name=writeback_iter_$$
i=$t/instances/$name
missing=''

# The kernel records a return only if the entry of the function found a free instance. By default there are
# twice as many instances as processors, and each task that sleeps in writeback_iter holds one. Without more
# instances, returns would be missing, and no counter would show it.
RETURNS=4096

define() { # define EVENT KIND TEXT: adds an event; the kernel refuses a text that names what it does not have
  case $3 in
    *%return*) ! try "$2$RETURNS:$name/$1 $3" || return 0 ;; # later kernels have no such limit, and may refuse the number
  esac
  try "$2:$name/$1 $3" || { missing="$missing $1"; return 1; }
}

try() { { echo "$1" >> "$t/dynamic_events"; } 2> /dev/null; }

forget() { # forget NAME: removes the instance and the events of a run
  if [ -d "$t/instances/$1" ]; then
    echo 0 > "$t/instances/$1/tracing_on" || true
    echo 0 > "$t/instances/$1/events/enable" || true
    rmdir "$t/instances/$1" || say "cannot remove $t/instances/$1"
  fi
  sed -n "s,^[a-z][0-9]*:\($1/[^ ]*\) .*,-:\1,p" "$t/dynamic_events" | while read -r line; do
    echo "$line" >> "$t/dynamic_events" || say "cannot remove the event ${line#-:}"
  done
}

# Remove what earlier runs left behind that did not end normally.
for left in "$t"/instances/writeback_iter_*; do
  [ -d "$left" ] || continue
  [ -d "/proc/${left##*_}" ] || { forget "${left##*/}"; say "removed the instance that process ${left##*_} had left"; }
done
for left in $(sed -n 's,^[a-z][0-9]*:\(writeback_iter_[0-9]*\)/.*,\1,p' "$t/dynamic_events" | sort -u); do
  [ -d "/proc/${left##*_}" ] || forget "$left"
done

part=$out.part
trap 'forget "$name"; rm -f "$part"' EXIT

M='mapping=mapping:x64 ino=mapping->host->i_ino:u64 dev=mapping->host->i_sb->s_dev:u32'
O='mapping=folio->mapping:x64 ino=folio->mapping->host->i_ino:u64 dev=folio->mapping->host->i_sb->s_dev:u32'
F="$O index=folio->index:u64 flags=folio->flags:x64 f1=folio->_flags_1:x64"
P='mapping=page->mapping:x64 ino=page->mapping->host->i_ino:u64 dev=page->mapping->host->i_sb->s_dev:u32 index=page->index:u64'
events() {
  cat <<EVENTS
f add __filemap_add_folio%return $M index=index:u64 flags=folio->flags:x64 f1=folio->_flags_1:x64 ret=\$retval:s32
f dirty __folio_mark_dirty $F
f cancel __folio_cancel_dirty $F
f clear folio_clear_dirty_for_io%return $F ret=\$retval:u8
f redirty folio_redirty_for_writepage%return $F wbc=wbc:x64 skipped=wbc->pages_skipped:s64 ret=\$retval:u8
f start __folio_start_writeback $F keep=keep_write:u8
f end __folio_end_writeback%return $F
f wbwait folio_wait_writeback $F
f lockwait __folio_lock $F
f split split_huge_page_to_list_to_order $P flags=page->flags:x64 f1=+64(page):x64 new_order=new_order:u32
f splitret split_huge_page_to_list_to_order%return $P ret=\$retval:s32
f tag tag_pages_for_writeback $M start=start:u64 end=end:u64
f tagged tag_pages_for_writeback%return $M
f lookup filemap_get_folios_tag%return $M next=+0(start):u64 end=end:u64 tag=tag:u32 ret=\$retval:u32
f call writeback_iter $M wbc=wbc:x64 folio=folio:x64 error=+0(error):s32 sync=wbc->sync_mode:u32 tagged=wbc->tagged_writepages cyclic=wbc->range_cyclic start=wbc->range_start:s64 end=wbc->range_end:s64 nr=wbc->nr_to_write:s64 wbindex=mapping->writeback_index:u64 kupdate=wbc->for_kupdate background=wbc->for_background forsync=wbc->for_sync
f next writeback_iter%return $M wbc=wbc:x64 folio=\$retval:x64 index=+32(\$retval):u64 flags=+0(\$retval):x64 f1=+64(\$retval):x64 error=+0(error):s32 nr=wbc->nr_to_write:s64 wbindex=mapping->writeback_index:u64
t delete mm_filemap_delete_from_page_cache $F
EVENTS
  [ "$unlock" = no ] || echo "f unlock folio_unlock $F"
}
while read -r kind event text; do
  define "$event" "$kind" "$text" || true
done <<EVENTS
$(events)
EVENTS
for event in $missing; do
  case $event in
    split | splitret | redirty | cancel | wbwait | lockwait | unlock) say "this kernel has no event $event: it will be missing" ;;
    *) fail "this kernel cannot be recorded, it has no event:$missing (Linux 6.9 with CONFIG_FPROBE_EVENTS and CONFIG_DEBUG_INFO_BTF?)" ;;
  esac
done

# -- the recording

mkdir "$i"
processors=$(ls -d "$i"/per_cpu/cpu* | wc -l)
echo $(( buffer * 1024 / processors )) > "$i/buffer_size_kb"
echo counter > "$i/trace_clock"
echo 0 > "$i/options/overwrite"
[ ! -e "$i/options/irq-info" ] || echo 0 > "$i/options/irq-info"
[ -z "$filter" ] || echo "$filter" > "$i/events/$name/filter"
if [ "$drop" = yes ]; then
  sync
  echo 3 > "${DROP_CACHES:-/proc/sys/vm/drop_caches}"
fi
echo 1 > "$i/tracing_on"
echo 1 > "$i/events/$name/enable"
say "recording${seconds:+ for $seconds s}; Ctrl-C stops"
elapsed=0
while [ $stopped = no ] && [ "$elapsed" != "$seconds" ]; do
  sleep 1 || true
  elapsed=$(( elapsed + 1 ))
done
trap '' INT TERM HUP
# Wait two seconds for writeback in flight to end. `check` treats writeback that is then still in flight as
# never ended.
echo drain > "$i/trace_marker"
for event in "$i/events/$name"/*/enable; do
  [ "$event" = "$i/events/$name/end/enable" ] || echo 0 > "$event"
done
sleep 2
echo 0 > "$i/events/$name/enable"
echo 0 > "$i/tracing_on"

lost=0
for stats in "$i"/per_cpu/cpu*/stats; do
  lost=$(( lost $(sed -n 's/^\(overrun\|commit overrun\|dropped events\): \([0-9]*\)$/+ \2/p' "$stats" | tr '\n' ' ') ))
done
{
  echo "# record: kernel $(uname -srvm)"
  echo "# record: clock counter"
  echo "# record: filter ${filter:-none}"
  echo "# record: seconds $elapsed"
  echo "# record: missing${missing:- none}"
  echo "# record: caches $([ "$drop" = yes ] && echo dropped || echo kept)"
  echo "# record: lost $lost"
  cat "$i/trace"
} > "$part"
lines=$(grep -c -v -e '^#' -e ': tracing_mark_write: ' "$part" || true)
case $out in
  *.gz) gzip -c "$part" > "$out" ;;
  *) mv "$part" "$out" ;;
esac
say "$lines events in $out"
[ "$lost" = 0 ] || { say "$lost events were lost: more memory (--buffer), less time (--for), or one file (--file)"; exit 1; }
