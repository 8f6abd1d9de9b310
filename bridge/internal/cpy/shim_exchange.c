/*
 * shim_exchange.c: requests and answers over ZeroMQ, for programs that are handlers of Mongrel2. The sockets are Go's
 * (internal/exchange); here are the conversions, and who waits. gowsgi.compat.m2wsgi is made of this. Runs on any thread that
 * has the GIL, whether there is a server or not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "shim_int.h"

/* ------------------------------------------------------------------------------------------------ waiting */

#define DAY (86400 * (int64_t)1000000000)

typedef struct m2_wait {
	uint64_t x, waiter;
	int what, interrupted;
} m2_wait;

static int begin_wait(void *arg, const gw_waits *w) {
	m2_wait *a = arg;
	gw_ws_waiter who = {.sem = (uintptr_t)w->sem};
	if (w->job)
		who = (gw_ws_waiter){
			.gen = w->job->gen, .number = w->number, .job = w->job->index, .thread = w->job->on->index};
	return (a->waiter = gwgo_m2_await(a->x, a->what, &who, 0)) != 0;
}

static void end_wait(void *arg) {
	m2_wait *a = arg;
	a->interrupted = gwgo_m2_forget(a->x, a->waiter);
}

/* The thread reads the connections while it waits, or, if another one does, waits for that one. GW_WAIT_TIMEOUT: or a signal. */
static int lead(const m2_wait *a, sem_t *sem, int64_t until) {
	for (;;) {
		int fd = gwgo_m2_lead(a->x, a->waiter), rc;
		if (fd == GW_M2_LEAD_WOKEN)
			return GW_WAIT_WOKEN;
		int64_t left = until == INT64_MAX ? DAY : until - gw_now_ns();
		if (left <= 0)
			return GW_WAIT_TIMEOUT;
		/* It waits here and not in Go, on whose stacks there is no room for the handler of a signal. */
		if (fd != GW_M2_LEAD_FOLLOWS) {
			struct pollfd one = {.fd = fd, .events = POLLIN};
			rc = poll(&one, 1, (int)((left < DAY ? left + 999999 : DAY) / 1000000));
		} else if (until == INT64_MAX) {
			rc = sem_wait(sem);
		} else {
			struct timespec ts = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
			rc = sem_clockwait(sem, CLOCK_MONOTONIC, &ts);
		}
		if (rc < 0 && errno == EINTR)
			return GW_WAIT_TIMEOUT;
	}
}

/* gw_wait_for, in a thread of the program's own. */
static int wait_leading(m2_wait *a, int64_t ns) {
	sem_t sem;
	int64_t until = ns < 0 ? INT64_MAX : gw_now_ns() + ns;
	int how = GW_WAIT_OVER;
	sem_init(&sem, 0, 0);
	if ((a->waiter = gwgo_m2_await(a->x, a->what, &(gw_ws_waiter){.sem = (uintptr_t)&sem}, 1)) != 0) {
		GW_ALLOW_THREADS(how = lead(a, &sem, until));
		end_wait(a); /* before the handler of a signal, which may wait for what is to be read here */
	}
	sem_destroy(&sem);
	return how;
}

/* A signal that comes just before a thread begins to wait does not end the wait; the main thread looks again after so long. */
enum { LOOK_EVERY = 1000000000 };

/* How it ends, besides GW_M2_OK: woken; GW_M2_NOTHING: time is up; GW_M2_INTERRUPTED. RAISED: with an exception set. */
enum { LOOK = 2, RAISED = -9 };
static int wait_until(uint64_t x, int what, int64_t end) {
	m2_wait a = {.x = x, .what = what};
	int64_t left = end == INT64_MAX ? -1 : end - gw_now_ns();
	if (end != INT64_MAX && left <= 0)
		return GW_M2_NOTHING;
	if (gw_thread_id() == getpid() && !gw_green_can() && (left < 0 || left > LOOK_EVERY))
		left = LOOK_EVERY;
	int own = what != GW_M2_AWAIT_ROOM && !gw_green_can() && !gw_parked_ours();
	int how = own ? wait_leading(&a, left) : gw_wait_for(left, begin_wait, end_wait, &a);
	if (how == GW_WAIT_TIMEOUT && py.PyErr_CheckSignals() < 0)
		how = -1;
	if (how == GW_WAIT_WOKEN || how == GW_WAIT_OVER || how == GW_WAIT_TIMEOUT)
		return a.interrupted ? GW_M2_INTERRUPTED : how == GW_WAIT_TIMEOUT ? LOOK : GW_M2_OK;
	if (how >= 0)
		gw_raise_wait(how);
	if (what == GW_M2_AWAIT_REQUEST)
		gwgo_m2_pass(x); /* it may have been woken all the same */
	return RAISED;
}

static int64_t end_of(int64_t ns) { return ns < 0 ? INT64_MAX : gw_now_ns() + ns; }

static PyObject *none(void) {
	py.Py_IncRef(Py_None);
	return Py_None;
}

/* ------------------------------------------------------------------------------------------------ functions */

static PyObject *m2_open(PyObject *self, PyObject *args) {
	const char *options;
	Py_ssize_t n;
	char err[1024] = "";
	(void)self;
	if (!py.PyArg_ParseTuple(args, "s#:m2_open", &options, &n) || gw_check_fork() < 0)
		return NULL;
	uint64_t x = gwgo_m2_open((char *)options, (size_t)n, err, sizeof err);
	if (x)
		return py.PyLong_FromUnsignedLongLong(x);
	py.PyErr_SetString(py.PyExc_ValueError, err);
	return NULL;
}

