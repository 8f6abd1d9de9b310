/*
 * shim_input.c: wsgi.input. Three sources behind one window of buffered bytes: memory (the whole body is there), a
 * temporary file (spooled before the app ran), or the client itself (streaming). It has what io.TextIOWrapper and
 * io.BufferedReader ask of a stream.
 * Runs on any Python thread, GIL held; released around long reads. Bodies in memory and in files do not need the request
 * any more: they stay readable after it.
 *
 * One thread at a time: a method is between enter and leave while it uses the fields, and another thread that comes
 * meanwhile (the GIL may be let go of in between, or there is none) gets a RuntimeError, never the wrong bytes. Code of
 * Python's that might read the same object runs before enter or after leave.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim_int.h"

/* SOURCE_EMPTY: the one object of all requests without a body. Nothing in it ever changes. */
enum { SOURCE_EMPTY, SOURCE_MEMORY, SOURCE_FILE, SOURCE_STREAM };
/* More than LONG_COPY is copied without the GIL: with new pages to be made for it, 60 MB take 20 ms. */
enum { WINDOW = 64 << 10, QUICK = 64 << 10, LONG_COPY = 2 << 20 };

typedef struct input_object {
	int source;
	atomic_int busy; /* between enter and leave */
	int eof, closed;
	int lasts; /* the method has asked the client before */
	PyObject *owned_bytes; /* SOURCE_MEMORY: what buf points into, or */
	gw_body *block;        /* that */
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
static PyObject *unsupported; /* io.UnsupportedOperation */

/* Makes the caller the only one that uses the object, until leave. NULL with an exception set. */
static input_object *enter(PyObject *self) {
	input_object *in = GW_SELF(input_object, self);
	if (in->source == SOURCE_EMPTY)
		return in;
	if (GW_UNLIKELY(atomic_exchange_explicit(&in->busy, 1, memory_order_acquire))) {
		py.PyErr_SetString(py.PyExc_RuntimeError, "wsgi.input is being read by another thread");
		return NULL;
	}
	if (GW_UNLIKELY(in->closed)) {
		atomic_store_explicit(&in->busy, 0, memory_order_release);
		py.PyErr_SetString(py.PyExc_ValueError, "I/O operation on closed file.");
		return NULL;
	}
	in->lasts = 0;
	return in;
}

static PyObject *leave(input_object *in, PyObject *result) {
	if (in->source != SOURCE_EMPTY)
		atomic_store_explicit(&in->busy, 0, memory_order_release);
	return result;
}

/* The whole body is in the window. */
static int all_here(const input_object *in) { return in->source == SOURCE_MEMORY || in->source == SOURCE_EMPTY; }

/* Reads from behind the window straight to dst. > 0 bytes, 0 at the end, -1 with an exception set. */
static int64_t pull(input_object *in, char *dst, size_t n) {
	int64_t got;
	if (in->eof || n == 0 || all_here(in))
		return 0;
	if (in->source == SOURCE_FILE) {
		if ((int64_t)n > in->len - in->off)
			n = (size_t)(in->len - in->off);
		int err = 0;
		if (n <= QUICK) {
			got = pread(in->fd, dst, n, in->off);
			err = errno;
		} else {
			GW_ALLOW_THREADS(got = pread(in->fd, dst, n, in->off); err = errno);
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
	/* A client that always has something to send must not keep the GIL for its thread. */
	got = in->lasts ? -1 : gwgo_read(in->job, in->gen, dst, n, 0);
	in->lasts = 1;
	if (got == -1)
		GW_ALLOW_THREADS(got = gwgo_read(in->job, in->gen, dst, n, 1));
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
	if (all_here(in) || in->eof)
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
	int quick = n > 0 && n <= LONG_COPY;
	PyObject *r = py.PyBytes_FromStringAndSize(quick ? in->buf + in->pos : NULL, (Py_ssize_t)n);
	if (r && n > LONG_COPY) {
		char *dst = py.PyBytes_AsString(r);
		GW_ALLOW_THREADS(memcpy(dst, in->buf + in->pos, n));
	}
	if (r && n)
		in->pos += n;
	return r;
}

/* How much of the window is not read yet: seek may have gone beyond it. */
static size_t window(const input_object *in) { return in->pos < in->end ? in->end - in->pos : 0; }

/* How much read() may still return, -1 if unknown. */
static int64_t known_rest(input_object *in) {
	if (all_here(in) || in->eof)
		return (int64_t)window(in);
	return in->source == SOURCE_FILE ? (int64_t)window(in) + in->len - in->off : -1;
}

static PyObject *read_up_to(input_object *in, size_t limit) {
	size_t have = window(in);
	int64_t rest = known_rest(in);
	if (rest >= 0 && (uint64_t)rest < limit)
		limit = (size_t)rest;
	if (limit <= have) {
		/* The whole body at once is the object itself. */
		if (in->owned_bytes && in->pos == 0 && limit == in->end && limit > 0) {
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

/* What can be had without waiting for more than that: at least a byte, unless the body is at its end. */
static PyObject *read_some(input_object *in, size_t limit) {
	if (all_here(in))
		return read_up_to(in, limit);
	if (limit > WINDOW)
		limit = WINDOW;
	size_t have = window(in);
	if (have || limit == 0)
		return take(in, have < limit ? have : limit);
	PyObject *r = py.PyBytes_FromStringAndSize(NULL, (Py_ssize_t)limit);
	int64_t got = r ? pull(in, py.PyBytes_AsString(r), limit) : -1;
	if (got < 0) {
		if (r)
			py.Py_DecRef(r);
		return NULL;
	}
	if ((size_t)got != limit && py._PyBytes_Resize(&r, (Py_ssize_t)got) < 0)
		return NULL;
	return r;
}

static PyObject *line_up_to(input_object *in, size_t limit) {
	size_t seen = 0;
	for (;;) {
		size_t have = window(in), look = have < limit ? have : limit;
		const char *from = have ? in->buf + in->pos : NULL;
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
			return take(in, window(in));
	}
}

/* An optional size argument: absent, None or negative is no limit. -1 with an exception set. It may run Python. */
static int size_argument(PyObject *args, PyObject *kwargs, const char *format, const char *keyword, size_t *out) {
	PyObject *o = NULL;
	*out = SIZE_MAX;
	if (GW_LIKELY(!kwargs)) {
		if (!py.PyArg_UnpackTuple(args, format + 3, 0, 1, &o))
			return -1;
	} else {
		char *names[] = {(char *)keyword, NULL};
		if (!py.PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &o))
			return -1;
	}
	if (!o || o == Py_None)
		return 0;
	Py_ssize_t n = py.PyNumber_AsSsize_t(o, NULL);
	if (n == -1 && py.PyErr_Occurred())
		return -1;
	if (n >= 0)
		*out = (size_t)n;
	return 0;
}

static PyObject *input_read(PyObject *self, PyObject *args, PyObject *kwargs) {
	size_t n;
	input_object *in = size_argument(args, kwargs, "|O:read", "size", &n) < 0 ? NULL : enter(self);
	return in ? leave(in, read_up_to(in, n)) : NULL;
}

static PyObject *input_read1(PyObject *self, PyObject *args, PyObject *kwargs) {
	size_t n;
	input_object *in = size_argument(args, kwargs, "|O:read1", "size", &n) < 0 ? NULL : enter(self);
	return in ? leave(in, read_some(in, n)) : NULL;
}

static PyObject *input_readline(PyObject *self, PyObject *args, PyObject *kwargs) {
	size_t n;
	input_object *in = size_argument(args, kwargs, "|O:readline", "size", &n) < 0 ? NULL : enter(self);
	return in ? leave(in, line_up_to(in, n)) : NULL;
}

/* lasts: it is not the first line that the caller takes. */
static PyObject *next_line(PyObject *self, int lasts) {
	input_object *in = enter(self);
	if (in && lasts && in->source == SOURCE_STREAM)
		in->lasts = 1;
	return in ? leave(in, line_up_to(in, SIZE_MAX)) : NULL;
}

static PyObject *input_readlines(PyObject *self, PyObject *args, PyObject *kwargs) {
	size_t hint, total = 0;
	if (size_argument(args, kwargs, "|O:readlines", "hint", &hint) < 0)
		return NULL;
	if (hint == 0)
		hint = SIZE_MAX; /* as io does: 0 and less mean no limit */
	PyObject *list = py.PyList_New(0);
	while (list && total < hint) {
		PyObject *line = next_line(self, total > 0);
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
	PyObject *line = next_line(self, 0);
	if (line && py.PyBytes_Size(line) == 0) {
		py.Py_DecRef(line);
		return NULL;
	}
	return line;
}

/* Fills what is there already, else what comes next: as a raw stream, it need not fill all of dst. -1: exception set. */
static int64_t read_into(input_object *in, char *dst, size_t n) {
	size_t have = window(in);
	if (have == 0)
		return pull(in, dst, n);
	if (n > have)
		n = have;
	memcpy(dst, in->buf + in->pos, n);
	in->pos += n;
	return (int64_t)n;
}

static PyObject *input_readinto(PyObject *self, PyObject *target) {
	Py_buffer view;
	if (py.PyObject_GetBuffer(target, &view, PyBUF_WRITABLE) < 0)
		return NULL;
	input_object *in = enter(self);
	int64_t got = in ? read_into(in, view.buf, (size_t)view.len) : -1;
	if (in)
		leave(in, NULL);
	py.PyBuffer_Release(&view);
	return got < 0 ? NULL : py.PyLong_FromLongLong(got);
}

/* Whether tell and seek work: the whole body is here. */
static int needs_all(const input_object *in) {
	if (in->source != SOURCE_STREAM)
		return 0;
	py.PyErr_SetString(unsupported, "wsgi.input comes from the client as it is read, and cannot be sought");
	return -1;
}

static int64_t position(const input_object *in) {
	return all_here(in) ? (int64_t)in->pos : in->off - (int64_t)window(in);
}

static PyObject *input_tell(PyObject *self, PyObject *ignored) {
	(void)ignored;
	input_object *in = enter(self);
	if (!in)
		return NULL;
	return leave(in, needs_all(in) < 0 ? NULL : py.PyLong_FromLongLong(position(in)));
}

static PyObject *seek_to(input_object *in, int64_t to, int whence) {
	int64_t size = all_here(in) ? (int64_t)in->end : in->len;
	int64_t from = whence == 1 ? position(in) : whence == 2 ? size : 0;
	if (needs_all(in) < 0)
		return NULL;
	if (whence < 0 || whence > 2)
		return py.PyErr_Format(py.PyExc_ValueError, "invalid whence (%d, should be 0, 1 or 2)", whence);
	if (whence == 0 && to < 0)
		return py.PyErr_Format(py.PyExc_ValueError, "negative seek value %lld", (long long)to);
	if (to > INT64_MAX - from)
		return py.PyErr_Format(py.PyExc_OverflowError, "seek position is too large");
	to = from + to < 0 ? 0 : from + to;
	if (in->source == SOURCE_MEMORY) {
		in->pos = (size_t)to;
	} else if (in->source == SOURCE_FILE) {
		in->pos = in->end = 0;
		in->off = to;
		in->eof = to >= in->len;
	}
	return py.PyLong_FromLongLong(to);
}

static PyObject *input_seek(PyObject *self, PyObject *args) {
	long long to;
	int whence = 0;
	if (!py.PyArg_ParseTuple(args, "L|i:seek", &to, &whence))
		return NULL;
	input_object *in = enter(self);
	return in ? leave(in, seek_to(in, to, whence)) : NULL;
}

/* An answer that io's classes ask for, and ask only of a stream that is open. */
static PyObject *answer(PyObject *self, PyObject *borrowed) {
	if (GW_SELF(input_object, self)->closed) {
		py.PyErr_SetString(py.PyExc_ValueError, "I/O operation on closed file.");
		return NULL;
	}
	py.Py_IncRef(borrowed);
	return borrowed;
}

static PyObject *input_yes(PyObject *self, PyObject *ignored) {
	(void)ignored;
	return answer(self, Py_True);
}

static PyObject *input_no(PyObject *self, PyObject *ignored) {
	(void)ignored;
	return answer(self, Py_False);
}

static PyObject *input_seekable(PyObject *self, PyObject *ignored) {
	(void)ignored;
	return answer(self, GW_SELF(input_object, self)->source == SOURCE_STREAM ? Py_False : Py_True);
}

static PyObject *input_flush(PyObject *self, PyObject *ignored) {
	(void)ignored;
	return answer(self, Py_None);
}

static PyObject *input_enter(PyObject *self, PyObject *ignored) {
	(void)ignored;
	return answer(self, self);
}

static PyObject *input_closed(PyObject *self, void *ignored) {
	(void)ignored;
	return py.PyBool_FromLong(GW_SELF(input_object, self)->closed);
}

/* Gives back what holds the body. */
static void let_go(input_object *in) {
	PyObject *bytes = in->owned_bytes;
	if (in->block)
		gw_body_free(in->block, in->end);
	free(in->own);
	if (in->source == SOURCE_FILE && in->fd >= 0) {
		close(in->fd);
		GW_COUNT(GW_CNT_FDS, -1);
	}
	in->owned_bytes = NULL;
	in->block = NULL;
	in->own = NULL;
	in->buf = NULL;
	in->pos = in->end = in->own_cap = 0;
	in->fd = -1;
	if (bytes)
		py.Py_DecRef(bytes);
}

/* close(): as of any stream, more than once. The empty one, which all requests share, stays open. */
static PyObject *input_close(PyObject *self, PyObject *ignored) {
	(void)ignored;
	input_object *in = GW_SELF(input_object, self);
	if (in->source != SOURCE_EMPTY && !in->closed) {
		if (!(in = enter(self)))
			return NULL;
		let_go(in);
		in->closed = 1;
		leave(in, NULL);
	}
	py.Py_IncRef(Py_None);
	return Py_None;
}

static void input_dealloc(PyObject *self) {
	let_go(GW_SELF(input_object, self));
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

PyObject *gw_input_block(gw_body *block, size_t len) {
	PyObject *o = gw_new(gw_type_input, GW_CNT_INPUTS);
	if (!o) {
		gw_body_free(block, len);
		return NULL;
	}
	input_object *in = GW_SELF(input_object, o);
	in->source = SOURCE_MEMORY;
	in->block = block;
	in->buf = gw_body_data(block);
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
#define KEYWORDS(f) ((PyCFunction)(void (*)(void))(f)), METH_VARARGS | METH_KEYWORDS
	static PyMethodDef methods[] = {
		{"read", KEYWORDS(input_read),
			"read(size=-1) -> bytes\n\nUp to size bytes, all that is left if negative or None."},
		{"read1", KEYWORDS(input_read1),
			"read1(size=-1) -> bytes\n\nUp to size bytes, those that are there already if there are any."},
		{"readline", KEYWORDS(input_readline),
			"readline(size=-1) -> bytes\n\nUp to and with the next newline."},
		{"readlines", KEYWORDS(input_readlines),
			"readlines(hint=-1) -> list[bytes]\n\nLines until hint bytes are passed."},
		{"readinto", input_readinto, METH_O,
			"readinto(buffer, /) -> int\n\nReads into it and tells how many bytes, 0 at the end."},
		{"seek", input_seek, METH_VARARGS,
			"seek(offset, whence=0, /) -> int\n\nOf a body that is all there before the application runs."},
		{"tell", input_tell, METH_NOARGS, "tell() -> int\n\nWhere the next read begins."},
		{"seekable", input_seekable, METH_NOARGS,
			"seekable() -> bool\n\nWhether the body was all there before the application ran."},
		{"readable", input_yes, METH_NOARGS, "readable() -> bool\n\nTrue."},
		{"writable", input_no, METH_NOARGS, "writable() -> bool\n\nFalse."},
		{"isatty", input_no, METH_NOARGS, "isatty() -> bool\n\nFalse."},
		{"flush", input_flush, METH_NOARGS, "flush()\n\nDoes nothing."},
		{"close", input_close, METH_NOARGS, "close()\n\nLets go of the body; reading raises ValueError then."},
		{"__enter__", input_enter, METH_NOARGS, NULL},
		{"__exit__", input_close, METH_VARARGS, NULL},
		{NULL, NULL, 0, NULL},
	};
#undef KEYWORDS
	static PyGetSetDef attributes[] = {
		{"closed", input_closed, NULL, "whether close() was called", NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_methods, methods},
		{Py_tp_getset, attributes},
		{Py_tp_dealloc, input_dealloc},
		{Py_tp_new, gw_no_new},
		{Py_tp_iternext, input_next},
		{Py_tp_doc, "wsgi.input: the request body. PEP 3333, 'Input and Error Streams'."},
		{0, NULL}, /* Py_tp_iter, set below: an address that only the table knows */
		{0, NULL},
	};
	static PyType_Spec spec = {.name = "gowsgi._gowsgi.Input", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
	slots[6] = (PyType_Slot){Py_tp_iter, py.PyObject_SelfIter};
	PyObject *io = unsupported ? NULL : py.PyImport_ImportModule("io");
	if (io) {
		unsupported = py.PyObject_GetAttrString(io, "UnsupportedOperation");
		py.Py_DecRef(io);
	}
	gw_type_input = unsupported ? gw_make_type(module, &spec, sizeof(input_object)) : NULL;
	if (!gw_type_input)
		return -1;
	gw_empty_input = gw_input_memory("", 0);
	if (!gw_empty_input)
		return -1;
	GW_SELF(input_object, gw_empty_input)->source = SOURCE_EMPTY;
	return 0;
}
