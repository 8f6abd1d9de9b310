/*
 * shim_wait.c: waiting. A Waiter is where one piece of code waits for another, wait_fd waits for a descriptor. In a greenlet of
 * ours the waiting code hands its thread back (shim_green.c), anywhere else the OS thread waits, without the GIL (shim_parked.c).
 *
 * Runs on any Python thread, GIL held. What a waiter has is touched only with the GIL.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "shim_compat.h"
#include "shim_int.h"

static const char *const exceptions[] = {
	[GW_WAIT_TIMEOUT] = "Timeout", [GW_WAIT_GONE] = "Disconnected", [GW_WAIT_STOPPING] = "Stopping"};

/* ------------------------------------------------------------------------------------------------ time */

enum { FOREVER = -1 };

int64_t gw_now_ns(void) {
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Seconds or None. 0, or -1 with an exception set. */
int gw_parse_timeout(PyObject *o, int64_t *ns) {
	*ns = FOREVER;
	if (!o || o == Py_None)
		return 0;
	double s = py.PyFloat_AsDouble(o);
	if (s == -1 && py.PyErr_Occurred())
		return -1;
	if (s != s) {
		py.PyErr_SetString(py.PyExc_ValueError, "a time-out must be a number of seconds, not NaN");
		return -1;
	}
	*ns = s <= 0 ? 0 : s > 1e9 ? (int64_t)1e18 : (int64_t)(s * 1e9);
	return 0;
}

static int broke_off; /* whether a wait has ever ended so */

/* ------------------------------------------------------------------------------------------------ in a greenlet */

/* The number << GW_WAIT_BITS that the next wait of j has. */
static uint64_t arm(gw_job *j, int64_t timeout, int fd, int events, int client) {
	gw_wait *w = &j->wait;
	uint64_t number = (w->word >> GW_WAIT_BITS) + 1;
	w->timeout = timeout;
	w->fd = fd;
	w->events = events;
	w->client = client;
	w->got = 0;
	__atomic_store_n(&w->word, number << GW_WAIT_BITS | GW_WAITS, __ATOMIC_RELEASE);
	return number << GW_WAIT_BITS;
}

static int end_wait(gw_job *j, uint64_t number, int how) {
	uint64_t waits = number | GW_WAITS;
	return __atomic_compare_exchange_n(
		&j->wait.word, &waits, number | (uint64_t)how, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Waits, armed. GW_WAIT_…, or -1 with an exception set. */
static int hand_back(gw_job *j, uint64_t number) {
	int rc = gw_green_hand_back();
	int how = (int)(__atomic_load_n(&j->wait.word, __ATOMIC_ACQUIRE) & ((1 << GW_WAIT_BITS) - 1));
	if (GW_UNLIKELY(how == GW_WAITS)) {
		/* Nobody has ended it: Go has the job, and is told that it has gone on. */
		if (end_wait(j, number, GW_WAIT_OVER) && rc == 0) {
			py.PyErr_SetString(py.PyExc_RuntimeError,
				"other code has switched to the greenlet of a suspended request");
			rc = -1;
		}
	}
	__atomic_store_n(&j->wait.word, number, __ATOMIC_RELEASE);
	return rc < 0 ? -1 : how;
}

PyObject *gw_raise_wait(int how) {
	static const char *const texts[] = {[GW_WAIT_TIMEOUT] = "timed out",
		[GW_WAIT_GONE] = "the client has left",
		[GW_WAIT_STOPPING] = "the server is stopping"};
	if (how < GW_WAIT_TIMEOUT || how > GW_WAIT_STOPPING) {
		py.PyErr_SetString(py.PyExc_RuntimeError, "a wait was ended by nobody");
		return NULL;
	}
	/* Asked for each time: the package puts classes of its own there, which an application may name before this is loaded. */
	PyObject *e = py.PyObject_GetAttrString(gw_native, exceptions[how]);
	if (e) {
		py.PyErr_SetString(e, texts[how]);
		py.Py_DecRef(e);
		broke_off = 1;
	}
	return NULL;
}

int gw_wait_broken_off(void) {
	PyObject *type, *value, *tb;
	int is = 0;
	if (GW_LIKELY(!broke_off))
		return 0;
	py.PyErr_Fetch(&type, &value, &tb);
	for (int how = GW_WAIT_GONE; type && !is && how <= GW_WAIT_STOPPING; how++) {
		PyObject *e = py.PyObject_GetAttrString(gw_native, exceptions[how]);
		if (e) {
			is = py.PyErr_GivenExceptionMatches(type, e);
			py.Py_DecRef(e);
		} else {
			py.PyErr_Clear();
		}
	}
	py.PyErr_Restore(type, value, tb);
	return is;
}

/* ------------------------------------------------------------------------------------------------ Waiter */

typedef struct waiter_object {
	PyObject *value; /* owned: of a wake that nobody has taken; NULL: none */
	int waiting;
	gw_job *of; /* the request whose code has made it, with gen; NULL: none */
	uint64_t gen;
	gw_job *job; /* that waits, in its greenlet; NULL: an OS thread does */
	uint64_t number; /* of its wait */
	sem_t *sem; /* of the OS thread */
} waiter_object;

PyObject *gw_type_waiter;

static PyObject *take_value(waiter_object *w) {
	PyObject *v = w->value;
	w->value = NULL;
	return v;
}

/* How often an OS thread that waits looks whether its client is there. */
enum { LOOK_EVERY = 1000000000 };

/* The OS thread waits. GW_WAIT_…, or -1 with an exception set. */
static int wait_in_thread(PyObject *self, int64_t timeout, int client) {
	waiter_object *w = GW_SELF(waiter_object, self);
	int64_t end = timeout < 0 ? INT64_MAX : gw_now_ns() + timeout;
	gw_conn *conn = client && gw_self && gw_self->job ? gw_self->job->conn : NULL;
	gw_parked parked;
	int how = GW_WAIT_WOKEN;
	gw_parked_enter(&parked);
	w->sem = &parked.sem;
	w->job = NULL;
	while (!w->value) {
		int64_t now = gw_now_ns(), until = end;
		if (gw_parked_is_over(&parked)) {
			how = GW_WAIT_STOPPING;
			break;
		}
		if (now >= end) {
			how = GW_WAIT_TIMEOUT;
			break;
		}
		if (conn && until - now > LOOK_EVERY)
			until = now + LOOK_EVERY;
		struct timespec ts = {.tv_sec = until / 1000000000};
		int rc, err;
		ts.tv_nsec = until % 1000000000;
		GW_ALLOW_THREADS(rc = until == INT64_MAX ? sem_wait(&parked.sem)
		                                         : sem_clockwait(&parked.sem, CLOCK_MONOTONIC, &ts);
			err = errno);
		if (rc < 0 && err == EINTR && py.PyErr_CheckSignals() < 0) {
			how = -1;
			break;
		}
		char byte;
		if (conn && !w->value && recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
			how = GW_WAIT_GONE;
			break;
		}
	}
	w->sem = NULL;
	gw_parked_leave(&parked);
	return how;
}

static PyObject *waiter_wait(PyObject *self, PyObject *args, PyObject *kwargs) {
	static char *names[] = {"timeout", "client", "turn", NULL};
	waiter_object *w = GW_SELF(waiter_object, self);
	PyObject *o = NULL;
	int client = 0, turn = 0;
	int64_t timeout;
	if (!py.PyArg_ParseTupleAndKeywords(args, kwargs, "|Opp:wait", names, &o, &client, &turn) ||
		gw_parse_timeout(o, &timeout) < 0)
		return NULL;
	if (w->waiting) {
		py.PyErr_SetString(py.PyExc_RuntimeError, "already waiting");
		return NULL;
	}
	if (w->value)
		return take_value(w);
	if (timeout == 0)
		return gw_raise_wait(GW_WAIT_TIMEOUT);
	if (gw_check_fork() < 0)
		return NULL;
	int how;
	w->waiting = 1;
	py.Py_IncRef(self); /* whoever waits keeps it */
	if (gw_green_can()) {
		gw_job *j = gw_self->job;
		w->job = j;
		w->number = arm(j, timeout, -1, 0, client);
		how = hand_back(j, w->number);
	} else {
		how = wait_in_thread(self, timeout, client);
	}
	w->waiting = 0;
	w->job = NULL;
	int woken = w->value && !(turn && how == GW_WAIT_STOPPING); /* a turn's wake comes always */
	PyObject *value = how < 0 ? NULL : woken ? take_value(w) : gw_raise_wait(how);
	py.Py_DecRef(self);
	return value;
}

static PyObject *waiter_wake(PyObject *self, PyObject *args) {
	waiter_object *w = GW_SELF(waiter_object, self);
	PyObject *value = Py_None;
	if (!py.PyArg_ParseTuple(args, "|O:wake", &value))
		return NULL;
	if (w->value)
		return py.PyBool_FromLong(0);
	py.Py_IncRef(value);
	w->value = value;
	if (w->job) {
		gw_job *j = w->job;
		uint64_t gen = j->gen;
		if (!gw_in_forked_child && end_wait(j, w->number, GW_WAIT_WOKEN)) /* where nobody waits any more */
			gwgo_ready(j->index, gen, gw_self == j->on);
	} else if (w->sem) {
		sem_post(w->sem);
	}
	return py.PyBool_FromLong(1);
}

static PyObject *waiter_waiting(PyObject *self, void *closure) {
	(void)closure;
	return py.PyBool_FromLong(GW_SELF(waiter_object, self)->waiting);
}

/* Whether the request whose code has made it has ended. */
static int is_over(waiter_object *w) { return w->of && w->of->gen != w->gen; }

static PyObject *waiter_over(PyObject *self, void *closure) {
	(void)closure;
	return py.PyBool_FromLong(is_over(GW_SELF(waiter_object, self)));
}

/* Whether its client can get nothing any more; as client_disconnected. */
static PyObject *waiter_gone(PyObject *self, void *closure) {
	waiter_object *w = GW_SELF(waiter_object, self);
	(void)closure;
	int gone = is_over(w);
	if (!gone && w->of && w->of->conn) {
		char byte;
		ssize_t n = recv(w->of->conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
		gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
	}
	return py.PyBool_FromLong(gone);
}

static PyObject *waiter_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
	static char *names[] = {NULL};
	(void)type;
	if ((kwargs || py.PyTuple_Size(args) > 0) && !py.PyArg_ParseTupleAndKeywords(args, kwargs, ":Waiter", names))
		return NULL;
	PyObject *o = gw_new(gw_type_waiter, GW_CNT_WAITERS);
	if (o && gw_self && gw_self->job && gw_self->job->gen) {
		GW_SELF(waiter_object, o)->of = gw_self->job;
		GW_SELF(waiter_object, o)->gen = gw_self->job->gen;
	}
	return o;
}

static void waiter_dealloc(PyObject *self) {
	PyObject *value = take_value(GW_SELF(waiter_object, self));
	gw_delete(self, gw_type_waiter, GW_CNT_WAITERS);
	if (value)
		py.Py_DecRef(value);
}

/* ------------------------------------------------------------------------------------------------ anything */

/* The OS thread waits for p->sem. */
static int wait_parked(int64_t ns, gw_parked *p) {
	int64_t until = ns < 0 ? INT64_MAX : gw_now_ns() + ns;
	struct timespec ts = {.tv_sec = until / 1000000000};
	ts.tv_nsec = until % 1000000000;
	for (;;) {
		int rc, err;
		if (gw_parked_is_over(p))
			return GW_WAIT_STOPPING;
		GW_ALLOW_THREADS(
			rc = until == INT64_MAX ? sem_wait(&p->sem) : sem_clockwait(&p->sem, CLOCK_MONOTONIC, &ts);
			err = errno);
		if (rc == 0)
			return gw_parked_is_over(p) ? GW_WAIT_STOPPING : GW_WAIT_WOKEN;
		if (err == ETIMEDOUT)
			return GW_WAIT_TIMEOUT;
		if (py.PyErr_CheckSignals() < 0)
			return -1;
	}
}

int gw_wait_for(int64_t ns, int (*begin)(void *arg, const gw_waits *w), void (*end)(void *arg), void *arg) {
	if (gw_green_can()) {
		gw_job *j = gw_self->job;
		uint64_t number = arm(j, ns, -1, 0, 0);
		if (!begin(arg, &(gw_waits){.job = j, .number = number >> GW_WAIT_BITS})) {
			end_wait(j, number, GW_WAIT_OVER);
			return GW_WAIT_OVER;
		}
		int how = hand_back(j, number);
		end(arg);
		return how;
	}
	gw_parked parked;
	gw_parked_enter(&parked);
	int how = GW_WAIT_OVER;
	if (begin(arg, &(gw_waits){.sem = &parked.sem})) {
		how = wait_parked(ns, &parked);
		end(arg);
	}
	gw_parked_leave(&parked);
	return how;
}

enum { TURN = 1000000 };

int gw_give_turn(int64_t *since) {
	int64_t now = gw_now_ns();
	if (GW_LIKELY(now - *since < TURN))
		return 0;
	*since = now;
	if (!gw_green_can())
		return 0;
	gw_job *j = gw_self->job;
	uint64_t number = arm(j, FOREVER, -1, 0, 0);
	end_wait(j, number, GW_WAIT_WOKEN);
	gwgo_ready(j->index, j->gen, 1);
	if (hand_back(j, number) < 0)
		return -1;
	*since = gw_now_ns();
	return 0;
}

/* ------------------------------------------------------------------------------------------------ descriptors */

static PyObject *no_descriptor(int err) {
	errno = err;
	return py.PyErr_SetFromErrno(py.PyExc_OSError);
}

/* The OS thread waits. */
static PyObject *poll_fd(int fd, int events, int64_t timeout) {
	int64_t end = timeout < 0 ? INT64_MAX : gw_now_ns() + timeout;
	struct pollfd both[2] = {
		{.fd = fd, .events = (short)((events & 1 ? POLLIN : 0) | (events & 2 ? POLLOUT : 0))},
		{.fd = gw_parked_bell(), .events = POLLIN},
	};
	for (;;) {
		int64_t left = end == INT64_MAX ? -1 : end - gw_now_ns();
		int ms = left < 0                      ? end == INT64_MAX ? -1 : 0
		         : left > 1000000000LL * 86400 ? 86400000
		                                       : (int)((left + 999999) / 1000000);
		int n, err;
		GW_ALLOW_THREADS(n = poll(both, 2, ms); err = errno);
		short revents = both[0].revents;
		if (n > 0 && !revents)
			return gw_raise_wait(GW_WAIT_STOPPING);
		if (n > 0) {
			if (revents & POLLNVAL)
				return no_descriptor(EBADF);
			int got = (revents & (POLLIN | POLLERR | POLLHUP) ? 1 : 0) |
			          (revents & (POLLOUT | POLLERR | POLLHUP) ? 2 : 0);
			return py.PyLong_FromLong(got & events ? got & events : events);
		}
		if (n < 0 && err != EINTR)
			return no_descriptor(err);
		if (n < 0 && py.PyErr_CheckSignals() < 0)
			return NULL;
		if (n == 0 && end != INT64_MAX && gw_now_ns() >= end)
			return gw_raise_wait(GW_WAIT_TIMEOUT);
	}
}

static PyObject *native_wait_fd(PyObject *self, PyObject *args) {
	int fd, events;
	PyObject *o = NULL;
	int64_t timeout;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "ii|O:wait_fd", &fd, &events, &o) || gw_parse_timeout(o, &timeout) < 0)
		return NULL;
	if (events < 1 || events > 3) {
		py.PyErr_SetString(py.PyExc_ValueError, "events must be 1 (readable), 2 (writable) or 3 (either)");
		return NULL;
	}
	if (fd < 0 || fcntl(fd, F_GETFD) < 0)
		return no_descriptor(EBADF);
	if (timeout == 0 || gw_in_forked_child || !gw_green_can())
		return poll_fd(fd, events, timeout);
	gw_job *j = gw_self->job;
	uint64_t number = arm(j, timeout, fd, events, 0);
	int how = hand_back(j, number);
	if (how < 0)
		return NULL;
	if (how != GW_WAIT_FD)
		return gw_raise_wait(how);
	return j->wait.got < 0 ? no_descriptor(-j->wait.got) : py.PyLong_FromLong(j->wait.got);
}

static PyObject *native_cancel_fd(PyObject *self, PyObject *arg) {
	(void)self;
	long fd = py.PyLong_AsLong(arg);
	if (fd == -1 && py.PyErr_Occurred())
		return NULL;
	return py.PyLong_FromLong(gw_green_on && !gw_in_forked_child ? gwgo_cancel_fd((int)fd) : 0);
}

/* ------------------------------------------------------------------------------------------------ names */

/* resolve(host, family) -> list of addresses. Errors are OSError(EAI_…, text). */
static PyObject *native_resolve(PyObject *self, PyObject *args) {
	const char *host;
	int family;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "si:resolve", &host, &family) || gw_check_fork() < 0)
		return NULL;
	PyObject *waiter = gw_new(gw_type_waiter, GW_CNT_WAITERS);
	if (!waiter)
		return NULL;
	py.Py_IncRef(waiter); /* for gw_answer */
	gwgo_resolve((char *)host, strlen(host), family, waiter);
	PyObject *wait = py.PyObject_GetAttrString(waiter, "wait");
	PyObject *answer = wait ? gw_call_noargs(wait) : NULL; /* (code, text) */
	if (wait)
		py.Py_DecRef(wait);
	py.Py_DecRef(waiter);
	if (!answer)
		return NULL;
	PyObject *result = NULL;
	if (py.PyLong_AsLong(py.PyTuple_GetItem(answer, 0)) != 0) {
		py.PyErr_SetObject(py.PyExc_OSError, answer);
	} else {
		PyObject *split = py.PyObject_GetAttrString(py.PyTuple_GetItem(answer, 1), "split");
		result = split ? gw_call_noargs(split) : NULL;
		if (split)
			py.Py_DecRef(split);
	}
	py.Py_DecRef(answer);
	return result;
}

