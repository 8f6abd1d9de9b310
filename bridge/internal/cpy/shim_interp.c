/*
 * shim_interp.c: the interpreter's side of start and stop: support module, thread states, calls into support.py.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "shim_int.h"
#include "embed.h"

extern PyObject *gw_app, *gw_native;
int gw_call_init(void);

PyObject *gw_support;
atomic_llong gw_count[GW_CNT_N];
uint64_t gw_tally[GW_TALLY_N];
int gw_cold;

void gw_counters(int64_t *out) {
	for (int i = 0; i < GW_CNT_N; i++)
		out[i] = atomic_load(&gw_count[i]);
}

/* ------------------------------------------------------------------------------------------------ objects */

PyObject *gw_make_type(PyObject *module, PyType_Spec *spec, size_t size) {
	spec->basicsize = (int)(gw_py_head_size + size);
	PyObject *type = py.PyType_FromSpec(spec);
	if (!type)
		return NULL;
	py.Py_IncRef(type); /* one for us, one for the module */
	if (py.PyModule_AddObject(module, strrchr(spec->name, '.') + 1, type) < 0) {
		py.Py_DecRef(type);
		py.Py_DecRef(type);
		return NULL;
	}
	return type;
}

PyObject *gw_no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
	return py.PyErr_Format(py.PyExc_TypeError, "cannot create %R objects: the server makes them", type);
}

PyObject *gw_new(PyObject *type, int counter) {
	PyObject *o = py.PyType_GenericAlloc((PyTypeObject *)type, 0);
	if (GW_LIKELY(o != NULL))
		GW_COUNT(counter, 1);
	return o;
}

void gw_delete(PyObject *self, PyObject *type, int counter) {
	py.PyObject_Free(self);
	py.Py_DecRef(type); /* an instance of a heap type owns a reference to it */
	GW_COUNT(counter, -1);
}

/* ------------------------------------------------------------------------------------------------ errors */

void gw_log_exception(gw_job *j, const char *what) {
	PyObject *type = NULL, *value = NULL, *tb = NULL;
	py.PyErr_Fetch(&type, &value, &tb);
	if (!type)
		return;
	py.PyErr_NormalizeException(&type, &value, &tb);
	if (tb && value)
		py.PyException_SetTraceback(value, tb);
	PyObject *f = py.PyObject_GetAttrString(gw_support, "report");
	PyObject *w = py.PyUnicode_FromString(what);
	gw_about a = gw_about_request(j);
	PyObject *line = py.PyUnicode_DecodeLatin1(a.line ? a.line : "", (Py_ssize_t)a.line_len, NULL);
	PyObject *client = py.PyUnicode_DecodeLatin1(a.client ? a.client : "", (Py_ssize_t)a.client_len, NULL);
	PyObject *id = py.PyUnicode_DecodeLatin1(a.id ? a.id : "", (Py_ssize_t)a.id_len, NULL);
	PyObject *r = NULL;
	if (f && w && line && client && id)
		r = py.PyObject_CallFunctionObjArgs(
			f, w, line, client, id, type, value ? value : Py_None, tb ? tb : Py_None, NULL);
	if (!r)
		py.PyErr_WriteUnraisable(value);
	PyObject *drop[] = {type, value, tb, f, w, line, client, id, r};
	for (size_t i = 0; i < sizeof drop / sizeof *drop; i++)
		if (drop[i])
			py.Py_DecRef(drop[i]);
	py.PyErr_Clear();
}

/* Text of the exception that is set, cleared; for callers outside Python. */
static void tell_exception(char *out, size_t outlen) {
	PyObject *type = NULL, *value = NULL, *tb = NULL;
	py.PyErr_Fetch(&type, &value, &tb);
	py.PyErr_NormalizeException(&type, &value, &tb);
	PyObject *s = value ? py.PyObject_Str(value) : NULL;
	const char *text = s ? py.PyUnicode_AsUTF8(s) : NULL;
	snprintf(out, outlen, "%s", text ? text : "unknown Python error");
	PyObject *drop[] = {type, value, tb, s};
	for (size_t i = 0; i < sizeof drop / sizeof *drop; i++)
		if (drop[i])
			py.Py_DecRef(drop[i]);
	py.PyErr_Clear();
}

/* ------------------------------------------------------------------------------------------------ support module */

