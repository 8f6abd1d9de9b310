/*
 * shim_input.c: wsgi.input. Three sources behind one window of buffered bytes: memory (the whole body is there), a
 * temporary file (spooled before the app ran), or the client itself (streaming).
 * Runs on any Python thread, GIL held; released around long reads. Bodies in memory and in files do not need the request
 * any more: they stay readable after it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim_int.h"

enum { SOURCE_MEMORY, SOURCE_FILE, SOURCE_STREAM };
enum { WINDOW = 64 << 10, QUICK = 64 << 10 };

typedef struct input_object {
	int source;
	int busy; /* a read without the GIL is under way */
	int eof;
	PyObject *owned_bytes; /* SOURCE_MEMORY: what buf points into */
	const char *buf;       /* the window: buf[pos:end] is not read yet */
	size_t pos, end;
	char *own; /* window memory of the other sources */
	size_t own_cap;
	int fd;
	int64_t off, len; /* SOURCE_FILE: next byte to read from fd, size; SOURCE_STREAM: len as announced or -1 */
	uint32_t job; /* SOURCE_STREAM: whose body it is */
	uint64_t gen;
} input_object;

PyObject *gw_type_input, *gw_empty_input;

/* Reads from behind the window straight to dst. > 0 bytes, 0 at the end, -1 with an exception set. */
static int64_t pull(input_object *in, char *dst, size_t n) {
	int64_t got;
	if (in->eof || n == 0 || in->source == SOURCE_MEMORY)
		return 0;
	if (GW_UNLIKELY(in->busy)) {
		py.PyErr_SetString(py.PyExc_RuntimeError, "wsgi.input is being read by another thread");
		return -1;
	}
	if (in->source == SOURCE_FILE) {
		if ((int64_t)n > in->len - in->off)
			n = (size_t)(in->len - in->off);
		int err = 0;
		if (n <= QUICK) {
			got = pread(in->fd, dst, n, in->off);
			err = errno;
		} else {
			in->busy = 1;
			GW_ALLOW_THREADS(got = pread(in->fd, dst, n, in->off); err = errno);
			in->busy = 0;
		}
		if (got < 0 || (got == 0 && n > 0)) {
			errno = got < 0 ? err : EIO; /* somebody cut our temporary file */
			py.PyErr_SetFromErrno(py.PyExc_OSError);
			return -1;
		}
		in->off += got;
		in->eof = in->off == in->len;
		return got;
	}
	if (gw_check_fork() < 0)
		return -1;
	got = gwgo_read(in->job, in->gen, dst, n, 0);
	if (got == -1) {
		in->busy = 1;
		GW_ALLOW_THREADS(got = gwgo_read(in->job, in->gen, dst, n, 1));
		in->busy = 0;
	}
	switch (got) {
	case -3:
		py.PyErr_SetString(py.PyExc_ValueError, "the request is over, and its body was not read before");
		return -1;
	case -4:
		py.PyErr_SetString(py.PyExc_TimeoutError, "the client sent no more of the request body for too long");
		return -1;
	case -5:
		py.PyErr_SetString(
			py.PyExc_OSError, "the client sent a request body with bad framing or over the limit");
		return -1;
	case -1:
	case -2:
		py.PyErr_SetString(py.PyExc_ConnectionResetError, "the client left before the end of the request body");
		return -1;
	}
	if (got == 0)
		in->eof = 1;
	return got;
}

/* Makes the window longer by whatever comes next. 1, 0 at the end, -1 with an exception set. */
static int extend(input_object *in) {
	if (in->source == SOURCE_MEMORY || in->eof)
		return 0;
	if (in->pos > 0) {
		memmove(in->own, in->own + in->pos, in->end - in->pos);
		in->end -= in->pos;
		in->pos = 0;
	}
	if (in->end == in->own_cap) {
		size_t cap = in->own_cap ? in->own_cap * 2 : WINDOW;
		char *p = realloc(in->own, cap);
		if (!p) {
			py.PyErr_NoMemory();
			return -1;
		}
		in->own = p;
		in->own_cap = cap;
		in->buf = p;
	}
	int64_t got = pull(in, in->own + in->end, in->own_cap - in->end);
	if (got > 0)
		in->end += (size_t)got;
	return got < 0 ? -1 : got > 0;
}

