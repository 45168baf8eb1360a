// SPDX-License-Identifier: GPL-2.0-only
// A FUSE file system of one file, `data`, in memory, with the kernel's writeback cache: fuse.c
// MOUNTPOINT [MILLISECONDS] The milliseconds are what a write takes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SIZE (64 << 20)
#define FILE_NODE 2

static char *data;
static uint64_t size;
static int fd;

static void reply(uint64_t unique, int error, const void *body, size_t length)
{
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof header + length), .error = -error, .unique = unique};
	struct iovec iov[2] = {{&header, sizeof header}, {(void *)body, length}};

	if (writev(fd, iov, length ? 2 : 1) < 0 && errno != ENOENT)
		perror("fuse: writev");
}

static struct fuse_attr attr_of(uint64_t node)
{
	struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096};

	attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
	attr.size = node == FUSE_ROOT_ID ? 0 : size;
	return attr;
}

static void handle(const struct fuse_in_header *in, const void *arg, useconds_t delay)
{
	switch (in->opcode) {
	case FUSE_INIT: {
		struct fuse_init_out out = {.major = 7, .minor = 31, .max_readahead = 131072};

		out.flags = FUSE_WRITEBACK_CACHE | FUSE_BIG_WRITES | FUSE_MAX_PAGES;
		out.max_write = 131072;
		out.max_pages = 32;
		out.max_background = 12;
		out.congestion_threshold = 9;
		return reply(in->unique, 0, &out, sizeof out);
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = {
			.nodeid = FILE_NODE, .attr_valid = 3600, .entry_valid = 3600};

		if (strcmp(arg, "data"))
			return reply(in->unique, ENOENT, NULL, 0);
		out.attr = attr_of(FILE_NODE);
		return reply(in->unique, 0, &out, sizeof out);
	}
	case FUSE_GETATTR:
	case FUSE_SETATTR: {
		const struct fuse_setattr_in *set = arg;
		struct fuse_attr_out out = {.attr_valid = 3600};

		if (in->opcode == FUSE_SETATTR && set->valid & FATTR_SIZE) {
			if (set->size < size)
				memset(data + set->size, 0, size - set->size);
			size = set->size;
		}
		out.attr = attr_of(in->nodeid);
		return reply(in->unique, 0, &out, sizeof out);
	}
	case FUSE_OPEN:
	case FUSE_OPENDIR: {
		struct fuse_open_out out = {.fh = 1, .open_flags = FOPEN_KEEP_CACHE};

		return reply(in->unique, 0, &out, sizeof out);
	}
	case FUSE_READ: {
		const struct fuse_read_in *read = arg;
		size_t left = read->offset < size ? size - read->offset : 0;

		return reply(in->unique, 0, data + read->offset,
			     left < read->size ? left : read->size);
	}
	case FUSE_WRITE: {
		const struct fuse_write_in *write = arg;
		struct fuse_write_out out = {.size = write->size};

		if (write->offset + write->size > SIZE)
			return reply(in->unique, EFBIG, NULL, 0);
		if (delay)
			usleep(delay);
		memcpy(data + write->offset, write + 1, write->size);
		if (write->offset + write->size > size)
			size = write->offset + write->size;
		return reply(in->unique, 0, &out, sizeof out);
	}
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FALLOCATE:
		return reply(in->unique, 0, NULL, 0);
	case FUSE_STATFS: {
		struct fuse_statfs_out out = {
			.st = {.bsize = 4096, .blocks = 1 << 20, .bfree = 1 << 19, .namelen = 255}};

		return reply(in->unique, 0, &out, sizeof out);
	}
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return;
	default:
		return reply(in->unique, ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static char buffer[256 * 1024];
	char options[64];
	useconds_t delay = argc > 2 ? (useconds_t)atoi(argv[2]) * 1000 : 0;

	data = calloc(1, SIZE);
	fd = open("/dev/fuse", O_RDWR);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 fd);
	if (!data || fd < 0 || mount("wbi", argv[1], "fuse", MS_NODEV | MS_NOSUID, options)) {
		perror("fuse");
		return 1;
	}
	if (fork())
		return 0;
	for (;;) {
		ssize_t got = read(fd, buffer, sizeof buffer);

		if (got < 0 && errno == ENODEV)
			return 0;
		if (got >= (ssize_t)sizeof(struct fuse_in_header))
			handle((void *)buffer, buffer + sizeof(struct fuse_in_header), delay);
	}
}
