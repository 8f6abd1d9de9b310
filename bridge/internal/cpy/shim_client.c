/*
 * shim_client.c: what an app may ask about, or do with, the connection behind its request: client_disconnected,
 * gunicorn.socket, wsgi.early_hints. One small object each, for one request of the connection or for several; they work
 * while a request runs. Runs on any Python thread, GIL held.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim_int.h"

typedef struct client_object {
	gw_conn *conn;    /* one of its refs */
	PyObject *socket; /* owned: the real socket, once somebody asked (gunicorn.socket only) */
} client_object;

PyObject *gw_type_client, *gw_type_socket, *gw_type_hints;

static PyObject *client_new(gw_conn *c, PyObject *type) {
	PyObject *o = gw_new(type, GW_CNT_CLIENTS);
	if (o) {
		GW_SELF(client_object, o)->conn = c;
		__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	}
	return o;
}

static void unref(gw_conn *c) {
	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(c);
}

PyObject *gw_port_text(unsigned port) {
	char digits[8], *p = digits + sizeof digits;
	do
		*--p = (char)('0' + port % 10);
	while (port /= 10);
	return py.PyUnicode_DecodeLatin1(p, digits + sizeof digits - p, NULL);
}

/*
 * The connections that had a request last are kept, one for each place of the table. The 300 bytes of each were a third of
 * what an idle connection took. One that has lost its place pays 0.2 µs for new objects with its next request (`go test
 * ./internal/h1 -bench Call`).
 */
#define KEPT_CONNS 512

static struct {
	gw_conn *conn;  /* owned; NULL: free */
	atomic_uint id; /* the last one here; gw_conn_drop reads it without the GIL */
} kept_conns[KEPT_CONNS];
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER; /* taken only on a free-threaded build */

static inline void lock_kept(void) {
	if (GW_UNLIKELY(gw_py_free_threaded))
		pthread_mutex_lock(&kept_lock);
}

static inline void unlock_kept(void) {
	if (GW_UNLIKELY(gw_py_free_threaded))
		pthread_mutex_unlock(&kept_lock);
}

/* Gives c its place, unless the one that has it runs a request: then c is gone after its own. */
static void keep(gw_conn *c) {
	gw_conn *old = NULL;
	lock_kept();
	gw_conn **place = &kept_conns[c->id % KEPT_CONNS].conn;
	if (!*place || !(*place)->job) {
		old = *place;
		*place = c;
		c->kept = 1;
		atomic_store_explicit(&kept_conns[c->id % KEPT_CONNS].id, c->id, memory_order_relaxed);
	}
	unlock_kept();
	if (old)
		gw_conn_cut(old);
}

__attribute__((noinline)) static gw_conn *conn_new(gw_job *j, const gw_request *rq) {
	gw_conn *c = calloc(1, sizeof *c);
	if (!c) {
		py.PyErr_NoMemory();
		return NULL;
	}
	c->id = rq->conn;
	c->job = j;
	c->refs = 1;
	c->remote_len = rq->remote_len;
	memcpy(c->remote, rq->remote, rq->remote_len);
	c->port_number = rq->remote_port;
	c->address = gw_header_value(rq->remote, rq->remote_len);
	c->port = gw_port_text(rq->remote_port);
	c->client = client_new(c, gw_type_client);
	c->socket = client_new(c, gw_type_socket);
	c->hints = client_new(c, gw_type_hints);
	if (!c->address || !c->port || !c->client || !c->socket || !c->hints) {
		gw_conn_cut(c);
		return NULL;
	}
	if (!gw_cold)
		keep(c);
	return c;
}

gw_conn *gw_conn_begin(gw_job *j, const gw_request *rq) {
	lock_kept();
	gw_conn *c = kept_conns[rq->conn % KEPT_CONNS].conn;
	int mine = c && c->id == rq->conn && !c->job;
	if (mine)
		c->job = j; /* from here on nobody else takes its place */
	unlock_kept();
	return GW_LIKELY(mine) ? c : conn_new(j, rq);
}