/* Takes a request. Apart from who waits, whose stack is kept as long as it does. */
__attribute__((noinline)) static PyObject *take(uint64_t x, int *rc) {
	char few[4096];
	gw_ws_message m = {0};
	uint64_t epoch = 0;
	*rc = gwgo_m2_take(x, few, sizeof few, &m, &epoch);
	if (*rc == GW_M2_NOTHING)
		return NULL;
	if (*rc != GW_M2_OK)
		return none();
	PyObject *message = py.PyBytes_FromStringAndSize(m.data, (Py_ssize_t)m.len);
	if (m.data != few)
		free(m.data);
	return message ? py.Py_BuildValue("(KN)", (unsigned long long)epoch, message) : NULL;
}

static PyObject *m2_recv(PyObject *self, PyObject *args) {
	unsigned long long x;
	PyObject *o = NULL;
	int64_t ns;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "K|O:m2_recv", &x, &o) || gw_parse_timeout(o, &ns) < 0 || gw_check_fork() < 0)
		return NULL;
	int64_t end = end_of(ns);
	for (;;) {
		int rc;
		PyObject *r = take(x, &rc);
		if (rc != GW_M2_NOTHING)
			return r;
		rc = wait_until(x, GW_M2_AWAIT_REQUEST, end);
		if (rc == RAISED)
			return NULL;
		if (rc != GW_M2_OK && rc != LOOK)
			return none();
	}
}

static PyObject *m2_send(PyObject *self, PyObject *args) {
	unsigned long long x;
	unsigned long long epoch;
	const char *data;
	Py_ssize_t n;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "Ky#K:m2_send", &x, &data, &n, &epoch) || gw_check_fork() < 0)
		return NULL;
	int rc = gwgo_m2_send(x, (char *)data, (size_t)n, epoch);
	/* It is taken; but nobody may send without limit, and that is seen to before the next. */
	if (rc == GW_M2_NOTHING)
		while ((rc = wait_until(x, GW_M2_AWAIT_ROOM, INT64_MAX)) == LOOK)
			;
	if (rc == RAISED)
		return NULL;
	if (rc == GW_M2_OVER) {
		py.PyErr_SetString(py.PyExc_ConnectionError, "the connection is closed");
		return NULL;
	}
	return py.PyBool_FromLong(rc != GW_M2_OUTDATED);
}

static PyObject *m2_epoch(PyObject *self, PyObject *args) {
	unsigned long long x;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "K:m2_epoch", &x) || gw_check_fork() < 0)
		return NULL;
	return py.PyLong_FromUnsignedLongLong(gwgo_m2_epoch(x));
}

static PyObject *m2_interrupt(PyObject *self, PyObject *args) {
	unsigned long long x;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "K:m2_interrupt", &x) || gw_check_fork() < 0)
		return NULL;
	gwgo_m2_interrupt(x);
	return none();
}

static PyObject *m2_shutdown(PyObject *self, PyObject *args) {
	unsigned long long x;
	PyObject *o = NULL;
	int64_t ns;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "K|O:m2_shutdown", &x, &o) || gw_parse_timeout(o, &ns) < 0 ||
		gw_check_fork() < 0)
		return NULL;
	int64_t end = end_of(ns);
	int rc;
	gwgo_m2_shutdown(x, ns < 0 ? INT64_MAX : ns);
	while ((rc = wait_until(x, GW_M2_AWAIT_LEFT, end)) == LOOK)
		;
	return rc == RAISED ? NULL : none();
}

static PyObject *m2_close(PyObject *self, PyObject *args) {
	unsigned long long x;
	double linger;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "Kd:m2_close", &x, &linger))
		return NULL;
	/* What a child that was forked has of it is the parent's. */
	if (!gw_in_forked_child)
		GW_ALLOW_THREADS(gwgo_m2_close(x, linger > 0 ? (int64_t)(linger * 1e9) : 0));
	return none();
}

int gw_exchange_init(PyObject *module) {
	static PyMethodDef functions[] = {
		{"m2_open", m2_open, METH_VARARGS,
			"m2_open(options_json) -> int\n\nOpens an exchange: sockets for requests and answers."},
		{"m2_recv", m2_recv, METH_VARARGS,
			"m2_recv(exchange, timeout=None) -> tuple[int, bytes] | None\n\nThe epoch and the next request; None without one."},
		{"m2_send", m2_send, METH_VARARGS,
			"m2_send(exchange, data, epoch) -> bool\n\nSends an answer, if the epoch is not over; waits while too much is queued."},
		{"m2_epoch", m2_epoch, METH_VARARGS, "m2_epoch(exchange) -> int\n\nHow often the server has gone."},
		{"m2_interrupt", m2_interrupt, METH_VARARGS, "m2_interrupt(exchange)\n\nEnds the waits for a request."},
		{"m2_shutdown", m2_shutdown, METH_VARARGS,
			"m2_shutdown(exchange, timeout=None)\n\nHas no more requests come."},
		{"m2_close", m2_close, METH_VARARGS, "m2_close(exchange, linger)\n\nSends what is queued, and closes."},
		{NULL, NULL, 0, NULL},
	};
	return gw_add_functions(module, functions);
}
