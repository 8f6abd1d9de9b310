/*
 * shim_call.c: one request: call the app, take its response block by block, close what it returned, exactly once.
 * Runs on the Python thread that has the job. GIL: taken on the way in if the thread does not have it, and kept, so
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

enum {
	KEEP_UNHELD = 4096, /* places that are kept */
	FEW_UNHELD = 64, /* that a request lets go of on its way */
	MOST_UNHELD = 1000, /* that one call of gw_tidy does */
};

/* The number of a connection in the list has its lowest bit set; else the second one is that of what was no piece. */
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

void gw_drop(PyObject *owned) { hand_in((void *)((uintptr_t)owned | 2)); }

void gw_conn_drop(uint32_t conn) {
	if (gw_conn_kept(conn))
		hand_in((void *)((uintptr_t)conn << 1 | 1));
}

int gw_unhold_waiting(void) { return atomic_load_explicit(&unheld.waiting, memory_order_acquire) > 0; }

/* Lets go of at most most of them. */
static void drain_unheld(int most) {
	while (GW_UNLIKELY(gw_unhold_waiting()) && most-- > 0) {
		pthread_mutex_lock(&unheld.lock);
		void *o = unheld.n ? unheld.items[--unheld.n] : NULL;
		if (unheld.n == 0 && unheld.cap > KEEP_UNHELD) { /* it was an exception */
			free(unheld.items);
			unheld.items = NULL;
			unheld.cap = 0;
		}
		atomic_store_explicit(&unheld.waiting, unheld.n, memory_order_release);
		pthread_mutex_unlock(&unheld.lock);
		/* Outside the lock: it may run code. */
		if ((uintptr_t)o & 1) {
			gw_conn_forget((uint32_t)((uintptr_t)o >> 1));
		} else if ((uintptr_t)o & 2) {
			py.Py_DecRef((PyObject *)((uintptr_t)o & ~(uintptr_t)2));
		} else if (o) {
			GW_COUNT(GW_CNT_HELD, -1);
			py.Py_DecRef(o);
		}
	}
}

/* ------------------------------------------------------------------------------------------------ GIL */

static void leave_child(void);

/*
 * A door between Python and the server. An app may fork and let the child come back here, out of whatever it called: the
 * child has no server, and must not answer the parent's clients. Behind each call into the app.
 */
static inline void door(void) {
	if (GW_UNLIKELY(gw_in_forked_child))
		leave_child();
}

void gw_take_gil(gw_thread *t) {
	if (!t->has_gil) {
		py.PyEval_RestoreThread(t->ts);
		t->has_gil = 1;
	}
}

/* Without the GIL they are handed in. */
static void drop_pieces(gw_thread *t) {
	gw_job *j = t->job;
	if (GW_UNLIKELY(!j))
		return;
	for (uint32_t i = 0; i < j->res.npieces; i++) {
		PyObject *o = j->pieces[i].owned;
		if (!o) /* Go took it */
			continue;
		j->pieces[i].owned = NULL;
		if (t->has_gil) {
			GW_COUNT(GW_CNT_HELD, -1);
			py.Py_DecRef(o);
		} else {
			gw_unhold(o);
		}
	}
	j->res.npieces = 0;
}

void gw_release(gw_thread *t) {
	drop_pieces(t);
	if (t->has_gil)
		gw_pause(t);
}

void gw_pause(gw_thread *t) {
	door();
	t->has_gil = 0;
	py.PyEval_SaveThread();
}

int gw_thread_has_gil(const gw_thread *t) { return t->has_gil; }

int gw_holds_gil(void) { return gw_app && py.PyGILState_Check(); }

void gw_tidy(gw_thread *t) {
	gw_take_gil(t);
	drain_unheld(MOST_UNHELD);
	door();
}

void gw_check_signals(gw_thread *t) {
	gw_take_gil(t);
	if (py.PyErr_CheckSignals() < 0)
		gw_log_exception(NULL, "in a signal handler");
	door();
}