void gw_answer(PyObject *waiter, int code, const char *text) {
	int gil = py.PyGILState_Ensure();
	PyObject *number = py.PyLong_FromLong(code), *words = py.PyUnicode_FromString(text);
	PyObject *answer = number && words ? py.PyTuple_Pack(2, number, words) : NULL;
	PyObject *args = answer ? py.PyTuple_Pack(1, answer) : NULL;
	PyObject *r = args ? waiter_wake(waiter, args) : NULL;
	PyObject *owned[] = {number, words, answer, args, r, waiter};
	for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
		if (owned[i])
			py.Py_DecRef(owned[i]);
	if (!r)
		gw_log_exception(NULL, "while resolving a name");
	py.PyGILState_Release(gil);
}

/* ------------------------------------------------------------------------------------------------ the rest */

static PyObject *native_suspendable(PyObject *self, PyObject *ignored) {
	(void)self;
	(void)ignored;
	return py.PyBool_FromLong(gw_green_can());
}

static PyObject *native_owner(PyObject *self, PyObject *ignored) {
	(void)self;
	(void)ignored;
	PyObject *o = gw_green_can() ? gw_green_owner() : Py_None;
	py.Py_IncRef(o);
	return o;
}

static PyObject *native_check_stopping(PyObject *self, PyObject *ignored) {
	(void)self;
	(void)ignored;
	if (gw_parked_check())
		return gw_raise_wait(GW_WAIT_STOPPING);
	py.Py_IncRef(Py_None);
	return Py_None;
}

