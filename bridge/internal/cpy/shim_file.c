/*
 * shim_file.c: wsgi.file_wrapper. A FileWrapper is an iterator over blocks; when it is what the app returns, and what its
 * read() would give is certainly a regular file's content, Go sends the file by sendfile instead. A fileno() alone proves
 * nothing: that of a GzipFile is the compressed file's. Runs on the Python thread that has the request; GIL held.
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
static PyTypeObject *reader_type, *raw_type;   /* io.BufferedReader and io.FileIO: what open(path, "rb") gives */
static PyObject *reader_tell, *raw_fileno;     /* methods of these types, whatever is on the objects */
static PyObject *str_read, *str_close, *str_tell, *str_seek, *str_seekable, *str_raw, *str_dict, *str_name;
static PyObject *own_names; /* a tuple of the methods that may not be replaced on the raw file */

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

/*
 * The wrapper has seek, tell and seekable if its file has: who makes a part of a file's response out of the whole one, as
 * werkzeug does, looks for them, and else reads all that comes before it.
 */
static PyObject *wrapper_getattro(PyObject *self, PyObject *name) {
	PyObject *found = py.PyObject_GenericGetAttr(self, name);
	if (GW_LIKELY(found != NULL) || !py.PyErr_ExceptionMatches(py.PyExc_AttributeError))
		return found;
	PyObject *type, *value, *tb;
	py.PyErr_Fetch(&type, &value, &tb);
	int passed = py.PyUnicode_Compare(name, str_seek) == 0 || py.PyUnicode_Compare(name, str_tell) == 0 ||
	             py.PyUnicode_Compare(name, str_seekable) == 0;
	if (!passed) {
		py.PyErr_Restore(type, value, tb);
		return NULL;
	}
	PyObject *drop[] = {type, value, tb};
	for (size_t i = 0; i < sizeof drop / sizeof *drop; i++)
		if (drop[i])
			py.Py_DecRef(drop[i]);
	return py.PyObject_GetAttr(GW_SELF(wrapper_object, self)->filelike, name);
}

static void wrapper_dealloc(PyObject *self) {
	wrapper_object *w = GW_SELF(wrapper_object, self);
	if (w->filelike)
		py.Py_DecRef(w->filelike);
	if (w->read)
		py.Py_DecRef(w->read);
	gw_delete(self, gw_type_wrapper, GW_CNT_WRAPPERS);
}

/* Whether one of these methods was replaced on the object itself. -1 with an exception set. */
static int replaced(PyObject *o, PyObject *names) {
	PyObject *own = py.PyObject_GetAttr(o, str_dict);
	Py_ssize_t n = own ? py.PyDict_Size(own) : -1;
	int found = n < 0 ? -1 : 0;
	/* A file that was opened by its name has that, and no more. */
	int usual = n == 0 || (n == 1 && py.PyDict_Contains(own, str_name) > 0);
	for (Py_ssize_t i = 0; !usual && found == 0 && i < py.PyTuple_Size(names); i++)
		found = py.PyDict_Contains(own, py.PyTuple_GetItem(names, i));
	if (own)
		py.Py_DecRef(own);
	return found;
}

/* Of a BufferedReader: its descriptor and where it is. 0, or -1, perhaps with an exception set. */
static int reader_range(PyObject *f, int *source, long long *at) {
	PyObject *raw = py.PyObject_GetAttr(f, str_raw), *fd = NULL, *position = NULL;
	if (raw && gw_type_of(raw) == raw_type && replaced(f, own_names) == 0 && replaced(raw, own_names) == 0)
		fd = gw_call_onearg(raw_fileno, raw);
	if (fd && (position = gw_call_onearg(reader_tell, f))) {
		*source = (int)py.PyLong_AsLong(fd);
		*at = py.PyLong_AsLongLong(position);
	}
	PyObject *drop[] = {raw, fd, position};
	for (size_t i = 0; i < sizeof drop / sizeof *drop; i++)
		if (drop[i])
			py.Py_DecRef(drop[i]);
	return position && !py.PyErr_Occurred() ? 0 : -1;
}

/*
 * Of anything else the support module tells, by (descriptor, offset) or None: it knows which objects only pass on what a
 * file gives. 0, or -1, perhaps with an exception set.
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

/* Files that the kernel makes up as they are read, in /proc and /sys, are regular ones whose size says nothing. */
static int has_size(const struct stat *st) {
	return S_ISREG(st->st_mode) && st->st_size > 0 && (st->st_blocks > 0 || st->st_size > 4096);
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
	if (fstat(source, &st) < 0 || !has_size(&st) || at < 0)
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
		{Py_tp_getattro, wrapper_getattro},
		{Py_tp_iternext, wrapper_next},
		{Py_tp_doc,
			"FileWrapper(filelike, blksize=65536)\n\nwsgi.file_wrapper. PEP 3333, 'Optional Platform-Specific "
			"File Handling'."},
		{0, NULL},
		{0, NULL},
	};
	static PyType_Spec spec = {.name = "gowsgi._gowsgi.FileWrapper", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
	slots[7] = (PyType_Slot){Py_tp_iter, py.PyObject_SelfIter};
	struct {
		PyObject **to;
		const char *text;
	} names[] = {{&str_read, "read"}, {&str_close, "close"}, {&str_tell, "tell"}, {&str_seek, "seek"},
		{&str_seekable, "seekable"}, {&str_raw, "raw"}, {&str_dict, "__dict__"}, {&str_name, "name"}};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!*names[i].to && !(*names[i].to = py.PyUnicode_InternFromString(names[i].text)))
			return -1;
	if (!own_names)
		own_names =
			py.Py_BuildValue("(sssssss)", "read", "readinto", "readall", "seek", "tell", "fileno", "raw");
	PyObject *io = own_names ? py.PyImport_ImportModule("io") : NULL;
	if (io && !reader_type) {
		reader_type = (PyTypeObject *)py.PyObject_GetAttrString(io, "BufferedReader");
		raw_type = (PyTypeObject *)py.PyObject_GetAttrString(io, "FileIO");
	}
	if (io)
		py.Py_DecRef(io);
	if (!reader_type || !raw_type)
		return -1;
	if (!reader_tell)
		reader_tell = py.PyObject_GetAttr((PyObject *)reader_type, str_tell);
	if (!raw_fileno)
		raw_fileno = py.PyObject_GetAttrString((PyObject *)raw_type, "fileno");
	if (!reader_tell || !raw_fileno)
		return -1;
	gw_type_wrapper = gw_make_type(module, &spec, sizeof(wrapper_object));
	return gw_type_wrapper ? 0 : -1;
}
