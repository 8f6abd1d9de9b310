/*
 * embed_zygote.c: the process that workers are forked from (--preload). Go does not survive a fork, so in the program Python
 * runs before Go does: in a constructor, which libc calls before Go's first instruction. There the process loads the
 * application and forks; in each child the constructor returns, Go starts, and finds Python running (gw_embed_main_state).
 * The parent ends without ever having had Go. Under pip all of this is Python's: python/gowsgi/_zygote.py, begin.
 *
 * The master says by GOWSGI_ZYGOTE=PARENT:LINK:TOLD that the process is to be one; TOLD is a descriptor of a file with what
 * has to be known, texts that end in NUL: libpython, executable, version and UTF-8 mode as for gw_embed_start, and what
 * Python is to run (zygote.py), for which the rest is.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embed.h"

enum { LIBPYTHON, EXECUTABLE, VERSION, UTF8_MODE, CODE, TEXTS };

/* The whole file; NULL if it cannot be had. */
static char *contents(int fd, size_t *len) {
	struct stat st;
	if (fstat(fd, &st) < 0)
		return NULL;
	char *text = malloc((size_t)st.st_size + 1);
	for (*len = 0; text && *len < (size_t)st.st_size;) {
		ssize_t n = pread(fd, text + *len, (size_t)st.st_size - *len, (off_t)*len);
		if (n <= 0)
			return NULL;
		*len += (size_t)n;
	}
	if (text)
		text[*len] = 0;
	return text;
}

static void fail(const char *sentence) {
	dprintf(2, "gowsgi: %s\n", sentence);
	_exit(GW_EXIT_BOOT);
}

/* libc hands constructors what main gets: the same array. */
__attribute__((constructor)) static void run_zygote(int argc, char **argv, char **envp) {
	int parent, link, told;
	const char *variable = getenv("GOWSGI_ZYGOTE"), *text[TEXTS];
	size_t len;

	if (!variable || sscanf(variable, "%d:%d:%d", &parent, &link, &told) != 3)
		return;
	if (parent != (int)getppid())
		fail("the master of this process has ended, so it ends as well");
	char *p = contents(told, &len), *end = p + len;
	if (!p)
		fail("what the master has to tell cannot be read");
	for (int i = 0; i < TEXTS; i++) {
		text[i] = p;
		p += strlen(p) + 1;
		if (p > end)
			fail("the master has told too little");
	}
	if (!*text[LIBPYTHON]) /* the shared object, in a process of Python's */
		return;
	(void)envp;
	for (int i = 0; i < argc;
		i++) { /* the application may write its title over the texts, and Go is still to read them */
		char *copy = strdup(argv[i]);
		if (copy)
			argv[i] = copy;
	}
	char err[512] = "";
	if (gw_embed_start(text[LIBPYTHON], text[EXECUTABLE], (unsigned)atoi(text[VERSION]), atoi(text[UTF8_MODE]),
		    "gowsgi", sizeof "gowsgi", err, sizeof err) < 0)
		fail(err);
	if (gw_embed_run(text[CODE]) < 0) /* what it raised is printed */
		_exit(GW_EXIT_BOOT);
	(void)gw_check_space(); /* the application may have set a limit, and Go is still to start */
	/* A worker: texts stay where they are, for Python has pointers to some. */
}
