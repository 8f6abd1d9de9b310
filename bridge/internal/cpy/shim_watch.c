/*
 * shim_watch.c: the monitor: a thread of its own, neither Python's nor Go's, that looks once a tick for calls into Python
 * that have lasted a full tick. Plain C, because a timer of Go's wakes two or three other threads at each tick: with it, a
 * request of an app that sleeps 5 ms cost 7 futex calls, most of them for the ticks.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "shim_int.h"

enum {
	QUIET = 20, /* ticks without a change, then it sleeps until poked */
	/*
	 * After CALM ticks in which no call blocked, and FRESH ticks since it slept, it looks every SLOW ticks or SLOW_NS,
	 * whichever is less, and a second time a tick later if the call it sees may be one that blocks. A look costs 30 µs,
	 * most of them for two context switches in cold caches: one a millisecond took 5 % of the CPU of a Flask app that
	 * never blocks.
	 */
	CALM = 250,
	FRESH = 50,
	SLOW = 8,
	SLOW_NS = 8000000,
	/*
	 * Before that, while a Python thread leads, it looks ALERT times as often, and takes a leader whose call goes on without
	 * using CPU for blocked: everybody waits for that one. With a call in a hundred that blocks, the 98.8th
	 * percentile of all was 2.2 ms without it, and is 0.6 with it.
	 */
	ALERT = 8,
};

/* What the monitor remembers of a thread. */
typedef struct {
	uint64_t word; /* as of the last look */
	uint64_t told; /* of the call last told of */
	uint64_t age; /* ns that word has been seen for */
	uint64_t ran; /* how much of that it has used the CPU */
	uint64_t cpu; /* its thread's CPU clock at the last look, 0: not known */
	clockid_t clock;
	int has_clock;
	int tid; /* the kernel's number, 0: not known */
} seen_thread;

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	gw_watch shared;
	seen_thread *seen;
	int n, stop;
	uint64_t tick_ns;
	uint64_t slow_ns;
	uint64_t calm_ns; /* since a call blocked, some more than CALM ticks at most */
	uint64_t awake_ns; /* since it slept, some more than FRESH ticks at most */
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

/* What a look finds: anything going on; a call not seen before that may block; a thread that leads. */
enum { BUSY = 1, IN_CALL = 2, LED = 4 };