/* The compiled support module, owned: from the process that this one was forked from, or compiled now. */
static PyObject *support_code(const char *source) {
	PyObject *zygote = py.PyDict_GetItemString(py.PyImport_GetModuleDict(), "gowsgi._zygote"); /* borrowed */
	PyObject *code = zygote ? py.PyObject_GetAttrString(zygote, "support_code") : NULL;
	if (code && code != Py_None)
		return code;
	py.PyErr_Clear();
	if (code)
		py.Py_DecRef(code);
	return py.Py_CompileStringExFlags(source, "<gowsgi>", Py_file_input, NULL, -1);
}

static int run_support(const char *source, const char *late_source, char *err, size_t errlen) {
	if (!gw_native) {
		PyObject *m = gw_module_create(); /* the binary: nobody has imported it */
		if (!m) {
			tell_exception(err, errlen);
			return -1;
		}
		py.Py_DecRef(m);
	}
	PyObject *code = support_code(source);
	PyObject *m = code ? py.PyImport_ExecCodeModule("_gowsgi_support", code) : NULL;
	if (code)
		py.Py_DecRef(code);
	PyObject *late = m ? py.PyUnicode_FromString(late_source) : NULL;
	int ready = late && py.PyObject_SetAttrString(m, "late_source", late) == 0 &&
	            py.PyObject_SetAttrString(m, "native", gw_native) == 0 && gw_call_init() == 0;
	if (late)
		py.Py_DecRef(late);
	if (!ready) {
		tell_exception(err, errlen);
		return -1;
	}
	gw_support = m;
	if (gw_environ_init() < 0) {
		tell_exception(err, errlen);
		return -1;
	}
	return 0;
}

int gw_interp_setup(const char *source, const char *late_source, char *err, size_t errlen) {
	int gil = py.PyGILState_Ensure();
	int rc = gw_support ? 0 : run_support(source, late_source, err, errlen);
	py.PyGILState_Release(gil);
	return rc;
}

int gw_support_call(const char *function, const char *arg, size_t arg_len, char *out, size_t outlen) {
	int gil = py.PyGILState_Ensure();
	int rc = 0;
	out[0] = 0;
	PyObject *told = py.PyObject_GetAttrString(gw_support, "Told");
	PyObject *f = py.PyObject_GetAttrString(gw_support, function);
	PyObject *a = py.PyUnicode_DecodeUTF8(arg, (Py_ssize_t)arg_len, "surrogateescape");
	PyObject *r = f && a ? py.PyObject_CallFunctionObjArgs(f, a, NULL) : NULL;
	if (r) {
		const char *text = py.PyUnicode_AsUTF8(r);
		snprintf(out, outlen, "%s", text ? text : "");
		PyObject *app = py.PyObject_GetAttrString(gw_support, "app");
		if (app && app != Py_None && !gw_app) {
			gw_app = app; /* load_app: ours from now on */
			app = NULL;
		}
		if (app)
			py.Py_DecRef(app);
	} else {
		rc = py.PyErr_Occurred() && told && py.PyErr_ExceptionMatches(told) ? 1 : -1;
		tell_exception(out, outlen);
	}
	if (told)
		py.Py_DecRef(told);
	if (f)
		py.Py_DecRef(f);
	if (a)
		py.Py_DecRef(a);
	if (r)
		py.Py_DecRef(r);
	py.PyErr_Clear();
	py.PyGILState_Release(gil);
	return rc;
}

/* ------------------------------------------------------------------------------------------------ threads */

gw_thread *gw_thread_attach(int index, PyThreadState *saved) {
	gw_thread *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->index = index;
	t->is_main = saved != NULL;
	t->ts = saved ? saved : py.PyThreadState_New(py.PyInterpreterState_Main());
	if (!t->ts) {
		free(t);
		return NULL;
	}
	if (!saved) { /* the main thread's is the name of the process */
		char name[16];
		snprintf(name, sizeof name, "gowsgi-%d", index);
		pthread_setname_np(pthread_self(), name);
	}
	gw_self = t;
	gw_crash_thread(t, 1);
	return t;
}

void gw_thread_detach(gw_thread *t) {
	gw_crash_thread(t, 0);
	if (!t->has_gil)
		py.PyEval_RestoreThread(t->ts);
	t->has_gil = 1;
	do
		gw_tidy(t);
	while (gw_unhold_waiting()); /* nobody may come after it */
	gw_green_end(t);
	gw_release(t);
	gw_self = NULL;
	if (!t->is_main) {
		py.PyEval_RestoreThread(t->ts);
		py.PyThreadState_Clear(t->ts);
		py.PyThreadState_DeleteCurrent();
	}
	t->ts = NULL;
}
