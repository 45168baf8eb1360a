#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# jobs.sh JOB...: each records one work on one file system, as a user would: record.sh in the background, the work, and a signal.
set -u
out=/out

fs() { # fs TYPE [MOUNT OPTIONS]: a fresh file system of this type on the RAM disk, at /mnt
  case $1 in
    xfs) mkfs.xfs -q -f /dev/ram0 ;;
    ext4) mkfs.ext4 -q -F /dev/ram0 ;;
    vfat) mkfs.vfat /dev/ram0 > /dev/null ;;
    exfat) mkfs.exfat /dev/ram0 > /dev/null ;;
    minix) mkfs.minix -3 /dev/ram0 4096 > /dev/null ;;
  esac
  mount -t "$1" ${2:+-o "$2"} "${disk:-/dev/ram0}" /mnt
}

record() { # record NAME OPTION...: starts it, and waits until it runs
  name=$1; shift
  sh /record.sh --out "$out/$name.txt" "$@" 2> "$out/$name.err" &
  recorder=$!
  until grep -q 'Ctrl-C' "$out/$name.err" 2> /dev/null; do
    [ -d /proc/$recorder ] || { cat "$out/$name.err"; return 1; }
    sleep 0.2
  done
}
stop() { # lets writeback end, and stops the recorder
  sleep 1
  kill -TERM $recorder
  wait $recorder
  echo "$name: record.sh $?, $(cut -d. -f1 /proc/uptime) s"
  gzip -f "$out/$name.txt"
}
device() { awk '$5 == "/mnt" { print $3 }' /proc/self/mountinfo | tail -1; }
dm() { dmsetup --noudevsync --noudevrules "$@"; } # there is no udev here
leave() { umount /mnt || umount -l /mnt; }

small() { # small files: with and without fsync, overwritten, truncated, removed
  for n in 1 2 3 4 5 6 7 8 9 10; do
    dd if=/dev/zero of=/mnt/$n bs=4k count=$((n * 3)) 2> /dev/null
    [ $((n % 2)) = 0 ] || work fsync /mnt/$n
    dd if=/dev/zero of=/mnt/$n bs=4k count=1 seek=$n conv=notrunc 2> /dev/null
  done
  sync
  truncate -s 10000 /mnt/9
  rm /mnt/8
  dd if=/dev/zero of=/mnt/10 bs=64k count=4 conv=notrunc 2> /dev/null
  sync
}

