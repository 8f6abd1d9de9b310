/*
 * shim_websocket.c: a WebSocket as Python has it. What it is on, frames and all, is Go's (internal/websocket); here are the
 * conversions, and who waits. gowsgi.websocket is made of this. Runs on any Python thread, GIL held.
 */
#include <stdlib.h>

#include "shim_compat.h"
#include "shim_int.h"

typedef struct websocket_object {
	uint64_t number; /* Go's */
	int64_t since; /* when its receiver last let others have the thread, for gw_give_turn */
} websocket_object;

static PyObject *type_websocket;

static uint64_t number_of(PyObject *self) { return GW_SELF(websocket_object, self)->number; }

/* Makes a call with the GIL, and, if it would have to wait, without. */
#define EITHER_WAY(rc, call)                                                                                           \
	do {                                                                                                           \
		int wait_ = 0;                                                                                         \
		rc = call;                                                                                             \
		if (rc == GW_WS_AGAIN) {                                                                               \
			wait_ = 1;                                                                                     \
			GW_ALLOW_THREADS(rc = call);                                                                   \
		}                                                                                                      \
	} while (0)

/* ------------------------------------------------------------------------------------------------ waiting */

typedef struct ws_wait {
	uint64_t ws, waiter;
	int room;
} ws_wait;

static int begin_wait(void *arg, const gw_waits *w) {
	ws_wait *a = arg;
	gw_ws_waiter who = {.sem = (uintptr_t)w->sem};
	if (w->job)
		who = (gw_ws_waiter){
			.gen = w->job->gen, .number = w->number, .job = w->job->index, .thread = w->job->on->index};
	return (a->waiter = gwgo_ws_await(a->ws, a->room, &who)) != 0;
}

static void end_wait(void *arg) {
	ws_wait *a = arg;
	gwgo_ws_forget(a->ws, a->waiter);
}

/* Waits until end, on gw_now_ns's clock; INT64_MAX: without limit. 0: it is worth another look; -1 with an exception set. */
static int wait_until(uint64_t ws, int room, int64_t end) {
	ws_wait a = {.ws = ws, .room = room};
	int64_t left = -1;
	if (end != INT64_MAX && (left = end - gw_now_ns()) <= 0) {
		gw_raise_wait(GW_WAIT_TIMEOUT);
		return -1;
	}
	int how = gw_wait_for(left, begin_wait, end_wait, &a);
	if (how < 0)
		return -1;
	if (how == GW_WAIT_WOKEN || how == GW_WAIT_OVER ||
		how == GW_WAIT_TIMEOUT) /* what has come in time is not left */
		return 0;
	gw_raise_wait(how);
	return -1;
}

/* ------------------------------------------------------------------------------------------------ methods */

static PyObject *message(gw_ws_message *m) {
	return m->binary ? py.PyBytes_FromStringAndSize(m->data, (Py_ssize_t)m->len)
	                 : py.PyUnicode_DecodeUTF8(m->data, (Py_ssize_t)m->len, NULL);
}

/*
 * Takes a message, None at the end; *rc tells. Apart from who waits, whose stack is kept as long as it does.
 */