void gw_heartbeat(void) {
	int gil = py.PyGILState_Ensure();
	PyObject *beat = py.PyObject_GetAttrString(gw_native, "heartbeat");
	if (!beat)
		py.PyErr_Clear();
	PyObject *result = beat ? py.PyObject_CallFunctionObjArgs(beat, NULL) : NULL;
	if (beat && !result)
		gw_log_exception(NULL, "in the heartbeat");
	if (beat)
		py.Py_DecRef(beat);
	if (result)
		py.Py_DecRef(result);
	py.PyGILState_Release(gil);
}

/* ------------------------------------------------------------------------------------------------ end of a request */

static void set_line(gw_job *j, const gw_request *rq, const char *arena) {
	size_t m = rq->method.len, u = rq->target.len, room = sizeof j->what;
	if (m > 32)
		m = 32;
	memcpy(j->what, arena + rq->method.off, m);
	j->what[m] = ' ';
	if (u > room - m - 1)
		u = room - m - 1;
	memcpy(j->what + m + 1, arena + rq->target.off, u);
	j->what_len = m + 1 + u;
}

/*
 * Calls close() of what the app returned, if it has one. Exceptions are logged: the response is not theirs to change.
 * j: of the request; NULL if that is over.
 */
static void call_close(gw_job *j, PyObject *iterable) {
	PyObject *close;
	int found = gw_getattr_optional(iterable, str_close, &close);
	if (found < 0)
		gw_log_exception(j, "looking for close()");
	if (found <= 0)
		return;
	PyObject *r = gw_call_noargs(close);
	py.Py_DecRef(close);
	if (r)
		py.Py_DecRef(r);
	else
		gw_log_exception(j, "in close() of the response");
	door();
}

/* The child of an app that forked: see door. It never returns from this. */
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
static void end_request(gw_job *j) {
	PyObject *iterable = j->iterable, *iterator = j->iterator;
	j->iterable = j->iterator = NULL;
	if (iterable && j->closeable)
		call_close(j, iterable);
	j->gen = 0;
	gw_conn *c = j->conn;
	j->conn = NULL;
	if (GW_LIKELY(c != NULL))
		gw_conn_end(c, j->socket_taken); /* what is kept of a socket would keep the descriptor open */
	if (iterator)
		py.Py_DecRef(iterator);
	if (iterable)
		py.Py_DecRef(iterable);
	door();
}

/* Whether what the application has done with the socket stands for a response: it has sent, or has none of its own. */
static int answered_itself(gw_job *j) {
	return GW_UNLIKELY(j->socket_taken) && (j->socket_taken == GW_TAKEN_OVER || !(j->res.flags & GW_RES_STARTED));
}

/* Ends the request with the exception that is set. */
static int fail(gw_job *j, const char *what) {
	door();
	int over = j->socket_taken == GW_TAKEN_OVER;
	if (answered_itself(j) && py.PyErr_ExceptionMatches(py.PyExc_StopIteration)) {
		py.PyErr_Clear();
		over = 1;
	} else if (over && py.PyErr_ExceptionMatches(py.PyExc_ConnectionError)) {
		py.PyErr_Clear(); /* so engineio ends behind werkzeug.socket, and a peer that has left is no mistake of the app's */
	} else if (gw_wait_broken_off()) {
		py.PyErr_Clear(); /* what ended its wait is no mistake of the app's, and has been said */
	} else {
		gw_log_exception(j, what);
	}
	end_request(j);
	return over ? GW_HIJACK : GW_FAILED;
}

/* ------------------------------------------------------------------------------------------------ blocks */

/* A list or tuple of more blocks than this is given in portions, as a generator's are: of SOME blocks, or of PORTION bytes. */
enum { SOME = 256, PORTION = 256 << 10 };

/* The bytes of a block. 0, or -1 with an exception set. */
static int block_bytes(PyObject *item, char **p, Py_ssize_t *n) {
	if (GW_LIKELY(py.PyBytes_AsStringAndSize(item, p, n) == 0))
		return 0;
	if (!gw_is_bytes(item))
		py.PyErr_Format(
			py.PyExc_TypeError, "the response body must consist of bytes, not %R", gw_type_of(item));
	return -1;
}

