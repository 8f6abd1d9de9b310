/*
 * shim_compat.c: version branches, all of them. Above each stands why it is needed and when it may go; nowhere else in
 * this directory is gw_py_version asked, except for the module slots (shim_pyinit.c). Runs on any thread with the GIL.
 */
#include "shim_compat.h"

#include <errno.h>
#include <signal.h>

/*
 * 3.8 to 3.10: PyObject_Vectorcall was an inline function of the headers. Without keywords an exported function does
 * the same: PyObject_VectorcallDict (3.9), on 3.8 under its older name _PyObject_FastCallDict. With keywords the long
 * way: a tuple, a dict, PyObject_Call. Goes with 3.10.
 */
PyObject *gw_vectorcall_fallback(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
	Py_ssize_t n = GW_NARGS(nargsf);
	Py_ssize_t nkw = kwnames ? py.PyTuple_Size(kwnames) : 0;
	PyObject *owned_tuple, *owned_dict, *result;

	if (nkw < 0)
		return NULL;
	if (nkw == 0) {
		if (py.PyObject_VectorcallDict)
			return py.PyObject_VectorcallDict(callable, args, nargsf, NULL);
		/* 3.8 takes the flag out of nargsf too. */
		if (py._PyObject_FastCallDict)
			return py._PyObject_FastCallDict(callable, args, nargsf, NULL);
	}
	if (gw_pack_arguments(args, n, kwnames, &owned_tuple, &owned_dict) < 0)
		return NULL;
	result = py.PyObject_Call(callable, owned_tuple, owned_dict);
	py.Py_DecRef(owned_tuple);
	py.Py_DecRef(owned_dict); /* Py_DecRef, as Py_XDECREF, takes NULL */
	return result;
}

int gw_pack_arguments(PyObject *const *args, Py_ssize_t n, PyObject *kwnames, PyObject **tuple, PyObject **dict) {
	Py_ssize_t nkw = kwnames ? py.PyTuple_Size(kwnames) : 0;
	*dict = NULL;
	if (!(*tuple = py.PyTuple_New(n)))
		return -1;
	for (Py_ssize_t i = 0; i < n; i++) {
		py.Py_IncRef(args[i]);
		if (py.PyTuple_SetItem(*tuple, i, args[i]) < 0)
			goto bad;
	}
	if (nkw > 0 && !(*dict = py.PyDict_New()))
		goto bad;
	for (Py_ssize_t i = 0; i < nkw; i++) {
		PyObject *borrowed_name = py.PyTuple_GetItem(kwnames, i);
		if (!borrowed_name || py.PyDict_SetItem(*dict, borrowed_name, args[n + i]) < 0)
			goto bad;
	}
	return 0;
bad:
	py.Py_DecRef(*tuple);
	py.Py_DecRef(*dict);
	return -1;
}

/* Goes with 3.8. */
int gw_spec_has_vectorcall(void) { return gw_py_version >= 0x03090000UL; }

/* 3.8 has none. Goes with 3.8. */
PyObject *gw_call_noargs(PyObject *callable) {
	if (py.PyObject_CallNoArgs)
		return py.PyObject_CallNoArgs(callable);
	return gw_vectorcall(callable, NULL, 0, NULL);
}