for job in "$@"; do
  case $job in
    xfs-small) fs xfs; record $job --dev "$(device)"; small; stop; leave ;;
    vfat-small) fs vfat; record $job --dev "$(device)"; small; stop; leave ;;
    exfat-small) fs exfat; record $job --dev "$(device)"; small; stop; leave ;;
    minix-full)
      fs minix; record $job --dev "$(device)"
      small
      # A file with holes on a full disk: writeback finds no blocks for it.
      truncate -s 4m /mnt/holes
      dd if=/dev/zero of=/mnt/fill bs=1M 2> /dev/null
      work storm /mnt/holes 0.3 256 m
      work fsync /mnt/holes
      stop; leave ;;
    xfs-storm) fs xfs; record $job --dev "$(device)"; work storm /mnt/a 2 400 wwmffrst; stop; leave ;;
    xfs-punch) fs xfs; record $job --dev "$(device)"; work storm /mnt/a 2 400 wwfpps; stop; leave ;;
    vfat-storm) fs vfat; record $job --dev "$(device)"; work storm /mnt/a 2 200 wwffrs; stop; leave ;;
    vfat-mmap) fs vfat; record $job --dev "$(device)"; work storm /mnt/a 2 200 wmmfffrr; stop; leave ;;
    xfs-shutdown)
      fs xfs; record $job --dev "$(device)"
      dd if=/dev/zero of=/mnt/a bs=64k count=8 2> /dev/null
      dd if=/dev/zero of=/mnt/b bs=4k count=40 2> /dev/null
      work shutdown /mnt
      work fsync /mnt/a; work range /mnt/b; sync
      stop; leave ;;
    ext4-journal)
      fs ext4 data=journal; record $job --dev "$(device)"
      work storm /mnt/a 2 100 mmfs
      stop; leave ;;
    block) record $job --file /dev/ram1; work storm /dev/ram1 1 300 wwffr; stop ;;
    syncfs) fs xfs; record $job --dev "$(device)"; work storm /mnt/a 2 300 wwss; stop; leave ;;
    fuse) fuse /mnt; record $job --dev "$(device)"; work storm /mnt/data 2 200 wwmffrs; stop; leave ;;
    fuse-slow) fuse /mnt 20; record $job --dev "$(device)"; work storm /mnt/data 3 200 wwmfffr; stop; leave ;;
    9p)
      mount -t 9p -o trans=virtio,version=9p2000.L,cache=mmap,msize=262144 share /mnt
      record $job --dev "$(device)"
      work storm /mnt/a 2 100 mmffr
      stop; leave ;;
    badblocks)
      n=/sys/kernel/config/nullb/bad; mkdir $n
      echo 64 > $n/size; echo 1 > $n/memory_backed; echo 1 > $n/power
      disk=/dev/bad # 6.12 names it after the folder; before, nullb0
      [ -b $disk ] || disk=/dev/nullb0
      mkfs.vfat $disk > /dev/null
      fs none 2> /dev/null; mount -t vfat $disk /mnt
      record $job --dev "$(device)"
      dd if=/dev/zero of=/mnt/a bs=64k count=16 2> /dev/null
      echo "+0-100000" > $n/badblocks
      work fsync /mnt/a
      dd if=/dev/zero of=/mnt/a bs=64k count=4 conv=notrunc 2> /dev/null
      work range /mnt/a
      echo "-0-100000" > $n/badblocks
      sync
      stop; leave; disk='' ;;
    dm-error)
      # The device goes bad under a mounted vfat: first its writes fail, then they work again.
      size=$(cat /sys/block/ram0/size)
      table() { echo "0 $size $1" | dm load bad && dm suspend --noflush bad && dm resume bad; }
      echo "0 $size linear /dev/ram0 0" | dm create bad || echo 'no dm'
      mkfs.vfat /dev/dm-0 > /dev/null
      mount -t vfat /dev/dm-0 /mnt
      record $job --dev "$(device)"
      dd if=/dev/zero of=/mnt/a bs=64k count=16 2> /dev/null
      work fsync /mnt/a
      dd if=/dev/zero of=/mnt/a bs=64k count=8 conv=notrunc 2> /dev/null
      table error
      work fsync /mnt/a
      dd if=/dev/zero of=/mnt/a bs=64k count=4 conv=notrunc 2> /dev/null
      work range /mnt/a; work fsync /mnt/a
      table "linear /dev/ram0 0"
      dd if=/dev/zero of=/mnt/a bs=64k count=4 conv=notrunc 2> /dev/null
      work fsync /mnt/a; sync
      stop; leave; dm remove bad ;;
    nfs)
      # A server and a client in one kernel, and no daemon: this writes by hand what exportfs and mountd would tell the server.
      mkdir -p /srv
      mkfs.xfs -q -f /dev/ram0 && mount -t xfs /dev/ram0 /srv
      ip link set lo up
      mount -t nfsd nfsd /proc/fs/nfsd
      later=$(( $(date +%s) + 100000 ))
      echo "nfsd 127.0.0.1 $later lo" > /proc/net/rpc/auth.unix.ip/channel
      echo "lo /srv $later 9218 65534 65534 0" > /proc/net/rpc/nfsd.export/channel
      echo "lo 1 \\x00000000 $later /srv" > /proc/net/rpc/nfsd.fh/channel
      echo "-3 +4 +4.1 +4.2" > /proc/fs/nfsd/versions
      echo "tcp 2049" > /proc/fs/nfsd/portlist 2> /dev/null
      echo 4 > /proc/fs/nfsd/threads
      echo Y > /proc/fs/nfsd/v4_end_grace
      # Flags of the export: insecure, no subtree check, and fsid, which is 0: it is the root of what version 4 shows.
      work mount 127.0.0.1:/ /mnt nfs4 vers=4.2,addr=127.0.0.1,clientaddr=127.0.0.1,proto=tcp,port=2049
      record $job --dev "$(device)"
      work storm /mnt/a 2 200 wwmmffrs
      stop; leave
      echo 0 > /proc/fs/nfsd/threads; umount /srv ;;
    trace-cmd)
      # The same events at the same time by trace-cmd, as it records and reports them.
      fs xfs; record $job --dev "$(device)"
      trace-cmd start -C counter -e "writeback_iter_$recorder" > $out/$job.log 2>&1
      small; sleep 1
      trace-cmd stop >> $out/$job.log 2>&1
      trace-cmd extract -o /tmp/dat >> $out/$job.log 2>&1
      trace-cmd report -t -i /tmp/dat > $out/$job-report.txt 2>> $out/$job.log; gzip -f $out/$job-report.txt
      trace-cmd reset >> $out/$job.log 2>&1
      stop; leave ;;
    split)
      fs xfs; record $job --dev "$(device)"
      for n in 1 2 3 4 5 6; do
        dd if=/dev/zero of=/mnt/$n bs=1M count=4 2> /dev/null
        [ $((n % 2)) = 0 ] || work fsync /mnt/$n
        truncate -s $((n * 300000 + 4096)) /mnt/$n
        work storm /mnt/$n 1 512 tp
      done
      stop; leave ;;
    killed)
      # A killed recorder leaves an instance and events behind; the next recorder removes them.
      record killed-1 --file /dev/ram1; kill -KILL $recorder; sleep 1
      ls /sys/kernel/tracing/instances
      record killed-2 --file /dev/ram1; stop
      ls /sys/kernel/tracing/instances; cat /sys/kernel/tracing/dynamic_events ;;
    broken-*)
      # Most of these breaches make a task hang, so the job waits for none.
      at=/broken/$job; mkdir -p $at
      mount -t wrongfs ${job#broken-} $at
      record $job --unlock --dev "$(awk -v at=$at '$5 == at { print $3 }' /proc/self/mountinfo)"
      dd if=/dev/zero of=$at/a bs=4k count=40 2> /dev/null
      work fsync $at/a 2> /dev/null & sleep 1
      dd if=/dev/zero of=$at/a bs=4k count=1 conv=notrunc 2> /dev/null & sleep 1
      stop ;;
    *) echo "no job $job" ;;
  esac
done
