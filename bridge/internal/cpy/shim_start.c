/*
 * shim_start.c: start_response and write; what a head may be is in shim_head.c.
 * Runs on the Python thread that has the request, or on any other Python thread the app calls them from; GIL held.
 */
#include <stdlib.h>

#include "shim_compat.h"
#include "shim_int.h"

typedef PyObject *(*vectorcall)(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames);

typedef struct start_object {
	vectorcall call; /* used from 3.9 on; of start_response only */
	gw_job *job;
	uint64_t gen;
} start_object; /* also the write callable */

PyObject *gw_type_start, *gw_type_write;

/* The objects behind one "(status, headers, exc_info=None)", borrowed from the arguments. */
static int start_arguments(PyObject *args, PyObject *kwargs, PyObject **status, PyObject **headers, PyObject **exc) {
	Py_ssize_t n = py.PyTuple_Size(args);
	if (GW_LIKELY(!kwargs && n == 2)) {
		*status = py.PyTuple_GetItem(args, 0);
		*headers = py.PyTuple_GetItem(args, 1);
		*exc = NULL;
		return 0;
	}
	static char *names[] = {"status", "headers", "exc_info", NULL};
	*exc = NULL;
	if (!py.PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:start_response", names, status, headers, exc))
		return -1;
	if (*exc == Py_None)
		*exc = NULL;
	return 0;
}

/* Once headers are sent, exc_info is raised again (PEP 3333, "The start_response() Callable"). */
static PyObject *raise_again(PyObject *exc) {
	if (gw_is(exc, py.PyTuple_Type, Py_TPFLAGS_TUPLE_SUBCLASS) && py.PyTuple_Size(exc) == 3) {
		PyObject *type = py.PyTuple_GetItem(exc, 0), *value = py.PyTuple_GetItem(exc, 1),
			 *tb = py.PyTuple_GetItem(exc, 2);
		if (type && type != Py_None) {
			py.Py_IncRef(type);
			if (value)
				py.Py_IncRef(value);
			if (tb == Py_None)
				tb = NULL;
			if (tb)
				py.Py_IncRef(tb);
			py.PyErr_Restore(type, value, tb);
			return NULL;
		}
	}
	py.PyErr_SetString(
		py.PyExc_RuntimeError, "start_response was called with exc_info, but the head is already sent");
	return NULL;
}

/*
 * A header as a tuple of two, owned: a list may change under us. PEP 3333 wants a tuple; a list of two is taken as well,
 * as gunicorn and others do.
 */
static PyObject *header_pair(PyObject *borrowed) {
	if (GW_LIKELY(py.PyTuple_Size(borrowed) == 2)) {
		py.Py_IncRef(borrowed);
		return borrowed;
	}
	py.PyErr_Clear(); /* no tuple */
	if (py.PyList_Size(borrowed) == 2)
		return py.PyList_AsTuple(borrowed);
	py.PyErr_Clear(); /* no list */
	py.PyErr_Format(
		py.PyExc_TypeError, "response headers must be a list of (name, value) tuples, not %R", borrowed);
	return NULL;
}

static PyObject *obtain(PyObject *type, gw_job *j);

/* Checks and appends every header. 0, or -1 with an exception set. Runs code of the app: it may be entered again. */
static int head_fields(PyObject *headers, gw_response *fresh, char **buf, size_t *len, size_t *cap) {
	if (GW_LIKELY(py.PyList_Size(headers) >= 0)) {
		py.Py_IncRef(headers);
	} else {
		py.PyErr_Clear(); /* no list */
		headers = py.PySequence_List(headers);
		if (!headers)
			return -1;
	}
	int rc = 0;
	for (Py_ssize_t i = 0; rc == 0 && i < py.PyList_Size(headers); i++) {
		PyObject *pair = header_pair(py.PyList_GetItem(headers, i));
		rc = pair ? gw_head_field(
				    py.PyTuple_GetItem(pair, 0), py.PyTuple_GetItem(pair, 1), fresh, buf, len, cap, 0)
		          : -1;
		if (pair)
			py.Py_DecRef(pair);
	}
	py.Py_DecRef(headers);
	return rc;
}

static int request_over(start_object *so) {
	if (GW_LIKELY(so->gen == so->job->gen))
		return 0;
	py.PyErr_SetString(py.PyExc_RuntimeError, "start_response was called after its request had ended");
	return 1;
}

/*
 * Result: the write callable, owned. status, headers, exc (NULL: none): borrowed. What is read from the job before the
 * app's code ran, in head_fields, is not believed after it: the buffer is out of the job meanwhile, a second call is
 * refused, and the request may have ended.
 */
static PyObject *start(start_object *so, PyObject *status, PyObject *headers, PyObject *exc) {
	gw_job *j = so->job;
	if (GW_UNLIKELY(request_over(so)) || GW_UNLIKELY(gw_in_forked_child && gw_check_fork() < 0))
		return NULL;
	gw_response *res = &j->res;
	if (GW_UNLIKELY(j->starting == so->gen)) {
		py.PyErr_SetString(py.PyExc_AssertionError, "start_response was called while it was being called");
		return NULL;
	}
	if (GW_UNLIKELY(res->flags & GW_RES_STARTED)) {
		if (!exc) {
			py.PyErr_SetString(
				py.PyExc_AssertionError, "start_response was called a second time without exc_info");
			return NULL;
		}
		if (j->head_gone)
			return raise_again(exc);
	}

	/* Build aside, so that a refused call leaves the former head as it was. */
	gw_response fresh = {.content_length = -1};
	int keep = (res->flags & GW_RES_STARTED) != 0;
	char *buf = NULL;
	size_t cap = 0, len = 0;
	if (GW_LIKELY(!keep)) {
		buf = j->head;
		cap = j->head_cap;
		j->head = NULL;
		j->head_cap = 0;
	}
	j->starting = so->gen;
	int rc = gw_head_status(status, &fresh, &buf, &len, &cap);
	size_t line = len;
	if (rc == 0)
		rc = head_fields(headers, &fresh, &buf, &len, &cap);
	if (GW_UNLIKELY(j->gen != so->gen)) { /* another thread called, and the request has ended */
		free(buf);
		if (rc == 0)
			request_over(so);
		return NULL;
	}
	j->starting = 0;
	if (GW_UNLIKELY(rc < 0)) {
		if (keep)
			free(buf);
		else
			j->head = buf, j->head_cap = cap;
		return NULL;
	}
	if (GW_UNLIKELY(keep && j->head_gone)) { /* write was called meanwhile */
		free(buf);
		return raise_again(exc);
	}
	if (GW_UNLIKELY(keep))
		free(j->head);
	j->head = buf;
	j->head_cap = cap;
	res->status = fresh.status;
	res->content_length = fresh.content_length;
	res->flags = fresh.flags | GW_RES_STARTED;
	res->status_line = buf;
	res->status_line_len = (uint32_t)line;
	res->head = buf + line;
	res->head_len = (uint32_t)(len - line);
	return obtain(gw_type_write, j);
}

static PyObject *start_call(PyObject *self, PyObject *args, PyObject *kwargs) {
	PyObject *status, *headers, *exc;
	if (GW_UNLIKELY(start_arguments(args, kwargs, &status, &headers, &exc) < 0))
		return NULL;
	return start(GW_SELF(start_object, self), status, headers, exc);
}

/* The same without a tuple for the arguments, as callers of 3.9 and later do it: 60 ns less. */
static PyObject *start_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
	Py_ssize_t n = GW_NARGS(nargsf);
	if (GW_LIKELY(!kwnames && n == 2))
		return start(GW_SELF(start_object, self), args[0], args[1], NULL);
	PyObject *tuple, *dict, *result = NULL;
	if (gw_pack_arguments(args, n, kwnames, &tuple, &dict) < 0)
		return NULL;
	result = start_call(self, tuple, dict);
	py.Py_DecRef(tuple);
	py.Py_DecRef(dict);
	return result;
}

