/*
 * shim_compat.h: calls that not every supported Python has, under one name each. Call these instead of the optional
 * rows of pyapi.h. Each says from which version its fallback is dead; when that version is the oldest supported one,
 * the fallback goes and the row becomes mandatory.
 *
 * GIL: held, for all, unless said otherwise.
 */
#ifndef GW_SHIM_COMPAT_H
#define GW_SHIM_COMPAT_H

#include "pyapi.h"

#define GW_NARGS(nargsf) ((Py_ssize_t)((nargsf) & ~PY_VECTORCALL_ARGUMENTS_OFFSET))

/*
 * The tuple and, with kwnames, the dict that tp_call wants; *dict is NULL without. Results: owned. 0, or -1 with an
 * exception set and nothing owned.
 */
int gw_pack_arguments(PyObject *const *args, Py_ssize_t n, PyObject *kwnames, PyObject **tuple, PyObject **dict);

/* The slow half of gw_vectorcall; not for direct use. */
PyObject *gw_vectorcall_fallback(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames);

/*
 * PyObject_Vectorcall: exported from 3.11. Result: owned; NULL with an exception set. args: borrowed; with
 * PY_VECTORCALL_ARGUMENTS_OFFSET args[-1] must be writable. kwnames: borrowed tuple or NULL. Blocks: it runs Python.
 */
static inline PyObject *gw_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
	if (__builtin_expect(py.PyObject_Vectorcall != NULL, 1))
		return py.PyObject_Vectorcall(callable, args, nargsf, kwnames);
	return gw_vectorcall_fallback(callable, args, nargsf, kwnames);
}

/* Whether a type made by PyType_FromSpec can have vectorcall, by a member named __vectorcalloffset__: from 3.9. */
int gw_spec_has_vectorcall(void);

/* PyObject_CallNoArgs (3.9) and PyObject_CallOneArg (exported from 3.11). Result: owned; NULL with an exception set. */
PyObject *gw_call_noargs(PyObject *callable);
PyObject *gw_call_onearg(PyObject *callable, PyObject *arg);

/*
 * PyObject_VectorcallMethod, 3.9: args[0] is self, and counts in nargsf. Result: owned; NULL with an exception set.
 * name: borrowed str.
 */
PyObject *gw_call_method(PyObject *name, PyObject *const *args, size_t nargsf, PyObject *kwnames);

/* PyInterpreterState_Get, 3.9. Result: borrowed, never NULL. */
PyInterpreterState *gw_interp_get(void);

/* PyThreadState_GetUnchecked, 3.13. Result: borrowed, NULL without a thread state. GIL: not needed. */
PyThreadState *gw_tstate_or_null(void);

/* Py_IsFinalizing, 3.13. GIL: not needed. */
int gw_is_finalizing(void);

/* PyErr_SetInterruptEx, 3.10; before, SIGINT is the only signal it can announce. 0, or -1. GIL: not needed. */
int gw_set_interrupt(int signum);

/* PyErr_GetRaisedException, 3.12: takes the exception that is set, with its traceback. Result: owned, or NULL. */
PyObject *gw_err_take(void);

/* PyErr_SetRaisedException, 3.12: sets it again. exc: stolen, NULL clears. */
void gw_err_put(PyObject *owned_exc);

/* PyDict_GetItemRef, 3.13. 1 with *item owned; 0 with *item NULL; -1 with an exception set and *item NULL. */
int gw_dict_getref(PyObject *dict, PyObject *key, PyObject **item);

/* PyDict_SetDefaultRef, 3.13. 1: key was there; 0: inserted; -1: exception. *item (may be NULL): owned value. */
int gw_dict_setdefault(PyObject *dict, PyObject *key, PyObject *value, PyObject **item);

/* PyList_GetItemRef, 3.13. Result: owned; NULL with IndexError set. */
PyObject *gw_list_getref(PyObject *list, Py_ssize_t index);

/* PyObject_GetOptionalAttr, 3.13. 1 with *value owned; 0 when there is no such attribute; -1 with an exception set. */
int gw_getattr_optional(PyObject *object, PyObject *name, PyObject **value);

/* PyModule_AddObjectRef, 3.10. value: borrowed. 0, or -1 with an exception set. */
int gw_module_add(PyObject *module, const char *name, PyObject *value);

#endif
