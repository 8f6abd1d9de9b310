/*
 * shim_crash.c: the end by a signal that tells of a crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) in C: the Python stacks
 * of all threads, the requests that were running, and death by that signal, so that supervisors and core dumps see it. By
 * itself Go prints all its goroutines, which say nothing of Python or C, and ends with status 2.
 *
 * Three handlers have a part in it:
 *   top     ours, over all others. It takes what came from kill, raise and abort, and SIGILL; a fault it leaves to Go.
 *   Go's    makes a panic of a fault in Go code, and hands any other to the handler that was there before Go came:
 *   bottom  ours as well, there since the constructor below.
 * Python's stacks are faulthandler's business. It is enabled when nobody has done so, and its handler called from ours. An
 * application that enables it only chooses where it writes; one that disables and enables it puts it above ours, which is
 * as well: it writes, and raises the signal once more.
 *
 * Everything from the handlers down is async-signal-safe: write, sigaction, and looks at memory that is never freed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "shim_int.h"

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static const char *const names[] = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT"};
enum { SIGNALS = sizeof signals / sizeof *signals, FAULTS = 3 /* of which Go makes panics */ };

static struct sigaction before[FAULTS]; /* Go */
static struct sigaction of_go; /* for all signals that it takes */
static struct sigaction foreign[SIGNALS]; /* whose turn it is after us: that of another library, or the default */
static void (*faulthandler)(int);
static volatile sig_atomic_t watching;
static volatile int report_fd = 2;

static void top(int number, siginfo_t *info, void *context);

static int index_of(int number) {
	for (int i = 0; i < SIGNALS; i++)
		if (signals[i] == number)
			return i;
	return -1;
}

/* ------------------------------------------------------------------------------------------------ running requests */

/* The Python threads there have been, for a handler to read: filled in order, and a place is used again. */
static struct {
	_Atomic(gw_thread *) t;
	pthread_t id;
} running[4096];

void gw_crash_thread(gw_thread *t, int there) {
	for (size_t i = 0; i < sizeof running / sizeof *running; i++) {
		gw_thread *expected = there ? NULL : t;
		if (atomic_compare_exchange_strong(&running[i].t, &expected, there ? t : NULL)) {
			if (there) /* else the place may be another's by now */
				running[i].id = pthread_self(); /* it has no request yet, so nobody has looked */
			return;
		}
	}
}

gw_about gw_about_request(const gw_job *j) {
	gw_about a = {0};
	if (j && j->gen) {
		a.line = j->what;
		a.line_len = j->what_len;
		const gw_conn *c =
			__atomic_load_n(&j->conn, __ATOMIC_RELAXED); /* another thread may end its request now */
		if (c) {
			a.client = c->remote;
			a.client_len = c->remote_len;
		}
		if (gw_request_ids) {
			a.id = j->id;
			a.id_len = j->id_len;
		}
	}
	return a;
}

void gw_about_id(gw_job *j, const gw_request *rq, const char *arena, const gw_header *headers) {
	static const char name[] = "x-request-id";
	j->id_len = 0;
	for (uint32_t i = rq->nheaders; i-- > 0;) { /* one that was made stands last */
		const gw_header *h = &headers[i];
		if (h->name.len == sizeof name - 1 && h->value.len <= sizeof j->id &&
			strncasecmp(arena + h->name.off, name, sizeof name - 1) == 0) {
			memcpy(j->id, arena + h->value.off, h->value.len);
			j->id_len = h->value.len;
			return;
		}
	}
}

/* ------------------------------------------------------------------------------------------------ the report */

typedef struct out {
	char b[1024];
	size_t n;
} out;