/* Adds a block. owned_item: taken. 1 added, 0 empty, -1 with an exception set. */
static int add_piece(gw_job *j, PyObject *owned_item) {
	char *p;
	Py_ssize_t n;
	if (GW_UNLIKELY(block_bytes(owned_item, &p, &n) < 0)) {
		py.Py_DecRef(owned_item);
		return -1;
	}
	if (n == 0 || GW_UNLIKELY(j->socket_taken == GW_TAKEN_OVER)) {
		py.Py_DecRef(owned_item);
		return 0;
	}
	if (GW_UNLIKELY(j->res.npieces == j->pieces_cap)) {
		uint32_t cap = j->pieces_cap ? j->pieces_cap * 2 : 16;
		gw_piece *more = realloc(j->pieces, cap * sizeof *more);
		if (!more) {
			py.Py_DecRef(owned_item);
			py.PyErr_NoMemory();
			return -1;
		}
		j->pieces = more;
		j->pieces_cap = cap;
		j->res.pieces = more;
	}
	j->pieces[j->res.npieces++] = (gw_piece){.ptr = p, .len = (size_t)n, .owned = owned_item};
	GW_COUNT(GW_CNT_HELD, 1);
	return 1;
}

static int started(gw_job *j) {
	if (GW_LIKELY(j->res.flags & GW_RES_STARTED))
		return 1;
	py.PyErr_SetString(py.PyExc_RuntimeError, "the application did not call start_response before its first block");
	return 0;
}

/* The end of the blocks. */
static int end_blocks(gw_job *j, const char *what) {
	if (GW_UNLIKELY(j->upgraded) || answered_itself(j)) {
		end_request(j);
		return GW_HIJACK;
	}
	if (!started(j))
		return fail(j, what);
	end_request(j);
	return GW_END;
}

/* Takes the next block. An empty one is a step without pieces: whether anybody wants more is for Go to say. */
static int step(gw_job *j) {
	PyObject *item = py.PyIter_Next(j->iterator);
	door();
	if (!item) {
		if (py.PyErr_Occurred())
			return fail(j, "while iterating the response");
		return end_blocks(j, "while iterating the response");
	}
	int rc = add_piece(j, item);
	if (rc < 0 || (rc > 0 && !j->upgraded && !started(j)))
		return fail(j, "while iterating the response");
	if (rc > 0)
		j->head_gone = 1;
	return GW_MORE;
}

/* The next portion of a long list. */
static int portion(gw_job *j) {
	size_t bytes = 0;
	while (j->at < j->blocks && j->res.npieces < SOME && bytes < PORTION) {
		PyObject *item = py.PyTuple_GetItem(j->iterator, j->at++);
		py.Py_IncRef(item);
		int rc = add_piece(j, item);
		if (GW_UNLIKELY(rc < 0))
			return fail(j, "in the response");
		if (rc > 0)
			bytes += j->pieces[j->res.npieces - 1].len;
	}
	j->head_gone = 1;
	return j->at < j->blocks ? GW_MORE : end_blocks(j, "in the response");
}

/* Begins a long list: its blocks as they are now, and how many bytes they have. */
static int take_long(gw_job *j, PyObject *result) {
	PyObject *blocks = py.PySequence_Tuple(result);
	if (!blocks)
		return fail(j, "in the response");
	j->iterator = blocks;
	j->blocks = py.PyTuple_Size(blocks);
	j->res.total = 0;
	for (Py_ssize_t i = 0; i < j->blocks; i++) {
		char *p;
		Py_ssize_t n;
		if (GW_UNLIKELY(block_bytes(py.PyTuple_GetItem(blocks, i), &p, &n) < 0))
			return fail(j, "in the response");
		j->res.total += n;
	}
	if (GW_UNLIKELY(!(j->res.flags & GW_RES_STARTED)))
		return end_blocks(j, "in the response");
	if (!(j->res.flags & GW_RES_WRITTEN))
		j->res.flags |= GW_RES_SIZED;
	return portion(j);
}

