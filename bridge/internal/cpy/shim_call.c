/*
 * shim_call.c: one request: call the app, take its response block by block, close what it returned, exactly once.
 * Runs on the Python thread that has the request. GIL: taken on the way in if the thread does not have it, and kept, so
 * that a leader can run several requests under one hold; gw_release gives it up.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim_compat.h"
#include "shim_int.h"

PyObject *gw_app; /* owned: the application, set by shim_module.c */

int gw_sendfile = 1, gw_request_ids;

static PyObject *str_close;

/* ------------------------------------------------------------------------------------------------ unhold list */

/* Objects whose bytes were written by a thread without the GIL wait here for one that has it. */
static struct {
	pthread_mutex_t lock;
	void **items;
	size_t n, cap;
	atomic_size_t waiting;
} unheld = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The number of a connection in the list has its lowest bit set. */
static void hand_in(void *item) {
	pthread_mutex_lock(&unheld.lock);
	if (unheld.n == unheld.cap) {
		size_t cap = unheld.cap ? unheld.cap * 2 : 64;
		void **p = realloc(unheld.items, cap * sizeof *p);
		if (!p) { /* better a leak than a crash */
			pthread_mutex_unlock(&unheld.lock);
			return;
		}
		unheld.items = p;
		unheld.cap = cap;
	}
	unheld.items[unheld.n++] = item;
	atomic_store_explicit(&unheld.waiting, unheld.n, memory_order_release);
	pthread_mutex_unlock(&unheld.lock);
}

void gw_unhold(PyObject *owned) { hand_in(owned); }

void gw_conn_drop(uint32_t conn) {
	if (gw_conn_kept(conn))
		hand_in((void *)((uintptr_t)conn << 1 | 1));
}

int gw_unhold_waiting(void) { return atomic_load_explicit(&unheld.waiting, memory_order_acquire) > 0; }

static void drain_unheld(void) {
	while (GW_UNLIKELY(gw_unhold_waiting())) {
		pthread_mutex_lock(&unheld.lock);
		void *o = unheld.n ? unheld.items[--unheld.n] : NULL;
		atomic_store_explicit(&unheld.waiting, unheld.n, memory_order_release);
		pthread_mutex_unlock(&unheld.lock);
		/* Outside the lock: it may run code. */
		if ((uintptr_t)o & 1) {
			gw_conn_forget((uint32_t)((uintptr_t)o >> 1));
		} else if (o) {
			GW_COUNT(GW_CNT_HELD, -1);
			py.Py_DecRef(o);
		}
	}
}

/* ------------------------------------------------------------------------------------------------ GIL */

static inline void take_gil(gw_thread *t) {
	if (!t->has_gil) {
		py.PyEval_RestoreThread(t->ts);
		t->has_gil = 1;
	}
}

static void drop_pieces(gw_thread *t) {
	for (uint32_t i = 0; i < t->res.npieces; i++) {
		PyObject *o = t->pieces[i].owned;
		if (o) { /* NULL: Go took it */
			GW_COUNT(GW_CNT_HELD, -1);
			py.Py_DecRef(o);
		}
	}
	t->res.npieces = 0;
}

void gw_release(gw_thread *t) {
	if (!t->has_gil) {
		if (t->res.npieces == 0 && !gw_unhold_waiting())
			return;
		take_gil(t);
	}
	drop_pieces(t);
	drain_unheld();
	t->has_gil = 0;
	py.PyEval_SaveThread();
}

int gw_thread_has_gil(const gw_thread *t) { return t->has_gil; }

void gw_check_signals(gw_thread *t) {
	take_gil(t);
	if (py.PyErr_CheckSignals() < 0)
		gw_log_exception(t, "in a signal handler");
}

/* ------------------------------------------------------------------------------------------------ end of a request */

static void set_line(gw_thread *t, const gw_request *rq, const char *arena) {
	size_t m = rq->method.len, u = rq->target.len, room = sizeof t->what;
	if (m > 32)
		m = 32;
	memcpy(t->what, arena + rq->method.off, m);
	t->what[m] = ' ';
	if (u > room - m - 1)
		u = room - m - 1;
	memcpy(t->what + m + 1, arena + rq->target.off, u);
	t->what_len = m + 1 + u;
}

