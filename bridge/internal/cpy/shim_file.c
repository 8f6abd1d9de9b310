/*
 * shim_file.c: wsgi.file_wrapper. A FileWrapper is an iterator over blocks; when it is what the app returns and a regular
 * file is behind it, Go sends the file by sendfile instead. Runs on the Python thread that has the request; GIL held.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim_compat.h"
#include "shim_int.h"

typedef struct wrapper_object {
	PyObject *filelike; /* owned */
	PyObject *read;     /* owned: its read method; NULL until it is needed */
	Py_ssize_t block;
} wrapper_object;

PyObject *gw_type_wrapper;
static PyTypeObject *reader_type; /* io.BufferedReader: what open(path, "rb") gives */
static PyObject *str_read, *str_close, *str_fileno, *str_tell;

static PyObject *wrapper_new(PyObject *type, PyObject *args, PyObject *kwargs) {
	static char *names[] = {"filelike", "blksize", NULL};
	PyObject *filelike;
	Py_ssize_t block = 65536;
	(void)type;
	if (!py.PyArg_ParseTupleAndKeywords(args, kwargs, "O|n:FileWrapper", names, &filelike, &block))
		return NULL;
	if (block <= 0) {
		py.PyErr_SetString(py.PyExc_ValueError, "FileWrapper: blksize must be positive");
		return NULL;
	}
	PyObject *read = NULL;
	if (gw_type_of(filelike) != reader_type && !(read = py.PyObject_GetAttr(filelike, str_read)))
		return NULL;
	PyObject *o = gw_new(gw_type_wrapper, GW_CNT_WRAPPERS);
	if (!o) {
		if (read)
			py.Py_DecRef(read);
		return NULL;
	}
	wrapper_object *w = GW_SELF(wrapper_object, o);
	py.Py_IncRef(filelike);
	w->filelike = filelike;
	w->read = read;
	w->block = block;
	return o;
}

static PyObject *wrapper_next(PyObject *self) {
	wrapper_object *w = GW_SELF(wrapper_object, self);
	if (!w->read && !(w->read = py.PyObject_GetAttr(w->filelike, str_read)))
		return NULL;
	PyObject *n = py.PyLong_FromSsize_t(w->block);
	PyObject *data = n ? py.PyObject_CallFunctionObjArgs(w->read, n, NULL) : NULL;
	if (n)
		py.Py_DecRef(n);
	if (data) {
		int more = py.PyObject_IsTrue(data);
		if (more <= 0) {
			py.Py_DecRef(data);
			return NULL; /* no exception: the end */
		}
	}
	return data;
}

static PyObject *wrapper_close(PyObject *self, PyObject *ignored) {
	wrapper_object *w = GW_SELF(wrapper_object, self);
	(void)ignored;
	PyObject *close;
	int found = gw_getattr_optional(w->filelike, str_close, &close);
	if (found < 0)
		return NULL;
	if (!found) { /* PEP 3333: close is optional */
		py.Py_IncRef(Py_None);
		return Py_None;
	}
	PyObject *r = gw_call_noargs(close);
	py.Py_DecRef(close);
	return r;
}

static PyObject *get_filelike(PyObject *self, void *unused) {
	(void)unused;
	wrapper_object *w = GW_SELF(wrapper_object, self);
	py.Py_IncRef(w->filelike);
	return w->filelike;
}

static PyObject *get_blksize(PyObject *self, void *unused) {
	(void)unused;
	return py.PyLong_FromSsize_t(GW_SELF(wrapper_object, self)->block);
}

static void wrapper_dealloc(PyObject *self) {
	wrapper_object *w = GW_SELF(wrapper_object, self);
	if (w->filelike)
		py.Py_DecRef(w->filelike);
	if (w->read)
		py.Py_DecRef(w->read);
	gw_delete(self, gw_type_wrapper, GW_CNT_WRAPPERS);
}

/* Of a BufferedReader: its descriptor and where it is. 0, or -1 with an exception set. */
static int reader_range(PyObject *f, int *source, long long *at) {
	PyObject *self[] = {f}, *fd = gw_call_method(str_fileno, self, 1, NULL);
	PyObject *position = fd ? gw_call_method(str_tell, self, 1, NULL) : NULL;
	if (position) {
		*source = (int)py.PyLong_AsLong(fd);
		*at = py.PyLong_AsLongLong(position);
		py.Py_DecRef(position);
	}
	if (fd)
		py.Py_DecRef(fd);
	return py.PyErr_Occurred() ? -1 : 0;
}

