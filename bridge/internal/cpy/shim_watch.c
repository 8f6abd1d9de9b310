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
	 * After CALM looks none of which found a call that blocks, it sleeps SLOW ticks between two pairs of looks that are a
	 * tick apart: looking every millisecond took 5 % of the CPU of a Flask app that never blocks.
	 */
	CALM = 64,
	SLOW = 4,
};

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	gw_watch shared;
	uint64_t *seen, *told;
	int n, stop, calm;
	uint64_t tick_ns;
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

enum { BUSY = 1, IN_CALL = 2 };

/* One look. Returns BUSY if anything is going on, IN_CALL if a thread is in a call. */
static int look(void) {
	int found = 0;
	for (int i = 0; i < w.n; i++) {
		uint64_t word = __atomic_load_n(&w.shared.words[i], __ATOMIC_ACQUIRE);
		if (word != w.seen[i]) {
			w.seen[i] = word;
			found |= BUSY | (word & GW_WATCH_IN_CALL ? IN_CALL : 0);
		} else if (word & GW_WATCH_IN_CALL) {
			found |= BUSY;
			if (w.told[i] != word) {
				w.calm = 0;
				if (!(word & GW_WATCH_LEADS)) /* what a blocked leader means is Go's to say */
					__atomic_store_n(&w.shared.credit, w.shared.credit_full, __ATOMIC_RELEASE);
				if (word & (GW_WATCH_LEADS | GW_WATCH_PENDING))
					gwgo_call_blocked(i, word);
				/* The takeover clears the bit: the same call, not another one that blocks. */
				w.seen[i] = w.told[i] = word & ~(uint64_t)GW_WATCH_LEADS;
			}
		}
	}
	return found;
}

static void *watch(void *unused) {
	(void)unused;
	for (int still = 0, found = 0;;) {
		if (still >= QUIET) {
			__atomic_store_n(&w.shared.ticking, 0, __ATOMIC_SEQ_CST);
			/* A call that began before the store did not poke: look once more before sleeping. */
			if (!look()) {
				pthread_mutex_lock(&w.lock);
				while (!w.stop && !__atomic_load_n(&w.shared.ticking, __ATOMIC_SEQ_CST))
					pthread_cond_wait(&w.cond, &w.lock);
				pthread_mutex_unlock(&w.lock);
			} else {
				__atomic_store_n(&w.shared.ticking, 1, __ATOMIC_SEQ_CST);
			}
			still = 0;
		}
		if (__atomic_load_n(&w.stop, __ATOMIC_ACQUIRE))
			return NULL;
		/* A call that was seen for the first time gets its second look a tick later. */
		uint64_t ns = w.calm < CALM || (found & IN_CALL) ? w.tick_ns : SLOW * w.tick_ns;
		struct timespec tick = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
		nanosleep(&tick, NULL);
		w.calm = w.calm < CALM ? w.calm + 1 : CALM;
		found = w.calm < CALM || !(found & IN_CALL) ? look() : look() & BUSY;
		still = found ? 0 : still + 1;
	}
}

gw_watch *gw_watch_start(int n, uint64_t tick_ns, int credit) {
	w.shared.words = calloc((size_t)n, sizeof *w.shared.words);
	w.seen = calloc((size_t)n, sizeof *w.seen);
	w.told = calloc((size_t)n, sizeof *w.told);
	if (!w.shared.words || !w.seen || !w.told)
		return NULL;
	w.shared.credit = 0;
	w.shared.credit_full = credit;
	w.shared.ticking = 0;
	w.n = n;
	w.stop = 0;
	w.tick_ns = tick_ns;
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
	free(w.told);
	/* words stay: a thread that is stuck in the application will still write its own */
}