/* Calls close() of what the app returned, if it has one. Exceptions are logged: the response is not theirs to change. */
static void call_close(gw_thread *t, PyObject *iterable) {
	PyObject *close;
	int found = gw_getattr_optional(iterable, str_close, &close);
	if (found < 0)
		gw_log_exception(t, "looking for close()");
	if (found <= 0)
		return;
	PyObject *r = gw_call_noargs(close);
	py.Py_DecRef(close);
	if (r)
		py.Py_DecRef(r);
	else
		gw_log_exception(t, "in close() of the response");
}

/* An app that forked and let the child come back here: the child has no server. It never returns from this. */
static void leave_child(void) {
	PyObject *type, *value, *tb;
	py.PyErr_Fetch(&type, &value, &tb);
	if (type)
		py.PyErr_NormalizeException(&type, &value, &tb);
	PyObject *f = py.PyObject_GetAttrString(gw_support, "leave_child");
	if (f)
		py.PyObject_CallFunctionObjArgs(f, value ? value : Py_None, NULL);
	_exit(1);
}

/* Ends the request: close() exactly once, then the number 0, which makes every object of the request inert. */
static void end_request(gw_thread *t) {
	PyObject *iterable = t->iterable, *iterator = t->iterator;
	t->iterable = t->iterator = NULL;
	if (iterable && t->closeable)
		call_close(t, iterable);
	t->gen = 0;
	gw_conn *c = t->conn;
	t->conn = NULL;
	if (GW_LIKELY(c != NULL))
		gw_conn_end(c, t->socket_taken); /* what is kept of a socket would keep the descriptor open */
	if (iterator)
		py.Py_DecRef(iterator);
	if (iterable)
		py.Py_DecRef(iterable);
	if (GW_UNLIKELY(gw_in_forked_child))
		leave_child();
}

/* Ends the request with the exception that is set. */
static int fail(gw_thread *t, const char *what) {
	if (GW_UNLIKELY(gw_in_forked_child))
		leave_child();
	if (t->socket_taken && !(t->res.flags & GW_RES_STARTED) && py.PyErr_ExceptionMatches(py.PyExc_StopIteration)) {
		py.PyErr_Clear();
		end_request(t);
		return GW_HIJACK;
	}
	gw_log_exception(t, what);
	end_request(t);
	return GW_FAILED;
}

/* ------------------------------------------------------------------------------------------------ blocks */

/* Adds a block. owned_item: taken. 1 added, 0 empty, -1 with an exception set. */
static int add_piece(gw_thread *t, PyObject *owned_item) {
	char *p;
	Py_ssize_t n;
	if (GW_UNLIKELY(py.PyBytes_AsStringAndSize(owned_item, &p, &n) < 0)) {
		if (!gw_is_bytes(owned_item))
			py.PyErr_Format(py.PyExc_TypeError, "the response body must consist of bytes, not %R",
				gw_type_of(owned_item));
		py.Py_DecRef(owned_item);
		return -1;
	}
	if (n == 0) {
		py.Py_DecRef(owned_item);
		return 0;
	}
	if (GW_UNLIKELY(t->res.npieces == t->pieces_cap)) {
		uint32_t cap = t->pieces_cap ? t->pieces_cap * 2 : 16;
		gw_piece *more = realloc(t->pieces, cap * sizeof *more);
		if (!more) {
			py.Py_DecRef(owned_item);
			py.PyErr_NoMemory();
			return -1;
		}
		t->pieces = more;
		t->pieces_cap = cap;
		t->res.pieces = more;
	}
	t->pieces[t->res.npieces++] = (gw_piece){.ptr = p, .len = (size_t)n, .owned = owned_item};
	GW_COUNT(GW_CNT_HELD, 1);
	return 1;
}

static int started(gw_thread *t) {
	if (GW_LIKELY(t->res.flags & GW_RES_STARTED))
		return 1;
	py.PyErr_SetString(py.PyExc_RuntimeError, "the application did not call start_response before its first block");
	return 0;
}

/* Takes the next block that is not empty. */
static int step(gw_thread *t) {
	for (;;) {
		PyObject *item = py.PyIter_Next(t->iterator);
		if (!item) {
			if (py.PyErr_Occurred())
				return fail(t, "while iterating the response");
			if (GW_UNLIKELY(gw_in_forked_child))
				leave_child();
			if (t->socket_taken && !(t->res.flags & GW_RES_STARTED)) {
				end_request(t);
				return GW_HIJACK;
			}
			if (!started(t))
				return fail(t, "while iterating the response");
			end_request(t);
			return GW_END;
		}
		int rc = add_piece(t, item);
		if (rc == 0)
			continue;
		if (rc < 0 || !started(t))
			return fail(t, "while iterating the response");
		t->head_gone = 1;
		return GW_MORE;
	}
}