static PyObject *take(input_object *in, size_t n) {
	PyObject *r = py.PyBytes_FromStringAndSize(in->buf + in->pos, (Py_ssize_t)n);
	if (r)
		in->pos += n;
	return r;
}

/* How much read() may still return, -1 if unknown. */
static int64_t known_rest(input_object *in) {
	int64_t window = (int64_t)(in->end - in->pos);
	if (in->source == SOURCE_MEMORY || in->eof)
		return window;
	return in->source == SOURCE_FILE ? window + in->len - in->off : -1;
}

static PyObject *read_up_to(input_object *in, size_t limit) {
	size_t have = in->end - in->pos;
	int64_t rest = known_rest(in);
	if (rest >= 0 && (uint64_t)rest < limit)
		limit = (size_t)rest;
	if (limit <= have) {
		/* The whole body at once is the object itself. */
		if (in->source == SOURCE_MEMORY && in->pos == 0 && limit == in->end) {
			in->pos = in->end;
			py.Py_IncRef(in->owned_bytes);
			return in->owned_bytes;
		}
		return take(in, limit);
	}
	size_t cap = rest >= 0 || limit < WINDOW ? limit : WINDOW, len = have;
	if (cap < have)
		cap = have;
	PyObject *r = py.PyBytes_FromStringAndSize(NULL, (Py_ssize_t)cap);
	if (!r)
		return NULL;
	if (have)
		memcpy(py.PyBytes_AsString(r), in->buf + in->pos, have);
	in->pos = in->end = 0;
	while (len < limit) {
		if (len == cap) {
			cap = cap > limit / 2 ? limit : cap * 2;
			if (py._PyBytes_Resize(&r, (Py_ssize_t)cap) < 0)
				return NULL;
		}
		int64_t got = pull(in, py.PyBytes_AsString(r) + len, cap - len);
		if (got < 0) {
			py.Py_DecRef(r);
			return NULL;
		}
		if (got == 0)
			break;
		len += (size_t)got;
	}
	if (len != cap && py._PyBytes_Resize(&r, (Py_ssize_t)len) < 0)
		return NULL;
	return r;
}

static PyObject *line_up_to(input_object *in, size_t limit) {
	size_t seen = 0;
	for (;;) {
		size_t have = in->end - in->pos, look = have < limit ? have : limit;
		const char *from = in->buf + in->pos;
		const char *nl = look > seen ? memchr(from + seen, '\n', look - seen) : NULL;
		if (nl)
			return take(in, (size_t)(nl - from) + 1);
		if (have >= limit)
			return take(in, limit);
		seen = have;
		int rc = extend(in);
		if (rc < 0)
			return NULL;
		if (rc == 0)
			return take(in, in->end - in->pos);
	}
}

/* An optional size argument: absent, None or negative is no limit. -1 with an exception set. */
static int size_argument(PyObject *args, const char *name, size_t *out) {
	PyObject *o = NULL;
	*out = SIZE_MAX;
	if (!py.PyArg_UnpackTuple(args, name, 0, 1, &o))
		return -1;
	if (!o || o == Py_None)
		return 0;
	Py_ssize_t n = py.PyNumber_AsSsize_t(o, NULL);
	if (n == -1 && py.PyErr_Occurred())
		return -1;
	if (n >= 0)
		*out = (size_t)n;
	return 0;
}

static PyObject *input_read(PyObject *self, PyObject *args) {
	size_t n;
	return size_argument(args, "read", &n) < 0 ? NULL : read_up_to(GW_SELF(input_object, self), n);
}

static PyObject *input_readline(PyObject *self, PyObject *args) {
	size_t n;
	return size_argument(args, "readline", &n) < 0 ? NULL : line_up_to(GW_SELF(input_object, self), n);
}

