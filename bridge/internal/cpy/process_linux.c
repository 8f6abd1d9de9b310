/*
 * process_linux.c: what a process has to have before Go runs in it. In the binary that is before Go starts, in the shared
 * object when Python loads it, before Go starts there.
 */
#define _GNU_SOURCE
#include "embed.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* What Go reserves of the address space when it starts, with Python in it and a little to live on. Most is never used. */
static const rlim_t needed = 1340u << 20;

int gw_check_space(void) {
	struct rlimit space;
	if (getrlimit(RLIMIT_AS, &space) < 0 || space.rlim_cur == RLIM_INFINITY)
		return 0;
	if (space.rlim_cur < needed) {
		dprintf(2,
			"gowsgi: the address space of the process is limited to %llu MB (ulimit -v), and %llu MB are needed at least\n",
			(unsigned long long)space.rlim_cur >> 20, (unsigned long long)needed >> 20);
		_exit(GW_EXIT_BOOT);
	}
	return 1;
}

__attribute__((constructor(101))) static void prepare(void) {
	/*
	 * 1. A standard descriptor that is closed would be given to whatever is opened next, such as Go's epoll, and who writes
	 * to it, or puts another file there, would meet that. Go's own start sees to it only where it is the program.
	 */
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			break;

	/* 2. Where the address space is bounded: a sentence, in place of Go's fatal error and its trace. */
	if (!gw_check_space())
		return;
#ifdef M_ARENA_MAX
	/* Each thread would reserve 64 MB for its malloc, and with a GIL they have little to win by it. */
	mallopt(M_ARENA_MAX, 1);
#endif
}
