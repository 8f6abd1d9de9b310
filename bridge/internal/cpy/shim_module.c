/*
 * shim_module.c: the module _gowsgi: the types, and main, run, stop, stats. Runs on Python's threads, GIL held.
 */
#include <stdio.h>
#include <stdlib.h>

#include "shim_int.h"
#include "embed.h"

extern PyObject *gw_app;
PyObject *gw_native; /* owned: the module */

/* main(argv) -> int: argv joined by NUL bytes, as the file system encodes them. */
static PyObject *native_main(PyObject *self, PyObject *argv) {
	(void)self;
	if (gw_check_fork() < 0)
		return NULL;
	PyObject *list = py.PySequence_List(argv);
	PyObject *all = list ? py.PyBytes_FromStringAndSize("", 0) : NULL;
	char *buf = NULL;
	size_t len = 0;
	int bad = !all;
	for (Py_ssize_t i = 0; !bad && i < py.PyList_Size(list); i++) {
		PyObject *b = py.PyUnicode_EncodeFSDefault(py.PyList_GetItem(list, i));
		char *p;
		Py_ssize_t n;
		bad = !b || py.PyBytes_AsStringAndSize(b, &p, &n) < 0;
		if (!bad) {
			char *more = realloc(buf, len + (size_t)n + 1);
			bad = !more;
			if (more) {
				buf = more;
				memcpy(buf + len, p, (size_t)n);
				buf[len + (size_t)n] = 0;
				len += (size_t)n + 1;
			} else {
				py.PyErr_NoMemory();
			}
		}
		if (b)
			py.Py_DecRef(b);
	}
	if (list)
		py.Py_DecRef(list);
	if (all)
		py.Py_DecRef(all);
	int status = 0;
	if (!bad) {
		PyThreadState *saved = py.PyEval_SaveThread();
		status = gwgo_main(buf, len, saved);
		py.PyEval_RestoreThread(saved);
	}
	free(buf);
	return bad ? NULL : py.PyLong_FromLong(status);
}

static PyObject *native_run(PyObject *self, PyObject *args) {
	PyObject *app;
	const char *options;
	char err[2048] = "";
	(void)self;
	if (!py.PyArg_ParseTuple(args, "Os:run", &app, &options) || gw_check_fork() < 0)
		return NULL;
	if (!py.PyCallable_Check(app)) {
		py.PyErr_Format(py.PyExc_TypeError, "the application must be callable, not %R", gw_type_of(app));
		return NULL;
	}
	char *copy = strdup(options);
	if (!copy)
		return py.PyErr_NoMemory();
	PyThreadState *saved = py.PyEval_SaveThread();
	int rc = gwgo_run(app, copy, strlen(copy), saved, err, sizeof err);
	py.PyEval_RestoreThread(saved);
	free(copy);
	int number = rc >= GW_RUN_SIGNAL ? rc - GW_RUN_SIGNAL : 0; /* the signal that has stopped it */
	if (number)
		rc = 0;
	PyObject *kinds[] = {NULL, py.PyExc_ValueError, py.PyExc_OSError, py.PyExc_RuntimeError, py.PyExc_TypeError};
	if (rc != 0) {
		py.PyErr_SetString(kinds[rc > 0 && rc <= 4 ? rc : 3], err);
		return NULL;
	}
	if (py.PyErr_CheckSignals() < 0)
		return NULL;
	return py.PyLong_FromLong(number);
}