/* Inline in the headers of 3.9 and 3.10, missing in 3.8. Goes with 3.10. */
PyObject *gw_call_onearg(PyObject *callable, PyObject *arg) {
	PyObject *args[2] = {NULL, arg};
	if (py.PyObject_CallOneArg)
		return py.PyObject_CallOneArg(callable, arg);
	return gw_vectorcall(callable, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* 3.8 has none: a bound method is made and called. Goes with 3.8. */
PyObject *gw_call_method(PyObject *name, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
	if (py.PyObject_VectorcallMethod)
		return py.PyObject_VectorcallMethod(name, args, nargsf, kwnames);
	PyObject *owned_method = py.PyObject_GetAttr(args[0], name);
	if (!owned_method)
		return NULL;
	/* args[0] may be overwritten during the call: it is self, which the bound method has already. */
	PyObject *result = gw_vectorcall(
		owned_method, args + 1, (size_t)(GW_NARGS(nargsf) - 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, kwnames);
	py.Py_DecRef(owned_method);
	return result;
}

/* 3.8 has it with an underscore. Goes with 3.8. */
PyInterpreterState *gw_interp_get(void) {
	if (py.PyInterpreterState_Get)
		return py.PyInterpreterState_Get();
	if (py._PyInterpreterState_Get)
		return py._PyInterpreterState_Get();
	return py.PyInterpreterState_Main();
}

/* Up to 3.12 with an underscore. Goes with 3.12. */
PyThreadState *gw_tstate_or_null(void) {
	if (py.PyThreadState_GetUnchecked)
		return py.PyThreadState_GetUnchecked();
	if (py._PyThreadState_UncheckedGet)
		return py._PyThreadState_UncheckedGet();
	return py.PyGILState_Check() ? py.PyThreadState_Get() : NULL;
}

/* Up to 3.12 with an underscore. Goes with 3.12. */
int gw_is_finalizing(void) {
	if (py.Py_IsFinalizing)
		return py.Py_IsFinalizing();
	return py._Py_IsFinalizing ? py._Py_IsFinalizing() : 0;
}

/* 3.8 and 3.9 can only simulate SIGINT. Goes with 3.9. */
int gw_set_interrupt(int signum) {
	if (py.PyErr_SetInterruptEx)
		return py.PyErr_SetInterruptEx(signum);
	if (signum != SIGINT) {
		errno = ENOSYS;
		return -1;
	}
	py.PyErr_SetInterrupt();
	return 0;
}

/* Up to 3.11 an exception is set in three parts, and perhaps not yet an instance. Goes with 3.11. */
PyObject *gw_err_take(void) {
	PyObject *type, *value, *traceback;

	if (py.PyErr_GetRaisedException)
		return py.PyErr_GetRaisedException();
	py.PyErr_Fetch(&type, &value, &traceback);
	if (!type)
		return NULL;
	py.PyErr_NormalizeException(&type, &value, &traceback);
	if (traceback) {
		py.PyException_SetTraceback(value, traceback);
		py.Py_DecRef(traceback);
	}
	py.Py_DecRef(type);
	return value;
}

/* As above. Goes with 3.11. */
void gw_err_put(PyObject *owned_exc) {
	if (py.PyErr_SetRaisedException) {
		py.PyErr_SetRaisedException(owned_exc);
		return;
	}
	if (!owned_exc) {
		py.PyErr_Clear();
		return;
	}
	py.PyErr_Restore(py.PyObject_Type(owned_exc), owned_exc, py.PyException_GetTraceback(owned_exc));
}

/* Up to 3.12 the result is borrowed, which is safe there: those builds all have a GIL. Goes with 3.12, as the next two. */
int gw_dict_getref(PyObject *dict, PyObject *key, PyObject **item) {
	if (py.PyDict_GetItemRef)
		return py.PyDict_GetItemRef(dict, key, item);
	if ((*item = py.PyDict_GetItemWithError(dict, key))) {
		py.Py_IncRef(*item);
		return 1;
	}
	return py.PyErr_Occurred() ? -1 : 0;
}

int gw_dict_setdefault(PyObject *dict, PyObject *key, PyObject *value, PyObject **item) {
	if (py.PyDict_SetDefaultRef)
		return py.PyDict_SetDefaultRef(dict, key, value, item);
	Py_ssize_t before = py.PyDict_Size(dict);
	PyObject *borrowed = py.PyDict_SetDefault(dict, key, value);
	if (item && (*item = borrowed))
		py.Py_IncRef(borrowed);
	if (!borrowed)
		return -1;
	return py.PyDict_Size(dict) == before;
}

PyObject *gw_list_getref(PyObject *list, Py_ssize_t index) {
	if (py.PyList_GetItemRef)
		return py.PyList_GetItemRef(list, index);
	PyObject *borrowed = py.PyList_GetItem(list, index);
	if (borrowed)
		py.Py_IncRef(borrowed);
	return borrowed;
}

/* Up to 3.12 an AttributeError is made and thrown away. Goes with 3.12. */
int gw_getattr_optional(PyObject *object, PyObject *name, PyObject **value) {
	if (py.PyObject_GetOptionalAttr)
		return py.PyObject_GetOptionalAttr(object, name, value);
	if ((*value = py.PyObject_GetAttr(object, name)))
		return 1;
	if (!py.PyErr_ExceptionMatches(py.PyExc_AttributeError))
		return -1;
	py.PyErr_Clear();
	return 0;
}

/* PyModule_AddObject steals the value, but only when it succeeds. Goes with 3.9. */
int gw_module_add(PyObject *module, const char *name, PyObject *value) {
	if (py.PyModule_AddObjectRef)
		return py.PyModule_AddObjectRef(module, name, value);
	py.Py_IncRef(value);
	if (py.PyModule_AddObject(module, name, value) < 0) {
		py.Py_DecRef(value);
		return -1;
	}
	return 0;
}