__attribute__((noinline)) static PyObject *take(uint64_t ws, int *rc) {
	char few[4096];
	gw_ws_message m = {0};
	EITHER_WAY(*rc, gwgo_ws_take(ws, few, sizeof few, &m, wait_));
	if (*rc == GW_WS_OK) {
		PyObject *r = message(&m);
		if (m.data != few)
			free(m.data);
		return r;
	}
	if (*rc != GW_WS_CLOSED)
		return NULL;
	py.Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *ws_receive(PyObject *self, PyObject *args) {
	PyObject *o = NULL;
	int64_t ns;
	if (!py.PyArg_ParseTuple(args, "|O:receive", &o) || gw_parse_timeout(o, &ns) < 0 || gw_check_fork() < 0)
		return NULL;
	uint64_t ws = number_of(self);
	int64_t end = ns < 0 ? INT64_MAX : gw_now_ns() + ns;
	/* A client that sends faster than it is read would keep the thread for itself. */
	if (gw_give_turn(&GW_SELF(websocket_object, self)->since) < 0)
		return NULL;
	for (;;) {
		int rc;
		PyObject *r = take(ws, &rc);
		if (rc != GW_WS_NOTHING)
			return r;
		if (wait_until(ws, 0, end) < 0)
			return NULL;
		GW_SELF(websocket_object, self)->since = gw_now_ns();
	}
}

/* From this size on the GIL is let go of while it is sent. */
enum { LARGE = 64 << 10 };

static int send_once(uint64_t ws, int opcode, const char *p, Py_ssize_t n) {
	int rc = GW_WS_AGAIN;
	if (n < LARGE)
		rc = gwgo_ws_send(ws, opcode, (char *)p, (size_t)n, 0);
	if (rc == GW_WS_AGAIN)
		GW_ALLOW_THREADS(rc = gwgo_ws_send(ws, opcode, (char *)p, (size_t)n, 1));
	return rc;
}

static PyObject *ws_send(PyObject *self, PyObject *args) {
	PyObject *data;
	int opcode, wait = 1;
	const char *p;
	Py_ssize_t n;
	if (!py.PyArg_ParseTuple(args, "Oi|p:send", &data, &opcode, &wait) || gw_check_fork() < 0)
		return NULL;
	if (gw_is_str(data)) {
		if (!(p = py.PyUnicode_AsUTF8AndSize(data, &n)))
			return NULL;
	} else if (gw_is_bytes(data)) {
		if (py.PyBytes_AsStringAndSize(data, (char **)&p, &n) < 0)
			return NULL;
	} else {
		py.PyErr_Format(py.PyExc_TypeError, "a message must be str or bytes, not %R", gw_type_of(data));
		return NULL;
	}
	uint64_t ws = number_of(self);
	py.Py_IncRef(data);
	int rc;
	while ((rc = send_once(ws, opcode, p, n)) == GW_WS_NOTHING && wait)
		if (wait_until(ws, 1, INT64_MAX) < 0)
			break;
	py.Py_DecRef(data);
	if (rc != GW_WS_NOTHING)
		return py.PyBool_FromLong(rc == GW_WS_OK);
	if (wait)
		return NULL;
	py.Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *ws_close(PyObject *self, PyObject *args) {
	int code;
	const char *reason;
	if (!py.PyArg_ParseTuple(args, "is:close", &code, &reason) || gw_check_fork() < 0)
		return NULL;
	gwgo_ws_close(number_of(self), code, (char *)reason, strlen(reason));
	py.Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *ws_state(PyObject *self, PyObject *ignored) {
	gw_ws_state s = {0};
	(void)ignored;
	if (gw_in_forked_child)
		s.closed = 1;
	else
		gwgo_ws_state(number_of(self), &s);
	PyObject *closed = py.PyBool_FromLong(s.closed), *code = py.PyLong_FromLong(s.code);
	PyObject *reason = py.PyUnicode_DecodeUTF8(s.reason, s.reason_len, "replace");
	PyObject *r = closed && code && reason ? py.PyTuple_Pack(3, closed, code, reason) : NULL;
	PyObject *owned[] = {closed, code, reason};
	for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
		if (owned[i])
			py.Py_DecRef(owned[i]);
	return r;
}

static void ws_dealloc(PyObject *self) {
	uint64_t ws = number_of(self);
	gw_delete(self, type_websocket, GW_CNT_WEBSOCKETS);
	if (ws && !gw_in_forked_child)
		gwgo_ws_drop(ws);
}

/* ------------------------------------------------------------------------------------------------ upgrade */

/* The four texts of a gw_ws_ask. 0, or -1 with an exception set. */
static int gather(gw_ws_ask *ask, char **owned, PyObject *headers, const char *const *texts, const Py_ssize_t *lens) {
	char *lines;
	size_t len, total;
	if (gw_head_lines(headers, "a WebSocket's headers are", &lines, &len) < 0) {
		free(lines);
		return -1;
	}
	total = len;
	for (int i = 0; i < 3; i++)
		total += (size_t)lens[i];
	char *p = *owned = malloc(total + 1);
	if (!p) {
		free(lines);
		py.PyErr_NoMemory();
		return -1;
	}
	for (int i = 0; i < 3; i++) {
		ask->len[i] = (uint32_t)lens[i];
		memcpy(p, texts[i], (size_t)lens[i]);
		p += lens[i];
	}
	ask->len[3] = (uint32_t)len;
	if (len)
		memcpy(p, lines, len);
	free(lines);
	ask->text = *owned;
	return 0;
}

static PyObject *native_websocket(PyObject *self, PyObject *args) {
	PyObject *client, *headers;
	const char *texts[3];
	Py_ssize_t lens[3];
	gw_ws_ask ask;
	char *owned;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "Os#s#s#O:websocket", &client, &texts[0], &lens[0], &texts[1], &lens[1],
		    &texts[2], &lens[2], &headers) ||
		gw_check_fork() < 0)
		return NULL;
	if (gather(&ask, &owned, headers, texts, lens) < 0)
		return NULL;
	/* The object first: what cannot be undone comes last. */
	PyObject *o = gw_new(type_websocket, GW_CNT_WEBSOCKETS);
	gw_job *j = o ? gw_client_job(client) : NULL;
	if (!j || j->res.flags & (GW_RES_STARTED | GW_RES_WRITTEN) || j->socket_taken) {
		free(owned);
		if (o)
			py.Py_DecRef(o);
		if (j)
			py.PyErr_SetString(py.PyExc_RuntimeError, "the request is answered, or its socket taken");
		return NULL;
	}
	int64_t ws;
	uint64_t gen = j->gen; /* another request may be the job before the second call */
	EITHER_WAY(ws, gwgo_ws_open(j->index, gen, &ask, wait_));
	free(owned);
	if (ws < 0) {
		py.Py_DecRef(o);
		py.PyErr_SetString(py.PyExc_RuntimeError, "the request is over, or cannot become a WebSocket");
		return NULL;
	}
	if (GW_LIKELY(j->gen == gen))
		j->upgraded = 1;
	GW_SELF(websocket_object, o)->number = (uint64_t)ws;
	GW_SELF(websocket_object, o)->since = gw_now_ns();
	return o;
}

int gw_websocket_init(PyObject *module) {
	static PyMethodDef methods[] = {
		{"receive", ws_receive, METH_VARARGS,
			"receive(timeout=None) -> str | bytes | None\n\nThe next message; None when none will come."},
		{"send", ws_send, METH_VARARGS,
			"send(data, opcode, wait=True) -> bool | None\n\nSends a frame. False: closed; None: it would have to wait."},
		{"close", ws_close, METH_VARARGS, "close(code, reason)\n\nBegins the closing handshake."},
		{"state", ws_state, METH_NOARGS, "state() -> (closed, code, reason)\n\nCode 0: it is open."},
		{NULL, NULL, 0, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_new, gw_no_new},
		{Py_tp_dealloc, ws_dealloc},
		{Py_tp_methods, methods},
		{0, NULL},
	};
	static PyType_Spec spec = {.name = "gowsgi._gowsgi.WebSocket", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
	static PyMethodDef functions[] = {
		{"websocket", native_websocket, METH_VARARGS,
			"websocket(client, key, protocol, extensions, headers) -> WebSocket\n\nUpgrades the request."},
		{NULL, NULL, 0, NULL},
	};
	type_websocket = gw_make_type(module, &spec, sizeof(websocket_object));
	return type_websocket ? gw_add_functions(module, functions) : -1;
}