/* A list or tuple: all blocks are there. */
static int take_sequence(gw_job *j, PyObject *result, int is_list) {
	if (GW_UNLIKELY((is_list ? py.PyList_Size(result) : py.PyTuple_Size(result)) > SOME))
		return take_long(j, result);
	for (Py_ssize_t i = 0; i < (is_list ? py.PyList_Size(result) : py.PyTuple_Size(result)); i++) {
		PyObject *item = is_list ? py.PyList_GetItem(result, i) : py.PyTuple_GetItem(result, i);
		py.Py_IncRef(item);
		if (GW_UNLIKELY(add_piece(j, item) < 0))
			return fail(j, "in the response");
	}
	if ((j->res.flags & (GW_RES_STARTED | GW_RES_WRITTEN)) == GW_RES_STARTED)
		j->res.flags |= GW_RES_SIZED;
	return end_blocks(j, "in the response");
}

static int take_result(gw_job *j, PyObject *result) {
	PyTypeObject *type = gw_type_of(result);
	j->closeable = type != py.PyList_Type && type != py.PyTuple_Type;
	if (GW_LIKELY(!j->closeable))
		return take_sequence(j, result, type == py.PyList_Type);
	/* After write() it is a part of the body like any other: the head is out, and says nothing of a file's length. */
	if ((PyObject *)type == gw_type_wrapper && gw_sendfile && j->socket_taken != GW_TAKEN_OVER &&
		(j->res.flags & (GW_RES_STARTED | GW_RES_WRITTEN)) == GW_RES_STARTED &&
		gw_file_range(result, &j->res.file_fd, &j->res.file_off, &j->res.file_len)) {
		/* close() waits until the file is sent: gw_finish. */
		j->res.finish = j->iterable;
		if (gw_file_is_plain(result))
			j->res.flags |= GW_RES_LOOSE;
		j->iterable = NULL;
		end_request(j);
		return GW_FILE;
	}
	door();
	if (type == py.PyUnicode_Type || type == py.PyBytes_Type || result == Py_None) {
		py.PyErr_Format(py.PyExc_TypeError,
			"the application must return an iterable of bytes, such as [b'...'], not %R", type);
		return fail(j, "in the response");
	}
	j->iterator = py.PyObject_GetIter(result);
	door();
	if (!j->iterator)
		return fail(j, "in the response");
	return step(j);
}

/* ------------------------------------------------------------------------------------------------ entry points */