/* A list or tuple: all blocks are there. */
static int take_sequence(gw_thread *t, PyObject *result, int is_list) {
	for (Py_ssize_t i = 0; i < (is_list ? py.PyList_Size(result) : py.PyTuple_Size(result)); i++) {
		PyObject *item = is_list ? py.PyList_GetItem(result, i) : py.PyTuple_GetItem(result, i);
		py.Py_IncRef(item);
		if (GW_UNLIKELY(add_piece(t, item) < 0))
			return fail(t, "in the response");
	}
	if (GW_UNLIKELY(t->socket_taken) && !(t->res.flags & GW_RES_STARTED)) {
		end_request(t);
		return GW_HIJACK;
	}
	if (!started(t))
		return fail(t, "in the response");
	if (!(t->res.flags & GW_RES_WRITTEN))
		t->res.flags |= GW_RES_SIZED;
	end_request(t);
	return GW_END;
}

static int take_result(gw_thread *t, PyObject *result) {
	PyTypeObject *type = gw_type_of(result);
	t->closeable = type != py.PyList_Type && type != py.PyTuple_Type;
	if (GW_LIKELY(!t->closeable))
		return take_sequence(t, result, type == py.PyList_Type);
	if ((PyObject *)type == gw_type_wrapper && gw_sendfile && (t->res.flags & GW_RES_STARTED) &&
		gw_file_range(result, &t->res.file_fd, &t->res.file_off, &t->res.file_len)) {
		/* close() waits until the file is sent: gw_finish. */
		t->res.finish = t->iterable;
		t->iterable = NULL;
		end_request(t);
		return GW_FILE;
	}
	if (type == py.PyUnicode_Type || type == py.PyBytes_Type || result == Py_None) {
		py.PyErr_Format(py.PyExc_TypeError,
			"the application must return an iterable of bytes, such as [b'...'], not %R", type);
		return fail(t, "in the response");
	}
	t->iterator = py.PyObject_GetIter(result);
	if (!t->iterator)
		return fail(t, "in the response");
	return step(t);
}

/* ------------------------------------------------------------------------------------------------ entry points */

static PyObject *call_app(PyObject *environ, PyObject *start) {
	PyObject *args[3] = {NULL, environ, start};
	return gw_vectorcall(gw_app, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

int gw_call(gw_thread *t, const gw_request *rq, const char *arena, const gw_header *headers, const char *body) {
	take_gil(t);
	drop_pieces(t);
	drain_unheld();

	t->gen = rq->gen;
	t->job = rq->job;
	t->socket_taken = t->head_gone = 0;
	t->res = (gw_response){.content_length = -1, .pieces = t->pieces, .file_fd = -1};
	set_line(t, rq, arena);
	if (GW_UNLIKELY(gw_request_ids))
		gw_about_id(rq, arena, headers);

	gw_conn *c = t->conn = gw_conn_begin(t, rq);
	if (GW_LIKELY(c != NULL)) {
		c->gen = rq->gen;
		c->fd = rq->fd;
	}
	PyObject *environ = c ? gw_environ(t, rq, arena, headers, body) : NULL;
	PyObject *start = environ ? gw_start_new(t) : NULL;
	PyObject *result = start ? call_app(environ, start) : NULL;
	if (environ)
		py.Py_DecRef(environ);
	if (start)
		py.Py_DecRef(start);
	if (GW_UNLIKELY(!result))
		return fail(t, "in the application");
	t->iterable = result;
	t->closeable = 1;
	return take_result(t, result);
}

gw_response *gw_thread_response(gw_thread *t) { return &t->res; }

int gw_next(gw_thread *t) {
	take_gil(t);
	drop_pieces(t);
	return step(t);
}

void gw_abandon(gw_thread *t) {
	take_gil(t);
	drop_pieces(t);
	end_request(t);
}

void gw_finish(gw_thread *t, PyObject *owned_finish) {
	take_gil(t);
	t->what_len = 0;
	call_close(t, owned_finish);
	py.Py_DecRef(owned_finish);
}

int gw_call_init(void) {
	if (!str_close)
		str_close = py.PyUnicode_InternFromString("close");
	return str_close ? 0 : -1;
}