void gw_conn_end(gw_conn *c, int last) {
	lock_kept();
	c->job = NULL;
	int cut = last || !c->kept;
	if (GW_UNLIKELY(cut && c->kept))
		kept_conns[c->id % KEPT_CONNS].conn = NULL;
	unlock_kept();
	if (GW_UNLIKELY(cut))
		gw_conn_cut(c);
}

int gw_conn_kept(uint32_t id) {
	return atomic_load_explicit(&kept_conns[id % KEPT_CONNS].id, memory_order_relaxed) == id;
}

void gw_conn_forget(uint32_t id) {
	lock_kept();
	gw_conn *c = kept_conns[id % KEPT_CONNS].conn;
	if (c && c->id == id && !c->job)
		kept_conns[id % KEPT_CONNS].conn = NULL;
	else
		c = NULL;
	unlock_kept();
	if (c)
		gw_conn_cut(c);
}

void gw_conn_cut(gw_conn *c) {
	PyObject **owned[] = {&c->environ, &c->address, &c->port, &c->client, &c->socket, &c->hints};
	c->job = NULL;
	for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
		PyObject *o = *owned[i];
		*owned[i] = NULL;
		if (o)
			py.Py_DecRef(o);
	}
	unref(c);
}

/* The request that runs on the connection, if one does. What it says is old once code of the app has run. */
static gw_job *running(client_object *o) {
	gw_job *j = o->conn->job;
	return j && j->gen == o->conn->gen && j->conn == o->conn ? j : NULL;
}

/*
 * client_disconnected() -> bool. The descriptor is open as long as the request runs: only the reactor's leader closes
 * it, and never while a thread owns the connection. There is none (-1) for a client of Mongrel2's where none is left: nobody knows then.
 */