/*
 * Dead objects of the two types, to be used again: every request makes one of each, and Python's allocator, which also
 * clears them, took 30 ns apiece. Not on a free-threaded build, where others would have to be kept out.
 */
enum { SPARES = 8 };
typedef struct spares {
	int n;
	PyObject *items[SPARES];
} spares;
static spares spare_starts, spare_writes;

static PyObject *obtain(PyObject *type, gw_job *j) {
	spares *s = type == gw_type_start ? &spare_starts : &spare_writes;
	PyObject *o;
	if (GW_LIKELY(s->n > 0)) {
		o = py.PyObject_Init(s->items[--s->n], (PyTypeObject *)type);
		GW_COUNT(GW_CNT_STARTS, 1);
	} else if (!(o = gw_new(type, GW_CNT_STARTS))) {
		return NULL;
	}
	start_object *so = GW_SELF(start_object, o);
	so->call = start_vectorcall;
	so->job = j;
	so->gen = j->gen;
	return o;
}

static void recycle(PyObject *self, PyObject *type, spares *s) {
	if (GW_UNLIKELY(s->n == SPARES || gw_py_free_threaded || gw_cold)) {
		gw_delete(self, type, GW_CNT_STARTS);
		return;
	}
	s->items[s->n++] = self;
	py.Py_DecRef(type);
	GW_COUNT(GW_CNT_STARTS, -1);
}