static PyObject *call_app(PyObject *environ, PyObject *start) {
	PyObject *args[3] = {NULL, environ, start};
	return gw_vectorcall(gw_app, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* Calls the application with j->environ and j->start; start NULL: with the exception that is set it has failed already. */
static int begin(gw_job *j) {
	PyObject *environ = j->environ, *start = j->start;
	j->environ = j->start = NULL;
	PyObject *result = start ? call_app(environ, start) : NULL;
	door();
	if (environ)
		py.Py_DecRef(environ);
	if (start)
		py.Py_DecRef(start);
	if (GW_UNLIKELY(!result))
		return fail(j, "in the application");
	j->iterable = result;
	j->closeable = 1;
	return take_result(j, result);
}

int gw_call_broken(gw_job *j) {
	int over = j->socket_taken == GW_TAKEN_OVER;
	end_request(j);
	return over ? GW_HIJACK : GW_FAILED;
}

static inline int run(gw_thread *t, gw_job *j, gw_todo todo) {
	return GW_UNLIKELY(gw_green_on) ? gw_green_run(t, j, todo) : todo(j);
}

enum { KEEP_HEAD = 64 << 10 }; /* of a job's memory for response heads */

gw_job *gw_job_new(uint32_t index) {
	gw_job *j = calloc(1, sizeof *j);
	if (j)
		j->index = index;
	return j;
}

gw_response *gw_job_response(gw_job *j) { return &j->res; }

gw_wait *gw_job_wait(gw_job *j) { return &j->wait; }

int gw_call(
	gw_thread *t, gw_job *j, const gw_request *rq, const char *arena, const gw_header *headers, const char *body) {
	gw_take_gil(t);
	drop_pieces(t);
	drain_unheld(FEW_UNHELD);

	t->job = j;
	j->gen = rq->gen;
	j->socket_taken = j->head_gone = j->upgraded = 0;
	j->starting = 0;
	j->at = j->blocks = 0;
	if (GW_UNLIKELY(j->head_cap > KEEP_HEAD)) {
		free(j->head);
		j->head = NULL;
		j->head_cap = 0;
	}
	j->res = (gw_response){.content_length = -1, .total = -1, .pieces = j->pieces, .file_fd = -1};
	set_line(j, rq, arena);
	if (GW_UNLIKELY(gw_request_ids))
		gw_about_id(j, rq, arena, headers);

	gw_conn *c = j->conn = gw_conn_begin(j, rq);
	if (GW_LIKELY(c != NULL)) {
		c->gen = rq->gen;
		c->fd = rq->fd;
	} else {
		gw_body_drop(rq);
	}
	j->environ = c ? gw_environ(j, rq, arena, headers, body) : NULL;
	j->start = j->environ ? gw_start_new(j) : NULL;
	return run(t, j, begin);
}

void gw_take_up(gw_thread *t, gw_job *j) {
	drop_pieces(t);
	t->job = j;
}

int gw_next(gw_thread *t) {
	gw_job *j = t->job;
	gw_take_gil(t);
	drop_pieces(t);
	/* What the client has taken of the blocks before, which may be all the memory there is. */
	drain_unheld(FEW_UNHELD);
	return run(t, j, j->blocks ? portion : step);
}

static int abandon(gw_job *j) {
	int over = answered_itself(j);
	end_request(j);
	return over ? GW_HIJACK : GW_END;
}

int gw_abandon(gw_thread *t) {
	gw_job *j = t->job;
	gw_take_gil(t);
	drop_pieces(t);
	return run(t, j, abandon);
}

/* Calls what a tuple (function, args, kwargs or None), owned by the callee, says. GW_END or GW_FAILED. */
static int call_tuple(PyObject *call) {
	PyObject *kwargs = py.PyTuple_GetItem(call, 2);
	PyObject *r = py.PyObject_Call(
		py.PyTuple_GetItem(call, 0), py.PyTuple_GetItem(call, 1), kwargs == Py_None ? NULL : kwargs);
	door();
	int result = r ? GW_END : GW_FAILED;
	if (r)
		py.Py_DecRef(r);
	else if (gw_wait_broken_off())
		py.PyErr_Clear();
	else
		gw_log_exception(NULL, "in a spawned function");
	py.Py_DecRef(call);
	door();
	return result;
}

/* Calls what is in j->environ. */
static int call_spawned(gw_job *j) {
	PyObject *call = j->environ;
	j->environ = NULL;
	int result = call_tuple(call);
	j->gen = 0;
	return result;
}

void gw_call_apart(PyObject *later) {
	int gil = py.PyGILState_Ensure();
	PyObject *call = gw_timer_take(later);
	gw_apart = 1;
	if (call)
		call_tuple(call);
	gw_apart = 0;
	py.PyGILState_Release(gil);
}

int gw_spawn(gw_thread *t, gw_job *j, uint64_t gen, PyObject *call) {
	gw_take_gil(t);
	drop_pieces(t);
	drain_unheld(FEW_UNHELD);
	t->job = j;
	j->gen = gen;
	j->what_len = j->id_len = 0;
	j->environ = call;
	return run(t, j, call_spawned);
}

void gw_finish(gw_thread *t, PyObject *owned_finish) {
	gw_take_gil(t);
	call_close(NULL, owned_finish);
	py.Py_DecRef(owned_finish);
	door();
}

int gw_call_init(void) {
	if (!str_close)
		str_close = py.PyUnicode_InternFromString("close");
	return str_close ? 0 : -1;
}