static PyObject *input_readlines(PyObject *self, PyObject *args) {
	size_t hint, total = 0;
	if (size_argument(args, "readlines", &hint) < 0)
		return NULL;
	if (hint == 0)
		hint = SIZE_MAX; /* as io does: 0 and less mean no limit */
	PyObject *list = py.PyList_New(0);
	while (list && total < hint) {
		PyObject *line = line_up_to(GW_SELF(input_object, self), SIZE_MAX);
		Py_ssize_t n = line ? py.PyBytes_Size(line) : 0;
		int bad = !line || (n > 0 && py.PyList_Append(list, line) < 0);
		if (line)
			py.Py_DecRef(line);
		if (bad) {
			py.Py_DecRef(list);
			return NULL;
		}
		if (n == 0)
			break;
		total += (size_t)n;
	}
	return list;
}

static PyObject *input_next(PyObject *self) {
	PyObject *line = line_up_to(GW_SELF(input_object, self), SIZE_MAX);
	if (line && py.PyBytes_Size(line) == 0) {
		py.Py_DecRef(line);
		return NULL;
	}
	return line;
}

static void input_dealloc(PyObject *self) {
	input_object *in = GW_SELF(input_object, self);
	if (in->owned_bytes)
		py.Py_DecRef(in->owned_bytes);
	free(in->own);
	if (in->source == SOURCE_FILE && in->fd >= 0) {
		close(in->fd);
		GW_COUNT(GW_CNT_FDS, -1);
	}
	gw_delete(self, gw_type_input, GW_CNT_INPUTS);
}

PyObject *gw_input_memory(const char *body, size_t len) {
	PyObject *b = py.PyBytes_FromStringAndSize(body, (Py_ssize_t)len);
	PyObject *o = b ? gw_new(gw_type_input, GW_CNT_INPUTS) : NULL;
	if (!o) {
		if (b)
			py.Py_DecRef(b);
		return NULL;
	}
	input_object *in = GW_SELF(input_object, o);
	in->source = SOURCE_MEMORY;
	in->owned_bytes = b;
	in->buf = py.PyBytes_AsString(b);
	in->end = len;
	return o;
}

PyObject *gw_input_file(int fd, int64_t len) {
	PyObject *o = gw_new(gw_type_input, GW_CNT_INPUTS);
	if (!o) {
		close(fd);
		return NULL;
	}
	GW_COUNT(GW_CNT_FDS, 1);
	input_object *in = GW_SELF(input_object, o);
	in->source = SOURCE_FILE;
	in->fd = fd;
	in->len = len;
	in->eof = len == 0;
	return o;
}

PyObject *gw_input_stream(gw_job *j, int64_t length) {
	PyObject *o = gw_new(gw_type_input, GW_CNT_INPUTS);
	if (o) {
		input_object *in = GW_SELF(input_object, o);
		in->source = SOURCE_STREAM;
		in->len = length;
		in->job = j->index;
		in->gen = j->gen;
	}
	return o;
}

int gw_input_init(PyObject *module) {
	static PyMethodDef methods[] = {
		{"read", input_read, METH_VARARGS,
			"read(size=-1, /) -> bytes\n\nUp to size bytes, all that is left if negative or None."},
		{"readline", input_readline, METH_VARARGS,
			"readline(size=-1, /) -> bytes\n\nUp to and with the next newline."},
		{"readlines", input_readlines, METH_VARARGS,
			"readlines(hint=-1, /) -> list[bytes]\n\nLines until hint bytes are passed."},
		{NULL, NULL, 0, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_methods, methods},
		{Py_tp_dealloc, input_dealloc},
		{Py_tp_new, gw_no_new},
		{Py_tp_iternext, input_next},
		{Py_tp_doc, "wsgi.input: the request body. PEP 3333, 'Input and Error Streams'."},
		{0, NULL}, /* Py_tp_iter, set below: an address that only the table knows */
		{0, NULL},
	};
	static PyType_Spec spec = {.name = "gowsgi._gowsgi.Input", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
	slots[5] = (PyType_Slot){Py_tp_iter, py.PyObject_SelfIter};
	gw_type_input = gw_make_type(module, &spec, sizeof(input_object));
	if (!gw_type_input)
		return -1;
	gw_empty_input = gw_input_memory("", 0);
	return gw_empty_input ? 0 : -1;
}