static PyObject *client_call(PyObject *self, PyObject *args, PyObject *kwargs) {
	client_object *c = GW_SELF(client_object, self);
	(void)args;
	(void)kwargs;
	int gone = !running(c);
	if (!gone && c->conn->fd >= 0) {
		char byte;
		ssize_t n = recv(c->conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
		gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
	}
	return py.PyBool_FromLong(gone);
}

int gw_head_lines(PyObject *headers, const char *what, char **buf, size_t *len) {
	*buf = NULL;
	*len = 0;
	PyObject *seq = py.PySequence_List(headers);
	if (!seq)
		return -1;
	size_t cap = 0;
	gw_response facts = {.content_length = -1};
	int rc = 0;
	for (Py_ssize_t i = 0; rc == 0 && i < py.PyList_Size(seq); i++) {
		PyObject *pair = py.PySequence_Tuple(py.PyList_GetItem(seq, i));
		if (!pair || py.PyTuple_Size(pair) != 2) {
			if (!py.PyErr_Occurred())
				py.PyErr_Format(py.PyExc_TypeError, "%s a list of (name, value)", what);
			rc = -1;
		} else {
			rc = gw_head_field(
				py.PyTuple_GetItem(pair, 0), py.PyTuple_GetItem(pair, 1), &facts, buf, len, &cap, 1);
		}
		if (pair)
			py.Py_DecRef(pair);
	}
	py.Py_DecRef(seq);
	return rc;
}

gw_job *gw_client_job(PyObject *client) {
	gw_job *j = NULL;
	if (gw_type_of(client) == (PyTypeObject *)gw_type_client)
		j = running(GW_SELF(client_object, client));
	if (!j)
		py.PyErr_SetString(py.PyExc_RuntimeError, "the request is over, or not one of gowsgi's");
	return j;
}

/* early_hints(headers): 103 with these fields, RFC 8297. headers: list of (name, value). */
static PyObject *hints_call(PyObject *self, PyObject *args, PyObject *kwargs) {
	client_object *c = GW_SELF(client_object, self);
	static char *names[] = {"headers", NULL};
	PyObject *headers;
	if (!py.PyArg_ParseTupleAndKeywords(args, kwargs, "O:early_hints", names, &headers))
		return NULL;
	gw_job *j = running(c);
	uint64_t gen = c->conn->gen;
	if (!j || gw_check_fork() < 0) {
		if (!py.PyErr_Occurred())
			py.PyErr_SetString(py.PyExc_RuntimeError, "early hints after the request had ended");
		return NULL;
	}
	char *buf;
	size_t len;
	int rc = gw_head_lines(headers, "early hints take", &buf, &len);
	/* The list may have run code of the app, and another request may have begun on the connection. */
	if (rc == 0 && len > 0 && j->gen == gen && !j->head_gone && j->socket_taken != GW_TAKEN_OVER &&
		gwgo_early_hints(j->index, gen, buf, len, 0) == 2)
		GW_ALLOW_THREADS(gwgo_early_hints(j->index, gen, buf, len, 1));
	free(buf);
	if (rc < 0)
		return NULL;
	py.Py_IncRef(Py_None);
	return Py_None;
}

/* What Python's open_socket makes of a descriptor, which is closed if it fails. conn_fd: of the connection. */
static PyObject *open_socket(int fd, int conn_fd) {
	PyObject *f = py.PyObject_GetAttrString(gw_support, "open_socket");
	PyObject *number = f ? py.PyLong_FromLong(fd) : NULL;
	PyObject *conn = number ? py.PyLong_FromLong(conn_fd) : NULL;
	PyObject *s = NULL;
	if (conn)
		s = py.PyObject_CallFunctionObjArgs(f, number, conn, NULL); /* takes the descriptor */
	else
		close(fd);
	PyObject *owned[] = {f, number, conn};
	for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
		if (owned[i])
			py.Py_DecRef(owned[i]);
	return s;
}

/* The real socket object, made when an attribute is first asked for. Borrowed. */
static PyObject *real_socket(client_object *c) {
	if (c->socket)
		return c->socket;
	gw_job *j = running(c);
	if (!j || gw_check_fork() < 0) {
		if (!py.PyErr_Occurred())
			py.PyErr_SetString(
				py.PyExc_RuntimeError, "the socket was asked for after its request had ended");
		return NULL;
	}
	if (j->upgraded) {
		py.PyErr_SetString(py.PyExc_RuntimeError, "the socket is that of a WebSocket, and the server's");
		return NULL;
	}
	uint64_t gen = c->conn->gen;
	int fd = gwgo_socket_taken(j->index, gen, 0);
	if (fd == GW_SOCKET_AGAIN)
		GW_ALLOW_THREADS(fd = gwgo_socket_taken(j->index, gen, 1));
	if (fd < 0 && fd != GW_SOCKET_OVER) {
		errno = -fd;
		py.PyErr_SetFromErrno(py.PyExc_OSError);
		return NULL;
	}
	PyObject *s = fd >= 0 ? open_socket(fd, c->conn->fd) : NULL;
	if (fd >= 0 && !s)
		return NULL;
	if (!s || running(c) != j || j->gen != gen) {
		if (s)
			py.Py_DecRef(s);
		py.PyErr_SetString(py.PyExc_RuntimeError, "the socket was asked for while its request was ending");
		return NULL;
	}
	if (c->socket) { /* another thread was quicker */
		py.Py_DecRef(s);
		return c->socket;
	}
	c->socket = s;
	if (!j->socket_taken)
		j->socket_taken = GW_TAKEN;
	return c->socket;
}

/*
 * Attributes by which something may be sent, or the descriptor leaves our sight. Whoever only looks (recv with MSG_PEEK, fileno,
 * getpeername) gets a response of ours.
 */
static const char *const senders[] = {
	"send", "sendall", "sendto", "sendmsg", "sendfile", "makefile", "detach", "dup", "shutdown"};

static PyObject *socket_getattro(PyObject *self, PyObject *name) {
	client_object *c = GW_SELF(client_object, self);
	PyObject *s = real_socket(c);
	gw_job *j = s ? running(c) : NULL;
	for (size_t i = 0; j && j->socket_taken != GW_TAKEN_OVER && i < sizeof senders / sizeof *senders; i++)
		if (py.PyUnicode_CompareWithASCIIString(name, senders[i]) == 0)
			j->socket_taken = GW_TAKEN_OVER;
	if (!s && py.PyUnicode_CompareWithASCIIString(name, "__class__") == 0) {
		py.PyErr_Clear(); /* isinstance, of who looks through environ for a report, asks for nothing */
		return py.PyObject_GenericGetAttr(self, name);
	}
	return s ? py.PyObject_GetAttr(s, name) : NULL;
}

static int socket_setattro(PyObject *self, PyObject *name, PyObject *value) {
	PyObject *s = real_socket(GW_SELF(client_object, self));
	return s ? py.PyObject_SetAttr(s, name, value) : -1;
}

/* Special methods are looked up in the type. */
static PyObject *socket_enter(PyObject *self, PyObject *ignored) {
	(void)ignored;
	py.Py_IncRef(self);
	return self;
}

static PyObject *socket_exit(PyObject *self, PyObject *ignored) {
	(void)ignored;
	PyObject *s = real_socket(GW_SELF(client_object, self));
	PyObject *method = s ? py.PyObject_GetAttrString(s, "close") : NULL;
	PyObject *r = method ? py.PyObject_CallFunctionObjArgs(method, NULL) : NULL;
	if (method)
		py.Py_DecRef(method);
	return r;
}

static PyObject *socket_repr(PyObject *self) {
	client_object *c = GW_SELF(client_object, self);
	return c->socket ? py.PyObject_Repr(c->socket) : py.PyUnicode_FromString("<gowsgi socket, not used yet>");
}

static void client_dealloc(PyObject *self) {
	unref(GW_SELF(client_object, self)->conn);
	gw_delete(self, gw_type_client, GW_CNT_CLIENTS);
}
static void hints_dealloc(PyObject *self) {
	unref(GW_SELF(client_object, self)->conn);
	gw_delete(self, gw_type_hints, GW_CNT_CLIENTS);
}
static void socket_dealloc(PyObject *self) {
	if (GW_SELF(client_object, self)->socket)
		py.Py_DecRef(GW_SELF(client_object, self)->socket);
	unref(GW_SELF(client_object, self)->conn);
	gw_delete(self, gw_type_socket, GW_CNT_CLIENTS);
}

int gw_client_init(PyObject *module) {
	static PyType_Slot client_slots[] = {
		{Py_tp_call, client_call},
		{Py_tp_dealloc, client_dealloc},
		{Py_tp_new, gw_no_new},
		{Py_tp_doc,
			"client_disconnected() -> bool\n\nWhether the client of this request has left; True once the request is over."},
		{0, NULL},
	};
	static PyType_Slot hints_slots[] = {
		{Py_tp_call, hints_call},
		{Py_tp_dealloc, hints_dealloc},
		{Py_tp_new, gw_no_new},
		{Py_tp_doc,
			"early_hints(headers)\n\nSends '103 Early Hints' with these (name, value) fields, RFC 8297."},
		{0, NULL},
	};
	static PyMethodDef socket_methods[] = {
		{"__enter__", socket_enter, METH_NOARGS, NULL},
		{"__exit__", socket_exit, METH_VARARGS, NULL},
		{NULL, NULL, 0, NULL},
	};
	static PyType_Slot socket_slots[] = {
		{Py_tp_methods, socket_methods},
		{Py_tp_getattro, socket_getattro},
		{Py_tp_setattro, socket_setattro},
		{Py_tp_repr, socket_repr},
		{Py_tp_dealloc, socket_dealloc},
		{Py_tp_new, gw_no_new},
		{Py_tp_doc, "The connection's socket, made at the first use of an attribute; see socket.socket."},
		{0, NULL},
	};
	static PyType_Spec client_spec = {
		.name = "gowsgi._gowsgi.Client", .flags = Py_TPFLAGS_DEFAULT, .slots = client_slots};
	static PyType_Spec hints_spec = {
		.name = "gowsgi._gowsgi.EarlyHints", .flags = Py_TPFLAGS_DEFAULT, .slots = hints_slots};
	static PyType_Spec socket_spec = {
		.name = "gowsgi._gowsgi.Socket", .flags = Py_TPFLAGS_DEFAULT, .slots = socket_slots};
	gw_type_client = gw_make_type(module, &client_spec, sizeof(client_object));
	gw_type_hints = gw_make_type(module, &hints_spec, sizeof(client_object));
	gw_type_socket = gw_make_type(module, &socket_spec, sizeof(client_object));
	return gw_type_client && gw_type_hints && gw_type_socket ? 0 : -1;
}