/* The CPU time of a thread in ns; 0 where that cannot be asked. */
static uint64_t cpu_of(const seen_thread *s) {
	struct timespec t;
	if (!s->has_clock || clock_gettime(s->clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* How much of the last ns the thread has used the CPU for; unknown if that cannot be told. */
static uint64_t used(seen_thread *s, uint64_t unknown) {
	uint64_t before = s->cpu;
	s->cpu = cpu_of(s);
	return before && s->cpu ? s->cpu - before : unknown;
}

/* One look, ns after the one before. */
static int look(uint64_t ns, int alert) {
	int found = 0;
	for (int i = 0; i < w.n; i++) {
		uint64_t word = __atomic_load_n(&w.shared.words[i], __ATOMIC_ACQUIRE);
		seen_thread *s = &w.seen[i];
		int in_call = word & GW_WATCH_IN_CALL, leads = word & GW_WATCH_LEADS;
		found |= leads ? LED : 0;
		if (word != s->word) {
			s->word = word;
			s->age = s->ran = 0;
			found |= BUSY;
			/* A leader that has computed all the time cannot have slept for a tick. If it computes on in this one call, others
			 * wait for it until the next look. */
			int computed = leads && in_call && used(s, 0) + w.tick_ns > ns;
			if (!leads || !in_call)
				s->cpu = 0;
			if (in_call && !computed)
				found |= IN_CALL;
			continue;
		}
		if (!in_call)
			continue;
		found |= BUSY;
		s->age += ns;
		if (s->told == word)
			continue;
		uint64_t cpu = leads ? used(s, ns) : ns;
		int asleep = leads && cpu < ns / 4;
		s->ran += cpu;
		if (s->age < w.tick_ns && !(alert && asleep))
			continue;
		if (leads && (asleep || s->ran < s->age - s->age / 4) && gw_thread_is_ready(s->tid)) {
			s->age = s->ran; /* another process has had its CPU: what it has used counts */
			continue;
		}
		if (asleep || !leads) /* a long computation is no reason for looking more often */
			w.calm_ns = 0;
		if (!leads) /* what a blocked leader means is Go's to say */
			__atomic_store_n(&w.shared.credit, w.shared.credit_full, __ATOMIC_RELEASE);
		if (word & (GW_WATCH_LEADS | GW_WATCH_PENDING))
			gwgo_call_blocked(i, word);
		/* The takeover clears the bit: the same call, not another one that blocks. */
		s->word = s->told = word & ~(uint64_t)GW_WATCH_LEADS;
	}
	return found;
}

static void *watch(void *unused) {
	(void)unused;
	uint64_t idle_ns = 0;
	for (int found = 0;;) {
		if (idle_ns >= QUIET * w.tick_ns) {
			__atomic_store_n(&w.shared.ticking, 0, __ATOMIC_SEQ_CST);
			/* A call that began before the store did not poke: look once more before sleeping. */
			if (!(look(0, 0) & BUSY)) {
				pthread_mutex_lock(&w.lock);
				while (!w.stop && !__atomic_load_n(&w.shared.ticking, __ATOMIC_SEQ_CST))
					pthread_cond_wait(&w.cond, &w.lock);
				pthread_mutex_unlock(&w.lock);
				w.awake_ns = 0;
			} else {
				__atomic_store_n(&w.shared.ticking, 1, __ATOMIC_SEQ_CST);
			}
			idle_ns = 0;
		}
		if (__atomic_load_n(&w.stop, __ATOMIC_ACQUIRE))
			return NULL;
		int blocked_lately = w.calm_ns < CALM * w.tick_ns, fresh = w.awake_ns < FRESH * w.tick_ns;
		int calm = !blocked_lately && !fresh, alert = blocked_lately && found & LED;
		uint64_t ns = w.tick_ns;
		if (alert)
			ns /= ALERT;
		else if (calm && !(found & IN_CALL)) /* else a call just seen for the first time gets its second look */
			ns = w.slow_ns;
		struct timespec nap = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
		nanosleep(&nap, NULL);
		w.calm_ns += blocked_lately ? ns : 0;
		w.awake_ns += fresh ? ns : 0;
		int second = calm && found & IN_CALL;
		found = look(ns, alert);
		if (second)
			found &= ~IN_CALL;
		idle_ns = found & BUSY ? 0 : idle_ns + ns;
	}
}

void gw_watch_this_thread(int index) {
#ifndef __APPLE__
	w.seen[index].has_clock = pthread_getcpuclockid(pthread_self(), &w.seen[index].clock) == 0;
	w.seen[index].tid = gw_thread_id();
#else
	(void)index;
#endif
}

gw_watch *gw_watch_start(int n, uint64_t tick_ns, int credit) {
	w.shared.words = calloc((size_t)n, sizeof *w.shared.words);
	w.seen = calloc((size_t)n, sizeof *w.seen);
	if (!w.shared.words || !w.seen)
		return NULL;
	w.shared.credit = 0;
	w.shared.credit_full = credit;
	w.shared.ticking = 0;
	w.n = n;
	w.stop = 0;
	w.tick_ns = tick_ns;
	w.slow_ns = SLOW * tick_ns < SLOW_NS ? SLOW * tick_ns : tick_ns > SLOW_NS ? tick_ns : SLOW_NS;
	/* No call has blocked yet: looking out for one from the start took 2 of a new server's 16 µs for a connection. */
	w.calm_ns = CALM * tick_ns;
	w.awake_ns = 0;
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old); /* signals are for threads that can handle them */
	int rc = pthread_create(&w.thread, NULL, watch, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? &w.shared : NULL;
}

void gw_watch_poke(void) {
	pthread_mutex_lock(&w.lock);
	__atomic_store_n(&w.shared.ticking, 1, __ATOMIC_SEQ_CST);
	pthread_cond_signal(&w.cond);
	pthread_mutex_unlock(&w.lock);
}

void gw_watch_stop(void) {
	pthread_mutex_lock(&w.lock);
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELEASE);
	pthread_cond_signal(&w.cond);
	pthread_mutex_unlock(&w.lock);
	pthread_join(w.thread, NULL);
	free(w.seen);
	w.seen = NULL;
	/* words stay: a thread that is stuck in the application will still write its own */
}