static void flush(out *o) {
	for (size_t done = 0; done < o->n;) {
		ssize_t n = write(report_fd, o->b + done, o->n - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	o->n = 0;
}

static void put(out *o, const char *s, size_t n) {
	for (size_t i = 0; i < n; i++) {
		if (o->n == sizeof o->b)
			flush(o);
		unsigned char c = (unsigned char)s[i];
		o->b[o->n++] = (c < ' ' && c != '\n') || c > '~' ? '?' : (char)c;
	}
}

static void puts_(out *o, const char *s) { put(o, s, strlen(s)); }

static void put_number(out *o, uint64_t n, unsigned base, int digits) {
	char b[24];
	int i = sizeof b;
	do {
		b[--i] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n || (int)sizeof b - i < digits);
	put(o, b + i, sizeof b - (size_t)i);
}

static volatile long last_offset;

long gw_utc_offset(int64_t time) {
	time_t t = (time_t)time;
	struct tm tm;
	return last_offset = localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
}

/*
 * [2026-01-31 12:00:00 +0000], as far from UTC as the record before it: what knows of time zones is not safe here. Days as in
 * Howard Hinnant's paper.
 */
static void put_time(out *o) {
	struct timespec now;
	long minutes = last_offset / 60, east = minutes < 0 ? -minutes : minutes;
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += minutes * 60;
	int64_t z = now.tv_sec / 86400 + 719468, s = now.tv_sec % 86400;
	int64_t era = z / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	int64_t month = mp < 10 ? mp + 3 : mp - 9;
	const struct {
		int64_t value;
		int digits;
		const char *behind;
	} parts[] = {{yoe + era * 400 + (month <= 2), 4, "-"}, {month, 2, "-"}, {doy - (153 * mp + 2) / 5 + 1, 2, " "},
		{s / 3600, 2, ":"}, {s / 60 % 60, 2, ":"}, {s % 60, 2, minutes < 0 ? " -" : " +"}, {east / 60, 2, ""},
		{east % 60, 2, "] "}};
	puts_(o, "[");
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		put_number(o, (uint64_t)parts[i].value, 10, parts[i].digits);
		puts_(o, parts[i].behind);
	}
}

static void report(int i) {
	static atomic_flag once = ATOMIC_FLAG_INIT;
	if (atomic_flag_test_and_set(&once))
		for (;;) /* another thread is at it, and ends the process */
			pause();

	/*
	 * faulthandler goes first. It may have been put above us: then the handlers of the other signals are its own still,
	 * and it has written already.
	 */
	struct sigaction other;
	sigaction(signals[(i + 1) % SIGNALS], NULL, &other);
	if (faulthandler && other.sa_sigaction == top)
		faulthandler(signals[i]); /* the signal it raises waits until we return */

	out o = {.n = 0};
	put_time(&o);
	puts_(&o, "[");
	put_number(&o, (uint64_t)getpid(), 10, 1);
	puts_(&o, "] [CRITICAL] ");
	puts_(&o, names[i]);
	puts_(&o, ": the process ends.");
	int any = 0;
	for (size_t k = 0; !gw_in_forked_child && k < sizeof running / sizeof *running; k++) {
		gw_thread *t = atomic_load(&running[k].t);
		gw_about a = gw_about_request(t ? t->job : NULL);
		if (!a.line)
			continue;
		if (!any++)
			puts_(&o, " Requests that were running:");
		puts_(&o, "\n  ");
		put(&o, a.line, a.line_len);
		if (a.client_len) {
			puts_(&o, " from ");
			put(&o, a.client, a.client_len);
		}
		if (a.id_len) {
			puts_(&o, " id ");
			put(&o, a.id, a.id_len);
		}
		puts_(&o, " in thread 0x");
		put_number(&o, (uint64_t)(uintptr_t)running[k].id, 16, 16); /* as faulthandler writes it */
		if (pthread_equal(running[k].id, pthread_self()))
			puts_(&o, ", the current one");
	}
	if (!any)
		puts_(&o, " No request was running.");
	puts_(&o, "\n");
	flush(&o);
}

/* ------------------------------------------------------------------------------------------------ handlers */

/* Reports, and lets the signal have its default effect, or the handler of another library, once we return. */
static void crash(int number, int fault) {
	int i = index_of(number);
	int saved = errno;
	if (watching)
		report(i);
	sigaction(number, &foreign[i], NULL);
	if (!fault)
		raise(number); /* blocked until we return; a fault happens again by itself */
	errno = saved;
}

static void top(int number, siginfo_t *info, void *context) {
	int i = index_of(number);
	if (i < FAULTS && info->si_code > 0)
		of_go.sa_sigaction(number, info, context);
	else
		crash(number, info->si_code > 0);
}

static void bottom(int number, siginfo_t *info, void *context) {
	(void)context;
	crash(number, info->si_code > 0);
}

static void take(int number, void (*handler)(int, siginfo_t *, void *)) {
	struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
	action.sa_sigaction = handler;
	sigfillset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

/* Before Go, see sysmon_linux.c. */
__attribute__((constructor(101))) static void begin(void) {
	for (int i = 0; i < FAULTS; i++) {
		sigaction(signals[i], NULL, &before[i]);
		foreign[i] = before[i];
		take(signals[i], bottom);
	}
}

void gw_crash_go_began(void) { sigaction(SIGSEGV, NULL, &of_go); }

static int is_set(const struct sigaction *a) { return a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN; }

void gw_crash_watch(int fd) {
	struct sigaction now[SIGNALS];
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], NULL, &now[i]);

	/* It takes all of them; what has SIGILL and SIGABRT, and is neither ours nor Go's, is taken for it. */
	if (is_set(&now[4]) && now[4].sa_handler == now[3].sa_handler && now[4].sa_sigaction != top &&
		now[4].sa_handler != of_go.sa_handler)
		faulthandler = now[4].sa_handler;

	for (int i = 0; i < SIGNALS; i++) {
		const struct sigaction *a = &now[i];
		if (a->sa_sigaction == top)
			continue;
		if (i < FAULTS && a->sa_handler == of_go.sa_handler)
			a = &before[i];
		int other = is_set(a) && a->sa_handler != faulthandler && a->sa_handler != of_go.sa_handler;
		foreign[i] = other ? *a : (struct sigaction){.sa_handler = SIG_DFL};
		take(signals[i], top);
	}
	report_fd = fd;
	watching = 1;
}