static PyObject *native_stop(PyObject *self, PyObject *args) {
	double timeout = 0;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "|d:stop", &timeout) || gw_check_fork() < 0)
		return NULL;
	gwgo_stop(timeout);
	py.Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *native_reopen_logs(PyObject *self, PyObject *args) {
	(void)self;
	(void)args;
	if (gw_check_fork() < 0)
		return NULL;
	gwgo_reopen_logs();
	py.Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *native_stats(PyObject *self, PyObject *ignored) {
	static const char *names[GW_CNT_N + GW_TALLY_N] = {"inputs", "start_responses", "file_wrappers", "clients",
		"held_blocks", "descriptors", "bodies", "greenlets", "waiters", "timers", "websocket_objects",
		"requests_refused", "responses_unspooled", "bodies_unspooled", "websockets", "websocket_messages_in",
		"websocket_messages_out", "websocket_bytes_in", "websocket_bytes_out", "stopping"};
	int64_t counts[GW_CNT_N + GW_TALLY_N];
	(void)self;
	(void)ignored;
	gw_counters(counts);
	for (int i = 0; i < GW_TALLY_N; i++)
		counts[GW_CNT_N + i] = (int64_t)__atomic_load_n(&gw_tally[i], __ATOMIC_RELAXED);
	PyObject *d = py.PyDict_New();
	for (int i = 0; d && i < GW_CNT_N + GW_TALLY_N; i++) {
		PyObject *v = py.PyLong_FromLongLong(counts[i]);
		if (!v || py.PyDict_SetItemString(d, names[i], v) < 0) {
			py.Py_DecRef(d);
			d = NULL;
		}
		if (v)
			py.Py_DecRef(v);
	}
	return d;
}

static PyObject *native_signal(PyObject *self, PyObject *args) {
	int number;
	PyObject *frame = NULL;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "i|O:signal", &number, &frame))
		return NULL;
	gw_signals_handled();
	if (!gw_in_forked_child && gwgo_signal(number)) {
		PyObject *stopped = py.PyObject_GetAttrString(gw_support, "Stopped");
		if (stopped) {
			py.PyErr_SetNone(stopped);
			py.Py_DecRef(stopped);
		}
		return NULL;
	}
	py.Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *native_signals_on_stack(PyObject *self, PyObject *args) {
	(void)self;
	(void)args;
	gw_signals_on_stack();
	py.Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *native_watch_crashes(PyObject *self, PyObject *args) {
	int fd;
	(void)self;
	if (!py.PyArg_ParseTuple(args, "i:watch_crashes", &fd))
		return NULL;
	gw_crash_watch(fd);
	py.Py_IncRef(Py_None);
	return Py_None;
}

static const gw_carried *carried;
static size_t ncarried;

void gw_carry(const gw_carried *files, size_t n) {
	carried = files;
	ncarried = n;
}

static PyObject *native_carried(PyObject *self, PyObject *path) {
	Py_ssize_t n;
	const char *name = py.PyUnicode_AsUTF8AndSize(path, &n);
	(void)self;
	if (!name)
		return NULL;
	for (size_t i = 0; i < ncarried; i++)
		if (carried[i].name_len == (size_t)n && memcmp(carried[i].name, name, (size_t)n) == 0)
			return py.PyBytes_FromStringAndSize(carried[i].data, (Py_ssize_t)carried[i].data_len);
	py.Py_IncRef(Py_None);
	return Py_None;
}

void gw_app_set(PyObject *app) {
	int gil = py.PyGILState_Ensure();
	if (app)
		py.Py_IncRef(app);
	PyObject *old = gw_app;
	gw_app = app;
	/* For check_app. Before the first setup there is no such module, and nothing to let go of. */
	if (gw_support && py.PyObject_SetAttrString(gw_support, "app", app ? app : Py_None) < 0)
		py.PyErr_Clear();
	if (old)
		py.Py_DecRef(old);
	py.PyGILState_Release(gil);
}

int gw_add_functions(PyObject *module, PyMethodDef *functions) {
	PyObject *name = py.PyModule_GetNameObject(module);
	int rc = name ? 0 : -1;
	for (PyMethodDef *f = functions; rc == 0 && f->ml_name; f++) {
		PyObject *o = py.PyCFunction_NewEx(f, NULL, name);
		rc = o ? py.PyModule_AddObject(module, f->ml_name, o) : -1;
		if (rc < 0 && o)
			py.Py_DecRef(o);
	}
	if (name)
		py.Py_DecRef(name);
	return rc;
}

int gw_module_exec(PyObject *module) {
	static PyMethodDef functions[] = {
		{"main", native_main, METH_O, "main(argv) -> int\n\nRuns the command line; returns the exit status."},
		{"run", native_run, METH_VARARGS, "run(app, options_json)\n\nServes app until stopped."},
		{"stop", native_stop, METH_VARARGS, "stop(timeout=0.0)\n\nStops a running server; from any thread."},
		{"reopen_logs", native_reopen_logs, METH_NOARGS,
			"reopen_logs()\n\nGoes on in files of the logs' names; from any thread."},
		{"stats", native_stats, METH_NOARGS,
			"stats() -> dict\n\nCounters: live native objects, and what was refused."},
		{"signal", native_signal, METH_VARARGS, "signal(signum, frame)\n\nThe server's signal handler."},
		{"signals_on_stack", native_signals_on_stack, METH_NOARGS,
			"signals_on_stack()\n\nPuts signal handlers on the stack for signals (SA_ONSTACK)."},
		{"watch_crashes", native_watch_crashes, METH_VARARGS,
			"watch_crashes(fd)\n\nHas crashes of C code reported to this descriptor."},
		{"carried", native_carried, METH_O,
			"carried(path, /)\n\nA file of the package gowsgi, as bytes, if the program carries it."},
		{NULL, NULL, 0, NULL},
	};
	if (gw_add_functions(module, functions) < 0 || gw_input_init(module) < 0 || gw_file_init(module) < 0 ||
		gw_start_init(module) < 0 || gw_client_init(module) < 0 || gw_wait_init(module) < 0 ||
		gw_later_init(module) < 0 || gw_websocket_init(module) < 0 || gw_exchange_init(module) < 0)
		return -1;
	py.Py_IncRef(module);
	gw_native = module;
	return 0;
}
