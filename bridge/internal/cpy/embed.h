/*
 * embed.h: starting and ending Python in a process that is not Python's own, joining one that is, the module _gowsgi,
 * and the guard against fork.
 */
#ifndef GW_EMBED_H
#define GW_EMBED_H

#include <stddef.h>

#include "pyapi.h"

/* utf8_mode of gw_embed_start when nobody asked the interpreter: decided as PEP 540 says. */
#define GW_UTF8_UNKNOWN (-1)

/* Exit status of a start that failed: config.ExitBoot. */
#define GW_EXIT_BOOT 3

/*
 * Ends the process, with one sentence and GW_EXIT_BOOT, if its address space is limited to less than Go needs to start.
 * 1: it is limited; 0: it is not. GIL: not needed. Blocks: no.
 */
int gw_check_space(void);

/*
 * sys.flags.utf8_mode of a Python (up to 3.14) that starts in this environment without PYTHONUTF8. Before any other
 * thread runs C: the locale changes for a moment. GIL: not needed. Blocks: no.
 */
int gw_embed_utf8_mode(void);

/*
 * Loads libpython with all its symbols global, fills the table, and initialises Python as the program executable would
 * be: same prefix, site-packages, environment variables, locale. Call it on the thread that shall be Python's main one.
 * version: X.Y expected, as major << 8 | minor; 0: any. argv: becomes sys.argv; argv_len bytes, items end in NUL.
 * utf8_mode: what the interpreter said of itself, or GW_UTF8_UNKNOWN.
 * 0, with the main thread state in gw_embed_main_state; or -1 with one sentence in err. All pointers: caller's, copied.
 * GIL: released on return. Blocks: it runs Python (site, *.pth). What Python finds fatal ends the process with
 * GW_EXIT_BOOT.
 */
int gw_embed_start(const char *libpython, const char *executable, unsigned version, int utf8_mode, const char *argv,
	size_t argv_len, char *err, size_t errlen);

/*
 * Joins the Python that already runs in this process. May be called again. 0, or -1 with one sentence in err.
 * GIL: taken if not held, and given back as it was.
 */
int gw_embed_attach(char *err, size_t errlen);

/* Thread state of Python's main thread, as gw_embed_start left it. Python's own; NULL if not started or finished. */
PyThreadState *gw_embed_main_state(void);

/*
 * Ends Python: runs atexit, flushes. Only after gw_embed_start, on its thread, when no other thread is in Python.
 * 0; -1 if flushing failed or Python was not started here. GIL: taken, and gone. Blocks: it runs Python.
 */
int gw_embed_finish(void);

/*
 * Runs Python text in __main__. 0; -1 if it raised, the traceback being printed. code: caller's.
 * GIL: taken and released. Blocks: it runs Python.
 */
int gw_embed_run(const char *code);

/*
 * Fills the module _gowsgi: natives, types. Under pip Python calls it on import, in the binary gw_module_create does.
 * 0, or -1 with an exception set. module: borrowed. GIL: held.
 */
int gw_module_exec(PyObject *module);

/* Makes the module _gowsgi and puts it into sys.modules. Result: owned; NULL with an exception set. GIL: held. */
PyObject *gw_module_create(void);

/*
 * From here on a fork makes a child without a Go runtime, and gw_in_forked_child is set there. Called once Go runs;
 * again does nothing. 0, or -1 if memory is short. GIL: not needed.
 */
int gw_fork_watch(void);

/* Every handler that is installed runs on the alternate stack from now on. Any thread, no GIL. */
void gw_signals_on_stack(void);

/*
 * Puts our handler for SIGINT and SIGTERM in front of Python's, which must be installed, and with everything set also for
 * those of USR1, HUP, USR2, TTIN, TTOU and WINCH that nobody ignores. Each signal writes its number, with GW_SIGNAL_OURS,
 * to fd, which stays the caller's. Again, for what was installed since. Any thread, GIL: not needed.
 */
void gw_signals_take(int fd, int everything);
#define GW_SIGNAL_OURS 0x80

/* In fd too: what is written between these two by others is the echo of gw_signals_poke, and no signal. */
#define GW_SIGNAL_POKED 0xfe
#define GW_SIGNAL_POKE_OVER 0xff

/*
 * Ends a wait of the main thread in the kernel, so that it runs the handlers of Python's that are due: the kernel may have
 * given the signal to another thread. Until gw_signals_handled was called it also tells Python once more, whose echo
 * comes through the wake-up descriptor, whenever the main thread gets it. Any thread, GIL: not needed. Blocks: no.
 */
void gw_signals_poke(void);
void gw_signals_handled(void);

/* Puts back what gw_signals_take replaced, unless somebody else has replaced it since. */
void gw_signals_give(void);

/* Around a fork, for pthread_atfork: no signal comes in between, and none of the server's reaches the child as such. */
void gw_signals_before_fork(void);
void gw_signals_after_fork(void);
void gw_signals_in_child(void);

/* 1 in a process that was forked after gw_fork_watch. */
extern volatile int gw_in_forked_child;

/* 1 once this process has forked, or is about to: a child may have duplicates of its descriptors. */
extern int gw_forked;

/* 0, or -1 with RuntimeError set in such a process. GIL: held. */
int gw_check_fork(void);

#endif
