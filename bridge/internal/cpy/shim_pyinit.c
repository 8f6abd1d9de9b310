/*
 * shim_pyinit.c: the module _gowsgi as Python sees it, by either way in: PyInit__gowsgi when Python imports the shared
 * object, gw_module_create in the binary. And the guard for processes forked after that. Under the import lock, with
 * the GIL; the fork handler on the thread that forked.
 */
#define _GNU_SOURCE
#include "embed.h"
#include "shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

volatile int gw_in_forked_child;
int gw_forked;
static pid_t loaded_in;

static void before_fork(void) {
	__atomic_store_n(&gw_forked, 1, __ATOMIC_RELAXED);
	gw_signals_before_fork();
}

static void forked_child(void) {
	gw_in_forked_child = 1;
	gw_signals_in_child();
	gw_signals_after_fork();
}

void gw_signals_on_stack(void) {
	for (int number = 1; number < NSIG; number++) {
		struct sigaction action;
		if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
			action.sa_handler != SIG_IGN && !(action.sa_flags & SA_ONSTACK)) {
			action.sa_flags |= SA_ONSTACK;
			sigaction(number, &action, NULL);
		}
	}
}

int gw_fork_watch(void) {
	if (loaded_in)
		return 0;
	if (pthread_atfork(before_fork, gw_signals_after_fork, forked_child) != 0)
		return -1;
	loaded_in = getpid();
	return 0;
}

int gw_check_fork(void) {
	/* The second test is for children made by a bare clone(), which runs no fork handlers. */
	if (!gw_in_forked_child && (!loaded_in || loaded_in == getpid()))
		return 0;
	py.PyErr_SetString(py.PyExc_RuntimeError,
		"gowsgi was loaded before this process forked; a Go runtime does not survive a fork, so fork "
		"first and start gowsgi in the child");
	return -1;
}

/* Without a table there is no py.PyErr_SetString either: this much is looked up by hand. */
static PyObject *import_error(const char *text) {
	void (*set_string)(PyObject *, const char *);
	*(void **)&set_string = dlsym(RTLD_DEFAULT, "PyErr_SetString");
	PyObject **type = dlsym(RTLD_DEFAULT, "PyExc_ImportError");
	if (set_string && type)
		set_string(*type, text);
	return NULL;
}

static int exec_slot(PyObject *module) { return gw_check_fork() < 0 ? -1 : gw_module_exec(module); }

/*
 * The definition is Python's object head, whose size a free-threaded build changes, and then fields of the stable ABI;
 * so it is put together at run time. A head of zeros is what PyModuleDef_Init expects of a static definition.
 */
static PyModuleDef *module_def(void) {
	static PyModuleDef *def; /* lives as long as the process, as a static one would */
	static PyModuleDef_Slot slots[4];

	if (def)
		return def;
	char *block = calloc(1, gw_py_head_size + sizeof(gw_module_def_tail));
	if (!block)
		return NULL;

	int n = 0;
	slots[n++] = (PyModuleDef_Slot){Py_mod_exec, (void *)exec_slot};
	if (gw_py_version >= 0x030C0000UL)
		slots[n++] =
			(PyModuleDef_Slot){GW_MOD_MULTIPLE_INTERPRETERS, GW_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED};
	if (gw_py_version >= 0x030D0000UL)
		slots[n++] = (PyModuleDef_Slot){GW_MOD_GIL, GW_MOD_GIL_NOT_USED};

	gw_module_def_tail *tail = (gw_module_def_tail *)(block + gw_py_head_size);
	tail->m_name = "_gowsgi";
	tail->m_doc = "Native part of gowsgi; use the package gowsgi instead.";
	tail->m_slots = slots;
	return def = (PyModuleDef *)block;
}

__attribute__((visibility("default"))) PyObject *PyInit__gowsgi(void);

PyObject *PyInit__gowsgi(void) {
	char err[256];

	gw_sysmon_made();
	/* A child that inherits the loaded library but not the imported module comes here, with nothing to run it. */
	if (gw_in_forked_child)
		return import_error(
			"gowsgi was loaded before this process forked; fork first and start gowsgi in the child");
	if (!gw_py_version && gw_pyapi_load(NULL, err, sizeof err) < 0)
		return import_error(err);
	if (!gw_py_head_size && gw_pyapi_ready(err, sizeof err) < 0)
		return import_error(err);
	PyModuleDef *def = module_def();
	if (!def || gw_fork_watch() < 0)
		return py.PyErr_NoMemory();
	return py.PyModuleDef_Init(def);
}

PyObject *gw_module_create(void) {
	PyObject *owned_module = py.PyModule_New("_gowsgi");
	if (!owned_module)
		return NULL;
	PyObject *borrowed_modules = py.PyImport_GetModuleDict();
	if (exec_slot(owned_module) < 0 || !borrowed_modules ||
		py.PyDict_SetItemString(borrowed_modules, "_gowsgi", owned_module) < 0) {
		py.Py_DecRef(owned_module);
		return NULL;
	}
	return owned_module;
}