PyObject *gw_start_new(gw_job *j) { return obtain(gw_type_start, j); }

static void start_dealloc(PyObject *self) { recycle(self, gw_type_start, &spare_starts); }

/* ------------------------------------------------------------------------------------------------ write */

static PyObject *write_call(PyObject *self, PyObject *args, PyObject *kwargs) {
	start_object *so = GW_SELF(start_object, self);
	gw_job *j = so->job;
	uint64_t gen = so->gen;
	PyObject *data;
	char *p;
	Py_ssize_t n;
	static char *names[] = {"data", NULL};

	if (!py.PyArg_ParseTupleAndKeywords(args, kwargs, "O:write", names, &data))
		return NULL;
	if (!gw_is_bytes(data)) {
		py.PyErr_Format(py.PyExc_TypeError, "write() takes bytes, not %R", gw_type_of(data));
		return NULL;
	}
	if (gw_check_fork() < 0 || py.PyBytes_AsStringAndSize(data, &p, &n) < 0)
		return NULL;
	if (gen != j->gen) {
		py.PyErr_SetString(py.PyExc_RuntimeError, "write() was called after its request had ended");
		return NULL;
	}
	if (n > 0 && j->socket_taken != GW_TAKEN_OVER) {
		/* The bytes stay: data is among our caller's arguments. */
		j->head_gone = 1;
		j->res.flags |= GW_RES_WRITTEN;
		int rc = gwgo_write(j->index, gen, &j->res, p, (size_t)n, 0);
		if (rc == 2)
			GW_ALLOW_THREADS(rc = gwgo_write(j->index, gen, &j->res, p, (size_t)n, 1));
		if (rc == -2) {
			py.PyErr_SetString(
				py.PyExc_ValueError, "write() was given more bytes than Content-Length says");
			return NULL;
		}
		if (rc < 0) {
			py.PyErr_SetString(py.PyExc_BrokenPipeError, "the client has gone or takes no data");
			return NULL;
		}
	}
	py.Py_IncRef(Py_None);
	return Py_None;
}

static void write_dealloc(PyObject *self) { recycle(self, gw_type_write, &spare_writes); }

int gw_start_init(PyObject *module) {
	static PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, 0, READONLY, NULL}, {NULL, 0, 0, 0, NULL}};
	static PyType_Slot start_slots[] = {
		{Py_tp_call, start_call},
		{Py_tp_dealloc, start_dealloc},
		{Py_tp_new, gw_no_new},
		{Py_tp_doc,
			"start_response(status, headers, exc_info=None) -> write\n\nPEP 3333, 'The start_response() Callable'."},
		{0, NULL}, /* Py_tp_members, where there is vectorcall */
		{0, NULL},
	};
	static PyType_Spec start_spec = {
		.name = "gowsgi._gowsgi.StartResponse", .flags = Py_TPFLAGS_DEFAULT, .slots = start_slots};
	static PyType_Slot write_slots[] = {
		{Py_tp_call, write_call},
		{Py_tp_dealloc, write_dealloc},
		{Py_tp_new, gw_no_new},
		{Py_tp_doc, "write(data)\n\nSends bytes of the response body. PEP 3333, 'The write() Callable'."},
		{0, NULL},
	};
	static PyType_Spec write_spec = {
		.name = "gowsgi._gowsgi.Write", .flags = Py_TPFLAGS_DEFAULT, .slots = write_slots};
	if (gw_spec_has_vectorcall() && !gw_cold) {
		members[0].offset = (Py_ssize_t)(gw_py_head_size + offsetof(start_object, call));
		start_slots[4] = (PyType_Slot){Py_tp_members, members};
		start_spec.flags |= Py_TPFLAGS_HAVE_VECTORCALL;
	}
	gw_type_start = gw_make_type(module, &start_spec, sizeof(start_object));
	gw_type_write = gw_make_type(module, &write_spec, sizeof(start_object));
	return gw_type_start && gw_type_write ? 0 : -1;
}