/* A new exception class of the module gowsgi. 0, or -1 with an exception set. */
static int exception(PyObject *module, int how, PyObject *base) {
	char full[64];
	snprintf(full, sizeof full, "gowsgi.%s", exceptions[how]);
	PyObject *e = py.PyErr_NewException(full, base, NULL);
	if (e && py.PyModule_AddObject(module, exceptions[how], e) == 0)
		return 0;
	if (e)
		py.Py_DecRef(e);
	return -1;
}

int gw_wait_init(PyObject *module) {
	static PyMethodDef waiter_methods[] = {
		{"wait", (PyCFunction)(void (*)(void))waiter_wait, METH_VARARGS | METH_KEYWORDS,
			"wait(timeout=None, client=False, turn=False)\n\nWaits for wake() and returns its value."},
		{"wake", waiter_wake, METH_VARARGS,
			"wake(value=None) -> bool\n\nEnds the wait; False: it has been woken."},
		{NULL, NULL, 0, NULL},
	};
	static PyGetSetDef waiter_getset[] = {
		{"waiting", waiter_waiting, NULL, NULL, NULL},
		{"over", waiter_over, NULL, NULL, NULL},
		{"gone", waiter_gone, NULL, NULL, NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot waiter_slots[] = {
		{Py_tp_new, waiter_new},
		{Py_tp_dealloc, waiter_dealloc},
		{Py_tp_methods, waiter_methods},
		{Py_tp_getset, waiter_getset},
		{0, NULL},
	};
	static PyType_Spec waiter_spec = {
		.name = "gowsgi._gowsgi.Waiter", .flags = Py_TPFLAGS_DEFAULT, .slots = waiter_slots};
	static PyMethodDef functions[] = {
		{"wait_fd", native_wait_fd, METH_VARARGS,
			"wait_fd(fd, events, timeout=None) -> int\n\nWaits until a descriptor is ready; 1 readable, 2 writable."},
		{"resolve", native_resolve, METH_VARARGS,
			"resolve(host, family) -> list\n\nThe addresses of a host name, by Go's resolver."},
		{"cancel_fd", native_cancel_fd, METH_O, "cancel_fd(fd) -> int\n\nEnds the waits for a descriptor."},
		{"suspendable", native_suspendable, METH_NOARGS,
			"suspendable() -> bool\n\nWhether the calling code can give its thread back."},
		{"owner", native_owner, METH_NOARGS,
			"owner() -> greenlet or None\n\nThe greenlet of the server's in or below which the calling code runs."},
		{"check_stopping", native_check_stopping, METH_NOARGS,
			"check_stopping()\n\nRaises Stopping where the waits of the calling OS thread have ended."},
		{NULL, NULL, 0, NULL},
	};
	if (!(gw_type_waiter = gw_make_type(module, &waiter_spec, sizeof(waiter_object))) ||
		exception(module, GW_WAIT_TIMEOUT, py.PyExc_TimeoutError) < 0 ||
		exception(module, GW_WAIT_GONE, py.PyExc_ConnectionError) < 0 ||
		exception(module, GW_WAIT_STOPPING, py.PyExc_RuntimeError) < 0)
		return -1;
	return gw_add_functions(module, functions);
}
