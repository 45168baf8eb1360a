// SPDX-License-Identifier: GPL-2.0-only
// The work of the guest's jobs on files, where busybox has no command for it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define XFS_IOC_GOINGDOWN _IOR('X', 125, uint32_t)
#define XFS_FSOP_GOING_FLAGS_NOLOGFLUSH 2

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int open_or_die(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

// A task of the storm: does its kind of work at random places of the file until the time is over.
static void task(char kind, int fd, double until, long pages)
{
	char buffer[16384];

	memset(buffer, kind, sizeof buffer);
	srand((unsigned)getpid());
	while (now() < until) {
		off_t at = rand() % pages * 4096L;
		size_t size = (size_t)(1 + rand() % 4) * 4096;

		switch (kind) {
		case 'w':
			if (pwrite(fd, buffer, size, at) < 0)
				usleep(1000);
			break;
		case 'm': {
			char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);

			if (map != MAP_FAILED) {
				memset(map, 'm', 4096);
				munmap(map, 4096);
			}
			break;
		}
		case 'f':
			fsync(fd);
			break;
		case 'r':
			sync_file_range(fd, at, 64 * 4096, SYNC_FILE_RANGE_WRITE);
			break;
		case 's':
			syncfs(fd);
			break;
		case 'p':
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 8 * 4096);
			usleep(20000);
			break;
		case 't':
			if (ftruncate(fd, at) || ftruncate(fd, pages * 4096))
				usleep(1000);
			usleep(50000);
			break;
		default:
			return;
		}
	}
}

// work storm FILE SECONDS PAGES KINDS: a task for each letter of KINDS, at the same time.
static int storm(const char *path, double seconds, long pages, const char *kinds)
{
	int fd = open_or_die(path);

	if (ftruncate(fd, pages * 4096))
		perror("ftruncate");
	for (const char *kind = kinds; *kind; kind++) {
		if (fork() == 0) {
			signal(SIGBUS, _exit);
			task(*kind, open_or_die(path), now() + seconds, pages);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "storm"))
		return storm(argv[2], atof(argv[3]), atol(argv[4]), argv[5]);
	if (argc == 3 && !strcmp(argv[1], "shutdown")) {
		uint32_t flags = XFS_FSOP_GOING_FLAGS_NOLOGFLUSH;

		return ioctl(open(argv[2], O_RDONLY), XFS_IOC_GOINGDOWN, &flags) != 0;
	}
	if (argc == 3 && !strcmp(argv[1], "fsync")) {
		int failed = fsync(open_or_die(argv[2]));

		if (failed)
			perror(argv[2]);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "range"))
		return sync_file_range(open_or_die(argv[2]), 0, 0, SYNC_FILE_RANGE_WRITE) != 0;
	// busybox's mount treats NFS as its own case, and does not know version 4.
	if (argc == 6 && !strcmp(argv[1], "mount")) {
		int failed = mount(argv[2], argv[3], argv[4], 0, argv[5]);

		if (failed)
			perror(argv[3]);
		return failed != 0;
	}
	fprintf(stderr, "work storm FILE SECONDS PAGES KINDS | shutdown DIR | fsync FILE | range "
			"FILE | mount WHAT DIR TYPE OPTIONS\n");
	return 2;
}
