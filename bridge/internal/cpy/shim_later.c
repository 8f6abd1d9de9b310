/*
 * shim_later.c: what is to run later in a greenlet of its own, or a thread where there are none: spawn, schedule. When it is
 * its turn is Go's affair (internal/aside).
 *
 * Runs on any Python thread, GIL held.
 */
#include "shim_compat.h"
#include "shim_int.h"

typedef struct timer_object {
	PyObject *call; /* owned: (function, args, kwargs or None); NULL once it was called or cancelled */
	uint64_t number; /* Go's */
	int called;
} timer_object;

static PyObject *type_timer;

/* (function, args, kwargs) of "function, args=(), kwargs=None". Owned; NULL with an exception set. */
static PyObject *make_call(PyObject *f, PyObject *args, PyObject *kwargs) {
	if (!py.PyCallable_Check(f)) {
		py.PyErr_Format(py.PyExc_TypeError, "must be a function, or another callable, not %R", gw_type_of(f));
		return NULL;
	}
	if (kwargs && kwargs != Py_None && !gw_is(kwargs, py.PyDict_Type, Py_TPFLAGS_DICT_SUBCLASS)) {
		py.PyErr_Format(py.PyExc_TypeError, "keyword arguments must be a dict, not %R", gw_type_of(kwargs));
		return NULL;
	}
	PyObject *tuple = args && args != Py_None ? py.PySequence_Tuple(args) : py.PyTuple_New(0);
	if (!tuple)
		return NULL;
	PyObject *call = py.PyTuple_Pack(3, f, tuple, kwargs ? kwargs : Py_None);
	py.Py_DecRef(tuple);
	return call;
}

/* Lets jobs run in greenlets from now on, if there are any. */
static int enable(void) {
	int on = gw_green_enable();
	if (GW_UNLIKELY(!on) && gw_check_fork() == 0)
		gwgo_no_greenlets();
	py.PyErr_Clear();
	return on;
}

static int this_thread(void) { return gw_self ? gw_self->index : -1; }

static PyObject *native_spawn(PyObject *self, PyObject *args, PyObject *kw) {
	static char *names[] = {"func", "args", "kwargs", NULL};
	PyObject *f, *a = NULL, *k = NULL;
	(void)self;
	if (!py.PyArg_ParseTupleAndKeywords(args, kw, "O|OO:spawn", names, &f, &a, &k) || gw_check_fork() < 0)
		return NULL;
	enable();
	PyObject *call = make_call(f, a, k);
	if (!call)
		return NULL;
	gwgo_spawn(call, this_thread());
	py.Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *native_schedule(PyObject *self, PyObject *args, PyObject *kw) {
	static char *names[] = {"seconds", "func", "args", "kwargs", "daemon", NULL};
	PyObject *seconds, *f, *a = NULL, *k = NULL;
	int64_t ns;
	int daemon = 0;
	(void)self;
	if (!py.PyArg_ParseTupleAndKeywords(args, kw, "OO|OOp:schedule", names, &seconds, &f, &a, &k, &daemon) ||
		gw_parse_timeout(seconds, &ns) < 0 || gw_check_fork() < 0)
		return NULL;
	if (ns < 0) {
		py.PyErr_SetString(py.PyExc_TypeError, "must be a number of seconds, not None");
		return NULL;
	}
	enable();
	PyObject *call = make_call(f, a, k);
	PyObject *o = call ? gw_new(type_timer, GW_CNT_TIMERS) : NULL;
	if (!o) {
		if (call)
			py.Py_DecRef(call);
		return NULL;
	}
	timer_object *t = GW_SELF(timer_object, o);
	t->call = call;
	py.Py_IncRef(o);
	t->number = gwgo_timer(o, ns, this_thread(), daemon);
	return o;
}

static PyObject *drop_call(timer_object *t) {
	PyObject *call = t->call;
	t->call = NULL;
	return call;
}

static PyObject *timer_cancel(PyObject *self, PyObject *ignored) {
	timer_object *t = GW_SELF(timer_object, self);
	(void)ignored;
	PyObject *call = drop_call(t);
	if (call) {
		if (!gw_in_forked_child && gwgo_timer_cancel(t->number))
			py.Py_DecRef(self);
		py.Py_DecRef(call);
	}
	py.Py_IncRef(Py_None);
	return Py_None;
}

static PyObject *timer_called(PyObject *self, void *closure) {
	(void)closure;
	return py.PyBool_FromLong(GW_SELF(timer_object, self)->called);
}

static void timer_dealloc(PyObject *self) {
	PyObject *call = drop_call(GW_SELF(timer_object, self));
	gw_delete(self, type_timer, GW_CNT_TIMERS);
	if (call)
		py.Py_DecRef(call);
}

PyObject *gw_timer_take(PyObject *owned) {
	if (gw_type_of(owned) != (PyTypeObject *)type_timer)
		return owned;
	timer_object *t = GW_SELF(timer_object, owned);
	PyObject *call = drop_call(t);
	if (call)
		t->called = 1;
	py.Py_DecRef(owned);
	return call;
}

int gw_timer_run(gw_thread *t, gw_job *j, uint64_t gen, PyObject *timer) {
	gw_take_gil(t);
	PyObject *call = gw_timer_take(timer);
	return call ? gw_spawn(t, j, gen, call) : GW_END;
}

static PyObject *native_enable(PyObject *self, PyObject *ignored) {
	(void)self;
	(void)ignored;
	return py.PyBool_FromLong(enable());
}

int gw_later_init(PyObject *module) {
	static PyMethodDef timer_methods[] = {
		{"cancel", timer_cancel, METH_NOARGS, "cancel()\n\nThe function is not called, unless it was already."},
		{NULL, NULL, 0, NULL},
	};
	static PyGetSetDef timer_getset[] = {
		{"called", timer_called, NULL, NULL, NULL},
		{NULL, NULL, NULL, NULL, NULL},
	};
	static PyType_Slot timer_slots[] = {
		{Py_tp_new, gw_no_new},
		{Py_tp_dealloc, timer_dealloc},
		{Py_tp_methods, timer_methods},
		{Py_tp_getset, timer_getset},
		{0, NULL},
	};
	static PyType_Spec timer_spec = {
		.name = "gowsgi._gowsgi.Timer", .flags = Py_TPFLAGS_DEFAULT, .slots = timer_slots};
	static PyMethodDef functions[] = {
		{"spawn", (PyCFunction)(void (*)(void))native_spawn, METH_VARARGS | METH_KEYWORDS,
			"spawn(func, args=(), kwargs=None)\n\nCalls func in a greenlet of its own, soon."},
		{"schedule", (PyCFunction)(void (*)(void))native_schedule, METH_VARARGS | METH_KEYWORDS,
			"schedule(seconds, func, args=(), kwargs=None, daemon=False) -> Timer\n\nThe same, later."},
		{"enable_suspend", native_enable, METH_NOARGS,
			"enable_suspend() -> bool\n\nRequests run in greenlets from now on, if there are any."},
		{NULL, NULL, 0, NULL},
	};
	if (!(type_timer = gw_make_type(module, &timer_spec, sizeof(timer_object))))
		return -1;
	return gw_add_functions(module, functions);
}