/*
 * Of anything else the support module tells, by (descriptor, offset) or None: it knows which objects have a fileno() that
 * does not stand for their content (compressed files, text files). 0, or -1, perhaps with an exception set.
 */
static int other_range(PyObject *filelike, int *source, long long *at) {
	PyObject *f = py.PyObject_GetAttrString(gw_support, "file_range");
	PyObject *r = f ? py.PyObject_CallFunctionObjArgs(f, filelike, NULL) : NULL;
	if (f)
		py.Py_DecRef(f);
	int ok = r && r != Py_None && py.PyArg_ParseTuple(r, "iL", source, at);
	if (r)
		py.Py_DecRef(r);
	return ok ? 0 : -1;
}

int gw_file_is_plain(PyObject *wrapper) {
	PyObject *f = GW_SELF(wrapper_object, wrapper)->filelike;
	if (gw_type_of(f) != reader_type)
		return 0;
	/* Django puts a close() of its own on the file. */
	PyObject *own = py.PyObject_GetAttrString(f, "__dict__");
	int plain = own && py.PyObject_Size(own) == 0;
	if (own)
		py.Py_DecRef(own);
	py.PyErr_Clear();
	return plain;
}

int gw_file_range(PyObject *wrapper, int *fd, int64_t *off, int64_t *len) {
	PyObject *f = GW_SELF(wrapper_object, wrapper)->filelike;
	long long at = 0;
	int source = -1;
	struct stat st;
	int found = gw_type_of(f) == reader_type ? reader_range(f, &source, &at) : other_range(f, &source, &at);
	if (found < 0) {
		py.PyErr_Clear();
		return 0;
	}
	if (fstat(source, &st) < 0 || !S_ISREG(st.st_mode) || at < 0)
		return 0;
	*fd = fcntl(source, F_DUPFD_CLOEXEC, 3);
	if (*fd < 0)
		return 0;
	*off = at;
	*len = st.st_size > at ? st.st_size - at : 0;
	return 1;
}

int gw_file_init(PyObject *module) {
	static PyMethodDef methods[] = {
		{"close", wrapper_close, METH_NOARGS, "close()\n\nCloses the wrapped file, if it can be closed."},
		{NULL, NULL, 0, NULL},
	};
	static PyGetSetDef attributes[] = {
		{"filelike", get_filelike, NULL, "the wrapped object", NULL},
		{"blksize", get_blksize, NULL, "bytes per block when it is iterated", NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot slots[] = {
		{Py_tp_methods, methods},
		{Py_tp_getset, attributes},
		{Py_tp_new, wrapper_new},
		{Py_tp_dealloc, wrapper_dealloc},
		{Py_tp_iternext, wrapper_next},
		{Py_tp_doc,
			"FileWrapper(filelike, blksize=65536)\n\nwsgi.file_wrapper. PEP 3333, 'Optional Platform-Specific "
			"File Handling'."},
		{0, NULL},
		{0, NULL},
	};
	static PyType_Spec spec = {.name = "gowsgi._gowsgi.FileWrapper", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
	slots[6] = (PyType_Slot){Py_tp_iter, py.PyObject_SelfIter};
	struct {
		PyObject **to;
		const char *text;
	} names[] = {{&str_read, "read"}, {&str_close, "close"}, {&str_fileno, "fileno"}, {&str_tell, "tell"}};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!*names[i].to && !(*names[i].to = py.PyUnicode_InternFromString(names[i].text)))
			return -1;
	PyObject *io = py.PyImport_ImportModule("io");
	if (io && !reader_type)
		reader_type = (PyTypeObject *)py.PyObject_GetAttrString(io, "BufferedReader");
	if (io)
		py.Py_DecRef(io);
	if (!reader_type)
		return -1;
	gw_type_wrapper = gw_make_type(module, &spec, sizeof(wrapper_object));
	return gw_type_wrapper ? 0 : -1;
}
