/*
 * shim_signals.c: signals on their way to the server. The handler writes the number into a pipe, and then calls the handler
 * of Python's that it took the place of: so a signal arrives whatever the main thread is doing, and whoever has
 * signal.set_wakeup_fd. It runs on any thread, in the middle of anything.
 */
#define _GNU_SOURCE
#include "embed.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Those that stop the server by a handler of Python's, and those that tell it something. */
static const int stopping[] = {SIGINT, SIGTERM};
static const int telling[] = {SIGQUIT, SIGUSR1, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH};

enum { NSTOPPING = sizeof stopping / sizeof *stopping, NTELLING = sizeof telling / sizeof *telling };

static volatile int to = -1; /* the pipe */
static volatile pid_t owner;
static struct sigaction before[NSIG];
static volatile unsigned char goes_on[NSIG]; /* before is Python's */

static volatile sig_atomic_t handled; /* a handler of Python's that is ours has run */
static char poke; /* its address marks the signals that gw_signals_poke sends */

static void tell(int byte) {
	unsigned char b = (unsigned char)byte;
	if (to >= 0 && getpid() == owner) { /* not a child, between vfork and exec */
		ssize_t n = write(to, &b, 1);
		(void)n; /* full: there is more to be read than anybody could want */
	}
}

static void on_signal(int number, siginfo_t *info, void *context) {
	int saved = errno;
	int poked = info->si_code == SI_QUEUE && info->si_value.sival_ptr == &poke;
	if (poked && handled)
		return; /* that it ends a wait was all */
	if (poked) {
		tell(GW_SIGNAL_POKED); /* only Python, which has forgotten that something is due: see gw_signals_poke */
	} else if ((number == SIGTTIN || number == SIGTTOU) && info->si_code > 0) {
		/* The terminal's, to a job in the background: told of it instead of stopped, it would go on in a circle. */
		kill(getpid(), SIGSTOP);
	} else {
		tell(number | GW_SIGNAL_OURS);
	}
	if (goes_on[number]) {
		if (before[number].sa_flags & SA_SIGINFO)
			before[number].sa_sigaction(number, info, context);
		else
			before[number].sa_handler(number);
	}
	if (poked)
		tell(GW_SIGNAL_POKE_OVER);
	errno = saved;
}

static int is_ours(int number, struct sigaction *now) {
	return sigaction(number, NULL, now) == 0 && now->sa_flags & SA_SIGINFO && now->sa_sigaction == on_signal;
}

static void take(int number, int python) {
	struct sigaction now, action;
	if (is_ours(number, &now) || sigaction(number, NULL, &now) < 0)
		return;
	if (!python && now.sa_handler == SIG_IGN) /* nohup */
		return;
	before[number] = now;
	goes_on[number] = python && now.sa_handler != SIG_IGN && now.sa_handler != SIG_DFL;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = on_signal;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | (python ? now.sa_flags & SA_RESTART : SA_RESTART);
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

void gw_signals_take(int fd, int everything) {
	owner = getpid();
	handled = 0;
	to = fd;
	for (int i = 0; i < NSTOPPING; i++)
		take(stopping[i], 1);
	for (int i = 0; everything && i < NTELLING; i++)
		take(telling[i], 0);
}

void gw_signals_handled(void) { handled = 1; }

/*
 * Ends a wait of the main thread. And if Python does not call the handler, calls Python's again: a signal that comes while
 * the main thread takes the GIL may be left pending with eval_breaker at 0 (3.9, once in 60 stops of an import that
 * computes), and code that does not wait would go on for ever.
 */
void gw_signals_poke(void) {
	pid_t pid = getpid();
	struct sigaction now;
	siginfo_t info;
	int number = 0; /* with an application's handler, or the default, it would count */
	for (int i = 0; to >= 0 && i < NSTOPPING; i++)
		if (is_ours(stopping[i], &now))
			number = stopping[i];
	if (!number)
		return;
	memset(&info, 0, sizeof info);
	info.si_signo = number;
	info.si_code = SI_QUEUE;
	info.si_pid = pid;
	info.si_uid = getuid();
	info.si_value.sival_ptr = &poke;
	syscall(SYS_rt_tgsigqueueinfo, pid, pid, number, &info);
}

static void each(void (*f)(int)) {
	for (int i = 0; i < NSTOPPING; i++)
		f(stopping[i]);
	for (int i = 0; i < NTELLING; i++)
		f(telling[i]);
}

static void give(int number) {
	struct sigaction now;
	if (is_ours(number, &now))
		sigaction(number, &before[number], NULL);
	goes_on[number] = 0;
}

void gw_signals_give(void) {
	each(give);
	to = -1;
}

/*
 * The server's signals concern no child that the app forks: there they mean again what they meant before, from the first
 * instruction on. So they wait while the fork happens, and the child resets them before it lets them in. (Python's own list
 * of handlers follows in support.py, _forget_signals.)
 */
static __thread sigset_t mask_before_fork;
static __thread sigset_t blocked;

static void block(int number) { sigaddset(&blocked, number); }

void gw_signals_before_fork(void) {
	sigemptyset(&blocked);
	each(block);
	pthread_sigmask(SIG_BLOCK, &blocked, &mask_before_fork);
}

void gw_signals_after_fork(void) { pthread_sigmask(SIG_SETMASK, &mask_before_fork, NULL); }

static void forget(int number) {
	struct sigaction now;
	if (is_ours(number, &now))
		signal(number, SIG_DFL);
	goes_on[number] = 0;
}

void gw_signals_in_child(void) {
	if (to >= 0)
		each(forget);
	to = -1;
}
